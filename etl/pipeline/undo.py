"""What is put back of what a run did to a contact, given what HubSpot shows and what it held before. Pure.

What a run replaced is known from its verdicts, as HubSpot showed it or as this program remembered it; in
between somebody may have typed something else. So HubSpot's own history decides where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from etl.instants import parsed
from etl.models.clocks import FAR
from etl.models.contact import EMAIL, NAMES, Written
from etl.models.difference import ValueChange
from etl.transform import name_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKey, LedgerEntry, Texts
    from etl.models.deed import Deed
    from etl.models.record import ShownContact, Version

    _Same = Callable[[str, str], bool]

_CREATED_AT = "createdate"


class Fate(Enum):
    """What becomes of a text that a run wrote."""

    RESTORED = auto()
    """HubSpot holds it, and what was there before is put back."""

    BACK = auto()
    """What was there before is there again."""

    SAME = auto()
    """It was there before: the run has changed nothing."""

    CHANGED = auto()
    """Somebody has changed it since, and that stays."""


class Reversal(NamedTuple):
    """``text`` was there before the run, "" for nothing; ``is_ours``: this program had written that."""

    fate: Fate
    text: str
    is_ours: bool


def restorable(deed: Deed, synced: SyncedFields) -> tuple[str, ...]:
    """The properties that the run wrote, but for the one by which a contact is found."""
    return tuple(name for name in deed.after if name in deed.before and name != synced.visitor_id)


def reversals(
    deed: Deed,
    shown: ShownContact,
    versions: Mapping[str, Sequence[Version]],
    *,
    began: datetime,
    synced: SyncedFields,
) -> dict[str, Reversal]:
    """What becomes of each property that the run wrote, which ``began`` then by HubSpot's clock."""
    found = {}
    for name in restorable(deed, synced):

        def same(one: str, other: str, name: str = name) -> bool:
            return synced.same(name, one, other)

        wrote, held = deed.after[name], shown.properties.get(name, "")
        text, is_ours = _text_before(deed, name, held, versions.get(name, ()), began=began, same=same)
        found[name] = Reversal(_fate(text, wrote, held, same), text, is_ours)
    return found


def _text_before(
    deed: Deed, name: str, held: str, versions: Sequence[Version], *, began: datetime, same: _Same
) -> tuple[str, bool]:
    """What a property held before the run wrote to it, and whether that was ours.

    The run's own version is the oldest with its text since it began; a later undo may have put that back. A
    run that wrote several times to a contact is told from the others by the time alone. Where the text has
    been there since before the run, the run has changed nothing.
    """
    before, wrote = deed.before[name], deed.after[name]
    places = [at for at, each in enumerate(versions) if each.at >= began and same(each.text, wrote)]
    if not places:
        is_untouched = bool(versions) and same(held, wrote)
        return (held if is_untouched else before), False
    own = versions[places[-1]]
    earlier = [each for each in versions[places[-1] + 1 :] if deed.times == 1 or each.at < began]
    if not earlier:
        return before, False
    return earlier[0].text, earlier[0].source is not None and earlier[0].source == own.source


def _fate(text: str, wrote: str, held: str, same: _Same) -> Fate:
    if same(held, text):
        return Fate.SAME if same(text, wrote) else Fate.BACK
    return Fate.RESTORED if same(held, wrote) else Fate.CHANGED


