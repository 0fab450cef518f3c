"""What can't fit is refused before it is made; and the system says how much there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from growmix import BadInput, GrowingMixture, Settings, Student, experiment
from growmix.baselines import make_learner
from growmix.components.kinds import VAEKind
from growmix.components.nets import MLP, OwnModules
from growmix.config import RunConfig
from growmix.data.domain import Domain
from growmix.studies import runs
from growmix.system import memory

X = np.random.default_rng(0).random((12, 1, 8, 8), dtype=np.float32)
Y = np.arange(12) % 3
TINY: dict[str, Any] = {"latent": 2, "epochs": 1, "density_components": 1, "device": "cpu", "precision": "32-true"}
TOO_LITTLE = r"training [\d,]+ weights for images of shape \(1, 8, 8\) needs about {} MiB .* are available"


@pytest.fixture
def there_are(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many MiB there are."""
    return lambda mebibytes: monkeypatch.setattr(memory, "available", lambda: mebibytes * 2**20)


def test_networks_that_can_not_be_trained_are_refused_before_they_are_made(there_are: Callable[[int], None]) -> None:
    GrowingMixture("mlp", hidden=1_000, **TINY).check_networks(Domain((1, 8, 8)), supervised=True)
    there_are(20)
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"32\.\d")):
        GrowingMixture("mlp", hidden=1_000, **TINY).check_networks(Domain((1, 8, 8)), supervised=True)
    with pytest.raises(BadInput, match=r"needs about 124\.\d TiB"):
        GrowingMixture(MLP(65_536, depth=1_000), **TINY).check_networks(Domain((1, 8, 8)), supervised=True)


def test_what_can_only_be_used_here_is_used_and_not_called_damaged(
    there_are: Callable[[int], None], tmp_path: Path
) -> None:
    mixture = GrowingMixture("mlp", hidden=1_000, student_hidden=1_000, **TINY, student_examples=8, student_epochs=1)
    mixture.learn((X, Y))
    mixture.save(tmp_path / "mixture")
    mixture.distill().save(tmp_path / "student")
    there_are(20)
    loaded = GrowingMixture.load(tmp_path / "mixture")
    np.testing.assert_array_equal(loaded.predict(X), mixture.predict(X))
    assert len(Student.load(tmp_path / "student").predict(X)) == len(X)
    for act in (loaded.distill, lambda: loaded.learn((X, Y))):
        with pytest.raises(BadInput, match=TOO_LITTLE.format(r"\d+\.\d")):
            act()


def test_of_a_component_that_shares_its_own_part_alone_is_trained(there_are: Callable[[int], None]) -> None:
    mixture = GrowingMixture("mlp", hidden=1_000, sharing="adapter", gate="always", **TINY)
    mixture.learn((X, Y))
    there_are(20)
    assert mixture.learn((1 - X, Y)).component == 1


@pytest.mark.parametrize("method", ["mixture", "er", "dgr", "generative-classifier"])
def test_growth_and_reuse_need_the_same(there_are: Callable[[int], None], method: str) -> None:
    learner = make_learner(method, Settings(**TINY, hidden=1_000, threshold=1.0))
    there_are(20)
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"\d+\.\d")):
        learner.learn((X, Y))
    there_are(1_000)
    learner.learn((X, Y))
    there_are(20)
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"\d+\.\d")):
        learner.learn((X, Y))
    assert [decision.action for decision in learner.decisions] == ["grow"]


def test_all_of_a_component_counts(there_are: Callable[[int], None]) -> None:
    """The decoder of targets, and a solver beside a generator."""
    there_are(500)
    wide = np.random.default_rng(1).random((12, 1_000, 8, 8), dtype=np.float32)
    with pytest.raises(BadInput, match=r"training 14\d,\d\d\d,\d\d\d weights .* needs about 2\.1 GiB"):
        GrowingMixture("mlp", hidden=2_000, **TINY).learn((X, wide))
    there_are(40)
    learner = make_learner("er", Settings(**TINY, hidden=1_000))
    learner.learn((X, Y))
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"48\.9")):
        make_learner("dgr", Settings(**TINY, hidden=1_000)).learn((X, Y))


