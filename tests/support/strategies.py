"""Rows as Hypothesis draws them: few ids, addresses and instants, so that they meet."""

from __future__ import annotations

from datetime import timedelta

from fakes import COUNTRY_NAMES, NOW, row
from hypothesis import strategies as st

INSTANTS = st.integers(-4, 4).map(lambda step: NOW + timedelta(milliseconds=250 * step))
EMAILS = st.sampled_from(["ann@example.com", "bob@example.com", "cleo@example.com"])
COUNTRIES = st.sampled_from(sorted(COUNTRY_NAMES))

ROWS = st.builds(
    row,
    st.sampled_from(["visitor-1", "visitor-2", "visitor-3", "visitor-4"]),
    INSTANTS,
    email=st.none() | EMAILS,
    country=st.none() | COUNTRIES,
    pageviews=st.none() | st.integers(0, 9),
    opted_out=st.sampled_from([None, None, None, True, False]),
)

ROWS_OF_ONE = st.builds(
    row,
    st.just("visitor-1"),
    INSTANTS,
    email=st.none() | EMAILS,
    country=st.none() | COUNTRIES,
    pageviews=st.none() | st.integers(0, 9),
    opted_out=st.none() | st.booleans(),
)
