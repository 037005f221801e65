"""Facts about evidence that only the database knows: whose an id or a receipt is."""

from dataclasses import replace

from sqlalchemy import Connection, Row, bindparam, select

from mpesa.domain.attempt import Attempt, Channel
from mpesa.domain.callback import read_roughly
from mpesa.domain.settlement import (
    CallbackReceived,
    Evidence,
    OperatorSaysPaid,
    PushAnswered,
    QueryAnswered,
    kept_receipt,
)
from mpesa.domain.why import PROSE
from mpesa.models import DecisionRow, EvidenceRow, Transaction

# A transaction's callbacks that were kept and not believed: only callbacks are decided on with
# these words. The newest twenty are read; an honest Daraja sends one or two.
_NOT_BELIEVED = (
    select(EvidenceRow.body)
    .join(DecisionRow, DecisionRow.evidence_id == EvidenceRow.id)
    .where(
        EvidenceRow.transaction_id == bindparam("id"),
        DecisionRow.why.in_((*PROSE, *PROSE.values())),
    )
    .order_by(EvidenceRow.id.desc())
    .limit(20)
)


def look_up(connection: Connection, attempt: Attempt, evidence: Evidence) -> Evidence:
    """Add to a piece of evidence what only the database knows about it.

    Args:
        connection: it holds the lock of the attempt's order.
        attempt: the one that the evidence is about.

    Returns:
        The evidence with the owner of the id and of the receipt that it names, and, for a query,
        with the receipt that an earlier callback named; as it was where it names neither.
    """
    match evidence:
        case CallbackReceived():
            named = evidence.result or evidence.rough
            if named is None:
                return evidence
            holder = _receipt_holder(connection, attempt, named.receipt)
            return replace(
                evidence,
                ids_taken=_id_taken(connection, attempt, named.checkout_request_id),
                receipt_holder=holder.id if holder else None,
                held_by_own_order=holder is not None and holder.order_id == attempt.order_id,
            )
        case PushAnswered():
            taken = _id_taken(connection, attempt, evidence.checkout_request_id)
            return replace(evidence, ids_taken=taken)
        case OperatorSaysPaid():
            holder = _receipt_holder(connection, attempt, evidence.receipt)
            return replace(evidence, receipt_holder=holder.id if holder else None)
        case QueryAnswered() if attempt.receipt is None:
            # A callback that was not believed may name the receipt of what the query proves.
            results = map(read_roughly, connection.scalars(_NOT_BELIEVED, {"id": attempt.id}))
            receipts = (kept_receipt(attempt, each) for each in results if each is not None)
            receipt = next((each for each in receipts if each is not None), None)
            holder = _receipt_holder(connection, attempt, receipt)
            return replace(
                evidence,
                kept_receipt=receipt,
                receipt_holder=holder.id if holder else None,
                held_by_hand=_is_by_hand_of(attempt.order_id, holder),
            )
        case _:
            return evidence


def _id_taken(connection: Connection, attempt: Attempt, checkout_id: str | None) -> bool:
    """Whether another transaction has a CheckoutRequestID."""
    if checkout_id is None or checkout_id == attempt.checkout_request_id:
        return False
    owner = select(Transaction.id).where(Transaction.checkout_request_id == checkout_id)
    return connection.scalars(owner).one_or_none() not in (None, attempt.id)


def _receipt_holder(
    connection: Connection, attempt: Attempt, receipt: str | None
) -> Row[str, str, str] | None:
    """The id, order and channel of another transaction that has a receipt; None: there is none."""
    if receipt is None or receipt == attempt.receipt:
        return None
    owner = select(Transaction.id, Transaction.order_id, Transaction.channel)
    return connection.execute(owner.where(Transaction.receipt == receipt)).one_or_none()


def _is_by_hand_of(order_id: str, holder: Row[str, str, str] | None) -> bool:
    """Whether a receipt's holder is a payment of an order by hand, which may be a push's money."""
    return (
        holder is not None and holder.order_id == order_id and holder.channel == Channel.HAND.value
    )
