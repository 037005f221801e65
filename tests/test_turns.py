"""Daraja's questions are shared out by sender: strangers who cause them starve nobody."""

import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import count, cycle

import pytest
from sqlalchemy import event, func, insert, select

from mpesa import reconciler, turns
from mpesa.daraja_access import Access
from mpesa.domain.evidence import Kind
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.settlement import OperatorAsks
from mpesa.inbox import TooManyCodes
from mpesa.models import Asked, Order, Transaction
from tests.conftest import on_both
from tests.factories import failure_callback
from tests.shop import Shop

# The tick of the reconciler's loop (seconds).
TICK = 1
# An hour shows the same, and takes ten minutes to run.
MINUTES = int(os.environ.get("MINUTES_OF_ATTACK", "4"))
# The mark of an address of the attacker's, and of honest ones.
ATTACKER, PAYER, CARRIER = "a" * 64, "b" * 64, "c" * 64


class Crowd:
    """A shop with the default budget, whose reconciler looks once a second.

    Attributes:
        asked: which push Daraja was asked about, by number, and when.
    """

    def __init__(self, app, clock, daraja):
        self.shop = Shop(app, clock, daraja)
        self.clock = clock
        self.daraja = daraja
        self.asked: list[tuple[int, float]] = []
        self.start = clock()
        self._numbers: dict[str, int] = {}

    def push(self, line, sender):
        """A push of an order of its own; returns its transaction and its number."""
        transaction_id = self.shop.attempt(f"2547{line:08d}", sender=sender)
        number = len(self.daraja.pushes)
        self._numbers[self.daraja.checkout_id(number)] = number
        return transaction_id, number

    def cancel(self, number):
        """The payer's phone says no; its callback arrives."""
        ids = self.daraja.checkout_id(number), self.daraja.merchant_id(number)
        self.shop.callback(number, failure_callback(*ids, 1032))

    def tick(self):
        """A second passes, and the reconciler looks."""
        self.clock.pass_(seconds=TICK)
        access = Access(self.daraja, self.shop.budget, self.clock)
        with self.shop.sessions() as session:
            reconciler.run_until_idle(session, access, self.shop.announce)
        for checkout_id in self.daraja.queries:
            self.asked.append((self._numbers[checkout_id], self.seconds()))
        self.daraja.queries.clear()

    def seconds(self):
        """Since the start."""
        return (self.clock() - self.start).total_seconds()

    def first_asked(self, number):
        """When Daraja was first asked about a push; None: never."""
        return next((when for each, when in self.asked if each == number), None)


class Attack:
    """Pushes and codes without end, thirty of each a minute.

    Its lines are its own phones, so it answers its prompts, or leaves them, as it likes.
    """

    def __init__(self, crowd, senders, *, cancels=True):
        self._shop = crowd
        self._senders = cycle(senders)
        self._cancels = cancels
        self._own: list[str] = []
        self._codes: Counter[str] = Counter()

    def push(self):
        """One more payment that nobody will pay."""
        # Fifty phones are enough where prompts are answered; silent ones keep a line busy.
        phones = 50 if self._cancels else 10_000
        line = 10_000 + len(self._own) % phones
        transaction_id, number = self._shop.push(line, next(self._senders))
        self._own.append(transaction_id)
        if self._cancels:
            self._shop.cancel(number)

    def type_code(self):
        """A code for one of the last fifty payments: few had so few of them, the newest first."""
        which = min(reversed(self._own[-50:]), key=self._codes.__getitem__)
        self._codes[which] += 1
        with suppress(TooManyCodes):
            self._shop.shop.type_code(which, next(self._senders))


@pytest.fixture
def crowd(app, clock, daraja):
    return Crowd(app, clock, daraja)


def waits_of_payers(crowd, *attacks, minutes=MINUTES):
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
            _transaction, number = crowd.push(90_000 + second, f"{second:064}")
            payers.append((number, crowd.seconds()))
        crowd.tick()
    firsts = [(crowd.first_asked(number), pushed) for number, pushed in payers]
    return [float("inf") if first is None else first - pushed for first, pushed in firsts]


def test_a_silent_payer_is_asked_about_in_time_under_pushes_and_codes_of_another_address(
    crowd,
):
    attack = Attack(crowd, [ATTACKER])

    waits = waits_of_payers(crowd, attack.push, attack.type_code)

    assert len(waits) == MINUTES - 1
    assert max(waits) <= 35


