"""What each page and each form of the console takes: the one place where routes meet roles.

A route that is not named here is an error for everybody.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mpesa.domain.roles import Act
from mpesa.web.console.act_kinds import ACTS, RECEIPT_ACTS

# What is there for guests too, and the way out.
WITHOUT_A_ROLE = frozenset({"console.login", "console.take_login", "console.logout"})


def _of_the_address(values: Mapping[str, Any]) -> Act:
    """What an act on a payment takes; an act that there is not, a look at the page that says so."""
    named = ACTS.get(values["act"])
    return named.needs if named else Act.VIEW


def _of_the_receipts_address(values: Mapping[str, Any]) -> Act:
    """The same of an act on a receipt."""
    named = RECEIPT_ACTS.get(values["act"])
    return named.needs if named else Act.VIEW


NEEDS: Mapping[str, Act | Callable[[Mapping[str, Any]], Act]] = {
    "console.today": Act.VIEW,
    "console.transactions": Act.VIEW,
    "console.search": Act.VIEW,
    "console.transactions_csv": Act.VIEW,
    "console.transaction": Act.VIEW,
    "console.reveal": Act.REVEAL_NUMBER,
    "console.ask_first": _of_the_address,
    "console.ask_again": _of_the_address,
    "console.carry_out": _of_the_address,
    "console.receipts": Act.VIEW,
    "console.receipts_csv": Act.VIEW,
    "console.search_receipts": Act.VIEW,
    "console.receipt": Act.VIEW,
    "console.ask_about_receipt": _of_the_receipts_address,
    "console.ask_again_about_receipt": _of_the_receipts_address,
    "console.carry_out_on_receipt": _of_the_receipts_address,
    "console.statements": Act.VIEW,
    "console.statement": Act.VIEW,
    "console.statement_csv": Act.VIEW,
    "console.take_statement": Act.UPLOAD_STATEMENT,
    "console.import_statement": Act.UPLOAD_STATEMENT,
    "console.days": Act.VIEW,
    "console.day": Act.VIEW,
    "console.day_rows": Act.VIEW,
    "console.day_compared_csv": Act.VIEW,
    "console.day_csv": Act.VIEW,
    "console.link_reversal": Act.SETTLE_REVIEW,
    "console.ask_to_close": Act.CLOSE_DAY,
    "console.ask_again_to_close": Act.CLOSE_DAY,
    "console.close_day": Act.CLOSE_DAY,
    "console.review": Act.VIEW,
    "console.guide": Act.VIEW,
    "console.webhooks": Act.VIEW,
    "console.ask_to_send": Act.SEND_WEBHOOK_AGAIN,
    "console.send_again": Act.SEND_WEBHOOK_AGAIN,
    "console.refunds": Act.VIEW,
    "console.refund": Act.VIEW,
    "console.ask_for_refund": Act.ASK_FOR_REFUND,
    "console.carry_out_request": Act.ASK_FOR_REFUND,
    "console.release_refund": Act.RELEASE_REFUND,
    "console.refuse_refund": Act.REFUSE_REFUND,
    "console.end_refund": Act.END_REFUND,
    "console.ask_to_settle_refund": Act.SETTLE_REVIEW,
    "console.settle_refund": Act.SETTLE_REVIEW,
    "console.health": Act.VIEW,
    "console.ask_to_go": Act.SWITCH_INITIATOR,
    "console.go": Act.SWITCH_INITIATOR,
}


def needed(endpoint: str, values: Mapping[str, Any]) -> Act:
    """What the operator's role must allow, for a route of the console.

    Args:
        endpoint: such as `console.transactions`.
        values: the parts of the address that vary.

    Raises:
        KeyError: the route is not in the table.
    """
    needs = NEEDS[endpoint]
    return needs if isinstance(needs, Act) else needs(values)
