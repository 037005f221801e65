"""An operator's acts on a receipt: confirmed first, done once, kept as evidence under a name."""

from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, select
from werkzeug.wrappers import Response

from mpesa import receipts as money_in
from mpesa.domain import pay_code, refusals
from mpesa.domain.matching import normalised
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import Receipt
from mpesa.domain.reference import is_reference
from mpesa.ids import is_id
from mpesa.models import Order, db
from mpesa.receipts import LONGEST_REASON, SHORTEST_REASON, Claim, Settled, ToldMeanwhile
from mpesa.web.console import asked_twice, session
from mpesa.web.console.act_kinds import RECEIPT_ACTS, SETTLE, ReceiptAct
from mpesa.web.console.blueprint import console
from mpesa.web.console.receipt import Choice, choice_of, find, is_free, owner_of
from mpesa.web.console.review import back_in_review
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import receipt_needs

# Orders of one reference; who types a reference that more have needs the id.
_ORDERS = 20
_LONGEST_REFERENCE = 64
_REFUSED: dict[type[Exception], Any] = {
    refusals.OrderNotFound: _l("There is no such order."),
    refusals.OrderPaid: _l("The order is paid already: this money came twice. Nothing was done."),
    refusals.AlreadyClaimed: _l("The receipt belongs to another order by now. Nothing was done."),
    refusals.NotProven: _l("Nothing proves yet that this money came. Nothing was done."),
    refusals.AlreadyReturned: _l("This money went back to its payer. Nothing was done."),
    refusals.OnItsWayBack: _l("A refund of this receipt was asked for. Nothing was done."),
    refusals.AmountDiffers: _l("The amount is not the order's. Nothing was done."),
}


@dataclass(frozen=True)
class Asked:
    """What the operator typed, and what the operator saw.

    Attributes:
        choice: the order that is to have the receipt; None where the act is about the receipt only.
        mark: the state of receipt and order on the page that was read.
        once: identifies the form, so that a form that is sent twice acts once.
    """

    choice: Choice | None
    reason: str
    mark: str
    once: str


@console.get("/receipts/<receipt>/<act>")
def ask_about_receipt(receipt: str, act: str) -> Response:
    """Show the form, which asks for the reason; before, which order was meant, if several fit."""
    found, wanted = find(receipt), _act_named(act)
    if wanted is SETTLE:
        if not found.needs_review:
            return _back(found, _("That cannot be done with this receipt as it stands now."))
        return _page(found, wanted, Asked(None, "", _mark(found, None), ""))
    if not is_free(found):
        return _back(found, _("That cannot be done with this receipt as it stands now."))
    orders = _orders_named(request.args.get("order", ""))
    if not orders:
        return _back(found, _("No order has that id, reference or pay code."))
    choices = [choice_of(found, each) for each in orders]
    if len(choices) > 1:
        page = render_template("console/receipt_orders.html", receipt=found, choices=choices)
        return Response(page, content_type="text/html; charset=utf-8")
    [choice] = choices
    if choice.act is None:
        return _back(found, str(_REFUSED[refusals.OrderPaid]))
    if choice.act is not wanted:
        # Another amount has to be accepted in so many words, and only then.
        return redirect(_address("console.ask_about_receipt", found, choice.act, choice), 303)
    return _page(found, wanted, Asked(choice, "", _mark(found, choice), ""))


@console.post("/receipts/<receipt>/<act>")
def ask_again_about_receipt(receipt: str, act: str) -> Response:
    """Check what was typed, say what will happen, and ask for confirmation."""
    found, wanted = find(receipt), _act_named(act)
    asked = _asked_by_form(found, wanted)
    if asked is None or not _fits(found, wanted, asked):
        return _back(found, _changed())
    if wrong := _wrong_reason(wanted, asked.reason):
        return _page(found, wanted, asked, wrong)
    return _page(found, wanted, asked, template="receipt_confirm.html")


@console.post("/receipts/<receipt>/<act>/confirm")
def carry_out_on_receipt(receipt: str, act: str) -> Response:
    """Carry out the act, unless it was done before or something has changed since then."""
    found, wanted = find(receipt), _act_named(act)
    asked = _asked_by_form(found, wanted)
    if asked is None:
        return _back(found, _changed())
    if wrong := _wrong_reason(wanted, asked.reason):
        return _page(found, wanted, asked, wrong)
    try:
        done = _settle(found, asked) if asked.choice is None else _claim(found, asked, wanted)
    except (refusals.ReceiptError, refusals.OrderError) as refusal:
        return _back(found, str(_REFUSED[type(refusal)]))
    except ToldMeanwhile:
        return _back(found, _changed())
    if done and asked.choice is None:
        return back_in_review(str(wanted.done))
    if done:
        return _back(found, str(wanted.done), "message")
    return _back(found, _("That was done already; nothing was done twice."), "message")


