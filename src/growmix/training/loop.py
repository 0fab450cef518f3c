"""The one optimisation loop, on Lightning Fabric: device, precision and strategy are options of it."""

from __future__ import annotations

import copy
import logging
import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from growmix.data.task import as_float
from growmix.errors import LONGEST_REASON, BadCheckpoint, BadInput, NonFiniteLoss, shortened, shown
from growmix.settings import DEVICES, ScheduleName, Settings
from growmix.storage.digests import digest_of
from growmix.storage.random_state import set_state
from growmix.storage.typed import MOST_SECONDS, check_outline, check_range, record_from
from growmix.system.memory import require_room
from growmix.training.divergence import has_diverged

DEFAULT_EPOCHS = 40
STEP_RANGE = (1_500, 6_000)
"""Steps that the default budget stays within: small tasks need more passes, large ones fewer."""

SMALL_TASK = 4_000
"""Examples below which batches of 32 are worth their overhead."""


SMALL_NETWORK = 500_000
"""Parameters up to which a step is too short to be shared by threads (the digits' components have 409,000)."""


SCALES = (2.0**-149, 2.0**127)
"""Powers of two that single precision has: what a scaler of gradients can come to."""


@dataclass(frozen=True)
class Budget:
    """How long and how to train, with every automatic choice made.

    Examples
    --------
    >>> Budget.of(Settings(), examples=11_000)
    Budget(epochs=40, batch_size=128, learning_rate=0.002, weight_decay=0.01, gradient_clip=1000.0, patience=None, \
steps=3440, schedule='one-cycle', beta1=0.9)
    >>> Budget.of(Settings(), examples=290).epochs
    150

    Attributes
    ----------
    steps
        Gradient steps at most; they may end within an epoch. ``None``: as many as the epochs have.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    gradient_clip: float
    patience: int | None = None
    steps: int | None = None
    schedule: ScheduleName = "one-cycle"
    beta1: float = 0.9

    @classmethod
    def of(cls, settings: Settings, examples: int) -> Budget:
        """The budget for a task of so many examples."""
        batch_size = settings.batch_size or (128 if examples >= SMALL_TASK else 32)
        per_epoch = math.ceil(examples / batch_size)
        least, most = (math.ceil(elbo / per_epoch) for elbo in STEP_RANGE)
        epochs = settings.epochs or min(max(DEFAULT_EPOCHS, least), most)
        steps = min(epochs * per_epoch, settings.max_steps or epochs * per_epoch)
        return cls(
            epochs=math.ceil(steps / per_epoch),
            batch_size=batch_size,
            steps=steps,
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            beta1=settings.adam_beta1,
            weight_decay=settings.weight_decay,
            gradient_clip=settings.gradient_clip,
            patience=settings.patience,
        )

    def over(self, examples: int) -> Budget:
        """The same number of steps on another number of examples.

        Examples
        --------
        >>> budget = Budget.of(Settings(), examples=11_000).over(22_000)
        >>> budget.steps, budget.epochs
        (3440, 20)
        """
        if self.steps is None:
            return self
        return replace(self, epochs=math.ceil(self.steps / math.ceil(examples / self.batch_size)))


@dataclass(frozen=True)
class FitInfo:
    """What is about to be trained; ``done`` steps of it were done before, if it goes on from where it was left."""

    what: Literal["component", "student"]
    component: int | None
    epochs: int
    steps: int
    examples: int
    done: int = 0


@dataclass(frozen=True)
class Progress:
    """Where training is: ``epoch`` counts from 1, ``loss`` is the epoch's mean in nats per example."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    examples_per_second: float
    held_out: float | None


@dataclass(frozen=True)
class TrainingLog:
    """What training did: epochs done, steps, examples seen, seconds, mean loss per epoch (nats per example)."""

    epochs: int
    steps: int
    examples: int
    seconds: float
    losses: tuple[float, ...]


class Callback:
    """Is told of training as it goes; override what is of interest."""

    def on_fit_start(self, fit: FitInfo) -> None:
        """Before the first step."""

    def on_epoch_end(self, progress: Progress) -> None:
        """After every epoch."""

    def on_fit_end(self, log: TrainingLog) -> None:
        """After the last step."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where a training stands between two steps: all that it needs to go on as if it had never been left.

    Attributes
    ----------
    document
        What is no tensor, ready for JSON.
    tensors
        Weights, the optimiser's state, the states of all streams of random numbers, by part and name. No part has a
        dot in its name.
    """

    document: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class PatienceState:
    """How long it is since the best epoch, and its held-out bound."""

    score: float | None
    epochs_since: int


