"""Model: the verbs that a mixture and a student share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from growmix.components.component import Component, most_likely
from growmix.components.density import LatentDensity, no_labels
from growmix.data.arrays import is_array, read
from growmix.data.domain import Domain, Shape
from growmix.data.examples import default_support
from growmix.data.labels import Names, names_of
from growmix.data.task import UNLABELLED, as_float, check_examples, like_given, read_examples
from growmix.errors import BadInput, NonFiniteLoss, NotLearnt, shown
from growmix.learning.replay import generate, replay
from growmix.learning.routing import ComponentScores, Router, combine, log_responsibilities, route_examples, total_elbo
from growmix.settings import Settings, is_whole, require_whole
from growmix.system.ambient import torch_as_it_comes
from growmix.system.memory import require_room

_ROWS = 1_024
_COPIES = 3
"""Times that images are held while they are made: the pieces, all of a component as one, and the answer."""

_BOUND_DRAWS = 8
_BOUND_SEED = 20_250  # the draws are fixed, so that an example's bound never depends on what is scored beside it


class Model(ABC):
    """Interface of everything that answers for examples: what it must know, and the verbs that follow from it.

    All verbs take ``x`` as arrays (numpy in, numpy out) or tensors (tensors out): images ``(n, channels, height,
    width)``, ``float`` in [0, 1] or bytes, or vectors ``(n, numbers)``; and as all else that
    :func:`growmix.data.check_examples` takes. Examples unlike those learnt raise :class:`growmix.errors.BadInput`.
    """

    settings: Settings
    _names: Names = ()

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """What it is made of."""

    @property
    @abstractmethod
    def examples(self) -> int:
        """Number of examples learnt."""

    @property
    @abstractmethod
    def log_prior(self) -> Tensor:
        """Log share of every component, shape ``(components,)``."""

    @abstractmethod
    def _router(self) -> Router:
        """Over the components as they are now."""

    @property
    @abstractmethod
    def _draws(self) -> torch.Generator:
        """Stream that ``sample`` draws from; learning never touches it."""

    @property
    def shape(self) -> Shape:
        """Axes of one example: three of an image, one of a vector."""
        return self._learnt()[0].shape

    @property
    def domain(self) -> Domain:
        """Shape and support of the examples, as the first task fixed them."""
        return Domain(self.shape, default_support(self.shape))

    @property
    @torch_as_it_comes()
    def classes_(self) -> np.ndarray:
        """All labels learnt; empty when there were none.

        Numbers ascending, ``int64``; names in the order in which they were first met, as strings.
        """
        labels = torch.tensor(self._labels, dtype=torch.int64)
        return names_of(labels, self._names) if self._names else labels.numpy()

    @property
    def _labels(self) -> list[int]:
        """Numbers of all labels learnt, ascending."""
        return sorted({label for component in self.components for label in component.classes})

    @torch_as_it_comes()
    def component_scores(self, x: Any, components: Sequence[int] | None = None) -> ComponentScores:
        """Bounds and class log-probabilities under every component, or under some.

        Examples
        --------
        >>> mixture = learnt_example()
        >>> mixture.component_scores(np.zeros((3, 1, 8, 8))).elbo.shape
        torch.Size([3, 2])
        """
        images = self._check(x)
        if components is None:
            return self._router().scores(images, self._routing_noise())
        chosen = [self.components[self._index(k, "components has")] for k in _listed(components, "components")]
        return Router(chosen).scores(images, self._routing_noise())

    @torch_as_it_comes()
    def predict_proba(self, x: Any, *, component: int | None = None, classes: Sequence[Any] | None = None) -> Any:
        """Class probabilities, summed over components by p(k|x).

        Parameters
        ----------
        x
            Images.
        component
            Ask this one alone (the task-aware protocol); it must know one of the classes. By default all answer.
        classes
            Labels that compete; by default all of ``classes_``.

        Returns
        -------
        array or tensor
            Shape ``(n, classes)``, columns in the order of ``classes`` or ``classes_``.

        Examples
        --------
        >>> learnt_example().predict_proba(np.zeros((3, 1, 8, 8))).shape
        (3, 4)
        """
        return like_given(self._proba(x, component, self._competing(classes)), x)

    @torch_as_it_comes()
    def predict(self, x: Any, *, component: int | None = None, classes: Sequence[Any] | None = None) -> Any:
        """Most probable label of each image, shape ``(n,)``; parameters as :meth:`predict_proba`.

        Labels that were learnt as names are predicted as names: an array of strings, whatever ``x`` is.

        Examples
        --------
        >>> learnt_example().predict(np.zeros((3, 1, 8, 8))).shape
        (3,)
        """
        competing = self._competing(classes)
        chosen = torch.tensor(competing, dtype=torch.int64)[self._proba(x, component, competing).argmax(1)]
        return names_of(chosen, self._names) if self._names else like_given(chosen, x)

    @torch_as_it_comes()
    def score_samples(self, x: Any, *, scores: ComponentScores | None = None) -> Any:
        """Lower bound of log p(x) under the whole model, nats per example, shape ``(n,)``; estimated by draws.

        Eight fixed draws of the code per example (four and their mirror images), so that the same image always
        gets the same number. Components that score more than 20 nats below the best (see ``component_scores``) are
        left out of the sum, which keeps it a lower bound.

        Parameters
        ----------
        x
            Images.
        scores
            Of the same images, from ``component_scores``, if they are there already.

        Examples
        --------
        >>> learnt_example().score_samples(np.zeros((3, 1, 8, 8))).shape
        (3,)
        """
        images = self._check(x)
        if scores is not None and not _are_scores(scores, len(images), self._learnt()):
            raise BadInput("scores are not those of x; give what component_scores(x) returned, or nothing")
        generator = torch.Generator().manual_seed(_BOUND_SEED)
        half = torch.randn(_BOUND_DRAWS // 2, self._learnt()[0].latent, generator=generator)
        scores = scores or self._router().scores(images, self._routing_noise())

        def tight(k: int, rows: Tensor) -> Tensor:
            return Router([self.components[k]]).scores(images[rows], torch.cat([half, -half])).elbo[:, 0]

        return like_given(total_elbo(scores.elbo, self.log_prior, tight), x)

    @torch_as_it_comes()
    def reconstruct(self, x: Any, *, component: int | None = None) -> Any:
        """Images decoded from their posterior mean by the component that answers for each, in [0, 1].

        Examples
        --------
        >>> learnt_example().reconstruct(np.zeros((3, 1, 8, 8))).shape
        (3, 1, 8, 8)
        """
        images = self._check(x)
        self._require_room(len(images), self.shape, "reconstructing")
        output = torch.empty(images.shape, dtype=torch.float32)
        for k, rows in self._shares(images, component):
            output[rows] = in_pieces(self.components[k], "reconstruct", images[rows])
        return like_given(output.clamp_(0.0, 1.0), x)

    @torch_as_it_comes()
    def encode(self, x: Any, *, component: int | None = None) -> Any:
        """Posterior mean of the code under the component that answers for each image, shape ``(n, latent)``.

        Examples
        --------
        >>> learnt_example().encode(np.zeros((3, 1, 8, 8))).shape
        (3, 2)
        """
        images = self._check(x)
        output = torch.empty(len(images), self._learnt()[0].latent)
        for k, rows in self._shares(images, component):
            output[rows] = in_pieces(self.components[k], "code", images[rows])
        return like_given(output, x)

    @torch_as_it_comes()
    def sample(self, n: int, component: int | None = None, label: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Generate images.

        Parameters
        ----------
        n
            How many.
        component
            From this one; by default from all, in proportion to the examples that they learnt.
        label
            Of this class, a number or a name as it was learnt; by default of all.

        Returns
        -------
        images
            ``float32`` in [0, 1], shape ``(n, channels, height, width)``.
        labels
            Asked for when generating, shape ``(n,)``: ``int64``, -1 without a class; or names, ``None`` without one.

        Examples
        --------
        >>> images, labels = learnt_example().sample(5, label=2)
        >>> images.shape, labels
        ((5, 1, 8, 8), array([2, 2, 2, 2, 2]))
        """
        n = require_whole(n, "n", 1)
        number = None if label is None else self._label(label)
        chances = self._source(component, number)
        self._require_room(n, self.shape, "generating")
        from_prior = self.settings.from_prior
        draws = self._draws.clone_state()  # whatever fails on the way must not move the model's own
        which = torch.multinomial(chances, n, replacement=True, generator=draws)
        images, labels = torch.empty(n, *self.shape), no_labels(n)
        for k in which.unique().tolist():
            rows = (which == k).nonzero()[:, 0]
            source = self.components[k]
            if number is None:
                drawn = replay(source, len(rows), draws, from_prior=from_prior)
            else:
                positions = torch.full((len(rows),), source.classes.index(number))
                drawn = generate(source, positions, draws, from_prior=from_prior)
            images[rows] = drawn.x
            labels[rows] = labels[rows] if drawn.y is None else drawn.y
        answer = images.numpy(), names_of(labels, self._names) if self._names else labels.numpy()
        self._draws.set_state(draws.get_state())
        return answer

    @torch_as_it_comes()
    def translate(self, x: Any, *, component: int | None = None) -> Any:
        """What each source image becomes, by the component that answers for it, in [0, 1].

        Parameters
        ----------
        x
            Source images, such as were learnt in pairs.
        component
            Ask this one; by default the one that each image is routed to.

        Returns
        -------
        array or tensor
            Shape ``(n, target channels, height, width)``.

        Raises
        ------
        BadInput
            The model learnt no pairs.
        """
        images = self._check(x)
        shape = self._learnt()[0].target_shape
        if shape is None:
            raise BadInput(
                "this model learnt no pairs of images and can't translate; learn((source, target)) teaches it"
            )
        self._require_room(len(images), shape, "translating to")
        output = torch.empty(len(images), *shape)
        for k, rows in self._shares(images, component):
            output[rows] = in_pieces(self.components[k], "translate", images[rows])
        return like_given(output.clamp_(0.0, 1.0), x)

    @torch_as_it_comes()
    def interpolate(self, a: Any, b: Any, steps: int = 8, *, component: int | tuple[int, int] | None = None) -> Any:
        """Images between two images: on the straight line between their codes.

        Both codes lie in the latent space of one component, or each end is coded by a component of its own (our form:
        latent spaces of two components have nothing in common but the prior). The line between the codes is decoded
        twice, with component and class of ``a`` and with those of ``b``, whose share grows from 0 to 1 along it.

        Parameters
        ----------
        a, b
            One example each, with or without the axis of a batch of one: an image of shape ``(channels, height,
            width)`` or ``(1, channels, height, width)``, a vector of shape ``(numbers,)`` or ``(1, numbers)``.
        steps
            Number of images, both ends included.
        component
            Whose latent space; two: that of ``a`` and that of ``b``. By default that of the component which explains
            the pair best.

        Returns
        -------
        array or tensor
            Shape ``(steps, channels, height, width)``, in [0, 1].

        Examples
        --------
        >>> mixture = learnt_example()
        >>> mixture.interpolate(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), steps=5).shape
        (5, 1, 8, 8)
        >>> mixture.interpolate(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), component=(0, 1)).shape
        (8, 1, 8, 8)
        """
        steps = require_whole(steps, "steps", 2)
        self._require_room(steps, self.shape, "interpolating with")
        ends = torch.cat([as_float(self._one(a, "a")), as_float(self._one(b, "b"))])
        if component is None:
            elbo = self._router().scores(ends, self._routing_noise()).elbo
            component = int((elbo + self.log_prior).sum(0).argmax())
        pair = component if isinstance(component, tuple) else (component, component)
        last = len(self.components) - 1
        if len(pair) != 2 or not all(is_whole(k, 0, last) for k in pair):
            raise BadInput(f"component is {shown(component)}; allowed are 0 to {last}, and a tuple of two of these")
        first, second = (self.components[k] for k in pair)
        path = _path(first, second, ends, steps)
        return like_given(path.clamp_(0.0, 1.0), a)

    def _learnt(self) -> tuple[Component, ...]:
        if not self.components:
            raise NotLearnt("nothing was learnt yet; call learn(data) first")
        return self.components

    def _check(self, x: Any, name: str = "x") -> Tensor:
        return check_examples(x, self.domain, name=name)

    def _one(self, example: Any, name: str) -> Tensor:
        """Return one example, given alone or as a batch of one, as a checked batch of one."""
        given = read_examples(example, self.domain, name)
        batch = given[None] if given.ndim == len(self.shape) else given
        if batch.ndim == 1 + len(self.shape) and len(batch) != 1:
            raise BadInput(f"{name} has {len(batch)} examples; interpolation goes between one and one")
        return self._check(batch, name)

    def _index(self, component: Any, given: str = "component is") -> int:
        last = len(self._learnt()) - 1
        if not is_whole(component, 0, last):
            raise BadInput(f"{given} {shown(component)}; allowed are 0 to {last}")
        return int(component)

    def _proba(self, x: Any, component: int | None, competing: Sequence[int]) -> Tensor:
        """Probability of every competing class, of all components or of one alone, shape ``(n, classes)``."""
        if component is None:
            scores = self.component_scores(x)
            asked = self.components
            weights = log_responsibilities(scores.elbo, self.log_prior)
        else:
            component = self._index(component)
            asked = (self.components[component],)
            if not set(asked[0].classes).intersection(competing):
                raise BadInput(
                    f"component is {component}, which knows {self._all_called(asked[0].classes)}; allowed are those "
                    f"that know one of the classes that compete, {self._all_called(competing)}"
                )
            scores = self.component_scores(x, [component])
            weights = torch.zeros_like(scores.elbo)
        return combine(weights, scores.class_log_proba, [c.classes for c in asked], competing)

    def _competing(self, classes: Any) -> list[int]:
        """Numbers of the labels asked for, by default of all."""
        known = self._known()
        if classes is None:
            return known
        asked = _listed(classes, "classes")
        numbers = [self._number(label) for label in asked]
        if len(set(numbers)) < len(asked) or not set(numbers) <= set(known):
            raise BadInput(f"classes is {shown(asked)}; allowed are different labels among {self._allowed()}")
        return numbers

    def _label(self, label: Any) -> int:
        """Number of a label that was learnt."""
        known, number = self._known(), self._number(label)
        if number not in known:
            raise BadInput(f"label is {shown(label)}; allowed are {self._allowed()}")
        return number

    def _known(self) -> list[int]:
        """Numbers of the labels learnt, of which there must be some."""
        self._learnt()
        if not self._labels:
            raise BadInput("this model learnt without labels and knows no classes; route(x) tells components")
        return self._labels

    def _allowed(self) -> str:
        return shown(self.classes_.tolist())

    def _number(self, label: Any) -> int:
        """Number of one label as the user calls it, -1 if there is none such."""
        if self._names:
            return self._names.index(label) if isinstance(label, str) and label in self._names else UNLABELLED
        return int(label) if is_whole(label, 0) else UNLABELLED

    def _called(self, number: int) -> str | int:
        """A label as the user calls it."""
        return self._names[number] if self._names else number

    def _all_called(self, numbers: Sequence[int]) -> str:
        return shown([self._called(number) for number in sorted(numbers)])

    def _require_room(self, n: int, shape: Shape, what: str) -> None:
        require_room(_COPIES * 4 * n * math.prod(shape), f"{what} {n} images of shape {shape}")

    def _routing_noise(self) -> Tensor:
        return routing_noise(self.settings.routing_draws, self._learnt()[0].latent)

    def _shares(self, images: Tensor, component: int | None) -> list[tuple[int, Tensor]]:
        """Which rows each component answers for."""
        if component is not None:
            return [(self._index(component), torch.arange(len(images)))]
        if len(self.components) == 1:
            return [(0, torch.arange(len(images)))]
        route = route_examples(self._router().scores(images, self._routing_noise()).elbo, self.log_prior)
        return [(k, (route == k).nonzero()[:, 0]) for k in route.unique().tolist()]

    def _source(self, component: int | None, label: int | None) -> Tensor:
        """Chance of every component to be drawn from."""
        chance = self.log_prior.exp()
        if component is not None:
            chance = torch.nn.functional.one_hot(torch.tensor(self._index(component)), len(self.components)).float()
        if label is not None:
            chance = chance * torch.tensor([float(label in c.classes) for c in self.components])
            if not bool(chance.any()):
                known = self.components[0 if component is None else component].classes
                raise BadInput(
                    f"label is {self._called(label)!r}; component {component} knows {self._all_called(known)}"
                )
        return chance


