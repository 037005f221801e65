"""Money in: take in what a witness tells of a receipt, and give it to the order that it pays."""

import hmac
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import books, candidates, claims, counters, ledger, receipt_lists, records
from mpesa.books import By, Moved, Taken, Write
from mpesa.candidates import Held
from mpesa.config import Settings
from mpesa.database import writing, writing_apart
from mpesa.domain import matching
from mpesa.domain.address import from_listed
from mpesa.domain.attempt import IN_SIGHT_FOR, Account, Channel, OrderStatus
from mpesa.domain.confirmation import UnreadableConfirmation, parse_confirmation
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.matching import GivePush, Heard, Keep, Verdict
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.receipt import UNCLAIMED_AFTER, Direction, Receipt, State, Trust
from mpesa.domain.refusals import (
    AlreadyClaimed,
    AlreadyReturned,
    AmountDiffers,
    NotProven,
    OnItsWayBack,
    OrderNotFound,
    OrderPaid,
    ReceiptNotFound,
)
from mpesa.domain.result_codes import Status
from mpesa.domain.settlement import OperatorAsks, ReceiptClaimed
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.domain.told import Payer, Told, WitnessKind
from mpesa.domain.webhook import MessageType
from mpesa.ids import new_id
from mpesa.ledger import Announce, Change, Now
from mpesa.models import Order, Suggestion, Transaction, Witness
from mpesa.models import Receipt as ReceiptRow

log = logging.getLogger(__name__)

# An order, or a receipt, that changes under each of so many tries is left for the next loop.
_TRIES = 5
# A push that was paid longer ago than this has had its receipt judged.
_PAID_LATELY_FOR = timedelta(minutes=10)
# Messages of one tick; the rest waits for the next one, a second later.
_TOLD_AT_ONCE = 200
# Characters of a reason.
SHORTEST_REASON, LONGEST_REASON = 2, 100
# An older payment is no news.
_NEWS_FOR = timedelta(hours=48)
_TRUST = {
    WitnessKind.PULL: Trust.ASKED,
    WitnessKind.STATUS: Trust.ASKED,
    WitnessKind.STATEMENT: Trust.ASKED,
    WitnessKind.OPERATOR: Trust.TOLD,
    WitnessKind.CONFIRMATION: Trust.TOLD,
    WitnessKind.CALLBACK: Trust.TOLD,
}

# Witnesses that we fetched ourselves, or a person of the shop.
_ASKED = frozenset(
    {WitnessKind.PULL, WitnessKind.STATUS, WitnessKind.STATEMENT, WitnessKind.OPERATOR}
)


@dataclass(frozen=True)
class Needs:
    """The means to take in what witnesses tell.

    Attributes:
        now: the clock, aware UTC.
        announce: tells rooms about transactions that changed.
        numbers: the short codes and tills of the shop; money to others is not its own.
        secret: keys the hashes of payers' numbers.
        proof_from: cents from which a confirmation alone does not suffice; None: never.
        listed: whether an address may be believed.
        asks: Transaction Status can be asked.
    """

    now: Callable[[], datetime]
    announce: Announce
    numbers: frozenset[str]
    secret: str
    proof_from: int | None
    listed: Callable[[str | None], bool]
    asks: bool = False

    def mark(self, hashed: str) -> str:
        """The keyed hash under which the SHA-256 of a number is kept: the latter is no secret."""
        return hmac.digest(self.secret.encode(), f"payer {hashed}".encode(), "sha256").hex()

    def mark_of(self, msisdn: str) -> str:
        """The same of a number that we know."""
        return self.mark(sha256(msisdn.encode()).hexdigest())


