"""What merchants and operators see of a receipt."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.receipt_shown import draw, for_webhook
from tests.domain.known import attempt

NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RECEIPT = Receipt(
    id="a-receipts-own-id",
    organisation="174379",
    receipt="UKO1ABCDEF",
    direction=Direction.IN,
    amount=15_050,
    state=State.UNCLAIMED,
    listed=True,
    learned_at=NOON,
    changed_at=NOON,
    account="234567890",
    payer_masked="2547*****678",
    payer_name="WANJIKU",
    paid_at=NOON,
)


def test_an_unclaimed_receipt_is_drawn_with_all_that_is_known_of_it():
    assert draw(RECEIPT, None, ["first", "second"]) == {
        "receipt": "UKO1ABCDEF",
        "direction": "in",
        "amount": "150.50",
        "paid_at": "2026-11-24T09:00:00Z",
        "account": "234567890",
        "phone": "2547•••••678",
        "name": "WANJIKU",
        "state": "unclaimed",
        "order_id": None,
        "transaction_id": None,
        "returned_by": None,
        "suggestions": ["first", "second"],
        "learned_at": "2026-11-24T09:00:00Z",
        "changed_at": "2026-11-24T09:00:00Z",
    }


def test_what_nobody_told_is_null():
    bare = replace(RECEIPT, account=None, payer_masked=None, payer_name=None, paid_at=None)

    shown = draw(bare, None, [])

    assert [shown[name] for name in ("account", "phone", "name", "paid_at")] == [None] * 4


def test_a_claimed_one_names_its_order():
    owner = attempt()
    claimed = replace(RECEIPT, state=State.CLAIMED, transaction_id=owner.id)

    shown = draw(claimed, owner, [])

    assert (shown["order_id"], shown["transaction_id"]) == (owner.order_id, owner.id)


def test_the_payer_of_a_push_is_the_number_that_was_asked():
    owner = replace(attempt(), msisdn="254712345678")
    claimed = replace(RECEIPT, payer_masked=None, transaction_id=owner.id)

    assert draw(claimed, owner, [])["phone"] == "0712•••678"


def test_a_reversal_has_no_state():
    assert draw(replace(RECEIPT, direction=Direction.OUT), None, [])["state"] is None


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("0712345678", "0712•••678"),
        ("0712 345 678", "0712•••678"),
        ("+254712345678", "0712•••678"),
        ("JANE 0712345678", "JANE 2547•••••678"),
        ("INV-1001", "INV-1001"),
        ("234567890", "234567890"),
        ("", ""),
    ],
)
def test_an_account_that_reads_as_a_phone_number_is_masked(typed, shown):
    assert draw(replace(RECEIPT, account=typed), None, [])["account"] == shown


@pytest.mark.parametrize(
    ("account", "is_ours", "told"),
    [
        ("JANE", False, None),
        ("INV-1", True, "INV-1"),
        ("234567890", False, "234567890"),
        ("", False, ""),
        (None, False, None),
    ],
)
def test_a_webhook_tells_no_account_that_may_be_a_name(account, is_ours, told):
    shown = draw(replace(RECEIPT, account=account), None, [])

    assert for_webhook(shown, account_is_ours=is_ours) == {**shown, "account": told}
