"""The command: a schedule printed, put in place, taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli import logs, notices
from etl.cli.derived import accounts, state_url
from etl.cli.limited import limited
from etl.cli.month import look, unreserved
from etl.cli.scheduling import crontab, manager, table
from etl.cli.scheduling.cadence import afforded, declared
from etl.cli.scheduling.job import this_job
from etl.cli.scheduling.surroundings import lost_settings, lost_ways
from etl.cli.scheduling.units import units
from etl.clock import SystemClock
from etl.envfile import printable
from etl.errors import SettingsError, SyncError
from etl.settings import PRO_PLAN, RESERVE, load, load_every, load_fleet
from etl.state.store import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.cli.month import Schedule
    from etl.cli.scheduling.cadence import Cadence
    from etl.cli.scheduling.job import Job
    from etl.settings import Settings

SYSTEMD = "systemd"


def print_schedule(kind: str) -> int:
    """Print what would be put in place, and on stderr what would keep it from working.

    Returns the exit code. Raises SettingsError where the plan affords no run a day.
    """
    job = this_job()
    cadence = _cadence(job, _settings_if_any(job))
    if kind == SYSTEMD:
        click.echo(_printed(units(job, cadence)), nl=False)
        notices.hint(
            "visitor-sync schedule systemd --install puts these two files in place and starts the timer."
        )
        _hint_at_linger()
    else:
        click.echo(crontab.block(job, cadence), nl=False)
        notices.hint("visitor-sync schedule --install puts these lines into your crontab.")
    return 0


def install_schedule(kind: str) -> int:
    """Put it in place for the current user. Returns the exit code.

    Raises SettingsError where a run would not find all that is set here, or the system refuses;
    UnavailableError where the crontab is changed at the same time.
    """
    job = this_job()
    if lost := lost_settings():
        raise SettingsError(_lost(lost), fix=_to_write(lost, job))
    cadence = _cadence(job, _settings(job))
    if kind == SYSTEMD:
        manager.install(units(job, cadence), job.owner)
        click.echo(f"{printable(str(manager.place()))}: the timer is on, {cadence.sentence}")
        notices.hint("journalctl --user -u visitor-sync shows what needs a person.")
        _hint_at_linger()
    else:
        wanted = crontab.block(job, cadence)
        changed = table.change(lambda before: crontab.with_block(before, job.owner, wanted))
        click.echo(f"crontab: {'installed' if changed else 'installed already'}, {cadence.sentence}")
    _warn_of_ways()
    return 0


def remove_schedule(kind: str) -> int:
    """Take out what is in place for the working directory, with the file of settings that is given.

    Returns the exit code. Raises what ``install_schedule`` does, but asks no settings.
    """
    owner = this_job().owner
    if kind == SYSTEMD:
        where, removed = "systemd", manager.remove(owner)
    else:
        where = "crontab"
        removed = table.change(lambda before: crontab.without_block(before, owner))
    click.echo(f"{where}: {'removed' if removed else 'nothing was installed'} for {printable(owner)}")
    return 0


def _printed(texts: Mapping[str, str]) -> str:
    """Two files, each below a comment that says where it belongs."""
    where = printable(str(manager.place()))
    return "\n".join(f"# File {where}/{name}:\n{text}" for name, text in texts.items())


def _settings_if_any(job: Job) -> Settings | None:
    """The settings as they are; what is wrong with them is a warning."""
    _warn_of_ways()
    try:
        if lost := lost_settings():
            notices.warn(f"{_lost(lost)} {_to_write(lost, job)}")
        return _settings(job)
    except SettingsError as exc:
        notices.warn(str(exc))
        return None


def _settings(job: Job) -> Settings | None:
    """None for all portals, whose settings are sound. Raises SettingsError."""
    settings = None if job.everything else load()
    if job.everything or job.portal:
        for remark in load_fleet().remarks():
            notices.warn(remark)
    return settings


def _cadence(job: Job, settings: Settings | None) -> Cadence:
    """As it is declared, or what the plan affords; without settings, what Zenovay's Pro plan does for one."""
    if job.everything or job.portal:
        return declared([every for _, every in load_every()])
    if settings is None:
        return afforded([None], allowed=unreserved(PRO_PLAN, RESERVE))
    logs.configure(settings.sync.log_format, settings.secrets())
    try:
        seen, allowed = _observed(settings)
    except SyncError as exc:
        notices.warn(f"What runs cost so far is not known. {exc}")
        plan = settings.zenovay
        seen, allowed = [None] * len(plan.website_id), unreserved(plan.requests_per_month, plan.reserve)
    return afforded(seen, allowed=allowed, least=settings.sync.min_interval)


def _observed(settings: Settings) -> tuple[Sequence[Schedule | None], int]:
    """What the last runs of each website cost, and how many requests a month are for them."""
    plan, clock = settings.zenovay, SystemClock()
    with (
        read_state(state_url(settings.sync), clock, accounts(settings)) as state,
        limited(settings.shared, state, clock),
    ):
        if state is None:
            return [None] * len(plan.website_id), unreserved(plan.requests_per_month, plan.reserve)
        quota = state.limits.quota("zenovay")
        months = [look(state, [name], plan, clock.now(), quota) for name in plan.website_id]
    return [month.schedule for month in months], months[0].allowed


def _lost(names: Sequence[str]) -> str:
    be = "is" if len(names) == 1 else "are"
    return f"{', '.join(map(printable, names))} {be} set in this environment, which a schedule does not have."


def _to_write(names: Sequence[str], job: Job) -> str:
    moved = " and ".join(name for name in ("HOME", "XDG_STATE_HOME") if name in names)
    state = f" {moved} says where the state is: write SYNC_STATE_URL for that." if moved else ""
    return f"Write NAME=value lines into {printable(job.env_file)} instead.{state}"


def _warn_of_ways() -> None:
    if ways := lost_ways():
        notices.warn(
            f"{_lost(ways)} Where they are needed: NAME=value lines in the crontab before ours; for systemd"
            " in ~/.config/environment.d/*.conf."
        )


def _hint_at_linger() -> None:
    if not manager.lingers():
        notices.hint("The timer stops when this user logs out. To keep it: loginctl enable-linger")
