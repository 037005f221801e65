import base64
import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mpesa.config import AccountType
from mpesa.daraja import Merchant
from mpesa.daraja.requests_to_daraja import push_body, query_body
from tests.daraja.conftest import MERCHANT

NOON = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
TILL = dataclasses.replace(MERCHANT, account_type=AccountType.TILL, till="555777")


@pytest.mark.parametrize(
    ("now", "timestamp"),
    [
        (NOON, "20261124150005"),
        (datetime(2026, 12, 31, 22, 0, tzinfo=UTC), "20270101010000"),
        (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), "20260701150000"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5))), "20260101080000"),
    ],
)
def test_daraja_is_told_the_time_in_nairobi(now, timestamp, push):
    assert push_body(MERCHANT, push, now)["Timestamp"] == timestamp


def test_the_password_is_short_code_passkey_and_the_same_timestamp(push):
    body = push_body(MERCHANT, push, NOON)

    assert base64.b64decode(str(body["Password"])) == b"174379the-passkey20261124150005"


def test_a_paybill_is_paid_at_its_short_code(push):
    body = push_body(MERCHANT, push, NOON)

    assert body["TransactionType"] == "CustomerPayBillOnline"
    assert (body["BusinessShortCode"], body["PartyB"]) == ("174379", "174379")


def test_a_till_is_paid_at_its_till_number_and_signed_by_its_store(push):
    body = push_body(TILL, push, NOON)

    assert body["TransactionType"] == "CustomerBuyGoodsOnline"
    assert (body["BusinessShortCode"], body["PartyB"]) == ("174379", "555777")


def test_the_push_names_payer_amount_and_callback(push):
    body = push_body(MERCHANT, push, NOON)

    assert (body["PartyA"], body["PhoneNumber"]) == ("254712345678", "254712345678")
    assert body["Amount"] == 150
    assert body["CallBackURL"] == "https://shop.example/callback/abc"
    assert (body["AccountReference"], body["TransactionDesc"]) == ("INV-1", "Two loaves")


def test_the_query_is_signed_like_the_push(push):
    body = query_body(TILL, "ws_CO_1", NOON)

    assert body.pop("CheckoutRequestID") == "ws_CO_1"
    assert body.items() <= push_body(TILL, push, NOON).items()


def test_a_till_account_needs_its_till():
    with pytest.raises(ValueError, match="till number"):
        dataclasses.replace(MERCHANT, account_type=AccountType.TILL)


def test_nothing_secret_or_personal_is_shown_by_repr(push):
    shown = repr((MERCHANT, Merchant("k" * 9, "s" * 9, "1", "p" * 9), push))

    assert not any(word in shown for word in ("the-", "kkk", "sss", "ppp", "254712", "callback/"))
