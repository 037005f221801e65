"""Ask Daraja about silent payments, within the budget; the rows are the only memory."""

from sqlalchemy.orm import Session

from mpesa import ledger, queries, turns
from mpesa.daraja_access import Access
from mpesa.ledger import Announce
from mpesa.queries import Question


def run_once(session: Session, access: Access, announce: Announce) -> int:
    """Ask about the one transaction whose turn it is, if the budget allows.

    Args:
        announce: tells rooms about transactions that changed.

    Returns:
        How many were asked about, 0 or 1.
    """
    # This comes first, since it reads one row, and the choice of a turn reads all that are due.
    if access.budget.wait():
        return 0
    due = turns.most_urgent(session, access.now())
    if due is None:
        return 0
    if not turns.take(session, access.budget, due.share, access.now(), is_old=due.is_old):
        return 0
    if not ledger.claim_question(session, due.transaction_id, due.next_ask_at, access.now):
        return 0
    announce(queries.ask(session, Question(due.transaction_id, due.checkout_request_id), access))
    return 1


def run_until_idle(session: Session, access: Access, announce: Announce) -> int:
    """Ask about everything that is due, as far as the budget goes; returns how many."""
    asked = 0
    while run_once(session, access, announce):
        asked += 1
    return asked