@dataclass(frozen=True)
class LoopState:
    """What of a :class:`TrainingState` is no tensor."""

    finished: bool
    done: int
    done_in_epoch: int
    seen: int
    losses: tuple[float, ...]
    seconds: float
    precision: dict[str, int | float] | None = None
    best: PatienceState | None = None
    first_loss: float | None = None

    def check(self, steps: int) -> None:
        """See that a training of so many steps can stand there; raises ``ValueError``."""
        check_range("done", self.done, 1, steps)
        check_range("done_in_epoch", self.done_in_epoch, 0, self.done)
        check_range("losses", len(self.losses), int(self.finished), self.done)
        check_range("seen", self.seen, int(self.finished))
        check_range("seconds", self.seconds, 0.0, MOST_SECONDS)


class Keeper(Callback, ABC):
    """Interface of a callback that keeps the state of training, and gives it back to a process that goes on from there.

    It is asked only where one process trains: of several, each has a stream of random numbers of its own.
    """

    @abstractmethod
    def recall(self, training: Mapping[str, Any], check: Callable[[TrainingState], None]) -> TrainingState | None:
        """What was kept of a training that is about to begin; ``None`` where nothing was, and it is to begin.

        Parameters
        ----------
        training
            What is trained, with which budget, and a digest of what it begins with (weights, data, random numbers),
            ready for JSON: what was kept must be of the same.
        check
            Raises :class:`growmix.BadCheckpoint` for a state that is not of this training. A state whose tensors have
            no memory yet (on the device ``meta``) is looked at as far as it can be. What is given back must pass.
        """

    @abstractmethod
    def after_step(self, steps: int, state: Callable[[], TrainingState]) -> None:
        """So many steps are done; ``state()`` tells all, and is to be asked at once or not at all."""

    @abstractmethod
    def at_end(self, state: TrainingState) -> None:
        """The training is done; with this state it is so again, without a step."""


class Follower(ABC):
    """Interface of what looks on after every step, and has a state of its own that grows with the training."""

    @abstractmethod
    def after_step(self) -> None:
        """Look at the weights while they still have the gradients that moved them."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that was gathered since the training began, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave; the weights are already those of then."""


def make_fabric(settings: Settings) -> Fabric:
    """Fabric with the device, precision and strategy of the settings.

    Raises
    ------
    BadInput
        A device, strategy or precision that is not there.
    """
    if settings.device not in DEVICES:
        raise BadInput(f"device {shown(settings.device)} can't be used here; allowed are {', '.join(DEVICES)}")
    accelerator = "gpu" if settings.device == "cuda" else settings.device
    precision: Any = native_precision(settings.device) if settings.precision == "auto" else settings.precision
    # Fabric announces the precision that it was asked for on every call
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        how: dict[str, Any] = {"precision": precision}
        if precision in ("bf16-mixed", "16-mixed") and accelerator in ("auto", "cpu", "gpu"):
            kind = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
            how = {"plugins": [_MixedOperations(precision, kind)]}
        fabric = Fabric(accelerator=accelerator, devices=settings.devices, strategy=settings.strategy, **how)
        if fabric.strategy.launcher is not None:  # one of several processes, even where these are one
            fabric.launch()  # starts the others, each of which runs the same program
        return fabric
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        given = f"device {shown(settings.device)}, devices {settings.devices}, strategy {shown(settings.strategy)}"
        reason = shortened(str(error), LONGEST_REASON)
        raise BadInput(f"{given}, precision {settings.precision!r} can't be used here: {reason}") from error


def place_of(settings: Settings) -> torch.device:
    """Where to put a model that was read: a stranger's settings may ask for other processes, and none is started.

    Raises
    ------
    BadInput
        A device that is not there.

    Examples
    --------
    >>> place_of(Settings(device="cpu", devices=2))
    device(type='cpu')
    """
    return make_fabric(settings.replace(devices=1, strategy="auto")).device


@final
class _MixedOperations(MixedPrecision):
    """Mixed precision of the operations alone: the images that a likelihood compares with keep all their digits."""

    def convert_input(self, data: Any) -> Any:
        return data


