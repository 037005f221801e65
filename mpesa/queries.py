"""Ask Daraja about one transaction and record the answer."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from mpesa import counters, ledger, logs
from mpesa.daraja import DarajaError
from mpesa.daraja_access import Access
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import PAID_CODE, UNDER_WAY_CODE
from mpesa.domain.settlement import QueryAnswered, QueryUnanswered
from mpesa.ledger import Change

# How an answer is counted; any other code is a failure.
_OUTCOMES = {PAID_CODE: "paid", UNDER_WAY_CODE: "under_way"}


@dataclass(frozen=True)
class Question:
    """A question to Daraja: what became of a push?

    Attributes:
        sets_wait: False where a shopper asks for the next push right now.
        patience: seconds until an answer is no longer waited for.
    """

    transaction_id: str
    checkout_request_id: str
    sets_wait: bool = True
    patience: float = 20.0


def ask(session: Session, question: Question, access: Access) -> list[Change]:
    """Ask Daraja about a transaction, and record the answer.

    Args:
        session: neither lock nor connection is held while Daraja is asked.
        question: its place in the query budget is already taken.

    Returns:
        The changes, to be announced by the caller.

    Raises:
        SQLAlchemyError: the answer could not be recorded.
    """
    with logs.about(transaction_id=question.transaction_id):
        session.rollback()
        evidence: QueryAnswered | QueryUnanswered
        outcome = "no_answer"
        try:
            answer = access.daraja.query(question.checkout_request_id, budget=question.patience)
        except DarajaError as error:
            evidence, body = QueryUnanswered(), error.body or str(error).encode()
        else:
            body = answer.body
            if answer.checkout_request_id == question.checkout_request_id:
                evidence = QueryAnswered(answer.result_code, sets_wait=question.sets_wait)
                outcome = _OUTCOMES.get(answer.result_code, "not_paid")
            else:  # the answer is about another payment, or about none
                evidence = QueryUnanswered(paid_unnamed=answer.result_code == PAID_CODE)
        counters.count("queries", outcome=outcome)
        raw = Raw(Kind.QUERY, body)
        recorded = ledger.record(session, question.transaction_id, evidence, raw, access.now)
        return recorded.changes
