"""Settings name what makes components: every name has its row, and the student's own numbers count."""

from __future__ import annotations

from typing import get_args

from growmix.components.construction import KINDS, PARTS, make_blueprint, make_kind, student_kind
from growmix.components.convolution import Conv
from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP
from growmix.settings import ComponentName, Settings


def test_every_kind_that_the_settings_allow_has_its_row() -> None:
    names = get_args(ComponentName)
    assert set(KINDS) == {name for name in names if "+" not in name}
    assert all(part in PARTS for name in names if "+" in name for part in name.split("+"))
    assert all(make_kind(Settings(component=name), MLP()).name == name for name in names)


def test_blueprints_take_their_sizes_from_the_settings() -> None:
    assert make_blueprint(Settings(blueprint="conv", width=8)) == Conv(8)
    assert make_blueprint(Settings(hidden=32, depth=1)) == MLP(32, 1)


def test_the_student_has_numbers_of_its_own() -> None:
    kind = student_kind(Settings(latent=5, student_latent=3, student_hidden=7, student_classification_weight=2.0))
    assert isinstance(kind, VAEKind)
    assert kind.blueprint == MLP(7, 2)
    assert (kind.options.latent, kind.options.classification_weight) == (3, 2.0)


def test_a_convolutional_student_has_a_width_of_its_own() -> None:
    kind = student_kind(Settings(blueprint="conv", width=40, student_width=12))
    assert isinstance(kind, VAEKind) and kind.blueprint == Conv(12)
    assert kind.options.shift == 0.08
    other = student_kind(Settings(blueprint="conv", student_blueprint="mlp"))
    assert isinstance(other, VAEKind) and other.options.shift == 0


def test_a_likelihood_of_ones_own_takes_the_place_of_the_settings() -> None:
    own = Bernoulli()
    kind = make_kind(Settings(likelihood="gaussian"), MLP(), own)
    assert isinstance(kind, VAEKind)
    assert kind.likelihood is own
