"""The one optimisation loop: AdamW over shuffled batches; it can go on in another process after any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from growmix.data.task import as_float
from growmix.errors import LONGEST_REASON, BadCheckpoint, BadInput, NonFiniteLoss, shortened
from growmix.storage.digests import digest_of
from growmix.storage.random_state import set_state
from growmix.storage.typed import check_outline, check_range, record_from
from growmix.system.compute_threads import torch_threads
from growmix.system.global_random import global_generator
from growmix.system.memory import require_room
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, FitInfo, Follower, Keeper, Progress, TrainingLog
from growmix.training.compiling import begin_step, compiled, told_of_compiling
from growmix.training.divergence import has_diverged
from growmix.training.fabric import reset_gradient_scale, sum_over_processes
from growmix.training.optimizer import make_optimizer
from growmix.training.patience import BestWeights
from growmix.training.schedules import make_schedule, move_on
from growmix.training.state import LoopState, TrainingState, adamw_outline, check_scaler, full_names

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SMALL_NETWORK = 500_000
"""Multiplications an example up to which a step is too short to be shared by threads (the digits' take 409,000)."""

KERNEL_PLACES = 16
"""One kernel is applied at a place for so many pixels: most layers read images that were halved twice."""


def fit(
    objective: nn.Module,
    data: Sequence[Tensor],
    noise: int,
    budget: Budget,
    fabric: Fabric,
    generator: torch.Generator,
    *,
    component: int | None,
    callbacks: Sequence[Callback] = (),
    held_out: Callable[[], float] | None = None,
    follower: Follower | None = None,
    draws_globally: bool = False,
) -> TrainingLog:
    """Minimise an objective over data in memory: AdamW, shuffled batches of nearly equal size.

    Parameters
    ----------
    objective
        ``forward(*batch, noise)`` gives the mean loss of a batch, nats per example.
    data
        Tensors with the same first dimension; the first are the examples. No example is ever dropped: batches
        differ by at most one in size.
    noise
        How many standard normal numbers every example gets at every step.
    budget
        How long and how to train.
    fabric
        Device, precision and strategy.
    generator
        Generator on the CPU for shuffling and noise.
    component
        Index of the component that callbacks receive; ``None`` for the student.
    callbacks
        Receive reports of the training as it goes. A :class:`Keeper` among them may know where an earlier process
        stopped.
    held_out
        Returns the ELBO of held-out data (nats, larger is better), and is called after every epoch when the budget has
        patience; the weights of the best epoch are kept.
    follower
        Looks on after every step.
    draws_globally
        Whether the objective draws from torch's global generator, as a user's own modules may; then it is seeded, and
        such trainings wait for each other.

    Raises
    ------
    NonFiniteLoss
        An epoch's loss is NaN or infinite, weights are after the last step, or the training diverged.
    BadCheckpoint
        A keeper returned a state that is not of this training.
    BadInput
        The device has too little memory, or the budget wants steps that can't be compiled there.
    """
    carried = sum(tensor.nbytes for tensor in data if tensor.device != fabric.device)
    require_room(carried, f"the {len(data[0])} examples to train on", device=fabric.device)
    best = BestWeights(held_out, budget.patience) if held_out and budget.patience else None
    threads = _threads(objective, data[0].shape[1:], fabric.device)
    with global_generator(generator, needed=draws_globally), torch_threads(threads), told_of_compiling(budget.compiled):
        loop = _Loop(objective, data, noise, budget, fabric, generator, follower, best, draws_globally)
        what: Literal["component", "student"] = "student" if component is None else "component"
        info = FitInfo(what, component, budget.epochs, loop.steps, loop.examples)
        keepers = [each for each in callbacks if isinstance(each, Keeper)] if fabric.world_size == 1 else []
        for keeper in keepers:
            training = {**asdict(info), **asdict(budget), "open": list(budget.open), "beginning": loop.beginning()}
            kept = keeper.recall(training, loop.check)
            if kept is not None:
                loop.restore(kept)
        for callback in callbacks:
            callback.on_fit_start(replace(info, done=loop.done))
        _run(loop, budget, best, callbacks, keepers)
    log = TrainingLog(len(loop.losses), loop.done, loop.seen, loop.seconds, tuple(loop.losses))
    for callback in callbacks:
        callback.on_fit_end(log)
    return log


def _run(
    loop: _Loop, budget: Budget, best: BestWeights | None, callbacks: Sequence[Callback], keepers: Sequence[Keeper]
) -> None:
    """Train epoch by epoch until the budget or the patience is used up."""
    objective = loop.objective
    objective.train()
    while not loop.finished:
        loss = loop.epoch(keepers)
        epoch = len(loop.losses)
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss is {loss} after epoch {epoch} of {budget.epochs}; nothing was changed. Try a "
                f"learning_rate below {budget.learning_rate:g} or a gradient_clip below {budget.gradient_clip:g}"
            )
        score = best.look(objective) if best else None
        loop.finished = epoch == budget.epochs or loop.done == loop.steps or (best is not None and best.gave_up)
        progress = Progress(epoch, budget.epochs, loop.done, loop.steps, loss, loop.seen / loop.seconds, score)
        for callback in callbacks:
            callback.on_epoch_end(progress)
        if loop.finished:
            if best:
                best.put_back(objective)
            loop.check_finite()
            loop.check_converged()
            for keeper in keepers:
                keeper.at_end(loop.state())
    objective.eval()


