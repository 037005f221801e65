"""Daraja's questions are shared out by sender: strangers who cause them starve nobody."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import count, cycle

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select

from mpesa import reconciler, turns
from mpesa.daraja_access import Access
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.settlement import OperatorAsks
from mpesa.inbox import TooManyCodes
from mpesa.ledger import Kind
from mpesa.models import Asked, Order, Transaction
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk
from tests.factories import failure_callback
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)

# The tick of the reconciler's loop (seconds).
TICK = 1
# An hour shows the same, and takes ten minutes to run.
MINUTES = int(os.environ.get("MINUTES_OF_ATTACK", "4"))
# The mark of an address of the attacker's, and of honest ones.
ATTACKER, PAYER, CARRIER = "a" * 64, "b" * 64, "c" * 64


class Shop:
    """A desk with the default budget, whose reconciler looks once a second.

    Attributes:
        asked: which push Daraja was asked about, by number, and when.
    """

    def __init__(self, app: Flask, clock: Clock, daraja: FakeDaraja) -> None:
        self.desk = Desk(app, clock, daraja)
        self.clock = clock
        self.daraja = daraja
        self.asked: list[tuple[int, float]] = []
        self.start = clock()
        self._numbers: dict[str, int] = {}

    def push(self, line: int, sender: str) -> tuple[str, int]:
        """A push of an order of its own; returns its transaction and its number."""
        transaction_id = self.desk.attempt(f"2547{line:08d}", sender=sender)
        number = len(self.daraja.pushes)
        self._numbers[self.daraja.checkout_id(number)] = number
        return transaction_id, number

    def cancel(self, number: int) -> None:
        """The payer's phone says no; its callback arrives."""
        ids = self.daraja.checkout_id(number), self.daraja.merchant_id(number)
        self.desk.callback(number, failure_callback(*ids, 1032))

    def tick(self) -> None:
        """A second passes, and the reconciler looks."""
        self.clock.pass_(seconds=TICK)
        access = Access(self.daraja, self.desk.budget, self.clock)  # type: ignore[arg-type]
        with self.desk.sessions() as session:
            reconciler.run_until_idle(session, access, self.desk.announce)
        for checkout_id in self.daraja.queries:
            self.asked.append((self._numbers[checkout_id], self.seconds()))
        self.daraja.queries.clear()

    def seconds(self) -> float:
        """Since the start."""
        return (self.clock() - self.start).total_seconds()

    def first_asked(self, number: int) -> float | None:
        """When Daraja was first asked about a push; None: never."""
        return next((when for each, when in self.asked if each == number), None)


class Attack:
    """Pushes and codes without end, thirty of each a minute.

    Its lines are its own phones, so it answers its prompts, or leaves them, as it likes.
    """

    def __init__(self, shop: Shop, senders: Sequence[str], *, cancels: bool = True) -> None:
        self._shop = shop
        self._senders = cycle(senders)
        self._cancels = cancels
        self._own: list[str] = []
        self._codes: Counter[str] = Counter()

    def push(self) -> None:
        """One more payment that nobody will pay."""
        # Fifty phones are enough where prompts are answered; silent ones keep a line busy.
        phones = 50 if self._cancels else 10_000
        line = 10_000 + len(self._own) % phones
        transaction_id, number = self._shop.push(line, next(self._senders))
        self._own.append(transaction_id)
        if self._cancels:
            self._shop.cancel(number)

    def type_code(self) -> None:
        """A code for one of the last fifty payments: few had so few of them, the newest first."""
        which = min(reversed(self._own[-50:]), key=self._codes.__getitem__)
        self._codes[which] += 1
        with suppress(TooManyCodes):
            self._shop.desk.type_code(which, next(self._senders))


@pytest.fixture
def shop(app: Flask, clock: Clock, daraja: FakeDaraja) -> Shop:
    return Shop(app, clock, daraja)


