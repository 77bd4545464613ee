"""``explain``: why a contact would be sent or not, what it holds and whose statement that is."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, Ended, row

if TYPE_CHECKING:
    from program import Program

ANN, BOB = "ann@example.test", "bob@example.test"
LINK = "zenovay_form_visitor_id"
DAY = 24 * 60


def explained(program: Program, key: str, *arguments: str, **settings: str) -> dict[str, Any]:
    ended = program("explain", key, "--json", *arguments, **settings)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return dict(ended.value)


def answer(program: Program, key: str, **settings: str) -> tuple[bool, str]:
    """Would it be sent, and for what reason: the same with and without HubSpot."""
    online, offline = (explained(program, key, *each, **settings) for each in ((), ("--offline",)))
    assert online["answer"] == offline["answer"]
    return online["answer"]["would_be_sent"], online["answer"]["reason"]


def test_show(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2, email=ANN, country_code="FR", minutes_ago=100), row(3))
    program.run()
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.2))
    program.run()
    (record,) = [n for n, c in program.sandbox.hubspot.contacts.items() if c.get("email") == ANN]
    program.sandbox.hubspot.edit(record, country="Italy")
    for key in (ANN, "v000001", record, "v000003", "nobody"):
        ended = program("explain", key)
        print(ended.exit_code, ended.stderr)
        print(ended.stdout)
        print("=======")
    print(json.dumps(program("explain", ANN, "--json").value, indent=1))
    raise AssertionError
