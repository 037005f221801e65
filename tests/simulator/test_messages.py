from datetime import UTC, datetime

import pytest

from mpesa.simulator.merchants import Payee
from mpesa.simulator.messages import sms_of_failure, sms_of_receipt
from mpesa.simulator.movement import Channel, Direction, Movement
from mpesa.simulator.organisation import Organisation
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.script import Script
from mpesa.simulator.validation import PAYBILL, TILL, read_push
from tests.simulator.shop import PAYER, push_body

NOON = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)


def a_payment(outcome):
    asked = read_push(push_body(Amount=1500), Organisation())
    return Payment("ws_CO_1", "1", asked, Script(), NOON, outcome=outcome)


def a_receipt(payee, account=""):
    return Movement(
        "UKO1ABCDEF", Direction.IN, Channel.HAND, payee, PAYER, 1500, account, paid_at=NOON
    )


def test_the_sms_of_a_payment_tells_receipt_sum_account_time_and_balance():
    paid = a_receipt(Payee("174379", "174379", PAYBILL), "INV-1")

    text = sms_of_receipt(paid, "Duka", balance=48_500)

    assert text.startswith("UKO1ABCDEF Confirmed. Ksh1,500.00 sent to Duka for account INV-1")
    assert "on 24/11/26 at 12:05 PM. New M-PESA balance is Ksh48,500.00." in text


def test_the_sms_of_a_till_payment_names_no_account():
    text = sms_of_receipt(a_receipt(Payee("5123456", "174379", TILL)), "Duka", balance=1)

    assert "paid to Duka on" in text


@pytest.mark.parametrize("outcome", [Outcome.INSUFFICIENT, Outcome.WRONG_PIN])
def test_the_payer_is_told_why_it_failed(outcome):
    assert sms_of_failure(a_payment(outcome), "Duka", balance=3).startswith("Failed.")


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.IGNORED, Outcome.UNREACHABLE])
def test_a_payer_who_did_nothing_gets_no_sms(outcome):
    assert sms_of_failure(a_payment(outcome), "Duka", balance=3) is None
