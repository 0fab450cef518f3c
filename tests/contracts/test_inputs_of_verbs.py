"""Anything may be handed to any verb: what comes back is what is documented, or an error of growmix's own.

Never an exception of torch or numpy from the depths, and never a model that is changed by it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from asked import (
    LABELLED,
    MODELS,
    NAME,
    PAIRS,
    TINY,
    VERBS,
    applies,
    case,
    hash_of,
    is_answer,
    model_of,
    refuses,
    rotated,
)
from growmix import BadInput, GrowingMixture, NotLearnt
from growmix.components.nets import OwnModules
from handed_over import (
    SHAPE,
    WRAPPINGS,
    WRONG_TYPES,
    Spiteful,
    make_wrong,
    noisy,
    pixel_faults,
    wrong_shapes,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors is in prototype stage"),
]

StateHash = Callable[..., str]

GOOD = [
    (wrapping, (name, verb))
    for wrapping, (name, verb) in rotated(WRAPPINGS, PAIRS, 4)
    # the labels, which are names, would have to be of the kind learnt
    if name == "names" or (verb, wrapping) != ("novelty", "labelled data set")
]
WRONG = rotated(WRONG_TYPES, PAIRS, 3)
GENERATED = {"examples": 100, "arguments": 150}
"""Generated cases of the two tests that have them."""


def test_hundreds_of_cases_reach_every_verb_of_every_model() -> None:
    assert len(GOOD) + len(WRONG) + sum(GENERATED.values()) > 600
    for cases in (GOOD, WRONG):
        assert {pair for _, pair in cases} == set(PAIRS)
    assert {wrapping for wrapping, _ in GOOD} == set(WRAPPINGS)


# Examples --------------------------------------------------------------------------------------------------------


def test_examples_in_any_form_are_answered(state_hash: StateHash) -> None:
    for k, (wrapping, (name, verb)) in enumerate(GOOD):
        n = 1 if verb.startswith("interpolate") else 4 + k % 5
        x = np.random.default_rng(k).random((n, *SHAPE)).astype(np.float32)
        with case(wrapping, name, verb):
            given_x = WRAPPINGS[wrapping](x)
            answer = VERBS[verb](model_of(name), given_x)
            assert is_answer(verb, model_of(name), n, answer)
            if verb not in ("novelty", "component_scores", "interpolate to") and (name, verb) != ("names", "predict"):
                assert isinstance(answer, Tensor if isinstance(given_x, Tensor) else np.ndarray)
            assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


def test_what_is_no_example_is_refused(state_hash: StateHash) -> None:
    for wrong, (name, verb) in WRONG:
        with case(wrong, name, verb):
            x = make_wrong(wrong, noisy(5))
            refuses(lambda verb=verb, name=name, x=x: VERBS[verb](model_of(name), x), NAME.get(verb, "x"))
            assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


@settings(max_examples=GENERATED["examples"], deadline=None)
@given(pair=st.sampled_from(PAIRS), x=pixel_faults() | wrong_shapes())
def _refuse_faults(state_hash: StateHash, pair: tuple[str, str], x: Any) -> None:
    name, verb = pair
    if verb.startswith("interpolate") and isinstance(x, np.ndarray) and x.shape[1:] == SHAPE:
        x = x[:1]  # more than one would be refused for that alone
    refuses(lambda: VERBS[verb](model_of(name), x), NAME.get(verb, "x"))
    assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


def test_numbers_and_shapes_that_are_not_allowed_are_refused(state_hash: StateHash) -> None:
    _refuse_faults(state_hash)


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_that_learnt_nothing_says_so(verb: str) -> None:
    with pytest.raises(NotLearnt, match="nothing was learnt yet"):
        VERBS[verb](model_of("nothing"), noisy(1))


@pytest.mark.parametrize("name", ["images", "pairs"])
@pytest.mark.parametrize("ask", ["predict", "predict_proba", "sample"])
def test_a_model_without_labels_says_so(name: str, ask: str) -> None:
    with pytest.raises(BadInput, match="learnt without labels"):
        model_of(name).sample(2, label=0) if ask == "sample" else VERBS[ask](model_of(name), noisy(1))


@pytest.mark.parametrize("name", ["numbers", "names", "images", "student"])
def test_a_model_without_pairs_says_so(name: str) -> None:
    with pytest.raises(BadInput, match="learnt no pairs"):
        model_of(name).translate(noisy(1))


def test_a_users_own_modules_can_not_change_what_was_handed_over() -> None:
    class Halving(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.mul_(0.5).flatten(1)

    decoder = nn.Linear(2, 16)
    own = OwnModules(lambda shape: Halving(), lambda inputs, shape: nn.Sequential(decoder, nn.Unflatten(1, shape)))
    mixture = GrowingMixture(own, **{name: value for name, value in TINY.items() if name != "hidden"})
    mixture.learn(noisy())
    x = torch.from_numpy(noisy(3))
    for ask in (mixture.route, mixture.score_samples, mixture.reconstruct, mixture.encode, mixture.novelty):
        ask(x if ask != mixture.novelty else torch.cat([x, x]))
    mixture.interpolate(x[0], x[1], 3)
    assert torch.equal(x, torch.from_numpy(noisy(3)))


# All other arguments ---------------------------------------------------------------------------------------------

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(min_value=10**15),  # nothing in between: what fits into memory would be made
    st.integers(max_value=-4),
    st.sampled_from([2**63, 10**400, -(10**400), 10**5_000]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["0", "1", "01", "both", "example", "group", "cat"]),
    st.builds(object),
    st.just(Spiteful()),
    st.just(np.eye(40)),
    st.just(np.arange(4)),
    st.just(np.arange(2)),
    st.just(torch.arange(2)),
    st.just(np.array(1)),
    st.just(torch.tensor(1)),
    st.just(np.int64(1)),
    st.just(np.bool_(True)),
    st.just(np.array(["example", "group"])),
    st.just({0, 1}),
    st.just({"both": 1}),
    st.builds(iter, st.just([0])),
    st.lists(st.one_of(st.integers(-2, 3), st.sampled_from(["0", "1", "both"]), st.none(), st.just([1])), max_size=4),
    st.tuples(st.integers(-1, 2), st.integers(-1, 2)),
)

OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "predict component": lambda model, value: model.predict(noisy(3), component=value),
    "predict classes": lambda model, value: model.predict(noisy(3), classes=value),
    "predict_proba component": lambda model, value: model.predict_proba(noisy(3), component=value),
    "predict_proba classes": lambda model, value: model.predict_proba(noisy(3), classes=value),
    "component_scores components": lambda model, value: model.component_scores(noisy(3), value),
    "score_samples scores": lambda model, value: model.score_samples(noisy(3), scores=value),
    "reconstruct component": lambda model, value: model.reconstruct(noisy(3), component=value),
    "encode component": lambda model, value: model.encode(noisy(3), component=value),
    "translate component": lambda model, value: model.translate(noisy(3), component=value),
    "interpolate component": lambda model, value: model.interpolate(noisy()[0], noisy()[1], 3, component=value),
    "interpolate steps": lambda model, value: model.interpolate(noisy()[0], noisy()[1], value),
    "sample n": lambda model, value: model.sample(value),
    "sample component": lambda model, value: model.sample(2, component=value),
    "sample label": lambda model, value: model.sample(2, label=value),
    "route per": lambda model, value: model.route(noisy(3), per=value),
}


def takes(which: str, name: str) -> bool:
    """Whether a model can have an answer, if the argument is right."""
    verb, argument = which.split()
    labels = argument in ("classes", "label")
    return name in LABELLED if labels else verb == "sample" or applies(verb, name)


def whole(value: Any, least: int, below: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= value < below


def several(value: Any) -> list[Any] | None:
    """What is a list, array or set of one or more; a string is none."""
    if isinstance(value, (list, tuple, set)):
        return list(value) or None
    return value.tolist() if isinstance(value, (np.ndarray, Tensor)) and value.ndim else None


def allowed(which: str, model: Any, value: Any) -> bool:
    """Whether the documentation allows a value."""
    argument, components, labels = which.split()[1], len(model.components), model.classes_.tolist()
    if argument in ("n", "steps"):
        return whole(value, 1 if argument == "n" else 2, 10**15)
    if argument == "per":
        return isinstance(value, str) and value in ("example", "group")
    if value is None:
        return True
    if argument == "component":
        ends = value if isinstance(value, tuple) and len(value) == 2 and which.startswith("interpolate") else [value]
        return all(whole(end, 0, components) for end in ends)
    if argument == "label":
        return (isinstance(value, str) or whole(value, 0, 10)) and value in labels
    asked = several(value)
    if argument == "scores" or asked is None:
        return False
    if argument == "components":
        return all(whole(k, 0, components) for k in asked)
    known = [isinstance(k, str) or whole(k, 0, 10) for k in asked]
    return all(known) and len(set(asked)) == len(asked) and set(asked) <= set(labels)


@settings(max_examples=GENERATED["arguments"], deadline=None)
@given(
    pair=st.sampled_from([(name, which) for which in OTHERS for name in MODELS[:-1] if takes(which, name)]),
    value=anything,
)
def _understand_or_refuse(state_hash: StateHash, pair: tuple[str, str], value: Any) -> None:
    name, which = pair
    model = copy.deepcopy(model_of(name)) if which.startswith("sample") else model_of(name)
    before = state_hash(model)
    if not allowed(which, model, value):
        too_many = whole(value, 10**15, 2**63) and which in ("sample n", "interpolate steps")
        refuses(lambda: OTHERS[which](model, value), "(generating|interpolating)" if too_many else which.split()[1])
        assert state_hash(model) == before
        return
    asked = several(value)
    answer = OTHERS[which](model, value)
    if which == "predict classes" and asked:
        assert set(answer.tolist()) <= set(asked)
    elif which == "predict_proba classes" and asked:
        assert answer.shape == (3, len(asked))
    elif which == "component_scores components" and asked:
        assert answer.elbo.shape == (3, len(asked))
    elif which == "interpolate steps":
        assert len(answer) == value
    elif which == "sample n":
        assert len(answer[0]) == len(answer[1]) == value
    elif which == "sample label" and value is not None:
        assert list(answer[1]) == [value] * 2
    assert state_hash(model, sampling=False) == hash_of(name, state_hash)


def test_any_other_argument_is_understood_or_refused(state_hash: StateHash) -> None:
    _understand_or_refuse(state_hash)
