"""Which websites a command is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence


def chosen(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The websites of the settings that ``--website`` names, in their order there; all where it names none.

    Raises SettingsError for one that is not ``known``, that is, in the settings.
    """
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SettingsError(
            f"--website names {', '.join(unknown)}, which ZENOVAY_WEBSITE_ID does not.",
            fix=f"It names: {', '.join(known) or 'none'}.",
        )
    return tuple(name for name in known if not wanted or name in wanted)