def native_precision(device: str) -> Literal["bf16-mixed", "32-true"]:
    """bf16-mixed where matrix products in bfloat16 are done in hardware (then about twice as fast), else 32-true.

    Sums over pixels, likelihoods and optimiser state stay in single precision either way.
    """
    if device in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if device in ("auto", "cpu") and not torch.backends.mps.is_available():
        flags = torch.backends.cpu.get_cpu_capability()
        # PyTorch has no public way to ask; where the private one is gone, single precision is always right
        asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        has_bf16 = flags.startswith("AVX512") and asked()
        return "bf16-mixed" if has_bf16 else "32-true"
    return "32-true"


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """A CPU random stream; torch's global stream is set for the time and put back afterwards.

    Networks are initialised (and a user's dropout drawn) from the global stream, so that must be seeded too.
    """
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def fit(
    objective: nn.Module,
    data: Sequence[Tensor],
    latent: int,
    budget: Budget,
    fabric: Fabric,
    generator: torch.Generator,
    *,
    component: int | None,
    callbacks: Sequence[Callback] = (),
    held_out: Callable[[], float] | None = None,
    follower: Follower | None = None,
) -> TrainingLog:
    """Minimise an objective over data in memory: AdamW, shuffled batches of nearly equal size.

    Parameters
    ----------
    objective
        ``forward(*batch, noise)`` gives the mean loss of a batch, nats per example.
    data
        Tensors with the same first dimension; the first are images. No example is ever dropped: batches
        differ by at most one in size.
    latent
        Length of the standard normal noise that every example gets.
    budget
        Epochs, batch size and the rest.
    fabric
        Where and how to run.
    generator
        CPU random stream for shuffling and noise.
    component
        Which component the callbacks are told of; ``None`` for the student.
    callbacks
        Told of the training as it goes. A :class:`Keeper` among them may know where an earlier process left it.
    held_out
        Bound of held-out data (nats, larger is better), asked after every epoch when the budget has patience; the
        weights of the best epoch are kept.
    follower
        Looks on after every step.

    Raises
    ------
    NonFiniteLoss
        As soon as an epoch's loss is NaN or infinite; at the end, if the training diverged all the same.
    BadCheckpoint
        What a keeper gave back does not fit.
    BadInput
        The device has too little memory.
    """
    carried = sum(tensor.nbytes for tensor in data if tensor.device != fabric.device)
    require_room(carried, f"the {len(data[0])} images to train on", device=fabric.device)
    best = _Best(held_out, budget.patience) if held_out and budget.patience else None
    loop = _Loop(objective, data, latent, budget, fabric, generator, follower, best)
    what: Literal["component", "student"] = "student" if component is None else "component"
    info = FitInfo(what, component, budget.epochs, loop.steps, loop.examples)
    keepers = [each for each in callbacks if isinstance(each, Keeper)] if fabric.world_size == 1 else []
    for keeper in keepers:
        kept = keeper.recall({**asdict(info), **asdict(budget), "beginning": loop.beginning()}, loop.check)
        if kept is not None:
            loop.restore(kept)
    for callback in callbacks:
        callback.on_fit_start(replace(info, done=loop.done))
    objective.train()
    with _threads_for(objective, fabric.device):
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
                    best.restore(objective)
                loop.check_finite()
                loop.check_converged()
                for keeper in keepers:
                    keeper.at_end(loop.state())
    objective.eval()
    log = TrainingLog(len(loop.losses), loop.done, loop.seen, loop.seconds, tuple(loop.losses))
    for callback in callbacks:
        callback.on_fit_end(log)
    return log


