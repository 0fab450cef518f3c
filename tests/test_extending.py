"""The code of the page about extending growmix runs as it stands, and what it makes learns real data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from growmix import BadInput, GrowingMixture, Settings, evaluate, streams

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SMALL: dict[str, Any] = {"hidden": 32, "latent": 6, "max_steps": 150, "learning_rate": 5e-3, "device": "cpu"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's code has defined, and where it has kept a mixture."""
    folder = tmp_path_factory.mktemp("page")
    code = "\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, str(PAGE), "exec"), names)
    return {**names, "folder": folder / "digits"}


def test_every_class_of_the_page_has_at_most_forty_lines() -> None:
    classes = [part for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) for part in block.split("\n\n\n")]
    lengths = [len(part.splitlines()) for part in classes if part.startswith("class ")]
    assert len(lengths) == 5
    assert max(lengths) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("own", ["gate", "measure", "component", "method"])
def test_what_the_page_makes_learns_digits(page: dict[str, Any], own: str) -> None:
    made = {
        "gate": lambda: GrowingMixture(gate=page["AtMost"](3), **SMALL),
        "measure": lambda: GrowingMixture(novelty=page["Transport"](), **SMALL),
        "component": lambda: GrowingMixture(component=page["ClassGaussianKind"](), device="cpu"),
        "method": lambda: page["FineTuning"](Settings(**SMALL)),
    }[own]()
    stream = streams.load("split-digits")
    for task in stream:
        made.learn(task.train)
    scores = evaluate(made, stream)
    assert scores.task_agnostic is not None
    assert scores.task_agnostic[-1][-1] > 0.8, "the last task is known, whatever is forgotten"
    if own == "gate":
        assert len(made.components) == 3
    if own == "component":
        assert scores.average.task_agnostic is not None
        assert scores.average.task_agnostic > 0.8


def test_a_checkpoint_is_read_with_the_same_objects_alone(page: dict[str, Any]) -> None:
    own = {"gate": page["AtMost"](2), "novelty": page["Transport"](), "component": page["ClassGaussianKind"]()}
    again = GrowingMixture.load(page["folder"], **own)
    assert len(again.components) == 2
    for keyword, said in (("gate", "'at-most'"), ("novelty", "'transport'"), ("component", "'class-gaussians'")):
        with pytest.raises(BadInput, match=f"^{keyword} is missing: .* {said}; give the same to load, {keyword}=..."):
            GrowingMixture.load(page["folder"], **{name: each for name, each in own.items() if name != keyword})

    class Other(page["AtMost"]):  # type: ignore[misc]
        name = "other"

    with pytest.raises(BadInput, match=r"^gate is 'other', but this mixture was made with 'at-most'"):
        GrowingMixture.load(page["folder"], **{**own, "gate": Other(2)})
