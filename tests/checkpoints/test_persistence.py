"""Checkpoints: what is read back is what was written, and what is broken is named."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from forging import document_of, put_document, put_tensors, tensors_in
from growmix import BadCheckpoint, BadInput, GrowingMixture, GrowmixError, Student, baselines
from growmix.components.density import LatentDensity
from growmix.components.nets import OwnModules
from growmix.storage.checkpoint_files import DOCUMENT

TINY: dict[str, Any] = {
    "hidden": 16,
    "latent": 2,
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "student_examples": 30,
    "student_hidden": 12,
    "student_epochs": 1,
    "device": "cpu",
    "precision": "32-true",
}

KINDS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "conv": {"blueprint": "conv", "width": 2, "likelihood": "gaussian-pixel", "variance": 0.1}
    | {"hidden": None, "student_hidden": 400},
    "unsupervised": {"likelihood": "gaussian-learnt", "novelty": "paper", "threshold": 5.0},
    "prior": {"sampling": "prior", "gate": "dirichlet", "novelty": "smd", "likelihood": "gaussian"},
}


def images(kind: int, n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    templates = np.random.default_rng(kind).random((2, 1, 8, 8)) > 0.5
    rng = np.random.default_rng([seed, kind])
    which = rng.permutation(np.arange(n) % 2)
    return (0.8 * templates[which] + 0.2 * rng.random((n, 1, 8, 8))).astype(np.float32), which + 2 * kind


def task(kind: str, *what: int) -> Any:
    x, y = images(what[0], seed=what[1])
    return x if kind == "unsupervised" else (x, y)


_made: dict[str, GrowingMixture] = {}


def make(kind: str = "mlp") -> GrowingMixture:
    """Two tasks, and one of them again."""
    if kind not in _made:
        mixture = GrowingMixture(**{**TINY, **KINDS[kind]})
        for seed, what in enumerate((0, 1, 0)):
            mixture.learn(task(kind, what, seed))
        mixture.sample(3)
        _made[kind] = mixture
    return copy.deepcopy(_made[kind])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make().save(tmp_path / "mixture")
    return tmp_path / "mixture"


def state(model: Any) -> Any:
    digest = hashlib.sha256()
    for component in model.components:
        digest.update(repr((component.classes, component.training, component.shape, component.latent)).encode())
        for name, t in (*component.named_parameters(), *component.named_buffers()):
            digest.update(f"{name} {t.requires_grad} {t.dtype}".encode() + t.detach().numpy().tobytes())
        for field in fields(LatentDensity) if component.density is not None else ():  # drawn from the prior
            digest.update(getattr(component.density, field.name).numpy().tobytes())
    return digest.hexdigest(), model.settings, getattr(model, "decisions", None), getattr(model, "records", None)


@pytest.mark.slow
def test_a_mixture_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    mixture = make(kind)
    mixture.save(tmp_path / "mixture")
    loaded = GrowingMixture.load(tmp_path / "mixture")
    assert state(loaded) == state(mixture)
    assert loaded.training_logs == mixture.training_logs
    assert loaded.versions == mixture.versions
    x, _ = images(1, seed=7)
    for verb in ("score_samples", "route", "reconstruct", "encode", "novelty"):
        np.testing.assert_array_equal(getattr(loaded, verb)(x), getattr(mixture, verb)(x))
    if kind != "unsupervised":
        np.testing.assert_array_equal(loaded.predict_proba(x), mixture.predict_proba(x))
    for found, expected in zip(loaded.sample(9), mixture.sample(9), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("path", [5, None, "", "a\0b", "~no-such-user/x", "x" * 5_000])
def test_a_path_that_is_none_is_refused_by_its_name(path: Any) -> None:
    mixture = make()
    student = mixture.distill()
    for verb in (mixture.save, student.save, GrowingMixture.load, Student.load, lambda p: baselines.load(p, "er")):
        with pytest.raises(BadInput, match=r"^path is "):
            verb(path)


def test_a_device_that_is_not_there_is_no_fault_of_the_checkpoint(tmp_path: Path) -> None:
    mixture = make()
    mixture.save(tmp_path / "mixture")
    mixture.distill().save(tmp_path / "student")
    for kind, name in ((GrowingMixture, "mixture"), (Student, "student")):
        with pytest.raises(BadInput, match=r"^device 'tpu'"):
            kind.load(tmp_path / name, device="tpu")


@pytest.mark.slow
def test_learning_goes_on_after_loading_as_if_nothing_had_been(kind: str, tmp_path: Path) -> None:
    mixture = make(kind)
    mixture.save(tmp_path / "mixture")
    loaded = GrowingMixture.load(tmp_path / "mixture")
    for seed, what in enumerate((2, 1)):
        decisions = [model.learn(task(kind, what, 10 + seed)) for model in (mixture, loaded)]
        assert decisions[0] == decisions[1]
    assert state(loaded) == state(mixture)
    assert state(loaded.distill())[0] == state(mixture.distill())[0]


def test_saving_and_loading_leave_the_mixture_and_global_streams_alone(tmp_path: Path) -> None:
    mixture = make()
    before, stream = state(mixture), torch.get_rng_state()
    mixture.save(tmp_path / "mixture")
    GrowingMixture.load(tmp_path / "mixture")
    assert state(mixture) == before
    assert torch.equal(stream, torch.get_rng_state())


@pytest.mark.slow
def test_a_student_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    student = make(kind).distill()
    student.save(tmp_path / "student")
    loaded = Student.load(tmp_path / "student")
    assert state(loaded) == state(student)
    assert (loaded.examples, loaded.training_log) == (student.examples, student.training_log)
    x, _ = images(1, seed=7)
    np.testing.assert_array_equal(loaded.score_samples(x), student.score_samples(x))
    np.testing.assert_array_equal(loaded.reconstruct(x), student.reconstruct(x))
    np.testing.assert_array_equal(loaded.sample(4)[0], student.sample(4)[0])


def test_a_student_goes_on_sampling_where_it_was(tmp_path: Path) -> None:
    student = make().distill()
    student.sample(3)
    student.save(tmp_path / "student")
    np.testing.assert_array_equal(Student.load(tmp_path / "student").sample(4)[0], student.sample(4)[0])


def test_a_mixture_that_learnt_nothing_comes_back_empty_and_learns(tmp_path: Path) -> None:
    GrowingMixture("mlp", **TINY).save(tmp_path / "new")
    loaded, fresh = GrowingMixture.load(tmp_path / "new"), GrowingMixture("mlp", **TINY)
    assert loaded.components == ()
    for mixture in (loaded, fresh):
        mixture.learn(images(0))
    assert state(loaded) == state(fresh)


def test_a_checkpoint_is_safetensors_and_json_and_nothing_else(saved: Path) -> None:
    assert sorted(file.name for file in saved.rglob("*")) == [DOCUMENT, tensors_in(saved).name]
    json.loads((saved / DOCUMENT).read_text(encoding="utf-8"))
    with safe_open(tensors_in(saved), framework="pt") as tensors:
        assert any(name.startswith("components.1.") for name in tensors.keys())  # noqa: SIM118 not a dictionary
    content = b"".join(file.read_bytes() for file in saved.iterdir())
    assert b"PK\x03\x04" not in content[:4]
    assert b"torch._utils" not in content
    assert sorted(file.name for file in saved.parent.iterdir()) == ["mixture"], "nothing is left beside it"


def test_saving_again_replaces_the_old_checkpoint(saved: Path) -> None:
    mixture = GrowingMixture.load(saved)
    mixture.learn(images(2))
    mixture.save(saved)
    assert state(GrowingMixture.load(saved)) == state(mixture)
    assert sorted(file.name for file in saved.parent.iterdir()) == ["mixture"]


@pytest.mark.parametrize("which", ["tensors", "state"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_checkpoint(
    saved: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, which: str
) -> None:
    old, mixture = state(GrowingMixture.load(saved)), GrowingMixture.load(saved)
    mixture.learn(images(2))
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name.startswith(which):
            raise error
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else BadInput):
            mixture.save(saved)
    assert state(GrowingMixture.load(saved)) == old
    assert sorted(file.name for file in saved.iterdir()) == [DOCUMENT, tensors_in(saved).name]


def test_what_is_no_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(BadInput, match=name):
            make().save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "x"


@pytest.mark.parametrize("where", ["file/below", "x" * 300, ".", "/proc/nothing/there"])
def test_a_place_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="path"):
        make().save(where)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    make().save(tmp_path / "a" / "b" / "c")
    assert state(GrowingMixture.load(str(tmp_path / "a" / "b" / "c"))) == state(make())


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    for model in (GrowingMixture, Student):
        with pytest.raises(BadCheckpoint, match=r"there is no folder .*nowhere; give the one"):
            model.load(tmp_path / "nowhere")


WRONG = (None, -3, "text", [], {}, [{}], [3])


@pytest.mark.slow
@pytest.mark.parametrize("key", ["schema", "kind", "settings", "memory", "history", "sampling", "components"])
def test_a_document_of_another_form_is_named(saved: Path, key: str) -> None:
    document = document_of(saved)
    without = {name: value for name, value in document.items() if name != key}
    for changed in (without, *({**document, key: value} for value in WRONG)):
        put_document(saved, changed)
        with pytest.raises(BadCheckpoint, match=f"{DOCUMENT}|tensors-"):
            GrowingMixture.load(saved)


def test_a_document_that_names_no_blueprint_is_refused(saved: Path) -> None:
    document = document_of(saved)
    for changed in ({k: v for k, v in document.items() if k != "blueprint"}, {**document, "blueprint": 3}):
        put_document(saved, changed)
        with pytest.raises(GrowmixError, match="blueprint"):
            GrowingMixture.load(saved)


@pytest.mark.parametrize("key", ["settings", "log", "components"])
def test_a_students_document_of_another_form_is_named(tmp_path: Path, key: str) -> None:
    make().distill().save(tmp_path / "student")
    file = tmp_path / "student" / DOCUMENT
    document = document_of(file.parent)
    for changed in ({k: v for k, v in document.items() if k != key}, {**document, key: []}, {**document, key: 3}):
        put_document(file.parent, changed)
        with pytest.raises(BadCheckpoint, match=DOCUMENT):
            Student.load(tmp_path / "student")


@pytest.mark.parametrize("change", [{"epochs": -1}, {"of_the_future": 3}, {"latent": "two"}])
def test_settings_that_this_version_does_not_know_are_named(saved: Path, change: dict[str, Any]) -> None:
    document = document_of(saved)
    document["settings"] |= change
    put_document(saved, document)
    with pytest.raises(BadCheckpoint, match=next(iter(change))):
        GrowingMixture.load(saved)


def test_tensors_of_other_networks_are_named(saved: Path, tmp_path: Path) -> None:
    other = GrowingMixture("mlp", **{**TINY, "hidden": 17})
    other.learn(images(0))
    other.save(tmp_path / "other")
    put_tensors(saved, tensors_in(tmp_path / "other").read_bytes())
    with pytest.raises(BadCheckpoint, match="tensors-"):
        GrowingMixture.load(saved)


def test_a_checkpoint_of_the_other_kind_is_refused(saved: Path, tmp_path: Path) -> None:
    GrowingMixture.load(saved).distill().save(tmp_path / "student")
    with pytest.raises(BadCheckpoint, match="student"):
        Student.load(saved)
    with pytest.raises(BadCheckpoint, match="mixture"):
        GrowingMixture.load(tmp_path / "student")


def test_a_newer_schema_is_refused(saved: Path) -> None:
    document = document_of(saved)
    put_document(saved, {**document, "schema": 99})
    with pytest.raises(BadCheckpoint, match="99"):
        GrowingMixture.load(saved)
    # whatever else it has
    (saved / "more.bin").write_bytes(b"new")
    put_tensors(saved, b"of another form")
    with pytest.raises(BadCheckpoint, match=r"99.*update it"):
        GrowingMixture.load(saved)


class Tied(nn.Module):
    """Two layers that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += len(x)
        hidden: Tensor = self.second(self.first(x.flatten(1)).tanh())
        return hidden