@contextmanager
def _told_of_memory(device: torch.device, batch_size: int) -> Iterator[None]:
    """Say what to change where a step does not fit on a device: how much one takes, only the networks know."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadInput(
            f"a step of training with batch_size {batch_size} does not fit into the memory of {device}; smaller "
            f"batches, networks or images take less ({shortened(str(error), LONGEST_REASON)})"
        ) from error


@contextmanager
def _threads_for(module: nn.Module, device: torch.device) -> Iterator[None]:
    """One thread for a small network on a CPU: more gain nothing, and beside other work they cost several times."""
    before = torch.get_num_threads()
    if device.type == "cpu" and sum(weight.numel() for weight in module.parameters()) <= SMALL_NETWORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Loop:
    """Data on the device, an optimiser and a schedule, and how far they have come."""

    def __init__(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        latent: int,
        budget: Budget,
        fabric: Fabric,
        generator: torch.Generator,
        follower: Follower | None,
        best: _Best | None,
    ) -> None:
        self.examples = len(data[0])
        # every process takes the same number of batches, or a collective call would wait for ever
        self._batches = fabric.world_size * math.ceil(self.examples / (budget.batch_size * fabric.world_size))
        whole = budget.epochs * self._batches // fabric.world_size
        self.steps = whole if budget.steps is None else min(budget.steps, whole)
        self.done = self.seen = self._done_in_epoch = 0
        self.losses: list[float] = []
        self.finished = False
        self._weights = [p for p in objective.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._weights,
            lr=budget.learning_rate,
            betas=(budget.beta1, 0.999),
            weight_decay=budget.weight_decay,
            # a gradient scaler (16-mixed) must see the gradients before the step, which a fused one hides
            fused=fabric.device.type in ("cpu", "cuda") and getattr(fabric.strategy.precision, "scaler", None) is None,
        )
        self._objective = objective
        _forget_scale(fabric)
        self._module, self._stepper = fabric.setup(objective, self._optimizer)
        self._schedule = _schedule(self._optimizer, budget, self.steps)
        self._follower, self._best = follower, best
        self._data = [tensor.to(fabric.device) for tensor in data]
        self._latent, self._budget, self._fabric, self._order = latent, budget, fabric, generator
        seed = int(torch.randint(2**31, (), generator=generator))
        self._noise = torch.Generator(fabric.device).manual_seed(seed + fabric.global_rank)
        self._before_epoch = generator.get_state()
        self._total = torch.zeros((), device=fabric.device)
        self._first_loss: Tensor | None = None
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """That it took, in all processes that had a part in it."""
        return time.perf_counter() - self._began

    def beginning(self) -> str:
        """Digest of all that it begins with: weights, data, stream of random numbers; of no other training."""
        data = {f"data.{k}": tensor for k, tensor in enumerate(self._data)}
        return digest_of({**self._objective.state_dict(), **data, "order": self._before_epoch})

    def epoch(self, keepers: Sequence[Keeper]) -> float:
        """One pass over the data, or what is left of it; the mean loss, nats per example."""
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
        self.losses.append(_sum_over_processes(self._fabric, self._total) / seen)
        self._total.zero_()
        self._done_in_epoch = 0
        return self.losses[-1]

    def check_finite(self) -> None:
        """See that the weights that were moved can be used; what a user's modules hold beside them is theirs.

        Raises
        ------
        NonFiniteLoss
            They can't.
        """
        moved = [weight for weight in self._weights if weight.grad is not None]
        if not all(bool(torch.isfinite(weight).all()) for weight in moved):
            raise NonFiniteLoss("weights are not finite after the last step; nothing was changed")

    def check_converged(self) -> None:
        """See that the weights that are kept are not those of a training that diverged, though it stayed finite.

        Raises
        ------
        NonFiniteLoss
            The loss is far above the one that the training began with.
        """
        if self._first_loss is None:  # left by a process that did not note it
            return
        before = _sum_over_processes(self._fabric, self._first_loss) / self._fabric.world_size
        best = None if self._best is None else self._best.stand
        after = self.losses[-1] if best is None or best.score is None else self.losses[-1 - best.epochs_since]
        if has_diverged(before, after, self._data[0][0].numel()):
            raise NonFiniteLoss(
                f"training diverged: the mean loss is {after:.4g} nats per example at its end, and was {before:.4g} "
                f"before its first step; nothing was changed. Try a learning_rate below "
                f"{self._budget.learning_rate:g} or a gradient_clip below {self._budget.gradient_clip:g}"
            )

    def state(self) -> TrainingState:
        """All that the next steps depend on; of a finished training, all that what follows it depends on."""
        going = not self.finished
        stand = LoopState(
            finished=self.finished,
            done=self.done,
            done_in_epoch=self._done_in_epoch,
            seen=self.seen,
            losses=tuple(self.losses),
            seconds=self.seconds,
            precision=self._fabric.strategy.precision.state_dict() if going else None,
            best=self._best.stand if going and self._best else None,
            first_loss=_finite_or_none(self._first_loss) if going else None,
        )
        tensors = {"objective": self._objective.state_dict(), "random": _random_state(self._fabric)}
        if self._follower is not None:
            tensors |= {"follower": self._follower.state()}
        if self.finished:
            return TrainingState(asdict(stand), tensors | {"loop": {"order": self._order.get_state()}})
        # the epoch's order is drawn again, so it is the state from before that counts
        tensors |= {"loop": {"order": self._before_epoch, "noise": self._noise.get_state(), "total": self._total}}
        tensors |= {f"optimizer-{k}": moments for k, moments in self._optimizer.state_dict()["state"].items()}
        if self._best is not None:
            tensors |= {"best": self._best.tensors()}
        return TrainingState(asdict(stand), tensors)

    def check(self, kept: TrainingState) -> None:
        """See that a state is one of this training, whose own is not touched.

        Raises
        ------
        BadCheckpoint
            It is not.
        """
        try:
            stand = record_from(kept.document, LoopState)
            stand.check(self.steps)
            if not stand.finished:
                self._check_under_way(stand)
            self._check_tensors(stand, kept.tensors)
        except ValueError as error:
            raise BadCheckpoint(f"what was kept of this training does not fit it: {error}") from error

    def _check_under_way(self, stand: LoopState) -> None:
        epochs, rest = len(stand.losses), stand.done_in_epoch
        if epochs >= self._budget.epochs or rest > self._batches or epochs * self._batches + rest != stand.done:
            raise ValueError(f"{stand.done} steps in {epochs} epochs of {self._batches} and {rest} steps")
        check_range("seen", stand.seen, epochs * self.examples, epochs * self.examples)
        _check_scaler(stand.precision, self._fabric.strategy.precision.state_dict())
        if (stand.best is None) != (self._best is None):
            raise ValueError("it waits for a better epoch, or does not, unlike this one")

    def _check_tensors(self, stand: LoopState, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        weights, state = self._objective.state_dict(), torch.empty_like(self._before_epoch)
        needed: dict[str, Mapping[str, Tensor]] = {"objective": weights, "random": _random_state(self._fabric)}
        needed |= {} if self._follower is None else {"follower": self._follower.state()}
        streams = {"order": state}
        if not stand.finished:
            streams |= {"noise": self._noise.get_state(), "total": self._total}
            moments = {f"optimizer-{k}": _moments(weight) for k, weight in enumerate(self._weights)}
            # a weight that never had a gradient has no moments
            needed |= {name: moments[name] for name in tensors if name in moments}
        if stand.best is not None and stand.best.score is not None:
            needed["best"] = weights
        needed["loop"] = streams
        check_outline(_flat(tensors), _flat(needed))
        if not tensors["random"]["cpu"].is_meta:
            self._check_numbers(stand, tensors)

    def _check_numbers(self, stand: LoopState, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """See that what has the right shape can be gone on with; raises ``ValueError``."""
        device, loop, random = self._fabric.device, tensors["loop"], tensors["random"]
        for state in (random["cpu"], loop["order"]):
            set_state(torch.Generator(), state)  # one that nobody draws from
        for state in (part[name] for part, name in ((random, device.type), (loop, "noise")) if name in part):
            set_state(torch.Generator(device), state)
        for moments in (own for part, own in tensors.items() if part.startswith("optimizer-")):
            check_range("step", float(moments["step"]), 1, stand.done)
            # squares may have overflowed, but what is no number stays none
            if bool(moments["exp_avg"].isnan().any()) or not bool((moments["exp_avg_sq"] >= 0).all()):
                raise ValueError("moments that no gradients have")

    def restore(self, kept: TrainingState) -> None:
        """Go on from what :meth:`state` gave.

        Raises
        ------
        BadCheckpoint
            It is not of this training.
        """
        self.check(kept)
        stand, tensors = record_from(kept.document, LoopState), kept.tensors
        self.finished, self.done, self.seen = stand.finished, stand.done, stand.seen
        self.losses, self._done_in_epoch = list(stand.losses), stand.done_in_epoch
        self._began = time.perf_counter() - stand.seconds
        self._objective.load_state_dict(tensors["objective"])
        if self._follower is not None:
            self._follower.restore(tensors.get("follower", {}))
        _set_random_state(self._fabric, tensors["random"])
        set_state(self._order, tensors["loop"]["order"])
        if self.finished:
            return
        set_state(self._noise, tensors["loop"]["noise"])
        self._total.copy_(tensors["loop"]["total"])
        state = {k: dict(tensors[name]) for k in range(len(self._weights)) if (name := f"optimizer-{k}") in tensors}
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        _move_on(self._schedule, self.done)
        if stand.first_loss is not None:
            self._first_loss = torch.tensor(stand.first_loss, device=self._fabric.device)
        self._fabric.strategy.precision.load_state_dict(stand.precision or {})
        if self._best is not None and stand.best is not None:
            self._best.recall(stand.best, tensors.get("best", {}))

    def _step(self, index: Tensor) -> Tensor:
        x, *targets = [tensor[index] for tensor in self._data]
        noise = torch.randn(len(index), self._latent, generator=self._noise, device=x.device)
        loss: Tensor = self._module(as_float(x), *targets, noise)
        self._stepper.zero_grad()
        self._fabric.backward(loss)
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


def _schedule(optimizer: torch.optim.Optimizer, budget: Budget, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if budget.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.learning_rate, total_steps=max(steps, 2))


class _Best:
    """Keeps the weights of the epoch with the best held-out bound."""

    def __init__(self, held_out: Callable[[], float], patience: int) -> None:
        self._held_out = held_out
        self._patience = patience
        self._score = -math.inf
        self._weights: dict[str, Any] | None = None
        self._epochs_since = 0

    def look(self, objective: nn.Module) -> float:
        objective.eval()
        score = self._held_out()
        objective.train()
        self._epochs_since += 1
        if score > self._score:
            self._score, self._epochs_since = score, 0
            self._weights = copy.deepcopy(objective.state_dict())
        return score

    @property
    def gave_up(self) -> bool:
        return self._epochs_since >= self._patience

    def restore(self, objective: nn.Module) -> None:
        if self._weights is not None:
            objective.load_state_dict(self._weights)

    @property
    def stand(self) -> PatienceState:
        """What is no tensor, ready for JSON, which has no word for infinity."""
        return PatienceState(None if self._weights is None else self._score, self._epochs_since)

    def tensors(self) -> dict[str, Tensor]:
        return self._weights or {}

    def recall(self, stand: PatienceState, tensors: Mapping[str, Tensor]) -> None:
        """Become what :attr:`stand` and :meth:`tensors` told of."""
        self._epochs_since = stand.epochs_since
        if stand.score is not None:
            self._score, self._weights = stand.score, dict(tensors)


def _moments(weight: Tensor) -> dict[str, Tensor]:
    """Outline of what AdamW keeps of a weight."""
    like = weight.detach()
    return {"step": torch.zeros((), dtype=torch.float32), "exp_avg": like, "exp_avg_sq": like}


def _move_on(schedule: torch.optim.lr_scheduler.LRScheduler, done: int) -> None:
    """Bring a fresh schedule, and the optimiser that it steers, to where so many steps had brought it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimiser made those steps in another process
        schedule.last_epoch = done - 1
        schedule.step()


