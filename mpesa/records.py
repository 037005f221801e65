"""The rows that go with a decision: evidence, decision, messages, and the receipt that it tells."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from mpesa import books
from mpesa.books import Taken, Write
from mpesa.domain import settlement, snapshot, webhook
from mpesa.domain.attempt import Account, Attempt
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.money import cents_told
from mpesa.domain.receipt import UNCLAIMED_AFTER, Direction, Receipt, State, Trust
from mpesa.domain.receipt_shown import ReceiptShown
from mpesa.domain.refund import Event, Refund
from mpesa.domain.refund_shown import draw as shown_refund
from mpesa.domain.result_codes import PAID_CODE, Status
from mpesa.domain.why import Why
from mpesa.ids import new_id

# The execution option of an engine: whose books these are, a `Shop`.
SHOP = "mpesa_shop"


@dataclass(frozen=True, slots=True)
class Shop:
    """Whose books these are.

    Attributes:
        short_code: the organisation's, by which its receipts are told from another one's.
        tells_merchant: the merchant's server is told by webhook.
    """

    short_code: str = ""
    tells_merchant: bool = False


def shop_of(connection: Connection | Engine) -> Shop:
    """Whose books a connection writes, or all connections of an engine."""
    shop = connection.get_execution_options().get(SHOP)
    return shop if isinstance(shop, Shop) else Shop()


def of_decision(
    taken: Taken,
    before: Attempt,
    account: Account,
    decision: settlement.Decision,
    raw: Raw,
    now: datetime,
) -> list[Write]:
    """The rows of one decision: the evidence, the decision, and the merchant's messages.

    Args:
        before: the attempt that was decided on.
        account: its order's account from now on.
    """
    after = account.attempt(before.id)
    decided = {
        "transaction_id": after.id,
        "status": after.status.value,
        "reason": after.reason.value,
        "seq": after.seq,
        "needs_review": decision.needs_review,
        "why": decision.text,
        "decided_at": now,
    }
    if raw.stored_id is None:
        evidence = {
            "transaction_id": after.id,
            "kind": raw.kind.value,
            "body": raw.body,
            "source": raw.source,
            "received_at": now,
        }
        rows = [
            Write(books.ADD_EVIDENCE, evidence),
            Write(books.ADD_DECISION_ON_IT, decided),
        ]
    else:
        rows = [Write(books.ADD_DECISION, {**decided, "evidence_id": raw.stored_id})]
    if not shop_of(taken.connection).tells_merchant:
        return rows
    shown = snapshot.draw(account, after, now)
    for kind in webhook.due(before, after):
        message = {
            "id": f"msg_{new_id()}",
            "transaction_id": after.id,
            "receipt_id": None,
            "type": kind.value,
            "body": webhook.body(kind, shown, account.order.reference, now),
            "seq": after.seq,
            "created_at": now,
            "next_attempt_at": now,
        }
        rows.append(Write(books.ADD_MESSAGE, message))
    return rows


def of_ended(
    before: Account, after: Account, now: datetime, *, but: str | None = None
) -> list[Write]:
    """The evidence and decisions of transactions by hand that ended with their order.

    Args:
        but: the id of the transaction that was decided on; it has rows of its own.
    """
    waited = {each.id for each in before.attempts if each.status is Status.PENDING}
    rows = []
    for each in after.attempts:
        if each.id == but or each.id not in waited or each.status is Status.PENDING:
            continue
        evidence = {"transaction_id": each.id, "kind": Kind.CLOCK.value, "body": b""}
        decided = {
            "transaction_id": each.id,
            "status": each.status.value,
            "reason": each.reason.value,
            "seq": each.seq,
            "needs_review": False,
            "why": Why.ORDER_ENDED.value,
            "decided_at": now,
        }
        rows += [
            Write(books.ADD_EVIDENCE, {**evidence, "source": None, "received_at": now}),
            Write(books.ADD_DECISION_ON_IT, decided),
        ]
    return rows


def of_receipt_told(
    shop: Shop,
    before: Attempt,
    after: Attempt,
    evidence: settlement.Evidence,
    raw: Raw,
    known: Receipt | None,
    now: datetime,
) -> list[Write]:
    """The rows of a receipt that a push's own evidence tells of.

    One that the push has now is claimed. One with another amount, or from an address that is not
    believed, is kept as nobody's, and the push's order is suggested for it.

    Args:
        before: the push that was decided on.
        after: the same push from now on.
        known: the receipt's row; None: it has none, or it was not looked up.
    """
    number = number_told(evidence)
    if number is None:
        return []
    result = evidence.result if isinstance(evidence, settlement.CallbackReceived) else None
    new = Receipt(
        id=new_id(),
        organisation=shop.short_code,
        receipt=number,
        direction=Direction.IN,
        amount=(cents_told(result.amount) if result else None) or after.amount * 100,
        state=State.CLAIMED,
        listed=not isinstance(evidence, settlement.CallbackReceived) or evidence.listed,
        learned_at=now,
        changed_at=now,
        paid_at=result.paid_at if result else None,
    )
    witness = {
        "organisation": shop.short_code,
        "receipt": number,
        "kind": "operator" if raw.kind is Kind.OPERATOR else "callback",
        "fingerprint": fingerprint(after.id.encode() + raw.body),
        "body": b"",  # the evidence has it, and the address that it came from
        "source": None,
        "transaction_id": after.id,
        "judged": True,
        "received_at": now,
    }
    told = Write(books.ADD_WITNESS, witness)
    if after.receipt == number:
        return [*(_claimed(after, new, known) if before.receipt is None else ()), told]
    # Another amount, or an unlisted address; what contradicts the push in another way is no money.
    tells_money = result is not None and result.code == PAID_CODE and cents_told(result.amount)
    if not tells_money or (new.listed and new.amount == after.amount * 100):
        return []
    if known is not None:
        return [told]
    state = State.UNCLAIMED if new.listed else State.UNPROVEN
    unclaimed_from = now + UNCLAIMED_AFTER if new.listed else None
    doubted = replace(new, state=state, trust=Trust.DOUBTED, unclaimed_from=unclaimed_from)
    suggested = {"receipt_id": new.id, "order_id": after.order_id, "place": 0}
    return [books.kept(doubted, None), Write(books.ADD_SUGGESTION, suggested), told]


def _claimed(owner: Attempt, new: Receipt, known: Receipt | None) -> list[Write]:
    """The row of a receipt that is its transaction's from now on."""
    believed = known is not None and known.trust < Trust.DOUBTED
    claimed = replace(
        known or new,
        amount=known.amount if known and believed else new.amount,
        # What went back stays so, whosever it was.
        state=State.RETURNED if known and known.state is State.RETURNED else State.CLAIMED,
        listed=True,
        trust=min(known.trust if known else Trust.TOLD, Trust.TOLD),
        transaction_id=owner.id,
        changed_at=new.changed_at,
        unclaimed_from=None,
    )
    if known is None:
        return [books.kept(claimed, None)]
    return [
        books.kept(claimed, known),
        Write(books.DROP_SUGGESTIONS, {"receipt_id": known.id}),
    ]


