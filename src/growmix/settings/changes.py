"""Keyword arguments that change settings, with their types; made by ``python -m growmix.cli.reference``."""

from __future__ import annotations

from typing import Literal, TypedDict


class SettingsChanges(TypedDict, total=False):
    """Changes to settings in Python, but for those that may be objects: a verb takes these by names of its own."""

    hidden: int | None
    depth: int
    width: int
    latent: int
    support: Literal["unit", "real"] | None
    variance: float
    supervised: bool | None
    classification_weight: float | None
    sharing: Literal["none", "trunk", "adapter", "rank-one"]
    adapter_rank: int | None
    denoiser_width: int | None
    noise_levels: int
    noise_draws: int | None
    lowest_noise: float | None
    highest_noise: float
    flips: bool | None
    sampling_steps: int
    recogniser_width: int | None
    covariance_type: Literal["auto", "tied", "full", "low-rank", "diag"]
    shrinkage: float | None
    reg_covar: float
    covariance_rank: int
    modes: int | None
    threshold: float | None
    novelty_examples: int
    holdout: float
    alpha: float
    temperature: float
    replay_ratio: float
    sampling: Literal["ex-post", "prior"]
    density_components: int
    routing_draws: int
    shortlist: int | None
    cascade: int | None
    score_weights: Literal["auto", "preset"]
    epochs: int | None
    max_steps: int | None
    batch_size: int | None
    learning_rate: float | None
    schedule: Literal["one-cycle", "cosine", "constant"] | None
    adam_beta1: float
    weight_decay: float | None
    gradient_clip: float | None
    patience: int | None
    student_blueprint: Literal["mlp", "conv"] | None
    student_hidden: int
    student_width: int | None
    student_latent: int
    student_examples: int | None
    student_epochs: int | None
    student_shift: float
    student_classification_weight: float
    student_temperature: float
    device: str
    devices: int
    strategy: str
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    compile: bool
    seed: int


class AllChanges(SettingsChanges, total=False):
    """Changes to settings in Python, where each choice is given by its name."""

    component: Literal[
        "vae",
        "denoiser",
        "gaussian",
        "vae+denoiser",
        "vae+recogniser",
        "denoiser+recogniser",
        "vae+denoiser+recogniser",
    ]
    blueprint: str
    likelihood: Literal["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"] | None
    novelty: Literal["rank", "ks", "smd", "paper", "stored"]
    gate: Literal["threshold", "dirichlet", "always"]