def waits_of_payers(
    shop: Shop, *attacks: Callable[[], None], minutes: int = MINUTES
) -> list[float]:
    """Attack for so long; each minute somebody else pushes, whose callback is lost.

    Args:
        attacks: each is done thirty times a minute.

    Returns:
        How long each waited for the first question about the own payment (seconds).
    """
    payers: list[tuple[int, float]] = []
    for second in range(minutes * 60):
        if second % 2 == 0:
            for attack in attacks:
                attack()
        if second % 60 == 7 and second < (minutes - 1) * 60:
            _transaction, number = shop.push(90_000 + second, f"{second:064}")
            payers.append((number, shop.seconds()))
        shop.tick()
    firsts = [(shop.first_asked(number), pushed) for number, pushed in payers]
    return [float("inf") if first is None else first - pushed for first, pushed in firsts]


def test_a_silent_payer_is_asked_about_in_time_under_pushes_and_codes_of_another_address(
    shop: Shop,
) -> None:
    attack = Attack(shop, [ATTACKER])

    waits = waits_of_payers(shop, attack.push, attack.type_code)

    assert len(waits) == MINUTES - 1
    assert max(waits) <= 35


def test_prompts_that_are_left_alone_starve_no_payer(shop: Shop) -> None:
    attack = Attack(shop, [ATTACKER], cancels=False)

    assert max(waits_of_payers(shop, attack.push)) <= 35


def test_codes_alone_starve_no_payer(shop: Shop, clock: Clock) -> None:
    attack = Attack(shop, [ATTACKER])
    for _ in range(50):
        attack.push()
    clock.pass_(minutes=20)

    assert max(waits_of_payers(shop, attack.type_code)) <= 35


def test_an_attack_from_several_addresses_makes_nobody_wait_for_ever(shop: Shop) -> None:
    attack = Attack(shop, [f"{each:x}" * 64 for each in range(10)])

    waits = waits_of_payers(shop, attack.push, attack.type_code)

    # Once each of the ten was served, in two minutes, a payer comes first as before.
    assert max(waits[2:]) <= 35


def test_payers_behind_one_address_share_with_the_attacker_in_turns(shop: Shop) -> None:
    attack = Attack(shop, [ATTACKER])
    carriers = []
    for second in range(300):
        if second % 2 == 0:
            attack.push()
            attack.type_code()
        if second % 10 == 0:
            carriers.append(shop.push(50_000 + second, CARRIER)[1])
        shop.tick()

    about = [number in carriers for number, when in shop.asked if when > 40]

    assert 9 <= sum(about) <= 12
    assert len(about) >= 20


def test_hundreds_behind_one_address_get_the_whole_budget_where_nobody_else_asks(
    shop: Shop,
) -> None:
    for line in range(200):
        shop.push(line, CARRIER)

    for _ in range(MINUTES * 60):
        shop.tick()

    # From 15 s on, each 12 s.
    assert len(shop.asked) == (MINUTES * 60 - 15) // 12 + 1


def test_old_payments_of_others_have_their_turn_while_an_address_floods(
    shop: Shop, clock: Clock
) -> None:
    old = [shop.push(line, f"{line:064}")[1] for line in range(5)]
    clock.pass_(hours=2)
    attack = Attack(shop, [ATTACKER])

    waits = waits_of_payers(shop, attack.push, attack.type_code)

    assert all(shop.first_asked(number) for number in old)
    # One slot of twelve seconds more, where it is an old payment's turn.
    assert max(waits) <= 35 + 12


def test_old_payments_have_their_turn_while_new_addresses_come_without_end(
    shop: Shop, clock: Clock
) -> None:
    old = [shop.push(line, f"{line:064}")[1] for line in range(5)]
    clock.pass_(hours=2)
    for second in range(MINUTES * 60):
        if second % 2 == 0:
            shop.push(10_000 + second, f"{10_000 + second:064}")
        shop.tick()

    assert all(shop.first_asked(number) for number in old)


