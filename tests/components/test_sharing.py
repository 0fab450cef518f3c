"""What components share stays as it is, to the bit, and what they hold themselves is little."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix import GrowingMixture, Settings
from growmix.components.component import Component
from growmix.components.construction import make_blueprint, make_kind
from growmix.components.convolution import Conv
from growmix.components.density import no_labels
from growmix.components.kinds import VAEKind
from growmix.components.nets import MLP, Blueprint, OwnModules
from growmix.components.objectives import TaskObjective
from growmix.components.sharing import Foundation, Kind, LowRank, RankOne, shareable
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.data.task import Shape
from growmix.errors import BadInput
from growmix.learning.routing import Router
from growmix.settings import ComponentName
from growmix.training.callbacks import Callback, FitInfo
from known_points import point

KINDS: tuple[Kind, ...] = ("trunk", "adapter", "rank-one")
LATENT = 3
NORMED = OwnModules(
    lambda shape: nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, stride=2), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(36, 9)
    ),
    lambda inputs, shape: nn.Sequential(
        nn.Linear(inputs, 20), nn.BatchNorm1d(20), nn.GELU(), nn.Linear(20, 64), nn.Unflatten(1, shape)
    ),
    name="normed",
)
BLUEPRINTS: dict[str, Blueprint] = {"mlp": MLP(hidden=12), "conv": Conv(width=4), "normed": NORMED}


def make(blueprint: Blueprint, shape: Shape = (1, 8, 8), *, supervised: bool = True, seed: int = 0) -> VAE:
    generator = torch.Generator().manual_seed(seed)
    kind = VAEKind(blueprint, options=VAEOptions(latent=LATENT))
    component = kind.autoencoder(Domain(shape), supervised=supervised, generator=generator)
    component.add_classes([5, 7] if supervised else [], generator)
    return component


def images(n: int = 10, seed: int = 0, shape: Shape = (1, 8, 8)) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def train(component: VAE, steps: int = 5) -> None:
    objective = TaskObjective(component, 1.0, unlabelled=False).train()
    optimizer = torch.optim.AdamW([p for p in component.parameters() if p.requires_grad], lr=0.01)
    positions = torch.arange(10) % 2 if component.classes else no_labels(10)
    for step in range(steps):
        optimizer.zero_grad()
        objective(images(seed=step), positions, torch.zeros(10, LATENT)).backward()
        optimizer.step()
    component.eval()


def own(component: nn.Module) -> int:
    return sum(part.numel() for part in component.parameters())


@pytest.fixture(params=BLUEPRINTS)
def blueprint(request: pytest.FixtureRequest) -> Blueprint:
    return BLUEPRINTS[request.param]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[True, False], ids=["classes", "no-classes"])
def first(request: pytest.FixtureRequest, blueprint: Blueprint) -> VAE:
    component = make(blueprint, supervised=request.param)
    train(component)
    return component


def answers(component: VAE) -> list[Tensor]:
    with torch.no_grad():
        return [*component.score_draws(images(), torch.zeros(1, LATENT)), component.reconstruct(images())]


def test_the_component_that_gives_the_foundation_keeps_its_function_to_the_bit(first: VAE, kind: Kind) -> None:
    before = answers(first)
    Foundation.of(first, kind, None).carry(first, torch.Generator())
    assert all(torch.equal(old, new) for old, new in zip(before, answers(first), strict=True))


def test_nothing_frozen_changes_when_components_on_it_are_trained(first: VAE, blueprint: Blueprint, kind: Kind) -> None:
    foundation = Foundation.of(first, kind, None)
    foundation.carry(first, torch.Generator())
    frozen = {name: tensor.clone() for name, tensor in foundation.state_dict().items()}
    kept = answers(first)
    second = make(blueprint, supervised=first.supervised, seed=1)
    foundation.carry(second, torch.Generator())
    foundation.train()  # whoever asks for it
    before = answers(second)
    train(second)
    assert all(torch.equal(frozen[name], tensor) for name, tensor in foundation.state_dict().items())
    assert all(torch.equal(old, new) for old, new in zip(kept, answers(first), strict=True))
    assert not torch.equal(before[0], answers(second)[0]), "its own part has learnt"
    assert all(part.grad is None for part in foundation.parameters())


def test_a_copy_stands_on_the_same_foundation_and_a_state_holds_the_own_part_alone(first: VAE, kind: Kind) -> None:
    foundation = Foundation.of(first, kind, None)
    foundation.carry(first, torch.Generator())
    shared = {tensor.data_ptr() for tensor in (*foundation.parameters(), *foundation.buffers())}
    twin = copy.deepcopy(first)
    assert not shared & {tensor.data_ptr() for tensor in twin.state_dict().values()}
    with torch.no_grad():
        for part in foundation.parameters():
            part.zero_()
    assert all(torch.equal(a, b) for a, b in zip(answers(first), answers(twin), strict=True))


@pytest.mark.slow
def test_a_component_comes_back_from_its_state_on_the_loaded_foundation(
    first: VAE, blueprint: Blueprint, kind: Kind
) -> None:
    foundation = Foundation.of(first, kind, None)
    foundation.carry(first, torch.Generator())
    train(first)
    again = Foundation.of(make(blueprint, supervised=first.supervised, seed=7), kind, None)
    again.load_state_dict(foundation.state_dict())
    component = make(blueprint, supervised=first.supervised, seed=8)
    again.carry(component, torch.Generator())
    component.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(answers(first), answers(component.eval()), strict=True))


@pytest.mark.parametrize(("blueprint", "shape"), [(MLP(), (1, 28, 28)), (Conv(), (3, 32, 32))], ids=["mlp", "conv"])
def test_an_adapter_holds_at_most_a_twentieth_of_a_whole_component(blueprint: Blueprint, shape: Shape) -> None:
    component = VAEKind(blueprint).autoencoder(Domain(shape), supervised=True, generator=torch.Generator())
    whole = own(component)
    foundation = Foundation.of(component, "adapter", None)
    foundation.carry(component, torch.Generator())
    assert 0.03 * whole < own(component) <= 0.052 * whole  # the class codes come on top
    thicker = VAEKind(blueprint).autoencoder(Domain(shape), supervised=True, generator=torch.Generator())
    Foundation.of(thicker, "adapter", foundation.rank + 1).carry(thicker, torch.Generator())
    assert own(thicker) > 0.05 * whole, "no larger rank would have done"


@pytest.mark.parametrize("blueprint", [MLP(), Conv()], ids=["mlp", "conv"])
def test_the_rank_left_open_is_the_largest_that_a_twentieth_pays_for(blueprint: Blueprint) -> None:
    whole = VAEKind(blueprint).autoencoder(Domain((1, 28, 28)), supervised=False, generator=torch.Generator())
    rank = Foundation.of(whole, "adapter", None).rank
    shares = []
    for asked in (rank, rank + 1):
        adapted = VAEKind(blueprint).autoencoder(Domain((1, 28, 28)), supervised=False, generator=torch.Generator())
        Foundation.of(adapted, "adapter", asked).carry(adapted, torch.Generator())
        shares.append(own(adapted) / own(whole))
    assert shares[0] <= 0.05 < shares[1]


def test_a_tiny_network_still_gets_a_rank() -> None:
    assert Foundation.of(make(MLP(hidden=4)), "adapter", None).rank == 1


def test_the_layer_that_writes_pixels_has_three_times_the_rank() -> None:
    component = make(MLP(hidden=100))
    Foundation.of(component, "adapter", 2).carry(component, torch.Generator())
    ranks = {name: layer.down.out_features for name, layer in component.named_modules() if isinstance(layer, LowRank)}
    assert ranks == {"encoder.1": 2, "encoder.3": 2, "posterior": 2, "decoder.0": 2, "decoder.2": 2, "decoder.4": 6}


def test_no_update_holds_more_than_the_layer_that_it_updates() -> None:
    component = make(Conv(width=4))
    whole = own(component)
    Foundation.of(component, "adapter", 500).carry(component, torch.Generator())
    assert own(component) == whole
    assert not any(isinstance(layer, LowRank) for layer in component.modules())


def test_a_trunk_is_the_first_half_of_the_weight_layers_rounded_up() -> None:
    component = make(MLP(hidden=12, depth=3))
    foundation = Foundation.of(component, "trunk", None)
    foundation.carry(component, torch.Generator())
    assert own(foundation) == (64 * 12 + 12) + (12 * 12 + 12) + (19 * 12 + 12) + (12 * 12 + 12)
    assert [type(layer).__name__ for layer in component.encoder.own] == ["Linear", "GELU"]
    assert isinstance(component.posterior, nn.Linear), "one layer can't be halved"


def test_a_normalisation_between_belongs_to_the_trunk_and_counts_as_no_layer() -> None:
    component = make(NORMED)
    Foundation.of(component, "trunk", None).carry(component, torch.Generator())
    assert [type(layer).__name__ for layer in component.encoder.own] == ["Linear"]
    assert [type(layer).__name__ for layer in component.decoder.own] == ["Linear", "Unflatten"]
    assert not [name for name, _ in component.named_buffers() if "running" in name]


def test_a_trunk_of_what_is_no_sequence_is_refused() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 9)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.flatten(1))

    blueprint = OwnModules(lambda shape: Plain(), NORMED.make_decoder)
    component = make(blueprint)
    with pytest.raises(BadInput, match=r"'trunk'.*'encoder' is a Plain.*Sequential"):
        Foundation.of(component, "trunk", None)
    Foundation.of(component, "adapter", None).carry(component, torch.Generator())


class NeverTrained(Callback):
    """Fails where a training begins."""

    def on_fit_start(self, fit: FitInfo) -> None:
        raise AssertionError("a training has begun")


def test_what_can_not_be_shared_is_refused_before_the_first_component_is_trained() -> None:
    mixture = GrowingMixture(component="denoiser", sharing="trunk", denoiser_width=4)
    with pytest.raises(BadInput, match="sharing is 'trunk', but network 'unet' is a UNet; a trunk is the lower half"):
        mixture.learn((images(20), torch.arange(20) % 2), callbacks=[NeverTrained()])
    assert mixture.history == ()
    with pytest.raises(BadInput, match="a CodedPoint has no networks that could be shared; take sharing 'none'"):
        shareable(point(0), "adapter")


def convolutional(component: ComponentName, seed: int) -> Component:
    generator = torch.Generator().manual_seed(seed)
    settings = Settings(component=component, blueprint="conv" if "vae" in component else "mlp", width=8)
    settings = settings.replace(denoiser_width=8)
    kind = make_kind(settings, make_blueprint(settings))
    made = kind.new(Domain((1, 8, 8)), supervised=True, generator=generator)
    made.add_classes([5, 7], generator)
    for weight in made.parameters():  # as if trained: what a new block adds is zero
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return made


@pytest.mark.parametrize("component", ["denoiser", "vae+denoiser", "vae+recogniser"])
@pytest.mark.parametrize("kind", ["adapter", "rank-one"])
def test_what_has_a_denoiser_or_several_networks_stands_on_a_foundation_too(
    component: ComponentName, kind: Kind
) -> None:
    first, second = convolutional(component, 0), convolutional(component, 1)
    whole, x = own(first), images(3)
    before = first.score(x)
    foundation = Foundation.of(first, kind, 1)
    for each in (first, second):
        foundation.carry(each, torch.Generator().manual_seed(2))
        assert own(each) < whole - own(foundation) / 2
    assert all(torch.equal(a, b) for a, b in zip(before, first.score(x), strict=True))
    frozen = {name: t.clone() for name, t in foundation.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in second.parameters() if p.requires_grad], lr=0.1)
    after = second.score(x)[0]
    (-after.sum()).backward()
    optimizer.step()
    assert not torch.equal(after, second.score(x)[0])
    assert all(torch.equal(t, frozen[name]) for name, t in foundation.state_dict().items())
    assert second.draw(torch.tensor([0, 1]), torch.Generator()).shape == (2, 1, 8, 8)


LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (nn.Linear(5, 4), (3, 5)),
    (nn.Conv2d(2, 4, 3, stride=2, padding=1), (3, 2, 7, 7)),
    (nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1), (3, 2, 4, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=["linear", "conv", "transposed"])
def test_rank_one_is_the_layer_with_the_outer_product_of_its_scales(layer: Any, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    adapted = RankOne(layer)
    torch.testing.assert_close(adapted(x), layer(x))
    inputs, outputs = torch.rand(shape[1]), torch.rand(4)
    adapted.scale_in.data, adapted.scale_out.data = inputs, outputs
    weighted = copy.deepcopy(layer)
    first_is_out = not isinstance(layer, nn.ConvTranspose2d)
    outer = torch.outer(outputs, inputs) if first_is_out else torch.outer(inputs, outputs)
    weighted.weight.data = layer.weight * outer.reshape(*outer.shape, *[1] * (layer.weight.ndim - 2))
    torch.testing.assert_close(adapted(x), weighted(x))


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=["linear", "conv", "transposed"])
def test_a_low_rank_update_is_none_at_first_and_linear_in_the_image(layer: Any, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, other = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    adapted = LowRank(layer, 2, generator)
    assert torch.equal(adapted(x), layer(x))
    nn.init.normal_(adapted.up.weight, generator=generator)
    update = adapted(x) - layer(x)
    assert update.abs().max() > 1e-3
    together = adapted(x + other) - layer(x + other)
    torch.testing.assert_close(together, update + adapted(other) - layer(other), rtol=1e-4, atol=1e-4)


def test_a_low_rank_update_has_the_rank() -> None:
    layer = nn.Linear(6, 5, bias=False)
    adapted = LowRank(layer, 2, torch.Generator())
    nn.init.normal_(adapted.up.weight)
    change = adapted(torch.eye(6)).T - layer.weight
    assert int(torch.linalg.matrix_rank(change, atol=1e-5)) == 2


@pytest.mark.parametrize("blueprint", [MLP(hidden=12), Conv(width=4)], ids=["mlp", "conv"])
def test_batched_over_components_they_answer_as_one_by_one(blueprint: Blueprint, kind: Kind) -> None:
    first = make(blueprint)
    foundation = Foundation.of(first, kind, None)
    members = [first, make(blueprint, seed=1), make(blueprint, seed=2)]
    for member in members:
        foundation.carry(member, torch.Generator())
        train(member)
    x, noise = images(6), torch.zeros(1, LATENT)
    router = Router(members)
    assert len(router._groups) == 1
    scores = router.scores(x, noise)
    for k, member in enumerate(members):
        with torch.no_grad():
            torch.testing.assert_close(scores.elbo[:, k], member.score_draws(x, noise)[0], rtol=1e-4, atol=1e-3)


def test_gradients_reach_the_own_part_and_the_layers_below_it() -> None:
    layer = LowRank(nn.Linear(4, 3), 1, torch.Generator())
    x = torch.rand(2, 4, requires_grad=True)
    F.mse_loss(layer(x), torch.zeros(2, 3)).backward()
    assert x.grad is not None
    assert layer.up.weight.grad is not None


@pytest.mark.parametrize("kind", ["adapter", "rank-one"])
def test_a_padding_other_than_zeros_is_kept(kind: Kind) -> None:
    layer = nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")
    x = torch.rand(3, 2, 7, 7)
    adapted = LowRank(layer, 1, torch.Generator()) if kind == "adapter" else RankOne(layer)
    assert torch.equal(adapted(x), layer(x))


class Attentive(nn.Module):
    """Rows of an image attend to one another; one layer is used twice, and attention reaches into its own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.twice = nn.Linear(8, 8)
        self.again = self.twice

    def forward(self, x: Tensor) -> Tensor:
        rows = self.twice(x.squeeze(1))
        return self.again(self.attention(rows, rows, rows)[0]).flatten(1)