def _listed(values: Any, name: str) -> list[Any]:
    """What was given as several values, as a list; not what has no end, or would be taken for its keys."""
    listed: Any = None
    if isinstance(values, (list, tuple, range, set, frozenset)):
        listed = list(values)
    elif is_array(values):
        given = read(values, name)
        if isinstance(given, (list, tuple)):
            listed = list(given)
        elif given.ndim == 1:
            listed = given.tolist()
    if not listed:
        raise BadInput(f"{name} is {shown(values)}; allowed is a list of one or more")
    assert isinstance(listed, list)
    return listed


def _are_scores(scores: Any, n: int, components: Sequence[Component]) -> bool:
    """Whether that can be what these components say of so many images."""
    if not isinstance(scores, ComponentScores) or not isinstance(scores.class_log_proba, tuple):
        return False
    parts = [scores.elbo, *scores.class_log_proba]
    shapes = [(n, len(components)), *((n, len(component.classes)) for component in components)]
    return len(parts) == len(shapes) and all(
        isinstance(part, Tensor)
        and (part.dtype, part.device.type, part.layout) == (torch.float32, "cpu", torch.strided)
        and part.shape == shape
        for part, shape in zip(parts, shapes, strict=True)
    )


@torch.no_grad()
def _path(first: Component, second: Component, ends: Tensor, steps: int) -> Tensor:
    """Images ``(steps, *shape)`` from ``ends[0]`` under one component to ``ends[1]`` under another or the same."""
    (start, start_logits), (end, end_logits) = (
        component.encode(image.to(_device(component))) for component, image in ((first, ends[:1]), (second, ends[1:]))
    )
    share = torch.linspace(0.0, 1.0, steps, device=start.device)[:, None]
    codes = (1.0 - share) * start + share * end
    blend = share[:, :, None, None]
    from_first = first.decode(codes, most_likely(start_logits).expand(steps))
    from_second = second.decode(codes, most_likely(end_logits).expand(steps))
    return ((1.0 - blend) * from_first + blend * from_second).cpu()