def _flat(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all parts by their full names; a part without any is on no disk."""
    return {f"{part}.{name}": tensor for part, own in tensors.items() for name, tensor in own.items()}


def _forget_scale(fabric: Fabric) -> None:
    """Begin with the gradient scale that torch begins with: one from another training is in no checkpoint."""
    kept = fabric.strategy.precision.state_dict()
    if "scale" in kept:
        fresh = torch.amp.GradScaler("cpu").state_dict()
        fabric.strategy.precision.load_state_dict(kept | {name: fresh[name] for name in ("scale", "_growth_tracker")})


def _check_scaler(kept: Mapping[str, int | float] | None, fresh: Mapping[str, Any]) -> None:
    """See that a scaler of gradients can stand there: only its scale moves, and the count of steps that it held for.

    Raises
    ------
    ValueError
        It can't.
    """
    if kept is None or _types(kept) != _types(fresh):
        raise ValueError(f"precision is {shown(kept)}, needed is the like of {fresh}")
    moving = {"scale": SCALES, "_growth_tracker": (0, fresh.get("growth_interval", 0))}
    for name, value in fresh.items():
        check_range(name, kept[name], *moving.get(name, (value, value)))


def _types(values: Mapping[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in values.items()}


def _random_state(fabric: Fabric) -> dict[str, Tensor]:
    """Of torch's own streams, which a user's modules may draw from."""
    states = {"cpu": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(fabric.device)
    if fabric.device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_state(fabric: Fabric, states: Mapping[str, Tensor]) -> None:
    set_state(torch.default_generator, states["cpu"])
    if fabric.device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], fabric.device)
    if fabric.device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def _finite_or_none(loss: Tensor | None) -> float | None:
    """A loss as JSON can hold it, which has no word for infinity."""
    return None if loss is None or not math.isfinite(float(loss)) else float(loss)


def _sum_over_processes(fabric: Fabric, value: Tensor) -> float:
    if fabric.world_size == 1:
        return float(value)
    return float(torch.as_tensor(fabric.all_reduce(value, reduce_op="sum")))
