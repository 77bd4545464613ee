"""What ``run`` is to sync: the websites of the settings, or the portals of the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from etl.cli.subjects import Subject
from etl.errors import SettingsError
from etl.settings import chosen_portal, load, load_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.cli.printout import Collector, Printout
    from etl.cli.wish import Wish
    from etl.clock import SystemClock
    from etl.settings import Fleet, Settings, SyncSettings, WatchSettings


class Work(Protocol):
    """Settings that were read, and what is synced by them. ``sync`` says where the log goes."""

    @property
    def subjects(self) -> Sequence[Subject]: ...

    @property
    def log(self) -> SyncSettings: ...

    @property
    def watch(self) -> WatchSettings: ...

    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        ...

    def sync(self, clock: SystemClock, report: Printout | Collector, wish: Wish) -> int:
        """Sync what is new, and tell ``report``. Returns the exit code; raises a SyncError."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """One portal, of which nothing is declared: the settings are its own."""

    settings: Settings

    @property
    def subjects(self) -> tuple[Subject]:
        return (Subject(self.settings),)

    @property
    def log(self) -> SyncSettings:
        return self.settings.sync

    @property
    def watch(self) -> WatchSettings:
        return self.settings.watch

    def secrets(self) -> tuple[str, ...]:
        return self.settings.secrets()

    def sync(self, clock: SystemClock, report: Printout | Collector, wish: Wish) -> int:
        from etl.cli.syncing import sync_new  # noqa: PLC0415 -- for cron, after the settings

        return sync_new(
            self.settings, clock, report, now=wish.now, websites=wish.websites, dry_run=wish.dry_run
        )


@dataclass(frozen=True, slots=True)
class Several:
    """All portals that are declared, or the chosen one of them."""

    fleet: Fleet

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(Subject(each.settings, each.portal) for each in self.fleet.tenants)

    @property
    def log(self) -> SyncSettings:
        return self.fleet.tenants[0].settings.sync

    @property
    def watch(self) -> WatchSettings:
        return self.fleet.tenants[0].settings.watch

    def secrets(self) -> tuple[str, ...]:
        return self.fleet.secrets()

    def sync(self, clock: SystemClock, report: Printout | Collector, wish: Wish) -> int:
        from etl.cli.side_by_side import sync_fleet  # noqa: PLC0415 -- few have several

        return sync_fleet(self.fleet, clock, report, wish)


def load_work(wish: Wish) -> Work:
    """What is to be synced, by the settings as they are now. Raises SettingsError."""
    if wish.everything or chosen_portal() is not None:
        if not (fleet := load_fleet()).tenants:
            raise SettingsError(
                "There is no website to sync.", fix="Declare one in [[sites]]: visitor-sync help fleet."
            )
        return Several(fleet)
    return Alone(load())