@pytest.mark.parametrize("kind", ["adapter", "rank-one"])
def test_modules_that_reach_into_their_layers_stay_whole_and_a_layer_used_twice_is_adapted_once(kind: Kind) -> None:
    component = make(OwnModules(lambda shape: Attentive(), NORMED.make_decoder))
    train(component)
    before = answers(component)
    foundation = Foundation.of(component, kind, 1)
    foundation.carry(component, torch.Generator())
    assert all(torch.equal(old, new) for old, new in zip(before, answers(component), strict=True))
    encoder: Any = component.encoder
    assert encoder.twice is encoder.again
    train(component)
    assert not torch.equal(before[0], answers(component)[0])


def test_layers_that_a_user_froze_stay_frozen_where_they_are_copied_whole() -> None:
    def encoder(shape: Shape) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.LayerNorm(9), nn.GELU(), nn.LayerNorm(9))
        network[2].requires_grad_(False)
        return network

    component = make(OwnModules(encoder, NORMED.make_decoder))
    Foundation.of(component, "adapter", 1).carry(component, torch.Generator())
    layers: Any = component.encoder
    assert [part.requires_grad for part in (*layers[2].parameters(), *layers[4].parameters())] == [False] * 2 + [
        True
    ] * 2


def test_what_is_new_lies_where_the_foundation_does(kind: Kind) -> None:
    component = make(BLUEPRINTS["conv"]).to("meta")
    Foundation.of(component, kind, None).carry(component, torch.Generator())
    assert {part.device.type for part in component.parameters()} == {"meta"}