def needs_of(settings: Settings, now: Callable[[], datetime], announce: Announce) -> Needs:
    """What the settings say about money in."""
    numbers = {settings.daraja_shortcode, settings.daraja_till, settings.c2b_shortcode}
    proof_from = settings.c2b_proof_from
    return Needs(
        now=now,
        announce=announce,
        numbers=frozenset(each for each in numbers if each),
        secret=settings.secret_key,
        proof_from=proof_from * 100 if proof_from is not None else None,
        listed=from_listed(settings.callback_allowed_ips),
        asks=settings.daraja_status_initiator is not None,
    )


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a witness sent.

    Attributes:
        body: raw, with people's data cut out where it holds more than we may keep.
        source: the address or the person that it came from; None: we asked M-PESA.
    """

    kind: WitnessKind
    body: bytes
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A person's word, or that of the merchant's server, that a receipt pays an order.

    Attributes:
        receipt: its number.
        by: the operator's name, or `api:` and four characters of the key's hash.
        accepts_amount: the order counts as paid whatever came.
        reason: `""`: none was given.
    """

    receipt: str
    order_id: str
    by: str
    accepts_amount: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A person's word that a receipt whose witnesses contradict each other is dealt with.

    Attributes:
        receipt: its number.
        by: the operator's name.
        once: identifies the form, so that a form that is sent twice settles once.
        tellings: how often the receipt had been told of when the person looked.
    """

    receipt: str
    by: str
    reason: str
    once: str
    tellings: int


class ToldMeanwhile(Exception):
    """A witness has told of the receipt since the person looked, or another person was faster."""


def receive(session: Session, body: bytes, source: str, needs: Needs) -> None:
    """Take in a confirmation; when this returns, its raw body is committed.

    A judgement that could not be made is made by `judge_waiting` later.

    Raises:
        SQLAlchemyError: it could not be stored.
    """
    arrived = Arrived(WitnessKind.CONFIRMATION, body, source)
    try:
        verdict = judge_confirmation(session, arrived, needs)
    except Exception as error:  # noqa: BLE001
        # Whatever went wrong, the body has to be kept first of all.
        log.info("a confirmation is stored before it is judged (%s)", type(error).__name__)
        _store(session, arrived, needs, judged=False)
        verdict = "stored"
    counters.count("confirmations", verdict=verdict)


def judge_confirmation(session: Session, arrived: Arrived, needs: Needs) -> str:
    """Read a confirmation and take in its receipt.

    Returns:
        One word for what became of it.
    """
    try:
        told = parse_confirmation(arrived.body)
    except UnreadableConfirmation:
        _store(session, arrived, needs, judged=True)
        return "unreadable"
    if told.short_code not in needs.numbers and not is_known(session, told.receipt):
        _store(session, arrived, needs, judged=True)
        return "foreign"
    return take_in(session, told, arrived, needs)


def judge_waiting(session: Session, needs: Needs) -> int:
    """Judge the confirmations that were stored and not judged.

    Returns:
        The number that was judged.
    """
    waiting = session.execute(
        select(Witness.body, Witness.source)
        .where(~Witness.judged, Witness.kind == WitnessKind.CONFIRMATION.value)
        .order_by(Witness.received_at)
        .limit(200)
    ).all()
    judged = 0
    for body, source in waiting:
        try:
            arrived = Arrived(WitnessKind.CONFIRMATION, body, source)
            verdict = judge_confirmation(session, arrived, needs)
        except SQLAlchemyError as error:
            log.error("a confirmation is not judged yet: %s", type(error).__name__)
        except Exception:  # one that cannot be judged delays no other
            log.exception("a confirmation is not judged yet")
        else:
            counters.count("confirmations", verdict=verdict)
            judged += 1
    return judged


def judge_again(session: Session, needs: Needs) -> int:
    """Judge unclaimed receipts once more whose suggested order has just been proved to be paid.

    Daraja was asked about a push that a receipt without an account may be the money of; its 0 comes
    after the receipt.

    Returns:
        How many have their order now.
    """
    lately = needs.now() - _PAID_LATELY_FOR
    proved = (
        select(ReceiptRow.receipt, ReceiptRow.organisation)
        .join(Suggestion, Suggestion.receipt_id == ReceiptRow.id)
        .join(Transaction, Transaction.order_id == Suggestion.order_id)
        .where(
            ReceiptRow.state == State.UNCLAIMED.value,
            Transaction.channel == Channel.PUSH.value,
            Transaction.status == Status.SUCCESS.value,
            Transaction.receipt.is_(None),
            Transaction.updated_at > lately,
        )
        .distinct()
        .limit(candidates.MOST_ORDERS)
    )
    given = 0
    for number, organisation in session.execute(proved).all():
        try:
            session.rollback()
            known = books.receipt(session.connection(), organisation, number)
            if known is None or known.state is not State.UNCLAIMED or known.refund_id:
                continue
            kinds = candidates.kinds_of(session, known)
            heard = Heard(known.told, kinds, known.learned_at, known.listed)
            accounts = candidates.accounts_for(session, heard)
            verdict = matching.judge(heard, accounts, needs.proof_from, needs.mark_of)
            if isinstance(verdict, GivePush):
                judged = _Judged(heard, accounts, verdict)
                locked = books.taken_out_with_receipt(
                    session, verdict.order_id, organisation, number
                )
                with locked as (taken, as_it_is):
                    _check_unmoved(judged, taken, as_it_is == known, needs)
                    changes = ledger.record_receipt(
                        taken, known, known, verdict.transaction_id, [], needs.now()
                    )
                needs.announce(changes)
                given += 1
        except (IntegrityError, Moved):
            continue  # a witness was faster
    return given


def doubt(session: Session, number: str, needs: Needs) -> None:
    """Have a person look at a receipt, and at the transaction that has it."""
    connection = session.connection()
    known = books.receipt(connection, records.shop_of(connection).short_code, number)
    if known is not None and not known.needs_review:
        try:
            _keep(session, known, replace(known, needs_review=True), [])
        except Moved:
            return  # another witness has just told of it
        needs.announce(_doubt(session, known, needs))


def is_known(session: Session, number: str) -> bool:
    """Whether a receipt of money in has a row."""
    connection = session.connection()
    organisation = records.shop_of(connection).short_code
    return books.receipt(connection, organisation, number) is not None


def take_in(
    session: Session,
    told: Told,
    arrived: Arrived,
    needs: Needs,
    payer_hash: str | None = None,
) -> str:
    """Take in what a witness tells of a receipt, and give it to the order that it pays.

    Args:
        session: a read that it had begun is ended.
        told: what was read of the body.
        payer_hash: the keyed hash of the payer's number, where it was cut out of the body.

    Returns:
        One word for what became of it: `claimed`, `unclaimed`, `unproven`, `known`, `differs`.

    Raises:
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """
    told = payer_marked(told, needs)
    if payer_hash is not None:
        told = replace(told, payer=replace(told.payer, hashed=payer_hash))
    for _ in range(_TRIES):
        try:
            verdict, changes = _take_in_once(session, told, arrived, needs)
        except (IntegrityError, Moved):
            continue  # another witness, or the push's own callback, was faster
        needs.announce(changes)
        if verdict == State.UNCLAIMED and claims.claim_for_who_typed(session, told.receipt, needs):
            return State.CLAIMED.value
        return verdict
    raise SQLAlchemyError("the receipt changed under every try")


def claim(session: Session, wanted: Claim, needs: Needs) -> Receipt:
    """Give an unclaimed receipt to an order, because somebody says so; it is never undone.

    It becomes the money of the push whose own callback told of it, else of a transaction by hand.
    An order that was cancelled, or ended before the money came, is paid by it all the same, and a
    person has to look. Once more with the same order changes nothing.

    Args:
        session: a read that it had begun is ended.

    Returns:
        The receipt from now on.

    Raises:
        ReceiptNotFound: no payment to us has that number.
        OrderNotFound: there is no such order.
        OrderPaid: the order is paid by other money.
        AlreadyClaimed: the receipt is another order's.
        NotProven: nothing but a stranger's word tells of it yet.
        AlreadyReturned: its money went back.
        AmountDiffers: it is not the order's amount, and that is not accepted.
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """
    for _ in range(_TRIES):
        try:
            with books.taken_out(session, By.ORDER, wanted.order_id) as taken:
                changes = _claim_for(taken, wanted, needs)
        except books.Unknown:
            raise OrderNotFound from None
        except (IntegrityError, Moved):
            continue  # a witness was faster
        needs.announce(changes)
        found = receipt_lists.find(session.connection(), wanted.receipt)
        if found is None:
            raise ReceiptNotFound
        return found
    raise SQLAlchemyError("the receipt changed under every try")


def _claim_for(taken: Taken, wanted: Claim, needs: Needs) -> list[Change]:
    """Claim a receipt for an order whose lock is held; returns what is to be announced."""
    account, now = taken.account, needs.now()
    seen = receipt_lists.find(taken.connection, wanted.receipt)
    if seen is None:
        raise ReceiptNotFound
    known = books.receipt(taken.connection, seen.organisation, seen.receipt, lock=True)
    if known is None:
        raise Moved
    if known.state is State.CLAIMED and known.transaction_id in [e.id for e in account.attempts]:
        return []
    _check_claimable(known)
    if account.status(now) is OrderStatus.PAID:
        raise OrderPaid
    if known.amount != account.order.amount * 100 and not wanted.accepts_amount:
        raise AmountDiffers
    said = {"act": "claim", "receipt": known.receipt, "reason": wanted.reason}
    raw = Raw(Kind.OPERATOR, json.dumps(said).encode(), wanted.by)
    push = _push_that_told(taken, known)
    return ledger.record_receipt(taken, known, known, push, [], now, raw=raw)


def _check_claimable(known: Receipt) -> None:
    """Refuse to give a receipt to an order that it can't be given to.

    Raises:
        ReceiptError: as `claim` says.
    """
    match known.state:
        case State.CLAIMED:
            raise AlreadyClaimed
        case State.RETURNED:
            raise AlreadyReturned
        case State.UNPROVEN:
            raise NotProven
        case State.UNCLAIMED if known.refund_id is not None:
            raise OnItsWayBack


def _push_that_told(taken: Taken, known: Receipt) -> str | None:
    """The id of the order's push whose callback told of a receipt, and that has none of its own."""
    without = [
        each.id
        for each in taken.account.pushes
        if each.receipt is None and each.status is not Status.SUCCESS
    ]
    told = select(Witness.transaction_id).where(
        Witness.receipt_id == known.id,
        Witness.kind == WitnessKind.CALLBACK.value,
        Witness.transaction_id.in_(without),
    )
    return taken.connection.scalars(told.limit(1)).first()


