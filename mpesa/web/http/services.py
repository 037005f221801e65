"""The parts of the application that routes use, created once when it starts."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from flask import current_app
from flask_socketio import SocketIO

from mpesa import inbox, pull, receipts, refunds, status
from mpesa.config import RefundRelease, Settings
from mpesa.daraja_access import Access, QueryBudget
from mpesa.deadlines import Watch
from mpesa.domain.address import from_listed
from mpesa.hints import Hints
from mpesa.ledger import Announce
from mpesa.outbox import Announced
from mpesa.statements import importing
from mpesa.web.http.limits import LoginLimits, PushLimits


@dataclass(frozen=True)
class Services:
    """One application's parts.

    Attributes:
        access: the way to Daraja.
        status_budget: the places for questions about receipts that all processes share.
        announce: tells the rooms of every worker about transactions that changed.
        announce_here: tells the rooms of this worker about transactions that another one changed.
        tell_again: tells the rooms of this worker how their transactions stand now, after a change
            that time alone brought.
        announced: the announcements to this worker's rooms that are not yet stored.
        hints: the messages between workers; None without Redis.
        now: returns the time, aware UTC.
        watch: notices steps of the clock.
    """

    settings: Settings
    access: Access
    status_budget: QueryBudget
    limits: PushLimits
    logins: LoginLimits
    socketio: SocketIO
    announce: Announce
    announce_here: Announce
    tell_again: Callable[[Sequence[str]], None]
    announced: deque[Announced]
    hints: Hints | None
    now: Callable[[], datetime]
    watch: Watch


def services() -> Services:
    """The parts of the application that handles this request."""
    return cast(Services, current_app.extensions["mpesa"])


def inbox_needs() -> inbox.Needs:
    """What `inbox` needs to take in a callback or the code of an SMS, from this application."""
    ours = services()
    return inbox.Needs(
        now=ours.now,
        announce=ours.announce,
        listed=from_listed(ours.settings.callback_allowed_ips),
    )


def receipt_needs() -> receipts.Needs:
    """What `receipts` needs to take in what a witness tells, from this application."""
    ours = services()
    return receipts.needs_of(ours.settings, ours.now, ours.announce)


def status_needs() -> status.Needs:
    """What `status` needs to ask M-PESA about receipts, from this application."""
    ours = services()
    return status.Needs(
        access=ours.access,
        budget=ours.status_budget,
        receipts=receipt_needs(),
        short_code=ours.settings.c2b_shortcode,
        public_url=ours.settings.public_url,
        heard_for=timedelta(days=ours.settings.retention_days),
        returned=lambda session, receipt: refunds.note_returned(session, receipt, refund_needs()),
    )


def refund_needs() -> refunds.Needs:
    """What `refunds` needs to ask for a refund, release and end it, from this application."""
    ours = services()
    return refunds.Needs(
        now=ours.now,
        announce=ours.announce,
        two_people=ours.settings.refund_release is RefundRelease.TWO_PEOPLE,
        daily_limit=ours.settings.refund_daily_limit * 100,
    )


def refund_sending() -> refunds.Sending:
    """What `refunds` needs to send one, and to hear its result, from this application."""
    ours = services()
    return refunds.Sending(
        needs=refund_needs(),
        access=ours.access,
        short_code=ours.settings.c2b_shortcode,
        public_url=ours.settings.public_url,
        heard_for=timedelta(days=ours.settings.retention_days),
        listed=from_listed(ours.settings.callback_allowed_ips),
        asks=ours.settings.daraja_status_initiator is not None,
    )


def statement_needs(rest: Callable[[], None] = lambda: None) -> importing.Needs:
    """What the import of a statement needs, from this application.

    Args:
        rest: called after each line.
    """
    return importing.Needs(receipts=receipt_needs(), now=services().now, rest=rest)


def pull_needs(rest: Callable[[], None] = lambda: None) -> pull.Needs:
    """What `pull` needs to read what was paid, from this application.

    Args:
        rest: called after each payment.
    """
    ours = services()
    return pull.Needs(
        daraja=ours.access.daraja,
        short_code=ours.settings.c2b_shortcode,
        receipts=receipt_needs(),
        now=ours.now,
        rest=rest,
    )
