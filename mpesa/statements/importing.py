"""Import a statement: look at what it would change, keep it, and settle each of its lines.

A file is kept before anything is made of it. From then on it makes no difference who carries its
import on: lines are stored and settled in batches, each in commits of its own, and a crash costs a
batch that is then done once more, to no effect.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import Row, Table, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import books, many_receipts, receipts, records
from mpesa.database import writing
from mpesa.domain.receipt import Direction, State
from mpesa.domain.statement_lines import Asked, Line, LineKind, StatementDefect
from mpesa.domain.told import WitnessKind
from mpesa.ids import new_id
from mpesa.many_receipts import Telling
from mpesa.models import Receipt, StatementDay, StatementFile, StatementLine, UTCDateTime
from mpesa.statements import reversals
from mpesa.statements.comparing import paid_on
from mpesa.statements.reading import ReadStatement, read
from mpesa.statements.reversals import Reversal

# As a table: its rows outlive the rollbacks between them.
_lines = cast(Table, StatementLine.__table__)
# Lines of one commit.
BATCH = 100
# Keys that are looked up at once; SQLite takes some thousands of values.
_LOOKED_UP = 500
# A batch takes seconds; a process that dies meanwhile holds up the import for so long.
_LEASE = timedelta(minutes=5)
# A file that was only looked at is kept until the next day.
_LOOKED_AT_FOR = timedelta(hours=24)
# Two clocks never differ by as much; a spreadsheet that shifts times by a zone does.
_SHIFTED = timedelta(hours=1)
_WITH_AN_ORDER = (State.CLAIMED.value, State.RETURNED.value)
_Each = TypeVar("_Each")


@dataclass(frozen=True)
class Needs:
    """The means to import statements.

    Attributes:
        receipts: the means to take in payments.
        now: the clock, aware UTC.
        rest: called after each commit, so that a long file delays nobody else's work.
    """

    receipts: receipts.Needs
    now: Callable[[], datetime]
    rest: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Given:
    """A file as somebody gives it to us.

    Attributes:
        name: the file's.
        days: that it covers, by a person's word; None: the file or its name tells.
        by: who gave it.
    """

    raw: bytes
    name: str
    days: tuple[date, date] | None
    by: str

    @property
    def sha256(self) -> str:
        """What the same file is known again by."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass
class Found:
    """What an import finds, or would.

    Attributes:
        counts, sums: of lines, by kind; sums in cents.
        both: payments that an order here has, or that went back.
        only_there: those that no order has.
        differ: those known with another amount.
        only_here: receipts of its days that it lacks.
        before: lines that an earlier statement had.
    """

    counts: Counter[LineKind] = field(default_factory=Counter)
    sums: Counter[LineKind] = field(default_factory=Counter)
    both: int = 0
    only_there: int = 0
    differ: int = 0
    only_here: int = 0
    before: int = 0

    def as_json(self) -> str:
        """As it is kept with the file."""
        return json.dumps({**asdict(self), "counts": dict(self.counts), "sums": dict(self.sums)})

    @classmethod
    def from_json(cls, kept: str) -> "Found":
        """Read what `as_json` wrote."""
        fields = json.loads(kept)
        for name in ("counts", "sums"):
            fields[name] = Counter({LineKind(kind): n for kind, n in fields[name].items()})
        return cls(**fields)


def asked(needs: Needs, given: Given) -> Asked:
    """What is known of a file beside its content."""
    return Asked(needs.receipts.numbers, needs.now(), given.name, given.days)


