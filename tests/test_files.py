"""Files are written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.files import replace

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_its_owner_s_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"

    replace(path, b"one")
    replace(path, b"two\xff\r\n")

    assert path.read_bytes() == b"two\xff\r\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_beside_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".file.draft").write_bytes(b"half")

    replace(tmp_path / "file", b"whole", mode=0o644)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_where_it_cannot_be_written_nothing_is_left_and_nothing_lost(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()

    with pytest.raises(OSError, match="directory"):
        replace(tmp_path / "file", b"text")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
