"""Options of several commands: those that all take, before the name and behind it, and those of a dry run."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

LEVELS = ("debug", "info", "warning", "error")
_ENV_FILE, _PORTAL, _LOG_LEVEL = (f"{__name__}.{name}" for name in ("env_file", "portal", "log_level"))


def _noted(key: str) -> Any:
    """A callback that notes what was given; what is given last, behind the command's name, wins."""

    def note(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta[key] = value

    return note


def _noted_portal(context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> None:
    """A callback that notes the one portal that was given, wherever that was."""
    for value in values:
        if context.meta.setdefault(_PORTAL, value) != value:
            raise click.UsageError("--portal names several portals: give one of them.", context)


def refuse_portal() -> None:
    """For commands that are of all portals, or take one as an argument."""
    if _PORTAL in click.get_current_context().meta:
        raise click.UsageError("This command is not of one portal: write it without --portal.")


def required_portal(context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """The callback of an argument PORTAL, for those who give the common option in its place."""
    if value is None:
        raise click.UsageError("Missing argument 'PORTAL': write it without --portal.", context)
    return value


COMMON = (
    click.Option(
        ["--env-file"],
        type=click.Path(readable=False),
        metavar="FILE",
        expose_value=False,
        callback=_noted(_ENV_FILE),
        help="Read FILE instead of .env.",
    ),
    click.Option(
        ["--portal", "of_portal"],
        metavar="NAME",
        multiple=True,
        expose_value=False,
        callback=_noted_portal,
        help="Work on this portal of visitor-sync.toml.",
    ),
    click.Option(
        ["--log-level"],
        type=click.Choice(LEVELS),
        metavar="LEVEL",
        expose_value=False,
        callback=_noted(_LOG_LEVEL),
        help="What goes to the log: debug, info (the default), warning or error.",
    ),
)


def _follow(noted: MutableMapping[str, Any]) -> None:
    """Have the settings and the log obey what was given; what was not costs no import."""
    if (path := noted.get(_ENV_FILE)) is not None:
        from etl import envfile  # noqa: PLC0415 -- few give one

        envfile.choose(path)
    if (portal := noted.get(_PORTAL)) is not None:
        from etl import settings  # noqa: PLC0415 -- likewise

        settings.choose_portal(portal)
    if level := noted.get(_LOG_LEVEL):
        from etl.cli import logs  # noqa: PLC0415 -- likewise

        logs.choose(level)


class Command(click.Command):
    """A command with the common options after its own."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*own[: len(self.params)], *COMMON, *own[len(self.params) :]]

    def invoke(self, ctx: click.Context) -> Any:
        _follow(ctx.meta)
        return super().invoke(ctx)


class Group(Command, click.Group):
    """A group whose commands, and groups, have the common options as well."""

    command_class = Command
    group_class = type


DRY_RUN_OPTION = click.option("--dry-run", is_flag=True, help="Read everything, write nothing anywhere.")
SHOWN = 50
"""So many contacts of a dry run are shown."""


class DryRun(NamedTuple):
    """How a dry run is told: the first ``limit`` contacts (0: all), and changes in the exit code or not."""

    limit: int = SHOWN
    detailed: bool = False


def dry_run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Let ``command`` take a DryRun as ``dry_run``, or None; what belongs to one alone is a wrong usage."""

    @DRY_RUN_OPTION
    @click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(0),
        help=f"With --dry-run: show N contacts, or all (0).  [default: {SHOWN}]",
    )
    @click.option(
        "--detailed-exitcode", "detailed", is_flag=True, help="With --dry-run: exit 10 for changes."
    )
    @wraps(command)
    def told(*, dry_run: bool, limit: int | None, detailed: bool, **options: Any) -> int:
        if dry_run:
            return command(dry_run=DryRun(SHOWN if limit is None else limit, detailed), **options)
        if limit is not None or detailed:
            option = "--detailed-exitcode" if detailed else "--limit"
            raise click.UsageError(f"{option} needs --dry-run.")
        return command(dry_run=None, **options)

    return told