def test_a_payer_waits_for_what_was_due_before_and_for_nothing_that_new_addresses_add(
    shop: Shop, clock: Clock
) -> None:
    fresh = (f"{each:064}" for each in count(10_000))
    # At 15, 27, … 87 s a question may be asked: his is due at 77 s, and newer ones are by 87 s.
    for second in range(62):
        if second % 5 == 0:
            shop.push(10_000 + second, next(fresh))
        shop.tick()
    payer = shop.push(90_000, PAYER)[1]
    due = clock() + FIRST_QUESTION
    for second in range(600):
        if second % 2 == 0:
            shop.push(20_000 + second, next(fresh))
        shop.tick()
        if clock() == due:
            with shop.desk.sessions() as session:
                is_before = (Transaction.next_ask_at < due, Transaction.pushed_from != PAYER)
                before = session.scalar(select(func.count(Transaction.id)).where(*is_before))
        if (asked := shop.first_asked(payer)) is not None:
            break

    # Each turn by waiting takes one of those before; the next slot is one pause away at most.
    assert before
    assert asked is not None
    assert shop.start + timedelta(seconds=asked) - due <= 2 * (before + 1) * shop.desk.budget.pause


def test_a_press_from_a_new_address_goes_after_a_payer_who_waits(shop: Shop, clock: Clock) -> None:
    order = shop.desk.order()
    shop.desk.start(order, "254700000001", sender=ATTACKER)
    shop._numbers[shop.daraja.checkout_id(1)] = 1
    for _ in range(290):
        shop.tick()
    payer = shop.push(2, PAYER)[1]
    clock.pass_(seconds=30)

    shop.desk.start(order, "254700000001", sender="d" * 64)
    pressed = list(shop.daraja.queries)
    shop.tick()

    assert pressed == []
    assert shop.asked[-1][0] == payer


def test_who_comes_back_from_another_address_has_the_own_question_asked(
    shop: Shop, clock: Clock
) -> None:
    order = shop.desk.order()
    shop.desk.start(order, "254700000001", sender=PAYER)
    clock.pass_(minutes=5)

    shop.desk.start(order, "254700000001", sender="d" * 64)

    assert shop.daraja.queries == [shop.daraja.checkout_id(1)]


def test_a_code_takes_no_payment_from_its_place_among_those_that_wait(
    shop: Shop, clock: Clock
) -> None:
    payer, _number = shop.push(1, PAYER)
    clock.pass_(minutes=1)
    before = shop.desk.transaction(payer).next_ask_at

    shop.desk.type_code(payer, PAYER)

    row = shop.desk.transaction(payer)
    assert (row.next_ask_at, row.ask_urgently) == (before, True)


def test_pressing_again_and_again_uses_up_no_other_senders_questions(
    shop: Shop, clock: Clock
) -> None:
    orders = [shop.desk.order() for _ in range(40)]
    for line, order in enumerate(orders):
        shop.desk.start(order, f"2547{line:08d}", sender=ATTACKER)
    shop._numbers |= {shop.daraja.checkout_id(each): each for each in range(1, 41)}
    clock.pass_(minutes=5)
    payer = None
    presses = iter(range(40))
    for second in range(90):
        # Before each look of the reconciler's, so that a free slot is the press's first.
        clock.pass_(seconds=0.5)
        if second % 3 == 0 and (press := next(presses, None)) is not None:
            shop.desk.start(orders[press], f"2547{press:08d}", sender=ATTACKER)
            shop._numbers[shop.daraja.checkout_id(len(shop.daraja.pushes))] = 1000 + press
        if second == 20:
            payer = shop.push(99_000, PAYER)
            pushed = shop.seconds()
        shop.tick()

    assert payer is not None
    first = shop.first_asked(payer[1])
    assert first is not None
    assert first - pushed <= 35


