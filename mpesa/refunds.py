"""Money back: ask for a refund, release it, send it once, and hear what became of it."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import awaited, books, counters, initiators, receipt_lists, records
from mpesa.awaited import Awaited, Heard, Subject
from mpesa.books import HeldReceipt, Write
from mpesa.daraja import DarajaError, NotSent, Refused
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.reversal import ReversalOrder, reverse
from mpesa.daraja_access import Access
from mpesa.domain.attempt import Account
from mpesa.domain.receipt import Direction, Receipt, State, nairobi_day
from mpesa.domain.refund import (
    ACKNOWLEDGED_WITHIN,
    ASKED_AFTER,
    COUNTED,
    RELEASED_WITHIN,
    RESULT_WITHIN,
    UNDER_WAY,
    Event,
    Refund,
    RefundStatus,
    after,
    event_of,
)
from mpesa.domain.refusals import (
    DailyLimit,
    KeyReused,
    NoReceipt,
    NoRefund,
    NotRefundable,
    NotYours,
    OtherReturned,
    RefundExists,
    TooLate,
)
from mpesa.domain.results import Result
from mpesa.ids import hash_token, new_id
from mpesa.initiators import Name
from mpesa.ledger import Announce, Change, changes_of
from mpesa.models import Receipt as ReceiptRow
from mpesa.models import Refund as RefundRow
from mpesa.models import RefundDay, RefundStep, Transaction
from mpesa.receipts import question
from mpesa.status import MOST_TIMES

log = logging.getLogger(__name__)

# A receipt that changes under each of so many tries is left for the next loop.
_TRIES = 5
_AT_ONCE = 100
_NOT_SENT = frozenset({RefundStatus.REQUESTED, RefundStatus.RELEASED})


@dataclass(frozen=True)
class Wanted:
    """A refund as somebody asks for it.

    Attributes:
        receipt: ten letters and digits.
        reason: 2 to 100 characters; M-PESA gets none of them.
        by: an operator's name, or `api:` and the beginning of a key's hash.
        returns_all: asked for though another receipt of the same order goes back as well.
        key: the Idempotency-Key and its owner; None where none was sent.
    """

    receipt: str
    reason: str
    by: str
    returns_all: bool = False
    key: tuple[str, str] | None = None


@dataclass(frozen=True)
class Settled:
    """The review of a refund, as an operator settles it.

    Attributes:
        by: the operator's name.
        reason: the operator's words; they are kept as a step.
        once: identifies the form, so that a form that is sent twice acts once.
        seq: the refund's, on the page that was read.
    """

    by: str
    reason: str
    once: str
    seq: int


@dataclass(frozen=True)
class Needs:
    """The means to give money back.

    Attributes:
        now: the clock, aware UTC.
        announce: tells rooms about transactions that changed.
        two_people: who asked for a refund may not release it.
        daily_limit: in cents, of each day in Nairobi.
    """

    now: Callable[[], datetime]
    announce: Announce
    two_people: bool
    daily_limit: int


class _DoneBefore(Exception):
    """The same form was sent before."""


@dataclass(frozen=True)
class Sending:
    """The means to send a released refund, and to hear its result.

    Attributes:
        needs: as for every change.
        access: the way to Daraja.
        short_code: our own, which gives the money back.
        public_url: where Safaricom reaches this server.
        heard_for: how long a result is heard.
        listed: whether an address may be believed.
        asks: Transaction Status can be asked.
    """

    needs: Needs
    access: Access
    short_code: str
    public_url: str
    heard_for: timedelta
    listed: Callable[[str | None], bool]
    asks: bool


def ask(session: Session, wanted: Wanted, needs: Needs) -> tuple[Refund, bool]:
    """Ask for a refund of a receipt, in full; it waits for its release.

    Returns:
        The refund, and whether it is new: the same key leads to the same refund.

    Raises:
        NoReceipt: no payment to us has that number.
        NotRefundable: it is not proven, is returned, or has parts of a shilling.
        RefundExists: one is under way.
        OtherReturned: another receipt of its order goes back, and that was not said.
        KeyReused: the key came before with other fields.
    """
    fields = json.dumps([wanted.receipt, wanted.reason])
    fingerprint = hashlib.sha256(fields.encode()).hexdigest()
    key = hash_token(" ".join(wanted.key)) if wanted.key else None
    of_key = select(RefundRow.id).where(RefundRow.asked_key == key)
    for _ in range(_TRIES):
        asked = session.scalars(of_key).one_or_none() if key is not None else None
        earlier = books.refund(session.connection(), asked) if asked else None
        if earlier is not None:
            if earlier.fingerprint != fingerprint:
                raise KeyReused
            return earlier, False
        seen = receipt_lists.find(session.connection(), wanted.receipt)
        if seen is None:
            raise NoReceipt
        try:
            with books.receipt_taken_out(session, seen.id) as held:
                refund, changes = _ask_held(held, wanted, key, fingerprint, needs.now())
        except (IntegrityError, books.Moved):
            continue
        needs.announce(changes)
        return refund, True
    raise SQLAlchemyError("the receipt changed under every try")


def release(
    session: Session, refund_id: str, by: str, needs: Needs, *, returns_all: bool = False
) -> Refund:
    """Release a refund that was asked for, so that it is sent.

    Args:
        by: the manager, whose password and code were checked.
        returns_all: likewise as when it was asked for.

    Raises:
        NoRefund: there is none.
        NotYours: the same person asked for it, and two are needed.
        TooLate: it does not wait for a release, or no longer.
        OtherReturned: another receipt of its order goes back, and that was not said.
        DailyLimit: the day's refunds would exceed their limit.
    """

    def released(held: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        if refund.status is not RefundStatus.REQUESTED:
            raise TooLate
        if not refund.created_at <= now < refund.created_at + RELEASED_WITHIN:
            raise TooLate
        if needs.two_people and refund.requested_by == by:
            raise NotYours
        if not returns_all and another_goes_back(held.connection, refund):
            raise OtherReturned
        day = nairobi_day(now).isoformat()
        _check_the_day(held, day, refund.amount, needs.daily_limit)
        return replace(after(refund, Event.RELEASED, now), released_by=by, released_day=day)

    return _change(session, refund_id, Event.RELEASED, needs, released, by=by)


def refuse(session: Session, refund_id: str, by: str, needs: Needs) -> Refund:
    """Refuse a refund that was asked for.

    Raises:
        NoRefund: there is none.
        TooLate: it does not wait for a release.
    """

    def refused(_: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        if refund.status is not RefundStatus.REQUESTED:
            raise TooLate
        return after(refund, Event.REFUSED, now)

    return _change(session, refund_id, Event.REFUSED, needs, refused, by=by)


def end(session: Session, refund_id: str, by: str, needs: Needs, *, back: bool) -> Refund:
    """End an unknown refund, by a manager's word that the money went back, or did not.

    Raises:
        NoRefund: there is none.
        TooLate: it is not unknown.
    """
    event = Event.ENDED_BACK if back else Event.ENDED_NOT_BACK

    def ended(_: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        if refund.status is not RefundStatus.UNKNOWN:
            raise TooLate
        return after(refund, event, now)

    return _change(session, refund_id, event, needs, ended, by=by)


def settle_review(session: Session, refund_id: str, settled: Settled, needs: Needs) -> bool:
    """Take a refund out of review; all else stays as it is.

    Returns:
        False: the same form was sent before.

    Raises:
        NoRefund: there is none.
        TooLate: it needs no review, is unknown, or something was heard of it since it was read.
    """

    def looked_at(held: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        reviews = select(RefundStep.body).where(
            RefundStep.refund_id == refund.id, RefundStep.event == Event.REVIEW_SETTLED.value
        )
        bodies = held.connection.scalars(reviews)
        if any(json.loads(body).get("once") == settled.once for body in bodies):
            raise _DoneBefore
        if not refund.can_be_settled or refund.seq != settled.seq:
            raise TooLate
        return after(refund, Event.REVIEW_SETTLED, now)

    said = {"act": "settle", "reason": settled.reason, "once": settled.once}
    body = json.dumps(said).encode()
    event = Event.REVIEW_SETTLED
    try:
        _change(session, refund_id, event, needs, looked_at, by=settled.by, body=body)
    except _DoneBefore:
        return False
    return True


def send_next(session: Session, sending: Sending) -> int:
    """Send the refund that was released first, once, if its initiator may be used.

    Its row says `sent`, with the hash of the result's address, before the first byte goes out: a
    crash from then on leaves it unknown, and nothing sends it again.

    Returns:
        How many were sent, 0 or 1.
    """
    now = sending.needs.now()
    oldest = select(RefundRow.id, RefundRow.receipt, RefundRow.amount).where(
        RefundRow.status == RefundStatus.RELEASED.value
    )
    row = session.execute(oldest.order_by(RefundRow.updated_at).limit(1)).one_or_none()
    try:
        initiator = sending.access.initiators.refund() if sending.access.initiators else None
    except DarajaError as error:
        log.warning("the refund initiator has no credential: %s", type(error).__name__)
        return 0
    if initiator is None:
        return 0
    initiators.notice_silence(session, Name.REFUND, initiator, now)
    if row is None or not initiators.is_free(session, Name.REFUND, initiator, now):
        return 0
    until = now + sending.heard_for
    awaits = Awaited(Subject.REVERSAL, row.id, initiators.mark_of(initiator), until)
    addresses, awaited_row = awaited.addresses(awaits, sending.public_url, now)
    sent = _sent(session, row.id, sending.needs, initiator, awaited_row)
    if sent is None:
        return 0
    order = ReversalOrder(
        receipt=sent.receipt,
        amount=sent.amount // 100,
        short_code=sending.short_code,
        remarks=f"Refund {sent.id[:8]}",
        result_url=addresses.result_url,
        timeout_url=addresses.timeout_url,
    )
    try:
        accepted = reverse(sending.access.daraja, initiator, order)
    except (NotSent, Refused) as error:
        # It says nothing about the initiator. A result that contradicts it is heard all the same.
        excused = awaited.excused(addresses, sending.needs.now())
        _note(session, sent.id, Event.NOT_RUN, sending, body=error.body, also=(excused,))
    except DarajaError as error:
        _note(session, sent.id, Event.NO_ANSWER, sending, body=error.body)
    else:
        _acknowledged(session, sent.id, accepted.conversation_id, accepted.body, sending.needs)
    return 1


def run_deadlines(session: Session, sending: Sending) -> int:
    """Let the clock refuse what nobody released, and call unknown what stayed silent.

    Returns:
        How many refunds changed.
    """
    now = sending.needs.now()
    asked, sent = RefundRow.created_at, RefundRow.sent_at
    # Asked for a day ago; or by a clock that was ahead, and has been put back since.
    out_of_time = and_(
        RefundRow.status == RefundStatus.REQUESTED.value,
        or_(asked <= now - RELEASED_WITHIN, asked >= now + RELEASED_WITHIN),
    )
    # Sent, and not acknowledged, or without a result; or sent by a clock that was ahead.
    not_acknowledged = RefundRow.acknowledged_at.is_(None)
    silent = and_(
        RefundRow.status == RefundStatus.SENT.value,
        or_(
            sent <= now - RESULT_WITHIN,
            and_(not_acknowledged, sent <= now - 2 * ACKNOWLEDGED_WITHIN),
            sent >= now + RESULT_WITHIN,
        ),
    )
    due = select(RefundRow.id, RefundRow.status).where(out_of_time | silent)
    found = session.execute(due.order_by(RefundRow.updated_at).limit(_AT_ONCE)).all()
    for refund_id, status in found:
        waited = status == RefundStatus.REQUESTED.value
        _note(session, refund_id, Event.OUT_OF_TIME if waited else Event.SILENT, sending)
    return len(found)


def judge_waiting(session: Session, sending: Sending) -> int:
    """Make something of the results that came; returns how many."""
    count = 0
    for heard in awaited.waiting(session, Subject.REVERSAL):
        try:
            judge(session, heard, sending)
        except SQLAlchemyError as error:
            log.error("a result of a refund is not judged yet: %s", type(error).__name__)
        except Exception:  # one that cannot be judged delays no other
            log.exception("a result of a refund is not judged yet")
        else:
            count += 1
    return count


def judge(session: Session, heard: Heard, sending: Sending) -> None:
    """Make something of one result, or of a time-out, of a refund."""
    result = heard.result
    listed = sending.listed(heard.source)

    def told(_: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        event = _event(heard, result, refund, listed=listed)
        changed = after(refund, event, now)
        if result is None or not listed:
            return changed
        number = result.receipt if event is Event.RESULT_SUCCEEDED else None
        return replace(
            changed,
            result_code=result.code[:32],
            reversal_receipt=refund.reversal_receipt or number,
        )

    if result is not None and listed:
        now = sending.needs.now()
        initiators.note_answer(
            session, Name.REFUND, result, heard.credential_hash, heard.asked_at, now
        )
    _change(
        session,
        heard.subject,
        lambda refund: _event(heard, result, refund, listed=listed),
        sending.needs,
        told,
        by=heard.source,
        body=heard.body or b"",
        asks=sending.asks,
    )
    believed = result is not None and listed
    awaited.judged(session, heard, sending.needs.now(), believed=believed)


def note_returned(session: Session, receipt: str, needs: Needs) -> bool:
    """Note that M-PESA calls a receipt returned, no matter who gave it back.

    Returns:
        Whether that was to be expected: it is known as returned, or a refund of it was under way.
    """
    known = receipt_lists.find(session.connection(), receipt)
    if known is not None and known.state is State.RETURNED:
        return True
    under_way = select(RefundRow.id).where(
        RefundRow.receipt == receipt, RefundRow.status.in_([each.value for each in UNDER_WAY])
    )
    refund_id = session.scalars(under_way).first()
    if refund_id is None:
        return False
    _change(
        session,
        refund_id,
        Event.RETURNED_OTHERWISE,
        needs,
        lambda _, refund, now: after(refund, Event.RETURNED_OTHERWISE, now),
    )
    return True


def find(session: Session, refund_id: str) -> Refund | None:
    """Read a refund as it is committed; None: there is none."""
    return books.refund(session.connection(), refund_id)


def another_goes_back(connection: Connection, refund: Refund) -> bool:
    """Whether another receipt of the order that has a refund's receipt is back, or on its way."""
    # Not the refund's own: the receipt may have been nobody's when it was asked for.
    own = (
        select(Transaction.order_id)
        .join(ReceiptRow, ReceiptRow.transaction_id == Transaction.id)
        .where(ReceiptRow.id == refund.receipt_id)
    )
    others = (
        select(ReceiptRow.id)
        .join(Transaction, Transaction.id == ReceiptRow.transaction_id)
        .where(
            Transaction.order_id == own.scalar_subquery(),
            ReceiptRow.id != refund.receipt_id,
            (ReceiptRow.state == State.RETURNED.value) | ReceiptRow.refund_id.is_not(None),
        )
    )
    return connection.scalar(others.limit(1)) is not None


