"""``demo``: the whole job, and what it does to one person's contact."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, OURS

from etl.cli.acquaintance import ENTERED, comparison, visits
from etl.fields import FIELDS, Field

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SHOWN = {field.name: field for field in FIELDS}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What it prints, where everything that it could take for its own settings is wrong."""
    folder: Path = tmp_path_factory.mktemp("demo")
    (folder / ".env").write_text("HUBSPOT_ACCESS_TOKEN=real\nSYNC_ANONYMOUS=skip\n")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [COMMAND, "demo"], cwd=folder, env=bare, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in folder.iterdir()] == [".env"]
    return done.stdout.splitlines()


def table(lines: list[str]) -> dict[str, list[str]]:
    """The columns of each property."""
    (start,) = [
        number for number, line in enumerate(lines) if line.split() == ["property", "before", "after", "from"]
    ]
    end = lines.index("", start)
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[start + 1 : end]]
    return {name: rest for name, *rest in cells}


def test_one_person_s_contact_is_shown_before_and_after(shown: list[str]) -> None:
    contact = table(shown)

    assert {"country", "zenovay_last_seen", "zenovay_pageviews", "zenovay_first_page"} <= contact.keys()
    assert contact["country"][0] == ENTERED["country"]
    assert "a person typed" in contact["country"][2]
    assert contact["zenovay_pageviews"] == ["-", "9", "the sum of both visitors"]
    assert contact["zenovay_first_page"] == ["-", "/docs/setup", "the laptop's row"]
    assert contact["zenovay_value_score"] == ["-", "64", "the phone's row"]
    assert contact["zenovay_last_seen"][2] == "the phone's row"
    assert contact["zenovay_first_seen"][2] == "the laptop's row"


def test_it_ends_in_totals_and_lists_no_broken_rows(shown: list[str]) -> None:
    assert not [line for line in shown if "bad_pageviews\t" in line]
    assert shown[-2].startswith("In all, 4 runs have read ")
    assert shown[-1] == "That is the whole job."


@pytest.mark.parametrize(
    ("field", "before", "after", "because"),
    [
        (SHOWN["country"], "Liechtenstein", "Liechtenstein", "kept: a person typed it"),
        (SHOWN["country"], "Liechtenstein", "Switzerland", "the phone's row, over what a person typed"),
        (SHOWN["country"], "", "Switzerland", "the phone's row"),
        (SHOWN["country"], "", "", "-"),
        (SHOWN["pageviews"], "", "9", "the sum of both visitors"),
        (SHOWN["engaged"], "", "true", "the phone's row"),
        (SHOWN["first_referrer"], "", "https://www.google.com/", "the laptop's row"),
    ],
)
def test_each_value_is_put_down_to_what_it_comes_from(
    field: Field, before: str, after: str, because: str
) -> None:
    name = field.property_name

    ((shown_as, had, has, why),) = comparison({name: before}, {name: after}, visits(NOW), [field])

    assert (shown_as, had, has, why) == (name, before or "-", after or "-", because)
