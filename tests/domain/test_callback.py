"""Anybody can POST anything to a public address: what is read out of it, and what is not."""

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.callback import (
    StkResult,
    UnreadableCallback,
    parse_callback,
    parse_receipt,
    read_roughly,
)
from tests.factories import RECEIPT, failure_callback, raw, success_callback

MERCHANT_ID = "2654-4b64-97ff-b827b542881d3130"
CHECKOUT_ID = "ws_CO_241120261200000712345678"


def with_code(code_json):
    """A failure's body whose ResultCode is this JSON text."""
    text = raw(failure_callback(CHECKOUT_ID, MERCHANT_ID, "HERE")).decode()
    return text.replace('"HERE"', code_json).encode()


def with_items(items):
    """A success whose metadata has these items."""
    return raw(success_callback(CHECKOUT_ID, MERCHANT_ID, CallbackMetadata={"Item": items}))


def amount_of(value):
    return parse_callback(raw(success_callback(CHECKOUT_ID, MERCHANT_ID, amount=value))).amount


# -- what Daraja sends -------------------------------------------------------------------------


def test_a_payment_is_read_with_its_ids_amount_and_receipt():
    result = parse_callback(raw(success_callback(CHECKOUT_ID, MERCHANT_ID)))

    paid_at = datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC)
    assert result == StkResult("0", MERCHANT_ID, CHECKOUT_ID, 150, RECEIPT, paid_at)


def test_a_failure_is_read_without_metadata():
    result = parse_callback(raw(failure_callback(CHECKOUT_ID, MERCHANT_ID, 1032)))

    assert result == StkResult("1032", MERCHANT_ID, CHECKOUT_ID)


@pytest.mark.parametrize(
    ("code_json", "code"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.0", "0"),
        ("0e5", "0"),
        ('"0"', "0"),
        ('" 0 "', "0"),
        ("1", "1"),
        ("1037", "1037"),
        ("1037.0", "1037"),
        ('"1037"', "1037"),
        ('"SFC_IC0003"', "SFC_IC0003"),
        ('"E3008"', "E3008"),
        # Not the number 0, so not a payment: an unknown code.
        ('"00"', "00"),
        ('"0.0"', "0.0"),
        ('"-0"', "-0"),
        ("-1", "-1"),
    ],
)
def test_a_code_is_read_as_number_or_as_text(code_json, code):
    assert parse_callback(with_code(code_json)).code == code


@pytest.mark.parametrize(
    "code_json",
    [
        "false",
        "true",
        "null",
        '""',
        '" "',
        "[]",
        "[0]",
        "{}",
        '{"0": 0}',
        "0.5",
        # Both become 0.0 as a float.
        "1e-400",
        "-0.000001e-320",
        "1e999",
        "NaN",
        "Infinity",
        "-Infinity",
        "1" + 20 * "0",
        "9" * 5000,
        '"0; DROP TABLE"',
        '"0\\u0000"',
        '"\\u0660"',
        '"\\uff10"',
        '"\\ud800"',
        '"' + 33 * "1" + '"',
    ],
)
def test_what_is_no_code_is_never_0(code_json):
    with pytest.raises(UnreadableCallback):
        parse_callback(with_code(code_json))


def test_a_missing_code_is_never_0():
    body = success_callback(CHECKOUT_ID, MERCHANT_ID)
    del body["Body"]["stkCallback"]["ResultCode"]

    with pytest.raises(UnreadableCallback):
        parse_callback(raw(body))


# -- bodies that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\xff\xfe\x00garbage",
        b"<html>Request unsuccessful. Incapsula incident ID</html>",
        b"ResultCode=0&Amount=150",
        b"null",
        b"0",
        b'"Body"',
        b"[]",
        b"{}",
        b'{"Body": null}',
        b'{"Body": []}',
        b'{"Body": {"stkCallback": null}}',
        b'{"Body": {"stkCallback": []}}',
        b'{"Body": {"stkCallback": {}}}',
        b'{"Body": {"stkCallback": {"resultcode": 0}}}',
        b'{"stkCallback": {"ResultCode": 0}}',
        b'{"Body": {"stkCallback": {"ResultCode": 0}}} trailing',
        '{"Body": {"stkCallback": {"ResultCode": 0}}}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_no_callback_is_unreadable(body):
    with pytest.raises(UnreadableCallback):
        parse_callback(body)


def test_a_byte_order_mark_in_front_is_no_fault():
    body = raw(success_callback(CHECKOUT_ID, MERCHANT_ID))

    assert parse_callback(b"\xef\xbb\xbf" + body) == parse_callback(body)


# -- what can be made out of a body that is no callback in order -------------------------------


def described(text):
    """A callback, as text, with something in its description."""
    body = success_callback(CHECKOUT_ID, MERCHANT_ID, ResultDesc="DESCRIBED")
    return json.dumps(body).replace("DESCRIBED", text)


