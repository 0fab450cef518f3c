"""Model: the verbs that a mixture and a student share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.data.domain import Domain, Shape
from growmix.data.task import as_float, check_examples, like_given, read_examples
from growmix.errors import BadInput
from growmix.learning.answers import (
    are_scores_of,
    between,
    bound,
    by_components,
    class_probabilities,
    codes_of,
    drawn,
    pairs_of,
    require_room_for,
    scores_under,
)
from growmix.learning.knowledge import Knowledge, listed
from growmix.learning.routing import ComponentScores
from growmix.settings import Settings, require_whole
from growmix.storage.random_state import set_state
from growmix.system.ambient import torch_as_it_comes
from growmix.system.threads import OwnLock


class Model(ABC):
    """Interface of everything that answers for examples: what it must know, and the verbs that follow from it.

    All verbs take ``x`` as arrays (numpy in, numpy out) or tensors (tensors out): images ``(n, channels, height,
    width)``, ``float`` in [0, 1] or bytes, or vectors ``(n, numbers)``; and as all else that
    :func:`growmix.data.check_examples` takes. Examples unlike those learnt raise :class:`growmix.errors.BadInput`.

    Any number of threads can call the verbs at once, also while another thread calls ``learn``: each call answers from
    what was known when it began.

    Parameters
    ----------
    settings
        All parameters, see :class:`growmix.settings.Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sampling = torch.Generator().manual_seed(settings.seed).get_state()  # only ``sample`` moves it
        self._sampling_lock = OwnLock()

    @property
    @abstractmethod
    def _knowledge(self) -> Knowledge:
        """What it answers from at this moment; every verb asks for it once."""

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order in which they were added."""
        return self._knowledge.components

    @property
    def examples(self) -> int:
        """Number of examples learnt."""
        return sum(self._knowledge.examples)

    @property
    @torch_as_it_comes()
    def log_prior(self) -> Tensor:
        """Log share of every component among the examples learnt, shape ``(components,)``."""
        known = self._knowledge
        known.learnt()
        return known.log_prior.clone()

    @property
    def _names(self) -> tuple[str, ...]:
        return self._knowledge.names

    @property
    def _labels(self) -> tuple[int, ...]:
        """Numbers of all labels learnt, ascending."""
        return self._knowledge.labels

    @property
    def shape(self) -> Shape:
        """Axes of one example: three of an image, one of a vector."""
        return self._knowledge.learnt()[0].shape

    @property
    def domain(self) -> Domain:
        """Shape and support of the examples, as the first task fixed them."""
        return self._knowledge.domain()

    @property
    def target_shape(self) -> Shape | None:
        """Axes of the examples that a pair is translated to; ``None`` where no pairs were learnt."""
        return self._knowledge.target_shape

    @property
    @torch_as_it_comes()
    def classes_(self) -> np.ndarray:
        """All labels learnt; empty when there were none.

        Numbers ascending, ``int64``; names in the order in which they were first met, as strings.
        """
        return self._knowledge.classes()

    @torch_as_it_comes()
    def component_scores(self, x: Any, components: Sequence[int] | None = None) -> ComponentScores:
        """Return the score of examples under every component, or under some, with the class log-probabilities.

        Examples
        --------
        >>> mixture = learnt_example()
        >>> mixture.component_scores(np.zeros((3, 1, 8, 8))).elbo.shape
        torch.Size([3, 2])
        """
        known = self._knowledge
        checked = check_x(known, x)
        chosen = components
        if chosen is not None:
            chosen = [known.index(k, "components has") for k in listed(chosen, "components")]
        return scores_under(known, checked, self.settings.routing_draws, chosen)

    @torch_as_it_comes()
    def predict_proba(self, x: Any, *, component: int | None = None, classes: Sequence[Any] | None = None) -> Any:
        """Return class probabilities, summed over components by p(k|x).

        Parameters
        ----------
        x
            Examples without labels.
        component
            The only component to ask (the task-aware protocol), which must know one of the classes; by default all
            answer.
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
        known = self._knowledge
        competing = known.competing(classes)
        draws = self.settings.routing_draws
        return like_given(class_probabilities(known, check_x(known, x), draws, component, competing), x)

    @torch_as_it_comes()
    def predict(self, x: Any, *, component: int | None = None, classes: Sequence[Any] | None = None) -> Any:
        """Return the most probable label of each example, shape ``(n,)``; parameters as :meth:`predict_proba`.

        Labels that were learnt as names are predicted as names: an array of strings, whatever ``x`` is.

        Examples
        --------
        >>> learnt_example().predict(np.zeros((3, 1, 8, 8))).shape
        (3,)
        """
        known = self._knowledge
        competing = known.competing(classes)
        draws = self.settings.routing_draws
        proba = class_probabilities(known, check_x(known, x), draws, component, competing)
        chosen = torch.tensor(competing, dtype=torch.int64)[proba.argmax(1)]
        return known.as_called(chosen) if known.names else like_given(chosen, x)

    @torch_as_it_comes()
    def score_samples(self, x: Any, *, scores: ComponentScores | None = None) -> Any:
        """Return a lower bound of log p(x) under the whole model, nats per example, shape ``(n,)``.

        It is estimated by eight fixed draws of the code per example (four and their mirror images), so that the same
        example always gets the same number. Components that score more than 20 nats below the best (see
        ``component_scores``) are left out of the sum, which keeps it a lower bound.

        Parameters
        ----------
        x
            Examples without labels.
        scores
            What ``component_scores`` returned for the same examples, if it was called already.

        Examples
        --------
        >>> learnt_example().score_samples(np.zeros((3, 1, 8, 8))).shape
        (3,)
        """
        known = self._knowledge
        checked = check_x(known, x)
        if scores is not None and not are_scores_of(scores, len(checked), known.learnt()):
            raise BadInput("scores are not those of x; give what component_scores(x) returned, or nothing")
        scores = scores or scores_under(known, checked, self.settings.routing_draws)
        return like_given(bound(known, checked, scores), x)

    @torch_as_it_comes()
    def reconstruct(self, x: Any, *, component: int | None = None) -> Any:
        """Decode examples from their posterior mean, each by the component that answers for it.

        Examples
        --------
        >>> learnt_example().reconstruct(np.zeros((3, 1, 8, 8))).shape
        (3, 1, 8, 8)
        """
        known = self._knowledge
        checked, shape = check_x(known, x), known.learnt()[0].shape
        codes_of(known.learnt()[0], "reconstruct")  # told before anything is scored
        require_room_for(len(checked), shape, "reconstructing")
        draws = self.settings.routing_draws
        output = by_components(
            known, checked, draws, component, lambda each: codes_of(each, "reconstruct").reconstruct, shape
        )
        return like_given(known.domain().project(output), x)

    @torch_as_it_comes()
    def encode(self, x: Any, *, component: int | None = None) -> Any:
        """Return the code (posterior mean) under the component that answers for each example, ``(n, latent)``.

        Examples
        --------
        >>> learnt_example().encode(np.zeros((3, 1, 8, 8))).shape
        (3, 2)
        """
        known = self._knowledge
        checked, shape = check_x(known, x), (codes_of(known.learnt()[0], "encode").latent,)
        draws = self.settings.routing_draws
        codes = by_components(known, checked, draws, component, lambda each: codes_of(each, "encode").code, shape)
        return like_given(codes, x)

    @torch_as_it_comes()
    def sample(self, n: int, component: int | None = None, label: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Generate examples, with the labels that were asked for.

        Parameters
        ----------
        n
            Number of examples to generate.
        component
            The only component to draw from; by default all, in proportion to the examples that they learnt.
        label
            The only class to draw, a number or a name as it was learnt; by default all.

        Returns
        -------
        examples
            Generated examples, ``float32``, shape ``(n, *shape)``; pixels lie in [0, 1].
        labels
            Labels that were asked for, shape ``(n,)``: ``int64``, -1 without a class; or names, ``None`` without one.

        Examples
        --------
        >>> examples, labels = learnt_example().sample(5, label=2)
        >>> examples.shape, labels
        ((5, 1, 8, 8), array([2, 2, 2, 2, 2]))
        """
        n = require_whole(n, "n", 1)
        known = self._knowledge
        require_room_for(n, known.learnt()[0].shape, "generating")
        number = None if label is None else known.label(label)
        with self._sampling_lock.held:  # or two threads would draw the same numbers
            set_state(generator := torch.Generator(), self._sampling)
            examples, labels = drawn(known, n, component, number, generator)
            answer = examples.numpy(), known.as_called(labels)
            self._sampling = generator.get_state()  # the last step: whatever fails before it moves nothing
        return answer

    @torch_as_it_comes()
    def translate(self, x: Any, *, component: int | None = None) -> Any:
        """Translate source images, each by the component that answers for it; pixels lie in [0, 1].

        Parameters
        ----------
        x
            Source images, such as were learnt in pairs.
        component
            The only component to ask; by default the one that each image is routed to.

        Returns
        -------
        array or tensor
            Shape ``(n, target channels, height, width)``.

        Raises
        ------
        BadInput
            The model learnt no pairs.
        """
        known = self._knowledge
        checked, shape = check_x(known, x), known.target_shape
        if shape is None:
            raise BadInput(
                "this model learnt no pairs of images and can't translate; learn((source, target)) teaches it"
            )
        require_room_for(len(checked), shape, "translating to")
        output = by_components(
            known,
            checked,
            self.settings.routing_draws,
            component,
            lambda each: pairs_of(each, "translate").translate,
            shape,
        )
        return like_given(output.clamp_(0.0, 1.0), x)

    @torch_as_it_comes()
    def interpolate(self, a: Any, b: Any, steps: int = 8, *, component: int | tuple[int, int] | None = None) -> Any:
        """Return examples between two examples: on the straight line between their codes.

        Both codes lie in the latent space of one component, or each end is coded by a component of its own (our form:
        latent spaces of two components have nothing in common but the prior). The line between the codes is decoded
        twice, with component and class of ``a`` and with those of ``b``, whose share grows from 0 to 1 along it.

        Parameters
        ----------
        a, b
            One example each, with or without the axis of a batch of one: an image of shape ``(channels, height,
            width)`` or ``(1, channels, height, width)``, a vector of shape ``(numbers,)`` or ``(1, numbers)``.
        steps
            Number of examples on the line, both ends included.
        component
            The component whose latent space the line lies in; or two, that of ``a`` and that of ``b``. By default the
            component which explains the pair best.

        Returns
        -------
        array or tensor
            Shape ``(steps, *shape)``; pixels lie in [0, 1].

        Examples
        --------
        >>> mixture = learnt_example()
        >>> mixture.interpolate(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), steps=5).shape
        (5, 1, 8, 8)
        >>> mixture.interpolate(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), component=(0, 1)).shape
        (8, 1, 8, 8)
        """
        steps = require_whole(steps, "steps", 2)
        known = self._knowledge
        require_room_for(steps, known.learnt()[0].shape, "interpolating with")
        ends = torch.cat([as_float(_one(known, a, "a")), as_float(_one(known, b, "b"))])
        path = between(known, ends, steps, self.settings.routing_draws, component)
        return like_given(known.domain().project(path), a)


def check_x(known: Knowledge, x: Any, name: str = "x") -> Tensor:
    """Return examples as a user gives them as a tensor of the domain that was learnt, or refuse them in words."""
    return check_examples(x, known.domain(), name=name)


def _one(known: Knowledge, example: Any, name: str) -> Tensor:
    """Return one example, given alone or as a batch of one, as a checked batch of one."""
    domain = known.domain()
    given = read_examples(example, domain, name)
    batch = given[None] if given.ndim == len(domain.shape) else given
    if batch.ndim == 1 + len(domain.shape) and len(batch) != 1:
        raise BadInput(f"{name} has {len(batch)} examples; interpolation goes between one and one")
    return check_x(known, batch, name)
