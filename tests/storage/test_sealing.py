"""A checkpoint is read as it was written or not at all, and whatever stops a save leaves a whole one."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from growmix import BadCheckpoint, BadInput, GrowingMixture, Student, __version__
from growmix.checkpoints.migration import SCHEMA
from growmix.checkpoints.persistence import DOCUMENT, TENSORS, is_whole, read_folder, recover, write_folder
from growmix.storage.durable import write_whole
from growmix.storage.sealing import SEAL, remove_folder, seal

FILES = (SEAL, DOCUMENT, TENSORS)


class Trap:
    """Pickled, it touches a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def rewrite(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def flip(file: Path, seed: int) -> None:
    content = bytearray(file.read_bytes())
    bit = random.Random(seed).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    rewrite(file, content)


def cut(file: Path, seed: int) -> None:
    content = file.read_bytes()
    rewrite(file, content[: random.Random(seed).randrange(1, len(content))])


def swap(file: Path, with_: Path) -> None:
    rewrite(file, with_.read_bytes())


def pickled(file: Path, protocol: int) -> None:
    rewrite(file, pickle.dumps(Trap(file.parent.parent / "sprung"), protocol))


def torch_saved(file: Path) -> None:
    file.unlink()
    torch.save(Trap(file.parent.parent / "sprung"), file)


def sparse(file: Path) -> None:
    file.unlink()
    with file.open("wb") as stream:
        stream.truncate(10 * 2**30)


def sparse_behind(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(10 * 2**30)


def link(file: Path, to: str) -> None:
    file.unlink()
    file.symlink_to(to)


def link_to_own_copy(file: Path) -> None:
    file.rename(file.parent.parent / "copy")
    file.symlink_to(file.parent.parent / "copy")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


Damage = Callable[[Path, Path], None]

DAMAGES: dict[str, Damage] = {
    **{f"flipped-{seed}": lambda file, _, seed=seed: flip(file, seed) for seed in range(48)},
    **{f"cut-{seed}": lambda file, _, seed=seed: cut(file, seed) for seed in range(8)},
    "emptied": lambda file, _: rewrite(file, b""),
    "longer": lambda file, _: rewrite(file, file.read_bytes() + b"\n"),
    "zeros": lambda file, _: rewrite(file, bytes(len(file.read_bytes()))),
    "another's": lambda file, other: swap(file, other / file.name),
    "another-file": lambda file, _: swap(file, file.with_name(FILES[FILES.index(file.name) - 1])),
    "missing": lambda file, _: file.unlink(),
    "pickle-0": lambda file, _: pickled(file, 0),
    "pickle-4": lambda file, _: pickled(file, 4),
    "torch-pickle": lambda file, _: torch_saved(file),
    "10-GB-sparse": lambda file, _: sparse(file),
    "10-GB-sparse-behind": lambda file, _: sparse_behind(file),
    "link-to-passwd": lambda file, _: link(file, "/etc/passwd"),
    "link-to-nowhere": lambda file, _: link(file, "nowhere"),
    "link-to-itself": lambda file, _: link(file, file.name),
    "link-to-a-copy": lambda file, _: link_to_own_copy(file),
    "device": lambda file, _: link(file, "/dev/zero"),
    "pipe": lambda file, _: pipe(file),
    "folder": lambda file, _: folder(file),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_nothing_of_it_is_believed(
    name: str, damage: str, checkpoints: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoints / "mixture", tmp_path / "it")
    DAMAGES[damage](tmp_path / "it" / name, checkpoints / "student")
    with pytest.raises(BadCheckpoint, match=name.replace(".", r"\.")):
        GrowingMixture.load(tmp_path / "it")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(FILES, 2)))
def test_files_that_changed_places_are_named(one: str, other: str, checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "mixture", tmp_path / "it")
    content = (tmp_path / "it" / one).read_bytes()
    swap(tmp_path / "it" / one, tmp_path / "it" / other)
    rewrite(tmp_path / "it" / other, content)
    with pytest.raises(BadCheckpoint, match=f"{one}|{other}"):
        GrowingMixture.load(tmp_path / "it")


def test_the_damages_are_two_hundred() -> None:
    assert len(DAMAGES) * len(FILES) >= 200


@pytest.mark.parametrize("damage", ["flipped-0", "cut-0", "missing", "link-to-passwd"])
@pytest.mark.parametrize("name", FILES)
def test_a_student_in_a_damaged_folder_is_refused_too(
    name: str, damage: str, checkpoints: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoints / "student", tmp_path / "it")
    DAMAGES[damage](tmp_path / "it" / name, checkpoints / "mixture")
    with pytest.raises(BadCheckpoint, match=name):
        Student.load(tmp_path / "it")


def test_a_folder_that_is_a_link_is_refused_and_not_replaced(checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "mixture", tmp_path / "it")
    (tmp_path / "latest").symlink_to("it")
    with pytest.raises(BadCheckpoint, match="latest is a symbolic link"):
        GrowingMixture.load(tmp_path / "latest")
    with pytest.raises(BadInput, match="latest' is a symbolic link"):
        GrowingMixture.load(tmp_path / "it").save(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()


# What is written ------------------------------------------------------------------------------------------------


TENSORS_OF_ALL_TYPES = {
    "floats": torch.linspace(-1, 1, 12).view(3, 4),
    "doubles": torch.rand(2, dtype=torch.float64),
    "brains": torch.randn(5).bfloat16(),
    "halves": torch.randn(5).half(),
    "bytes": torch.arange(256, dtype=torch.uint8),
    "whole": torch.tensor(2**62),
    "truths": torch.tensor([True, False]),
    "none": torch.empty(0, 5),
    "across": torch.rand(4, 3).T,
}


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_folder(tmp_path / "it", {"kind": "test", "numbers": [1, 2.5, None, "ä"]}, TENSORS_OF_ALL_TYPES)
    document, tensors = read_folder(tmp_path / "it", lambda *_: None)
    assert document["numbers"] == [1, 2.5, None, "ä"]
    assert tensors.keys() == TENSORS_OF_ALL_TYPES.keys()
    for name, tensor in TENSORS_OF_ALL_TYPES.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_what_is_written_again_is_of_this_version(tmp_path: Path) -> None:
    write_folder(tmp_path / "it", {"schema": 1, "growmix": "0.0.1"}, {})
    document, _ = read_folder(tmp_path / "it", lambda *_: None)
    assert document == {"schema": SCHEMA, "growmix": __version__}


@pytest.mark.parametrize("what", [{"complex": torch.zeros(2, dtype=torch.complex64)}])
def test_what_could_not_be_read_back_is_not_written(what: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="complex"):
        write_folder(tmp_path / "it", {"kind": "test"}, what)
    assert list(tmp_path.iterdir()) == []


def test_whom_a_folder_keeps_out_stays_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "it", {}, {})
    (tmp_path / "it").chmod(0o700)
    write_folder(tmp_path / "it", {}, {})
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o700


def test_who_may_read_the_document_may_read_the_numbers(tmp_path: Path) -> None:
    write_number(tmp_path / "it", 1)
    assert len({file.stat().st_mode for file in (tmp_path / "it").iterdir()}) == 1


def test_folders_inside_are_checkpoints_of_their_own_and_go_with_the_outer_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "it", {"number": 1}, {})
    write_folder(tmp_path / "it" / "inner", {"number": 2}, {})
    assert [number_in(tmp_path / "it"), number_in(tmp_path / "it" / "inner")] == [1, 2]
    write_folder(tmp_path / "it", {"number": 3}, {})
    assert number_in(tmp_path / "it") == 3
    assert not (tmp_path / "it" / "inner").exists()