def _threads(module: nn.Module, shape: Sequence[int], device: torch.device) -> int | None:
    """Return one thread for a small network on a CPU: more gain nothing, and cost much beside other work.

    A weight of a convolution counts once for every place that its kernel is applied at: those of 28x28 have half as
    many weights as the limit and fifteen times its work, and two threads train them 1.7 times as fast as one.
    """
    places = max(1, math.prod(shape[1:]) // KERNEL_PLACES)
    work = sum(weight.numel() * (places if weight.ndim > 2 else 1) for weight in module.parameters())
    return 1 if device.type == "cpu" and work <= SMALL_NETWORK else None


@contextmanager
def _told_of_memory(device: torch.device, batch_size: int) -> Iterator[None]:
    """Say what to change where a step does not fit on a device: only the networks know how much one takes."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadInput(
            f"a step of training with batch_size {batch_size} does not fit into the memory of {device}; smaller "
            f"batches, networks or images take less ({shortened(str(error), LONGEST_REASON)})"
        ) from error


class _Loop:
    """Data on the device, an optimiser and a schedule, and how far they have come."""

    def __init__(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        noise: int,
        budget: Budget,
        fabric: Fabric,
        generator: torch.Generator,
        follower: Follower | None,
        best: BestWeights | None,
        draws_globally: bool,
    ) -> None:
        self.examples = len(data[0])
        # every process takes the same number of batches, or a collective call would wait for ever
        self._batches = fabric.world_size * math.ceil(self.examples / (budget.batch_size * fabric.world_size))
        whole = budget.epochs * self._batches // fabric.world_size
        self.steps = whole if budget.steps is None else min(budget.steps, whole)
        self.done = self.seen = self._done_in_epoch = 0
        self.losses: list[float] = []
        self.finished = False
        self._weights, self._optimizer = make_optimizer(objective, budget, fabric)
        self.objective = objective
        from growmix.training.mixed_precision import backward  # with Fabric, which takes seconds to import

        self._backward = backward
        reset_gradient_scale(fabric)
        what = compiled(objective, fabric.device) if budget.compiled else objective
        self._module, self._stepper = fabric.setup(what, self._optimizer)
        self._schedule = make_schedule(self._optimizer, budget, self.steps)
        self._follower, self._best = follower, best
        self._data = [tensor.to(fabric.device) for tensor in data]
        self._width, self._budget, self._fabric, self._order = noise, budget, fabric, generator
        self._draws_globally = draws_globally
        seed = int(torch.randint(2**31, (), generator=generator))
        self._noise = torch.Generator(fabric.device).manual_seed(seed + fabric.global_rank)
        self._before_epoch = generator.get_state()
        self._total = torch.zeros((), dtype=torch.float32, device=fabric.device)
        self._first_loss: Tensor | None = None
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds that the training took, in all processes that had a part in it."""
        return time.perf_counter() - self._began

    def beginning(self) -> str:
        """Return a digest of all that the training begins with: weights, data and generator."""
        data = {f"data.{k}": tensor for k, tensor in enumerate(self._data)}
        return digest_of({**self.objective.state_dict(), **data, "order": self._before_epoch})

    def epoch(self, keepers: Sequence[Keeper]) -> float:
        """Go over the data once, or over what is left of it; return the mean loss, nats per example."""
        rank, world = self._fabric.global_rank, self._fabric.world_size
        self._before_epoch = self._order.get_state()
        order = torch.randperm(self.examples, generator=self._order).to(self._fabric.device)
        batches = order.tensor_split(self._batches)
        own = batches[rank::world][: self._done_in_epoch + self.steps - self.done]
        for index in own[self._done_in_epoch :]:
            with _told_of_memory(self._fabric.device, self._budget.batch_size):
                self._total += self._step(index) * len(index)  # no .item(): it would wait for the device at every step
            self._done_in_epoch += 1
            for keeper in keepers:
                keeper.after_step(self.done, self.state)
        seen = sum(len(index) for index in batches[: self._done_in_epoch * world])
        self.seen += seen
        self.losses.append(sum_over_processes(self._fabric, self._total) / seen)
        self._total.zero_()
        self._done_in_epoch = 0
        return self.losses[-1]

    def check_finite(self) -> None:
        """Check the weights that training moved; what a user's modules hold beside them is theirs.

        Raises
        ------
        NonFiniteLoss
            A weight is NaN or infinite.
        """
        moved = [weight for weight in self._weights if weight.grad is not None]
        if not all(bool(torch.isfinite(weight).all()) for weight in moved):
            raise NonFiniteLoss("weights are not finite after the last step; nothing was changed")

    def check_converged(self) -> None:
        """Check that the weights that are kept are not those of a training that diverged, though it stayed finite.

        Raises
        ------
        NonFiniteLoss
            The loss is far above the one that the training began with.
        """
        if self._first_loss is None:  # the process that began the training did not note it
            return
        before = sum_over_processes(self._fabric, self._first_loss) / self._fabric.world_size
        best = None if self._best is None else self._best.state
        after = self.losses[-1] if best is None or best.score is None else self.losses[-1 - best.epochs_since]
        if has_diverged(before, after, self._data[0][0].numel()):
            raise NonFiniteLoss(
                f"training diverged: the mean loss is {after:.4g} nats per example at its end, and was {before:.4g} "
                f"before its first step; nothing was changed. Try a learning_rate below "
                f"{self._budget.learning_rate:g} or a gradient_clip below {self._budget.gradient_clip:g}"
            )

    def state(self) -> TrainingState:
        """Return all that the next steps depend on; of a finished training, all that the work after it depends on."""
        going = not self.finished
        state = LoopState(
            finished=self.finished,
            done=self.done,
            done_in_epoch=self._done_in_epoch,
            seen=self.seen,
            losses=tuple(self.losses),
            seconds=self.seconds,
            precision=self._fabric.strategy.precision.state_dict() if going else None,
            best=self._best.state if going and self._best else None,
            first_loss=_finite_or_none(self._first_loss) if going else None,
        )
        tensors = {"objective": self.objective.state_dict(), **self._global_states()}
        if self._follower is not None:
            tensors |= {"follower": self._follower.state()}
        if self.finished:
            return TrainingState(asdict(state), tensors | {"loop": {"order": self._order.get_state()}})
        # the epoch's order is drawn again, so it is the state from before that counts
        tensors |= {"loop": {"order": self._before_epoch, "noise": self._noise.get_state(), "total": self._total}}
        tensors |= {f"optimizer-{k}": moments for k, moments in self._optimizer.state_dict()["state"].items()}
        if self._best is not None:
            tensors |= {"best": self._best.tensors()}
        return TrainingState(asdict(state), tensors)

    def check(self, kept: TrainingState) -> None:
        """Check that a state is one of this training; nothing of the training changes.

        Raises
        ------
        BadCheckpoint
            The state is of another training, or damaged.
        """
        try:
            state = record_from(kept.document, LoopState)
            state.check(self.steps)
            if not state.finished:
                self._check_under_way(state)
            self._check_tensors(state, kept.tensors)
        except ValueError as error:
            raise BadCheckpoint(f"what was kept of this training does not fit it: {error}") from error

    def _check_under_way(self, state: LoopState) -> None:
        epochs, rest = len(state.losses), state.done_in_epoch
        if epochs >= self._budget.epochs or rest > self._batches or epochs * self._batches + rest != state.done:
            raise ValueError(f"{state.done} steps in {epochs} epochs of {self._batches} and {rest} steps")
        check_range("seen", state.seen, epochs * self.examples, epochs * self.examples)
        check_scaler(state.precision, self._fabric.strategy.precision.state_dict())
        if (state.best is None) != (self._best is None):
            raise ValueError("it waits for a better epoch, or does not, unlike this one")

    def _check_tensors(self, state: LoopState, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        weights, order = self.objective.state_dict(), torch.empty_like(self._before_epoch)
        needed: dict[str, Mapping[str, Tensor]] = {"objective": weights, **self._global_states()}
        needed |= {} if self._follower is None else {"follower": self._follower.state()}
        generators = {"order": order}
        if not state.finished:
            generators |= {"noise": self._noise.get_state(), "total": self._total}
            moments = {f"optimizer-{k}": adamw_outline(weight) for k, weight in enumerate(self._weights)}
            # a weight that never had a gradient has no moments
            needed |= {name: moments[name] for name in tensors if name in moments}
        if state.best is not None and state.best.score is not None:
            needed["best"] = weights
        needed["loop"] = generators
        check_outline(full_names(tensors), full_names(needed))
        if not tensors["loop"]["order"].is_meta:
            self._check_numbers(state, tensors)

    def _check_numbers(self, state: LoopState, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Check that numbers of the right shape can be continued from; raises ``ValueError``."""
        loop = tensors["loop"]
        for device, of_generator in ((torch.device("cpu"), loop["order"]), (self._fabric.device, loop.get("noise"))):
            if of_generator is not None:
                set_state(torch.Generator(device), of_generator)  # one that nobody draws from
        for name, of_generator in tensors.get("random", {}).items():
            set_state(torch.Generator(name), of_generator)
        for moments in (own for part, own in tensors.items() if part.startswith("optimizer-")):
            check_range("step", float(moments["step"]), 1, state.done)
            # squares may have overflowed, but what is no number stays none
            if bool(moments["exp_avg"].isnan().any()) or not bool((moments["exp_avg_sq"] >= 0).all()):
                raise ValueError("moments that no gradients have")

    def restore(self, kept: TrainingState) -> None:
        """Go on from what :meth:`state` returned.

        Raises
        ------
        BadCheckpoint
            The state is of another training, or damaged.
        """
        self.check(kept)
        state, tensors = record_from(kept.document, LoopState), kept.tensors
        self.finished, self.done, self.seen = state.finished, state.done, state.seen
        self.losses, self._done_in_epoch = list(state.losses), state.done_in_epoch
        self._began = time.perf_counter() - state.seconds
        self.objective.load_state_dict(tensors["objective"])
        if self._follower is not None:
            self._follower.restore(tensors.get("follower", {}))
        self._restore_global(tensors.get("random", {}))
        set_state(self._order, tensors["loop"]["order"])
        if self.finished:
            return
        set_state(self._noise, tensors["loop"]["noise"])
        self._total.copy_(tensors["loop"]["total"])
        moments = {
            k: _laid_out_like(weight, tensors[name])
            for k, weight in enumerate(self._weights)
            if (name := f"optimizer-{k}") in tensors
        }
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        move_on(self._schedule, self.done)
        if state.first_loss is not None:
            self._first_loss = torch.tensor(state.first_loss, dtype=torch.float32, device=self._fabric.device)
        self._fabric.strategy.precision.load_state_dict(state.precision or {})
        if self._best is not None and state.best is not None:
            self._best.restore(state.best, tensors.get("best", {}))

    def _global_states(self) -> dict[str, dict[str, Tensor]]:
        """Return the states of torch's global generators, if the objective draws from them."""
        if not self._draws_globally:
            return {}
        states = {"cpu": torch.get_rng_state()}
        if self._fabric.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._fabric.device)
        if self._fabric.device.type == "mps":
            states["mps"] = torch.mps.get_rng_state()
        return {"random": states}

    def _restore_global(self, states: Mapping[str, Tensor]) -> None:
        if "cpu" in states:
            set_state(torch.default_generator, states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self._fabric.device)
        if "mps" in states:
            torch.mps.set_rng_state(states["mps"])

    def _step(self, index: Tensor) -> Tensor:
        begin_step(self._budget.compiled, self._fabric.device)
        x, *targets = [tensor[index] for tensor in self._data]
        noise = torch.randn(len(index), self._width, generator=self._noise, device=x.device, dtype=torch.float32)
        loss: Tensor = self._module(as_float(x), *targets, noise)
        self._stepper.zero_grad()
        self._backward(self._fabric, loss)
        if self._budget.gradient_clip:
            most = self._budget.gradient_clip
            self._fabric.clip_gradients(self._module, self._stepper, max_norm=most, error_if_nonfinite=False)
        self._stepper.step()
        if self._follower is not None:
            self._follower.after_step()
        self._schedule.step()
        self.done += 1
        if self.done == 1:
            self._first_loss = loss.detach().clone()
        return loss.detach()


def _laid_out_like(weight: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return moments in the memory order of their weight: a fused step pairs numbers by where they lie."""
    like = weight.detach()
    return {
        name: torch.empty_like(like).copy_(moment) if moment.shape == like.shape else moment
        for name, moment in moments.items()
    }


def _finite_or_none(loss: Tensor | None) -> float | None:
    """Return a loss as JSON can hold it, which has no word for infinity."""
    return None if loss is None or not math.isfinite(float(loss)) else float(loss)
