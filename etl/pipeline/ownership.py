"""Whose contacts the state describes: one portal's, so that another one's token is noticed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.models.portal import Owner, Portal

if TYPE_CHECKING:
    from etl.pipeline.ports import PortalWords


class Recognition(NamedTuple):
    """``owner`` is to be kept; ``anew``: nothing is known of this portal; ``doubt`` is to be told."""

    owner: Owner
    anew: bool = False
    doubt: str | None = None


def recognise(owner: Owner | None, *, met: Portal | None, credential: str, words: PortalWords) -> Recognition:
    """What the portal ``met`` by a token new to the state means; None where it does not say which it is.

    Raises SettingsError where the state belongs to another portal.
    """
    if owner is None:
        return Recognition(Owner(credential, met))
    if owner.released:
        taken = Owner(credential, met)
        return Recognition(taken, anew=taken.portal_id != owner.portal_id)
    if met is None:
        doubt = None if owner.credential == credential else words.unknown_portal(owner.portal)
        return Recognition(Owner(credential, owner.portal), doubt=doubt)
    if owner.portal is not None and owner.portal.id != met.id:
        raise words.other_portal(owner.portal, met)
    return Recognition(Owner(credential, met))
