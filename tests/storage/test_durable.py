"""A file has its old content or its new one, whatever happens."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from growmix.storage.durable import make_folders, write_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "it.json"
    write_whole(file, b"one")
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / ".it.json.new").symlink_to(tmp_path / "other")
    write_whole(file, b"two")
    assert (file.read_bytes(), (tmp_path / "other").read_bytes()) == (b"two", b"mine")

    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            write_whole(file, b"three" * 10)
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert file.read_bytes() == b"two"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["it.json", "other"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_is_raised_before_a_file_gets_its_name_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    def refuse() -> None:
        assert (tmp_path / ".it.json.new").read_bytes() == b"two", "the new one is written by then"
        raise error

    write_whole(tmp_path / "it.json", b"one")
    with pytest.raises(type(error)):
        write_whole(tmp_path / "it.json", b"two", ready=refuse)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("it.json", b"one")]


def test_folders_that_are_there_are_left_as_they_are(tmp_path: Path) -> None:
    make_folders(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").touch()
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "file").exists()
