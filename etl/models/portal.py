"""One HubSpot account, and the claim of a state to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portal:
    """A HubSpot account by its own words; ``type`` and ``domain`` are None where it does not say."""

    id: int
    type: str | None = None
    domain: str | None = None

    def __str__(self) -> str:
        said = ", ".join(filter(None, (self.type, self.domain)))
        return f"{self.id} ({said})" if said else str(self.id)


@dataclass(frozen=True, slots=True)
class Owner:
    """The portal whose contacts a state describes, and a digest of the token that last opened it.

    ``portal`` is None where HubSpot would not say whose the token is. ``released``: somebody made everything
    due, so that another portal may take the state over.
    """

    credential: str
    portal: Portal | None = None
    released: bool = False

    @property
    def portal_id(self) -> int | None:
        return self.portal.id if self.portal else None