def test_prompts_that_are_left_alone_starve_no_payer(crowd):
    attack = Attack(crowd, [ATTACKER], cancels=False)

    assert max(waits_of_payers(crowd, attack.push)) <= 35


def test_codes_alone_starve_no_payer(crowd, clock):
    attack = Attack(crowd, [ATTACKER])
    for _ in range(50):
        attack.push()
    clock.pass_(minutes=20)

    assert max(waits_of_payers(crowd, attack.type_code)) <= 35


def test_an_attack_from_several_addresses_makes_nobody_wait_for_ever(crowd):
    attack = Attack(crowd, [f"{each:x}" * 64 for each in range(10)])

    waits = waits_of_payers(crowd, attack.push, attack.type_code)

    # Once each of the ten was served, in two minutes, a payer comes first as before.
    assert max(waits[2:]) <= 35


def test_payers_behind_one_address_share_with_the_attacker_in_turns(crowd):
    attack = Attack(crowd, [ATTACKER])
    carriers = []
    for second in range(300):
        if second % 2 == 0:
            attack.push()
            attack.type_code()
        if second % 10 == 0:
            carriers.append(crowd.push(50_000 + second, CARRIER)[1])
        crowd.tick()

    about = [number in carriers for number, when in crowd.asked if when > 40]

    assert 9 <= sum(about) <= 12
    assert len(about) >= 20


def test_hundreds_behind_one_address_get_the_whole_budget_where_nobody_else_asks(
    crowd,
):
    for line in range(200):
        crowd.push(line, CARRIER)

    for _ in range(MINUTES * 60):
        crowd.tick()

    # From 15 s on, each 12 s.
    assert len(crowd.asked) == (MINUTES * 60 - 15) // 12 + 1


def test_old_payments_of_others_have_their_turn_while_an_address_floods(crowd, clock):
    old = [crowd.push(line, f"{line:064}")[1] for line in range(5)]
    clock.pass_(hours=2)
    attack = Attack(crowd, [ATTACKER])

    waits = waits_of_payers(crowd, attack.push, attack.type_code)

    assert all(crowd.first_asked(number) for number in old)
    # One slot of twelve seconds more, where it is an old payment's turn.
    assert max(waits) <= 35 + 12


def test_old_payments_have_their_turn_while_new_addresses_come_without_end(crowd, clock):
    old = [crowd.push(line, f"{line:064}")[1] for line in range(5)]
    clock.pass_(hours=2)
    for second in range(MINUTES * 60):
        if second % 2 == 0:
            crowd.push(10_000 + second, f"{10_000 + second:064}")
        crowd.tick()

    assert all(crowd.first_asked(number) for number in old)


def test_a_payer_waits_for_what_was_due_before_and_for_nothing_that_new_addresses_add(crowd, clock):
    fresh = (f"{each:064}" for each in count(10_000))
    # At 15, 27, … 87 s a question may be asked: his is due at 77 s, and newer ones are by 87 s.
    for second in range(62):
        if second % 5 == 0:
            crowd.push(10_000 + second, next(fresh))
        crowd.tick()
    payer = crowd.push(90_000, PAYER)[1]
    due = clock() + FIRST_QUESTION
    for second in range(600):
        if second % 2 == 0:
            crowd.push(20_000 + second, next(fresh))
        crowd.tick()
        if clock() == due:
            with crowd.shop.sessions() as session:
                is_before = (Transaction.next_ask_at < due, Transaction.pushed_from != PAYER)
                before = session.scalar(select(func.count(Transaction.id)).where(*is_before))
        if (asked := crowd.first_asked(payer)) is not None:
            break

    # Each turn by waiting takes one of those before; the next slot is one pause away at most.
    assert before
    assert asked is not None
    assert (
        crowd.start + timedelta(seconds=asked) - due <= 2 * (before + 1) * crowd.shop.budget.pause
    )


def test_a_press_from_a_new_address_goes_after_a_payer_who_waits(crowd, clock):
    order = crowd.shop.order()
    crowd.shop.start(order, "254700000001", sender=ATTACKER)
    crowd._numbers[crowd.daraja.checkout_id(1)] = 1
    for _ in range(290):
        crowd.tick()
    payer = crowd.push(2, PAYER)[1]
    clock.pass_(seconds=30)

    crowd.shop.start(order, "254700000001", sender="d" * 64)
    pressed = list(crowd.daraja.queries)
    crowd.tick()

    assert pressed == []
    assert crowd.asked[-1][0] == payer


