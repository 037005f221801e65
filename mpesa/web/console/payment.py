"""One payment: its facts, and everything that was ever heard of it, with what was decided."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response

from mpesa import ledger, logs, orders
from mpesa.domain import settlement
from mpesa.domain.phone import mask_msisdn
from mpesa.ids import is_id
from mpesa.ledger import Kind, Raw
from mpesa.models import Announcement, DecisionRow, Evidence, Transaction, WebhookMessage, db
from mpesa.web.console import decisions, raw_bodies, session, wording
from mpesa.web.console.act_kinds import ACTS, Act
from mpesa.web.console.blueprint import console
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

# A forger who holds one token may have stored thousands of callbacks; they are read in pieces.
_EVENTS = 100


@dataclass(frozen=True)
class Event:
    """One line of the timeline.

    Attributes:
        kind: a `Kind`, or `created`, `announced` or `webhook`.
        about: who it came from, or which webhook it is.
        decisions: what was decided on it; what pages were told; the tries to deliver a webhook.
        raw: its body as text; None where it has none.
        whole: False where only the beginning of `raw` is given.
        body: what an operator's act says, by name; else empty.
    """

    kind: str
    at: datetime
    about: str | None = None
    evidence_id: int | None = None
    decisions: Sequence[Any] = ()
    raw: str | None = None
    whole: bool = True
    body: dict[str, str] | None = None

    @property
    def turn(self) -> str:
        """The status that the last decision on it left; empty where there is none."""
        return self.decisions[-1].status if self.decisions and self.kind in list(Kind) else ""


@console.get("/transactions/<transaction_id>")
def transaction(transaction_id: str) -> str:
    """The payment with its timeline; numbers masked, unless this is the page after `reveal`."""
    found = find(transaction_id)
    return _page(found, revealed=session.takes_a_look(found.id, services().now()))


@console.post("/transactions/<transaction_id>/reveal")
def reveal(transaction_id: str) -> Response:
    """Let the payer's number be shown once: that somebody looked is kept as evidence, by name.

    Shown at the payment's own address, which can be read again, by a person and by the live page.
    """
    found = find(transaction_id)
    raw = Raw(Kind.OPERATOR, json.dumps({"act": "reveal"}).encode(), session.operator())
    ledger.record(db.session(), found.id, settlement.OperatorLooked(), raw, services().now)
    session.allow_a_look(transaction_id, services().now())
    return redirect(url_for("console.transaction", transaction_id=transaction_id), 303)


def find(transaction_id: str) -> Transaction:
    """The transaction with its order.

    Raises:
        Problem: 404 where there is none.
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


def acts_for(row: Transaction) -> list[Act]:
    """What an operator may do with a payment as it stands."""
    return [each for each in ACTS.values() if each.allowed(row)]


def doubt_of(transaction_id: str) -> str | None:
    """One sentence on what is contradictory; None where nothing ever was."""
    newest = (
        select(DecisionRow.why)
        .where(DecisionRow.transaction_id == transaction_id, DecisionRow.needs_review)
        .order_by(DecisionRow.id.desc())
        .limit(1)
    )
    why = db.session.scalar(newest)
    return decisions.doubt(why) if why else None


# What is cut off is looked at a little, so that no number is cut in two before it is masked.
_MARGIN = 200


def read_body(
    evidence: Evidence, msisdn: str | None, *, revealed: bool = False, whole: bool = False
) -> str:
    """A body as text, masked unless it was asked for; a little more than is shown, or all of it."""
    text = raw_bodies.readable(evidence.body, None if whole else raw_bodies.SHOWN + _MARGIN)
    return text if revealed else raw_bodies.masked(text, msisdn)


def _page(row: Transaction, *, revealed: bool = False) -> str:
    begin = request.args.get("from", 0, int)
    events, more = _events(row, begin, revealed=revealed)
    others = select(Transaction).where(
        Transaction.order_id == row.order_id, Transaction.id != row.id
    )
    return render_template(
        "console/transaction.html",
        row=row,
        order=row.order,
        phone=_phone(row, revealed=revealed),
        revealed=revealed,
        events=events,
        begin=begin,
        more=more,
        doubt=doubt_of(row.id) if row.needs_review else None,
        acts=acts_for(row),
        others=db.session.scalars(others.order_by(Transaction.attempt.desc())).all(),
        same_line=_same_line(row),
        status_of_order=orders.account(db.session(), row.order_id).status(services().now()),
        kinds=wording.KINDS,
        act_names={name: each.title for name, each in ACTS.items()},
    )


def _phone(row: Transaction, *, revealed: bool) -> str | None:
    if row.msisdn is None:
        return None
    return f"+{row.msisdn}" if revealed else mask_msisdn(row.msisdn)


def _same_line(row: Transaction) -> int:
    """How many payments the line has, up to a hundred."""
    if row.msisdn is None:
        return 0
    some = select(Transaction.id).where(Transaction.msisdn == row.msisdn).limit(100).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def _events(row: Transaction, begin: int, *, revealed: bool) -> tuple[list[Event], int | None]:
    """The timeline from a piece of evidence on, and where it goes on; None: that is all."""
    statement = (
        select(Evidence)
        .where(Evidence.transaction_id == row.id, Evidence.id >= begin)
        .options(selectinload(Evidence.decisions))
        .order_by(Evidence.id)
        .limit(_EVENTS + 1)
    )
    found = db.session.scalars(statement).all()
    shown, more = found[:_EVENTS], found[_EVENTS].id if len(found) > _EVENTS else None
    events = [_event(each, row.msisdn, revealed=revealed) for each in shown]
    if not begin:
        events.insert(0, Event("created", row.created_at))
    if more is None:
        events += [*_announcements(row.id), *_webhooks(row.id)]
    return sorted(events, key=lambda each: each.at), more


def _event(evidence: Evidence, msisdn: str | None, *, revealed: bool) -> Event:
    asked_for = request.args.get("whole", 0, int) == evidence.id
    text = read_body(evidence, msisdn, revealed=revealed, whole=asked_for)
    whole = asked_for or len(text) <= raw_bodies.SHOWN
    own = evidence.kind == Kind.OPERATOR
    return Event(
        evidence.kind,
        evidence.received_at,
        about=evidence.source,
        evidence_id=evidence.id,
        decisions=evidence.decisions,
        raw=None if own or not text.strip() else text if whole else text[: raw_bodies.SHOWN],
        whole=whole,
        body=_said(evidence.body) if own else None,
    )


def _said(body: bytes) -> dict[str, str]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def _announcements(transaction_id: str) -> list[Event]:
    heard = (
        select(Announcement)
        .where(Announcement.transaction_id == transaction_id)
        .order_by(Announcement.id.desc())
        .limit(_EVENTS)
    )
    newest = db.session.scalars(heard).all()
    return [Event("announced", each.announced_at, decisions=[each]) for each in reversed(newest)]


def _webhooks(transaction_id: str) -> list[Event]:
    told = (
        select(WebhookMessage)
        .where(WebhookMessage.transaction_id == transaction_id)
        .options(selectinload(WebhookMessage.attempts))
        .order_by(WebhookMessage.created_at)
        .limit(_EVENTS)
    )
    return [
        Event("webhook", each.created_at, about=each.type, decisions=each.attempts)
        for each in db.session.scalars(told)
    ]
