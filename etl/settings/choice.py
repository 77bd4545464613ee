"""The portal whose settings are read, where one is chosen."""

from __future__ import annotations

_chosen: str | None = None


def choose_portal(name: str | None) -> None:
    """Have the settings read as they are for one portal of the configuration file; None: as they are set."""
    global _chosen  # noqa: PLW0603 -- of the process, as the env file that is chosen
    _chosen = name


def chosen_portal() -> str | None:
    """The portal that the settings are read for; None where none was chosen."""
    return _chosen