def look(session: Session, statement: ReadStatement) -> Found:
    """Compare a statement with the books, without changing anything.

    Raises:
        StatementDefect: it contradicts an earlier statement, or its times are shifted.
    """
    organisation = records.shop_of(session.connection()).short_code
    found, told, shifts = Found(), set[str](), Counter[bool]()
    for batch in batches(statement.lines(), _LOOKED_UP):
        _check_earlier(session, organisation, batch, found)
        payments = {each.receipt: each for each in batch if each.kind is LineKind.PAYMENT}
        known = select(
            Receipt.receipt,
            Receipt.amount,
            Receipt.state,
            Receipt.paid_at,
            Receipt.paid_at_doubtful,
        ).where(
            Receipt.organisation == organisation,
            Receipt.direction == Direction.IN.value,
            Receipt.receipt.in_(payments),
        )
        rows = session.execute(known).all()
        for row in rows:
            line = payments[row.receipt]
            found.differ += row.amount != line.amount
            found.both += row.amount == line.amount and row.state in _WITH_AN_ORDER
            if row.paid_at is not None and not row.paid_at_doubtful:
                shifts[abs(row.paid_at - line.at) > _SHIFTED] += 1
        told |= payments.keys()
        for each in batch:
            found.counts[each.kind] += 1
            found.sums[each.kind] += each.amount
    found.only_there = found.counts[LineKind.PAYMENT] - found.both - found.differ
    if shifts[True] > shifts[False]:
        raise StatementDefect("its times are hours away from what M-PESA told: export it again")
    for day in statement.head.balances:
        ours = select(Receipt.receipt).where(paid_on(organisation, day))
        found.only_here += sum(number not in told for number in session.scalars(ours))
    return found


def keep(
    session: Session,
    given: Given,
    statement: ReadStatement,
    now: datetime,
    found: Found | None = None,
) -> tuple[str, bool]:
    """Keep a file that was read; nothing is made of it yet.

    Args:
        found: what a look at it found.

    Returns:
        Its id, and whether it is new: the same file is kept once.
    """
    organisation = records.shop_of(session.connection()).short_code
    head = statement.head
    values = {
        "id": new_id(),
        "organisation": organisation,
        "sha256": given.sha256,
        "name": given.name[:200],
        "days_said": "..".join(each.isoformat() for each in given.days) if given.days else None,
        "family": head.family.value,
        "short_code": head.short_code,
        "account": head.account[:64],
        "since": head.since,
        "until": head.until,
        "vouched": head.vouched,
        "raw": given.raw,
        "rows": statement.rows,
        "found": found.as_json() if found else None,
        "kept_by": given.by[:64],
        "kept_at": now,
    }
    days = [
        {
            "file_id": values["id"],
            "day": day.isoformat(),
            "opening": each.opening,
            "closing": each.closing,
        }
        for day, each in head.balances.items()
    ]
    if (earlier := _kept(session, organisation, given.sha256)) is not None:
        return earlier, False
    try:
        with writing(session):
            connection = session.connection()
            connection.execute(insert(StatementFile), values)
            if days:
                connection.execute(insert(StatementDay), days)
    except IntegrityError:  # the same file, at the same moment
        earlier = _kept(session, organisation, given.sha256)
        if earlier is None:
            raise
        return earlier, False
    return str(values["id"]), True


def _kept(session: Session, organisation: str, sha256: str) -> str | None:
    return session.scalars(
        select(StatementFile.id).where(
            StatementFile.organisation == organisation, StatementFile.sha256 == sha256
        )
    ).one_or_none()


def begin(session: Session, file_id: str, now: datetime) -> None:
    """Have a kept file imported; once more changes nothing."""
    with writing(session):
        session.execute(
            update(StatementFile)
            .where(StatementFile.id == file_id, StatementFile.begun_at.is_(None))
            .values(begun_at=now)
        )


def drop_looked_at(session: Session, now: datetime) -> None:
    """Drop files that were only looked at, a day ago or more."""
    with writing(session):
        session.execute(
            delete(StatementFile).where(
                StatementFile.begun_at.is_(None),
                or_(StatementFile.kept_at <= now - _LOOKED_AT_FOR, StatementFile.kept_at > now),
            )
        )


def carry_on(session: Session, needs: Needs) -> bool:
    """Carry on with the import that was begun first and is not done.

    Returns:
        Whether there was one, and no other process is at it.
    """
    waiting = select(StatementFile.id).where(
        StatementFile.done_at.is_(None), StatementFile.begun_at.is_not(None)
    )
    file_id = session.scalars(waiting.order_by(StatementFile.begun_at).limit(1)).first()
    return file_id is not None and settle(session, file_id, needs)


