"""Parameters are checked when they are made, each by its own rule."""

from __future__ import annotations

import json
import math
import re
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix import GrowingMixture
from growmix.components.construction import make_blueprint, make_kind
from growmix.components.convolution import Conv
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP
from growmix.errors import BadInput
from growmix.learning.gating import ThresholdGate
from growmix.settings import BlueprintName, Settings, declarations, idle, student_networks

WHOLE = (
    "depth",
    "width",
    "latent",
    "novelty_examples",
    "density_components",
    "devices",
    "noise_levels",
    "covariance_rank",
)
WHOLE_STUDENT = ("student_hidden", "student_latent")
OPTIONAL = (
    "adapter_rank",
    "cascade",
    "max_steps",
    "hidden",
    "epochs",
    "batch_size",
    "patience",
    "student_examples",
    "student_width",
    "student_epochs",
    "denoiser_width",
    "recogniser_width",
    "noise_draws",
    "modes",
)
FROM_ZERO = ("routing_draws", "seed")
OPTIONAL_FROM_ZERO = ("shortlist",)
POSITIVE = ("variance", "alpha", "temperature", "student_temperature", "highest_noise")
OPTIONAL_POSITIVE = ("learning_rate", "lowest_noise")
NOT_NEGATIVE = (
    "classification_weight",
    "student_classification_weight",
    "replay_ratio",
    "weight_decay",
    "gradient_clip",
    "threshold",
    "reg_covar",
)
NAMES = ("component", "blueprint", "novelty", "gate", "sampling", "sharing", "score_weights", "covariance_type")
OPTIONAL_NAMES = ("likelihood", "support", "schedule", "student_blueprint")
TRUTHS = ("supervised", "flips")
FREE = ("device", "strategy", "precision")  # Lightning Fabric says what these may be

BEYOND = ("classification_weight", "student_classification_weight", "student_temperature")
"""Numbers that torch multiplies with, larger than it takes as a whole number."""

NO_NUMBERS: tuple[Any, ...] = ("3", True, math.nan, math.inf, -math.inf, [1])

BAD = [
    *[(name, value) for name in (*WHOLE, *WHOLE_STUDENT, *OPTIONAL) for value in (0, -1, 1.5, *NO_NUMBERS)],
    *[(name, None) for name in (*WHOLE, *WHOLE_STUDENT, *FROM_ZERO)],
    *[(name, value) for name in (*FROM_ZERO, *OPTIONAL_FROM_ZERO) for value in (-1, 1.5, *NO_NUMBERS)],
    *[(name, value) for name in POSITIVE for value in (0, -1.0, *NO_NUMBERS, None)],
    *[(name, value) for name in OPTIONAL_POSITIVE for value in (0, -1.0, *NO_NUMBERS)],
    *[(name, value) for name in NOT_NEGATIVE for value in (-0.1, *NO_NUMBERS)],
    *[("adam_beta1", value) for value in (1, -0.1, *NO_NUMBERS, None)],
    *[("shrinkage", value) for value in (1.01, -0.1, *NO_NUMBERS)],
    *[("holdout", value) for value in (0, 0.51, 1, -0.1, *NO_NUMBERS, None)],
    *[("student_shift", value) for value in (0.51, -0.1, *NO_NUMBERS, None)],
    *[(name, value) for name in NAMES for value in ("mpl", "", None, 1, ["ks"])],
    *[(name, value) for name in (*TRUTHS, "compile") for value in ("yes", 2, 0.5, 1, 1.0, 0, np.zeros(2))],
    *[(name, value) for name in OPTIONAL_NAMES for value in ("mpl", "", 1, ["unit"])],
    *[(name, np.array(["mlp", "ks"])) for name in (*NAMES, *OPTIONAL_NAMES)],
    *[(name, value) for name in FREE for value in (5, None)],
    *[(name, 2**63) for name in ("epochs", "student_examples", "novelty_examples", "patience")],
    *[("sampling_steps", value) for value in (1, 1.5, *NO_NUMBERS)],
    ("seed", 2**32),
    ("routing_draws", 10_001),
    ("replay_ratio", 1e7),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: repr(value))
