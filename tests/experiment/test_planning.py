"""What is refused before a run starts, so that nothing is trained or written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from growmix import experiment, streams
from growmix.config import RunConfig
from growmix.errors import BadInput, DataUnavailable
from growmix.experiment import planning
from growmix.settings import Settings
from growmix.streams import sources

pytestmark = pytest.mark.slow

BARE = Settings(hidden=32, epochs=2)
TINY = BARE.replace(student_hidden=32, student_epochs=1, student_examples=50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "eer"}, "did you mean er"),
        ({"method": "generative-classifier", "label_fraction": 0.5}, "label_fraction is 0.5"),
        ({"label_fraction": 1.5}, "from 0 to 1"),
        ({"label_fraction": float("nan")}, "label_fraction is nan"),
        ({"stream": "msfir"}, "svhn"),
    ],
)
def test_what_can_not_be_run_is_told_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    values = {"stream": "split-digits", "out": str(tmp_path / "out"), **changes, "data_root": tmp_path}
    with pytest.raises((BadInput, DataUnavailable), match=message):
        experiment.run(RunConfig.of(values))
    assert list(tmp_path.iterdir()) == []


def test_tasks_that_can_not_be_learnt_show_before_the_first_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = sources.read_digits()
    white = np.where(np.isin(digits.train.y, (4, 5))[:, None, None, None], np.uint8(255), digits.train.x)
    alike = replace(digits, train=replace(digits.train, x=white))
    monkeypatch.setattr(sources, "read_digits", lambda: alike)
    with pytest.raises(BadInput, match=r"task 'digits/4-5'.*alike"):
        experiment.run(RunConfig(stream="split-digits", settings=TINY, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frechet_examples": 1}, "frechet_examples is 1"),
        ({"method": "vae-per-task", "settings": TINY.replace(sharing="adapter")}, "sharing is 'adapter'"),
        ({"method": "limix", "settings": TINY.replace(novelty="smd")}, "novelty is 'smd'"),
        ({"method": "er", "settings": BARE.replace(sharing="trunk")}, "sharing is 'trunk'"),
        ({"method": "pec", "likelihood_draws": 9}, "likelihood_draws is 9, but the method 'pec' has no density"),
        ({"method": "pec", "frechet_examples": 9}, "frechet_examples is 9, but the method 'pec' has no density"),
        ({"method": "pec", "settings": Settings(latent=3)}, "latent is 3, which has no effect with method 'pec'"),
    ],
)
def test_what_would_have_no_effect_or_fail_at_the_end_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        experiment.run(RunConfig(stream="split-digits", out=tmp_path / "run", **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_stream_with_some_labels_wanting_is_refused_by_what_needs_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.random.default_rng(0).random((20, 1, 8, 8)), np.arange(20) % 2
    stream = streams.from_arrays([(x, y, x, y), (x, np.where(y == 1, -1, 2), x, y)])
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream)
    config = RunConfig(stream="split-digits", method="generative-classifier", out=tmp_path / "run")
    with pytest.raises(BadInput, match=r"task-2.*has not"):
        experiment.run(config)
    assert list(tmp_path.iterdir()) == []


def write_digits(root: Path, test_labels: Sequence[int]) -> None:
    """A data set of the classes 0 to 3, but with these labels in its test part."""
    random = np.random.default_rng(0)
    for part, labels in (("train", [0, 1, 2, 3] * 3), ("test", test_labels)):
        images = [Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in labels]
        rows = [{"bytes": png(image), "path": None} for image in images]
        (root / "odd").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": rows, "label": list(labels)}), root / "odd" / f"{part}.parquet")


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("tasks", "test_labels", "said"),
    [
        ("odd", [0, 5], "task 'odd' has test examples of the class odd/5, of which neither it nor a task before"),
        ("odd/0-1,odd/2-5", [0, 2, 4, 5], "task 'odd/2-5' has test examples of the class odd/4, odd/5, of"),
    ],
)
def test_a_test_label_that_is_never_learnt_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: str, test_labels: list[int], said: str
) -> None:
    monkeypatch.setenv("GROWMIX_CACHE", str(tmp_path / "cache"))
    write_digits(tmp_path / "data", test_labels)
    config = RunConfig(stream="domains", tasks=tuple(tasks.split(",")), data_root=tmp_path / "data")
    config = config.changed(out=tmp_path / "run", settings=BARE)
    with pytest.raises(BadInput) as caught:
        experiment.run(config)
    assert str(caught.value).startswith(said)
    assert not (tmp_path / "run").exists()
    alone = config.changed(
        settings=BARE.replace(supervised=False), student=False, likelihood_draws=0, frechet_examples=0
    )
    assert experiment.load_stream(alone).class_names[5] == "odd/5"  # nobody asks for labels there


def test_a_plan_tells_how_much_work_a_run_is() -> None:
    config = RunConfig(stream="split-digits", settings=TINY, train_examples=100)
    stream = planning.load_stream(config)
    told = planning.plan(config, stream)
    assert told.tasks == tuple(task.name for task in stream)
    assert len(told.visits) == 5 and min(told.visits) > 0
    assert told.student_visits > 0
    for changes in ({"student": False}, {"method": "er"}):  # only a mixture teaches a student
        without = config.changed(settings=BARE, **changes)
        assert planning.plan(without, stream).student_visits == 0
    assert set(told.versions) == {"growmix", "python", "torch", "numpy", "scikit-learn"}
