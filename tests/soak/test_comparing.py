"""The soak's comparison finds what it is there to find."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.soak.comparing import _judge, compare_receipts, judge_refunds
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
RECEIPT = {"receipt": "UKO1AB2C3D", "amount": 15_000, "state": "claimed", "refund_id": None}
OWNER = {
    "receipt": "UKO1AB2C3D", "status": "SUCCESS", "reference": "SOAK-1", "returned": False,
}  # fmt: skip
GONE = {"returned": True}
NOBODYS = {"state": "unclaimed"}
WENT_BACK = {"state": "returned"}


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
        {"receipt": WENT_BACK, "owner": GONE, "kind": "slip"},
        {"receipt": WENT_BACK, "owner": GONE | {"reference": "SOAK-2"}},
        {"receipt": WENT_BACK, "owner": {}},
        {"receipt": {}, "owner": GONE},
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
        {"receipt": WENT_BACK, "owner": GONE},
        {"receipt": WENT_BACK, "kind": "slip"},
        {"receipt": WENT_BACK},
        {"receipt": NOBODYS | {"refund_id": "r1"}},
    ],
)
def test_a_receipt_that_is_its_orders_or_rightly_nobodys_is_right(right):
    assert held(**right) == []


BACK = {"receipt": "UKO9ZY8X7W", "reverses": "UKO1AB2C3D", "channel": "api"}
AT_THE_PORTAL = BACK | {"channel": "portal"}
RETURNED = WENT_BACK | {"returned_by": "UKO9ZY8X7W"}
REFUND = {
    "id": "r1234567890", "receipt": "UKO1AB2C3D", "status": "succeeded", "amount": 15_000,
    "released_day": "2026-11-24", "result_code": "0", "reversal_receipt": "UKO9ZY8X7W",
    "times_released": 1, "times_sent": 1,
}  # fmt: skip
FAILED = {"status": "failed", "reversal_receipt": None, "id": "r0987654321"}
UNKNOWN = {"status": "unknown", "reversal_receipt": None}
SENT = {"status": "sent", "reversal_receipt": None, "id": "r2"}
REFUSED = {"status": "refused", "reversal_receipt": None, "times_released": 0, "times_sent": 0}
HELD = {"refund_id": "r1234567890"}


def given_back(*refunds, receipt=RETURNED, moved=(BACK,), limit=15_000, is_told=True, orders=None):
    rows = [REFUND | each for each in refunds]
    ledger = [{"reverses": None, "receipt": "UKO1AB2C3D"}, *moved]
    sent = Counter(f"Refund {each['id'][:8]}" for each in rows if each["times_sent"])
    told = sent if orders is None else Counter(orders)
    return judge_refunds(rows, [RECEIPT | receipt], ledger, limit, told, is_told=is_told)


@pytest.mark.parametrize(
    ("refunds", "more"),
    [
        ([{}], {"moved": (BACK, BACK)}),
        ([{}], {"moved": ()}),
        ([{"times_released": 2}], {}),
        ([{"times_released": 2, "times_sent": 2}], {}),
        ([{"times_released": 0}], {}),
        ([FAILED], {}),
        ([REFUSED], {}),
        ([], {}),
        ([FAILED], {"receipt": RETURNED, "moved": ()}),
        ([{"times_sent": 0}], {}),
        ([REFUSED | {"times_released": 1, "times_sent": 1}], {"receipt": {}, "moved": ()}),
        ([{}], {"orders": {"Refund r1234567": 2}}),
        ([{}], {"orders": {"Refund r1234567": 1, "Refund unheard-": 1}}),
        ([{"reversal_receipt": "UKOANOTHER"}], {}),
        ([{}], {"receipt": RETURNED | {"returned_by": "UKOANOTHER"}}),
        ([UNKNOWN, SENT], {"receipt": HELD, "moved": ()}),
        ([{}], {"receipt": {}}),
        ([], {"receipt": {}, "moved": (AT_THE_PORTAL,)}),
        ([UNKNOWN], {"receipt": RETURNED | HELD}),
        ([UNKNOWN], {"receipt": {}, "moved": ()}),
        ([{}], {"receipt": RETURNED | HELD}),
        ([{"result_code": "R000001"}], {}),
        ([{}], {"limit": 14_999}),
        ([UNKNOWN], {"receipt": HELD, "moved": (), "limit": 14_999}),
    ],
)
def test_a_refund_that_happened_twice_or_was_invented_or_was_lost_is_wrong(refunds, more):
    assert given_back(*refunds, **more)


@pytest.mark.parametrize(
    ("refunds", "more"),
    [
        ([{}], {}),
        ([], {"receipt": {}, "moved": ()}),
        ([], {"moved": (AT_THE_PORTAL,)}),
        ([{"result_code": "R000001", "reversal_receipt": None}], {"moved": (AT_THE_PORTAL,)}),
        ([FAILED, {}], {}),
        ([REFUSED], {"receipt": {}, "moved": ()}),
        ([UNKNOWN], {"receipt": HELD, "moved": ()}),
        ([UNKNOWN], {"receipt": HELD, "is_told": False}),
        ([], {"receipt": {}, "moved": (AT_THE_PORTAL,), "is_told": False}),
        ([FAILED], {"receipt": {}, "moved": (), "limit": 0}),
    ],
)
def test_a_refund_that_the_ledger_has_once_or_cannot_know_of_is_right(refunds, more):
    assert given_back(*refunds, **more) == []
