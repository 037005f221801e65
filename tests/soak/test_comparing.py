"""The soak's comparison finds what it is there to find."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.soak.comparing import _judge, compare_receipts
from tests.soak.shopper import ByHand

PAID = {"receipt": "UKO1AB2C3D", "msisdn": "254712345678", "amount": 150}
ROW = {
    "id": "t1", "status": "SUCCESS", "reason": "paid", "final": True, "amount": 150,
    "receipt": "UKO1AB2C3D", "order_status": "PAID", "checkout_request_id": "ws_CO_1",
    "next_ask_at": None,
}  # fmt: skip
SCRIPT = {"callback": "once", "query": "honest"}
PLANNED = {"next_ask_at": datetime(2026, 11, 24, tzinfo=UTC)}
SILENCE = {"status": "PENDING", "receipt": None, "reason": "overdue", "final": False}


def judged(row=None, **script):
    return _judge(PAID, row and ROW | row, SCRIPT | script, Counter())


@pytest.mark.parametrize(
    ("row", "script"),
    [
        (None, {}),
        ({"amount": 15}, {}),
        ({"receipt": "UKOAAAAAAA"}, {}),
        ({"order_status": "OPEN"}, {}),
        (SILENCE, {}),
        (SILENCE, {"callback": "never"}),
        (SILENCE | {"final": True}, {"callback": "never", "query": "pending"}),
        (SILENCE, {"callback": "never", "query": "flaky"}),
        (SILENCE | PLANNED, {"callback": "never", "query": "honest"}),
        (SILENCE | PLANNED | {"final": True}, {"callback": "never", "query": "flaky"}),
        (SILENCE | PLANNED, {"callback": "once", "query": "flaky"}),
    ],
)
def test_money_that_our_books_have_not_or_have_otherwise_is_wrong(row, script):
    assert len(judged(row, **script)) == 1


@pytest.mark.parametrize(
    ("row", "script"),
    [
        ({"amount": 150}, {}),
        ({"receipt": None}, {"callback": "never"}),
        (SILENCE, {"callback": "never", "query": "pending"}),
        (SILENCE | {"checkout_request_id": None}, {"callback": "garbled"}),
        (SILENCE | PLANNED, {"callback": "never", "query": "flaky"}),
    ],
)
def test_money_that_we_have_or_cannot_know_of_is_right(row, script):
    assert judged(row, **script) == []


MOVED = {"receipt": "UKO1AB2C3D", "amount": 150, "channel": "hand"}
RECEIPT = {"receipt": "UKO1AB2C3D", "amount": 15_000, "state": "claimed"}
OWNER = {"receipt": "UKO1AB2C3D", "status": "SUCCESS", "reference": "SOAK-1"}
NOBODYS = {"state": "unclaimed"}


def held(receipt=None, owner=None, kind="code", moved=True):
    rows = [] if owner is None else [OWNER | owner]
    known = [] if receipt is None else [RECEIPT | receipt]
    paid = {"UKO1AB2C3D": ByHand("SOAK-1", kind)}
    return compare_receipts(known, rows, [MOVED] * moved, paid)[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"receipt": None},
        {"receipt": {"amount": 15}, "owner": {}},
        {"receipt": {}, "owner": None},
        {"receipt": {}, "owner": {"reference": "SOAK-2"}},
        {"receipt": {}, "owner": {"status": "FAILED"}},
        {"receipt": NOBODYS, "owner": None},
        {"receipt": {}, "owner": {}, "kind": "slip"},
        {"receipt": NOBODYS, "owner": None, "moved": False},
        {"receipt": None, "owner": {}, "moved": False},
    ],
)
def test_a_receipt_that_is_lost_or_invented_or_anothers_is_wrong(wrong):
    assert held(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"receipt": {}, "owner": {}},
        {"receipt": {}, "owner": {}, "kind": "reference"},
        {"receipt": NOBODYS, "kind": "slip"},
        {"receipt": NOBODYS, "kind": "another amount"},
    ],
)
def test_a_receipt_that_is_its_orders_or_rightly_nobodys_is_right(right):
    assert held(**right) == []