ROUGH = {
    "text behind it": described("x").encode() + b" []",
    "NULs behind it": described("x").encode() + b"\0\0\0",
    "a line of a log in front": b"payload=" + described("x").encode(),
    "gzip": gzip.compress(described("x").encode()),
    "gzip, cut behind the text": gzip.compress(described("x").encode())[:-8],
    "Latin-1": described("Malipo déjà").encode("latin-1"),
    "a raw line break": described("Paid,\nthank you").encode(),
    "UTF-16 with a mark": described("x").encode("utf-16"),
    "UTF-16": described("x").encode("utf-16-le"),
    "UTF-16, big end first": described("x").encode("utf-16-be"),
    "UTF-16, a byte behind it": described("x").encode("utf-16") + b"\0",
}


@pytest.mark.parametrize("name", ROUGH)
def test_what_can_be_made_out_of_a_faulty_body_is_what_it_says(name):
    with pytest.raises(UnreadableCallback):
        parse_callback(ROUGH[name])

    assert read_roughly(ROUGH[name]) == parse_callback(described("x").encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 100,
        b"<html>",
        b"{" * 60_000,
        b"[" * 60_000,
        b'{"Body": {"stkCallback": {"ResultCode": false}}} []',
        b'{"Body": {"stkCallback": {"ResultCode": 1, "ResultCode": 0}}}',
        b'{"Body": {"stkCallback": {"ResultCode": NaN}}}',
        b'{"Body": {"stkCallback": {"ResultCode": ' + b"9" * 5000 + b"}}}",
        gzip.compress(described("x").encode())[:60],
        b"\x1f\x8bgarbage",
        described("x").encode()[:-20],
        b"\xff\xfe\0",
        b"\xff\xfe\x00\xd8{",
    ],
    ids=range(14),
)
def test_of_what_is_no_callback_nothing_is_made_out(body):
    assert read_roughly(body) is None


def test_a_few_bytes_that_unpack_to_a_gigabyte_cost_no_more_than_a_body():
    bomb = gzip.compress(described("x").encode() + b" " * 50_000_000)
    assert len(bomb) < 64 * 1024

    tracemalloc.start()
    read_roughly(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1_000_000


@given(st.binary(max_size=300))
def test_no_bytes_are_too_rough(body):
    read_roughly(body)
    read_roughly(gzip.compress(body))


def test_a_body_cut_anywhere_is_unreadable():
    body = raw(success_callback(CHECKOUT_ID, MERCHANT_ID))

    for length in range(len(body)):
        with pytest.raises(UnreadableCallback):
            parse_callback(body[:length])


@pytest.mark.parametrize("opening", [b"[", b'{"Body":', b'{"Body":{"stkCallback":'])
def test_nesting_without_end_is_unreadable(opening):
    with pytest.raises(UnreadableCallback):
        parse_callback(opening * 10_000)


def test_deep_nesting_in_an_item_never_overflows():
    for depth in range(1, 1200, 7):
        nested = "[" * depth + "]" * depth
        item = f'{{"Name": "Amount", "Value": {nested}}}'
        body = with_items("HERE").replace(b'"HERE"', f"[{item}, {item}]".encode())

        assert is_unreadable(body) or parse_callback(body).amount is None


def is_unreadable(body):
    try:
        parse_callback(body)
    except UnreadableCallback:
        return True
    return False


@pytest.mark.parametrize(
    "body",
    [
        b'{"Body": {"stkCallback": {"ResultCode": 1032, "ResultCode": 0}}}',
        b'{"Body": {"stkCallback": {"ResultCode": 0}, "stkCallback": {"ResultCode": 1}}}',
        b'{"Body": {}, "Body": {"stkCallback": {"ResultCode": 0}}}',
        b'{"Body": {"stkCallback": {"ResultCode": 0, "x": {"y": 1, "y": 1}}}}',
    ],
)
def test_a_key_that_stands_twice_makes_the_body_unreadable(body):
    with pytest.raises(UnreadableCallback, match="twice"):
        parse_callback(body)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_lacks_makes_the_body_unreadable(constant):
    body = raw(success_callback(CHECKOUT_ID, MERCHANT_ID, amount="HERE"))

    with pytest.raises(UnreadableCallback):
        parse_callback(body.replace(b'"HERE"', constant.encode()))


# -- amounts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shillings"),
    [(1, 1), (1.0, 1), ("1.00", 1), ("1", 1), (" 150 ", 150), (150, 150), ("1e3", 1000)],
)
def test_an_amount_is_read_in_every_form_that_daraja_writes(value, shillings):
    assert amount_of(value) == shillings


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "KES 150",
        "1,500",
        "1_500",
        10**9,
        10**400,
        "1e300",
        "1e999999999999999999",
        "NaN",
        "sNaN",
        "Infinity",
        "١٥٠",  # noqa: RUF001 - other scripts' digits
        "１５０",  # noqa: RUF001
        "1" * 25,
        [150],
        {"Value": 150},
    ],
)
def test_an_amount_that_is_no_number_is_none(value):
    assert amount_of(value) is None