def _device(component: Component) -> torch.device:
    return next(component.parameters()).device


@torch.no_grad()
def in_pieces(component: Component, verb: Literal["reconstruct", "code", "rate", "translate"], x: Tensor) -> Tensor:
    """A component's answer for images, on its device in pieces that bound the memory; on the CPU."""
    answer: Callable[[Tensor], Tensor] = getattr(component, verb)
    return torch.cat([answer(as_float(piece.to(_device(component)))).cpu() for piece in x.split(_ROWS)])


def routing_noise(draws: int, latent: int) -> Tensor:
    """Fixed draws of the code for comparing components, shape ``(draws, latent)``; zero draws: the posterior mean."""
    if draws == 0:
        return torch.zeros(1, latent)
    require_room(4 * draws * latent, f"routing_draws of {draws} codes of length {latent}")
    return torch.randn(draws, latent, generator=torch.Generator().manual_seed(_BOUND_SEED))


@torch.no_grad()
def ex_post_density(
    component: Component,
    x: Tensor,
    positions: Tensor,
    weight: Tensor,
    settings: Settings,
    generator: torch.Generator,
) -> LatentDensity:
    """Fit where a component's codes lie, from the posterior means of the images that it was trained on.

    ``weight``, shape ``(n,)``, says how many examples each image stands for.
    """
    codes = in_pieces(component, "code", x)
    if not bool(torch.isfinite(codes).all()):
        raise NonFiniteLoss("codes are not finite after training; nothing was changed. Try a lower learning_rate")
    if not bool((weight == weight[0]).all()):
        rows = torch.multinomial(weight, len(weight), replacement=True, generator=generator)
        codes, positions = codes[rows], positions[rows]
    seed = int(torch.randint(2**31, (), generator=generator))
    return LatentDensity.fit(codes, positions, settings.density_components, seed)
