"""One payment: its facts, all evidence of it, and the decisions on that evidence."""

import json

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response

from mpesa import ledger, logs, orders
from mpesa.domain import roles, settlement
from mpesa.domain.attempt import Channel
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.receipt import Direction
from mpesa.domain.receipt_shown import with_dots
from mpesa.ids import is_id
from mpesa.models import (
    Announcement,
    EvidenceRow,
    Receipt,
    Transaction,
    WebhookMessage,
    db,
)
from mpesa.web.console import raw_bodies, session, wording
from mpesa.web.console.act_kinds import ACTS
from mpesa.web.console.blueprint import console
from mpesa.web.console.cases import acts_for, cases_of
from mpesa.web.console.story import Event, lines_of
from mpesa.web.console.tellings import tellings_of
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

# A forger who has one token may have stored thousands of callbacks, so they are shown in pieces.
_EVENTS = 100


@console.get("/transactions/<transaction_id>")
def transaction(transaction_id: str) -> str:
    """Show the payment with its timeline; numbers are masked, except on the page after `reveal`."""
    row = find(transaction_id)
    revealed = session.takes_a_look(row.id, services().now())
    phone, same_line = None, 0
    money = _receipt_of(row)
    if row.channel == Channel.HAND:
        phone = with_dots(money.payer_masked) if money else None
    elif row.msisdn is not None:
        phone = f"+{row.msisdn}" if revealed else mask_msisdn(row.msisdn)
        # Counted up to a hundred: a test line may have thousands.
        of_line = select(Transaction.id).where(Transaction.msisdn == row.msisdn).limit(100)
        count = select(func.count()).select_from(of_line.subquery())
        same_line = db.session.scalar(count) or 0
    others = select(Transaction).where(
        Transaction.order_id == row.order_id, Transaction.id != row.id
    )
    begin = request.args.get("from", 0, int)
    events, more = _timeline(row, begin, revealed=revealed)
    return render_template(
        "console/transaction.html",
        row=row,
        order=row.order,
        phone=phone,
        money=money,
        revealed=revealed,
        lines=lines_of(events, folded=not session.technical()),
        begin=begin,
        more=more,
        case=cases_of([row])[0] if row.needs_review else None,
        acts=acts_for(row),
        others=db.session.scalars(others.order_by(Transaction.attempt.desc())).all(),
        same_line=same_line,
        status_of_order=orders.account(db.session(), row.order_id).status(services().now()),
        kinds=wording.KINDS,
        act_names={name: each.title for name, each in ACTS.items()},
    )


@console.post("/transactions/<transaction_id>/reveal")
def reveal(transaction_id: str) -> Response:
    """Let the payer's number be shown once; the operator who looked is kept as evidence.

    The number appears at the payment's own address, so that a reload and the live page find it.
    """
    found = find(transaction_id)
    raw = Raw(Kind.OPERATOR, json.dumps({"act": "reveal"}).encode(), session.operator())
    ledger.record(db.session(), found.id, settlement.OperatorLooked(), raw, services().now)
    session.allow_a_look(transaction_id, services().now())
    return redirect(url_for("console.transaction", transaction_id=transaction_id), 303)


def find(transaction_id: str) -> Transaction:
    """Return the transaction with its order.

    Raises:
        Problem: 404 if there is none.
    """
    statement = (
        select(Transaction)
        .where(Transaction.id == transaction_id)
        .options(joinedload(Transaction.order))
        .execution_options(populate_existing=True)
    )
    found = None
    if is_id(transaction_id):
        logs.note(transaction_id=transaction_id)
        found = db.session.scalars(statement).one_or_none()
    if found is None:
        raise Problem(404, "transaction_not_found", _("There is no such payment."))
    logs.note(order_id=found.order_id)
    return found


