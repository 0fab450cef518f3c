"""Device, precision and strategy of a training: options of Lightning Fabric, chosen from the settings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from growmix.errors import LONGEST_REASON, BadInput, shortened, shown
from growmix.settings import DEVICES, Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_fabric(settings: Settings) -> Fabric:
    """Make a Fabric with the device, precision and strategy of the settings.

    Raises
    ------
    BadInput
        The machine lacks the device, or can't use the strategy or the precision.
    """
    from lightning_fabric import Fabric

    from growmix.training.mixed_precision import BFloatOperations, HalfOperations

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
            mixed = BFloatOperations(kind) if precision == "bf16-mixed" else HalfOperations(precision, kind)
            how = {"plugins": [mixed]}
        fabric = Fabric(accelerator=accelerator, devices=settings.devices, strategy=settings.strategy, **how)
        if fabric.strategy.launcher is not None:  # one of several processes, even where these are one
            fabric.launch()  # starts the others, each of which runs the same program
        return fabric
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        given = f"device {shown(settings.device)}, devices {settings.devices}, strategy {shown(settings.strategy)}"
        reason = shortened(str(error), LONGEST_REASON)
        raise BadInput(f"{given}, precision {settings.precision!r} can't be used here: {reason}") from error


def place_of(settings: Settings) -> torch.device:
    """Return the device for a model that was read, without starting the other processes that its settings may name.

    Raises
    ------
    BadInput
        The machine lacks the device.

    Examples
    --------
    >>> place_of(Settings(device="cpu", devices=2))
    device(type='cpu')
    """
    return make_fabric(settings.replace(devices=1, strategy="auto")).device


def native_precision(device: str) -> Literal["bf16-mixed", "32-true"]:
    """Choose bf16-mixed where the hardware multiplies matrices in bfloat16 (then about twice as fast), else 32-true.

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


def reset_gradient_scale(fabric: Fabric) -> None:
    """Set the gradient scale to torch's initial one: a scale left over from another training is in no checkpoint."""
    kept = fabric.strategy.precision.state_dict()
    if "scale" in kept:
        fresh = torch.amp.GradScaler("cpu").state_dict()
        fabric.strategy.precision.load_state_dict(kept | {name: fresh[name] for name in ("scale", "_growth_tracker")})


def sum_over_processes(fabric: Fabric, value: Tensor) -> float:
    """Return the sum of a number over all processes that train together."""
    if fabric.world_size == 1:
        return float(value)
    return float(torch.as_tensor(fabric.all_reduce(value, reduce_op="sum")))
