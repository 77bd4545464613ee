"""The options that every command takes, before its name and behind it: where it reads, what it logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import MutableMapping

LEVELS = ("debug", "info", "warning", "error")
_ENV_FILE, _LOG_LEVEL = f"{__name__}.env_file", f"{__name__}.log_level"


def _noted(key: str) -> Any:
    """A callback that notes what was given; what is given last, behind the command's name, wins."""

    def note(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta[key] = value

    return note


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
