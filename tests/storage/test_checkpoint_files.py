"""A checkpoint is read as it was written or not at all, and whatever stops a save leaves a whole one."""

from __future__ import annotations

import os
import pickle
import random
import re
import resource
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from forging import tensors_in
from growmix import BadCheckpoint, BadInput, GrowingMixture, Student, __version__
from growmix.checkpoints import folders
from growmix.checkpoints.folders import exists, read_document, read_folder, write_folder
from growmix.checkpoints.migration import SCHEMA
from growmix.storage.checkpoint_files import DOCUMENT, is_whole, remove_folder

FILES = ("state", "tensors")


def file_of(folder: Path, name: str) -> Path:
    return folder / DOCUMENT if name == "state" else tensors_in(folder)


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
    **{f"flipped-{seed}": lambda file, _, seed=seed: flip(file, seed) for seed in range(8)},
    **{f"cut-{seed}": lambda file, _, seed=seed: cut(file, seed) for seed in range(3)},
    "emptied": lambda file, _: rewrite(file, b""),
    "longer": lambda file, _: rewrite(file, file.read_bytes() + b"\n"),
    "zeros": lambda file, _: rewrite(file, bytes(len(file.read_bytes()))),
    "another's": lambda file, other: swap(file, file_of(other, "state" if file.name == DOCUMENT else "tensors")),
    "another-file": lambda file, other: swap(file, file_of(other, "tensors" if file.name == DOCUMENT else "state")),
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


def assert_named(load: Callable[[Path], Any], name: str, damage: str, source: Path, other: Path, place: Path) -> None:
    shutil.copytree(source, place)
    file = file_of(place, name)
    DAMAGES[damage](file, other)
    # a state of another checkpoint is whole, but the tensors that it names are not there
    named = "tensors-" if (name, damage) == ("state", "another's") else file.name
    with pytest.raises(BadCheckpoint, match=re.escape(named)):
        load(place)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_nothing_of_it_is_believed(
    name: str, damage: str, checkpoints: Path, tmp_path: Path
) -> None:
    assert_named(GrowingMixture.load, name, damage, checkpoints / "mixture", checkpoints / "student", tmp_path / "it")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["flipped-0", "cut-0", "missing", "link-to-passwd"])
@pytest.mark.parametrize("name", FILES)
def test_a_student_in_a_damaged_folder_is_refused_too(
    name: str, damage: str, checkpoints: Path, tmp_path: Path
) -> None:
    assert_named(Student.load, name, damage, checkpoints / "student", checkpoints / "mixture", tmp_path / "it")


def test_no_byte_of_the_state_can_change_unseen(checkpoints: Path) -> None:
    state = (checkpoints / "mixture" / DOCUMENT).read_bytes()
    assert is_whole(state)
    for place in range(len(state)):
        changed = bytearray(state)
        changed[place] ^= 1 << place % 8
        assert not is_whole(bytes(changed)), place


def test_no_byte_of_the_tensors_can_change_unseen(tmp_path: Path) -> None:
    write_folder(tmp_path / "it", {}, {"few": torch.arange(9.0)})
    file = tensors_in(tmp_path / "it")
    content = file.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        with pytest.raises(BadCheckpoint, match=f"{file.name} is not what was written"):
            read_document(tmp_path / "it")


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


@pytest.mark.parametrize(
    ("document", "named"),
    [({}, "complex"), ({"n": 10**400}, "401 digits"), ({"n": float("nan")}, "Out of range"), ({"n": {1}}, "set")],
)
def test_what_could_not_be_read_back_is_not_written(document: dict[str, Any], named: str, tmp_path: Path) -> None:
    numbers = torch.zeros(2, dtype=torch.float32 if document else torch.complex64)
    with pytest.raises(BadInput, match=named):
        write_folder(tmp_path / "it", document, {"numbers": numbers})
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


def assert_tidy(folder: Path) -> None:
    """Nothing is left beside a folder, nor in it beside its two files."""
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    assert sorted(file.name for file in folder.iterdir()) == [DOCUMENT, tensors_in(folder).name]


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
        assert_tidy(place)
        if ended == 0:
            break
    assert len(found) > 8
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == 1


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_step_leaves_no_inner_checkpoint_in_a_new_outer_one(tmp_path: Path) -> None:
    place, student = tmp_path / "it", tmp_path / "it" / "student"
    found = []
    for step in range(100):
        write_number(place, 0)
        write_number(student, 0)
        ended = in_a_process(killed_at(step, lambda: write_number(place, 1)))
        found.append((number_in(place), exists(student)))
        assert not exists(student) or number_in(student) == 0
        if ended == 0:
            break
    assert set(found) == {(0, True), (0, False), (1, False)}


