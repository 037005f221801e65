"""What a statement tells of many receipts at once, as far as no order is changed by it.

Nearly all of a statement a shop has been told before: a line then adds a witness, and what was not
known. Money whose account names no order is kept unclaimed. All else `receipts` judges, one
receipt at a time and under its order's lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from mpesa import books, records
from mpesa.domain import matching, pay_code
from mpesa.domain.attempt import Channel
from mpesa.domain.matching import Heard, Keep
from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.result_codes import Status
from mpesa.domain.told import Told, WitnessKind
from mpesa.models import Order, StatusQuestion, Transaction, UTCDateTime, Witness
from mpesa.models import Receipt as ReceiptRow
from mpesa.receipts import Arrived, Needs, as_kept, payer_marked, with_told, witness_of

# As `candidates`: a payment comes at most so long after its push, and clocks differ.
_AFTER_PUSH, _CLOCKS = timedelta(minutes=15), timedelta(minutes=1)
# Pushes without a receipt that are compared one by one; among more, all are left to `receipts`.
_MOST_PUSHES = 500


@dataclass(frozen=True, slots=True)
class Telling:
    """One receipt as a statement tells it.

    Attributes:
        told: what was read of the body.
        arrived: the body; nothing that an address sent is taken in here.
    """

    told: Told
    arrived: Arrived


def take_in(connection: Connection, tellings: Sequence[Telling], needs: Needs) -> dict[str, str]:
    """Take in what changes no order; nothing is committed, so that other rows may go along.

    A receipt that somebody else has locked is left out; none is waited for.

    Args:
        connection: it has begun a write, see `database.writing`.
        tellings: of different receipts.

    Returns:
        One word for what became of each receipt that was taken in, by its number; the others are
        for `receipts.take_in`.

    Raises:
        IntegrityError: another witness of a new receipt was faster; nothing may be committed.
    """
    organisation, now = records.shop_of(connection).short_code, needs.now()
    sound = [
        Telling(payer_marked(each.told, needs), each.arrived)
        for each in tellings
        if each.told.short_code is None or each.told.short_code in needs.numbers
    ]
    known, taken = _known(connection, organisation, [each.told.receipt for each in sound])
    old = [each for each in sound if each.told.receipt in taken]
    new = [each for each in sound if each.told.receipt not in known]
    return {
        **_add_witnesses(connection, old, taken, now),
        **_keep_nobodys(connection, organisation, new, needs, now),
    }


# -- receipts that have their order ----------------------------------------------------------------


def _known(
    connection: Connection, organisation: str, numbers: Sequence[str]
) -> tuple[set[str], dict[str, Receipt]]:
    """The numbers that are known, and those receipts whose lock could be had at once."""

    def named(some: Iterable[str]) -> tuple[ColumnElement[bool], ...]:
        return (
            ReceiptRow.organisation == organisation,
            ReceiptRow.direction == Direction.IN.value,
            ReceiptRow.receipt.in_(list(some)),
        )

    locked = books.RECEIPTS.where(*named(numbers)).order_by(ReceiptRow.id)
    rows = connection.execute(locked.with_for_update(skip_locked=True))
    taken = {each.receipt: each for each in map(books.receipt_of, rows)}
    others = set(numbers) - taken.keys()
    known = connection.scalars(select(ReceiptRow.receipt).where(*named(others))) if others else ()
    return {*taken, *known}, taken


def _add_witnesses(
    connection: Connection, tellings: Sequence[Telling], known: Mapping[str, Receipt], now: datetime
) -> dict[str, str]:
    """Add a witness to each receipt that has its order, or went back, where nothing contradicts."""
    if not tellings:
        return {}
    settled = [each for each in tellings if _adds_a_witness(each, known[each.told.receipt])]
    own = [known[each.told.receipt] for each in settled]
    names = _own_names(connection, [each.transaction_id for each in own if each.transaction_id])
    others = _naming_orders(connection, [each.told.account or "" for each in settled])
    words = [records.fingerprint(each.arrived.body) for each in settled]
    same_words = select(Witness.fingerprint).where(
        Witness.kind == WitnessKind.STATEMENT.value, Witness.fingerprint.in_(words), Witness.judged
    )
    told_before = set(connection.scalars(same_words))
    changed, witnesses, verdicts = [], [], dict[str, str]()
    for each, receipt in zip(settled, own, strict=True):
        account = each.told.account or ""
        if matching.normalised(account) in others and receipt.transaction_id is not None:
            sent, forms = names[receipt.transaction_id]
            if account not in sent and matching.normalised(account) not in forms:
                continue  # it names another order
        verdicts[receipt.receipt] = "known"
        arrived = each.arrived
        witnesses.append(witness_of(receipt, arrived, now).values)
        after = with_told(receipt, each.told, arrived.kind, receipt.organisation, now, listed=True)
        if after != receipt and records.fingerprint(arrived.body) not in told_before:
            changed.append({**{name: getattr(after, name) for name in _TOLD}, "row": after.id})
    books.write_many(connection, _CHANGE_WHAT_IS_TOLD, changed)
    books.write_many(connection, books.ADD_WITNESS, witnesses)
    return verdicts


def _adds_a_witness(each: Telling, receipt: Receipt) -> bool:
    settled = receipt.state in (State.CLAIMED, State.RETURNED) or receipt.refund_id is not None
    return settled and receipt.amount == each.told.amount and not receipt.needs_review


# What `with_told` may change of a receipt whose amount is the same.
_TOLD = (
    "listed", "trust", "short_code", "account", "payer_masked", "payer_hash", "payer_name",
    "paid_at", "paid_at_doubtful",
)  # fmt: skip
_receipts = ReceiptRow.__table__.c
_CHANGE_WHAT_IS_TOLD = (
    update(ReceiptRow)
    .where(_receipts.id == bindparam("row"))
    .values({name: bindparam(name, type_=_receipts[name].type) for name in _TOLD})
)


def _own_names(
    connection: Connection, transaction_ids: Sequence[str]
) -> dict[str, tuple[set[str | None], set[str | None]]]:
    """By transaction: what pushes of its order sent as account, and the order's names as forms."""
    attempts = Transaction.__table__.alias("attempts")
    found = connection.execute(
        select(Transaction.id, Order.pay_code, Order.reference, attempts.c.account_reference)
        .join(Order, Order.id == Transaction.order_id)
        .join(attempts, attempts.c.order_id == Order.id)
        .where(Transaction.id.in_(transaction_ids))
    )
    names: dict[str, tuple[set[str | None], set[str | None]]] = {}
    for row in found:
        sent, forms = names.setdefault(row.id, (set(), set()))
        sent.add(row.account_reference)
        forms |= {row.pay_code, matching.normalised(row.reference)}
    return names


