"""Checkpoints of a stranger, with the right checksums: refused in words, before anything of their size is allocated."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from forging import change_document, change_tensors, document_of, put_document, put_tensors, put_text, tensors_in
from growmix import BadCheckpoint, BadInput, GrowingMixture, Student, baselines
from growmix.checkpoints.folders import read_folder
from growmix.components.nets import OwnModules
from growmix.settings import Settings
from growmix.storage.checkpoint_files import DOCUMENT, state_of
from growmix.storage.untrusted import strict_json
from growmix.system import memory

pytestmark = pytest.mark.slow

MOST_MEMORY = 256 * 2**20
"""More memory than that a refused checkpoint may not take: what it lies about takes GiB."""


@pytest.fixture
def saved(checkpoints: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkpoints / "mixture", tmp_path / "it")
    return tmp_path / "it"


def peak() -> int:
    """Most memory that this process had so far, bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])


def refusal(load: Callable[[], Any]) -> str:
    """What loading a checkpoint is refused with, by a copy of this process; nothing, if it works for a minute."""
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
            before = peak()
            try:
                load()
            except BadCheckpoint as error:
                said = str(error)
            except BaseException as error:
                said = f"crash: {error!r}"
            if peak() - before > MOST_MEMORY:
                said = f"{peak() - before:,} bytes were taken"
            os.write(here, said[:4_000].encode())
        finally:
            os._exit(0)
    os.close(here)
    os.waitpid(child, 0)
    with os.fdopen(there, "rb") as pipe:
        return pipe.read().decode()


def assert_refused(folder: Path, name: str, load: Callable[[Path], Any] = GrowingMixture.load) -> None:
    said = refusal(lambda: load(folder))
    assert name in said and not said.startswith("crash"), said


TENSORS = "tensors-"
"""What a message calls the file of tensors, whose name goes on with its digest."""


# Documents ------------------------------------------------------------------------------------------------------


