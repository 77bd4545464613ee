"""Countries: only ISO 3166-1, named as CLDR names them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import countries

ISO = sorted(country.alpha_2 for country in pycountry.countries)
KOSOVO = "XK"


def test_exactly_the_countries_of_iso_3166_and_kosovo_have_a_name() -> None:
    assert sorted(countries._names()) == sorted([*ISO, KOSOVO])


def test_the_excluded_territories_are_all_known_to_cldr_and_not_to_iso() -> None:
    from babel import Locale  # noqa: PLC0415 - only this test looks at the source of the names

    assert set(Locale("en").territories) >= countries._NOT_ISO
    assert countries._NOT_ISO.isdisjoint(ISO)


@pytest.mark.parametrize("country", list(pycountry.countries), ids=lambda country: country.alpha_2)
def test_every_name_and_code_that_iso_has_is_understood(country: Any) -> None:
    said = (getattr(country, name, country.name) for name in ("name", "official_name", "common_name"))
    for text in (*said, country.alpha_3, country.alpha_3.lower()):
        assert countries.code(text) == country.alpha_2, text


@pytest.mark.parametrize("alpha_2", [*ISO, KOSOVO])
def test_a_code_and_its_name_find_each_other(alpha_2: str) -> None:
    english = countries.name(alpha_2)
    assert english is not None
    assert countries.code(alpha_2.lower()) == alpha_2
    assert countries.code(english.upper()) == alpha_2


@pytest.mark.parametrize(
    ("text", "alpha_2"),
    [
        ("CH", "CH"),
        (" ch ", "CH"),
        ("South Korea", "KR"),
        ("Cote d'Ivoire", "CI"),
        ("CÔTE D\u2019IVOIRE", "CI"),
        ("Turkiye", "TR"),
        ("Turkey", "TR"),
        ("Bosnia and Herzegovina", "BA"),
        ("Saint Lucia", "LC"),
        ("The Netherlands", "NL"),
        ("Hong Kong", "HK"),
        ("United States of America", "US"),
        ("UK", "GB"),
        ("el", "GR"),
        ("XK", "XK"),
        ("Kosovo", "XK"),
        ("XKX", "XK"),
        ("GBR", "GB"),
        ("Korea, Republic of", "KR"),
        ("Korea, Democratic People's Republic of", "KP"),
        ("Moldova, Republic of", "MD"),
        ("Iran (Islamic Republic of)", "IR"),
        ("Viet Nam", "VN"),
        ("ZZZ", None),
        ("XX", None),
        ("EU", None),
        ("ZZ", None),
        ("AC", None),
        ("T1", None),
        ("Atlantis", None),
        ("", None),
        ("&", None),
        ("the", None),
        ("ﬀ", None),
        ("\ud800x", None),
        ("Switzerland" * 1000, None),
    ],
)
def test_texts_that_are_or_name_a_country(text: str, alpha_2: str | None) -> None:
    assert countries.code(text) == alpha_2


def test_the_other_names_are_folded_and_name_countries_that_cldr_calls_otherwise() -> None:
    named = {countries._folded(countries.name(alpha_2) or "") for alpha_2 in ISO}
    assert len(named) == len(ISO)
    for text, alpha_2 in countries._ALSO_CALLED.items():
        assert countries._folded(text) == text
        assert text not in named
        assert text not in countries._iso_names()
        assert alpha_2 in ISO


@pytest.mark.parametrize(
    ("alpha_2", "english"), [("KR", "South Korea"), ("XK", "Kosovo"), ("kr", None), ("", None)]
)
def test_names(alpha_2: str, english: str | None) -> None:
    assert countries.name(alpha_2) == english


@given(st.text())
def test_any_text_is_a_country_or_none(text: str) -> None:
    assert countries.code(text) in {None, KOSOVO, *ISO}


def test_importing_the_module_does_not_import_its_sources() -> None:
    script = "import sys, etl.countries; sys.exit(bool({'babel', 'pycountry'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