def read_body(
    evidence: EvidenceRow, msisdn: str | None, *, revealed: bool = False, whole: bool = False
) -> str:
    """A body as text.

    Args:
        msisdn: the payer's number, which is masked; None if it was forgotten.
        revealed: whether nothing is masked.
        whole: whether all of the body is read, not only a little more than is shown.
    """
    text = raw_bodies.readable(
        evidence.body, None if whole else raw_bodies.SHOWN + raw_bodies.MARGIN
    )
    return text if revealed else raw_bodies.masked(text, msisdn)


def _timeline(row: Transaction, begin: int, *, revealed: bool) -> tuple[list[Event], int | None]:
    """One piece of the timeline.

    Args:
        begin: the id of its first evidence.

    Returns:
        The events in order of time, and the id with which the next piece begins; None if there is
        no next piece.
    """
    statement = (
        select(EvidenceRow)
        .where(EvidenceRow.transaction_id == row.id, EvidenceRow.id >= begin)
        .options(selectinload(EvidenceRow.decisions))
        .order_by(EvidenceRow.id)
        .limit(_EVENTS + 1)
    )
    found = db.session.scalars(statement).all()
    shown, more = found[:_EVENTS], found[_EVENTS].id if len(found) > _EVENTS else None
    events = [_event_of(each, row.msisdn, revealed=revealed) for each in shown]
    # One by hand begins with its evidence: the shopper's choice, or the money.
    if not begin and row.channel == Channel.PUSH:
        events.insert(0, Event("created", row.created_at))
    if more is None:
        events += _told_of(_receipt_of(row), row)
        announcements = (
            select(Announcement)
            .where(Announcement.transaction_id == row.id)
            .order_by(Announcement.id.desc())
            .limit(_EVENTS)
        )
        events += [
            Event("announced", each.announced_at, decisions=[each])
            for each in reversed(db.session.scalars(announcements).all())
        ]
        messages = (
            select(WebhookMessage)
            .where(WebhookMessage.transaction_id == row.id)
            .options(selectinload(WebhookMessage.attempts))
            .order_by(WebhookMessage.created_at)
            .limit(_EVENTS)
        )
        events += [
            Event("webhook", each.created_at, about=each.type, decisions=each.attempts)
            for each in db.session.scalars(messages)
        ]
    return sorted(events, key=lambda each: each.at), more


def _receipt_of(row: Transaction) -> Receipt | None:
    """The receipt that is a payment's money; None: it has none, or none that has a row."""
    found = select(Receipt).where(
        Receipt.transaction_id == row.id, Receipt.direction == Direction.IN.value
    )
    return db.session.scalars(found.limit(1)).first()


def _told_of(money: Receipt | None, row: Transaction) -> list[Event]:
    """Who told of a payment's money beside its own evidence."""
    if money is None:
        return []
    return [
        Event("witness", each.at, about=each.about, decisions=[each], raw=each.raw)
        for each in tellings_of(money.id)
        if each.transaction_id != row.id
    ]


def _event_of(evidence: EvidenceRow, msisdn: str | None, *, revealed: bool) -> Event:
    by_operator = evidence.kind == Kind.OPERATOR
    # A raw message may name anybody; a receipt's number names nobody.
    names_nobody = evidence.kind in (Kind.SMS_CODE, Kind.RECEIPT)
    shown = names_nobody or (session.technical() and session.may(roles.Act.SEE_PEOPLE))
    asked_for = request.args.get("whole", 0, int) == evidence.id
    text = read_body(evidence, msisdn, revealed=revealed, whole=asked_for) if shown else ""
    whole = asked_for or len(text) <= raw_bodies.SHOWN
    said = None
    if by_operator:
        try:
            read = json.loads(evidence.body)
        except ValueError:
            read = None
        said = {name: str(value) for name, value in read.items()} if isinstance(read, dict) else {}
    return Event(
        evidence.kind,
        evidence.received_at,
        about=evidence.source,
        evidence_id=evidence.id,
        decisions=evidence.decisions,
        raw=None
        if by_operator or not text.strip()
        else text[: None if whole else raw_bodies.SHOWN],
        whole=whole,
        body=said,
    )
