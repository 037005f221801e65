"""A result comes in many shapes; what it claims is read alike, and what disagrees is not chosen."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.results import UnreadableResult, parse_result
from tests.domain.bodies import STATUS_PARAMETERS, parameter, raw, result
from tests.domain.test_confirmation import ANYTHING

REVERSAL = "UKO1R00R1V"


def read(parameters=None, **changed):
    return parse_result(raw(result(parameters, **changed)))


def test_a_result_is_read_with_its_ids_and_parameters():
    told = read(STATUS_PARAMETERS)

    assert told.went_well
    assert told.conversation_id == "AG_20261124_0100204kq7x0b3m9zr1t"
    assert told.originator_conversation_id == "4d1c-47ab-9e02-7b6f0a51c3de88121"
    assert told.value("TransactionStatus") == "Completed"
    assert told.value("CreditPartyCharges") is None
    assert told.amount("Amount") == 50_000
    assert told.time("FinalisedTime") == datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC)
    assert len(told.parameters) == len(STATUS_PARAMETERS)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        *[(each, "0") for each in (0, "0", "00", "00000000", 0.0, " 0 ")],
        *[(1, "1"), ("1", "1"), (2001, "2001"), (2032.0, "2032"), (-1, "-1")],
        *[
            ("R000001", "R000001"),
            ("SFC_IC0003", "SFC_IC0003"),
            ("TP40153", "TP40153"),
            ("-0", "-0"),
        ],
    ],
)
def test_a_code_is_read_as_number_or_text(written, code):
    assert read(ResultCode=written).code == code


@pytest.mark.parametrize("written", [None, False, True, "", " ", [], {}, 0.5, "\u0660", "0; DROP"])
def test_what_is_no_code_is_never_0(written):
    with pytest.raises(UnreadableResult):
        read(ResultCode=written)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"Result": []}',
        b'{"Result": {}}',
        b"<html>",
        b'{"Result":' * 50_000,
    ],
    ids=range(8),
)
def test_a_body_that_is_no_result_is_unreadable(body):
    with pytest.raises(UnreadableResult):
        parse_result(body)


def test_parameters_may_be_missing_or_one_object():
    missing = read(ResultCode=2001)
    alone = read(parameter("BOCompletedTime", 20261124120010), ResultCode="8006")

    assert missing.parameters == ()
    assert alone.parameters == (("BOCompletedTime", "20261124120010"),)


@pytest.mark.parametrize("listed", [[], "text", 7, [None, "x", {}, {"Key": 7}, {"Value": 7}]])
def test_what_is_no_parameter_is_left_out(listed):
    assert read(listed).parameters == ()


def test_a_key_that_stands_twice_with_two_values_tells_that_it_disagrees():
    told = read([parameter("Amount", 500.0), parameter("Amount", "500.00"), parameter("Amount")])
    other = read([parameter("Amount", 500), parameter("Amount", 501)])

    assert told.amount("Amount") == 50_000
    assert other.amount("Amount") is None
    assert other.disagrees("Amount")
    assert other.values("Amount") == ("500", "501")


@pytest.mark.parametrize(
    ("written", "receipt"),
    [
        (REVERSAL, REVERSAL),
        (REVERSAL.lower(), REVERSAL),
        ("UKO0000000", None),
        ("0000000000", None),
        (None, None),
    ],
)
def test_a_placeholder_is_no_receipt(written, receipt):
    assert read(TransactionID=written).receipt == receipt


@pytest.mark.parametrize("written", [20261124120010, "20261124120010", "24.11.2026 12:00:10"])
def test_a_time_is_nairobis_in_every_form(written):
    told = read([parameter("TransCompletedTime", written)])

    assert told.time("TransCompletedTime") == datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC)


def test_nothing_of_people_is_in_what_is_shown_of_a_result():
    assert "254712345678" not in repr(read(STATUS_PARAMETERS))


@given(ANYTHING, ANYTHING)
def test_whatever_the_parameters_are_the_code_is_read(listed, value):
    told = read([parameter("Amount", value), parameter("Amount", listed)])

    assert read(listed).code == told.code == "0"
    told.amount("Amount")
    told.time("Amount")
    told.receipt_of("Amount")


@given(st.dictionaries(st.sampled_from(sorted(result()["Result"])), ANYTHING))
def test_whatever_stands_in_a_field_is_read_or_unreadable(changed):
    try:
        told = read(STATUS_PARAMETERS, **changed)
    except UnreadableResult:
        return
    told.description.encode()


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_unreadable(body):
    with pytest.raises(UnreadableResult):
        parse_result(body)