@pytest.mark.slow
def test_of_a_users_own_modules_what_is_frozen_needs_no_room_to_train(there_are: Callable[[int], None]) -> None:
    def encoder(shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 40_000).requires_grad_(False), nn.Linear(40_000, 5))

    def decoder(inputs: int, shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape))

    mixture = GrowingMixture(OwnModules(encoder, decoder), **TINY, threshold=1.0)
    mixture.learn(X)
    there_are(17)
    assert mixture.learn(X).action == "reuse"


def test_a_run_of_networks_that_can_not_be_trained_writes_nothing(
    there_are: Callable[[int], None], tmp_path: Path
) -> None:
    config = RunConfig(stream="split-digits", out=tmp_path / "run", settings=Settings(**TINY, hidden=2_000))
    there_are(100)
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"\d+\.\d")):
        experiment.run(config)
    with pytest.raises(BadInput, match=TOO_LITTLE.format(r"\d+\.\d")):
        runs.check([runs.Trial("one", config)])
    assert list(tmp_path.iterdir()) == []


def test_counting_a_component_changes_nothing_that_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component on a foundation draws weights even while it is only counted."""
    weights = []
    for count in (True, False):
        if not count:
            monkeypatch.setattr(VAEKind, "without_memory", False)
        mixture = GrowingMixture("mlp", hidden=8, gate="always", sharing="adapter", **TINY)
        for x in (X, 1 - X):
            mixture.learn((x, Y))
        weights.append(mixture.components[1].state_dict())
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_the_system_says_how_much_memory_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path / "none")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:   7 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    assert memory.available() == 7 * 1024
    pages: dict[str, int] = {"SC_PHYS_PAGES": 50, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    for broken in ("MemTotal: 99 kB\n", "MemAvailable: many kB\n"):
        meminfo.write_text(broken)
        assert memory.available() == 50 * 4096
    meminfo.unlink()  # as on a system that is no Linux
    assert memory.available() == 50 * 4096
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available() is None


@pytest.mark.parametrize(
    ("limit", "use"), [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
)
def test_the_limit_of_a_container_counts(limit: str, use: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path if limit == "memory.max" else tmp_path / "memory"
    folder.mkdir(exist_ok=True)
    (folder / use).write_text("5000\n")
    (folder / "memory.stat").write_text("anon 3000\ninactive_file 1500\nactive_file 300\n")
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_of_machine", lambda: 4_000)
    for said, room in (("6000\n", 2_800), ("100\n", 0), ("9000\n", 4_000), ("max\n", 4_000)):
        (folder / limit).write_text(said)
        assert memory.available() == room


def test_an_accelerator_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free, or held by torch for what comes next."""
    held = {"mem_get_info": (5_000, 9_000), "memory_reserved": 700, "memory_allocated": 300}
    for name, said in held.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, said=said: said)
    device = torch.device("cuda", 0)
    assert memory.available_on(device) == 5_400
    weights = [torch.empty(memory.SMALL, device="meta")]
    with pytest.raises(
        BadInput,
        match=r"^training 16,777,216 weights .* about 256\.0 MiB .* 5\.3 KiB are available on cuda:0",
    ):
        memory.require_training(weights, (1, 8, 8), device)
    monkeypatch.setattr(memory, "available", lambda: 2**60)
    memory.require_training(weights, (1, 8, 8), torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**60, 2**60))
    memory.require_training(weights, (1, 8, 8), device)
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    with pytest.raises(BadInput, match=r"^16,777,216 weights .* about 64\.0 MiB .* 1\.0 MiB are available;"):
        memory.require_training(weights, (1, 8, 8), device)  # made here, and then brought there
