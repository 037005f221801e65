import pytest

from mpesa.simulator.organisation import CallbackWords, Organisation, TillMismatch
from mpesa.simulator.refusals import Refusal
from mpesa.simulator.validation import read_push, read_query
from tests.simulator.shop import PAYER, password, push_body, query_body

STRICT = Organisation(callback_words=CallbackWords.REFUSED, till_mismatch=TillMismatch.REFUSED)
LENIENT = Organisation()


def read(body, merchant=LENIENT):
    return read_push(body, merchant)


def refusal_of(read, *asked):
    with pytest.raises(Refusal) as refused:
        read(*asked)
    return refused.value.message


def of_the_store(**changes):
    """A push of the store that went live, to its till."""
    store = {
        "BusinessShortCode": "174380",
        "Password": password("174380"),
        "TransactionType": "CustomerBuyGoodsOnline",
        "PartyB": "5174380",
    }
    return push_body(**(store | changes))


def test_a_good_push_is_read():
    asked = read(push_body(Amount="1500"))

    assert (asked.msisdn, asked.amount, asked.reference) == (PAYER, 1500, "INV-1")


def test_numbers_and_strings_mean_the_same():
    as_numbers = push_body(
        BusinessShortCode=174379, PartyA=254712345678, PartyB=174379, PhoneNumber=254712345678
    )

    assert read(as_numbers) == read(push_body())


def test_a_till_takes_any_till_number():
    asked = read(push_body(TransactionType="CustomerBuyGoodsOnline", PartyB="5123456"))

    assert asked.party == "5123456"
    assert not asked.is_astray


def test_a_paybill_payment_to_another_number_goes_astray():
    assert read(push_body(PartyB="600000")).is_astray


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
        ("PartyA", None, "PartyA"),
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

    assert refusal_of(read, body) == f"Bad Request - Invalid {named}"


WITH_WORDS = [
    "https://shop.example/mpesa/callback",
    "https://shop.example/M-PESA/callback",
    "https://shop.example/Safaricom",
    "https://shop.example/callback?query=1",
    "https://shop.example/execute",
    "https://shop.example/CMD",
    "https://shop.example/cb?next=sql",
]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a b",
        "https://<shop>/callback",
        "https://shop.example/<callback>",
        "ftp://shop.example/callback",
        "https:///callback",
        "https://[shop/callback",
        "shop.example/callback",
        "",
    ],
)
@pytest.mark.parametrize("merchant", [LENIENT, STRICT], ids=["default", "strict"])
def test_a_callback_url_that_nobody_could_call_is_refused(url, merchant):
    body = push_body(CallBackURL=url)

    assert refusal_of(read, body, merchant) == "Bad Request - Invalid CallBackURL"


@pytest.mark.parametrize("url", WITH_WORDS)
def test_words_of_safaricoms_list_in_a_callback_url_are_refused_on_demand_only(url):
    body = push_body(CallBackURL=url)

    assert read(body).callback_url == url
    assert refusal_of(read, body, STRICT) == "Bad Request - Invalid CallBackURL"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5000/callback/0123abcd",
        "https://example.invalid/c?order=1",
        "https://executive.example.com/callback",
        "https://sql.example/callback",
    ],
)
@pytest.mark.parametrize("merchant", [LENIENT, STRICT], ids=["default", "strict"])
def test_a_callback_url_needs_neither_https_nor_a_known_host_nor_a_tame_one(url, merchant):
    assert read(push_body(CallBackURL=url), merchant).callback_url == url


def test_a_bad_number_is_called_phone_number_though_the_payers_party_is_as_bad():
    body = push_body("0712345678")

    assert body["PartyA"] == body["PhoneNumber"] == "0712345678"
    assert refusal_of(read, body) == "Bad Request - Invalid PhoneNumber"


def test_the_store_takes_buy_goods_for_its_till():
    asked = read(of_the_store())

    assert (asked.shortcode, asked.party, asked.is_astray) == ("174380", "5174380", False)


def test_the_store_takes_nothing_but_buy_goods():
    body = of_the_store(TransactionType="CustomerPayBillOnline")

    assert refusal_of(read, body) == "Bad Request - Invalid TransactionType"


def test_money_of_the_store_for_another_till_goes_astray():
    assert read(of_the_store(PartyB="5123456")).is_astray


def test_buy_goods_from_the_paybill_is_refused_on_demand_only():
    body = push_body(TransactionType="CustomerBuyGoodsOnline", PartyB="5123456")

    assert read(body).kind == "CustomerBuyGoodsOnline"
    assert refusal_of(read, body, STRICT) == "Bad Request - Invalid TransactionType"
    assert read(push_body(), STRICT).kind == "CustomerPayBillOnline"
    assert read(of_the_store(), STRICT).kind == "CustomerBuyGoodsOnline"


def test_another_shortcode_is_no_merchant():
    body = push_body(BusinessShortCode="600000", Password=password("600000"))

    assert refusal_of(read, body) == "Merchant does not exist"


@pytest.mark.parametrize("wrong", ["bm9uc2Vuc2U=", "Ω", password(timestamp="20261124131501")])
def test_a_password_that_does_not_sign_this_timestamp_is_refused(wrong):
    assert refusal_of(read, push_body(Password=wrong)) == "Wrong credentials"


def test_a_query_names_a_missing_id():
    body = query_body("")

    assert refusal_of(read_query, body) == "Bad Request - Invalid CheckoutRequestID"
