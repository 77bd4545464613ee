"""What the pipeline finds wrong with HubSpot's side, in words for the users of this program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ContractBrokenError, SettingsError, TooManyChangedError, TooManyRejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.portal import Portal


class HubSpotWords:
    """The part of a destination that words errors; it knows the settings' names."""

    api = "hubspot"

    @staticmethod
    def too_many_refused(rejected: int, contacts: int, reasons: str) -> TooManyRejectedError:
        return TooManyRejectedError(
            f"HubSpot refused {rejected} of {contacts} contacts, more than SYNC_MAX_REJECTED allows:"
            f" {reasons}.",
            fix="Find the common cause, then: visitor-sync rejections retry",
        )

    @staticmethod
    def too_many_changed(changed: int, contacts: int, properties: Mapping[str, int]) -> TooManyChangedError:
        named = ", ".join(f"{name} on {count}" for name, count in properties.items())
        return TooManyChangedError(
            f"{changed} of the {contacts} contacts to be updated would have values written over ({named}),"
            " more than SYNC_MAX_CHANGED allows. None of these was written; they stay due.",
            fix="Look at what would change: visitor-sync run --dry-run. If that is right, run once with"
            " SYNC_MAX_CHANGED=100%.",
        )

    @staticmethod
    def strangers(contacts: int, days: float) -> str:
        return (
            f"{contacts} contacts without an address, about {round(contacts / max(days, 1))} a day: HubSpot"
            " gets one for every new visitor id. They cost money where the portal makes this app's contacts"
            " marketing contacts (HubSpot: Settings, Integrations, Marketing contacts), and fill up a free"
            " account. SYNC_ANONYMOUS=match or skip makes none."
        )

    @staticmethod
    def gone(contacts: int, *, recreate: bool) -> str:
        are = f"{contacts} contacts that HubSpot had are" if contacts > 1 else "A contact that HubSpot had is"
        if recreate:
            return f"{are} not there any more, and could not be made again: visitor-sync rejections."
        return (
            f"{are} not there any more; with SYNC_RECREATE=never that stays so. See: visitor-sync rejections."
        )

    @staticmethod
    def silent(batches: int) -> ContractBrokenError:
        return ContractBrokenError(
            f"HubSpot's replies to {batches} batches in a row held no verdict on any contact.",
            fix="Nothing is lost: all of them stay due. Check HUBSPOT_BASE_URL and HUBSPOT_API_VERSION.",
        )

    @staticmethod
    def other_portal(owner: Portal, met: Portal) -> SettingsError:
        return SettingsError(
            f"The state belongs to the HubSpot portal {owner}, and HUBSPOT_ACCESS_TOKEN opens the"
            f" portal {met}.",
            fix="Name another state for that portal in SYNC_STATE_URL; or, if this state is to go there, run"
            " `visitor-sync resync`, which makes every contact due once.",
        )

    @staticmethod
    def unknown_portal(before: Portal | None) -> str:
        known = f"before, the portal {before}," if before else "before"
        return (
            "HUBSPOT_ACCESS_TOKEN has changed, and HubSpot does not say which portal it opens. If it is"
            f" another one than {known} name another state in SYNC_STATE_URL."
        )