@pytest.mark.parametrize("encoder", [lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), lambda shape: Tied()])
def test_own_modules_come_back_with_their_blueprint_only(encoder: Any, tmp_path: Path) -> None:
    own = OwnModules(
        encoder, lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)), name="mine"
    )
    mixture = GrowingMixture(own, **{**TINY, "hidden": None})
    mixture.learn(images(0))
    mixture.save(tmp_path / "mixture")
    loaded = GrowingMixture.load(tmp_path / "mixture", blueprint=own)
    assert state(loaded) == state(mixture)
    with pytest.raises(BadInput, match="'mine'"):
        GrowingMixture.load(tmp_path / "mixture")


class Moody(nn.Module):
    """What a user's module may hold: a mask, a parameter that nobody uses, and a buffer that changes its type."""

    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
        self.mask = nn.Parameter(torch.full((4, 4), -torch.inf), requires_grad=False)
        self.unused = nn.Parameter(torch.tensor(torch.nan))
        self.register_buffer("last", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        if self.training:
            self.last = features.detach().mean(0)
        return features


@pytest.mark.parametrize("sharing", ["none", "adapter"])
def test_what_own_modules_hold_beside_their_weights_comes_back(tmp_path: Path, sharing: str) -> None:
    own = OwnModules(
        lambda shape: Moody(), lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape))
    )
    mixture = GrowingMixture(own, **{**TINY, "hidden": None, "precision": "bf16-mixed"}, sharing=sharing)
    for kind in range(2):
        mixture.learn(images(kind))
    kept = dict(mixture.components[0].named_buffers())["encoder.last"]
    assert kept.dtype == torch.bfloat16
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it", blueprint=own)
    for ours, theirs in zip(again.components, mixture.components, strict=True):
        pairs = [(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items()]
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) and a.dtype == b.dtype for a, b in pairs)


def test_with_a_gradient_scaler_learning_goes_on_after_loading_as_if_nothing_had_been(tmp_path: Path) -> None:
    """The scale that one training ended with is in no checkpoint, and no other training begins with it."""
    mixture = GrowingMixture("mlp", **{**TINY, "precision": "16-mixed"}, gate="always")
    mixture.learn(images(0))
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it")
    for each in (mixture, again):
        each.learn(images(1))
    ours, theirs = (each.components[1].state_dict() for each in (again, mixture))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("name", ["gradient_clip", "threshold", "alpha"])
def test_a_number_that_no_int_holds_comes_back(tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = {"gate": "dirichlet", "alpha": 10**300} if name == "alpha" else {name: 10**300}
    mixture = GrowingMixture("mlp", **{**TINY, **changes})
    mixture.save(tmp_path / "it")
    assert GrowingMixture.load(tmp_path / "it").settings == mixture.settings


def test_images_that_could_not_be_read_back_are_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("growmix.data.task.MOST_PIXELS", 63)
    with pytest.raises(BadInput, match="examples of 64 numbers; allowed are up to 63"):
        GrowingMixture("mlp", **TINY).learn(images(0))
