from datetime import UTC, datetime, timedelta

import pytest

from tests.simulator.shop import PAYER, Shop

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)  # in Nairobi


class Clock:
    now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(clock):
    return Shop(now=clock)


def pull(shop, **changes):
    body = {
        "ShortCode": "174379",
        "StartDate": "2026-11-20 00:00:00",
        "EndDate": "2026-11-30 00:00:00",
        "OffSetValue": "0",
    }
    return shop.call("/pulltransactions/v1/query", body | changes)


def enrol(shop, **changes):
    body = {
        "ShortCode": "174379",
        "RequestType": "Pull",
        "NominatedNumber": "254722000111",
        "CallBackURL": "http://127.0.0.1:1/pull",
    }
    return shop.call("/pulltransactions/v1/register", body | changes)


def said(answer):
    return answer.status_code, answer.json["errorCode"], answer.json["errorMessage"]


def test_a_payment_is_pulled_with_what_was_typed_in_a_list_in_a_list(shop):
    receipt = shop.pay().json["receipt"]

    told = pull(shop).json

    assert (told["ResponseCode"], told["ResponseMessage"]) == ("1000", "Success")
    assert told["Response"] == [
        [
            {
                "transactionId": receipt,
                "trxDate": "2026-11-24T09:00:00Z",
                "msisdn": PAYER,
                "sender": "MPESA",
                "transactiontype": "c2b-pay-bill-debit",
                "billreference": "234567890",
                "amount": "500.00",
                "organizationname": "DUKA LA MFANO",
            }
        ]
    ]


def test_a_paid_push_is_pulled_too_and_somebody_elses_money_is_not(shop):
    shop.script(answer="pay")
    shop.push(AccountReference="INV-7")
    shop.next_callback()
    shop.pay(short_code="247247")
    shop.pay(short_code="600999")

    (rows,) = pull(shop).json["Response"]

    assert [row["billreference"] for row in rows] == ["INV-7"]


def test_nothing_is_1001(shop):
    told = pull(shop).json

    assert (told["ResponseCode"], told["Response"]) == ("1001", [[]])


def test_times_may_be_nairobis(shop):
    shop.organise(pull_zone="nairobi")
    shop.pay()

    assert pull(shop).json["Response"][0][0]["trxDate"] == "2026-11-24T12:00:00Z"


def test_start_and_end_are_nairobis(shop):
    shop.pay()

    before = pull(shop, EndDate="2026-11-24 11:59:59").json
    until = pull(shop, StartDate="2026-11-24 12:00:00", EndDate="2026-11-24 12:00:00").json

    assert (before["ResponseCode"], until["ResponseCode"]) == ("1001", "1000")


def test_it_reaches_back_48_hours(shop, clock):
    shop.pay()

    clock.now = NOON + timedelta(hours=48)
    reached = pull(shop).json["ResponseCode"]
    clock.now += timedelta(seconds=1)

    assert (reached, pull(shop).json["ResponseCode"]) == ("1000", "1001")


def test_a_page_has_a_hundred_rows(shop):
    receipts = [shop.pay(amount=1).json["receipt"] for _ in range(101)]

    pages = [pull(shop, OffSetValue=offset).json for offset in ("0", "100", "200")]

    assert [row["transactionId"] for page in pages for row in page["Response"][0]] == receipts
    assert [page["ResponseCode"] for page in pages] == ["1000", "1000", "1001"]


def test_nothing_may_be_said_in_other_ways(shop):
    shop.pay()

    shop.organise(pull="empty")
    empty = pull(shop)
    shop.organise(pull="error_500")

    assert empty.json["Response"] == "[[]]"
    assert said(pull(shop)) == (500, "500.001", "Failed to retrieve transactions.")


def test_keys_may_have_blanks_in_them(shop):
    shop.organise(pull="spaced_keys")
    shop.pay()

    assert pull(shop).json.keys() == {"RequestID", "Response Code", "Response Message", "Response"}
    assert enrol(shop).json["Response Status"] == "1000"


def test_odd_rows_have_a_mask_and_a_plain_time(shop):
    shop.organise(shapes="odd")
    shop.pay()

    (row,) = pull(shop).json["Response"][0]

    assert (row["msisdn"], row["trxDate"]) == ("2547 ***** 678", "2026-11-24 09:00:00")


def test_a_merchant_registers_once(shop):
    assert [enrol(shop).json["ResponseStatus"] for _ in range(2)] == ["1000", "1001"]
    assert enrol(shop, ShortCode="600999").json["ResponseStatus"] == "1000"


@pytest.mark.parametrize(
    ("call", "changes", "field"),
    [
        (pull, {"ShortCode": "247247"}, "ShortCode"),
        (pull, {"StartDate": "2026-11-20"}, "StartDate"),
        (pull, {"EndDate": "2026-11-19 00:00:00"}, "EndDate"),
        (pull, {"OffSetValue": "-1"}, "OffSetValue"),
        (enrol, {"RequestType": "Incremental"}, "RequestType"),
        (enrol, {"NominatedNumber": "0722000111"}, "NominatedNumber"),
        (enrol, {"CallBackURL": ""}, "CallBackURL"),
    ],
)
def test_a_wrong_field_is_named(shop, call, changes, field):
    assert said(call(shop, **changes)) == (400, "400.001", f"Bad Request - Invalid {field}")
