"""Networks fit every image shape, and a user's own are checked before they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from growmix.components.construction import make_kind
from growmix.components.kinds import VAEKind
from growmix.components.nets import MLP, Blueprint, OwnModules, StartsAtZero, check_blueprint, initialised, recipe_of
from growmix.components.recipe import Recipe
from growmix.data.task import Shape
from growmix.errors import BadInput
from growmix.settings import Settings

NAMED = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)]


@pytest.mark.parametrize("shape", NAMED)
@pytest.mark.parametrize("blueprint", [MLP(hidden=8), MLP(hidden=8, depth=1)])
def test_encoder_and_decoder_fit_the_image(blueprint: Blueprint, shape: Shape) -> None:
    assert check_blueprint(blueprint, 5, shape) == 8
    assert blueprint.encoder(shape)(torch.rand(3, *shape)).shape == (3, 8)
    assert blueprint.decoder(5, shape)(torch.randn(3, 5)).shape == (3, *shape)
    assert isinstance(blueprint, Blueprint)


@pytest.mark.parametrize(("shape", "units"), [((1, 16, 16), 400), ((1, 17, 16), 800), ((1, 8, 8), 400)])
def test_an_mlp_is_narrower_for_small_images(shape: Shape, units: int) -> None:
    assert check_blueprint(MLP(), 2, shape) == units


def test_an_mlp_has_the_depth_asked_for() -> None:
    for depth in (1, 2, 4):
        linear = [layer for layer in MLP(8, depth).decoder(3, (1, 4, 4)) if isinstance(layer, nn.Linear)]
        assert len(linear) == depth + 1


def flat(shape: Shape) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5))


def unflat(inputs: int, shape: Shape) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.Unflatten(1, shape))


class Gives(nn.Module):
    """Whatever a function gives."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


WRONG: dict[str, tuple[Callable[[Shape], nn.Module], Callable[[int, Shape], nn.Module], str]] = {
    "encoder-of-other-images": (
        lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(17, 5)),
        unflat,
        "fails on examples",
    ),
    "encoder-not-flat": (lambda shape: nn.Conv2d(1, 2, 3), unflat, "encoder gives"),
    "decoder-of-other-codes": (flat, lambda inputs, shape: unflat(inputs + 1, shape), "fails on examples"),
    "decoder-not-an-image": (flat, lambda inputs, shape: nn.Linear(inputs, 16), "decoder gives"),
    "decoder-of-other-images": (flat, lambda inputs, shape: unflat(inputs, (2, 2, 4)), "decoder gives"),
    "encoder-of-two": (lambda shape: Gives(lambda x: (x, x)), unflat, "encoder gives a tuple"),
    "encoder-of-nothing": (lambda shape: Gives(lambda x: None), unflat, "encoder gives a NoneType"),
    "encoder-of-a-mean": (lambda shape: Gives(lambda x: x.mean(0).flatten()), unflat, r"encoder gives \(16,\)"),
    "encoder-of-one": (lambda shape: Gives(lambda x: x[:1].flatten(1)), unflat, r"encoder gives \(1, 16\)"),
    "encoder-of-doubles": (lambda shape: Gives(lambda x: x.flatten(1).double()), unflat, "encoder .*float64.*float32"),
    "encoder-of-no-copy": (lambda shape: Gives(part for part in ()), unflat, "fails on examples .*: TypeError"),
    "encoder-no-module": (lambda shape: torch.flatten, unflat, "fails on examples .*: AttributeError"),
    "decoder-of-nothing": (flat, lambda inputs, shape: Gives(lambda z: None), "decoder gives a NoneType"),
    "decoder-of-one": (
        flat,
        lambda inputs, shape: Gives(lambda z: torch.zeros(1, *shape)),
        r"decoder gives \(1, 1, 4, 4\)",
    ),
    "decoder-of-doubles": (
        flat,
        lambda inputs, shape: Gives(lambda z: torch.zeros(len(z), *shape).double()),
        "decoder .*float64.*float32",
    ),
}


