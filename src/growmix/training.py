"""The one optimisation loop, on Lightning Fabric: device, precision and strategy are options of it."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from growmix.data import as_float
from growmix.errors import BadInput, NonFiniteLoss
from growmix.settings import ScheduleName, Settings

DEFAULT_EPOCHS = 40
STEP_RANGE = (1_500, 6_000)
"""Steps that the default budget stays within: small tasks need more passes, large ones fewer."""

SMALL_TASK = 4_000
"""Examples below which batches of 32 are worth their overhead."""


SMALL_NETWORK = 500_000
"""Parameters up to which a step is too short to be shared by threads (the digits' components have 409,000)."""


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
        least, most = (math.ceil(bound / per_epoch) for bound in STEP_RANGE)
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
    """What is about to be trained."""

    what: Literal["component", "student"]
    component: int | None
    epochs: int
    steps: int
    examples: int


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


def make_fabric(settings: Settings) -> Fabric:
    """Fabric with the device, precision and strategy of the settings.

    Raises
    ------
    BadInput
        A device, strategy or precision that is not there.
    """
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
        if settings.devices > 1:
            fabric.launch()  # starts the other processes, each of which runs the same program
        return fabric
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        given = f"device {settings.device!r}, devices {settings.devices}, strategy {settings.strategy!r}"
        reason = " ".join(str(error).split())
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
    return make_fabric(settings.but(devices=1, strategy="auto")).device


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
    after_step: Callable[[], None] | None = None,
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
        Told of the training as it goes.
    held_out
        Bound of held-out data (nats, larger is better), asked after every epoch when the budget has patience; the
        weights of the best epoch are kept.
    after_step
        Called after every step, while the weights still have the gradients that moved them.

    Raises
    ------
    NonFiniteLoss
        As soon as an epoch's loss is NaN or infinite.
    """
    loop = _Loop(objective, data, latent, budget, fabric, generator, after_step)
    best = _Best(held_out, budget.patience) if held_out and budget.patience else None
    what: Literal["component", "student"] = "student" if component is None else "component"
    for callback in callbacks:
        callback.on_fit_start(FitInfo(what, component, budget.epochs, loop.steps, loop.examples))
    losses: list[float] = []
    started = time.perf_counter()
    objective.train()
    with _threads_for(objective, fabric.device):
        for epoch in range(1, budget.epochs + 1):
            losses.append(loop.epoch())
            if not math.isfinite(losses[-1]):
                raise NonFiniteLoss(
                    f"the loss is {losses[-1]} after epoch {epoch} of {budget.epochs}; nothing was changed. Try a "
                    f"learning_rate below {budget.learning_rate:g} or a gradient_clip below {budget.gradient_clip:g}"
                )
            score = best.look(objective) if best else None
            rate = loop.seen / (time.perf_counter() - started)
            progress = Progress(epoch, budget.epochs, loop.done, loop.steps, losses[-1], rate, score)
            for callback in callbacks:
                callback.on_epoch_end(progress)
            if loop.done == loop.steps or (best and best.gave_up):
                break
    if best:
        best.restore(objective)
    objective.eval()
    log = TrainingLog(len(losses), loop.done, loop.seen, time.perf_counter() - started, tuple(losses))
    for callback in callbacks:
        callback.on_fit_end(log)
    return log


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
    """Data on the device, an optimiser and a schedule: what one pass over the data needs."""

    def __init__(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        latent: int,
        budget: Budget,
        fabric: Fabric,
        generator: torch.Generator,
        after_step: Callable[[], None] | None,
    ) -> None:
        self.examples = len(data[0])
        # every process takes the same number of batches, or a collective call would wait for ever
        self._batches = fabric.world_size * math.ceil(self.examples / (budget.batch_size * fabric.world_size))
        whole = budget.epochs * self._batches // fabric.world_size
        self.steps = whole if budget.steps is None else min(budget.steps, whole)
        self.done = self.seen = 0
        optimizer = torch.optim.AdamW(
            [p for p in objective.parameters() if p.requires_grad],
            lr=budget.learning_rate,
            betas=(budget.beta1, 0.999),
            weight_decay=budget.weight_decay,
            # a gradient scaler (16-mixed) must see the gradients before the step, which a fused one hides
            fused=fabric.device.type in ("cpu", "cuda") and getattr(fabric.strategy.precision, "scaler", None) is None,
        )
        self._module, self._optimizer = fabric.setup(objective, optimizer)
        self._schedule = _schedule(optimizer, budget, self.steps)
        self._after_step = after_step
        self._data = [tensor.to(fabric.device) for tensor in data]
        self._latent, self._clip, self._fabric, self._order = latent, budget.gradient_clip, fabric, generator
        seed = int(torch.randint(2**31, (), generator=generator))
        self._noise = torch.Generator(fabric.device).manual_seed(seed + fabric.global_rank)

    def epoch(self) -> float:
        """One pass over the data; the mean loss, nats per example."""
        device, rank, world = self._fabric.device, self._fabric.global_rank, self._fabric.world_size
        order = torch.randperm(self.examples, generator=self._order).to(device)
        total = torch.zeros((), device=device)
        batches = order.tensor_split(self._batches)
        done = 0
        for index in batches[rank::world][: self.steps - self.done]:
            total += self._step(index) * len(index)  # no .item(): it would wait for the device at every step
            done += 1
        seen = sum(len(index) for index in batches[: done * world])
        self.seen += seen
        return _sum_over_processes(self._fabric, total) / seen

    def _step(self, index: Tensor) -> Tensor:
        x, *targets = [tensor[index] for tensor in self._data]
        noise = torch.randn(len(index), self._latent, generator=self._noise, device=x.device)
        loss: Tensor = self._module(as_float(x), *targets, noise)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        if self._clip:
            self._fabric.clip_gradients(self._module, self._optimizer, max_norm=self._clip, error_if_nonfinite=False)
        self._optimizer.step()
        if self._after_step is not None:
            self._after_step()
        self._schedule.step()
        self.done += 1
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


def _sum_over_processes(fabric: Fabric, value: Tensor) -> float:
    if fabric.world_size == 1:
        return float(value)
    return float(torch.as_tensor(fabric.all_reduce(value, reduce_op="sum")))
