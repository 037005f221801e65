import pytest

from mpesa.simulator.refusals import Refusal
from mpesa.simulator.validation import read_push, read_query
from tests.simulator.shop import PAYER, password, push_body, query_body


def refusal_of(read, body):
    with pytest.raises(Refusal) as refused:
        read(body)
    return refused.value.message


def test_a_good_push_is_read():
    asked = read_push(push_body(Amount="1500"))

    assert (asked.msisdn, asked.amount, asked.reference) == (PAYER, 1500, "INV-1")


def test_numbers_and_strings_mean_the_same():
    as_numbers = push_body(
        BusinessShortCode=174379, PartyA=254712345678, PartyB=174379, PhoneNumber=254712345678
    )

    assert read_push(as_numbers) == read_push(push_body())


def test_a_till_takes_any_till_number():
    asked = read_push(push_body(TransactionType="CustomerBuyGoodsOnline", PartyB="5123456"))

    assert asked.party == "5123456"
    assert not asked.is_misrouted


def test_a_paybill_payment_to_another_number_goes_astray():
    assert read_push(push_body(PartyB="600000")).is_misrouted


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("BusinessShortCode", None, "BusinessShortCode"),
        ("BusinessShortCode", "17 4379", "BusinessShortCode"),
        ("Password", "", "Password"),
        ("Timestamp", "2026-11-24", "Timestamp"),
        ("Timestamp", "20261324131500", "Timestamp"),
        ("TransactionType", "PayBill", "TransactionType"),
        ("TransactionType", ["CustomerPayBillOnline"], "TransactionType"),
        ("Amount", 0, "Amount"),
        ("Amount", "1.5", "Amount"),
        ("Amount", 1.5, "Amount"),
        ("Amount", True, "Amount"),
        ("Amount", "\u0661\u0665\u0660", "Amount"),
        ("PartyA", "0712345678", "PartyA"),
        ("PartyB", "12", "PartyB"),
        ("PhoneNumber", "+254712345678", "PhoneNumber"),
        ("PhoneNumber", "254812345678", "PhoneNumber"),
        ("PhoneNumber", "254712345678\n", "PhoneNumber"),
        ("CallBackURL", None, "CallBackURL"),
        ("AccountReference", " ", "AccountReference"),
        ("TransactionDesc", None, "Remarks"),
    ],
)
def test_a_wrong_field_is_refused_by_darajas_name(field, value, named):
    body = push_body(**{field: value})

    assert refusal_of(read_push, body) == f"Bad Request - Invalid {named}"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/mpesa/callback",
        "https://shop.example/Safaricom",
        "https://sql.example/callback",
        "https://shop.example/callback?query=1",
        "https://shop.example/execute",
        "https://shop.example/CMD",
        "https://shop.example/a b",
        "https://<shop>/callback",
        "ftp://shop.example/callback",
        "https:///callback",
        "https://[shop/callback",
        "shop.example/callback",
    ],
)
def test_a_callback_url_that_safaricom_would_not_call_is_refused(url):
    assert refusal_of(read_push, push_body(CallBackURL=url)) == "Bad Request - Invalid CallBackURL"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/callback/0123abcd", "https://example.invalid/c?order=1"]
)
def test_a_callback_url_needs_neither_https_nor_a_known_host(url):
    assert read_push(push_body(CallBackURL=url)).callback_url == url


def test_another_shortcode_is_no_merchant():
    body = push_body(BusinessShortCode="600000", Password=password("600000"))

    assert refusal_of(read_push, body) == "Merchant does not exist"


@pytest.mark.parametrize("wrong", ["bm9uc2Vuc2U=", "Ω", password(timestamp="20261124131501")])
def test_a_password_that_does_not_sign_this_timestamp_is_refused(wrong):
    assert refusal_of(read_push, push_body(Password=wrong)) == "Wrong credentials"


def test_a_query_names_a_missing_id():
    body = query_body("")

    assert refusal_of(read_query, body) == "Bad Request - Invalid CheckoutRequestID"