def _ask_held(
    held: HeldReceipt, wanted: Wanted, key: str | None, fingerprint: str, now: datetime
) -> tuple[Refund, list[Change]]:
    receipt = held.receipt
    if receipt.refund_id is not None:
        raise RefundExists(receipt.refund_id)
    if receipt.state not in (State.CLAIMED, State.UNCLAIMED) or receipt.amount % 100:
        raise NotRefundable
    refund = Refund(
        id=new_id(),
        receipt_id=receipt.id,
        receipt=receipt.receipt,
        amount=receipt.amount,
        reason=wanted.reason,
        status=RefundStatus.REQUESTED,
        requested_by=wanted.by,
        created_at=now,
        updated_at=now,
        order_id=held.taken.account.order.id if held.taken else None,
        asked_key=key,
        fingerprint=fingerprint if key else None,
    )
    if not wanted.returns_all and another_goes_back(held.connection, refund):
        raise OtherReturned
    return refund, put_back(held, None, refund, Event.REQUESTED, now, by=wanted.by)


def _change(
    session: Session,
    refund_id: str,
    event: Event | Callable[[Refund], Event],
    needs: Needs,
    change: Callable[[HeldReceipt, Refund, datetime], Refund],
    *,
    by: str | None = None,
    body: bytes = b"",
    also: tuple[Write, ...] = (),
    asks: bool = False,
) -> Refund:
    """Change a refund under its locks: order, receipt, refund, then the day."""
    for _ in range(_TRIES):
        row = session.scalars(
            select(RefundRow.receipt_id).where(RefundRow.id == refund_id)
        ).one_or_none()
        if row is None:
            raise NoRefund
        try:
            with books.receipt_taken_out(session, row) as held:
                before = books.refund(held.connection, refund_id, lock=True)
                if before is None:
                    raise NoRefund
                now = needs.now()
                what = event if isinstance(event, Event) else event(before)
                changed = change(held, before, now)
                rows = [*also, *_asked_later(before, changed, asks=asks, now=now)]
                changes = put_back(held, before, changed, what, now, by=by, body=body, also=rows)
        except (IntegrityError, books.Moved):
            continue
        needs.announce(changes)
        counters.count("refunds", status=changed.status.value)
        return changed
    raise SQLAlchemyError("the refund changed under every try")


