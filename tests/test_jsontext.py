"""One value that cannot be read takes no other with it."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import jsontext

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'["a\nb", 1]', ["a\nb", 1]),
        (b'["a\tb\x00c", 1]', ["a\tb\x00c", 1]),
        (b'["caf\xe9", 1]', ["caf\ufffd", 1]),
        (b'["\xff\xfe\xfd", 1]', ["\ufffd\ufffd\ufffd", 1]),
        (b'["\\ud800", 1]', ["\ud800", 1]),
        (b"[" + b"9" * 5000 + b", 1]", [math.inf, 1]),
        (b"[-" + b"9" * 5000 + b", 1]", [-math.inf, 1]),
        (b"[1e999, 1]", [math.inf, 1]),
        (b"[Infinity, 1]", [math.inf, 1]),
        (b'\xef\xbb\xbf["a", 1]', ["a", 1]),
        ('["a", 1]'.encode("utf-16"), ["a", 1]),
        (b'["\x01", ' + b"[" * 2000 + b'"]"' + b"]" * 2000 + b", 1]", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_stands_beside_a_poisoned_value_is_read(body: bytes, value: Any) -> None:
    seen = jsontext.parse(body)
    assert seen[-1] == 1
    assert value is None or seen == value
    assert isinstance(jsontext.canonical(seen), bytes)


@pytest.mark.parametrize("depth", [jsontext.DEEPEST + 1, 900, 1100, 200_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('[{"}]": [', "]}]")])
def test_any_depth_is_read(depth: int, opens: str, closes: str) -> None:
    body = f'{{"deep": {opens * depth}1{closes * depth}, "beside": [7]}}'.encode()
    assert jsontext.parse(body)["beside"] == [7]


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"", 0),
        (b"{", 1),
        (b'["a" "b"]', 5),
        ('["é", é]'.encode(), 7),
        (b"[" * 5000, 5000),
        (b'[\n"a\n",' + b"[" * 500 + b"]" * 500 + b" x]", 1008),
        (b"\xff", 0),
    ],
)
def test_where_reading_failed_is_told_in_bytes(body: bytes, offset: int) -> None:
    with pytest.raises(jsontext.UnreadableError) as error:
        jsontext.parse(body)
    assert error.value.offset == offset


@given(st.binary())
def test_any_bytes_are_a_value_or_unreadable(body: bytes) -> None:
    with suppress(jsontext.UnreadableError):
        jsontext.canonical(jsontext.parse(body))


@given(JSON)
def test_what_is_well_formed_is_read_as_it_is_also_by_the_tolerant_reader(value: Any) -> None:
    body = json.dumps(value).encode()
    assert jsontext.parse(body) == jsontext._tolerantly(body) == value
