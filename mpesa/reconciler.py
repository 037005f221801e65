"""Ask Daraja about what stayed silent, within the budget; its rows are all it remembers."""

from sqlalchemy.orm import Session

from mpesa import asking, ledger, turns
from mpesa.asking import Line, Question
from mpesa.ledger import Announce


def run_once(session: Session, line: Line, announce: Announce) -> int:
    """Ask about the one transaction whose turn it is, if the budget allows.

    Args:
        announce: tells rooms about transactions that changed.

    Returns:
        How many were asked about, 0 or 1.
    """
    # First, since it is one row, and whose turn it is takes a look at all that is due.
    if line.budget.wait():
        return 0
    due = turns.most_urgent(session, line.now())
    if due is None:
        return 0
    if not turns.take(session, line.budget, due.share, line.now(), is_old=due.is_old):
        return 0
    if not ledger.claim_question(session, due.transaction_id, due.next_ask_at, line.now):
        return 0
    announce(asking.ask(session, Question(due.transaction_id, due.checkout_request_id), line))
    return 1


def run_until_idle(session: Session, line: Line, announce: Announce) -> int:
    """Ask about all that is due, as far as the budget goes; returns how many."""
    asked = 0
    while run_once(session, line, announce):
        asked += 1
    return asked
