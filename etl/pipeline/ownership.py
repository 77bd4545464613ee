"""Whose contacts the state describes: one portal's, so that another one's token is noticed. Pure."""

from __future__ import annotations

from typing import NamedTuple

from etl.errors import SettingsError
from etl.models.portal import Owner, Portal


class Recognition(NamedTuple):
    """``owner`` is to be kept; ``anew``: nothing is known of this portal; ``doubt`` is to be told."""

    owner: Owner
    anew: bool = False
    doubt: str | None = None


def recognise(owner: Owner | None, *, met: Portal | None, credential: str) -> Recognition:
    """What the portal ``met`` by a token new to the state means; None where HubSpot does not say which it is.

    Raises SettingsError where the state belongs to another portal.
    """
    if owner is None:
        return Recognition(Owner(credential, met))
    if owner.released:
        taken = Owner(credential, met)
        return Recognition(taken, anew=taken.portal_id != owner.portal_id)
    if met is None:
        doubt = None if owner.credential == credential else _unread(owner)
        return Recognition(Owner(credential, owner.portal), doubt=doubt)
    if owner.portal is not None and owner.portal.id != met.id:
        raise SettingsError(
            f"The state belongs to the HubSpot portal {owner.portal}, and HUBSPOT_ACCESS_TOKEN opens the"
            f" portal {met}.",
            fix="Name another state for that portal in SYNC_STATE_URL; or, if this state is to go there, run"
            " `visitor-sync resync`, which makes every contact due once.",
        )
    return Recognition(Owner(credential, met))


def _unread(owner: Owner) -> str:
    before = f"before, the portal {owner.portal}," if owner.portal else "before"
    return (
        "HUBSPOT_ACCESS_TOKEN has changed, and HubSpot does not say which portal it opens. If it is another"
        f" one than {before} name another state in SYNC_STATE_URL."
    )
