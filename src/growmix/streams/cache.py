"""Decoded images on disk, so that a second start reads bytes and decodes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from growmix.errors import BadInput
from growmix.streams.decoding import Decoded
from growmix.system.memory import require_room
from growmix.system.paths import check_path

VERSION = 2
"""Raised when decoding changes, so that older entries are made anew."""

MOST_OF_NAME = 100
"""Characters of a source's name in that of a file, which has room for 255; what tells files apart is the digest."""


class DecodedCache:
    """A folder with one file for each source of images.

    An entry is used only while its source's stamp is the one it was made with; after a change of the source,
    and when the entry is torn or broken (its parts carry checksums), it is decoded anew. A folder that
    can't be written costs a warning and time, nothing else.

    Parameters
    ----------
    folder
        Where to keep them; ``None`` takes ``$GROWMIX_CACHE``, else ``$XDG_CACHE_HOME/growmix``, else
        ``~/.cache/growmix``.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = _default_folder() if folder is None else check_path(folder, "cache_dir")
        self._writable = True

    def fetch(self, name: str, source: str, stamp: str, decode: Callable[[], Decoded]) -> Decoded:
        """Images of a source, from the folder or, failing that, from ``decode``, whose answer is kept.

        Parameters
        ----------
        name
            For people who look into the folder.
        source
            What the entry belongs to, such as a file's absolute path.
        stamp
            Changes whenever the source's content does.

        Raises
        ------
        BadInput
            There is too little memory for what is kept, or whatever ``decode`` raises.
        """
        digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)[:MOST_OF_NAME]}-{digest}.npz"
        key = f"{VERSION} {stamp} {source}"
        found = _read(path, key)
        if found is not None:
            return found
        decoded = decode()
        self._write(path, key, decoded)
        return decoded

    def _write(self, path: Path, key: str, decoded: Decoded) -> None:
        if not self._writable:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, key=np.array(_key_bytes(key)), x=decoded.x, y=decoded.y)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            self._writable = False
            warnings.warn(
                f"decoded images can't be kept in {self.folder} ({error.strerror or error}), so every start "
                "decodes them anew; choose another folder with cache_dir or GROWMIX_CACHE",
                RuntimeWarning,
                stacklevel=2,
            )


def _read(path: Path, key: str) -> Decoded | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if bytes(stored["key"]) != bytes(_key_bytes(key)):
                return None
            require_room(path.stat().st_size, f"what is kept decoded in {path}")
            x, y = stored["x"], stored["y"]
    except BadInput:
        raise
    except Exception:  # a torn or foreign file makes numpy, zipfile and zlib say many things, all meaning: no entry
        return None
    fits = x.dtype == np.uint8 and x.ndim == 4 and y.dtype == np.int64 and y.shape == x.shape[:1]
    return Decoded(x, y) if fits else None


def _key_bytes(key: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(key.encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _default_folder() -> Path:
    if named := os.environ.get("GROWMIX_CACHE"):
        return check_path(named, "GROWMIX_CACHE")
    if home := os.environ.get("XDG_CACHE_HOME"):
        return check_path(home, "XDG_CACHE_HOME") / "growmix"
    try:
        return Path.home() / ".cache" / "growmix"
    except RuntimeError:  # a user without a home, as containers have them
        return Path(tempfile.gettempdir()) / "growmix-cache"
