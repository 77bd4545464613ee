"""What becomes of texts and instants where people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.cli.people import ago, at, shortened, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich, Straße 1", "Zürich, Straße 1"),
        ("a\u00a0b", "a\u00a0b"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("one\r\ntwo", "one\\r\\ntwo"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066\u2028", "\\u2066\\u2028"),
        ("\udc80", "\\udc80"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_is_one_line_without_anything_that_acts(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in shown)
    assert visible(shown) == shown
    assert visible_lines(f"{text}\n{text}").replace("\n", "") == visible_lines(text).replace("\n", "") * 2


def test_an_id_is_cut_short_with_an_ellipsis() -> None:
    assert shortened("0b3c1f5e-7a2d", 8) == "0b3c1f5…"
    assert shortened("site_1", 8) == "site_1"


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(seconds=-20), "20 sec ago"),
        (timedelta(minutes=-3), "3 min ago"),
        (timedelta(hours=2), "in 2 hr"),
        (timedelta(days=-3), "3 days ago"),
    ],
)
def test_an_instant_is_as_far_away_as_it_is(away: timedelta, said: str) -> None:
    assert ago(NOW + away, NOW) == said
    assert at(NOW + away, NOW).endswith(f"Z ({said})")
    assert "." not in at(NOW + away + timedelta(microseconds=7), NOW)
