"""A hash of all that a model is, for contracts that compare it before and after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from growmix.checkpoints import persistence


def _state_hash(model: Any, *, sampling: bool = True) -> str:
    """Return the SHA-256 of all that ``save`` would write; without the state that ``sample`` draws from, if asked."""
    with mock.patch.object(persistence, "write_folder") as write:
        model.save("nowhere")
    _, document, tensors = write.call_args.args
    if not sampling:
        document = {key: value for key, value in document.items() if key != "sampling"}
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def state_hash() -> Callable[..., str]:
    """Return a function that hashes a model's settings, tensors, memory, history, names and sampling state."""
    return _state_hash
