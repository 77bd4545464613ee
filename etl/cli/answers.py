"""What ``--json`` answers where a command failed, and so has nothing else to print."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import click

from etl.cli.commands import program
from etl.cli.notices import reasons

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
    error = reasons(failure)
    if kind := _KINDS.get(str(called[0].name)):
        return _summary(kind, failure, dry_run="--dry-run" in options) | {"error": error}
    return {"status": "failed", "exit_code": failure.exit_code, "reason": str(failure), "error": error}


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


def _summary(kind: str, failure: SyncError, *, dry_run: bool) -> dict[str, Any]:
    """The books of a run that had not begun."""
    from etl.models.summary import RunSummary  # noqa: PLC0415 -- only a failure needs it
    from etl.pipeline.ending import conclude  # noqa: PLC0415 -- likewise

    summary = RunSummary("", cast("RunKind", kind), "", dry_run)
    conclude(summary, failure, newly_rejected=0)
    return summary.as_object() | {"run": None, "website": None}
