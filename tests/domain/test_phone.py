"""What a shopper may type as a phone number, and what becomes of it."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.phone import (
    InvalidPhone,
    NoPhone,
    PhoneTooLong,
    PhoneTooShort,
    mask_msisdn,
    other_network,
    parse_msisdn,
)

# The page's reader is tested with the same table (tests/js/phone_number.test.mjs).
_TABLES = Path(__file__).parents[1] / "cases"
CASES = json.loads((_TABLES / "phones.json").read_text())
NETWORKS = json.loads((_TABLES / "networks.json").read_text())
NUMBERS = [(each["typed"], each["read"]) for each in CASES if each["read"].isdigit()]
REFUSALS = [(each["typed"], each["read"]) for each in CASES if not each["read"].isdigit()]
KINDS = {
    "empty": NoPhone,
    "too_short": PhoneTooShort,
    "too_long": PhoneTooLong,
    "other": InvalidPhone,
}


@pytest.mark.parametrize(("typed", "msisdn"), NUMBERS)
def test_every_way_to_write_a_number_is_one_msisdn(typed, msisdn):
    assert parse_msisdn(typed) == msisdn


@pytest.mark.parametrize(("typed", "kind"), REFUSALS)
def test_what_is_no_number_is_refused_and_it_is_known_why(typed, kind):
    with pytest.raises(InvalidPhone) as refusal:
        parse_msisdn(typed)

    assert type(refusal.value) is KINDS[kind]


@pytest.mark.parametrize("line", [*range(100, 200), *range(700, 800)])
def test_no_range_needs_a_newer_release(line):
    """The Communications Authority issues ranges; a table of them would refuse their owners."""
    assert parse_msisdn(f"0{line}345678") == f"254{line}345678"


def test_a_number_as_long_as_a_body_may_be_is_refused_at_once():
    with pytest.raises(PhoneTooLong):
        parse_msisdn("0712345678" * 6000)


@given(st.text(max_size=30) | st.text("0123456789+ -().\u202a\u00a0", max_size=30))
def test_whatever_is_typed_gives_a_good_msisdn_or_is_refused(typed):
    try:
        msisdn = parse_msisdn(typed)
    except InvalidPhone:
        return

    assert re.fullmatch(r"254[17][0-9]{8}", msisdn)
    assert parse_msisdn(msisdn) == msisdn


@given(st.text(st.characters(codec=None), max_size=12))
def test_no_text_breaks_the_reader(typed):
    with suppress(InvalidPhone):
        parse_msisdn(typed)


def test_a_refusal_does_not_repeat_what_was_typed():
    with pytest.raises(InvalidPhone) as refusal:
        parse_msisdn("+255712345678")

    assert "712345678" not in str(refusal.value)


@pytest.mark.parametrize(
    ("msisdn", "shown"), [("254712345678", "0712•••678"), ("254110345678", "0110•••678")]
)
def test_a_page_shows_the_ends_of_a_number_only(msisdn, shown):
    assert mask_msisdn(msisdn) == shown


@pytest.mark.parametrize(("phone", "network"), [(e["phone"], e["network"]) for e in NETWORKS])
def test_a_number_looks_like_the_network_whose_numbers_begin_so(phone, network):
    assert other_network(phone) == network


def test_a_masked_number_still_looks_like_its_network():
    assert other_network(mask_msisdn("254733123456")) == "airtel"
