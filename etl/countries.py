"""Countries: ISO 3166-1 alpha-2 codes, and the English names that CLDR gives them.

Kosovo counts as one under ``XK``, which every supplier of positions sends, though ISO leaves it to its users.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

_LONGEST_NAME = 100
_ALPHA_2, _ALPHA_3 = 2, 3

_NOT_ISO = frozenset(("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"))
"""Two-letter territories of CLDR that ISO 3166-1 does not assign to a country."""

_ALSO_CALLED = {
    "britain": "GB",
    "burma": "MM",
    "great britain": "GB",
    "ivory coast": "CI",
    "macau": "MO",
    "palestine": "PS",
    "republic of korea": "KR",
    "swaziland": "SZ",
    "turkey": "TR",
    "usa": "US",
}
"""Names still in common use that neither CLDR nor ISO has, folded."""

_OTHER_CODES = {"EL": "GR", "UK": "GB", "XKX": "XK"}
"""Greece and the United Kingdom as the European Union writes them, and Kosovo's alpha-3 code."""

_WORDS = {"and": "", "the": "", "st": "saint"}


@lru_cache(maxsize=4096)
def code(text: str) -> str | None:
    """The ISO 3166-1 alpha-2 code that ``text`` is or names, in any case; None if it is neither.

    Two letters are a code and never a name, three may be an alpha-3 code. The cache is bounded because
    visitors choose the texts.
    """
    text = text.strip()
    if len(text) > _LONGEST_NAME:
        return None
    upper = text.upper()
    if upper in _OTHER_CODES:
        return _OTHER_CODES[upper]
    if len(text) == _ALPHA_2 and text.isascii():
        return upper if upper in _names() else None
    if len(text) == _ALPHA_3 and upper in _alpha_3():
        return _alpha_3()[upper]
    return _codes().get(_folded(text)) or _iso_names().get(_folded(text))


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


@cache
def _iso_names() -> dict[str, str]:
    """ISO's own names, the long ones too, such as "Korea, Republic of"."""
    import pycountry  # noqa: PLC0415 - 20 ms that only names which CLDR does not have must wait for

    return {
        _folded(english): country.alpha_2
        for country in pycountry.countries
        for english in (country.name, getattr(country, "official_name", ""))
        if english
    }


@cache
def _alpha_3() -> dict[str, str]:
    import pycountry  # noqa: PLC0415 - as above

    return {country.alpha_3: country.alpha_2 for country in pycountry.countries}


def _folded(text: str) -> str:
    """``text`` without case, accents, punctuation and the small words that spellings differ in."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    kept = "".join(char if char.isalnum() else " " for char in plain if not unicodedata.combining(char))
    return " ".join(filter(None, (_WORDS.get(word, word) for word in kept.split())))
