"""Whom the settings leave out, whatever else is known of them. Pure."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from hashlib import blake2b

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Domains of addresses, whole addresses, visitor ids, and countries as ISO 3166-1 alpha-2 codes.

    Domains and addresses are in lower case; a domain covers those below it, too.
    """

    domains: frozenset[str] = _NOBODY
    addresses: frozenset[str] = _NOBODY
    visitors: frozenset[str] = _NOBODY
    countries: frozenset[str] = _NOBODY

    def __bool__(self) -> bool:
        return bool(self.domains or self.addresses or self.visitors or self.countries)

    def cover(self, *, visitor_id: str, email: str | None, country: str | None) -> bool:
        """Whether a visitor is left out, as far as that is known of it."""
        if visitor_id in self.visitors or country in self.countries:
            return True
        return email is not None and self.cover_address(email)

    def cover_address(self, email: str) -> bool:
        """``email`` is trimmed and in lower case."""
        if email in self.addresses:
            return True
        if not self.domains:
            return False
        domain = email.rpartition("@")[2]
        while domain not in self.domains:
            _, dot, domain = domain.partition(".")
            if not dot:
                return False
        return True

    @property
    def digest(self) -> str:
        """A text that changes with them."""
        kinds = "\n\n".join("\n".join(sorted(kind)) for kind in astuple(self))
        return blake2b(kinds.encode(), digest_size=16).hexdigest()


NOBODY = Exclusions()
