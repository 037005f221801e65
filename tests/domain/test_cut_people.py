"""What is stored of a body tells no whole number and no second name, and all the rest of it."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.cut_people import cut_people
from mpesa.domain.results import parse_result
from tests.domain.bodies import (
    SHORT_CODE,
    STATUS_PARAMETERS,
    confirmation,
    parameter,
    pull_answer,
    pull_row,
    raw,
    result,
)
from tests.factories import PAYER_MSISDN, RECEIPT

MASKED = "2547*****678"


def cut(document):
    return json.loads(cut_people(raw(document)))


def test_a_status_result_keeps_all_but_the_payers_number_and_second_name():
    whole = raw(result(STATUS_PARAMETERS))

    assert cut_people(whole) == whole.replace(
        f"{PAYER_MSISDN} - JUMA OTIENO".encode(), f"{MASKED} - JUMA".encode()
    )


def test_a_reversal_keeps_its_receipts_amount_and_balance():
    parameters = [
        parameter("DebitAccountBalance", "Utility Account|KES|712345678.00|4200.00|0.00|0.00"),
        parameter("Amount", 500.0),
        parameter("TransCompletedTime", 20261124120010),
        parameter("OriginalTransactionID", RECEIPT),
        parameter("CreditPartyPublicName", f"{PAYER_MSISDN} - JUMA OTIENO"),
        parameter("DebitPartyPublicName", f"{SHORT_CODE} - EXAMPLE SHOP"),
    ]

    kept = parse_result(cut_people(raw(result(parameters))))

    whole = parse_result(raw(result(parameters)))
    assert kept.value("CreditPartyPublicName") == f"{MASKED} - JUMA"
    assert [each for each in kept.parameters if each not in whole.parameters] == [
        ("CreditPartyPublicName", f"{MASKED} - JUMA")
    ]


def test_a_pull_keeps_all_but_number_and_second_name():
    answer = pull_answer(pull_row(sender="JUMA OTIENO"), pull_row(msisdn=int(PAYER_MSISDN)))

    rows = cut(answer)["Response"][0]

    assert rows == [
        pull_row(sender="JUMA", msisdn=MASKED),
        pull_row(msisdn=MASKED),
    ]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (PAYER_MSISDN, MASKED),
        ("0712345678", MASKED),
        ("+254712345678", MASKED),
        ("712345678", MASKED),
        ("0112345678 paid", "2541*****678 paid"),
        ("2547 ***** 678 - JUMA OTIENO", "2547 ***** 678 - JUMA"),
        ("2547*****678 - JUMA K OTIENO  ", "2547*****678 - JUMA"),
        ("20261124120010", "20261124120010"),
        ("234567890", "234567890"),
        ("1712345678", "1712345678"),
        ("ORD712345678", "ORD712345678"),
        ("712345678.50", "712345678.50"),
    ],
)
def test_a_number_is_known_by_its_form(written, kept):
    assert cut({"anything": written}) == {"anything": kept}


@pytest.mark.parametrize("key", ["ConversationID", "OriginatorConversationID", "Response Ref ID"])
def test_an_id_is_kept_though_a_part_looks_like_a_number(key):
    assert cut({key: "1236-712345678-1"}) == {key: "1236-712345678-1"}


def test_an_id_among_the_parameters_is_kept_too():
    told = parameter("OriginatorConversationID", "1236-712345678-1")

    assert cut([told]) == [told]


def test_a_name_without_a_number_is_cut_where_people_are_named():
    parameters = [
        parameter("DebitPartyName", "JUMA OTIENO"),
        parameter("ReasonType", "Pay Utility"),
    ]

    assert cut(parameters) == [
        parameter("DebitPartyName", "JUMA"),
        parameter("ReasonType", "Pay Utility"),
    ]


def test_a_number_that_hides_in_escapes_is_found():
    assert PAYER_MSISDN not in cut_people(rb'{"x": "\u003254712345678"}').decode()


def test_what_holds_no_people_stays_byte_for_byte():
    body = b'{ "Code" :0,\r\n"Desc": "Malipo d\\u00e9j\xc3\xa0", "x": [1.00, null, "\\/"] }'

    assert cut_people(body) == body


@pytest.mark.parametrize(
    "body",
    [
        f"DebitPartyName={PAYER_MSISDN} - JUMA OTIENO".encode(),
        raw(result(STATUS_PARAMETERS))[:-5],
        raw(result(STATUS_PARAMETERS)) + b" []",
        b"\xff\xfe\xfa" + raw(result(STATUS_PARAMETERS)),
        json.dumps(result(STATUS_PARAMETERS)).encode("utf-16"),
        gzip.compress(raw(result(STATUS_PARAMETERS))),
        b"<b>254712345678 - JUMA OTIENO</b>",
    ],
    ids=["a form", "cut", "more behind", "other bytes", "UTF-16", "gzip", "a page"],
)
def test_a_body_that_cannot_be_read_is_cut_by_form(body):
    kept = cut_people(body).replace(b"\0", b"")

    assert b"JUMA" in kept
    assert b"OTIENO" not in kept
    assert PAYER_MSISDN.encode() not in kept


def test_a_confirmation_that_tells_no_number_stays():
    assert cut(confirmation()) == confirmation()


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_no_bytes_are_too_odd_and_what_was_cut_once_stays(body):
    kept = cut_people(body)

    assert cut_people(kept) == kept


@given(st.text(), st.text())
def test_a_text_around_a_name_never_brings_the_number_back(before, behind):
    kept = cut_people(raw({"x": f"{before} {PAYER_MSISDN} - {behind}"}))

    assert PAYER_MSISDN.encode() not in kept