def _note(
    session: Session,
    refund_id: str,
    event: Event,
    sending: Sending,
    *,
    body: bytes = b"",
    also: tuple[Write, ...] = (),
) -> Refund:
    return _change(
        session,
        refund_id,
        event,
        sending.needs,
        lambda _, refund, now: after(refund, event, now),
        body=body,
        also=also,
        asks=sending.asks,
    )


def _sent(
    session: Session, refund_id: str, needs: Needs, initiator: Initiator, awaited_row: Write
) -> Refund | None:
    """Write down that it is sent; None: another process was faster, or it is refused by now."""

    def sent(held: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        if refund.status is not RefundStatus.RELEASED:
            raise TooLate
        if not initiators.may_ask(held.connection, Name.REFUND, initiator, now):
            raise TooLate
        return replace(after(refund, Event.SENT, now), sent_at=now)

    try:
        return _change(session, refund_id, Event.SENT, needs, sent, also=(awaited_row,))
    except TooLate:
        return None


def _acknowledged(
    session: Session, refund_id: str, conversation_id: str | None, body: bytes, needs: Needs
) -> None:
    def acknowledged(_: HeldReceipt, refund: Refund, now: datetime) -> Refund:
        known = after(refund, Event.ACKNOWLEDGED, now)
        return replace(known, acknowledged_at=now, conversation_id=conversation_id)

    _change(session, refund_id, Event.ACKNOWLEDGED, needs, acknowledged, body=body)


def put_back(
    held: HeldReceipt,
    before: Refund | None,
    changed: Refund,
    event: Event,
    now: datetime,
    *,
    by: str | None = None,
    body: bytes = b"",
    also: list[Write] | None = None,
    reversal: list[Write] | None = None,
) -> list[Change]:
    """Write a refund with its receipt and the transaction that shows it; returns the changes.

    Args:
        also: rows that belong to the change.
        reversal: the row of the reversal; None: it is made of what the refund knows.
    """
    receipt, shop = held.receipt, records.shop_of(held.connection)
    back = changed.status is RefundStatus.SUCCEEDED or event is Event.RETURNED_OTHERWISE
    rows = records.of_refund(shop, before, changed, event, now, by, body)
    kept = replace(receipt, refund_id=changed.id if changed.under_way else None)
    current, other = receipt.refund_id, None
    if current is not None and current != changed.id:
        # Another one of the same receipt, asked for after this one had failed.
        other = books.refund(held.connection, current, lock=True)
    if other is not None and back and other.status in _NOT_SENT:
        refused = after(other, Event.RETURNED_OTHERWISE, now)
        rows += records.of_refund(shop, other, refused, Event.RETURNED_OTHERWISE, now)
    elif other is not None:
        kept = replace(kept, refund_id=other.id)
    if back:
        # The number of the reversal may come later than the word that the money is back.
        kept = replace(kept, returned_by=kept.returned_by or changed.reversal_receipt)
        if kept.state is not State.RETURNED:
            kept = replace(kept, state=State.RETURNED, changed_at=now, unclaimed_from=None)
    if reversal is None and kept.returned_by != receipt.returned_by:
        reversal = _reversal(held, kept, now)
    rows += reversal or []
    if kept != receipt:
        rows.append(books.kept(kept, receipt))
    account = _shown(held, before, changed, now, returned=back)
    held.put_back(account, *rows, *(also or ()))
    if held.taken is None or account is None:
        return []
    return changes_of(held.taken.account, account, now)


def _reversal(held: HeldReceipt, receipt: Receipt, now: datetime) -> list[Write]:
    """The row of the movement that returned a receipt; a statement may have told of it before."""
    number, out = receipt.returned_by or "", Direction.OUT
    known = books.receipt(held.connection, receipt.organisation, number, out, lock=True)
    if known is None:
        return records.of_reversal(receipt, number, now)
    if known.returned_by is not None:
        return []
    return [books.kept(replace(known, returned_by=receipt.receipt), known)]


def _shown(
    held: HeldReceipt, before: Refund | None, changed: Refund, now: datetime, *, returned: bool
) -> Account | None:
    """The order from now on: the transaction that has the receipt shows its newest refund."""
    if held.taken is None or held.receipt.transaction_id is None:
        return None
    attempt = held.taken.account.attempt(held.receipt.transaction_id)
    overtaken = before is not None and attempt.refund_id not in (None, changed.id)
    if overtaken and not returned:
        return held.taken.account
    shown = changed.status is not RefundStatus.REFUSED
    told = replace(
        attempt,
        refund_id=changed.id if shown else None,
        refund_status=changed.status.value if shown else None,
        refund_at=changed.updated_at if shown else None,
        returned=attempt.returned or returned,
    )
    if told == attempt:
        return held.taken.account
    return held.taken.account.changed(told.with_next_seq(now))


def _asked_later(before: Refund, changed: Refund, *, asks: bool, now: datetime) -> list[Write]:
    """The question about the original payment, once a refund is unknown."""
    became = changed.status is RefundStatus.UNKNOWN and before.status is not RefundStatus.UNKNOWN
    if not (asks and became):
        return []
    # By then M-PESA finds every payment, so a second question would learn nothing.
    once, next_at = MOST_TIMES - 1, now + ASKED_AFTER
    return [question(changed.receipt, None, None, now, next_at=next_at, times_asked=once)]


def _check_the_day(held: HeldReceipt, day: str, amount: int, limit: int) -> None:
    """Lock the day's row, and add up what counts on it.

    Raises:
        DailyLimit: the amount does not fit.
    """
    held.connection.execute(books.BEGIN_DAY, {"id": day})
    held.connection.execute(select(RefundDay.id).where(RefundDay.id == day).with_for_update())
    counted = select(func.coalesce(func.sum(RefundRow.amount), 0)).where(
        RefundRow.released_day == day,
        RefundRow.status.in_([each.value for each in COUNTED]),
    )
    if (held.connection.scalar(counted) or 0) + amount > limit:
        raise DailyLimit


def _event(heard: Heard, result: Result | None, refund: Refund, *, listed: bool) -> Event:
    if heard.body is None:
        return Event.TIMED_OUT
    return event_of(result, refund, listed=listed) if result else Event.RESULT_UNCLEAR
