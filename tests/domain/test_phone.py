"""What a shopper may type as a phone number, and what becomes of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn


@pytest.mark.parametrize(
    "typed",
    [
        "0712345678",
        "712345678",
        "254712345678",
        "+254712345678",
        "0712 345 678",
        "0712-345-678",
        "0712.345.678",
        "0712 (345) 678",
        "+254 712 345 678",
        "+254-712-345-678",
        "254 712 345 678",
        "+254 (0) 712 345 678",
        "  0712345678  ",
        "0712345678\n",
    ],
)
def test_every_way_to_write_a_number_is_one_msisdn(typed: str) -> None:
    assert parse_msisdn(typed) == "254712345678"


@pytest.mark.parametrize(
    ("typed", "msisdn"),
    [
        ("0110345678", "254110345678"),
        ("0100000000", "254100000000"),
        ("110345678", "254110345678"),
        ("+254112345678", "254112345678"),
        ("254112345678", "254112345678"),
        ("0722000111", "254722000111"),
        ("0799999999", "254799999999"),
    ],
)
def test_old_and_new_prefixes_are_mobile_numbers(typed: str, msisdn: str) -> None:
    assert parse_msisdn(typed) == msisdn


@pytest.mark.parametrize(
    "typed",
    [
        "0202222222",  # a landline in Nairobi
        "+254202222222",
        "0800723253",  # free of charge
        "0900223456",  # dear
        "100",
        "0000000000",
    ],
)
def test_a_kenyan_number_that_is_no_mobile_is_refused(typed: str) -> None:
    with pytest.raises(InvalidPhone):
        parse_msisdn(typed)


@pytest.mark.parametrize(
    "typed", ["+255712345678", "+256772345678", "+12025550123", "+447911123456", "255712345678"]
)
def test_another_country_is_refused(typed: str) -> None:
    with pytest.raises(InvalidPhone):
        parse_msisdn(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "+",
        "254",
        "071234567",
        "07123456789",
        "0712345678901234567890",
        "2547123456789",
        "0712345678" * 1000,
        "٠٧١٢٣٤٥٦٧٨",
        "+٢٥٤٧١٢٣٤٥٦٧٨",
        "０７１２３４５６７８",  # noqa: RUF001
        "0712345678\x00",
        "0712\x00345678",
        "0712\n345678",
        "0712345678;ext=1",
        "0712345678 x9",
        "0712345678,0722000111",
        "++254712345678",
        "0712+345678",
        "07I2345678",
        "tel:0712345678",
        "<b>0712345678</b>",
    ],
)
def test_what_is_no_phone_number_is_refused(typed: str) -> None:
    with pytest.raises(InvalidPhone):
        parse_msisdn(typed)


@given(st.text(max_size=30) | st.text("0123456789+ -().", max_size=30))
def test_whatever_is_typed_gives_a_good_msisdn_or_is_refused(typed: str) -> None:
    try:
        msisdn = parse_msisdn(typed)
    except InvalidPhone:
        return

    assert re.fullmatch(r"254[17][0-9]{8}", msisdn)
    assert parse_msisdn(msisdn) == msisdn


def test_a_refusal_does_not_repeat_what_was_typed() -> None:
    with pytest.raises(InvalidPhone) as refusal:
        parse_msisdn("+255712345678")

    assert "712345678" not in str(refusal.value)


@pytest.mark.parametrize(
    ("msisdn", "shown"), [("254712345678", "0712•••678"), ("254110345678", "0110•••678")]
)
def test_a_page_shows_the_ends_of_a_number_only(msisdn: str, shown: str) -> None:
    assert mask_msisdn(msisdn) == shown