def tellings(connection: Connection, receipt_id: str) -> int:
    """How often a receipt has been told of, the same word twice counted twice."""
    told = select(func.coalesce(func.sum(Witness.times), 0))
    return int(connection.scalar(told.where(Witness.receipt_id == receipt_id)) or 0)


def settle_review(session: Session, settled: Settled, needs: Needs) -> bool:
    """Take a receipt out of review; all else stays as it is, also the review of its transaction.

    Args:
        session: a read that it had begun is ended.

    Returns:
        False: the same form was sent before.

    Raises:
        ReceiptNotFound: no payment to us has that number.
        ToldMeanwhile: nothing was written.
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """
    seen = receipt_lists.find(session.connection(), settled.receipt)
    if seen is None:
        raise ReceiptNotFound
    said = {"act": "settle", "reason": settled.reason, "once": settled.once}
    # The reason is kept as a witness, so that it stands among those that it is about.
    body = json.dumps({**said, "receipt": seen.receipt}).encode()
    with writing_apart(session) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("BEGIN")
        known = books.receipt(connection, seen.organisation, seen.receipt, lock=True)
        same_form = select(Witness.id).where(
            Witness.kind == WitnessKind.OPERATOR.value,
            Witness.fingerprint == records.fingerprint(body),
        )
        if connection.scalar(same_form) is not None:
            connection.rollback()
            return False
        if (
            known is None
            or not known.needs_review
            or tellings(connection, known.id) != settled.tellings
        ):
            connection.rollback()
            raise ToldMeanwhile
        arrived = Arrived(WitnessKind.OPERATOR, body, settled.by)
        written = [
            books.kept(replace(known, needs_review=False), known),
            witness_of(known, arrived, needs.now()),
        ]
        books.write_and_commit(connection, written)
    return True