@pytest.mark.parametrize(("encoder", "decoder", "says"), WRONG.values(), ids=WRONG)
def test_own_modules_that_do_not_fit_are_refused_by_name(
    encoder: Callable[[Shape], nn.Module], decoder: Callable[[int, Shape], nn.Module], says: str
) -> None:
    assert check_blueprint(OwnModules(flat, unflat), 3, (1, 4, 4)) == 5
    with pytest.raises(BadInput, match=f"'mine'.*{says}"):
        check_blueprint(OwnModules(encoder, decoder, name="mine"), 3, (1, 4, 4))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MLP(-1), "hidden is -1"),
        (lambda: MLP("a"), "hidden is 'a'"),
        (lambda: MLP(float("nan")), "hidden is nan"),
        (lambda: MLP(4, depth=0), "depth is 0"),
        (lambda: MLP(10**6), "hidden is 1000000"),
    ],
)
def test_sizes_of_networks_are_whole_numbers(make: Callable[[], Blueprint], says: str) -> None:
    with pytest.raises(BadInput, match=f"{says}; allowed is a whole number from 1 to "):
        make()


@pytest.mark.parametrize("error", [KeyError("layers"), ZeroDivisionError(), AttributeError("of\nmine")])
def test_whatever_a_users_maker_raises_is_told_in_one_line(error: Exception) -> None:
    def torn(shape: Shape) -> nn.Module:
        raise error

    with pytest.raises(BadInput, match=f"'own' fails on examples .* {type(error).__name__}") as caught:
        check_blueprint(OwnModules(torn, lambda inputs, shape: nn.Identity()), 3, (1, 4, 4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyError((3, 4, 4)), RuntimeError("of\nmine")])
def test_a_decoder_of_targets_is_tried_like_the_others(error: Exception) -> None:
    def sources_only(inputs: int, shape: Shape) -> nn.Module:
        if shape != (1, 4, 4):
            raise error
        return unflat(inputs, shape)

    assert check_blueprint(OwnModules(flat, sources_only), 3, (1, 4, 4)) == 5
    with pytest.raises(BadInput, match=f"'own' fails to decode targets of shape .*: {type(error).__name__}") as caught:
        check_blueprint(OwnModules(flat, sources_only), 3, (1, 4, 4), (3, 4, 4))
    assert "\n" not in str(caught.value)
    nothing = OwnModules(flat, lambda inputs, shape: unflat(inputs, shape) if shape[0] == 1 else Gives(lambda z: None))
    with pytest.raises(BadInput, match=r"targets of shape \(3, 4, 4\): decoder gives a NoneType, needed"):
        check_blueprint(nothing, 3, (1, 4, 4), (3, 4, 4))


class Halves(nn.Module, StartsAtZero):
    """Two layers, the second of which is zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)

    def zero_at_first(self) -> tuple[nn.Module, ...]:
        return (self.two,)


def test_first_weights_follow_from_the_generator_and_are_zero_where_a_module_says_so() -> None:
    first, again = (initialised(lambda: nn.Sequential(Halves()), torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    halves: Any = first[0]
    assert not any(weight.any() for weight in halves.two.parameters())
    assert all(weight.any() for weight in halves.one.parameters())


def test_modules_of_ones_own_are_trained_as_usual_or_by_a_recipe_that_comes_with_them() -> None:
    assert recipe_of(OwnModules(flat, unflat)) == recipe_of(MLP()) == Recipe()
    recipe = Recipe(epochs=7, classification_weight=3.0)
    mine = OwnModules(flat, unflat, recipe=recipe)
    kind = make_kind(Settings(latent=2), mine)
    assert isinstance(kind, VAEKind)
    assert kind.recipes == (recipe,) and kind.options.classification_weight == 3.0

    class Plain:
        """A blueprint that knows nothing of recipes."""

        name, batchable = "plain", False

        def encoder(self, shape: Shape) -> nn.Module:
            return flat(shape)

        def decoder(self, inputs: int, shape: Shape) -> nn.Module:
            return unflat(inputs, shape)

    assert isinstance(Plain(), Blueprint) and recipe_of(Plain()) == Recipe()
