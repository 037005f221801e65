"""Transaction Status proves a payment only if it is ours, whole, and the one asked about."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.results import parse_result
from mpesa.domain.status_answer import read_status_answer
from mpesa.domain.told import Payer, Told
from tests.domain.bodies import SHORT_CODE, STATUS_PARAMETERS, parameter, raw, result
from tests.domain.test_confirmation import ANYTHING
from tests.factories import PAYER_MSISDN, RECEIPT

TOLD = Told(
    receipt=RECEIPT,
    amount=50_000,
    short_code=SHORT_CODE,
    payer=Payer(msisdn=PAYER_MSISDN),
    name="JUMA",
    paid_at=datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC),
)
PAYER_NAMED = f"{PAYER_MSISDN} - JUMA OTIENO"
US_NAMED = f"{SHORT_CODE} - EXAMPLE SHOP"


def answer(*more, code=0, **changed):
    """The answer whose parameters have these values, and these besides; None leaves one out."""
    parameters = [
        parameter(
            each["Key"],
            *([changed[each["Key"]]] if each["Key"] in changed else [each.get("Value")]),
        )
        for each in STATUS_PARAMETERS
        if changed.get(each["Key"], "") is not None
    ]
    return read_status_answer(parse_result(raw(result([*parameters, *more], ResultCode=code))))


def test_a_completed_payment_is_told_with_payer_and_receiver():
    assert answer().told(RECEIPT) == TOLD


def test_a_receipt_in_small_letters_is_the_same():
    assert answer(ReceiptNo=RECEIPT.lower()).told(RECEIPT) == TOLD


@pytest.mark.parametrize(
    "changed",
    [
        {"ReceiptNo": "UKO1OTHER1"},
        {"ReceiptNo": None},
        {"ReceiptNo": "UKO0000000"},
        {"TransactionStatus": "Cancelled"},
        {"TransactionStatus": "Reversed"},
        {"TransactionStatus": None},
        {"Amount": None},
        {"Amount": "0.00"},
        {"CreditPartyName": None},
        {"CreditPartyName": "EXAMPLE SHOP 600999"},
        {"code": 2032},
        {"code": "1"},
    ],
)
def test_what_does_not_prove_a_payment_to_somebody_tells_nothing(changed):
    assert answer(**changed).told(RECEIPT) is None


@pytest.mark.parametrize("parties", [(PAYER_NAMED, US_NAMED), (US_NAMED, PAYER_NAMED)])
def test_the_payer_is_found_where_the_key_stands_twice(parties):
    first, second = parties

    read = answer(parameter("DebitPartyName", second), DebitPartyName=first)

    assert (read.payer, read.name) == (Payer(msisdn=PAYER_MSISDN), "JUMA")


def test_two_payers_are_none():
    read = answer(parameter("DebitPartyName", "254722000111 - AMINA"))

    assert (read.payer, read.name) == (Payer(), None)


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("600999 - EXAMPLE SHOP   ", "600999"),
        ("6009990 - OTHER SHOP", "6009990"),
        ("600999", "600999"),
        ("600999x", "600999"),
        ("٦٠٠٩٩٩ - SHOP", None),
        ("- 600999", None),
    ],
)
def test_who_was_paid_is_told_by_the_digits_in_front(written, digits):
    assert answer(CreditPartyName=written).credited == digits


def test_two_receivers_are_none():
    assert answer(parameter("CreditPartyName", "6009990 - OTHER SHOP")).credited is None


def test_two_words_about_the_state_are_none():
    read = answer(parameter("TransactionStatus", "Reversed"))

    assert (read.status, read.is_completed, read.is_reversed) == (None, False, False)


def test_a_payment_that_was_given_back_says_so():
    assert answer(TransactionStatus=" Reversed ").is_reversed
    assert not answer(TransactionStatus="Reversed", code=1).is_reversed


def test_nothing_of_people_is_in_what_is_shown_of_an_answer():
    assert PAYER_MSISDN not in repr(answer())


@given(st.dictionaries(st.sampled_from([each["Key"] for each in STATUS_PARAMETERS]), ANYTHING))
def test_whatever_the_parameters_hold_is_read(changed):
    told = answer(**changed).told(RECEIPT)

    assert told is None or told.receipt == RECEIPT


def test_a_payer_who_was_cut_out_of_the_body_is_still_masked_and_has_a_first_name():
    found = answer(DebitPartyName="2547*****678 - JUMA")

    assert (found.payer.masked, found.payer.msisdn, found.name) == ("2547*****678", None, "JUMA")