def tell_unclaimed(session: Session, clock: Now) -> int:
    """Write the merchant's messages about receipts that stayed unclaimed for long enough.

    Args:
        clock: the time, asked under each receipt's lock.

    Returns:
        How many receipts were due.

    Raises:
        SQLAlchemyError: the database failed; what is not done yet stays due.
    """
    now, planned = clock(), ReceiptRow.unclaimed_from
    # Due by now, or planned by a clock that was ahead and has been put back since.
    is_due = or_(planned <= now, planned > now + UNCLAIMED_AFTER + CLOCKS_DIFFER)
    due = (
        select(ReceiptRow.organisation, ReceiptRow.receipt)
        .where(is_due)
        .order_by(ReceiptRow.unclaimed_from)
        .limit(_TOLD_AT_ONCE)
    )
    found = session.execute(due).all()
    for organisation, number in found:
        with writing_apart(session) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("BEGIN")
            known = books.receipt(connection, organisation, number, lock=True)
            if known is None or known.unclaimed_from is None:
                continue  # claimed meanwhile, or told by another worker
            told = replace(known, unclaimed_from=None)
            shown = receipt_lists.for_webhook(connection, told)
            shop = records.shop_of(connection)
            message = records.of_message(shop, MessageType.UNCLAIMED, told, shown, clock())
            books.write_and_commit(connection, [books.kept(told, known), *message])
    return len(found)


