"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from etl.files import new_file, replace


def test_a_file_is_its_owner_s_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "file"

    replace(path, b"one")
    replace(path, b"two\xff\r\n")

    assert path.read_bytes() == b"two\xff\r\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_beside_is_swept_once_it_is_old(tmp_path: Path) -> None:
    names = [".file.old.draft", ".file.new.draft", ".other.old.draft"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    an_hour_ago = time.time() - 3601
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (an_hour_ago, an_hour_ago))

    replace(tmp_path / "file", b"whole", mode=0o644)

    assert {path.name for path in tmp_path.iterdir()} == {"file", *names[1:]}


def test_where_it_cannot_be_written_nothing_is_left_and_nothing_lost(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()

    with pytest.raises(OSError, match="directory"):
        replace(tmp_path / "file", b"text")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_directory_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "missing" / "file", b"text")

    assert list(tmp_path.iterdir()) == []


def test_of_several_that_write_at_once_each_writes_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    texts = [bytes([letter]) * 300_000 for letter in b"abcd"]

    def write(text: bytes) -> set[bytes]:
        seen = set()
        for _ in range(25):
            replace(path, text)
            seen.add(path.read_bytes())
        return seen

    with ThreadPoolExecutor(len(texts)) as threads:
        seen = set().union(*threads.map(write, texts))

    assert seen <= set(texts)
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_its_name_once_it_is_whole_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new"

    with new_file(path) as draft:
        draft.write_text("whole")
        assert not path.exists()

    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_never_takes_the_place_of_one_that_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "new"

    with pytest.raises(FileExistsError), new_file(path):
        path.write_text("theirs")

    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_not_half_there_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), new_file(tmp_path / "new") as draft:
        tmp_path.write_bytes(draft.read_bytes())

    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_links_gets_its_new_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with new_file(tmp_path / "new") as draft:
        draft.write_text("whole")

    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]