def test_a_value_that_is_not_allowed_is_named_with_what_is(name: str, value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        Settings(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}; allowed is ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 1) for name in (*WHOLE, *WHOLE_STUDENT, *OPTIONAL, *FROM_ZERO, *POSITIVE, *NOT_NEGATIVE)],
        *[(name, None) for name in (*OPTIONAL, *OPTIONAL_FROM_ZERO, "threshold", *TRUTHS)],
        *[(name, 0) for name in (*FROM_ZERO, *OPTIONAL_FROM_ZERO, *NOT_NEGATIVE)],
        ("holdout", 0.5),
        *[("shrinkage", value) for value in (0, 1, None)],
        ("seed", 2**32 - 1),
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize("name", [*POSITIVE, *NOT_NEGATIVE, "epochs", "student_examples"])
@pytest.mark.parametrize("value", [10**400, 10**5_000], ids=["long", "longer"])
def test_a_number_beyond_all_floats_is_refused_in_a_short_line(name: str, value: int) -> None:
    with pytest.raises(BadInput, match=f"{name} is (1000.*|a int); allowed is ") as caught:
        Settings(**{name: value})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("supervised", np.bool_(True), True),
        ("threshold", np.float64(0.25), 0.25),
        ("variance", np.float32(0.5), 0.5),
        ("hidden", np.int64(4), 4),
        ("gate", np.str_("always"), "always"),
    ],
)
def test_what_numpy_calls_a_number_is_one_of_pythons(name: str, value: Any, kept: Any) -> None:
    settings = Settings(**{name: value})
    assert type(getattr(settings, name)) is type(kept)
    assert json.loads(json.dumps(settings.to_dict()))[name] == kept


@pytest.mark.slow
def test_a_whole_number_where_a_fraction_may_be_is_a_float() -> None:
    whole, same = (
        Settings(classification_weight=2**64, threshold=1),
        Settings(classification_weight=2.0**64, threshold=1.0),
    )
    assert (whole, hash(whole)) == (same, hash(same))
    for field in fields(Settings):
        if field.type in ("float", "float | None"):
            edge = 0.5 if field.name in ("adam_beta1", "holdout", "student_shift") else 1
            assert type(getattr(Settings(**{field.name: edge}), field.name)) is float, field.name
    mixture = GrowingMixture(hidden=4, latent=2, epochs=1, device="cpu", **{name: 2**64 for name in BEYOND})
    images = np.random.default_rng(0).random((12, 1, 4, 4))
    mixture.learn((images, np.arange(12) % 3))
    assert np.isfinite(mixture.distill().score_samples(images)).all()


def test_every_setting_is_declared_with_a_rule_that_its_default_keeps() -> None:
    tested = {*WHOLE, *WHOLE_STUDENT, *OPTIONAL, *FROM_ZERO, *POSITIVE, *NOT_NEGATIVE, *NAMES, *OPTIONAL_NAMES, *FREE}
    tested |= {
        "holdout",
        "student_shift",
        "compile",
        "shrinkage",
        "adam_beta1",
        "sampling_steps",
        *TRUTHS,
        *OPTIONAL_POSITIVE,
        *OPTIONAL_FROM_ZERO,
    }
    declared = declarations(Settings)
    assert list(declared) == [field.name for field in fields(Settings)] and set(declared) == tested
    for each in declared.values():
        assert each.check(each.default) == each.default, each.name
        assert each.group and each.help.endswith("."), each.name