def _take_in_once(
    session: Session, told: Told, arrived: Arrived, needs: Needs
) -> tuple[str, list[Change]]:
    organisation = records.shop_of(session.get_bind().engine).short_code
    now = needs.now()
    listed = arrived.kind in _ASKED or needs.listed(arrived.source)
    mark = records.fingerprint(arrived.body)
    alone = Heard(told, frozenset({arrived.kind}), now, listed)
    with candidates.taken_out(session, organisation, alone, arrived.kind, mark) as held:
        known = held.known
        receipt = with_told(known, told, arrived.kind, organisation, now, listed=listed)
        elsewhere = told.short_code is not None and told.short_code not in needs.numbers
        # An amount that only an unlisted address told gives way to what M-PESA tells.
        differs = known is not None and (
            elsewhere or (known.amount != told.amount and (known.listed or not listed))
        )
        # One that is on its way back to its payer is given to no order.
        settled = known is not None and (
            known.state in (State.CLAIMED, State.RETURNED) or known.refund_id is not None
        )
        if known is not None and (differs or settled):
            after = replace(known, needs_review=True) if differs else receipt
            silent = differs or held.told_before
            other = None if silent else _names_another_order(held, known, told)
            in_doubt = _hear_again(held, known, after, other, arrived, now)
        else:
            judged = _judge(held, receipt, arrived.kind, needs)
            witness = witness_of(receipt, arrived, now)
            state, changes = _settle(held, receipt, judged, witness, needs)
    # The locks are gone: each of what follows is a commit of its own, under its own order's lock.
    if known is not None and (differs or settled):
        if in_doubt:
            _have_looked_at(session, known, other, arrived, needs)
        return "differs" if differs else "known", []
    if isinstance(judged.verdict, Keep) and judged.verdict.in_sight_of is None:
        was_unproven = known is not None and known.state is State.UNPROVEN is not state
        changes += _after_keeping(session, receipt, judged.verdict, needs, proven=was_unproven)
    return state.value, changes


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict, and what it was made of.

    Attributes:
        accounts: the orders among which was judged.
    """

    heard: Heard
    accounts: Sequence[Account]
    verdict: Verdict


def _judge(held: Held, receipt: Receipt, kind: WitnessKind, needs: Needs) -> _Judged:
    """Say whose a receipt is that no order has.

    Args:
        receipt: with all that is known of it now.
        kind: of the witness that tells of it now.
    """
    kinds, accounts = frozenset({kind}), held.accounts
    if held.known is not None:
        kinds |= candidates.kinds_of(held.connection, held.known)
    heard = Heard(receipt.told, kinds, receipt.learned_at, receipt.listed)
    if held.known is not None:
        # What is known from before may name other orders.
        accounts = candidates.accounts_for(held.connection, heard)
    verdict = matching.judge(heard, accounts, needs.proof_from, needs.mark_of)
    return _Judged(heard, accounts, verdict)


def _settle(
    held: Held, receipt: Receipt, judged: _Judged, witness: Write, needs: Needs
) -> tuple[State, list[Change]]:
    """Write a verdict down, in one commit.

    Args:
        receipt: with all that is known of it now.

    Returns:
        The receipt's state, and the changes to be announced.

    Raises:
        Moved: what it was made of has changed; nothing was written.
    """
    known, verdict = held.known, judged.verdict
    if isinstance(verdict, Keep) and verdict.in_sight_of is None:
        now = needs.now()
        kept = as_kept(receipt, verdict, known, now)
        rows = _rows_of_kept(kept, known, verdict, needs, now)
        books.write_and_commit(held.connection, [*rows, witness])
        return kept.state, []
    order_id = (verdict.in_sight_of or "") if isinstance(verdict, Keep) else verdict.order_id
    taken = held.taken(order_id)
    if taken is None:
        taken, as_it_is = books.taken_instead(
            held.connection, order_id, receipt.organisation, receipt.receipt
        )
        _check_unmoved(judged, taken, as_it_is == known, needs)
    now = needs.now()
    if isinstance(verdict, Keep):
        kept = as_kept(receipt, verdict, known, now)
        rows = _rows_of_kept(kept, known, verdict, needs, now)
        # Told once more, it keeps the shopper waiting no longer.
        until = kept.learned_at + IN_SIGHT_FOR
        return kept.state, ledger.sight_money(taken, until, [*rows, witness], now)
    transaction_id = verdict.transaction_id if isinstance(verdict, GivePush) else None
    changes = ledger.record_receipt(taken, receipt, known, transaction_id, [witness], now)
    return State.CLAIMED, changes


def _check_unmoved(judged: _Judged, taken: Taken, same_receipt: bool, needs: Needs) -> None:
    """Judge once more, now that the order's lock is held.

    Raises:
        Moved: the receipt has changed, or the verdict is another.
    """
    order = taken.account.order.id
    fresh = [taken.account if each.order.id == order else each for each in judged.accounts]
    verdict = matching.judge(judged.heard, fresh, needs.proof_from, needs.mark_of)
    if not same_receipt or verdict != judged.verdict:
        raise Moved


def _after_keeping(
    session: Session, receipt: Receipt, verdict: Keep, needs: Needs, *, proven: bool
) -> list[Change]:
    """Have Daraja asked where the verdict says so, and let orders wait no longer for others' money.

    Args:
        proven: the receipt is so since now.
    """
    changes: list[Change] = []
    if verdict.ask is not None:
        _, transaction_id = verdict.ask
        raw = Raw(Kind.RECEIPT)
        changes += ledger.record(session, transaction_id, OperatorAsks(), raw, needs.now).changes
    for order_id in verdict.suggestions if proven else ():
        with books.taken_out(session, By.ORDER, order_id) as taken:
            until = receipt.learned_at + IN_SIGHT_FOR
            changes += ledger.out_of_sight(taken, until, needs.now())
    return changes


def _hear_again(
    held: Held, known: Receipt, after: Receipt, other: str | None, arrived: Arrived, now: datetime
) -> bool:
    """Keep a witness of a receipt that stays whose it is, in one commit.

    What is in doubt counts as not judged until a person has been called for all of it, so that it
    is judged once more after a crash.

    Args:
        after: the receipt from now on.
        other: the id of another order that the witness names.

    Returns:
        Whether a person has to look. The very same witness once more is only counted.
    """
    if held.told_before:
        counted = {
            "kind": arrived.kind.value,
            "fingerprint": records.fingerprint(arrived.body),
            "told_last_at": now,
        }
        books.write_and_commit(held.connection, [Write(books.COUNT_WITNESS, counted)])
        return False
    in_doubt = other is not None or after.needs_review
    witness = witness_of(after, arrived, now, judged=not in_doubt)
    books.write_and_commit(held.connection, [books.kept(after, known), witness])
    return in_doubt


def _have_looked_at(
    session: Session, known: Receipt, other: str | None, arrived: Arrived, needs: Needs
) -> None:
    """Have a person look at the receipt's transaction, then at another order that was named.

    Each is a commit of its own under its own order's lock.
    """
    needs.announce(_doubt(session, known, needs))
    newest = next(iter(books.seen(session, By.ORDER, other).attempts), None) if other else None
    if newest is not None:
        raw, evidence = Raw(Kind.CLAIM, known.receipt.encode()), ReceiptClaimed(known.receipt)
        needs.announce(ledger.record(session, newest.id, evidence, raw, needs.now).changes)
    with writing(session):
        session.execute(
            update(Witness)
            .where(
                Witness.kind == arrived.kind.value,
                Witness.fingerprint == records.fingerprint(arrived.body),
            )
            .values(judged=True)
            .execution_options(synchronize_session=False)
        )


def with_told(
    known: Receipt | None,
    told: Told,
    kind: WitnessKind,
    organisation: str,
    now: datetime,
    *,
    listed: bool,
) -> Receipt:
    """The receipt with what a witness adds to it; the best witness's word counts.

    What an address tells that is not M-PESA's counts for nothing beside what M-PESA told: else it
    could name the order that somebody else's money goes to.
    """
    trust = _TRUST[kind] if listed else Trust.UNLISTED
    if known is None:
        all_told, learned_at, receipt_id = told, now, new_id()
        state, changed_at = State.UNCLAIMED, now
    else:
        better = trust < known.trust
        if listed != known.listed:
            all_told = told if listed else known.told
        else:
            all_told = (
                matching.merged(told, known.told) if better else matching.merged(known.told, told)
            )
        learned_at, receipt_id = known.learned_at, known.id
        state, changed_at = known.state, known.changed_at
    blank = Receipt(
        id=receipt_id,
        organisation=organisation,
        receipt=told.receipt,
        direction=Direction.IN,
        amount=told.amount,
        state=state,
        listed=listed,
        learned_at=learned_at,
        changed_at=changed_at,
    )
    return replace(
        known or blank,
        amount=told.amount,
        needs_review=known is not None and (known.needs_review or known.amount != told.amount),
        listed=listed or (known is not None and known.listed),
        trust=min(trust, known.trust) if known else trust,
        short_code=all_told.short_code,
        account=all_told.account,
        payer_masked=all_told.payer.masked,
        payer_hash=all_told.payer.hashed,
        payer_name=all_told.name,
        paid_at=all_told.paid_at,
        paid_at_doubtful=all_told.paid_at_doubtful,
    )


def as_kept(receipt: Receipt, verdict: Keep, known: Receipt | None, now: datetime) -> Receipt:
    """A receipt that is nobody's yet, as its row is to have it.

    Args:
        known: as its row has it; None: it has none yet.
    """
    same = known is not None and known.state is verdict.state
    news = (receipt.paid_at or now) > now - _NEWS_FOR and verdict.state is State.UNCLAIMED
    return replace(
        receipt,
        state=verdict.state,
        changed_at=receipt.changed_at if same else now,
        unclaimed_from=receipt.unclaimed_from
        if same
        else (receipt.learned_at + UNCLAIMED_AFTER if news else None),
    )


def _rows_of_kept(
    kept: Receipt, known: Receipt | None, verdict: Keep, needs: Needs, now: datetime
) -> list[Write]:
    rows = [books.kept(kept, known)]
    if known is not None:
        rows.append(Write(books.DROP_SUGGESTIONS, {"receipt_id": kept.id}))
    rows += (
        Write(books.ADD_SUGGESTION, {"receipt_id": kept.id, "order_id": order_id, "place": place})
        for place, order_id in enumerate(verdict.suggestions)
    )
    if kept.state is State.UNPROVEN and known is None and needs.asks:
        # The question that proves a receipt, asked at once; it is written with the receipt.
        rows.append(question(kept.receipt, None, None, now, next_at=now))
    return rows


def question(
    number: str,
    transaction_id: str | None,
    share: str | None,
    now: datetime,
    *,
    next_at: datetime | None,
    times_asked: int = 0,
) -> Write:
    """The row of a question about a receipt, which `status` asks M-PESA.

    Args:
        transaction_id: the one for which a shopper typed it; None: an unproven receipt.
        share: a mark of that shopper's sender.
        next_at: when it is to be asked; None: not at all.
        times_asked: how often it counts as asked already; all are asked twice at most.
    """
    values = {
        "receipt": number,
        "transaction_id": transaction_id,
        "share": share,
        "typed_at": now,
        "next_at": next_at,
        "times_asked": times_asked,
    }
    return Write(books.ADD_QUESTION, values)


def _keep(session: Session, known: Receipt | None, receipt: Receipt, also: Sequence[Write]) -> None:
    """Write a receipt that no order is changed by, in a commit of its own.

    Raises:
        Moved: it is not as it was read; nothing was written.
    """
    writes = [books.kept(receipt, known), *also]
    with writing_apart(session) as connection:
        if known is None:
            books.write_and_commit(connection, writes, begin=True)
            return
        if books.begin_with_receipt(connection, known.organisation, known.receipt) != known:
            connection.rollback()
            raise Moved
        books.write_and_commit(connection, writes)


def witness_of(receipt: Receipt, arrived: Arrived, now: datetime, *, judged: bool = True) -> Write:
    """The row of a witness of a receipt.

    Args:
        judged: False: more is to be made of it, if need be after a crash.
    """
    return _witness_row(receipt.organisation, receipt.receipt, arrived, now, judged=judged)


def _witness_row(
    organisation: str, number: str | None, arrived: Arrived, now: datetime, *, judged: bool
) -> Write:
    values = {
        "organisation": organisation,
        "receipt": number,
        "kind": arrived.kind.value,
        "fingerprint": records.fingerprint(arrived.body),
        "body": arrived.body,
        "source": arrived.source,
        "transaction_id": None,
        "judged": judged,
        "received_at": now,
    }
    return Write(books.ADD_WITNESS, values)


def _store(session: Session, arrived: Arrived, needs: Needs, *, judged: bool) -> None:
    """Keep what a witness sent, raw, in a commit of its own."""
    with writing_apart(session) as connection:
        organisation = records.shop_of(connection).short_code
        row = _witness_row(organisation, None, arrived, needs.now(), judged=judged)
        books.write_and_commit(connection, [row], begin=True)


def payer_marked(told: Told, needs: Needs) -> Told:
    """The same with the payer's number as it may be kept: masked, and as a keyed hash."""
    payer = told.payer
    hashed = sha256(payer.msisdn.encode()).hexdigest() if payer.msisdn else payer.hashed
    masked = mask_msisdn(payer.msisdn).replace("•", "*") if payer.msisdn else payer.masked
    return replace(told, payer=Payer(masked=masked, hashed=needs.mark(hashed) if hashed else None))