def _settings(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["settings"].update(changes)


def _outline(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["components"][0].update(changes)


def _domain(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["components"][0]["domain"].update(changes)


LARGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "hidden": _settings(hidden=10**9),
    "hidden-allowed": _settings(hidden=65_536),
    "latent": _settings(latent=65_536),
    "depth": _settings(depth=65_536),
    "depth-allowed": _settings(depth=1_000),
    "conv": lambda d: (_settings(blueprint="conv", width=65_536)(d), d.update(blueprint="conv")),
    "rank": _settings(sharing="adapter", adapter_rank=10**9, hidden=60_000),
    "trunk": _settings(sharing="trunk", hidden=60_000),
    "likelihood": lambda d: (_settings(likelihood="gaussian-pixel")(d), _domain(shape=[1, 4_000, 4_000])(d)),
    "shape": _domain(shape=[1, 10**9, 10**9]),
    "shape-allowed": _domain(shape=[1, 4_096, 4_096]),
    "shape-negative": _domain(shape=[-1, -4, 4]),
    "shape-zero": _domain(shape=[1, 0, 4]),
    "shape-of-words": _domain(shape="144"),
    "shape-of-floats": _domain(shape=[1.0, 4.0, 4.0]),
    "shape-deep": _domain(shape=[[1], 4, 4]),
    "shape-of-64-bits": _domain(shape=[1, 2**63, 1]),
    "shape-none": _domain(shape=[]),
    "target": _outline(target={"shape": [4_096, 4, 4]}, supervised=False),
    "classes": _outline(classes=list(range(100_000))),
    "classes-of-64-bits": _outline(classes=[2**63, 2**64]),
    "classes-of-truths": _outline(classes=[True, False]),
    "components": lambda d: d.update(components=d["components"] * 1_000),
    "versions": lambda d: d["history"][0]["parts"][0].update(component=10**9),
    "sampling": lambda d: d.update(sampling=[0] * 1_000_000),
    "sampling-unlike": lambda d: d.update(sampling=[10**18]),
    "records": lambda d: d["memory"].update(records=[]),
}


def _step(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["history"][-1].update(changes)


def _decision(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["history"][-1]["decision"].update(changes)


def _part(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["history"][-1]["parts"][0].update(changes)


def _log(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["history"][-1]["log"].update(changes)


def _record(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["memory"]["records"][0].update(changes)


def _reference(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["memory"]["records"][0]["references"][0].update(changes)


def _known(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["memory"]["records"][0]["references"][0]["statistics"]["elbo"].update(changes)


def _stream(left: int, following: int) -> Callable[[dict[str, Any]], Any]:
    """A state of random numbers that says how many are left, and where the next one is."""

    def change(document: dict[str, Any]) -> None:
        document["sampling"][8:12] = list(struct.pack("<i", left))
        document["sampling"][16:24] = list(struct.pack("<Q", following))

    return change


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "history-none": lambda d: d.pop("history"),
    "history-word": lambda d: d.update(history="x"),
    "history-thrice": lambda d: d.update(history=d["history"] * 3),
    "decision-component": _decision(component=99),
    "decision-component-word": _decision(component="x"),
    "decision-action": _decision(action="shrink"),
    "decision-novelty": _decision(novelty=[[[1]]]),
    "decision-novelty-many": _decision(novelty=[0.5] * 9),
    "decision-threshold": _decision(threshold="x"),
    "decision-note": _decision(note=5),
    "parts-none": _step(parts=[]),
    "part-component": _part(component=0.0),
    "part-component-true": _part(component=False),
    "part-examples-word": _part(examples="x"),
    "part-examples-negative": _part(examples=-5),
    "part-examples-float": _part(examples=1e300),
    "part-examples-large": _part(examples=10**19),
    "part-version": _part(version="v"),
    "part-version-other": _part(version=7),
    "log-epochs": _log(epochs=0),
    "log-losses": _log(losses="x"),
    "log-seconds": _log(seconds=None),
    "log-seconds-large": _log(seconds=1e308),
    "record-examples": _record(examples="x"),
    "record-examples-other": _record(examples=1),
    "record-version": _record(version=0),
    "record-references": _record(references=[]),
    "record-references-many": lambda d: _record(references=d["memory"]["records"][0]["references"] * 17)(d),
    "reference-statistics": _reference(statistics={}),
    "reference-statistics-other": _reference(statistics={"elbo": None}),
    "reference-classes": _reference(classes=[77]),
    "reference-classes-word": _reference(classes=["x"]),
    "known-count": _known(count=0),
    "known-mean": _known(mean=None),
    "known-variance": _known(variance=-1.0),
    "known-quantiles": _known(quantiles=[]),
    "known-quantiles-words": _known(quantiles=["a"]),
    "known-quantiles-many": _known(quantiles=[0.0] * 10_000),
    "classes-twice": lambda d: _outline(classes=[0] * len(d["components"][0]["classes"]))(d),
    "classes-negative": lambda d: _outline(classes=[-1 - n for n in d["components"][0]["classes"]])(d),
    "density-none": _outline(density=False),
    "domain-none": _outline(domain=None),
    "domain-word": _outline(domain="unit"),
    "support": _domain(support="round"),
    "centre-short": _domain(support="real", centre=[], scale=[1.0]),
    "centre-long": _domain(support="real", centre=[0.0] * 9, scale=[1.0] * 9),
    "centre-word": _domain(support="real", centre=["x"], scale=[1.0]),
    "scale-zero": _domain(support="real", centre=[0.0], scale=[0.0]),
    "scale-negative": _domain(support="real", centre=[0.0], scale=[-1.0]),
    "density-word": _outline(density="yes"),
    "supervised-word": _outline(supervised="no"),
    "names": lambda d: d.update(names=["one"]),
    "sampling-past-the-end": _stream(624, 624),
    "sampling-negative": _stream(-3, 0),
    "sampling-far": _stream(1, 2**40),
    "sampling-floats": lambda d: d.update(sampling=[float(n) for n in d["sampling"]]),
    "sampling-trues": lambda d: d.update(sampling=[True] * len(d["sampling"])),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_document_that_contradicts_itself_is_refused(saved: Path, change: str) -> None:
    change_document(saved, WRONG[change])
    said = refusal(lambda: GrowingMixture.load(saved))
    assert not said.startswith("crash") and (DOCUMENT in said or TENSORS in said), said


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["log"].update(epochs=0),
        lambda d: d["log"].update(steps="x"),
        lambda d: d.update(log=[]),
        lambda d: d.update(names=["x"]),
        _stream(624, 624),
    ],
)
def test_a_students_document_that_contradicts_itself_is_refused(
    checkpoints: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    shutil.copytree(checkpoints / "student", tmp_path / "it")
    change_document(tmp_path / "it", change)
    assert_refused(tmp_path / "it", DOCUMENT, Student.load)


def test_what_a_stranger_wrote_is_quoted_in_short(checkpoints: Path, saved: Path) -> None:
    long = "x" * 1_000_000
    for change in ({"growmix": long, "schema": 99}, {"kind": "mixture", "names": [long]}, {"components": long}):
        put_document(saved, {**document_of(checkpoints / "mixture"), **change})
        said = refusal(lambda: GrowingMixture.load(saved))
        assert len(said) < 1_000 and DOCUMENT in said, said


@pytest.mark.parametrize("change", LARGE)
def test_a_document_that_asks_for_more_than_there_is_gets_nothing(saved: Path, change: str) -> None:
    change_document(saved, LARGE[change])
    said = refusal(lambda: GrowingMixture.load(saved))
    assert not said.startswith("crash") and (DOCUMENT in said or TENSORS in said), said


@pytest.mark.parametrize("change", [{"student_hidden": 65_536}, {"student_latent": 65_536}, {"depth": 900}])
def test_a_students_document_that_asks_for_more_than_there_is_gets_nothing(
    checkpoints: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    shutil.copytree(checkpoints / "student", tmp_path / "it")
    change_document(tmp_path / "it", _settings(**change))
    assert_refused(tmp_path / "it", TENSORS, Student.load)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"schema":' * 100_000,
        b'{"schema": 4, "kind": ' + b"9" * 100_000 + b"}",
        b'{"schema": 4, "schema": 2}',
        b'{"schema": 4, "kind": NaN}',
        b'{"schema": 4, "kind": -Infinity}',
        b'{"schema": 4, "kind": 1e400}',
        b'{"schema": true}',
        b'{"schema": 4.0}',
        b'{"schema": 0}',
        b'{"schema": -1}',
        b'{"schema": 1}',
        b'{"schema": 2, "kind": "mixture"}',
        b'{"schema": "3"}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"",
        b"null",
        b"3",
    ],
)
def test_a_document_that_is_none_is_refused(saved: Path, content: bytes) -> None:
    put_text(saved, content)
    assert_refused(saved, DOCUMENT)


@pytest.mark.parametrize("values", [b"[" + b"1," * 12_000_000 + b"1]", b"[" + b"{}," * 10_000_000 + b"{}]"])
def test_a_document_of_very_many_values_is_not_parsed(saved: Path, values: bytes) -> None:
    """Each takes a few bytes there, and eighty in memory."""
    put_text(saved, b'"values": ' + values + b"}")
    assert_refused(saved, "values")


def test_numbers_as_many_as_a_large_mixture_keeps_are_read(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).random(2_000_000).tolist()
    assert strict_json(json.dumps(numbers).encode(), tmp_path) == numbers


def test_a_document_of_absurd_length_is_not_read(saved: Path) -> None:
    with (saved / DOCUMENT).open("r+b") as stream:
        stream.truncate(10 * 2**30)
    assert_refused(saved, "allowed are")


# Names of tensors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"bytes": 8},
        {"sha256": "../../../../../../../etc/passwd", "bytes": 8},
        {"sha256": "0" * 63 + "/", "bytes": 8},
        {"sha256": "0" * 64, "bytes": True},
        {"sha256": "0" * 64, "bytes": "8"},
        {"sha256": 0, "bytes": 8},
    ],
)
def test_a_document_that_names_no_tensors_is_refused(saved: Path, entry: Any) -> None:
    document = document_of(saved) | {"tensors": entry}
    put_text(saved, json.dumps(document).encode())
    assert_refused(saved, DOCUMENT)


@pytest.mark.parametrize("size", [-1, 0, 10**30])
def test_tensors_of_another_size_are_refused(saved: Path, size: int) -> None:
    digest = json.loads((saved / DOCUMENT).read_text())["tensors"]["sha256"]
    (saved / DOCUMENT).write_bytes(state_of(document_of(saved), digest, size))
    assert_refused(saved, TENSORS)


# Tensors --------------------------------------------------------------------------------------------------------


def tensor_file(header: bytes, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


WEIGHT = "components.0.encoder.1.weight"

UNFIT: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "one-more": lambda t: t.update({"components.0.junk": torch.zeros(3)}),
    "of-no-component": lambda t: t.update({"components.7.encoder.1.weight": torch.zeros(3)}),
    "of-nobody": lambda t: t.update({"junk": torch.zeros(3)}),
    "of-no-memory": lambda t: t.update({"others.junk": torch.zeros(3)}),
    "of-no-density": lambda t: t.update({"densities.0.junk": torch.zeros(3)}),
    "one-less": lambda t: t.pop(WEIGHT),
    "turned": lambda t: t.update({WEIGHT: t[WEIGHT].T}),
    "scalar": lambda t: t.update({WEIGHT: torch.zeros(())}),
    "doubles": lambda t: t.update({WEIGHT: t[WEIGHT].double()}),
    "density-mean": lambda t: t.update({"densities.0.mean": torch.zeros(2, 9)}),
    "density-scale": lambda t: t.update({"densities.0.scale": torch.zeros(2, 1, 9)}),
    "density-owner": lambda t: t.update({"densities.0.owner": t["densities.0.owner"].float()}),
    "density-weight": lambda t: t.update({"densities.0.weight": torch.tensor(1.0)}),
    "density-doubles": lambda t: t.update({"densities.0.weight": t["densities.0.weight"].double()}),
    "density-of-nothing": lambda t: t.update({n: x[:0] for n, x in t.items() if n.startswith("densities.0.")}),
    "density-vast": lambda t: t.update(
        {n: x[:1].expand(10_000, *x.shape[1:]) for n, x in t.items() if n.startswith("densities.0.")}
    ),
    "density-not-finite": lambda t: t["densities.0.mean"].fill_(torch.nan),
    "density-weightless": lambda t: t["densities.0.weight"].fill_(0.0),
    "density-of-a-stranger": lambda t: t["densities.0.owner"].fill_(99),
    "counts-negative": lambda t: t["components.0.class_counts"].fill_(-1.0),
    "counts-not-finite": lambda t: t["components.0.class_counts"].fill_(torch.nan),
    "weights-not-finite": lambda t: t[WEIGHT].fill_(torch.nan),
}


@pytest.mark.parametrize("change", UNFIT)
def test_tensors_that_the_document_does_not_tell_of_are_refused(saved: Path, change: str) -> None:
    change_tensors(saved, UNFIT[change])
    assert_refused(saved, TENSORS)


@pytest.mark.parametrize("name", ["components.0.junk", "others.junk", WEIGHT])
def test_tensors_that_are_not_needed_are_not_read(saved: Path, name: str) -> None:
    """Half a gigabyte of them, in a file that takes no room on the disk."""
    content = tensors_in(saved).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    n = 2**29
    header.pop(name, None)
    slots = sorted(header.values(), key=lambda slot: slot["data_offsets"])
    end = 0
    for slot in slots:  # whatever was taken out leaves no gap
        size = slot["data_offsets"][1] - slot["data_offsets"][0]
        slot["data_offsets"], end = [end, end + size], end + size
    header[name] = {"dtype": "F32", "shape": [n // 4], "data_offsets": [end, end + n]}
    put_tensors(saved, tensor_file(json.dumps(header).encode(), data[:end]), zeros=n)
    assert_refused(saved, TENSORS)


def test_what_does_not_fit_into_memory_is_not_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 1_000)
    with pytest.raises(BadInput, match=rf"{TENSORS}.* needs about .* of memory, but 1000 bytes are available"):
        read_folder(saved, lambda *_: None)


def test_memory_of_another_method_is_refused(tmp_path: Path) -> None:
    settings = Settings(hidden=4, latent=1, epochs=1, device="cpu", precision="32-true")
    learner = baselines.make_learner("er", settings)
    rng = np.random.default_rng(0)
    learner.learn((rng.random((40, 1, 4, 4)).astype(np.float32), np.arange(40) % 2))
    learner.save(tmp_path / "it")
    assert baselines.load(tmp_path / "it", "er").examples == 40
    change_tensors(tmp_path / "it", lambda t: t.update({"others.penalty.importance.x": torch.zeros(3)}))
    assert_refused(tmp_path / "it", TENSORS, lambda folder: baselines.load(folder, "er"))


def fitted(method: str, folder: Path, **changes: Any) -> None:
    settings = Settings(hidden=8, latent=1, epochs=1, device="cpu", precision="32-true").replace(**changes)
    learner = baselines.make_learner(method, settings)
    learner.learn((np.random.default_rng(0).random((40, 1, 4, 4)).astype(np.float32), np.arange(40) % 2))
    learner.save(folder)


FOREIGN: dict[str, tuple[str, str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "foundation-doubles": ("mixture", "others.foundation.parts.0.1.weight", torch.Tensor.double),
    "foundation-bytes": ("mixture", "others.foundation.parts.0.1.weight", lambda t: t.to(torch.uint8)),
    "foundation-not-finite": ("mixture", "others.foundation.parts.0.1.weight", lambda t: t * torch.nan),
    "importance-shape": ("ewc", "others.penalty.importance.posterior.weight", lambda t: t[:1]),
    "anchor-doubles": ("ewc", "others.penalty.anchor.posterior.weight", torch.Tensor.double),
    "importance-of-paths": ("si", "others.penalty.importance.posterior.weight", lambda t: t[None]),
    "images-flat": ("er", "others.rehearsal.x", lambda t: t.flatten(1)),
    "images-short": ("er", "others.rehearsal.x", lambda t: t[:3]),
    "images-numbers": ("joint", "others.rehearsal.x", lambda t: (t * 900).to(torch.int64)),
    "images-not-finite": ("joint", "others.rehearsal.x", lambda t: t * torch.nan),
    "images-bright": ("joint", "others.rehearsal.x", lambda t: t + 1.0),
    "labels-doubles": ("er", "others.rehearsal.y", torch.Tensor.double),
    "labels-unknown": ("joint", "others.rehearsal.y", lambda t: t + 5),
    "keys-short": ("er", "others.rehearsal.keys", lambda t: t[:3]),
    "keys-floats": ("er", "others.rehearsal.keys", torch.Tensor.float),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_a_method_keeps_must_fit_what_it_trained(tmp_path: Path, case: str) -> None:
    method, name, change = FOREIGN[case]
    fitted(method, tmp_path / "it", **({"sharing": "adapter"} if method == "mixture" else {}))
    change_tensors(tmp_path / "it", lambda t: t.update({name: change(t[name])}))
    said = refusal(lambda: baselines.load(tmp_path / "it", method))
    assert not said.startswith("crash") and (DOCUMENT in said or TENSORS in said), said


@pytest.mark.parametrize("name", ["penalty.importance.junk", "penalty.junk", "rehearsal.junk", "junk"])
def test_a_method_keeps_nothing_else(tmp_path: Path, name: str) -> None:
    fitted("ewc", tmp_path / "it")
    change_tensors(tmp_path / "it", lambda t: t.update({f"others.{name}": torch.zeros(3)}))
    assert_refused(tmp_path / "it", TENSORS, lambda folder: baselines.load(folder, "ewc"))


def test_a_users_own_modules_are_not_made_for_absurd_images(tmp_path: Path) -> None:
    own = OwnModules(
        lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], 9)),
        lambda inputs, shape: nn.Sequential(nn.Linear(inputs, shape[1] * shape[2]), nn.Unflatten(1, shape)),
    )
    mixture = GrowingMixture(own, Settings(latent=1, epochs=1, device="cpu", precision="32-true"))
    mixture.learn(np.random.default_rng(0).random((40, 1, 4, 4)).astype(np.float32))
    mixture.save(tmp_path / "it")
    change_document(tmp_path / "it", _domain(shape=[1, 10**5, 10**5]))
    assert_refused(tmp_path / "it", DOCUMENT, lambda folder: GrowingMixture.load(folder, blueprint=own))


def test_no_other_process_is_started_for_a_strangers_settings(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*_: Any, **__: Any) -> None:
        raise AssertionError("launched")

    monkeypatch.setattr(Fabric, "launch", launch)
    change_document(saved, _settings(devices=2, strategy="ddp"))
    mixture = GrowingMixture.load(saved)
    assert mixture.settings.devices == 2
    assert mixture.route(np.zeros((2, 1, 4, 4), dtype=np.float32)).shape == (2,)
    change_document(saved, _settings(devices=10**9))
    assert_refused(saved, "devices")


def test_json_within_bounds_is_read_as_json_is() -> None:
    content = {"a": [1, -2, 2**63, 0.5, -1e-300, True, None, "ä\u2028"], "b": {"c": {}}}
    assert strict_json(json.dumps(content).encode(), Path("file")) == content
