"""Whole shillings, never floats."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.money import cents_told, format_kes, whole_shillings


@given(st.integers(1, 10**9 - 1))
def test_a_sum_is_read_alike_as_number_and_as_text(shillings):
    forms: list[object] = [shillings, float(shillings), str(shillings), f"{shillings}.00"]

    assert [whole_shillings(each) for each in forms] == [shillings] * 4


@given(st.integers(0, 10**6), st.integers(1, 99))
def test_cents_are_never_rounded_away(shillings, cents):
    text = f"{shillings}.{cents:02}"

    assert whole_shillings(text) is None
    assert whole_shillings(float(text)) is None


@given(st.integers(max_value=0) | st.integers(min_value=10**9))
def test_nothing_less_and_absurd_sums_are_none(amount):
    assert whole_shillings(amount) is None
    assert whole_shillings(str(amount)) is None


@pytest.mark.parametrize("value", [True, False, None, [], {}, b"150", float("nan"), float("inf")])
def test_what_is_no_sum_is_none(value):
    assert whole_shillings(value) is None


@given(st.text() | st.floats() | st.integers())
def test_whatever_comes_is_a_whole_positive_sum_or_none(value):
    amount = whole_shillings(value)

    assert amount is None or (type(amount) is int and amount > 0)


@given(st.integers(1, 10**11 - 1))
def test_cents_are_read_alike_in_every_form(cents):
    text = f"{cents // 100}.{cents % 100:02}"

    assert cents_told(text) == cents_told(Decimal(text)) == cents_told(f"{text}0") == cents


@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1.001", "1e-400", Decimal("1e-9999999"), Decimal("1e9999999"), 10**9, True, None],
)
def test_what_has_no_whole_cents_is_none(value):
    assert cents_told(value) is None


@pytest.mark.parametrize(
    ("shillings", "shown"), [(1, "KES 1"), (1500, "KES 1,500"), (250_000, "KES 250,000")]
)
def test_a_sum_is_shown_with_its_currency(shillings, shown):
    assert format_kes(shillings) == shown
