"""The two units of a systemd timer. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from etl.envfile import printable
from etl.errors import SettingsError

if TYPE_CHECKING:
    from etl.cli.scheduling.cadence import Cadence
    from etl.cli.scheduling.job import Job

SERVICE, TIMER = "visitor-sync.service", "visitor-sync.timer"
_MARK = "# Made by visitor-sync schedule in "
_PLAIN = re.compile(r"[\w/.,+=@%-]+")

# Only what the manager of a user can do without privileges. It has no network-online.target either: a run
# without a network ends with 4, and the next one goes on.
_SERVICE = """\
{mark}
# settings: {env_file}
# Not as EnvironmentFile=: systemd reads quotes and $ otherwise, and would win over the file.
[Unit]
Description=Zenovay visitors to HubSpot contacts

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
SuccessExitStatus=4 75
UMask=0077
NoNewPrivileges=true
LockPersonality=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictRealtime=true
RestrictSUIDSGID=true
"""

# Where starts may be a minute late, as by default, every second one could come within SYNC_MIN_INTERVAL.
_TIMER = """\
{mark}
# {sentence}
[Unit]
Description=Zenovay visitors to HubSpot contacts

[Timer]
OnCalendar={calendar}
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(job: Job, cadence: Cadence) -> dict[str, str]:
    """The texts by the names of their files. Raises SettingsError for paths that systemd does not take."""
    for path in job.paths:
        if printable(path) != path:
            raise _refused(path, "path that is not UTF-8")
    if set(job.program[0]) & {*"'\""}:
        raise _refused(job.program[0], "program with a quotation mark in its path")
    mark = _MARK + job.owner
    service = _SERVICE.format(
        mark=mark, env_file=job.env_file, folder=job.folder.replace("%", "%%"), command=_command(job)
    )
    timer = _TIMER.format(mark=mark, sentence=cadence.sentence, calendar=cadence.calendar)
    return {SERVICE: service, TIMER: timer}


def owner_of(text: str) -> str | None:
    """Whose schedule we made this unit for; None where we did not."""
    marks = (line.removeprefix(_MARK) for line in text.split("\n")[:3] if line.startswith(_MARK))
    return next(marks, None)


def _command(job: Job) -> str:
    program, *rest = job.words
    as_is = ":" if any("$" in word for word in job.words) else ""
    return " ".join((_word(as_is + program), *map(_word, rest)))


def _word(text: str) -> str:
    escaped = text.replace("%", "%%").replace('"', '\\"')
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def _refused(path: str, what: str) -> SettingsError:
    return SettingsError(f"systemd takes no {what}: {printable(path)}.", fix="Move it, or take cron.")