@pytest.mark.slow
def test_a_process_that_is_killed_in_its_first_save_is_in_nobodys_way(tmp_path: Path) -> None:
    place = tmp_path / "it"
    for step in range(100):
        ended = in_a_process(killed_at(step, lambda: write_number(place, 1)))
        assert ended in (0, KILLED)
        assert not exists(place) or number_in(place) == 1
        write_number(place, 2)
        assert number_in(place) == 2
        assert_tidy(place)
        remove_folder(place)
        if ended == 0:
            break
    assert step > 8


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_removes_a_checkpoint_leaves_none_or_all(tmp_path: Path) -> None:
    place = tmp_path / "it"
    for step in range(100):
        write_number(place, 1)
        ended = in_a_process(killed_at(step, lambda: remove_folder(place)))
        assert not exists(place) or number_in(place) == 1
        if ended == 0:
            break
    assert not place.exists()
    assert step > 2


@pytest.mark.parametrize("room", [0, 10, 100, 5_000, 150_000])
def test_a_full_disk_leaves_the_earlier_checkpoint(room: int, tmp_path: Path) -> None:
    write_number(tmp_path / "it", 0)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        for place in ("it", "new"):
            with pytest.raises(BadInput, match="can't be written"):
                write_number(tmp_path / place, 1)

    assert in_a_process(full) == 0
    assert number_in(tmp_path / "it") == 0
    assert_tidy(tmp_path / "it")


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
    assert_tidy(tmp_path / "it")


def test_a_save_that_fails_keeps_what_it_has_in_common_with_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tensors have the same name; and where the document could not be written, the student stays."""
    write_folder(tmp_path / "it", {"number": 7}, {"filled": torch.full((5,), 7.0)})
    write_number(tmp_path / "it" / "student", 1)

    def refuse(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "SCHEMA", SCHEMA + 1)
        patch.setattr(os, "fsync", lambda handle: refuse() if DOCUMENT in os.readlink(f"/proc/self/fd/{handle}") else 0)
        with pytest.raises(BadInput, match="Input/output error"):
            write_folder(tmp_path / "it", {"number": 7}, {"filled": torch.full((5,), 7.0)})
    assert (number_in(tmp_path / "it"), number_in(tmp_path / "it" / "student")) == (7, 1)


def test_what_could_not_be_read_back_takes_no_ones_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_number(tmp_path / "it", 1)
    for bound in ("MOST_HEADER", "MOST_JSON"):
        with monkeypatch.context() as patch, pytest.raises(BadInput, match="read back"):
            patch.setattr(folders, bound, 50)
            write_number(tmp_path / "it", 2)
    assert number_in(tmp_path / "it") == 1
    assert_tidy(tmp_path / "it")


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


def test_two_processes_that_write_to_one_place_take_turns(tmp_path: Path) -> None:
    write_number(tmp_path / "it", 0)

    def work() -> None:
        for number in range(20):
            write_number(tmp_path / "it", number)
            number_in(tmp_path / "it")

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(in_a_process, (work, work))) == [0, 0]
    assert number_in(tmp_path / "it") == 19
    assert_tidy(tmp_path / "it")


def test_threads_that_write_to_one_place_take_turns(tmp_path: Path) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 25):
            write_number(tmp_path / "it", number)
            number_in(tmp_path / "it")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, (0, 100, 200)))
    assert_tidy(tmp_path / "it")


def test_tensors_and_their_name_are_on_the_disk_before_a_state_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_number(tmp_path / "it", 0)
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        done.append(f"{Path(os.readlink(f'/proc/self/fd/{handle}')).name} to disk")
        sync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"{target.name} named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replaced)
    write_number(tmp_path / "it", 1)
    tensors = tensors_in(tmp_path / "it").name
    assert done == [
        f".{tensors}.new to disk", f"{tensors} named", "it to disk",
        f".{DOCUMENT}.new to disk", f"{DOCUMENT} named", "it to disk",
    ]  # fmt: skip
    done.clear()
    write_number(tmp_path / "a" / "b" / "it", 1)
    assert done[:3] == [f"{tmp_path.name} to disk", "a to disk", "b to disk"], "names of folders made on the way"


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
