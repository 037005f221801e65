"""Fill a new database with a month of a shop's books: payments, refunds and statements, by people.

For the pictures of the console. Days of `busy_days`, and on top of them what the product's own
functions make: money by hand, money that no order has, money given back, and a statement of each
day, the last of which differs from the books.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app import create_app
from mpesa import ledger, operators, orders, receipts, refunds
from mpesa.config import SANDBOX_SHORT_CODE, Settings
from mpesa.domain.callback import StkResult
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.receipt import Direction as Way
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.roles import Role
from mpesa.domain.settlement import CallbackReceived
from mpesa.domain.statement_lines import start_of
from mpesa.models import Order, Receipt, Transaction, db
from mpesa.orders import NewOrder
from mpesa.runtime import database
from mpesa.simulator import keys
from mpesa.simulator.books import Account, Books
from mpesa.simulator.ids import receipt_number
from mpesa.simulator.merchants import payee_of
from mpesa.simulator.movement import Channel, Direction, Movement
from mpesa.simulator.people import masked, name_of
from mpesa.simulator.statement import Day, Family, as_csv, entries_of, statement
from mpesa.statements import closing, importing, reading
from mpesa.statements.importing import Given
from mpesa.web.http.services import (
    receipt_needs,
    refund_needs,
    refund_sending,
    services,
    statement_needs,
)
from scripts.busy_days import GOODS, fill
from tests.factories import confirmation, raw
from tests.fakes import FakeDaraja

# A Friday in Nairobi, twenty to eight in the evening, so that pictures show the whole of a day.
EVENING = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)
TODAY = nairobi_day(EVENING)
YESTERDAY = TODAY - timedelta(days=1)
MANAGER, CLERK, PASSWORD = "amina", "juma", "the password of a picture"
_DAYS, _A_DAY = 19, 320
# With this one, M-PESA is in trouble in no other hour of the evening's day.
_SEED = 40
# Nobody has taken in this day's statement, so the days after it are not closed either.
_WAITS = date(2026, 11, 22)
# KES that stay in the account when the rest goes to the bank at night.
_KEPT = 20_000


def at(hour: int, minute: int, day: date = TODAY) -> datetime:
    """A time of a day in Nairobi."""
    return start_of(day) + timedelta(hours=hour, minutes=minute)


def make(database_url: str) -> None:
    """Fill a database, which need not be migrated."""
    month = _Month(database_url)
    with month.app.app_context():
        database.migrate()
        fill(db.engine, EVENING, _DAYS * _A_DAY, _SEED, _DAYS)
        month.hire()
        for day, last in ((YESTERDAY, at(21, 0, YESTERDAY)), (TODAY, at(19, 20))):
            month.pay_by_hand(day, last)
        month.give_back("Sent back: the hat was too small", at(16, 20, YESTERDAY))
        month.give_back("Sent back: the basket came damaged", at(11, 5))
        month.leave_unclaimed()
        month.pay_twice()
        month.contradict()
        month.prove()
        db.engine.dispose()


class _Month:
    """The shop, its people, and M-PESA beside it.

    Attributes:
        now: the clock of the shop, which goes where the story is.
        payers: who sent what by hand, by receipt.
    """

    def __init__(self, database_url: str) -> None:
        self.now = EVENING
        self.chance = random.Random(11)  # noqa: S311 - made-up days, no secrets
        self.payers: dict[str, str] = {}
        self.daraja = FakeDaraja()
        self.daraja.certificate = keys.certificate  # type: ignore[method-assign]
        self.app = create_app(
            Settings.from_env({"DATABASE_URL": database_url}),
            daraja=self.daraja,  # type: ignore[arg-type]
            now=lambda: self.now,
        )

    def hire(self) -> None:
        """Add a manager, who may release, and a clerk."""
        for name, role in ((MANAGER, Role.MANAGER), (CLERK, Role.CLERK)):
            operators.add(db.session(), name, PASSWORD, EVENING, role)
        operators.enrol(db.session(), MANAGER, services().settings.secret_key)

    def order(self, amount: int, description: str, reference: str, when: datetime) -> str:
        """The pay code of a new order."""
        new = NewOrder(amount, reference, description)
        return orders.create(db.session(), new, when).order.pay_code or ""

    def confirm(self, account: str, amount: int, when: datetime) -> str:
        """M-PESA tells of money by hand; returns its receipt."""
        self.now = when = when + timedelta(seconds=self.chance.randrange(60))
        receipt = receipt_number(when, self.chance)
        payer = self.payers[receipt] = f"2547{self.chance.randrange(10**8):08d}"
        body = confirmation(
            account,
            receipt=receipt,
            amount=f"{amount}.00",
            TransTime=f"{when + timedelta(hours=3):%Y%m%d%H%M%S}",
            MSISDN=masked(payer),
            FirstName=name_of(payer).first,
        )
        receipts.receive(db.session(), raw(body), "196.201.212.69", receipt_needs())
        return receipt

    def pay_by_hand(self, day: date, last: datetime) -> None:
        """Some orders of a day are paid with their pay codes."""
        begun = at(8, 10, day)
        for number in range(24):
            when = begun + (last - begun) * (number / 23)
            goods, price = self.chance.choice(GOODS)
            code = self.order(
                price, goods, f"DUKA-H{day:%d}{number:02d}", when - timedelta(minutes=4)
            )
            self.confirm(code, price, when)

    def leave_unclaimed(self) -> None:
        """Money of which no rule can say whose it is."""
        self.confirm("WANJIKU", 1250, at(11, 42))
        code = self.order(1600, "Kikoi", "DUKA-08107", at(15, 9))
        mistyped = code[:-1] + str((int(code[-1]) + 1) % 10)
        self.confirm(mistyped, 1600, at(15, 14))
        code = self.order(1850, "Maasai shuka", "DUKA-08164", at(19, 26))
        self.confirm(code, 1800, at(19, 31))
        self.order(4800, "Kiondo basket, 2 pieces", "INV-2041", at(19, 18))
        self.order(2400, "Kiondo basket", "INV-2041", at(19, 27))
        self.confirm("inv 2041", 2400, at(19, 35))

    def give_back(self, reason: str, when: datetime) -> None:
        """A payment of the last hour goes back: asked for by the clerk, released by the manager."""
        self.now = when
        receipt, amount = self._paid_before(when)
        refund, _ = refunds.ask(
            db.session(), refunds.Wanted(receipt, reason, CLERK), refund_needs()
        )
        self.now += timedelta(minutes=6)
        refunds.release(db.session(), refund.id, MANAGER, refund_needs())
        refunds.send_next(db.session(), refund_sending())
        self.now += timedelta(seconds=9)
        _path, sent = self.daraja.posts[-1]
        told = {"OriginalTransactionID": receipt, "Amount": amount / 100}
        parameters = [{"Key": name, "Value": value} for name, value in told.items()]
        result = {
            "ResultType": 0,
            "ResultCode": "0",
            "ResultDesc": "The service request is processed successfully.",
            "TransactionID": receipt_number(self.now, self.chance),
            "ResultParameters": {"ResultParameter": parameters},
        }
        self.app.test_client().post(urlsplit(sent["ResultURL"]).path, json={"Result": result})
        refunds.judge_waiting(db.session(), refund_sending())

    def pay_twice(self) -> None:
        """An order that its push had paid is paid by hand again, and the clerk asks to undo it."""
        receipt, amount = self._paid_before(at(18, 40))
        code = (
            db.session()
            .scalars(
                select(Order.pay_code)
                .join(Transaction, Transaction.order_id == Order.id)
                .where(Transaction.receipt == receipt)
            )
            .one()
        )
        second = self.confirm(code or "", amount // 100, at(18, 43))
        self.now = at(19, 22)
        wanted = refunds.Wanted(second, "Paid twice: by prompt, and by hand as well", CLERK)
        refunds.ask(db.session(), wanted, refund_needs())

    def _paid_before(self, when: datetime) -> tuple[str, int]:
        """The newest payment by push at some time: its receipt, and cents."""
        paid = select(Receipt.receipt, Receipt.amount).where(
            Receipt.paid_at < when - timedelta(minutes=2), Receipt.amount.between(150_000, 500_000)
        )
        newest = paid.order_by(Receipt.paid_at.desc()).limit(1)
        row = db.session().execute(newest).one()
        return row.receipt, row.amount

    def contradict(self) -> None:
        """Two payments that no rule can decide."""
        self.now = EVENING - timedelta(minutes=3)
        paid = select(Transaction.id).where(
            Transaction.status == Status.SUCCESS.value, Transaction.channel == "push"
        )
        failed = select(Transaction.id).where(Transaction.reason == Reason.CANCELLED.value)
        for stories, code in ((paid, "1032"), (failed, "7777")):
            session = db.session()
            newest = stories.where(Transaction.created_at < at(19, 30))
            found = session.scalars(newest.order_by(Transaction.created_at.desc())).first()
            row = session.get_one(Transaction, found)
            ids = row.merchant_request_id, row.checkout_request_id
            said = {"MerchantRequestID": ids[0], "CheckoutRequestID": ids[1]}
            body = {"Body": {"stkCallback": {**said, "ResultCode": int(code), "ResultDesc": "-"}}}
            told = Raw(Kind.CALLBACK, json.dumps(body).encode(), "196.201.214.200")
            evidence = CallbackReceived(StkResult(code, *ids))
            ledger.record(session, row.id, evidence, told, lambda: self.now)

    # -- statements ----------------------------------------------------------------------------

    def prove(self) -> None:
        """Each morning the statement of the day before is taken in, and most days are closed.

        Yesterday's was only looked at: it lacks one payment, has one more, and one has another
        amount.
        """
        at_mpesa = Books(_KEPT)
        for day in (TODAY - timedelta(days=ago) for ago in range(_DAYS - 1, 0, -1)):
            for movement in self._moved(day):
                if movement.direction is Direction.OUT:
                    at_mpesa.give_back(movement, "DUKA LA MFANO\\api")
                else:
                    at_mpesa.take(movement)
            night = at(23, 50, day)
            at_mpesa.fund(_KEPT, lambda when=night: receipt_number(when, self.chance), night)
            self.now = at(8, 20, day + timedelta(days=1))
            if day == _WAITS:
                continue
            with self._kept(day, at_mpesa) as (file_id, read):
                if day == YESTERDAY:
                    continue
                importing.settle(db.session(), file_id, statement_needs(), read)
            if day < _WAITS:
                self.now += timedelta(minutes=5)
                closing.close(db.session(), day, MANAGER, services().now, {})
        self.now = EVENING

    @contextmanager
    def _kept(self, day: date, at_mpesa: Books) -> Iterator[tuple[str, reading.ReadStatement]]:
        """The portal's export of a day, looked at and kept."""
        account = Account.UTILITY
        opening, entries = entries_of(
            day,
            at_mpesa.entries(SANDBOX_SHORT_CODE),
            [account],
            at_mpesa.balance(SANDBOX_SHORT_CODE, account),
        )
        shown = Day(
            "Duka la Mfano", SANDBOX_SHORT_CODE, account, day, opening, entries, made_at=self.now
        )
        made = statement(shown, Family.A, None, is_odd=False)
        given = Given(as_csv(made, is_odd=False), f"{made.name}.csv", None, CLERK)
        needs = statement_needs()
        with reading.read(given.raw, importing.asked(needs, given)) as read:
            found = importing.look(db.session(), read)
            file_id, _new = importing.keep(db.session(), given, read, self.now, found)
            yield file_id, read

    def _moved(self, day: date) -> list[Movement]:
        """What moved on a day, as M-PESA has it."""
        moved = [*_movements(db.session(), day, self.payers)]
        if day == YESTERDAY:
            lost, other = moved[len(moved) // 3], moved[len(moved) // 2]
            moved.remove(lost)
            other.amount -= 100
            when = at(17, 48, day)
            number = receipt_number(when, self.chance)
            moved.append(_movement(number, "254722804613", 2400, "MAMA NEEMA", when))
        return sorted(moved, key=lambda each: each.paid_at)


def _movements(session: Session, day: date, payers: dict[str, str]) -> Iterator[Movement]:
    when: ColumnElement[datetime] = func.coalesce(Receipt.paid_at, Receipt.learned_at)
    rows = session.execute(
        select(Receipt, Transaction.msisdn, Order.reference)
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(when >= start_of(day), when < start_of(day + timedelta(days=1)))
        .order_by(when)
    )
    for receipt, msisdn, reference in rows:
        payer = msisdn or payers.get(receipt.receipt, "254712345678")
        movement = _movement(
            receipt.receipt,
            payer,
            receipt.amount // 100,
            receipt.account or reference or "",
            receipt.paid_at or receipt.learned_at,
        )
        if receipt.direction == Way.OUT.value:
            movement.direction, movement.reverses = Direction.OUT, receipt.returned_by
        yield movement


def _movement(number: str, msisdn: str, amount: int, account: str, when: datetime) -> Movement:
    payee = payee_of(SANDBOX_SHORT_CODE, "x")
    return Movement(number, Direction.IN, Channel.HAND, payee, msisdn, amount, account, when)
