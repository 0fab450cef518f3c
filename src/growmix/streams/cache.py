"""Keep decoded images on disk, so that a second start reads bytes and decodes nothing.

The adversaries are a process that was killed while it wrote an entry, a source that has changed since, and a folder
that can't be written: each costs time, and none gives wrong images.
"""

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

from growmix.errors import BadInput, shown
from growmix.streams.decoding import Decoded
from growmix.system.memory import require_room
from growmix.system.paths import check_path

VERSION = 2
"""Version of the entries; it is raised when decoding changes, so that older entries are made again."""

MOST_OF_NAME = 100
"""Most characters of a source's name in the name of its file; a digest tells the files apart."""


class DecodedCache:
    """Folder of decoded images, with one file for each source.

    An entry is used only while its source has the stamp with which the entry was made. Where the source has changed, or
    the entry is torn or broken (its parts carry checksums), the source is decoded again. A folder that can't be written
    costs a warning and time, nothing else.

    Parameters
    ----------
    folder
        Where the entries are kept; ``None`` takes ``$GROWMIX_CACHE``, else ``$XDG_CACHE_HOME/growmix``, else
        ``~/.cache/growmix``.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = _default_folder() if folder is None else check_path(folder, "cache_dir")
        self._writable = True

    def fetch(self, name: str, source: str, stamp: str, decode: Callable[[], Decoded]) -> Decoded:
        """Return the images of a source, from the folder or, failing that, from ``decode``, whose answer is kept.

        Parameters
        ----------
        name
            Name of the source, for people who look into the folder.
        source
            What the entry belongs to, such as the absolute path of a file.
        stamp
            Text that changes whenever the content of the source does.
        decode
            Makes the images where the folder does not have them.

        Raises
        ------
        BadInput
            There is too little memory for what is kept, or ``decode`` raises it.
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
                f"decoded images can't be kept in {shown(str(self.folder))} ({error.strerror or error}), so every "
                "start decodes them again; choose another folder with cache_dir or GROWMIX_CACHE",
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