_BY_NAME = select(Order.id).where(
    or_(Order.pay_code == bindparam("form"), Order.account_form == bindparam("form"))
)


def _names_another_order(held: Held, known: Receipt, told: Told) -> str | None:
    """The id of another order that a witness of a claimed receipt names; None: of none."""
    form = matching.normalised(told.account or "")
    if not form or known.transaction_id is None or told.account == held.sent:
        return None
    mine = (e for e in held.accounts if any(a.id == known.transaction_id for a in e.attempts))
    own = next(mine, None) or books.seen(held.connection, By.TRANSACTION, known.transaction_id)
    sent = {each.account_reference for each in own.attempts}
    names = {own.order.pay_code, matching.normalised(own.order.reference)}
    if told.account in sent or form in names:
        return None
    named = held.connection.scalars(_BY_NAME.limit(2), {"form": form}).all()
    return named[0] if len(named) == 1 else None


def _doubt(session: Session, known: Receipt, needs: Needs) -> list[Change]:
    """Put the transaction that has a receipt into review, in a commit of its own."""
    if known.transaction_id is None:
        return []
    raw = Raw(Kind.CLAIM, known.receipt.encode())
    evidence = ReceiptClaimed(known.receipt)
    return ledger.record(session, known.transaction_id, evidence, raw, needs.now).changes