def settle(
    session: Session,
    file_id: str,
    needs: Needs,
    statement: ReadStatement | None = None,
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> bool:
    """Store and settle the lines of a file, from where it was left.

    Args:
        statement: the file as it was read; None: it is read again.
        progress: told how many lines of how many are done; stored is half of it.

    Returns:
        False: another process is at it, or it is done.

    Raises:
        SQLAlchemyError: the database failed; the rest is done when it is carried on.
    """
    if not _claimed(session, file_id, needs.now()):
        return False
    file = session.get_one(StatementFile, file_id, populate_existing=True)
    rows, short_code = file.rows, file.short_code

    def store(statement: ReadStatement) -> None:
        for stored in _store(session, file_id, statement, needs):
            progress(stored // 2, rows)

    if file.stored < rows:
        if statement is not None:
            store(statement)
        else:
            with read_again(session, file, needs) as again:
                store(again)
    unsettled = select(_lines.c.id).where(_lines.c.file_id == file_id, _lines.c.verdict.is_(None))
    waiting = session.scalars(unsettled.order_by(_lines.c.turn)).all()
    done = file.settled
    for ids in batches(waiting, BATCH):
        batch = session.execute(
            select(_lines).where(_lines.c.id.in_(ids)).order_by(_lines.c.turn)
        ).all()
        _settle_batch(session, file_id, batch, short_code, needs)
        done += len(batch)
        progress((rows + done) // 2, rows)
    with writing(session):
        session.execute(
            update(StatementFile)
            .where(StatementFile.id == file_id)
            .values(settled=StatementFile.rows, done_at=needs.now(), claimed_until=None)
        )
    progress(rows, rows)
    return True


@contextmanager
def read_again(session: Session, file: StatementFile, needs: Needs) -> Iterator[ReadStatement]:
    """Read a file that is kept, as it was read when it was given.

    Args:
        session: a read that it had begun is ended: PostgreSQL lets none rest for long.

    Raises:
        StatementDefect: it can no longer be read.
        ReaderBusy: other statements are being read.
    """
    days = file.days_said.split("..") if file.days_said else None
    again = Asked(
        numbers=needs.receipts.numbers | ({file.short_code} if file.short_code else set()),
        now=file.kept_at,
        name=file.name,
        days=(date.fromisoformat(days[0]), date.fromisoformat(days[1])) if days else None,
    )
    raw = file.raw or b""
    session.rollback()
    with read(raw, again) as statement:
        yield statement


def _claimed(session: Session, file_id: str, now: datetime) -> bool:
    # A time further ahead than its rule allows was written before the clock stepped back.
    free = or_(
        StatementFile.claimed_until.is_(None),
        StatementFile.claimed_until <= now,
        StatementFile.claimed_until > now + _LEASE,
    )
    with writing(session):
        taken = session.execute(
            update(StatementFile)
            .where(StatementFile.id == file_id, StatementFile.done_at.is_(None), free)
            .values(claimed_until=now + _LEASE, begun_at=func.coalesce(StatementFile.begun_at, now))
            .returning(StatementFile.id)
        ).all()
    return bool(taken)


def _store(session: Session, file_id: str, statement: ReadStatement, needs: Needs) -> Iterator[int]:
    """Store the lines that no earlier statement had, a hundred to a commit; tells how many."""
    organisation = records.shop_of(session.connection()).short_code
    turn = 0
    for batch in batches(statement.lines(), BATCH):
        now = needs.now()
        rows = [
            {
                "file_id": file_id,
                "organisation": organisation,
                "key": each.key,
                "place": each.place,
                "turn": turn + number,
                "receipt": each.receipt,
                "at": each.at,
                "day": each.day.isoformat(),
                "kind": each.kind.value,
                "amount": each.amount,
                "balance": each.balance,
                "details": each.details,
                "linked": each.linked,
                "account": each.account,
                "payer": each.payer,
                "name": each.name,
                "added_at": now,
            }
            for number, each in enumerate(batch)
        ]
        turn += len(batch)
        with writing(session):
            books.write_many(session.connection(), _ADD_LINE, rows)
            session.execute(
                update(StatementFile)
                .where(StatementFile.id == file_id)
                .values(stored=turn, claimed_until=now + _LEASE)
            )
        yield turn
        needs.rest()


def _settle_batch(
    session: Session,
    file_id: str,
    batch: Sequence["Row[Any]"],
    short_code: str | None,
    needs: Needs,
) -> None:
    """Settle some lines: in one commit all that change no order, and then the others."""
    at_once = {
        each.receipt: Telling(_line(each).told(short_code), _arrived(each))
        for each in batch
        if each.kind == LineKind.PAYMENT.value
    }
    said: dict[int, str | None] = {}
    with suppress(IntegrityError), writing(session):  # another witness was faster: one by one
        words = many_receipts.take_in(session.connection(), list(at_once.values()), needs.receipts)
        said = {each.id: _word_at_once(each, words) for each in batch}
        _write_verdicts(session, file_id, said, needs)
    needs.rest()
    if left := [each for each in batch if said.get(each.id) is None]:
        said = {each.id: _settled(session, each, short_code, needs) for each in left}
        with writing(session):
            _write_verdicts(session, file_id, said, needs)


def _word_at_once(line: "Row[Any]", words: Mapping[str, str]) -> str | None:
    if line.kind == LineKind.PAYMENT.value:
        return words.get(line.receipt)
    return None if line.kind == LineKind.REVERSAL.value else "noted"


def _write_verdicts(
    session: Session, file_id: str, said: Mapping[int, str | None], needs: Needs
) -> None:
    """Write down what became of lines; those without a word stay unsettled."""
    for word in sorted({each for each in said.values() if each is not None}):
        ids = [line for line, its in said.items() if its == word]
        session.execute(update(_lines).where(_lines.c.id.in_(ids)).values(verdict=word))
    count = sum(each is not None for each in said.values())
    session.execute(
        update(StatementFile)
        .where(StatementFile.id == file_id)
        .values(settled=StatementFile.settled + count, claimed_until=needs.now() + _LEASE)
        .execution_options(synchronize_session=False)
    )


def _settled(session: Session, line: "Row[Any]", short_code: str | None, needs: Needs) -> str:
    """Make of a line what it tells; returns one word for it."""
    needs.rest()
    if line.kind == LineKind.PAYMENT.value:
        told = _line(line).told(short_code)
        return receipts.take_in(session, told, _arrived(line), needs.receipts)
    if line.kind == LineKind.REVERSAL.value:
        reversal = Reversal(line.receipt, -line.amount, line.at, line.linked, _body(line))
        means = reversals.Needs(needs.now, needs.receipts.announce)
        return reversals.take_in(session, reversal, means).value
    return "noted"


def _line(row: "Row[Any]") -> Line:
    return Line(
        place=row.place,
        receipt=row.receipt,
        at=row.at,
        details=row.details,
        kind=LineKind(row.kind),
        amount=row.amount,
        balance=row.balance,
        linked=row.linked,
        account=row.account,
        payer=row.payer,
        name=row.name,
    )


def _arrived(line: "Row[Any]") -> receipts.Arrived:
    return receipts.Arrived(WitnessKind.STATEMENT, _body(line))


def _body(line: "Row[Any]") -> bytes:
    """A line as evidence, the same in whatever file it stands."""
    fields = {
        "receipt": line.receipt,
        "completed_at": line.at.isoformat(),
        "details": line.details,
        "amount": line.amount,
        "account": line.account,
        "linked": line.linked,
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def _check_earlier(
    session: Session, organisation: str, batch: Sequence[Line], found: Found
) -> None:
    """Compare lines with those of the same movements in earlier statements.

    Raises:
        StatementDefect: an earlier one told of another amount or another time.
    """
    keys = {each.key: each for each in batch}
    earlier = select(StatementLine.key, StatementLine.amount, StatementLine.at).where(
        StatementLine.organisation == organisation, StatementLine.key.in_(keys)
    )
    for row in session.execute(earlier):
        line = keys[row.key]
        if (row.amount, row.at) != (line.amount, line.at):
            why = "an earlier statement has another amount or time for this row"
            raise StatementDefect(why, line.place)
        found.before += 1


def batches(lines: Iterable[_Each], size: int) -> Iterator[list[_Each]]:
    """Some at a time, in their order."""
    waiting = iter(lines)
    while batch := list(islice(waiting, size)):
        yield batch


_COLUMNS = (
    "file_id", "organisation", "key", "place", "turn", "receipt", "at", "day", "kind", "amount",
    "balance", "details", "linked", "account", "payer", "name", "added_at",
)  # fmt: skip
_ADD_LINE = text(
    f"INSERT INTO statement_lines ({', '.join(_COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
    " ON CONFLICT (organisation, key) DO NOTHING"
).bindparams(bindparam("at", type_=UTCDateTime()), bindparam("added_at", type_=UTCDateTime()))
