"""Strict JSON: no body means two things, and nothing but Unreadable comes of a bad one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.untrusted_json import Unreadable, read_code, read_json, read_text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"a": 1} b',
        b'{"a": 1, "a": 1}',
        b'[{"a": {"b": 1, "b": 2}}]',
        b"[NaN]",
        b"[-Infinity]",
        b"9" * 5000,
        b"1e99999999999999999999",
    ],
    ids=range(11),
)
def test_what_parsers_read_differently_is_unreadable(body):
    with pytest.raises(Unreadable):
        read_json(body)


def test_a_byte_order_mark_in_front_is_no_fault():
    assert read_json(b'\xef\xbb\xbf{"a": 0.1}') == {"a": Decimal("0.1")}


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_document_or_unreadable(body):
    try:
        read_json(body)
    except Unreadable:
        return


@pytest.mark.parametrize(
    ("value", "code"), [(0, "0"), ("0", "0"), (Decimal("0.0"), "0"), (17, "17")]
)
def test_a_code_is_one_text_however_it_is_written(value, code):
    assert read_code(value) == code


@pytest.mark.parametrize(
    "value",
    [
        None,
        False,
        True,
        "",
        [],
        {},
        Decimal("0.5"),
        Decimal("1e-400"),
        Decimal("1e9999999"),
        10**13,
    ],
)
def test_what_is_no_code_is_never_0(value):
    with pytest.raises(Unreadable):
        read_code(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" ORD-17 ", "ORD-17"),
        ("", ""),
        (17, "17"),
        (Decimal("20261124120010.0"), "20261124120010"),
        (Decimal("2.026112412001E+13"), "20261124120010"),
        (Decimal("1.50"), "1.50"),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        ("x" * 100, "x" * 64),
        (None, None),
        (True, None),
        ([], None),
        (10**40, None),
        (Decimal("1e9999999"), None),
    ],
)
def test_a_text_is_read_from_a_number_too_and_fits_every_column(value, text):
    assert read_text(value, longest=64) == text