IDLE = {
    "cascade": ({"cascade": 2}, {"component": "denoiser"}),
    "alpha": ({"alpha": 2.0}, {"gate": "dirichlet"}),
    "temperature": ({"temperature": 2.0, "gate": "always"}, {"gate": "dirichlet"}),
    "threshold": ({"threshold": 0.5, "gate": "always"}, {"gate": "threshold"}),
    "adapter_rank": ({"adapter_rank": 3, "sharing": "trunk"}, {"sharing": "adapter"}),
    "variance": ({"variance": 0.1, "likelihood": "bernoulli"}, {"likelihood": "gaussian"}),
    "blueprint": ({"blueprint": "conv", "component": "denoiser"}, {"component": "vae"}),
    "width": ({"width": 4}, {"blueprint": "conv"}),
    "depth": ({"depth": 4, "blueprint": "conv"}, {"blueprint": "mlp"}),
    "hidden": ({"hidden": 4, "blueprint": "my_nets:blueprint"}, {"blueprint": "mlp"}),
    "density_components": ({"density_components": 3, "sampling": "prior"}, {"sampling": "ex-post"}),
    "adam_beta1": ({"adam_beta1": 0.5}, {"schedule": "constant"}),
    "classification_weight": ({"classification_weight": 2.0, "supervised": False}, {"supervised": True}),
    "latent": ({"latent": 5, "component": "denoiser"}, {"component": "vae"}),
    **{name: ({name: 5}, {"component": "denoiser"}) for name in ("denoiser_width", "noise_levels", "noise_draws")},
    **{name: ({name: 5}, {"component": "denoiser"}) for name in ("lowest_noise", "highest_noise", "sampling_steps")},
    "flips": ({"flips": True}, {"component": "denoiser"}),
    "recogniser_width": ({"recogniser_width": 6}, {"component": "vae+recogniser"}),
    "replay_ratio": ({"replay_ratio": 2.0, "gate": "always"}, {"gate": "dirichlet"}),
    "routing_draws": ({"routing_draws": 3, "component": "vae+denoiser"}, {"component": "vae"}),
    "score_weights": ({"score_weights": "preset"}, {"component": "vae+denoiser"}),
    "student_temperature": ({"student_temperature": 3.0, "supervised": False}, {"supervised": True}),
    "student_classification_weight": (
        {"student_classification_weight": 3.0, "supervised": False},
        {"supervised": True},
    ),
}


def without_effect(values: dict[str, Any]) -> list[tuple[str, str]]:
    return list(idle(Settings().to_dict() | values, declarations(Settings).values()))


@pytest.mark.parametrize("name", IDLE)
def test_a_setting_without_effect_is_refused_with_what_would_use_it(name: str) -> None:
    values, change = IDLE[name]
    ((found, reason),) = without_effect(values)
    assert found == name and re.match(rf"{name} is .*, which has no effect with .*; it has one with ", reason)
    key, value = next(iter(change.items()))
    assert f"{key} " in reason and str(value).lower() in reason
    assert not without_effect({**values, **change})
    assert not without_effect({**values, name: declarations(Settings)[name].default})  # as if it had not been given


@pytest.mark.parametrize(
    ("given", "networks"),
    [
        ({}, "mlp"),
        ({"blueprint": "conv"}, "conv"),
        ({"blueprint": "conv", "student_blueprint": "mlp"}, "mlp"),
        ({"student_blueprint": "conv"}, "conv"),
        ({"blueprint": "my_nets:blueprint"}, "mlp"),
    ],
)
def test_a_student_is_convolutional_where_its_teacher_is_or_as_asked(given: dict[str, Any], networks: str) -> None:
    assert Settings(**given).student_networks == networks
    sizes = {"student_hidden": 4, "student_width": 4}
    del sizes["student_hidden" if networks == "mlp" else "student_width"]
    ((name, size),) = sizes.items()
    with pytest.raises(BadInput, match=f"{name} is 4, which has no effect with student_networks '{networks}'"):
        GrowingMixture(**{name: size, **({} if "blueprint" in str(given.get("blueprint")) else given)})


def test_denoisers_and_recognisers_are_convolutional_teachers() -> None:
    for component in ("denoiser", "vae+denoiser", "vae+recogniser"):
        assert student_networks(None, "mlp", component) == "conv"
    assert student_networks(None, Conv(2), "denoiser") == student_networks(None, "conv", Bernoulli()) == "mlp"


