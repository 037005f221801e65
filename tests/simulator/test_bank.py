from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from mpesa.simulator.bank import Bank
from mpesa.simulator.organisation import Organisation
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payer import always
from mpesa.simulator.refusals import Refusal
from mpesa.simulator.script import Again, Script
from mpesa.simulator.validation import read_push
from tests.simulator.shop import PAYER, push_body

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def bank():
    return Bank("Duka", lambda: NOW, Random(1))


def opened(bank):
    return bank.open(read_push(push_body(), Organisation()), Script())


def test_a_payment_that_moved_money_never_moves_it_again(bank):
    payment = opened(bank)
    bank.finish(payment, always(Outcome.PAID))

    assert not bank.pay_late(payment)
    assert not bank.finish(payment, always(Outcome.PAID))

    assert [moved.receipt for moved in bank.ledger()] == [payment.receipt]
    assert bank.script(PAYER).balance == 49_850


def test_a_line_is_free_again_once_its_payment_ended(bank):
    first = opened(bank)
    with pytest.raises(Refusal):
        opened(bank)

    bank.finish(first, always(Outcome.CANCELLED))

    assert opened(bank).outcome is None


def test_payments_of_the_same_millisecond_have_ids_of_their_own(bank):
    first = opened(bank)
    bank.finish(first, always(Outcome.CANCELLED))

    assert opened(bank).id != first.id


def test_receipts_are_never_used_twice():
    class NoChance(Random):
        """Draws each seven letters of a receipt twice before it thinks of others."""

        receipts = 0

        def choices(self, population, k):
            self.receipts += k == 7
            return [population[self.receipts // 2]] * k

    bank = Bank("Duka", lambda: NOW, NoChance())
    for _ in range(5):
        bank.finish(opened(bank), always(Outcome.PAID))

    assert len({payment.receipt for payment in bank.ledger()}) == 5


def test_a_forgotten_payment_cannot_end_the_one_that_took_its_line(bank):
    old = opened(bank)
    bank.forget()
    new = opened(bank)

    assert not bank.finish(old, always(Outcome.PAID))
    assert not bank.pay_late(old)

    assert bank.prompts(PAYER) == [new]
    assert bank.ledger() == []


class Bench:
    """A bank whose clock the test turns, and a line that was paid from at the start."""

    def __init__(self, again):
        self.now = NOW
        self.script = Script(again=again)
        self.bank = Bank("Duka", lambda: self.now, Random(1))
        self.bank.finish(self.ask(), always(Outcome.PAID))

    def ask(self, amount=150, **changes):
        asked = read_push(push_body(Amount=amount, **changes), Organisation())
        return self.bank.open(asked, self.script)

    def later(self, seconds):
        self.now = NOW + timedelta(seconds=seconds)
        return self


def test_the_same_amount_within_two_minutes_ends_as_17_where_the_rule_is_on():
    assert Bench(Again.RULE_17).later(119).ask().doomed_to is Outcome.SAME_AMOUNT
    assert Bench(Again.RULE_17).later(120).ask().doomed_to is None
    assert Bench(Again.RULE_17).later(1).ask(amount=151).doomed_to is None
    assert Bench(Again.TAKEN).later(1).ask().doomed_to is None


def test_a_payment_that_failed_does_not_set_off_rule_17():
    line = Bench(Again.RULE_17)
    line.bank.finish(line.ask(amount=20), always(Outcome.CANCELLED))

    assert line.later(1).ask(amount=20).doomed_to is None


def test_the_minutes_lock_holds_a_line_that_has_answered_where_it_is_on():
    with pytest.raises(Refusal):
        Bench(Again.LOCKED).later(59).ask(amount=20)

    assert Bench(Again.LOCKED).later(60).ask().doomed_to is None


def test_what_one_line_paid_does_not_lock_another():
    other = {"PartyA": "254110345678", "PhoneNumber": "254110345678"}

    assert Bench(Again.LOCKED).ask(**other).doomed_to is None
    assert Bench(Again.RULE_17).ask(**other).doomed_to is None