@dataclass(frozen=True, slots=True)
class Case:
    """A contact that the run wrote to, what is known of it, and what becomes of each of its properties."""

    deed: Deed
    entry: LedgerEntry
    shown: ShownContact
    found: Mapping[str, Reversal]

    @property
    def sends(self) -> Texts:
        """What is to be written."""
        return {name: each.text for name, each in self.found.items() if each.fate is Fate.RESTORED}

    @property
    def intended(self) -> Texts:
        """What has to be remembered as ours before it is written: never what somebody else had typed."""
        return {name: text for name, text in self.sends.items() if text and self.found[name].is_ours}

    @property
    def kept(self) -> int:
        """How many values stay that somebody has changed."""
        return sum(each.fate is Fate.CHANGED for each in self.found.values())

    @property
    def is_back(self) -> bool:
        """Whether something was put back, now or before, or nothing had to be."""
        mended = any(each.fate in (Fate.RESTORED, Fate.BACK) for each in self.found.values())
        return mended or not self.kept

    @property
    def changes(self) -> tuple[ValueChange, ...]:
        """What a dry run shows: what would be put back, and what stays as somebody has changed it."""
        return tuple(
            self._change(name, each)
            for name, each in self.found.items()
            if each.fate in (Fate.RESTORED, Fate.CHANGED)
        )

    def _change(self, name: str, said: Reversal) -> ValueChange:
        stays = said.fate is Fate.CHANGED
        old, last = self.shown.properties.get(name), self.entry.written.last.get(name)
        return ValueChange(property=name, old=old, new=said.text, last=last, kept=stays, by_people=stays)

    def remembered(self, synced: SyncedFields) -> Written:
        """What is known of our writing once all is as it is said here.

        What the run wrote has given way: it is not written again until something else is wanted there. What
        gave way so before is ours again. A text of somebody else is none of ours, so that it is protected.
        """
        written = self.entry.written
        concerned = [name for name in self.found if self._is_news(name, synced)]
        last, kept = dict(written.last), dict(written.kept)
        for name in concerned:
            text, wish = self.found[name].text, kept.get(name)
            last.pop(name, None)
            if wish is not None and synced.same(name, wish, text):
                last[name] = kept.pop(name)
                continue
            if self.found[name].is_ours and text:
                last[name] = text
            kept.setdefault(name, self.deed.after[name])
        maybe = tuple(_without(texts, concerned) for texts in written.maybe)
        return Written(last, maybe, kept) if concerned else written

    def _is_news(self, name: str, synced: SyncedFields) -> bool:
        """Whether HubSpot does not hold what is remembered: also where an earlier undo was killed."""
        said, last = self.found[name].fate, self.entry.written.last.get(name)
        if said is Fate.BACK:
            return last is not None and synced.same(name, last, self.deed.after[name])
        return said is Fate.RESTORED


def _without(texts: Mapping[str, str], names: Collection[str]) -> Texts:
    return {name: text for name, text in texts.items() if name not in names}


def made_properties(entry: LedgerEntry) -> tuple[str, ...]:
    """What has to be seen of a record to tell whether it is as it was made, beside its addresses."""
    return (*_written_names(entry.written), *NAMES, _CREATED_AT)


def is_as_made(
    deed: Deed, entry: LedgerEntry, shown: ShownContact, *, began: datetime, synced: SyncedFields
) -> bool:
    """Whether a record that a run has created is still as this program left it.

    Its properties, its address and its name; a record that is clearly older than the run, which ``began``
    then by our clock, is not the one that it made.
    """
    written, held = entry.written, shown.properties
    created = parsed(held.get(_CREATED_AT, ""))
    names = _written_names(written)
    placeholders = name_properties(entry.key)
    return (
        shown.record == deed.record
        and (created is None or created >= began - FAR)
        and bool(names)
        and all(synced.is_among(name, held.get(name, ""), written.ours(name)) for name in names)
        and all(held.get(name, "") in ("", placeholders.get(name, "")) for name in NAMES)
        and _has_our_address(entry.key, held)
    )


def _written_names(written: Written) -> set[str]:
    return {name for texts in (written.last, *written.maybe) for name in texts}


def _has_our_address(key: ContactKey, held: Mapping[str, str]) -> bool:
    """Whether it has the address that it was made for and no other; none, if that was a visitor."""
    address = held.get("email", "").strip().lower()
    return not held.get("hs_additional_emails") and address == (key.value if key.kind is EMAIL else "")