def test_what_an_operator_wants_asked_is_no_strangers_to_put_off(shop: Shop, clock: Clock) -> None:
    transaction_id, _number = shop.push(1, ATTACKER)
    shop.desk.record(transaction_id, OperatorAsks(), Kind.OPERATOR)
    shop.desk.type_code(transaction_id, ATTACKER)

    row = shop.desk.transaction(transaction_id)
    assert (row.ask_urgently, row.urgent_for) == (True, None)


def test_a_code_is_of_the_share_of_who_typed_it_and_the_next_question_of_who_pushed(
    shop: Shop, clock: Clock
) -> None:
    transaction_id, _number = shop.push(1, PAYER)
    shop.desk.type_code(transaction_id, ATTACKER)
    with shop.desk.sessions() as session:
        now = turns.most_urgent(session, clock())
    shop.tick()
    clock.pass_(seconds=40)
    with shop.desk.sessions() as session:
        later = turns.most_urgent(session, clock())

    assert now is not None
    assert later is not None
    assert (now.share, later.share) == (ATTACKER, PAYER)


@on_both
def test_what_was_asked_lately_is_forgotten(shop: Shop, clock: Clock) -> None:
    for line in range(3):
        shop.push(line, f"{line:064}")
    for _ in range(60):
        shop.tick()
    clock.pass_(minutes=11)
    shop.tick()

    with shop.desk.sessions() as session:
        kept = session.scalars(select(Asked.asked_at)).all()

    assert len(kept) == 1


def test_a_clock_that_was_ahead_puts_no_sender_behind_others(shop: Shop, clock: Clock) -> None:
    with shop.desk.sessions() as session:
        ahead = clock() + timedelta(hours=3)
        session.execute(insert(Asked).values(share=PAYER, is_old=False, asked_at=ahead))
        session.commit()
    shop.push(1, ATTACKER)
    clock.pass_(seconds=1)
    payer = shop.push(2, PAYER)[1]
    clock.pass_(seconds=20)
    shop.tick()

    assert shop.asked[0][0] == payer


# -- how it is read ------------------------------------------------------------------------------

COUNT = 20_000


@pytest.fixture
def many(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    """A shop with many payments that nobody needs to ask about any more."""
    desk = Desk(app, clock, daraja)
    long_ago = clock() - timedelta(days=30)
    with desk.engine.begin() as connection:
        numbers = range(COUNT)
        orders = [
            {
                "id": f"o{each:021}", "amount": 1, "reference": "R", "description": "x",
                "status": "PAID", "created_at": long_ago, "updated_at": long_ago,
            }
            for each in numbers
        ]  # fmt: skip
        paid = [
            {
                "id": f"t{each:021}", "order_id": f"o{each:021}", "attempt": 1,
                "msisdn": "254712345678", "amount": 1, "callback_token_hash": f"{each:064}",
                "checkout_request_id": f"c{each}", "receipt": f"U{each:09}", "status": "SUCCESS",
                "reason": "paid", "final": True, "is_open": False, "settles_order": True,
                "seq": 3, "created_at": long_ago, "updated_at": long_ago,
            }
            for each in numbers
        ]  # fmt: skip
        connection.execute(insert(Order), orders)
        connection.execute(insert(Transaction), paid)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    return desk


@on_both
def test_what_is_due_is_found_by_an_index(many: Desk, clock: Clock) -> None:
    many.attempt(sender=PAYER)
    clock.pass_(seconds=15)
    sent: list[tuple[str, object]] = []

    @event.listens_for(many.engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.lstrip().startswith("SELECT transactions"):
            sent.append((statement, parameters))

    with many.sessions() as session:
        assert turns.most_urgent(session, clock()) is not None
    event.remove(many.engine, "before_cursor_execute", note)

    [(statement, parameters)] = sent
    explain = "EXPLAIN" if many.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with many.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        total = connection.scalar(select(func.count()).select_from(Transaction))
    plan = "\n".join(str(row) for row in rows)
    assert total == COUNT + 1
    assert "ix_transactions_next_ask_at" in plan
    assert "Seq Scan on transactions" not in plan
