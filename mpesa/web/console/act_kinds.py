"""The acts that an operator can carry out on a payment or a receipt: their words, and when each is
allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from mpesa.domain import roles
from mpesa.domain.attempt import Attempt, Channel
from mpesa.domain.result_codes import Reason, Status
from mpesa.models import Transaction


@dataclass(frozen=True)
class Act:
    """An act that an operator carries out on a payment, after a second question.

    Attributes:
        name: its name in the address and in the evidence.
        title: its heading.
        verb: the text of the button that leads to it.
        effect: what will happen, in one sentence.
        done: what the operator reads afterwards.
        needs: what the operator's role must allow.
        allowed: whether it makes sense for a payment in its present state.
        danger: whether a mistake can lose money.
        wants_receipt: whether M-PESA's receipt has to be given with it.
    """

    name: str
    title: Any
    verb: Any
    effect: Any
    done: Any
    needs: roles.Act
    allowed: Callable[[Transaction | Attempt], bool]
    danger: bool = False
    wants_receipt: bool = False


@dataclass(frozen=True)
class ReceiptAct:
    """An act that an operator carries out on a receipt, after a second question.

    Attributes:
        name: its name in the address and in the evidence.
        title, verb, effect, done, needs, danger: as for `Act`.
        wants_order: whether it gives the receipt to an order.
    """

    name: str
    title: Any
    verb: Any
    effect: Any
    done: Any
    needs: roles.Act
    danger: bool = False
    wants_order: bool = False


CLAIM = ReceiptAct(
    "claim",
    _l("Give it to an order"),
    _l("Give it to this order…"),
    _l("The order is paid by this receipt. That can't be undone: only a refund puts it right."),
    _l("The receipt is given to the order, which is paid."),
    roles.Act.CLAIM,
    wants_order=True,
)
ACCEPT_AMOUNT = ReceiptAct(
    "accept-amount",
    _l("Accept this amount"),
    _l("Accept this amount for the order…"),
    _l(
        "The order is paid by this receipt, although another amount came. That can't be undone:"
        " only a refund puts it right."
    ),
    _l("The amount is accepted, and the order is paid."),
    roles.Act.ACCEPT_AMOUNT,
    danger=True,
    wants_order=True,
)
SETTLE = ReceiptAct(
    "settle",
    _l("Settle the review"),
    _l("Settle the review…"),
    _l("Removes it from Review. The receipt stays as it is."),
    _l("The review is settled."),
    roles.Act.SETTLE_REVIEW,
)
RECEIPT_ACTS = {each.name: each for each in (CLAIM, ACCEPT_AMOUNT, SETTLE)}


def _can_be_asked(row: Transaction | Attempt) -> bool:
    known = row.checkout_request_id is not None and row.msisdn is not None  # not forgotten
    return known and row.status != Status.SUCCESS


def _is_unpaid(row: Transaction | Attempt) -> bool:
    """Whether it is not paid, and no operator has said so since it last needed a review."""
    closed = row.reason == Reason.CLOSED_BY_OPERATOR and not row.needs_review
    return row.status != Status.SUCCESS and not closed


def _is_unpaid_push(row: Transaction | Attempt) -> bool:
    """The same of a push; nobody was asked for money by hand, so there is nothing to end."""
    return row.channel == Channel.PUSH and _is_unpaid(row)


_ALL = (
    Act(
        "settle",
        _l("Settle the review"),
        _l("Settle the review…"),
        _l("Removes it from Review. The payment stays as it is."),
        _l("The review is settled."),
        roles.Act.SETTLE_REVIEW,
        lambda row: row.needs_review,
    ),
    Act(
        "ask",
        _l("Ask M-PESA now"),
        _l("Ask M-PESA now…"),
        _l("M-PESA is asked about it as soon as its limit on questions allows, before others."),
        _l("M-PESA is asked as soon as its limit on questions allows. The answer appears below."),
        roles.Act.ASK_DARAJA,
        _can_be_asked,
    ),
    Act(
        "paid",
        _l("Mark as paid"),
        _l("Mark as paid…"),
        _l("It becomes paid, with this receipt, and pays its order if nothing else did."),
        _l("It is marked as paid."),
        roles.Act.MARK_PAID,
        lambda row: row.receipt is None and row.receipt_amount != 0,
        wants_receipt=True,
    ),
    Act(
        "not-paid",
        _l("Mark as not paid"),
        _l("Mark as not paid…"),
        _l("It becomes failed, and the shopper may try again. Money that comes later is taken."),
        _l("It is marked as not paid."),
        roles.Act.MARK_NOT_PAID,
        _is_unpaid_push,
        danger=True,
    ),
)
ACTS = {each.name: each for each in _ALL}
