from __future__ import annotations

import numpy as np
import pytest

from growmix import BadInput, GrowingMixture
from growmix.evaluation import evaluate, evaluate_student
from growmix.streams import from_arrays


def test_a_mixture_that_learnt_names_is_compared_with_a_stream_by_name() -> None:
    x = [np.random.default_rng(k).random((20, 1, 4, 4)) for k in range(3)]
    as_names = [np.array(names)[np.arange(20) % 2] for names in (["b", "a"], ["d", "c"], ["f", "e"])]
    named = from_arrays([(a, y, a, y) for a, y in zip(x, as_names, strict=True)], class_names=list("abcdef"))
    mixture = GrowingMixture("mlp", hidden=4, latent=2, epochs=2, device="cpu", student_examples=9, student_epochs=1)
    for kind in (1, 0):  # in another order than the stream's
        mixture.learn((x[kind], as_names[kind]))
    assert mixture.classes_.tolist() == ["d", "c", "b", "a"]
    other_way = from_arrays([(x[k], as_names[k], x[k], as_names[k]) for k in (1, 0, 2)], class_names=list("abcdef"))
    numbers = [np.array(["abcdef".index(name) for name in y]) for y in as_names]
    numbered = from_arrays([(x[k], numbers[k], x[k], numbers[k]) for k in (1, 0, 2)], class_names=list("abcdef"))
    for stream in (other_way, numbered):
        assert stream.class_names == tuple("abcdef")
        scores = evaluate(mixture, stream)
        assert scores.task_agnostic is not None
        for column, k in enumerate((1, 0)):
            right = float((mixture.predict(x[k]) == as_names[k]).mean())
            assert scores.task_agnostic[-1][column] == pytest.approx(right)
        assert scores.chance == (None, None)
    student = mixture.distill()
    assert evaluate_student(student, other_way, tasks=2).task_agnostic is not None
    with pytest.raises(BadInput, match="never learnt; allowed are"):
        evaluate_student(student, other_way)
    with pytest.raises(BadInput, match="class_names"):
        evaluate(mixture, list(numbered))
    of_numbers = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu")
    of_numbers.learn((x[0], numbers[0]))
    for stream in (named, list(named)):
        with pytest.raises(BadInput, match=r"'task-1' has names such as 'a' .* are numbers: \[0, 1\]"):
            evaluate(of_numbers, stream)
    again = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu")
    for each in named:
        again.learn(each.train)
        assert set(again.predict(each.test.x)) <= set(again.classes_)
    assert again.classes_.tolist() == list("abcdef")
    assert evaluate(again, named).task_agnostic is not None