def test_components_of_two_foundations_are_not_batched_as_if_they_had_one(kind: Kind) -> None:
    members = [make(BLUEPRINTS["mlp"], seed=seed) for seed in range(2)]
    for member in members:
        Foundation.of(member, kind, 1).carry(member, torch.Generator())
    x, noise = images(6), torch.zeros(1, LATENT)
    scores = Router(members).scores(x, noise)
    for k, member in enumerate(members):
        torch.testing.assert_close(scores.elbo[:, k], member.score_draws(x, noise)[0].detach(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("blueprint", [MLP(hidden=12), Conv(width=4)], ids=["mlp", "conv"])
def test_in_mixed_precision_nothing_is_widened(blueprint: Blueprint, kind: Kind) -> None:
    component = make(blueprint)
    Foundation.of(component, kind, 1).carry(component, torch.Generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert component.encoder(images()).dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("sharing", KINDS)
def test_a_mixture_counts_and_keeps_what_its_components_share(sharing: str, tmp_path: Any) -> None:
    mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=2, gate="always", sharing=sharing)
    for task in range(3):
        mixture.learn((images(40, seed=task), torch.arange(40) % 2 + 2 * task))
    sizes = [own(component) for component in mixture.components]
    assert len(set(sizes)) == 1
    kind = VAEKind(MLP(hidden=16), options=VAEOptions(latent=2))
    whole = own(kind.autoencoder(Domain((1, 8, 8)), supervised=True, generator=torch.Generator()))
    assert 0 < mixture.shared_parameters <= whole
    assert sizes[0] < whole
    mixture.save(tmp_path / "m")
    again = GrowingMixture.load(tmp_path / "m")
    assert again.shared_parameters == mixture.shared_parameters
    x = images(5, seed=9).numpy()
    assert (again.predict_proba(x) == mixture.predict_proba(x)).all()
    more = (images(40, seed=4), torch.arange(40) % 2)
    for model in (mixture, again):
        model.learn(more)
    assert (again.predict_proba(x) == mixture.predict_proba(x)).all()