# What stops a save ----------------------------------------------------------------------------------------------


def number_in(folder: Path) -> int:
    document, tensors = read_folder(folder, lambda *_: None)
    assert (tensors["filled"] == document["number"]).all() if tensors else True
    return int(document["number"])


def write_number(folder: Path, number: int) -> None:
    write_folder(folder, {"number": number}, {"filled": torch.full((50_000,), float(number))})


def in_a_process(work: Callable[[], None]) -> int:
    """Exit code of a copy of this process that does some work."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


KILLED = 9


def killed_at(step: int, work: Callable[[], None]) -> Callable[[], None]:
    """Work that ends without a word at one of its doings in the file system."""

    def doomed() -> None:
        left = [step]

        def hook(event: str, _: Any) -> None:
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(KILLED)

        sys.addaudithook(hook)
        work()

    return doomed


@pytest.mark.slow
@pytest.mark.parametrize("inner", [False, True])
def test_a_process_that_is_killed_at_any_step_leaves_a_whole_checkpoint(inner: bool, tmp_path: Path) -> None:
    place = tmp_path / "outer" / "it" if inner else tmp_path / "it"
    write_number(place, 0)
    found = []
    for step in range(100):
        ended = in_a_process(killed_at(step, lambda: write_number(place, 1)))
        assert ended in (0, KILLED)
        found.append(number_in(place))
        write_number(place, 0)
        assert number_in(place) == 0
        assert [file.name for file in place.parent.iterdir()] == ["it"], "what the dead left is cleared"
        if ended == 0:
            break
    assert len(found) > 10
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("same_number", [False, True])
def test_a_process_that_is_killed_in_its_first_save_is_in_nobodys_way(same_number: bool, tmp_path: Path) -> None:
    """In a container a process has the same number each time."""
    place = tmp_path / "it"
    for step in range(100):
        ended = in_a_process(killed_at(step, lambda: write_number(place, 1)))
        assert ended in (0, KILLED)
        if same_number:
            for left in tmp_path.iterdir():
                left.rename(tmp_path / re.sub(r"\d+$", str(os.getpid()), left.name))
        write_number(place, 2)
        assert number_in(place) == 2
        assert [file.name for file in tmp_path.iterdir()] == ["it"]
        remove_folder(place)
        if ended == 0:
            break
    assert step > 10


def test_what_a_newer_growmix_left_is_not_removed_where_it_is_all_there_is(tmp_path: Path, dead: int) -> None:
    left = tmp_path / f".it.old-{dead}"
    write_number(left, 1)
    document = json.loads((left / DOCUMENT).read_text())
    (left / DOCUMENT).write_text(json.dumps(document | {"schema": SCHEMA + 1}))
    seal(left)
    recover(tmp_path / "it")
    assert left.exists()
    write_number(tmp_path / "it", 2)
    recover(tmp_path / "it")
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


@pytest.mark.parametrize("room", [0, 10, 100, 5_000, 150_000])
def test_a_full_disk_leaves_the_earlier_checkpoint(room: int, tmp_path: Path) -> None:
    write_number(tmp_path / "it", 0)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        with pytest.raises(BadInput, match="can't be written"):
            write_number(tmp_path / "it", 1)

    assert in_a_process(full) == 0
    assert number_in(tmp_path / "it") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


def test_a_disk_that_is_full_only_when_it_is_to_be_certain_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_number(tmp_path / "it", 0)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadInput, match="No space"):
            write_number(tmp_path / "it", 1)
    assert number_in(tmp_path / "it") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


@pytest.fixture
def dead() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_of_what_the_dead_left_the_whole_and_newer_is_read(tmp_path: Path, dead: int) -> None:
    old, new = tmp_path / f".it.old-{dead}", tmp_path / f".it.new-{dead}"
    write_number(old, 1)
    write_number(new, 2)
    write_folder(new / "inner", {"number": 3}, {})
    assert [number_in(tmp_path / "it"), number_in(tmp_path / "it" / "inner")] == [2, 3]
    (new / SEAL).unlink()
    assert not is_whole(new)
    assert number_in(tmp_path / "it") == 1
    write_folder(tmp_path / "it" / "inner", {"number": 4}, {})
    assert [number_in(tmp_path / "it"), number_in(tmp_path / "it" / "inner")] == [1, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / f".it.new-{os.getppid()}"
    write_number(theirs, 1)
    write_number(tmp_path / "it", 2)
    assert (number_in(tmp_path / "it"), number_in(theirs)) == (2, 1)


def test_what_a_dead_process_left_comes_back_though_another_has_its_number_now(tmp_path: Path) -> None:
    """As in a container, where numbers are few; the student lies in a folder that would else be made anew."""
    write_number(tmp_path / f".it.new-{os.getppid()}", 1)
    recover(tmp_path / "it")
    assert number_in(tmp_path / "it") == 1
    (tmp_path / "it").rename(tmp_path / f".it.new-{os.getppid()}")
    write_number(tmp_path / "it" / "student", 2)
    assert (number_in(tmp_path / "it"), number_in(tmp_path / "it" / "student")) == (1, 2)


def test_what_could_not_be_read_back_takes_no_ones_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_number(tmp_path / "it", 1)
    monkeypatch.setattr("growmix.storage.untrusted.MOST_HEADER", 50)
    with pytest.raises(BadInput, match="could not be read back"):
        write_number(tmp_path / "it", 2)
    monkeypatch.undo()
    assert number_in(tmp_path / "it") == 1
    assert [place.name for place in tmp_path.iterdir()] == ["it"]


def test_what_is_removed_does_not_come_back(tmp_path: Path, dead: int) -> None:
    write_number(tmp_path / f".it.new-{dead}", 1)
    write_number(tmp_path / "it", 2)
    write_number(tmp_path / f".it.old-{dead}", 3)
    remove_folder(tmp_path / "it")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadCheckpoint):
        read_folder(tmp_path / "it", lambda *_: None)


def test_who_reads_while_another_writes_reads_one_or_the_other(tmp_path: Path) -> None:
    write_number(tmp_path / "it", 0)
    writer = os.fork()
    if writer == 0:
        try:
            for number in range(40):
                write_number(tmp_path / "it", number)
        finally:
            os._exit(0)
    found = []
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        found.append(number_in(tmp_path / "it"))
    assert found == sorted(found)
    assert found, "it was read meanwhile"
    assert number_in(tmp_path / "it") == 39


def test_checksums_are_those_of_the_files_alone(tmp_path: Path) -> None:
    write_number(tmp_path / "it", 1)
    before = (tmp_path / "it" / SEAL).read_bytes()
    (tmp_path / "it" / "inner").mkdir()
    seal(tmp_path / "it")
    assert (tmp_path / "it" / SEAL).read_bytes() == before


def test_threads_that_write_to_one_place_take_turns(tmp_path: Path) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 25):
            write_number(tmp_path / "it", number)
            number_in(tmp_path / "it")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, (0, 100, 200)))
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


def test_what_a_folder_holds_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_number(tmp_path / "it", 0)
    done: list[tuple[str, int]] = []
    sync, rename = os.fsync, Path.rename

    def fsync(handle: int) -> None:
        done.append(("to disk", os.fstat(handle).st_ino))
        sync(handle)

    def renamed(self: Path, target: Path) -> Path:
        done.append(("renamed", self.stat().st_ino))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    write_number(tmp_path / "it", 1)
    new = tmp_path / "it"
    placed = done.index(("renamed", new.stat().st_ino))
    for place in (new, *new.iterdir()):
        assert ("to disk", place.stat().st_ino) in done[:placed]
    assert ("to disk", tmp_path.stat().st_ino) in done[placed:]
    write_number(tmp_path / "a" / "b" / "it", 1)
    for made in (tmp_path / "a" / "b", tmp_path / "a", tmp_path):
        assert ("to disk", made.stat().st_ino) in done[placed + 1 :], "names of folders that were made on the way"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "it.json"
    write_whole(file, b"one")
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / ".it.json.new").symlink_to(tmp_path / "other")
    write_whole(file, b"two")
    assert (file.read_bytes(), (tmp_path / "other").read_bytes()) == (b"two", b"mine")

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with pytest.raises(OSError, match="large"):
            write_whole(file, b"three" * 10)

    assert in_a_process(full) == 0
    assert file.read_bytes() == b"two"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["it.json", "other"]


BESIDE = ["thesis.tex", "src/code.py", "student/notes.txt", "student/deeper/notes.txt", ".git/HEAD", ".gitattributes"]


@pytest.mark.parametrize("beside", BESIDE)
def test_a_folder_with_anything_beside_a_checkpoint_is_not_replaced(beside: str, tmp_path: Path) -> None:
    place = tmp_path / "it"
    write_number(place, 0)
    write_number(place / "student", 0)
    write_number(place / "student" / "deeper", 0)
    (place / beside).parent.mkdir(exist_ok=True)
    (place / beside).write_text("mine")
    with pytest.raises(BadInput, match="give a new folder"):
        write_number(place, 1)
    assert (place / beside).read_text() == "mine"
    assert number_in(place) == 0
    (place / beside).unlink()
    if not any((place / beside).parent.iterdir()):
        (place / beside).parent.rmdir()
    (place / ".DS_Store").touch()
    write_number(place, 2)
    assert number_in(place) == 2
