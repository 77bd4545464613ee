"""What of a contact is written: each property by its policy, what HubSpot shows, and what is remembered.

Pure. A property that is simply overwritten is written whenever the contact is due. Another one is looked at
first, once for each text that we want there: what was seen to be somebody else's is remembered as kept.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from etl.models.contact import NOTHING_WRITTEN
from etl.policies import Policy, Ruling, ruling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.fields import SyncedFields
    from etl.models.contact import Parcel, Texts


def prepared(parcel: Parcel, synced: SyncedFields, *, look: bool = False) -> Parcel:
    """``parcel`` as it goes on: what it asks HubSpot first, or what it writes if it need not ask.

    ``look``: whatever it is, see all that HubSpot holds of it.
    """
    if look:
        return parcel._replace(asks=tuple(parcel.wanted))
    asked = tuple([name for name in synced.watched if _must_ask(parcel, name, synced)])
    if asked or parcel.is_lost or (parcel.record is None and (parcel.is_matched or parcel.is_nameless)):
        return parcel._replace(asks=asked)
    return _decided(parcel, synced)


def missing(parcel: Parcel) -> Parcel:
    """``parcel`` after a look that found nobody: all of it is written, with a name if it has no address."""
    named = parcel.name_properties if parcel.is_nameless and not parcel.known else {}
    return parcel._replace(is_seen=True, properties={**parcel.wanted, **named})


def found(parcel: Parcel, record: str, shown: Mapping[str, str], synced: SyncedFields) -> Parcel:
    """``parcel`` after a look, with what is to be written to the record that HubSpot ``shown``."""
    return _decided(parcel._replace(is_seen=True, shown=shown, record=record), synced)


def lost(parcel: Parcel) -> Parcel:
    """``parcel``, whose record is not there any more, to be looked for by its key like a new one."""
    return parcel._replace(
        record=None,
        known=False,
        is_lost=True,
        is_sure=False,
        is_seen=False,
        shown=None,
        written=NOTHING_WRITTEN,
        asks=tuple(parcel.wanted),
        before={},
        replaces=(),
        kept={},
        yields=(),
    )


def intended(parcel: Parcel, synced: SyncedFields) -> Texts:
    """What has to be remembered before it is sent: only that tells later on whose it is."""
    sent = parcel.properties.keys() if parcel.is_seen else parcel.before.keys()
    return {name: parcel.properties[name] for name in synced.watched if name in sent}


def policy_of(name: str, synced: SyncedFields) -> Policy:
    """What may be written over a property; the visitor id is ours."""
    return synced.watched.get(name, Policy.OVERWRITE)


def _is_news(parcel: Parcel, name: str, synced: SyncedFields) -> bool:
    """Whether we want another text than HubSpot confirmed last."""
    last = parcel.written.last.get(name)
    return last is None or not synced.same(name, parcel.wanted[name], last)


def _must_ask(parcel: Parcel, name: str, synced: SyncedFields) -> bool:
    """Whether it is not known what HubSpot holds of a property, and that decides what is done.

    A protected one that is as we left it, or gave way before, is let alone without a look.
    """
    policy, written = synced.watched.get(name), parcel.written
    if policy is None or name not in parcel.wanted:
        return False
    if policy is Policy.OVERWRITE:
        return name not in written.last
    if written is NOTHING_WRITTEN or written.is_doubtful(name):
        return True
    return _is_news(parcel, name, synced) and not _gave_way(parcel, name, synced)


def _gave_way(parcel: Parcel, name: str, synced: SyncedFields) -> bool:
    kept = parcel.written.kept.get(name)
    return kept is not None and synced.same(name, parcel.wanted[name], kept)


def _decided(parcel: Parcel, synced: SyncedFields) -> Parcel:
    """``parcel`` with what is to be written of it, and what that replaces."""
    fates = {name: _fate(parcel, name, synced) for name in parcel.wanted}
    before = {name: held for name, (fate, held) in fates.items() if fate is _Fate.CHANGE}
    written = [name for name, (fate, _) in fates.items() if fate in (_Fate.CHANGE, _Fate.REPEAT)]
    if (
        parcel.is_sure
        and parcel.record is not None
        and not any(_is_news(parcel, name, synced) for name in written)
    ):
        written = []
    return parcel._replace(
        properties={name: parcel.wanted[name] for name in written},
        before=before,
        replaces=tuple(name for name, held in before.items() if held and name in synced.foreign),
        kept={
            name: parcel.wanted[name]
            for name, (fate, _) in fates.items()
            if fate in (_Fate.YIELD, _Fate.LEAVE)
        },
        yields=tuple(name for name, (fate, _) in fates.items() if fate is _Fate.YIELD),
    )


class _Fate(Enum):
    """What becomes of a text of ours."""

    CHANGE = auto()
    """It is written, over another or over nothing."""

    REPEAT = auto()
    """It is written once more."""

    YIELD = auto()
    """It gives way to another, as was just seen."""

    LEAVE = auto()
    """It is not written: it gave way before, or somebody else has written it."""

    SKIP = auto()
    """It is not written: HubSpot holds it since we wrote it, or what somebody made of it."""


def _fate(parcel: Parcel, name: str, synced: SyncedFields) -> tuple[_Fate, str]:
    """And what is known of what HubSpot holds there, "" for nothing."""
    policy, held = policy_of(name, synced), parcel.written.last.get(name, "")
    if parcel.is_seen and _must_ask(parcel, name, synced):
        held = (parcel.shown or {}).get(name, "")
        return _fate_beside(held, parcel, name, synced), held
    if policy is Policy.OVERWRITE:
        return _Fate.CHANGE if _is_news(parcel, name, synced) else _Fate.REPEAT, held
    return _Fate.LEAVE if _gave_way(parcel, name, synced) else _Fate.SKIP, held


def _fate_beside(held: str, parcel: Parcel, name: str, synced: SyncedFields) -> _Fate:
    """What becomes of our text where HubSpot shows ``held``."""
    policy, ours = synced.watched[name], parcel.written.ours(name)

    def same(one: str, other: str) -> bool:
        return synced.same(name, one, other)

    said = ruling(policy, parcel.wanted[name], held, ours=ours, same=same)
    if said is Ruling.KEEP:
        return _Fate.YIELD
    if said is not Ruling.EQUAL:
        return _Fate.CHANGE
    is_ours = policy is Policy.OVERWRITE or synced.is_among(name, held, ours)
    return _Fate.REPEAT if is_ours else _Fate.LEAVE
