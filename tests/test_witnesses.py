"""One receipt is one payment: in whatever order its witnesses come, the end is the same."""

import random
from dataclasses import dataclass
from itertools import permutations

import pytest
from sqlalchemy import func, select

from mpesa import receipts
from mpesa.domain.pull_rows import read_pull
from mpesa.domain.results import parse_result
from mpesa.domain.settlement import QueryAnswered
from mpesa.domain.status_answer import read_status_answer
from mpesa.domain.told import WitnessKind
from mpesa.models import Receipt, Transaction
from tests.conftest import on_both
from tests.domain.bodies import pull_answer, pull_row
from tests.factories import raw
from tests.questions import answer
from tests.shop import at_once


@dataclass
class Payment:
    """One payment of 150, by push or by hand, and those who tell of it."""

    shop: object
    receipt: str
    order: str
    push: str | None = None
    number: int = 0
    account: str = "INV-1"
    proof_from: int | None = None

    def callback(self):
        self.shop.callback(self.number, self.shop.paid(self.number, receipt=self.receipt))

    def query(self):
        self.shop.record(self.push, QueryAnswered("0"))

    def confirmation(self):
        named = {"receipt": self.receipt, "FirstName": "JUMA"}
        self.shop.confirm(self.account, proof_from=self.proof_from, **named)

    def pull(self):
        row = pull_row(
            transactionId=self.receipt, amount="150.00", billreference=self.account,
            trxDate="2026-11-24 12:00:10",
        )  # fmt: skip
        (told,) = read_pull(200, raw(pull_answer(row)), "174379").told
        self._take_in(told, WitnessKind.PULL)

    def status(self):
        body = raw(answer(self.receipt))
        told = read_status_answer(parse_result(body)).told(self.receipt)
        self._take_in(told, WitnessKind.STATUS)

    def _take_in(self, told, kind):
        needs = self.shop.receipt_needs(proof_from=self.proof_from)
        arrived = receipts.Arrived(kind, self.receipt.encode())
        with self.shop.sessions() as session:
            receipts.take_in(session, told, arrived, needs)

    def tick(self):
        with self.shop.sessions() as session:
            receipts.judge_again(session, self.shop.receipt_needs(proof_from=self.proof_from))

    def end(self):
        """All that has come of it, without ids and times."""
        self.tick()
        with self.shop.sessions() as session:
            receipt = session.scalars(select(Receipt).where(Receipt.receipt == self.receipt)).one()
            of_order = select(Transaction).where(Transaction.order_id == self.order)
            attempts = session.scalars(of_order.order_by(Transaction.attempt)).all()
            told = (receipt.state, receipt.amount, receipt.account, receipt.payer_hash,
                    receipt.payer_name, receipt.paid_at, receipt.paid_at_doubtful,
                    receipt.needs_review)  # fmt: skip
            return (
                *told,
                self.shop.order_row(self.order).status,
                [(each.channel, each.status, each.needs_review, each.receipt == self.receipt)
                 for each in attempts],
                receipt.transaction_id in [each.id for each in attempts],
            )  # fmt: skip


def pushed(shop, number, **changed):
    reference = changed.setdefault("account", f"REF-{number}")
    order = shop.order(reference=reference or f"REF-{number}")
    push = shop.start(order).transaction_id
    return Payment(shop, f"UKO1A{number:05d}", order, push, number, **changed)


def by_hand(shop, number, **changed):
    order = shop.order()
    code = shop.order_row(order).pay_code
    return Payment(shop, f"UKO2B{number:05d}", order, account=code, **changed)


def played(payment, names):
    for name in names:
        getattr(payment, name)()
    return payment.end()


@on_both
def test_of_a_push_all_orders_of_its_witnesses_end_alike(shop):
    chance, ends = random.Random(7), set()
    for number, order in enumerate(permutations(["callback", "confirmation", "pull", "status"]), 1):
        names = list(order)
        names.insert(chance.randrange(5), "query")

        end = played(pushed(shop, number), names)

        assert end[9] == [("push", "SUCCESS", False, True)], names
        ends.add(str((*end[:2], *end[3:])))
    assert len(ends) == 1


@on_both
def test_without_its_callback_they_do_as_well(shop):
    ends = set()
    for number, names in enumerate(permutations(["query", "confirmation", "pull", "status"]), 1):
        end = played(pushed(shop, number), names)

        assert end[9] == [("push", "SUCCESS", False, True)], names
        ends.add(str((*end[:2], *end[3:])))
    assert len(ends) == 1


@on_both
def test_at_a_till_they_do_as_well(shop):
    ends = set()
    for number, names in enumerate(permutations(["query", "confirmation", "pull", "status"]), 1):
        payment = pushed(shop, number, account="")
        end = played(payment, names)

        assert end[9] == [("push", "SUCCESS", False, True)], names
        ends.add(str(end))
    assert len(ends) == 1


@on_both
@pytest.mark.parametrize("proof_from", [None, 100])
def test_of_money_by_hand_all_orders_end_alike(shop, proof_from):
    ends = set()
    for number, names in enumerate(permutations(["confirmation", "pull", "status"]), 1):
        payment = by_hand(shop, number, proof_from=proof_from)
        end = played(payment, names)

        assert end[9] == [("hand", "SUCCESS", False, True)], names
        ends.add(str((*end[:2], *end[3:])))
    assert len(ends) == 1


@on_both
def test_all_at_once_are_one_payment_as_well(shop):
    for number in range(1, 4):
        payment = pushed(shop, number)
        names = ["callback", "confirmation", "pull", "status", "query"] * 2
        outcomes = at_once([getattr(payment, name) for name in names])

        assert outcomes == [None] * 10
        assert payment.end()[9] == [("push", "SUCCESS", False, True)]


@on_both
def test_a_receipt_pays_one_order_however_many_would_have_it(shop):
    orders = [shop.order() for _ in range(4)]
    codes = [shop.order_row(each).pay_code for each in orders]

    outcomes = at_once([lambda code=code: shop.confirm(code) for code in codes])

    assert outcomes == [None] * 4
    statuses = [shop.order_row(each).status for each in orders]
    assert sorted(statuses) == ["OPEN", "OPEN", "OPEN", "PAID"]
    with shop.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Receipt)) == 1
