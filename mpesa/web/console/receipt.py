"""One receipt: what is known of it, all who told of it, and the orders that it may belong to."""

import re
from dataclasses import dataclass

from flask import render_template, request
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from mpesa import orders, receipt_lists
from mpesa.domain.attempt import OrderStatus
from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.roles import Act
from mpesa.models import Order, Suggestion, Transaction, db
from mpesa.models import Receipt as ReceiptRow
from mpesa.web.console import session
from mpesa.web.console.act_kinds import ACCEPT_AMOUNT, CLAIM, SETTLE, ReceiptAct
from mpesa.web.console.blueprint import console
from mpesa.web.console.receipts import account_for
from mpesa.web.console.tellings import tellings_of
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

_NUMBER = re.compile(r"[A-Z0-9]{10}")


@dataclass(frozen=True)
class Choice:
    """An order that a receipt may be given to.

    Attributes:
        act: by which it would be given; None: it is paid already.
    """

    order: Order
    status: OrderStatus
    act: ReceiptAct | None


@console.get("/receipts/<receipt>")
def receipt(receipt: str) -> str:
    """Show one receipt; numbers are masked."""
    out = request.args.get("direction") == Direction.OUT
    found = find(receipt, Direction.OUT if out else Direction.IN)
    row = db.session.get_one(ReceiptRow, found.id, populate_existing=True)
    owner = owner_of(found)
    drawn = receipt_lists.shown(db.session().connection(), [found])[0]
    free = is_free(found)
    return render_template(
        "console/receipt.html",
        receipt=found,
        owner=owner,
        account=account_for(row, owner.order.reference if owner else None),
        phone=drawn["phone"],
        name=found.payer_name if session.may(Act.SEE_PEOPLE) else None,
        tellings=tellings_of(found.id),
        choices=suggested(found) if free else [],
        may_claim=free and session.may(Act.CLAIM),
        may_refund=_may_be_given_back(found) and session.may(Act.ASK_FOR_REFUND),
        may_settle=found.needs_review and session.may(Act.SETTLE_REVIEW),
        settle=SETTLE,
    )


def find(number: str, direction: Direction = Direction.IN) -> Receipt:
    """Return the receipt.

    Raises:
        Problem: 404 if there is none.
    """
    found = None
    if _NUMBER.fullmatch(number):
        found = receipt_lists.find(db.session().connection(), number, direction)
    if found is None:
        raise Problem(404, "receipt_not_found", _("There is no such receipt."))
    return found


def is_free(found: Receipt) -> bool:
    """Whether a receipt may be given to an order."""
    unclaimed = found.direction is Direction.IN and found.state is State.UNCLAIMED
    return unclaimed and found.refund_id is None


def _may_be_given_back(found: Receipt) -> bool:
    """Whether a refund may be asked for; M-PESA reverses whole shillings only."""
    money_in = found.direction is Direction.IN and found.state in (State.UNCLAIMED, State.CLAIMED)
    return money_in and found.refund_id is None and found.amount % 100 == 0


def owner_of(found: Receipt) -> Transaction | None:
    """The transaction whose money it is, with its order; None: it is nobody's yet."""
    with_order = select(Transaction).options(joinedload(Transaction.order))
    return db.session.scalars(
        with_order.where(Transaction.id == found.transaction_id)
    ).one_or_none()


def choice_of(found: Receipt, order: Order) -> Choice:
    """An order with what giving the receipt to it would be."""
    status = orders.account(db.session(), order.id).status(services().now())
    if status is OrderStatus.PAID:
        return Choice(order, status, None)
    same = found.amount == order.amount * 100
    return Choice(order, status, CLAIM if same else ACCEPT_AMOUNT)


def suggested(found: Receipt) -> list[Choice]:
    """The orders that it may belong to: those of its amount first, then the likeliest."""
    rows = (
        select(Order)
        .join(Suggestion, Suggestion.order_id == Order.id)
        .where(Suggestion.receipt_id == found.id)
        .order_by(Suggestion.place)
    )
    choices = [choice_of(found, each) for each in db.session.scalars(rows).all()]
    return sorted(choices, key=lambda each: each.act is not CLAIM)