def _claim(found: Receipt, asked: Asked, act: ReceiptAct) -> bool:
    """Give the receipt to the order; False: it had it already.

    Raises:
        ReceiptError, OrderError: as `receipts.claim` says.
        ToldMeanwhile: receipt or order are no longer as the operator saw them.
    """
    if asked.choice is None:
        raise ToldMeanwhile
    order_id = asked.choice.order.id
    owner = owner_of(found)
    if owner is not None and owner.order_id == order_id:
        return False
    if not is_free(found) or not _fits(found, act, asked):
        # Why it can't be, in the words of the refusal, if there is one.
        raise refusals.AlreadyClaimed if owner is not None else ToldMeanwhile
    wanted = Claim(
        found.receipt,
        order_id,
        session.operator() or "",
        accepts_amount=found.amount != asked.choice.order.amount * 100,
        reason=asked.reason,
    )
    money_in.claim(db.session(), wanted, receipt_needs())
    return True


def _settle(found: Receipt, asked: Asked) -> bool:
    """Take the receipt out of review; False: this form did it before."""
    settled = Settled(
        found.receipt,
        session.operator() or "",
        asked.reason,
        asked.once,
        int(asked.mark) if asked.mark.isascii() and asked.mark.isdigit() else -1,
    )
    return money_in.settle_review(db.session(), settled, receipt_needs())


def _act_named(name: str) -> ReceiptAct:
    act = RECEIPT_ACTS.get(name)
    if act is None:
        raise Problem(404, "not_found", _("There is nothing at this address."))
    return act


def _orders_named(typed: str) -> list[Order]:
    """The orders that have an id, a pay code or a reference, the newest first."""
    text = typed.strip()
    digits = "".join(text.split())
    conditions: list[ColumnElement[bool]] = []
    if is_id(text):
        conditions.append(Order.id == text)
    if pay_code.is_pay_code(digits):
        conditions.append(Order.pay_code == digits)
    if is_reference(text):
        conditions.append(Order.reference == text)
    if form := normalised(text[:_LONGEST_REFERENCE]):
        conditions.append(Order.account_form == form)
    for condition in conditions:
        newest = select(Order).where(condition).order_by(Order.created_at.desc())
        if found := list(db.session.scalars(newest.limit(_ORDERS))):
            return found
    return []


def _asked_by_form(found: Receipt, act: ReceiptAct) -> Asked | None:
    """What the form brought; None: the order that it names is not there."""
    choice = None
    if act.wants_order:
        named = request.form.get("order", "")
        order = db.session.get(Order, named) if is_id(named) else None
        if order is None:
            return None
        choice = choice_of(found, order)
    return Asked(
        choice=choice,
        reason=asked_twice.reason(),
        mark=request.form.get("mark", "")[:64],
        once=asked_twice.once(),
    )


def _fits(found: Receipt, act: ReceiptAct, asked: Asked) -> bool:
    """Whether all is as the operator saw it, and the act may be done."""
    if asked.choice is None:
        return found.needs_review and asked.mark == _mark(found, None)
    return is_free(found) and asked.choice.act is act and asked.mark == _mark(found, asked.choice)


def _mark(found: Receipt, choice: Choice | None) -> str:
    """What an act depends on: the order's state; of a settled review, all that was told."""
    if choice is not None:
        return choice.status.value
    return str(money_in.tellings(db.session().connection(), found.id))


def _wrong_reason(act: ReceiptAct, given: str) -> str | None:
    if act is SETTLE:
        return asked_twice.wrong_reason(given)
    line = read_line(given, LONGEST_REASON)
    if line is not None and len(line) >= SHORTEST_REASON:
        return None
    return str(_("Say why, in 2 to 100 characters on one line."))


def _changed() -> str:
    return str(_("It has changed meanwhile. Nothing was done: look at it, and decide again."))


def _back(found: Receipt, words: str, category: str = "refused") -> Response:
    """Lead to the receipt's page, which says it."""
    flash(words, category)
    return redirect(url_for("console.receipt", receipt=found.receipt), 303)


def _address(endpoint: str, found: Receipt, act: ReceiptAct, choice: Choice) -> str:
    return url_for(endpoint, receipt=found.receipt, act=act.name, order=choice.order.id)


def _page(
    found: Receipt,
    act: ReceiptAct,
    asked: Asked,
    wrong: str | None = None,
    template: str = "receipt_act.html",
) -> Response:
    page = render_template(f"console/{template}", receipt=found, act=act, asked=asked, wrong=wrong)
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")
