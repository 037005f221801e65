"""A merchant's reference, and what Daraja is given of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.reference import account_reference, is_reference


@pytest.mark.parametrize("reference", ["A", "INV-1", "a.b_c/d-9", "123456789012"])
def test_a_reference_that_fits_is_never_changed(reference):
    assert account_reference(reference) == reference


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("1234567890123", "234567890123"),
        ("ORD-2026-000123", "-2026-000123"),
        ("A" * 52 + "/B-2026.0001", "/B-2026.0001"),
    ],
)
def test_of_a_longer_one_the_end_is_shown_where_orders_differ(reference, shown):
    assert account_reference(reference) == shown


@given(st.from_regex(r"[A-Za-z0-9._/-]{1,64}", fullmatch=True))
def test_daraja_takes_what_is_shown_of_every_reference(reference):
    assert is_reference(reference)
    assert re.fullmatch(r"[A-Za-z0-9._/-]{1,12}", account_reference(reference))


@pytest.mark.parametrize(
    "reference", ["", "A" * 65, "a b", "a&b", "a\n", "\u0663", "\u00e9", None, 1, True, []]
)
def test_what_is_no_reference_is_told_apart(reference):
    assert not is_reference(reference)
    with pytest.raises(ValueError, match="1 to 64"):
        account_reference(reference)
