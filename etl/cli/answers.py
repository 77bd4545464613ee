"""What ``--json`` answers where a command failed, and so has nothing else to print."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import click

from etl.cli.commands import program
from etl.cli.notices import reasons
from etl.cli.speech import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.errors import SyncError
    from etl.models.summary import RunKind

_KINDS = {"run": "incremental", "backfill": "backfill"}


def answer(arguments: Sequence[str], failure: SyncError) -> dict[str, Any] | None:
    """The object that says why the command of these ``arguments`` failed; None where none is asked for.

    They are looked at as they are, since the failure may be that they cannot be understood. Of a command that
    syncs, it has all keys of a summary.
    """
    options = list(takewhile(lambda word: word != "--", arguments))
    called = _called(options)
    if "--json" not in options or not any(_prints_json(command) for command in called):
        return None
    if kind := _KINDS.get(str(called[0].name)):
        from etl.cli.unbegun import unbegun_object  # noqa: PLC0415 -- only a failure needs it

        return unbegun_object(failure, kind=cast("RunKind", kind), dry_run="--dry-run" in options)
    error = reasons(failure)
    return {
        "status": "failed",
        "exit_code": failure.exit_code,
        "reason": spoken(str(failure)),
        "error": error,
    }


def _called(arguments: Sequence[str]) -> list[click.Command]:
    """The command that is meant, behind the groups that it is in."""
    found: list[click.Command] = []
    group: click.Command = program
    for word in arguments:
        if isinstance(group, click.Group) and word in group.commands:
            group = group.commands[word]
            found.append(group)
    return found


def _prints_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)
