"""Pull Transactions answers in many shapes; each payment is found, and "none" is told apart."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.pull_rows import PullPage, UnreadablePull, read_pull
from mpesa.domain.told import Payer, Told
from tests.domain.bodies import SHORT_CODE, pull_answer, pull_row, raw
from tests.domain.test_confirmation import ANYTHING
from tests.factories import PAYER_MSISDN, RECEIPT

TOLD = Told(
    receipt=RECEIPT,
    amount=50_000,
    short_code=SHORT_CODE,
    account="ORD-17",
    payer=Payer(msisdn=PAYER_MSISDN),
    paid_at=datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC),
    paid_at_doubtful=True,
)


def page(answer, status=200):
    return read_pull(status, raw(answer), SHORT_CODE)


def only(**changed):
    """The one payment of an answer whose row was changed."""
    (told,) = page(pull_answer(pull_row(**changed))).told
    return told


def test_a_payment_is_read_with_a_time_that_is_doubtful():
    assert page(pull_answer(pull_row())) == PullPage((TOLD,))


@pytest.mark.parametrize(
    "response",
    [
        [[pull_row()]],
        [pull_row()],
        [[[pull_row()], []]],
        pull_row(),
        raw([[pull_row()]]).decode(),
        [raw([pull_row()]).decode()],
        [[pull_row(), {}]],
    ],
    ids=["list in a list", "list", "deeper", "alone", "text", "text in a list", "an empty row"],
)
def test_payments_are_found_in_every_shape_of_list(response):
    assert page(pull_answer(Response=response)) == PullPage((TOLD,))


def test_keys_with_blanks_are_the_same_keys():
    answer = {
        "Response Ref ID": "26178",
        "Response Status": "1000",
        "Response Description": "Success",
        "Response": [[{"transaction Id": RECEIPT, **pull_row()}]],
    }

    assert page(answer).told == (TOLD,)


@pytest.mark.parametrize(
    "answer",
    [
        pull_answer(),
        pull_answer(Response="[[]]"),
        pull_answer(Response=""),
        pull_answer(Response=None),
        pull_answer(Response=[]),
        {"ResponseRefID": "26178", "ResponseCode": "1001", "ResponseMessage": "No transactions"},
        {"Response Status": 1001},
        {"ResponseCode": "0", "Response": "[[]]"},
    ],
    ids=range(8),
)
def test_daraja_says_none_in_many_ways(answer):
    read = page(answer)

    assert read.is_empty
    assert read.is_sure


def test_a_500_that_may_mean_none_is_no_error_and_no_certainty():
    body = {
        "requestId": "26178-42530161-2",
        "errorCode": "500.001.1001",
        "errorMessage": "Failed to retrieve transactions. Please try again",
    }

    assert page(body, 500) == PullPage(is_sure=False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"errorMessage": "System internal error."}'),
        (500, b"Failed to retrieve transactions"),
        (401, raw(pull_answer(pull_row()))),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, raw({"ResponseCode": "400.001", "Response": []})),
        (200, raw({"ResponseCode": "1000", "Response Code": "1001"})),
        (200, raw(pull_answer(Response="no list"))),
        (200, raw(pull_answer(Response='"text"'))),
        (200, b'{"ResponseCode": "1000", "Response": ' + b"[" * 60_000),
    ],
    ids=range(11),
)
def test_what_is_neither_payments_nor_none_is_unreadable(status, body):
    with pytest.raises(UnreadablePull):
        read_pull(status, body, SHORT_CODE)


def test_money_is_read_whatever_the_code_beside_it_says():
    assert page(pull_answer(pull_row(), ResponseCode="1001")).told == (TOLD,)


@pytest.mark.parametrize(
    "changed",
    [
        {"transactionId": "UKO0000000"},
        {"transactionId": None},
        {"amount": "-500"},
        {"amount": "many"},
        {"Amount": "501.00"},
    ],
)
def test_a_row_that_cannot_be_read_is_counted_and_hides_no_other(changed):
    read = page(pull_answer(pull_row(), pull_row(**changed)))

    assert (read.told, read.unread, read.rows) == ((TOLD,), 1, 2)


def test_a_reversal_is_no_payment_and_no_riddle():
    read = page(pull_answer(pull_row(), pull_row(transactiontype="c2b-reversal")))

    assert (read.told, read.unread, read.rows) == ((TOLD,), 0, 2)


@pytest.mark.parametrize(
    "written", ["2026-11-24T12:00:10Z", "2026-11-24 12:00:10", "2026-11-24T12:00:10.000+03:00"]
)
def test_a_time_is_read_as_nairobis_whatever_zone_it_names(written):
    assert only(trxDate=written) == TOLD


@pytest.mark.parametrize("written", ["24/11/2026", "2026-13-24T12:00:10Z", "", None, 7])
def test_a_time_of_another_form_is_not_told(written):
    assert only(trxDate=written).paid_at is None


@pytest.mark.parametrize(
    ("sender", "name"),
    [("MPESA", None), (PAYER_MSISDN, None), ("JUMA OTIENO", "JUMA"), (None, None)],
)
def test_of_a_sender_the_first_word_is_kept_if_it_is_a_name(sender, name):
    assert only(sender=sender).name == name


def test_a_masked_number_and_an_empty_account_are_read():
    told = only(msisdn="2547 ***** 678", billreference="")

    assert (told.payer, told.account) == (Payer(masked="2547*****678"), "")


@given(ANYTHING, st.sampled_from([200, 500]))
def test_whatever_the_answer_holds_is_read_or_unreadable(response, status):
    for answer in (response, pull_answer(Response=response), pull_answer({"amount": response})):
        try:
            page(answer, status)
        except UnreadablePull:
            continue


@given(st.dictionaries(st.sampled_from(sorted(pull_row())), ANYTHING))
def test_whatever_stands_in_a_row_spoils_no_other(changed):
    read = page(pull_answer(pull_row(), pull_row(**changed)))

    assert read.told[0] == TOLD
    assert len(read.told) + read.unread == 2


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_unreadable(body):
    with pytest.raises(UnreadablePull):
        read_pull(200, body, SHORT_CODE)
