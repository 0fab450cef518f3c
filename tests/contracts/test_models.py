"""What everything that answers for images must do: mixtures and students, with classes and without."""

from __future__ import annotations

import copy
import hashlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, GrowingMixture, evaluate
from growmix.learning import answers
from growmix.learning.knowledge import Knowledge
from growmix.learning.model import Model
from growmix.learning.routing import ComponentScores
from growmix.streams import from_arrays

KINDS = ("mixture", "student", "mixture-without-classes", "student-without-classes")
WITH_CLASSES = KINDS[:2]

_cache: dict[str, Model] = {}


def images(n: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dark = rng.random((n, 1, 8, 8)) * 0.3
    return np.where(np.arange(n).reshape(n, 1, 1, 1) % 2, 1 - dark, dark).astype(np.float32)


def make(kind: str) -> Model:
    if kind not in _cache:
        classes = kind in WITH_CLASSES
        mixture = GrowingMixture(
            "mlp", hidden=16, latent=3, epochs=25, learning_rate=5e-3, student_latent=2, student_hidden=12,
            student_examples=300, student_epochs=15, precision="32-true", device="cpu",
        )  # fmt: skip
        for task in range(2):
            x = images(120, seed=1)[task::2]
            mixture.learn((x, np.arange(60) % 2 + 2 * task) if classes else x)
        name = kind.removeprefix("mixture").removeprefix("student")
        _cache["mixture" + name], _cache["student" + name] = mixture, mixture.distill()
    return copy.deepcopy(_cache[kind])


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Model:
    return make(request.param)


@pytest.fixture(params=WITH_CLASSES)
def classifier(request: pytest.FixtureRequest) -> Model:
    return make(request.param)


VERBS: dict[str, Callable[[Model, Any], Any]] = {
    "predict": lambda model, x: model.predict(x),
    "predict_proba": lambda model, x: model.predict_proba(x),
    "score_samples": lambda model, x: model.score_samples(x),
    "reconstruct": lambda model, x: model.reconstruct(x),
    "encode": lambda model, x: model.encode(x),
    "route": lambda model, x: model.route(x),  # type: ignore[attr-defined]
}


def can(kind: str, verb: str) -> bool:
    """Without classes there is nothing to predict, and one component has nothing to choose from."""
    return (kind in WITH_CLASSES or not verb.startswith("predict")) and (kind.startswith("mixture") or verb != "route")


ABLE = [(kind, verb) for kind in KINDS for verb in VERBS if can(kind, verb)]


@pytest.fixture(params=ABLE, ids=[" ".join(pair) for pair in ABLE])
def ask(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    kind, verb = request.param
    model = make(kind)
    return lambda x: VERBS[verb](model, x)


def fingerprint(model: Model) -> str:
    digest = hashlib.sha256()
    for component in model.components:
        for name, t in component.state_dict().items():
            digest.update(name.encode() + t.numpy().tobytes())
    return digest.hexdigest()


def test_numpy_is_answered_in_numpy_and_tensors_in_tensors(ask: Callable[[Any], Any]) -> None:
    x = images()
    answer, of_tensor, of_list = ask(x), ask(torch.tensor(x)), ask(x.tolist())
    assert isinstance(answer, np.ndarray)
    assert isinstance(of_list, np.ndarray)
    assert isinstance(of_tensor, Tensor)
    assert not of_tensor.requires_grad
    np.testing.assert_array_equal(of_tensor.numpy(), answer)
    np.testing.assert_array_equal(of_list, answer)
    assert len(answer) == len(x)
    assert bool(np.isfinite(answer).all())


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(ask: Callable[[Any], Any]) -> None:
    x = images(50)  # more than are batched over components
    together = ask(x)
    np.testing.assert_array_equal(ask(x), together)
    np.testing.assert_allclose(ask(x[::-1])[::-1], together, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([ask(x[i : i + 1]) for i in range(50)]), together, rtol=1e-4, atol=1e-4)


def test_bytes_are_answered_like_the_floats_they_stand_for(ask: Callable[[Any], Any]) -> None:
    x = (images() * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(ask(x), ask(x.astype(np.float32) / np.float32(255)))


@pytest.mark.parametrize("kind", KINDS)
def test_asking_changes_neither_the_model_nor_the_question_nor_global_streams(kind: str) -> None:
    model, x = make(kind), images()
    before, mine, state = fingerprint(model), x.copy(), torch.get_rng_state()
    for name, verb in VERBS.items():
        if can(kind, name):
            verb(model, x)
            verb(model, torch.from_numpy(x))
    model.sample(4)
    model.interpolate(x[0], x[1])
    assert fingerprint(model) == before
    assert np.array_equal(x, mine)
    assert torch.equal(state, torch.get_rng_state())


BAD: dict[str, Any] = {
    "another-size": np.zeros((2, 1, 7, 8)),
    "another-number-of-channels": np.zeros((2, 3, 8, 8)),
    "not-finite": np.full((2, 1, 8, 8), np.nan),
    "out-of-range": np.full((2, 1, 8, 8), 1.5),
    "none": np.zeros((0, 1, 8, 8)),
    "with-labels": (images(), np.zeros(9, dtype=int)),
    "nothing": None,
}


@pytest.mark.parametrize("x", BAD.values(), ids=BAD)
def test_what_is_no_image_is_refused_in_one_line(ask: Callable[[Any], Any], x: Any) -> None:
    with pytest.raises(BadInput) as caught:
        ask(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", ["predict", "predict_proba", "score_samples", "reconstruct", "encode", "route"])
def test_no_verb_that_answers_takes_labels(verb: str) -> None:
    parameters = inspect.signature(getattr(GrowingMixture, verb)).parameters
    assert set(parameters) <= {"self", "x", "component", "classes", "per", "scores"}


def test_probabilities_are_a_distribution_over_the_classes_learnt(classifier: Model) -> None:
    x = images()
    proba = classifier.predict_proba(x)
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert proba.shape == (9, 4)
    np.testing.assert_allclose(proba.sum(1), 1.0, rtol=1e-5)
    assert proba.min() >= 0.0
    np.testing.assert_array_equal(classifier.predict(x), classifier.classes_[proba.argmax(1)])
    assert classifier.predict(x).dtype == np.int64


def test_classes_that_compete_are_those_asked_for_in_the_order_asked_for(classifier: Model) -> None:
    x = images()
    proba, some = classifier.predict_proba(x), classifier.predict_proba(x, classes=[3, 0])
    expected = proba[:, [3, 0]] / proba[:, [3, 0]].sum(1, keepdims=True)
    np.testing.assert_allclose(some, expected, rtol=1e-3, atol=1e-5)
    assert set(classifier.predict(x, classes=[3, 0])) <= {0, 3}
    np.testing.assert_allclose(classifier.predict_proba(x, classes=[2]), 1.0)


@pytest.mark.parametrize("classes", [[4], [-1], [], [0, 17], [0, 0], [0.5, 1]])
def test_classes_that_can_not_compete_are_refused(classifier: Model, classes: list[Any]) -> None:
    with pytest.raises(BadInput, match="classes"):
        classifier.predict(images(), classes=classes)


class Table:
    """A column or a table, as pandas has them; to iterate over a table gives its keys."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def to_numpy(self) -> np.ndarray:
        return self._values

    def __iter__(self) -> Iterator[Any]:
        return iter((0, 3) if self._values.ndim > 1 else self._values.tolist())


@pytest.mark.parametrize(
    "classes",
    [(0, 3), range(0, 4, 3), {0, 3}, np.array([0, 3]), torch.tensor([0, 3]), Table(np.array([0, 3]))],
)
def test_classes_come_in_anything_that_lists_them(classifier: Model, classes: Any) -> None:
    x = images()
    np.testing.assert_array_equal(classifier.predict(x, classes=classes), classifier.predict(x, classes=[0, 3]))


@pytest.mark.parametrize(
    "classes",
    [
        itertools.repeat(0),
        iter([0, 3]),
        {0: "a", 3: "b"},
        Table(np.array([[0, 3]])),
        np.array([[0, 3]]),
        np.array(0),
        torch.tensor([[0, 3]]),
        torch.zeros(2, dtype=torch.int64, device="meta"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_end_or_would_give_its_keys_lists_no_classes(classifier: Model, classes: Any) -> None:
    with pytest.raises(BadInput, match=r"^classes is "):
        classifier.predict(images(), classes=classes)


def test_a_component_that_knows_none_of_the_classes_has_no_answer() -> None:
    model, x = make("mixture"), images()
    for verb in (model.predict, model.predict_proba):
        with pytest.raises(BadInput, match=r"^component is 1, which knows \[2, 3\]; .* that compete, \[0, 1\]"):
            verb(x, component=1, classes=[1, 0])
    assert set(model.predict(x, component=1, classes=[0, 3])) == {3}
    half = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, gate="always", device="cpu")
    for labels in ([0, 1] * 6, [-1] * 12):
        half.learn((images(12), labels))
    with pytest.raises(BadInput, match=r"^component is 1, which knows \[\]; .* that compete, \[0, 1\]"):
        half.predict(x, component=1)
    stream = from_arrays([(images(12), labels, images(12), [0, 1] * 6) for labels in ([0, 1] * 6, [-1] * 12)])
    assert [row[-1] for row in evaluate(half, stream).task_aware or ()] == [None, None]  # no class, no answer


@pytest.mark.parametrize("component", [-1, 2, "0", 0.5])
def test_components_that_are_not_there_are_refused(component: Any) -> None:
    model, x = make("mixture"), images()
    for verb in (model.predict, model.predict_proba, model.reconstruct, model.encode):
        with pytest.raises(BadInput, match="component"):
            verb(x, component=component)
    with pytest.raises(BadInput, match="component"):
        model.sample(2, component=component)
    with pytest.raises(BadInput, match="component"):
        model.interpolate(x[0], x[1], component=component)


def test_one_component_can_be_asked_alone() -> None:
    model, x = make("mixture"), images(40)
    for k in (0, np.int64(1)):
        proba = model.predict_proba(x, component=k)
        assert set(proba[:, [c for c in range(4) if c // 2 != k]].ravel()) == {0.0}
        scores = model.component_scores(x, [int(k)])
        assert scores.elbo.shape == (40, 1)
        torch.testing.assert_close(scores.elbo[:, 0], model.component_scores(x).elbo[:, int(k)], rtol=1e-4, atol=1e-3)
    route = model.route(x)  # type: ignore[attr-defined]
    for verb in (model.reconstruct, model.encode):
        alone = np.stack([verb(x, component=k) for k in (0, 1)])
        np.testing.assert_allclose(verb(x), alone[route, np.arange(40)], rtol=1e-4, atol=1e-5)


def test_the_score_is_a_bound_of_the_log_likelihood_up_to_its_few_draws(model: Model) -> None:
    x = images(60, seed=5)
    terms = []
    for k, component in enumerate(model.components):
        noise = torch.randn(400, 60, component.latent, generator=torch.Generator().manual_seed(k))
        with torch.no_grad():
            tight = component.importance_weighted_elbo(torch.from_numpy(x), noise)  # type: ignore[attr-defined]
        terms.append(tight + model.log_prior[k])
    gap = torch.stack(terms).logsumexp(0).numpy() - model.score_samples(x)
    assert -0.5 < gap.mean() < 5.0
    assert gap.min() > -3.0


def test_components_that_are_left_out_of_the_sum_would_not_have_counted() -> None:
    model, x = make("mixture"), images(30, seed=5)
    single = [make("mixture"), make("mixture")]
    for k, one in enumerate(single):
        knowledge = Knowledge((model.components[k],), (60,))
        one._state = replace(one._state, knowledge=knowledge)  # type: ignore[attr-defined]
    terms = [one.score_samples(x) + model.log_prior[k].item() for k, one in enumerate(single)]
    np.testing.assert_allclose(model.score_samples(x), np.logaddexp(*terms), rtol=1e-5)


def test_bounds_of_what_was_learnt_are_above_those_of_noise(model: Model) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (40, 1, 8, 8)).astype(np.float32)
    known = model.score_samples(images(40, seed=3))
    assert np.quantile(known, 0.1) > model.score_samples(noise).max()


def test_reconstructions_are_near_the_image_and_samples_are_images(model: Model) -> None:
    x = images(40, seed=3)
    again = model.reconstruct(x)
    assert again.shape == x.shape
    assert 0.0 <= again.min() <= again.max() <= 1.0
    assert np.abs(again - x).mean() < 0.15
    drawn, labels = model.sample(200)
    assert (drawn.shape, drawn.dtype) == ((200, 1, 8, 8), np.float32)
    assert (labels.shape, labels.dtype) == ((200,), np.int64)
    assert 0.0 <= drawn.min() <= drawn.max() <= 1.0
    assert set(labels.tolist()) == (set(model.classes_.tolist()) or {-1})


def test_codes_are_as_long_as_the_latent(model: Model) -> None:
    assert model.encode(images()).shape == (9, model.components[0].latent)


def test_a_sample_has_the_label_and_the_look_asked_for(classifier: Model) -> None:
    for label in range(4):
        drawn, labels = classifier.sample(30, label=label)
        assert labels.tolist() == [label] * 30
        assert (drawn.mean() > 0.5) == (label >= 2), "dark images are 0 and 1, bright ones 2 and 3"


def test_a_sample_comes_from_the_component_asked_for_and_from_all_in_proportion() -> None:
    model = make("mixture")
    for component in (0, 1):
        _, labels = model.sample(20, component=component)
        assert set(labels // 2) == {component}
    _, labels = model.sample(3_000)
    assert (labels // 2).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": -3}, "n is -3"),
        ({"n": 2.5}, "n is 2.5"),
        ({"n": 3, "label": 9}, "9"),
        ({"n": 3, "component": 0, "label": 2}, "label is 2; component 0 knows"),
    ],
)
def test_samples_that_can_not_be_drawn_are_refused_and_the_stream_stays(arguments: dict[str, Any], says: str) -> None:
    model = make("mixture")
    state = model._sampling
    with pytest.raises(BadInput, match=says):
        model.sample(**arguments)
    assert torch.equal(model._sampling, state)


@pytest.mark.parametrize("made", ["replay", "generate"])
def test_a_sample_that_fails_leaves_the_model_as_it_was(
    classifier: Model, made: str, state_hash: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, untouched = state_hash(classifier), copy.deepcopy(classifier)
    real = getattr(answers, made)

    def fail(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)  # draws, and then there is no memory
        raise MemoryError

    monkeypatch.setattr(answers, made, fail)
    with pytest.raises(MemoryError):
        classifier.sample(5, label=None if made == "replay" else 0)
    monkeypatch.undo()
    assert state_hash(classifier) == before
    np.testing.assert_array_equal(classifier.sample(5)[0], untouched.sample(5)[0])


SCORES: dict[str, Callable[[ComponentScores], Any]] = {
    "none": lambda s: ComponentScores(None, None),  # type: ignore[arg-type]
    "none of classes": lambda s: ComponentScores(s.elbo, None),  # type: ignore[arg-type]
    "numpy": lambda s: ComponentScores(s.elbo.numpy(), s.class_log_proba),  # type: ignore[arg-type]
    "whole": lambda s: ComponentScores(s.elbo.long(), s.class_log_proba),
    "double": lambda s: ComponentScores(s.elbo.double(), s.class_log_proba),
    "sparse": lambda s: ComponentScores(s.elbo.to_sparse(), s.class_log_proba),
    "one class too many": lambda s: ComponentScores(s.elbo, tuple(torch.zeros(9, 3) for _ in s.class_log_proba)),
    "one component too many": lambda s: ComponentScores(s.elbo, (*s.class_log_proba, s.class_log_proba[0])),
    "of other images": lambda s: ComponentScores(s.elbo[:3], tuple(p[:3] for p in s.class_log_proba)),
    "flat": lambda s: ComponentScores(s.elbo[:, 0], s.class_log_proba),
}


@pytest.mark.parametrize("spoilt", SCORES.values(), ids=SCORES)
def test_scores_that_are_not_those_of_the_images_are_refused(
    classifier: Model, spoilt: Callable[[ComponentScores], Any]
) -> None:
    x = images()
    scores = classifier.component_scores(x)
    np.testing.assert_array_equal(classifier.score_samples(x, scores=scores), classifier.score_samples(x))
    with pytest.raises(BadInput, match=r"^scores are not those of x"):
        classifier.score_samples(x, scores=spoilt(scores))


def test_labels_of_a_model_without_classes_can_not_be_asked_for() -> None:
    for kind in KINDS[2:]:
        model = make(kind)
        with pytest.raises(BadInput, match="without labels"):
            model.sample(3, label=0)
        with pytest.raises(BadInput, match="without labels"):
            model.predict(images())


def test_sampling_goes_on_where_it_was_and_starts_again_from_the_seed(model: Model) -> None:
    other = copy.deepcopy(model)
    first, second = model.sample(5)[0], model.sample(5)[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(other.sample(5)[0], first)


def test_numbers_of_numpy_are_numbers() -> None:
    assert len(make("mixture").sample(np.int64(3))[0]) == 3  # type: ignore[arg-type]


def test_interpolation_goes_from_one_reconstruction_to_the_other(model: Model) -> None:
    x = images(3)
    for component in range(len(model.components)):
        path = model.interpolate(x[0], x[2], steps=5, component=component)
        assert path.shape == (5, 1, 8, 8)
        ends = model.reconstruct(x[[0, 2]], component=component)
        np.testing.assert_allclose(path[[0, -1]], ends, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.interpolate(x[0], x[0], 4), np.repeat(path_start(model, x[0]), 4, 0), atol=1e-5)
    assert isinstance(model.interpolate(torch.tensor(x[0]), torch.tensor(x[1])), Tensor)
    np.testing.assert_array_equal(model.interpolate(x[:1], x[1:2]), model.interpolate(x[0], x[1]))


def path_start(model: Model, image: np.ndarray) -> np.ndarray:
    return np.asarray(model.reconstruct(image[None]))


def test_interpolation_takes_lists_like_every_verb() -> None:
    model, x = make("mixture"), images(2)
    np.testing.assert_array_equal(model.interpolate(x[0].tolist(), x[1].tolist()), model.interpolate(x[0], x[1]))


def test_interpolation_takes_an_image_alone_or_as_a_batch_of_one() -> None:
    model, x = make("mixture"), images(2)
    path = model.interpolate(x[0], x[1])
    np.testing.assert_array_equal(model.interpolate(x[:1], x[1]), path)
    with pytest.raises(BadInput, match="a has 2 examples"):
        model.interpolate(x, x[1])
    with pytest.raises(BadInput, match=r"a has 1 vectors of 64 numbers, but images of shape \(1, 8, 8\) were learnt"):
        model.interpolate(x[:1].reshape(1, 64), x[1])


@pytest.mark.parametrize("component", [[0, 0], (0,), (0, 1, 1), (), (0, 2), (0, "1"), {0, 1}])
def test_interpolation_is_in_one_component_or_between_two_as_a_tuple(component: Any) -> None:
    model, x = make("mixture"), images(2)
    said = f"component is {component!r}; allowed are 0 to 1, and a tuple of two of these"
    with pytest.raises(BadInput, match=f"^{re.escape(said)}$"):
        model.interpolate(x[0], x[1], component=component)


@pytest.mark.parametrize("steps", [1, 0, -2, 2.5])
def test_interpolation_needs_both_ends(model: Model, steps: Any) -> None:
    with pytest.raises(BadInput, match="steps"):
        model.interpolate(images()[0], images()[1], steps)


def test_interpolation_is_between_two_images(model: Model) -> None:
    with pytest.raises(BadInput, match="a has 3 examples"):
        model.interpolate(images(3), images(1))
    with pytest.raises(BadInput, match=r"\(1, 8, 8\)"):
        model.interpolate(np.zeros((1, 7, 8)), np.zeros((1, 7, 8)))


def test_more_draws_are_an_option_of_routing() -> None:
    model, x = make("mixture"), images(40)
    route = model.route(x)  # type: ignore[attr-defined]
    model.settings = model.settings.replace(routing_draws=4)
    np.testing.assert_array_equal(model.route(x), model.route(x))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.route(x), route)  # type: ignore[attr-defined]
    assert not torch.equal(model.component_scores(x).elbo, make("mixture").component_scores(x).elbo)


@pytest.mark.parametrize("per", ["task", None, 3])
def test_a_group_is_asked_for_by_name(per: Any) -> None:
    model, x = make("mixture"), images(9)
    assert model.route(x[::2], per="group") == 0  # type: ignore[attr-defined]
    assert model.route(x[1::2], per="group") == 1  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="per is"):
        model.route(x, per=per)  # type: ignore[attr-defined]


def test_interpolation_takes_bytes_and_floats_side_by_side() -> None:
    model, x = make("mixture"), images(2, seed=4)
    coded = np.round(x * 255).astype(np.uint8)
    mixed = model.interpolate(coded[0], (coded[1] / 255).astype(np.float32), steps=3)
    np.testing.assert_allclose(mixed, model.interpolate(coded[0], coded[1], steps=3), atol=1e-5)
