"""What contracts that compare a model before and after need."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _state_hash(model: Any, *, sampling: bool = True) -> str:
    """SHA-256 of all that ``save`` writes; without the stream that ``sample`` draws from, if asked."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "it")
        for file in sorted((Path(folder) / "it").iterdir()):
            content = file.read_bytes()
            if file.suffix == ".json" and not sampling:
                document = json.loads(content)
                del document["sampling"], document["sha256"]
                content = json.dumps(document).encode()
            digest.update(file.name.encode() + content)
    return digest.hexdigest()


@pytest.fixture(scope="session")
def state_hash() -> Callable[..., str]:
    """SHA-256 of a model's settings, tensors, memory, steps, names and sampling stream."""
    return _state_hash
