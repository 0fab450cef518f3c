from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from growmix.errors import BadInput
from growmix.streams import cache, load, sources
from growmix.streams.decoding import Decoded
from growmix.system import memory

Write = Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]


@pytest.fixture
def decoded_places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which tables were decoded, in order."""
    places: list[str] = []
    original = sources.decode

    def counted(table: Any, place: str, image: str | None = None) -> Decoded:
        places.append(place)
        return original(table, place, image)

    monkeypatch.setattr(sources, "decode", counted)
    return places


def images(root: Path, **options: Any) -> torch.Tensor:
    return load("domains", tasks="mnist", data_root=root, **options)[0].test.x


@pytest.fixture
def root(tmp_path: Path, write_set: Write) -> Path:
    write_set(tmp_path / "data", "mnist")
    return tmp_path / "data"


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_start_decodes_nothing_and_gives_the_same(
    root: Path, tmp_path: Path, decoded_places: list[str]
) -> None:
    first = images(root)
    assert len(decoded_places) == 2
    assert torch.equal(images(root), first)
    assert len(decoded_places) == 2
    assert len(entries(tmp_path / "cache")) == 2


@pytest.mark.parametrize("variable", ["GROWMIX_CACHE", "XDG_CACHE_HOME"])
def test_a_place_of_the_environment_that_can_not_be_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("GROWMIX_CACHE")
    monkeypatch.setenv(variable, "x" * 300)
    with pytest.raises(BadInput, match=f"^{variable} is 'xxx"):
        cache.DecodedCache()


def test_what_is_kept_is_not_read_where_there_is_no_room(
    root: Path, decoded_places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images(root)
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 1_000)
    with pytest.raises(BadInput, match=r"kept decoded in .*mnist-train.* needs about .* of memory"):
        images(root)
    assert len(decoded_places) == 2


def test_a_name_too_long_for_a_file_is_cut(tmp_path: Path, decoded_places: list[str]) -> None:
    made = Decoded(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64))
    for source in ("one", "other", "one"):
        cache.DecodedCache(tmp_path).fetch("x" * 300, source, "stamp", lambda: made)
    assert len(entries(tmp_path)) == 2


def test_a_set_that_many_tasks_use_is_decoded_once(root: Path, tmp_path: Path, decoded_places: list[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(RuntimeWarning):
        load("permuted-mnist", data_root=root, cache_dir=tmp_path / "file")
    assert len(decoded_places) == 2


def test_a_changed_file_is_decoded_anew_and_replaces_its_entry(
    root: Path, tmp_path: Path, write_set: Write, decoded_places: list[str]
) -> None:
    images(root)
    pixels, _ = write_set(root, "mnist", side=6)["test"]
    assert np.array_equal(images(root).numpy(), pixels)
    assert len(decoded_places) == 4
    assert len(entries(tmp_path / "cache")) == 2


def test_a_file_of_the_same_size_and_a_later_time_is_decoded_anew(root: Path, decoded_places: list[str]) -> None:
    images(root)
    path = root / "mnist" / "test.parquet"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    images(root)
    assert [Path(place).name for place in decoded_places] == ["train.parquet", "test.parquet", "test.parquet"]


def test_the_same_name_in_two_roots_is_two_entries(
    root: Path, tmp_path: Path, write_set: Write, decoded_places: list[str]
) -> None:
    write_set(tmp_path / "other", "mnist", side=8)
    assert images(root).shape[-1] == 28
    assert images(tmp_path / "other").shape[-1] == 8
    assert images(root).shape[-1] == 28
    assert len(decoded_places) == 4


def test_two_columns_of_a_file_are_two_entries(tmp_path: Path, write_set: Write, decoded_places: list[str]) -> None:
    pixels, _ = write_set(tmp_path / "data", "facades", negative="condition")["test"]
    for _ in range(2):
        for name, expected in (("facades", pixels), ("facades.condition", 255 - pixels)):
            x = load("domains", tasks=name, data_root=tmp_path / "data")[0].test.x
            assert np.array_equal(x.numpy(), expected)
    assert len(decoded_places) == 4


def flip_a_pixel(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not an archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[100:],
        flip_a_pixel,
    ],
    ids=["empty", "foreign", "torn", "headless", "one bit"],
)
def test_a_broken_entry_is_made_anew(
    damage: Callable[[bytes], bytes], root: Path, tmp_path: Path, decoded_places: list[str]
) -> None:
    first = images(root)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(damage(path.read_bytes()))
    assert torch.equal(images(root), first)
    assert len(decoded_places) == 4
    images(root)
    assert len(decoded_places) == 4


def test_an_entry_with_pickled_objects_is_never_unpickled(root: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    first = images(root)
    for path in (tmp_path / "cache").iterdir():
        with np.load(path) as stored:
            np.savez(path, key=stored["key"], x=np.array([Trap()], dtype=object), y=stored["y"])
    assert torch.equal(images(root), first)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_written_costs_one_warning(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.warns(RuntimeWarning, match="cache_dir or GROWMIX_CACHE") as caught:
        x = images(root, cache_dir=blocked / "inside")
    assert len(caught) == 1
    assert torch.equal(x, images(root))


def test_a_failed_write_leaves_nothing_behind(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "savez", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        images(root)
    assert entries(tmp_path / "cache") == []


def test_the_folder_is_the_arguments_then_growmixs_then_xdgs_then_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("GROWMIX_CACHE", str(tmp_path / "own"))
    assert cache.DecodedCache(tmp_path / "given").folder == tmp_path / "given"
    assert cache.DecodedCache().folder == tmp_path / "own"
    monkeypatch.delenv("GROWMIX_CACHE")
    assert cache.DecodedCache().folder == tmp_path / "xdg" / "growmix"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.DecodedCache().folder == tmp_path / "home" / ".cache" / "growmix"
