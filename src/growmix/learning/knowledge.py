"""What a model knows at one moment: components, labels, shares. It is never changed, only replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from growmix.components.abilities import Pairs, Together
from growmix.components.component import Component
from growmix.data.arrays import is_array, read
from growmix.data.domain import Domain, Shape
from growmix.data.labels import Names, names_of
from growmix.data.task import UNLABELLED
from growmix.errors import BadInput, NotLearnt, shown
from growmix.learning.cascade import leading, leading_together, narrowed
from growmix.learning.judging import PRESET, ScoreWeights, judged
from growmix.learning.routing import ComponentScores, Router
from growmix.learning.shortlist import ALL, Lists, Shortlist
from growmix.settings import is_whole


@final
@dataclass(frozen=True, eq=False)
class Knowledge:
    """Components and what is known of them at one moment; any number of threads can ask it.

    Attributes
    ----------
    components
        The trained components, in the order in which they were added; nothing changes them any more. Those whose
        answers rest on one another, see :class:`growmix.components.abilities.Together`, are brought together here.
    examples
        How many examples each component learnt.
    names
        Names of the labels in the order of their numbers; empty where labels are numbers.
    weights
        What the scores of components that judge by several are weighed by.
    shortlist
        What says which of many components are worth scoring; ``None`` where all are scored.
    cascade
        How many components are scored in full for an example, those that lead by a cheap score; ``None`` for all.
    """

    components: tuple[Component, ...] = ()
    examples: tuple[int, ...] = ()
    names: Names = ()
    weights: ScoreWeights = PRESET
    shortlist: Shortlist | None = None
    cascade: int | None = None

    def __post_init__(self) -> None:
        first = self.components[0] if self.components else None
        if isinstance(first, Together):
            object.__setattr__(self, "components", first.together(self.components))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(Knowledge(**state).__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # a copy makes its own router

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """Numbers of all labels learnt, ascending."""
        return tuple(sorted({label for component in self.components for label in component.classes}))

    @cached_property
    def log_prior(self) -> Tensor:
        """Log share of every component among the examples learnt, shape ``(components,)``."""
        counts = torch.tensor(self.examples, dtype=torch.float32)
        return (counts / counts.sum()).log()

    @cached_property
    def router(self) -> Router:
        """What scores examples under all components."""
        return Router(self.learnt())

    def after(self, index: int, component: Component, examples: int) -> Knowledge:
        """Return what is known with a component that is new, or was trained again, on so many more examples."""
        components, counts = dict(enumerate(self.components)), dict(enumerate(self.examples))
        components[index], counts[index] = component, counts.get(index, 0) + examples
        learnt, numbers = tuple(components.values()), tuple(counts.values())
        return replace(self, components=learnt, examples=numbers, shortlist=None, cascade=None)  # all are asked

    def then(self, examples: Sequence[int]) -> Knowledge:
        """Return what was known of the first so many components, when each had learnt so many examples."""
        shortlist = None if self.shortlist is None else self.shortlist.first(len(examples))
        components = self.components[: len(examples)]
        return replace(self, components=components, examples=tuple(examples), shortlist=shortlist)

    def judged(self, scores: ComponentScores) -> ComponentScores:
        """Return scores of its components as they count in its answers."""
        return judged(scores, self.weights)

    def listed(self, x: Tensor, competing: Sequence[int] | None = None) -> Tensor | None:
        """Return which components are worth scoring for each example, shape ``(n, listed)``; ``None``: all are.

        Parameters
        ----------
        x
            Checked examples, shape ``(n, *shape)``.
        competing
            Numbers of the labels that compete, some of which a component must know; by default every component may
            answer.
        """
        able = None
        if competing is not None and len(competing) < len(self.labels):
            able = torch.tensor([not set(competing).isdisjoint(component.classes) for component in self.components])
        listed = None if self.shortlist is None else self.shortlist.listed(x, able)
        most = self._in_full
        if most is None:
            return listed
        if listed is None and able is not None:
            listed = able.nonzero()[:, 0].expand(len(x), -1)
        return leading(self.router.cheap_scores(x, listed), self.log_prior, most)

    def listed_together(self, x: Tensor) -> Tensor | None:
        """Return which components are worth scoring for a group that comes from one task, see :meth:`listed`."""
        listed = None if self.shortlist is None else self.shortlist.listed_together(x)
        most = self._in_full
        if most is None:
            return listed
        return leading_together(self.router.cheap_scores(x, listed), self.log_prior, most)

    def lists(self, x: Tensor, cheap: Callable[[int], Tensor]) -> Lists:
        """Return which components are worth scoring, as :meth:`listed` and :meth:`listed_together` say.

        Parameters
        ----------
        x
            Checked examples, shape ``(n, *shape)``.
        cheap
            Returns the cheap scores of all examples under a component, shape ``(n,)``; called where they matter.
        """
        lists = ALL if self.shortlist is None else self.shortlist.lists(x)
        most = self._in_full
        if most is None:
            return lists
        scores = torch.stack([cheap(k) for k in range(len(self.components))], dim=1)
        return narrowed(lists, scores, self.log_prior, most)

    @property
    def _in_full(self) -> int | None:
        """How many components are scored in full; ``None`` where all that are listed are."""
        return self.cascade if self.cascade and self.cascade < len(self.components) else None

    def learnt(self) -> tuple[Component, ...]:
        """Return the components, of which there must be some.

        Raises
        ------
        NotLearnt
            Nothing was learnt yet.
        """
        if not self.components:
            raise NotLearnt("nothing was learnt yet; call learn(data) first")
        return self.components

    def domain(self) -> Domain:
        """Return shape and support of the examples, as the first task fixed them."""
        return self.learnt()[0].domain

    @property
    def target_shape(self) -> Shape | None:
        """Axes of the examples that a pair is translated to; ``None`` where no pairs were learnt."""
        first = self.learnt()[0]
        return first.target.shape if isinstance(first, Pairs) else None

    def index(self, component: Any, given: str = "component is") -> int:
        """Return the index of a component that a user asks for.

        Raises
        ------
        BadInput
            There is no component of that number.
        """
        last = len(self.learnt()) - 1
        if not is_whole(component, 0, last):
            raise BadInput(f"{given} {shown(component)}; allowed are 0 to {last}")
        return int(component)

    # Labels as users call them ---------------------------------------------------------------------------------

    def classes(self) -> np.ndarray:
        """Return all labels learnt: numbers ascending, or names in the order in which they were first met."""
        labels = torch.tensor(self.labels, dtype=torch.int64)
        return names_of(labels, self.names) if self.names else labels.numpy()

    def competing(self, classes: Any) -> list[int]:
        """Return the numbers of the labels that a user asks for; ``None`` asks for all.

        Raises
        ------
        BadInput
            A label was not learnt, or is given twice, or nothing was learnt with labels.
        """
        known = self._known_labels()
        if classes is None:
            return known
        asked = listed(classes, "classes")
        numbers = [self._number(label) for label in asked]
        if len(set(numbers)) < len(asked) or not set(numbers) <= set(known):
            raise BadInput(f"classes is {shown(asked)}; allowed are different labels among {self._allowed()}")
        return numbers

    def label(self, label: Any) -> int:
        """Return the number of a label as the user calls it.

        Raises
        ------
        BadInput
            The label was not learnt.
        """
        known, number = self._known_labels(), self._number(label)
        if number not in known:
            raise BadInput(f"label is {shown(label)}; allowed are {self._allowed()}")
        return number

    def called(self, number: int) -> str | int:
        """Return a label as the user calls it."""
        return self.names[number] if self.names else number

    def all_called(self, numbers: Sequence[int]) -> str:
        """Return several labels as the user calls them, for a message."""
        return shown([self.called(number) for number in sorted(numbers)])

    def as_called(self, numbers: Tensor) -> np.ndarray:
        """Return labels ``(n,)`` as the user calls them: whole numbers, or names and ``None``."""
        return names_of(numbers, self.names) if self.names else numbers.numpy()

    def _known_labels(self) -> list[int]:
        self.learnt()
        if not self.labels:
            raise BadInput("this model learnt without labels and knows no classes; route(x) tells components")
        return list(self.labels)

    def _allowed(self) -> str:
        return shown(self.classes().tolist())

    def _number(self, label: Any) -> int:
        """Return the number of one label as the user calls it, -1 if there is none such."""
        if self.names:
            return self.names.index(label) if isinstance(label, str) and label in self.names else UNLABELLED
        return int(label) if is_whole(label, 0) else UNLABELLED


def listed(values: Any, name: str) -> list[Any]:
    """Return what was given as several values as a list.

    Raises
    ------
    BadInput
        The values are none, have no end (an iterator), or would be taken for keys (a dictionary, a table).
    """
    found: Any = None
    if isinstance(values, (list, tuple, range, set, frozenset)):
        found = list(values)
    elif is_array(values):
        given = read(values, name)
        if isinstance(given, (list, tuple)):
            found = list(given)
        elif given.ndim == 1:
            found = given.tolist()
    if not found:
        raise BadInput(f"{name} is {shown(values)}; allowed is a list of one or more")
    assert isinstance(found, list)
    return found