# -- money that is nobody's ------------------------------------------------------------------------


def _keep_nobodys(
    connection: Connection,
    organisation: str,
    tellings: Sequence[Telling],
    needs: Needs,
    now: datetime,
) -> dict[str, str]:
    """Keep new receipts that no order, push or typed code can be the reason for."""
    if not tellings:
        return {}
    named = _naming_orders(connection, [each.told.account or "" for each in tellings])
    numbers = [each.told.receipt for each in tellings]
    questions = select(StatusQuestion.receipt).where(
        StatusQuestion.receipt.in_(numbers), ~StatusQuestion.done
    )
    typed = set(connection.scalars(questions))
    pushes = _pushes_without_receipt(connection, tellings, now)
    added, witnesses, verdicts = [], [], dict[str, str]()
    for each in tellings:
        told, form = each.told, matching.normalised(each.told.account or "")
        # Nine digits may be one slip from a pay code, which takes a look of its own.
        is_code = len(form) == pay_code.LENGTH and form.isdigit()
        if is_code or form in named or told.receipt in typed or pushes.may_be_of(told, now):
            continue
        heard = Heard(told, frozenset({each.arrived.kind}), now)
        verdict = matching.judge(heard, [], needs.proof_from, needs.mark_of)
        if not isinstance(verdict, Keep) or verdict.state is not State.UNCLAIMED:
            continue
        new = with_told(None, told, each.arrived.kind, organisation, now, listed=True)
        receipt = as_kept(new, verdict, None, now)
        verdicts[told.receipt] = receipt.state.value
        added.append(books.kept(receipt, None))
        witnesses.append(witness_of(receipt, each.arrived, now).values)
    if added:
        books.write_many(connection, added[0].statement, [each.values for each in added])
    books.write_many(connection, books.ADD_WITNESS, witnesses)
    return verdicts


def _naming_orders(connection: Connection, accounts: Iterable[str]) -> set[str]:
    """The forms, among those of some accounts, by which any order is named."""
    forms = {matching.normalised(each) for each in accounts} - {""}
    if not forms:
        return set()
    named = select(Order.pay_code, Order.account_form).where(
        or_(Order.pay_code.in_(forms), Order.account_form.in_(forms))
    )
    found = connection.execute(named.distinct()).all()
    return forms & {name for row in found for name in row if name}


@dataclass(frozen=True, slots=True)
class _Pushes:
    """Pushes that may still be paid by a receipt.

    Attributes:
        accounts: that were sent with them.
        amounts: of those of which nobody has to tell an account, in cents, each with its time.
        too_many: there are more of the latter than were read.
    """

    accounts: set[str | None]
    amounts: Sequence[tuple[int, datetime]]
    too_many: bool

    def may_be_of(self, told: Told, now: datetime) -> bool:
        """Whether a receipt may be the money of one of them."""
        if told.account:
            return told.account in self.accounts
        moments = (told.paid_at or now, now)
        return self.too_many or any(
            amount == told.amount and begun - _CLOCKS <= moment <= begun + _AFTER_PUSH
            for amount, begun in self.amounts
            for moment in moments
        )


def _pushes_without_receipt(
    connection: Connection, tellings: Sequence[Telling], now: datetime
) -> _Pushes:
    waiting = and_(
        Transaction.channel == Channel.PUSH.value,
        Transaction.receipt.is_(None),
        or_(Transaction.status != Status.FAILED.value, ~Transaction.final),
    )
    accounts = {each.told.account for each in tellings if each.told.account}
    by_account = select(Transaction.account_reference).where(
        waiting, Transaction.account_reference.in_(accounts)
    )
    sent = set(connection.scalars(by_account.distinct())) if accounts else set()
    bare = [each.told for each in tellings if not each.told.account]
    if not bare:
        return _Pushes(sent, (), too_many=False)
    moments = [each.paid_at for each in bare if each.paid_at is not None] or [now]
    by_amount = select(Transaction.amount, Transaction.created_at).where(
        waiting,
        Transaction.amount.in_({each.amount // 100 for each in bare}),
        or_(_begun_for(min(moments), max(moments)), _begun_for(now, now)),
    )
    found = connection.execute(by_amount.limit(_MOST_PUSHES + 1)).all()
    amounts = [(each.amount * 100, each.created_at) for each in found]
    return _Pushes(sent, amounts, too_many=len(found) > _MOST_PUSHES)


def _begun_for(first: datetime, last: datetime) -> ColumnElement[bool]:
    """Begun when money that came between two moments may be theirs."""
    return and_(
        Transaction.created_at >= bindparam(None, first - _AFTER_PUSH, UTCDateTime()),
        Transaction.created_at <= bindparam(None, last + _CLOCKS, UTCDateTime()),
    )
