"""Components of like structure scored in one batched call."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from growmix.components.component import Component
from growmix.data.task import as_float
from growmix.errors import LONGEST_REASON, BadInput, shortened

FEW_ROWS = 32
"""Examples up to which a CPU gains from batching over components; with more, one component fills it already."""

MOST_STACKED = 2**30
"""Bytes of weights that are held a second time, stacked, for batched calls on a CPU; larger groups are not batched."""


@contextmanager
def fitting(n: int, device: torch.device) -> Iterator[None]:
    """Say in words, within, that scoring so many examples takes more memory than a device has."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadInput(
            f"to score {n} examples does not fit into the memory of {device}; narrower networks take less "
            f"(hidden, width, denoiser_width, recogniser_width) ({shortened(str(error), LONGEST_REASON)})"
        ) from error


@final
class Group:
    """Components whose networks differ in nothing but the numbers, which can be scored in one batched call."""

    def __init__(self, indices: Sequence[int], components: Sequence[Component]) -> None:
        self.indices = tuple(indices)
        self._members = [components[k] for k in indices]
        self._device = self._members[0].device
        self._own = threading.local()

    @cached_property
    def _state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        modules: list[nn.Module] = [*self._members]
        return stack_module_state(modules)

    @cached_property
    def _bytes(self) -> int:
        first = self._members[0]
        return len(self._members) * sum(tensor.nbytes for tensor in (*first.parameters(), *first.buffers()))

    def score(self, x: Tensor, noise: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Return score and class log-probabilities under each member."""
        with fitting(len(x), self._device):
            return self._scored(x, noise)

    def _scored(self, x: Tensor, noise: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        examples = as_float(x.to(self._device))
        given = (examples,) if noise is None else (examples, noise.to(self._device))
        one_by_one = self._device.type == "cpu" and (len(x) > FEW_ROWS or self._bytes > MOST_STACKED)
        if one_by_one or len(self._members) == 1:
            return [member(*given) for member in self._members]

        skeleton = self._skeleton()

        def one(state: tuple[dict[str, Tensor], dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
            answer: tuple[Tensor, Tensor] = functional_call(skeleton, state, given)
            return answer

        elbos, log_proba = vmap(one)(self._state)
        return list(zip(elbos, log_proba, strict=True))

    def _skeleton(self) -> Component:
        """Return a copy of a member without memory, for this thread alone.

        torch puts the numbers of each member into the module that it is given for the time of a call: no other thread
        may use that module meanwhile, least of all a component that answers.
        """
        if not hasattr(self._own, "skeleton"):
            self._own.skeleton = _without_memory(self._members[0])
        skeleton: Component = self._own.skeleton
        return skeleton


def _without_memory(component: Component) -> Component:
    """Return a copy of a component whose weights and buffers have shapes, but no numbers."""
    outlines: dict[int, Any] = {}
    for tensor in (*component.parameters(), *component.buffers()):
        outline = tensor.detach().to("meta")
        is_weight = isinstance(tensor, nn.Parameter)
        outlines[id(tensor)] = nn.Parameter(outline, requires_grad=False) if is_weight else outline
    # who copies deeply looks for every object in this record first, and takes what is there
    return copy.deepcopy(component, outlines)


def groups_of(components: Sequence[Component]) -> list[Group]:
    """Return the components in groups of those that can be scored in one call."""
    alike: dict[object, list[int]] = {}
    for k, component in enumerate(components):
        tensors = (*component.named_parameters(), *component.named_buffers())
        shapes = tuple((name, tensor.shape, tensor.device) for name, tensor in tensors)
        alike.setdefault((component.batch_key(), shapes), []).append(k)
    return [Group(indices, components) for indices in alike.values()]
