"""The morning after: the simulator's statements are imported, and each day is closed."""

import re
from collections.abc import Iterator, Mapping, Set
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import Result
from flask import Flask
from sqlalchemy import func, or_, select

from app import create_app
from mpesa import operators
from mpesa.config import Settings
from mpesa.domain.period import Period
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.roles import Role
from mpesa.models import Receipt, StatementLine, Transaction, db
from mpesa.runtime.wiring import utc_now
from mpesa.statements.comparing import Compared, DifferenceKind, compare, paid_without_number
from mpesa.web.console.stats import read_days
from tests.servers import Server
from tests.soak.shopper import RIGHT, ByHand

_MANAGER, _PASSWORD = "soak", "the manager of a soak"
_A_DAY = timedelta(days=1)
# Each family as each kind of file; the later ones tell nothing new.
_FILES = (("a", "csv"), ("b", "xlsx"), ("a", "xlsx"), ("b", "csv"))


def close_the_books(
    environment: Mapping[str, str],
    simulator: Server,
    folder: Path,
    begun: datetime,
    ledger: list[dict[str, Any]],
    by_hand: dict[str, ByHand],
) -> list[str]:
    """Import the statements of all days since the beginning, and close each.

    Args:
        environment: the server's, which has ended: our clock is a day ahead.
        ledger: the simulator's, complete.
        by_hand: what was paid by hand, by receipt.

    Returns:
        A sentence for each thing that is wrong.
    """
    simulator.put("/organisation", json={"clock_ahead": _A_DAY.total_seconds()}).raise_for_status()
    now = lambda: utc_now() + _A_DAY  # noqa: E731
    app = create_app(Settings.from_env(dict(environment)), now=now)
    first, last = nairobi_day(begun), nairobi_day(utc_now())
    days = [first + n * _A_DAY for n in range((last - first).days + 1)]
    with app.app_context():
        operators.add(db.session(), _MANAGER, _PASSWORD, now(), Role.MANAGER)
        wrong = [each for day in days for each in _imported(app, simulator, folder, day)]
        wrong += _against_the_ledger(ledger)
        for day in days:
            compared = compare(db.session(), day)
            wrong += _unexplained(compared, by_hand, _held_by_refunds(ledger))
            wrong += _closed(app, day, compared)
        wrong += _against_the_figures(Period(first, last))
        db.session.remove()
        db.engine.dispose()
    return wrong


def _imported(app: Flask, simulator: Server, folder: Path, day: date) -> Iterator[str]:
    for family, form in _FILES:
        wanted = {"day": day.isoformat(), "family": family}
        answer = simulator.get(f"/statement.{form}", params=wanted)
        answer.raise_for_status()
        named = re.search(r'filename="([^"]+)"', answer.headers["Content-Disposition"])
        assert named is not None
        file = folder / named[1]
        file.write_bytes(answer.content)
        done = _run(app, "statement", "import", str(file))
        print(done.output, end="")  # noqa: T201
        if done.exit_code:
            yield f"{file.name}: not imported"


def _closed(app: Flask, day: date, compared: Compared) -> Iterator[str]:
    word = ("--word", "not for an order") if compared.differences else ()
    done = _run(app, "days", "close", day.isoformat(), "--as", _MANAGER, *word)
    print(done.output, end="")  # noqa: T201
    if done.exit_code:
        yield f"{day}: not closed"


def _run(app: Flask, *arguments: str) -> Result:
    runner = app.test_cli_runner()
    return runner.invoke(args=arguments, input=f"{_PASSWORD}\n")


def _against_the_ledger(ledger: list[dict[str, Any]]) -> list[str]:
    """The law: the simulator's ledger, the receipts and the lines of statements are the same."""
    moved = {each["receipt"]: each["amount"] * 100 for each in ledger if each["direction"] == "in"}
    session = db.session()
    receipts = select(Receipt.receipt, Receipt.amount).where(Receipt.direction == "in")
    lines = select(StatementLine.receipt, StatementLine.amount).where(
        StatementLine.kind == "payment"
    )
    known, told = (dict(map(tuple, session.execute(each))) for each in (receipts, lines))
    return [
        f"{number}: the ledger has {moved.get(number)}, {what} {found.get(number)}"
        for what, found in (("the receipts", known), ("the statements", told))
        for number in sorted(moved.keys() | found.keys())
        if moved.get(number) != found.get(number)
    ]


def _against_the_figures(period: Period) -> list[str]:
    """The law: what the console calls received is what the receipts of its payments bring.

    And what M-PESA called paid, without a receipt that anybody has told.
    """
    session = db.session()
    figures = read_days(session, period)
    received = figures.total.taken + figures.hand.taken
    owned = select(func.sum(Receipt.amount)).where(Receipt.transaction_id.is_not(None))
    days = map(paid_without_number, period.days)
    unnamed = select(func.sum(Transaction.amount)).where(or_(*days))
    told = (session.scalar(owned) or 0) + 100 * (session.scalar(unnamed) or 0)
    return [f"the console has {received} cents, the receipts {told}"] if received != told else []


def _held_by_refunds(ledger: list[dict[str, Any]]) -> set[str]:
    """Receipts that no order can have, since their money is back or may be, and the pushes that
    paid them: M-PESA said that they are paid, and told no number.
    """
    gone = (Receipt.refund_id.is_not(None)) | (Receipt.state == "returned")
    receipts = set(db.session.scalars(select(Receipt.receipt).where(gone)))
    lines = [each["msisdn"] for each in ledger if each["receipt"] in receipts]
    return receipts | set(
        db.session.scalars(select(Transaction.id).where(Transaction.msisdn.in_(lines)))
    )


def _unexplained(compared: Compared, by_hand: dict[str, ByHand], held: Set[str]) -> list[str]:
    """Differences of a day but money by hand that was sent for no order, or not for its price.

    Args:
        held: receipts and transactions of money that is back, or may be.
    """
    wrong = [] if compared.is_covered else [f"{compared.day}: no statement covers it whole"]
    for each in compared.differences:
        paid = by_hand.get(each.receipt or "")
        unfit = each.receipt in held or (paid is not None and paid.kind not in RIGHT)
        gone = each.kind is DifferenceKind.NO_NUMBER and each.transaction_id in held
        if not (gone or (each.kind is DifferenceKind.UNCLAIMED and unfit)):
            wrong.append(f"{each.of_day}: {each.kind} {each.key}, {each.amount} cents, {paid}")
    return wrong
