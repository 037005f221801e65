"""A confirmation tells of money: what it says is read to the cent, and never guessed."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.confirmation import UnreadableConfirmation, parse_confirmation
from mpesa.domain.told import Payer, Told
from tests.domain.bodies import SHORT_CODE, confirmation, raw
from tests.factories import PAYER_MSISDN, RECEIPT

PAID_AT = datetime(2026, 11, 24, 9, 0, 10, tzinfo=UTC)


def told(**changed):
    return parse_confirmation(raw(confirmation(**changed)))


def without(*keys):
    fields = confirmation()
    return parse_confirmation(raw({key: fields[key] for key in fields if key not in keys}))


def test_a_confirmation_of_version_2_is_read_whole():
    assert told() == Told(
        receipt=RECEIPT,
        amount=50_000,
        short_code=SHORT_CODE,
        account="ORD-17",
        payer=Payer(masked="2547*****678"),
        name="JUMA",
        paid_at=PAID_AT,
    )


def test_version_1_tells_the_number_as_a_hash_and_more_names_than_are_kept():
    hashed = hashlib.sha256(PAYER_MSISDN.encode()).hexdigest()

    read = told(MSISDN=hashed.upper(), MiddleName="KIPKORIR", LastName="OTIENO")

    assert (read.payer, read.name) == (Payer(hashed=hashed), "JUMA")


@pytest.mark.parametrize(
    ("written", "payer"),
    [
        (PAYER_MSISDN, Payer(msisdn=PAYER_MSISDN)),
        (int(PAYER_MSISDN), Payer(msisdn=PAYER_MSISDN)),
        ("+254712345678", Payer(msisdn=PAYER_MSISDN)),
        ("0712345678", Payer(msisdn=PAYER_MSISDN)),
        ("25471****678", Payer(masked="25471****678")),
        ("2547 ***** 678", Payer(masked="2547*****678")),
        ("", Payer()),
        (None, Payer()),
        ("600999", Payer()),
        ("442071838750", Payer()),
        ("*****", Payer()),
        ("2547" + "*" * 40 + "678", Payer()),
        ("٢٥٤٧١٢٣٤٥٦٧٨", Payer()),
        (True, Payer()),
        ([PAYER_MSISDN], Payer()),
    ],
)
def test_the_payer_is_known_in_the_form_that_was_told(written, payer):
    assert told(MSISDN=written).payer == payer


@pytest.mark.parametrize(
    "key", ["MSISDN", "FirstName", "BillRefNumber", "TransTime", "InvoiceNumber"]
)
def test_what_may_be_missing_is_not_told(key):
    read = without(key)

    expected = {"MSISDN": "payer", "FirstName": "name", "BillRefNumber": "account"}
    assert (read.receipt, read.amount) == (RECEIPT, 50_000)
    if key in expected:
        assert getattr(read, expected[key]) in (None, Payer())


@pytest.mark.parametrize(
    ("written", "account"),
    [
        ("", ""),
        ("  ", ""),
        (None, ""),
        (" ord 17 ", "ord 17"),
        (17, "17"),
        ("007", "007"),
        ([], None),
    ],
)
def test_an_empty_account_is_told_and_a_missing_one_is_not(written, account):
    assert told(BillRefNumber=written).account == account
    assert without("BillRefNumber").account is None


@pytest.mark.parametrize(
    ("written", "cents"),
    [
        ("500.00", 50_000),
        ("500", 50_000),
        (500, 50_000),
        (" 500.0 ", 50_000),
        ("0.01", 1),
        ("1.10", 110),
        ("70.35", 7035),
    ],
)
def test_an_amount_is_exact_to_the_cent(written, cents):
    assert told(TransAmount=written).amount == cents


@given(st.integers(1, 10**11 - 1))
def test_no_cent_is_lost_in_a_json_number(cents):
    number = f"{cents // 100}.{cents % 100:02}"
    body = json.dumps(confirmation(TransAmount="HERE")).replace('"HERE"', number)

    assert parse_confirmation(body.encode()).amount == cents


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "0.00",
        "-500",
        "500.001",
        "1e400",
        "1e-400",
        "1e9999999",
        "500." + "0" * 40 + "1",
        "true",
    ],
)
def test_what_is_no_amount_to_the_cent_is_unreadable(number):
    body = json.dumps(confirmation(TransAmount="HERE")).replace('"HERE"', number)

    with pytest.raises(UnreadableConfirmation):
        parse_confirmation(body.encode())


@pytest.mark.parametrize("written", ["", "1,500.00", "KES 500", "\uff15\uff10", "1_0", None, [500]])
def test_an_amount_that_is_no_number_is_unreadable(written):
    with pytest.raises(UnreadableConfirmation):
        told(TransAmount=written)


@pytest.mark.parametrize("written", [RECEIPT.lower(), f" {RECEIPT.title()} "])
def test_the_receipt_is_read_in_any_letter_case(written):
    assert told(TransID=written).receipt == RECEIPT


@pytest.mark.parametrize(
    "written", ["", None, 1234567890, "UKO1ABCDE", "UKO1ABCDEFG", "uko1abcde\u017f"]
)
def test_what_is_no_receipt_is_unreadable(written):
    with pytest.raises(UnreadableConfirmation):
        told(TransID=written)


@pytest.mark.parametrize("written", ["20261124120010", 20261124120010, 20261124120010.0])
def test_the_time_is_nairobis_as_text_or_number(written):
    assert told(TransTime=written).paid_at == PAID_AT


@pytest.mark.parametrize(
    "written",
    ["20261324120010", "00010101000000", "2026-11-24", "٢٠٢٦١١٢٤١٢٠٠١٠", "", None, True, 1e300],
)
def test_a_time_that_cannot_be_is_not_told(written):
    assert told(TransTime=written).paid_at is None


@pytest.mark.parametrize(("written", "short_code"), [(600999, "600999"), ("", None), (None, None)])
def test_the_short_code_is_text(written, short_code):
    assert told(BusinessShortCode=written).short_code == short_code


@pytest.mark.parametrize("written", ["our shop", "600999 or so", True, [600999], -1, "6" * 70])
def test_what_is_no_short_code_does_not_pass_for_none(written):
    with pytest.raises(UnreadableConfirmation):
        told(BusinessShortCode=written)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("JUMA KIPKORIR OTIENO", "JUMA"),
        ("", None),
        (None, None),
        (7, None),
        ("J" * 80, "J" * 40),
        ("\0", None),
    ],
)
def test_of_a_name_the_first_word_is_kept(written, name):
    assert told(FirstName=written).name == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"TransID=UKO1ABCDEF",
        b"\xff\xfe",
        b'{"TransID": "UKO1ABCDEF"}',
        b"[" * 60_000,
    ],
    ids=range(7),
)
def test_a_body_that_is_no_confirmation_is_unreadable(body):
    with pytest.raises(UnreadableConfirmation):
        parse_confirmation(body)


def test_a_key_that_stands_twice_makes_the_body_unreadable():
    body = raw(confirmation()).replace(b'"TransAmount"', b'"TransAmount": "5.00", "TransAmount"')

    with pytest.raises(UnreadableConfirmation, match="twice"):
        parse_confirmation(body)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(confirmation())), ANYTHING))
def test_whatever_stands_in_a_field_is_read_or_unreadable(changed):
    try:
        read = told(**changed)
    except UnreadableConfirmation:
        return
    assert read.amount > 0
    for text in (read.account, read.name, read.short_code):
        (text or "").encode()


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_no_bytes_make_anything_but_unreadable(body):
    with pytest.raises(UnreadableConfirmation):
        parse_confirmation(body)