@pytest.mark.parametrize("value", [1.5, "1.50", 149.9999999999, 0, 0.0, -150, "-150", "1e-3"])
def test_a_number_that_is_no_whole_sum_is_another_amount_than_any(value):
    amount = amount_of(value)

    assert isinstance(amount, Decimal)
    assert amount == Decimal(str(value))


# -- items -------------------------------------------------------------------------------------


def test_items_are_read_by_name_whatever_their_order_and_company():
    items = [
        {"Name": "PhoneNumber", "Value": "2547*****678"},
        {"Name": "Balance"},
        {"Name": "MpesaReceiptNumber", "Value": RECEIPT},
        {"Name": "SomethingNew", "Value": {"nested": []}},
        {"Name": "Amount", "Value": 1.0},
    ]

    result = parse_callback(with_items(items))

    assert (result.amount, result.receipt) == (1, RECEIPT)


@pytest.mark.parametrize(
    "items",
    [
        None,
        "Amount",
        {},
        [],
        [None, 0, "Amount", [], {}],
        [{"Name": "Amount"}, {"Name": "MpesaReceiptNumber"}],
        [{"Value": 150}],
        [{"Name": None, "Value": 150}],
        [{"Name": ["Amount"], "Value": 150}],
        [{"name": "Amount", "value": 150}],
    ],
)
def test_items_without_name_or_value_tell_nothing(items):
    result = parse_callback(with_items(items))

    assert (result.code, result.amount, result.receipt) == ("0", None, None)


@pytest.mark.parametrize("metadata", [None, 0, "x", [], {}, [{"Item": []}], True])
def test_metadata_of_another_type_tells_nothing(metadata):
    body = success_callback(CHECKOUT_ID, MERCHANT_ID, CallbackMetadata=metadata)

    result = parse_callback(raw(body))

    assert (result.code, result.amount, result.receipt) == ("0", None, None)


@pytest.mark.parametrize("second", [151, "x", None, [150]])
def test_an_item_that_contradicts_itself_tells_nothing(second):
    items = [{"Name": "Amount", "Value": 150}, {"Name": "Amount", "Value": second}]

    assert parse_callback(with_items(items)).amount is None
    assert parse_callback(with_items(items[::-1])).amount is None


def test_an_item_that_repeats_itself_is_read():
    item = {"Name": "Amount", "Value": 150}

    assert parse_callback(with_items([item, item])).amount == 150


def test_an_item_contradicted_once_stays_so():
    values: list[Any] = [150, 151, 150]
    items = [{"Name": "Amount", "Value": value} for value in values]

    assert parse_callback(with_items(items)).amount is None


# -- ids and receipts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, "", 0, 12345, True, [], ["x"], {}, "x" * 65, "a\nb", "a\x00b", "\ud800"]
)
def test_an_id_of_another_form_is_none(value):
    result = parse_callback(raw(success_callback(value, value)))

    assert (result.merchant_request_id, result.checkout_request_id) == (None, None)


def test_an_id_may_have_64_characters():
    longest = "x" * 64

    assert parse_callback(raw(success_callback(longest, longest))).checkout_request_id == longest


@pytest.mark.parametrize("typed", [RECEIPT, RECEIPT.lower(), f"  {RECEIPT}\n", "1234567890"])
def test_a_receipt_is_trimmed_and_upper_cased(typed):
    assert parse_receipt(typed) == typed.strip().upper()


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1234567890,
        True,
        [],
        "",
        "UKO1ABCDE",
        "UKO1ABCDEFG",
        "UKO1 BCDEF",
        "UKO1-BCDEF",
        "UKO1ÀBCDEF",
        "UKO١ABCDEF",  # noqa: RUF001 - another script's digit
        "UKO1ABCDEF\x00",
        "<script>10",
    ],
)
def test_what_is_no_receipt_is_none(value):
    assert parse_receipt(value) is None


# -- whatever else ------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
item = st.fixed_dictionaries(
    {}, optional={"Name": st.sampled_from(["Amount", "MpesaReceiptNumber"]), "Value": anything}
)
shaped = st.fixed_dictionaries(
    {},
    optional={
        "ResultCode": anything | st.sampled_from([0, 0.0, "0", False, "", None, -0.0]),
        "MerchantRequestID": anything,
        "CheckoutRequestID": anything,
        "CallbackMetadata": anything | st.fixed_dictionaries({"Item": st.lists(item | anything)}),
    },
)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_unreadable(body):
    assert is_unreadable(body) or parse_callback(body)


@given(anything)
def test_any_json_is_read_or_unreadable(document):
    assert is_unreadable(raw(document)) or parse_callback(raw(document))


@given(shaped)
def test_only_a_code_that_is_0_reads_as_0(callback):
    body = json.dumps({"Body": {"stkCallback": callback}}).encode()
    code = callback.get("ResultCode")
    a_number = isinstance(code, int | float) and not isinstance(code, bool)
    is_zero = (a_number and code == 0) or (isinstance(code, str) and code.strip() == "0")

    assert is_unreadable(body) or (parse_callback(body).code == "0") == is_zero
