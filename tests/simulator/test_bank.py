from datetime import UTC, datetime
from random import Random

import pytest

from mpesa.simulator.bank import Bank
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payer import always
from mpesa.simulator.refusals import Refusal
from mpesa.simulator.script import Script
from mpesa.simulator.validation import read_push
from tests.simulator.shop import PAYER, push_body

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def bank():
    return Bank("Duka", lambda: NOW, Random(1))


def opened(bank):
    return bank.open(read_push(push_body()), Script())


def test_a_payment_that_moved_money_never_moves_it_again(bank):
    payment = opened(bank)
    bank.finish(payment, always(Outcome.PAID))

    assert not bank.pay_late(payment)
    assert not bank.finish(payment, always(Outcome.PAID))

    assert bank.ledger() == [payment]
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