def of_message(
    shop: Shop, kind: webhook.MessageType, receipt: Receipt, told: ReceiptShown, now: datetime
) -> list[Write]:
    """The merchant's message about a receipt; none where the merchant is not told.

    Args:
        kind: of a receipt.
        told: the receipt as webhooks tell it.
    """
    if not shop.tells_merchant:
        return []
    message = {
        "id": f"msg_{new_id()}",
        "transaction_id": None,
        "receipt_id": receipt.id,
        "type": kind.value,
        "body": webhook.receipt_body(kind, told, now),
        # There is at most one message of each kind, and this is their order.
        "seq": webhook.OF_RECEIPTS.index(kind) + 1,
        "created_at": now,
        "next_attempt_at": now,
    }
    return [Write(books.ADD_MESSAGE, message)]


def number_told(evidence: settlement.Evidence) -> str | None:
    """The receipt number that a push's own evidence names; None: it names none."""
    match evidence:
        case settlement.CallbackReceived():
            named = evidence.result or evidence.rough
            return named.receipt if named else None
        case settlement.QueryAnswered():
            return evidence.kept_receipt
        case settlement.OperatorSaysPaid():
            return evidence.receipt
        case _:
            return None


def fingerprint(told: bytes) -> str:
    """The hash by which the same content of a witness is known again."""
    return hashlib.sha256(told).hexdigest()


def of_refund(
    shop: Shop,
    before: Refund | None,
    after: Refund,
    event: Event,
    now: datetime,
    by: str | None = None,
    body: bytes = b"",
) -> list[Write]:
    """The rows of a change of a refund: itself, its step, and the merchant's messages.

    Args:
        by: a person, an address, or None.
        body: raw, people's data cut out.
    """
    step = {
        "refund_id": after.id,
        "event": event.value,
        "status": after.status.value,
        "by": by,
        "body": body,
        "at": now,
    }
    rows = [books.kept_refund(after, before), Write(books.ADD_REFUND_STEP, step)]
    if not shop.tells_merchant:
        return rows
    for kind in webhook.due_of_refund(before, after):
        message = {
            "id": f"msg_{new_id()}",
            "transaction_id": None,
            "receipt_id": after.receipt_id,
            "type": kind.value,
            "body": webhook.refund_body(kind, shown_refund(after), now),
            "seq": after.seq,
            "created_at": now,
            "next_attempt_at": now,
        }
        rows.append(Write(books.ADD_MESSAGE, message))
    return rows


def of_reversal(
    receipt: Receipt, number: str | None, now: datetime, paid_at: datetime | None = None
) -> list[Write]:
    """The row of the reversal of a receipt, a movement of money of its own; none without a number.

    Args:
        number: M-PESA's receipt of it.
    """
    if number is None:
        return []
    out = Receipt(
        id=new_id(),
        organisation=receipt.organisation,
        receipt=number,
        direction=Direction.OUT,
        amount=receipt.amount,
        state=State.RETURNED,
        listed=True,
        learned_at=now,
        changed_at=now,
        paid_at=paid_at,
        returned_by=receipt.receipt,
        trust=Trust.ASKED,
    )
    return [books.kept(out, None)]
