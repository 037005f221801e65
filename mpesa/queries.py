"""Ask Daraja about one transaction and record the answer."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from mpesa import counters, ledger, logs
from mpesa.daraja import Daraja, DarajaError, QueryAnswer
from mpesa.daraja_access import Access
from mpesa.domain.result_codes import PAID_CODE, UNDER_WAY_CODE
from mpesa.domain.settlement import Evidence, QueryAnswered, QueryUnanswered
from mpesa.ledger import Change, Kind, Raw


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        sets_wait: False where a shopper asks for the next push right now.
        patience: seconds.
    """

    transaction_id: str
    checkout_request_id: str
    sets_wait: bool = True
    patience: float = 20.0


def ask(session: Session, question: Question, access: Access) -> list[Change]:
    """Ask; the budget was taken before. Nothing is held while Daraja thinks.

    Returns:
        What changed.
    """
    with logs.about(transaction_id=question.transaction_id):
        session.rollback()
        evidence, body = _put(question, access.daraja)
        counters.count("queries", outcome=_outcome(evidence))
        raw = Raw(Kind.QUERY, body)
        return ledger.record(session, question.transaction_id, evidence, raw, access.now)


def _outcome(evidence: Evidence) -> str:
    """One word for what an answer told."""
    if not isinstance(evidence, QueryAnswered):
        return "no_answer"
    if evidence.code == UNDER_WAY_CODE:
        return "under_way"
    return "paid" if evidence.code == PAID_CODE else "not_paid"


def _put(question: Question, daraja: Daraja) -> tuple[Evidence, bytes]:
    try:
        answer = daraja.query(question.checkout_request_id, budget=question.patience)
    except DarajaError as error:
        return QueryUnanswered(), error.body or str(error).encode()
    return _understood(question, answer), answer.body


def _understood(question: Question, answer: QueryAnswer) -> Evidence:
    if answer.checkout_request_id != question.checkout_request_id:
        # It speaks of another payment, or of none.
        return QueryUnanswered(paid_unnamed=answer.result_code == PAID_CODE)
    return QueryAnswered(answer.result_code, sets_wait=question.sets_wait)
