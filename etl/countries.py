"""Countries: ISO 3166-1 alpha-2 codes, and the English names that CLDR gives them."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

_LONGEST_NAME = 100
_ALPHA_2 = 2

_NOT_ISO = frozenset(
    ("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ")
)
"""Two-letter territories of CLDR that ISO 3166-1 does not assign to a country."""

_ALSO_CALLED = {
    "britain": "GB",
    "burma": "MM",
    "czech republic": "CZ",
    "great britain": "GB",
    "hong kong": "HK",
    "ivory coast": "CI",
    "macao": "MO",
    "macau": "MO",
    "myanmar": "MM",
    "palestine": "PS",
    "republic of korea": "KR",
    "russian federation": "RU",
    "swaziland": "SZ",
    "turkey": "TR",
    "united states of america": "US",
    "usa": "US",
    "viet nam": "VN",
}
"""Names still in common use that CLDR has replaced or spells otherwise, folded."""

_WORDS = {"and": "", "the": "", "st": "saint"}


@lru_cache(maxsize=4096)
def code(text: str) -> str | None:
    """The ISO 3166-1 alpha-2 code that ``text`` is or names, in any case; None if it is neither.

    Two letters are a code and never a name. The cache is bounded because visitors choose the texts.
    """
    text = text.strip()
    if len(text) == _ALPHA_2 and text.isascii():
        upper = text.upper()
        return upper if upper in _names() else None
    if len(text) > _LONGEST_NAME:
        return None
    return _codes().get(_folded(text))


def name(code: str) -> str | None:
    """CLDR's English name of an ISO 3166-1 alpha-2 code; None for any other text."""
    return _names().get(code)


@cache
def _names() -> dict[str, str]:
    from babel import Locale  # noqa: PLC0415 - 27 ms that a command without countries need not wait for

    territories = Locale("en").territories
    return {
        territory: english
        for territory, english in territories.items()
        if len(territory) == _ALPHA_2 and territory.isalpha() and territory not in _NOT_ISO
    }


@cache
def _codes() -> dict[str, str]:
    return _ALSO_CALLED | {_folded(english): alpha_2 for alpha_2, english in _names().items()}


def _folded(text: str) -> str:
    """``text`` without case, accents, punctuation and the small words that spellings differ in."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    kept = "".join(char if char.isalnum() else " " for char in plain if not unicodedata.combining(char))
    return " ".join(filter(None, (_WORDS.get(word, word) for word in kept.split())))
