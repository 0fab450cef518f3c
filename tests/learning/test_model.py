"""The verbs: answers worked out by hand, in the form in which the question came."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from growmix import BadInput, NotLearnt
from known_points import Filing, filed

X = np.array([[0.0, 0.0], [10.0, 1.0], [9.0, 0.0]], dtype=np.float32)


@pytest.fixture
def model() -> Filing:
    return filed(0, 1)


def test_arrays_are_answered_with_arrays_and_tensors_with_tensors(model: Filing) -> None:
    for verb in (model.predict, model.predict_proba, model.score_samples, model.reconstruct, model.encode):
        of_array, of_tensor = verb(X), verb(torch.tensor(X))
        assert isinstance(of_array, np.ndarray) and isinstance(of_tensor, torch.Tensor)
        assert np.array_equal(of_array, of_tensor.numpy())


def test_every_verb_says_what_was_worked_out(model: Filing) -> None:
    assert model.predict(X).tolist() == [0, 3, 2]
    assert model.predict(X, classes=[0, 1]).tolist() == [0, 1, 0]
    assert model.predict(X, component=1).tolist() == [2, 3, 2]
    assert model.encode(X).tolist() == [[0.0], [0.0], [-1.0]]
    assert model.reconstruct(X).tolist() == X.tolist()
    assert model.component_scores(X, [1]).elbo[:, 0].tolist() == [-100.0, 0.0, -1.0]
    np.testing.assert_allclose(model.score_samples(X), np.log(0.5) - np.array([0.0, 0.0, 1.0]), rtol=1e-6)
    assert (model.shape, model.examples, model.target_shape) == ((2,), 16, None)


def test_a_line_between_vectors_of_any_numbers_keeps_both_ends(model: Filing) -> None:
    assert model.interpolate(X[0], X[1], 3).tolist() == [[0.0, 0.0], [5.0, 0.5], [10.0, 1.0]]


def test_scores_that_are_handed_over_must_be_those_of_the_examples(model: Filing) -> None:
    scores = model.component_scores(X)
    assert np.array_equal(model.score_samples(X, scores=scores), model.score_samples(X))
    with pytest.raises(BadInput, match=r"^scores are not those of x; give what component_scores\(x\) returned"):
        model.score_samples(X[:2], scores=scores)


def test_only_a_sample_that_was_given_moves_what_is_sampled_next(model: Filing) -> None:
    other = copy.deepcopy(model)
    for n, label, said in ((0, None, "n is 0"), (3, 9, r"label is 9; allowed are \[0, 1, 2, 3\]")):
        with pytest.raises(BadInput, match=said):
            model.sample(n, label=label)
    first = model.sample(50)[0]
    assert np.array_equal(first, other.sample(50)[0])
    assert not np.array_equal(first, model.sample(50)[0])


def test_what_can_not_be_answered_is_refused_by_name(model: Filing) -> None:
    with pytest.raises(BadInput, match=r"^components has 5; allowed are 0 to 1$"):
        model.component_scores(X, [0, 5])
    with pytest.raises(BadInput, match=r"^a has 2 examples; interpolation goes between one and one$"):
        model.interpolate(X[:2], X[0])
    with pytest.raises(BadInput, match=r"^this model learnt no pairs of images and can't translate"):
        model.translate(X)
    with pytest.raises(NotLearnt, match="call learn"):
        Filing().predict(X)