def test_an_object_in_place_of_a_name_counts_as_another_choice() -> None:
    with pytest.raises(BadInput, match="width is 4, but the object that was handed in has 2"):
        GrowingMixture(Conv(2), width=4)
    with pytest.raises(BadInput, match=r"hidden is 4, which has no effect with blueprint .*; it has one with .* mlp"):
        GrowingMixture(Conv(2), hidden=4)
    with pytest.raises(BadInput, match=r"blueprint is .*, which has no effect with component 'denoiser'"):
        GrowingMixture(Conv(2), component="denoiser")
    with pytest.raises(BadInput, match=r"variance is 0\.1, which has no effect with likelihood"):
        GrowingMixture(likelihood=Bernoulli(), variance=0.1)
    with pytest.raises(BadInput, match=r"alpha is 2\.0, which has no effect with gate"):
        GrowingMixture(gate=ThresholdGate(), alpha=2.0)
    with pytest.raises(BadInput, match="latent has no effect beside a component of your own"):
        GrowingMixture(component=make_kind(Settings(), Conv(2)), latent=4)


def test_a_gate_of_ones_own_is_given_the_threshold_and_the_replay() -> None:
    GrowingMixture(gate=ThresholdGate(), threshold=0.3, replay_ratio=2.0)


def test_pythons_help_shows_every_setting() -> None:
    assert all(f"\n{name}\n    " in str(Settings.__doc__) for name in declarations(Settings))


def test_a_misspelt_name_is_met_with_the_right_one() -> None:
    with pytest.raises(BadInput, match="learning_rat is no setting; did you mean learning_rate"):
        Settings().replace(learning_rat=0.1)
    with pytest.raises(BadInput, match="zzz is no setting; allowed are component, blueprint"):
        GrowingMixture("mlp", zzz=1)


@given(st.integers(1, 500), st.floats(1e-6, 1.0))
def test_a_change_changes_that_and_nothing_else(epochs: int, learning_rate: float) -> None:
    before = Settings(latent=7)
    after = before.replace(epochs=epochs, learning_rate=learning_rate)
    assert (after.epochs, after.learning_rate, after.latent) == (epochs, learning_rate, 7)
    assert before == Settings(latent=7)
    assert after.replace(epochs=None, learning_rate=before.learning_rate) == before


def test_changes_are_checked_like_the_first_values() -> None:
    with pytest.raises(BadInput, match="epochs"):
        Settings().replace(epochs=0)
    with pytest.raises(BadInput, match="epochs"):
        GrowingMixture("mlp", epochs=0)


def test_settings_are_json_and_come_back_equal() -> None:
    settings = Settings(epochs=3, threshold=0.4, supervised=True)
    assert Settings(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_settings_can_not_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", get_args(BlueprintName))
def test_a_mixture_takes_its_blueprint_by_name(name: str) -> None:
    assert GrowingMixture(name).blueprint.name == name
    assert GrowingMixture(None, Settings(blueprint=name)).settings.blueprint == name  # type: ignore[arg-type]


@pytest.mark.parametrize("blueprint", ["mpl", 3, np.zeros(2), MLP])
def test_a_blueprint_that_is_none_is_refused(blueprint: Any) -> None:
    with pytest.raises(BadInput, match="blueprint"):
        GrowingMixture(blueprint)


@pytest.mark.parametrize("settings", [{}, 0, False, "", 5])
def test_settings_that_are_none_are_refused(settings: Any) -> None:
    with pytest.raises(BadInput, match="settings is a"):
        GrowingMixture("mlp", settings)


@pytest.mark.parametrize("blueprint", ["mlp", MLP(4)])
def test_a_blueprint_is_given_once(blueprint: Any) -> None:
    with pytest.raises(TypeError, match="multiple values for argument 'blueprint'"):
        GrowingMixture(blueprint, blueprint="conv")  # type: ignore[misc]


def test_settings_reach_the_networks() -> None:
    assert make_blueprint(Settings(hidden=9, depth=3)) == MLP(9, 3)
    assert make_blueprint(Settings(blueprint="conv", width=5)) == Conv(5)