def test_who_comes_back_from_another_address_has_the_own_question_asked(crowd, clock):
    order = crowd.shop.order()
    crowd.shop.start(order, "254700000001", sender=PAYER)
    clock.pass_(minutes=5)

    crowd.shop.start(order, "254700000001", sender="d" * 64)

    assert crowd.daraja.queries == [crowd.daraja.checkout_id(1)]


def test_a_code_takes_no_payment_from_its_place_among_those_that_wait(crowd, clock):
    payer, _number = crowd.push(1, PAYER)
    clock.pass_(minutes=1)
    before = crowd.shop.transaction(payer).next_ask_at

    crowd.shop.type_code(payer, PAYER)

    row = crowd.shop.transaction(payer)
    assert (row.next_ask_at, row.ask_urgently) == (before, True)


def test_pressing_again_and_again_uses_up_no_other_senders_questions(crowd, clock):
    orders = [crowd.shop.order() for _ in range(40)]
    for line, order in enumerate(orders):
        crowd.shop.start(order, f"2547{line:08d}", sender=ATTACKER)
    crowd._numbers |= {crowd.daraja.checkout_id(each): each for each in range(1, 41)}
    clock.pass_(minutes=5)
    payer = None
    presses = iter(range(40))
    for second in range(90):
        # Before each look of the reconciler's, so that a free slot is the press's first.
        clock.pass_(seconds=0.5)
        if second % 3 == 0 and (press := next(presses, None)) is not None:
            crowd.shop.start(orders[press], f"2547{press:08d}", sender=ATTACKER)
            crowd._numbers[crowd.daraja.checkout_id(len(crowd.daraja.pushes))] = 1000 + press
        if second == 20:
            payer = crowd.push(99_000, PAYER)
            pushed = crowd.seconds()
        crowd.tick()

    assert payer is not None
    first = crowd.first_asked(payer[1])
    assert first is not None
    assert first - pushed <= 35


def test_what_an_operator_wants_asked_is_no_strangers_to_put_off(crowd, clock):
    transaction_id, _number = crowd.push(1, ATTACKER)
    crowd.shop.record(transaction_id, OperatorAsks(), Kind.OPERATOR)
    crowd.shop.type_code(transaction_id, ATTACKER)

    row = crowd.shop.transaction(transaction_id)
    assert (row.ask_urgently, row.urgent_for) == (True, None)


def test_a_code_is_of_the_share_of_who_typed_it_and_the_next_question_of_who_pushed(crowd, clock):
    transaction_id, _number = crowd.push(1, PAYER)
    crowd.shop.type_code(transaction_id, ATTACKER)
    with crowd.shop.sessions() as session:
        now = turns.most_urgent(session, clock())
    crowd.tick()
    clock.pass_(seconds=40)
    with crowd.shop.sessions() as session:
        later = turns.most_urgent(session, clock())

    assert now is not None
    assert later is not None
    assert (now.share, later.share) == (ATTACKER, PAYER)


@on_both
def test_what_was_asked_lately_is_forgotten(crowd, clock):
    for line in range(3):
        crowd.push(line, f"{line:064}")
    for _ in range(60):
        crowd.tick()
    clock.pass_(minutes=11)
    crowd.tick()

    with crowd.shop.sessions() as session:
        kept = session.scalars(select(Asked.asked_at)).all()

    assert len(kept) == 1


def test_a_clock_that_was_ahead_puts_no_sender_behind_others(crowd, clock):
    with crowd.shop.sessions() as session:
        ahead = clock() + timedelta(hours=3)
        session.execute(insert(Asked).values(share=PAYER, is_old=False, asked_at=ahead))
        session.commit()
    crowd.push(1, ATTACKER)
    clock.pass_(seconds=1)
    payer = crowd.push(2, PAYER)[1]
    clock.pass_(seconds=20)
    crowd.tick()

    assert crowd.asked[0][0] == payer


# -- how it is read ------------------------------------------------------------------------------

COUNT = 20_000


@pytest.fixture
def many(app, clock, daraja):
    """A crowd with many payments that nobody needs to ask about any more."""
    shop = Shop(app, clock, daraja)
    long_ago = clock() - timedelta(days=30)
    with shop.engine.begin() as connection:
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
    return shop


@on_both
def test_what_is_due_is_found_by_an_index(many, clock):
    many.attempt(sender=PAYER)
    clock.pass_(seconds=15)
    sent: list[tuple[str, object]] = []

    @event.listens_for(many.engine, "before_cursor_execute")
    def note(_c, _cursor, statement, parameters, *_):
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
