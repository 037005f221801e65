"""The wait is over and nothing was heard: still checking, and nobody pays twice by mistake."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.steps import CODE, SEND_CODE, Sale, type_code
from tests.servers import wait_until

PAY_AGAIN = "^Pay again$"
# A prompt may live so long (Daraja's older FAQ); until then nobody is offered a second payment.
PROMPTS_LIFE = 180


@pytest.fixture
def sale(impatient_server):
    return Sale(impatient_server)


@pytest.fixture
def silent(sale, visit):
    """A shopper whose payment is overdue."""
    sale.phone.script(callback="never", query="pending")
    shopper = visit(sale)
    shopper.pay(sale.typed)
    shopper.sees("overdue")
    return shopper


def test_silence_is_still_being_checked_and_never_called_a_failure(silent):
    silent.reads("do not pay again")
    silent.reads("updates by itself")
    silent.reads(re.compile("From [0-9]{2}:[0-9]{2} you can pay again"))
    expect(silent.text("Not paid")).to_have_count(0)
    expect(silent.button(PAY_AGAIN)).to_be_hidden()


def test_a_result_that_comes_after_the_wait_still_reaches_the_page(silent, sale):
    sale.phone.script(callback="once")

    sale.phone.answer(pin="1234")

    silent.sees("paid")
    silent.reads(sale.receipt())


def test_pay_again_stands_behind_its_question(silent, sale, backstage):
    let_the_prompt_end(silent, sale, backstage)

    silent.button(PAY_AGAIN).click()

    silent.sees("overdue")
    assert len(sale.attempts()) == 1


def test_who_has_no_sms_can_pay_again_once_the_prompt_cannot_be_answered(silent, sale, backstage):
    sale.phone.answer(cancel=True)
    let_the_prompt_end(silent, sale, backstage)
    sale.phone.script(callback="once", query="honest", answer="manual")
    question = silent.page.get_by_role("checkbox", name="I have no M-PESA SMS about this payment")

    question.check()
    silent.button(PAY_AGAIN).click()
    sale.phone.answer(pin="1234")

    silent.sees("paid")
    assert sale.attempts()[0]["status"] == "SUCCESS"


def test_the_code_from_the_sms_makes_us_ask_daraja_at_once(silent, sale):
    sale.phone.answer(pin="1234")
    sale.phone.script(query="honest")

    type_code(silent, sale.receipt().lower())

    silent.sees("paid")


def test_the_whole_sms_may_be_pasted(silent, sale):
    sale.phone.answer(pin="1234")
    field = silent.page.get_by_role("textbox", name=CODE).filter(visible=True)

    # As a messenger copies it: with the sender's line above.
    field.evaluate(
        """(field, text) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text", text);
          const paste = { clipboardData, bubbles: true, cancelable: true };
          field.dispatchEvent(new ClipboardEvent("paste", paste));
        }""",
        f"MPESA\n{sale.receipt()} Confirmed. Ksh150.00 sent to DUKA LA MFANO on 24/11/26.",
    )
    expect(field).to_have_value(sale.receipt())
    sale.phone.script(query="honest")  # only now: a planned question would find it paid before
    silent.button(SEND_CODE).filter(visible=True).click()

    silent.sees("paid")


def test_the_code_from_the_sms_is_not_believed_by_itself(silent, sale):
    with silent.page.expect_response("**/sms-code*") as sent:
        type_code(silent, "UKO1ABCDEF")

    assert sent.value.status in (202, 303)
    silent.sees("overdue")
    assert sale.attempts()[0]["status"] == "PENDING"


def test_a_code_that_cannot_be_one_is_refused_in_words(silent, sale):
    type_code(silent, "UKO1-ABCDE")

    silent.reads(re.compile("ten letters and digits"))
    assert sale.attempts()[0]["status"] == "PENDING"


def let_the_prompt_end(shopper, sale, backstage):
    """Move the clock past a prompt's life, and let the page hear of it."""
    backstage(sale.server).age(sale.transaction_id, PROMPTS_LIFE)
    wait_until(lambda: sale.attempts()[0]["can_retry"])
    shopper.page.evaluate("dispatchEvent(new Event('online'))")
    expect(shopper.button(PAY_AGAIN)).to_be_visible()
