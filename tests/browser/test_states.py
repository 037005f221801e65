"""Every state of a payment, as a shopper sees it come."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.steps import LIVE, Sale
from tests.factories import API_KEY
from tests.servers import free_port, running

# What a failure says of the money, and whether it warns of paying again.
NOT_TAKEN = ("No money was taken.", 0)
NOT_TAKEN_SO_FAR = ("M-PESA says that no money was taken.", 1)
NOT_SURE = ("We are still checking whether money was taken.", 1)


def test_the_number_is_shown_as_it_was_understood_before_anything_is_sent(visit, sale):
    shopper = visit(sale)
    # At a desk, where no keyboard on the screen covers the page.
    expect(shopper.field).to_be_focused()

    shopper.field.fill("+254 712-345678")

    shopper.reads("0712 345 678")
    assert not shopper.asked("/stk-push")


def test_a_number_that_is_no_kenyan_one_is_refused_beside_the_field(visit, sale):
    shopper = visit(sale)

    shopper.pay("0812 345 678")

    expect(shopper.page.get_by_role("alert")).to_contain_text("not a Kenyan mobile number")
    expect(shopper.page.locator("#phone-hint")).to_be_hidden()
    expect(shopper.field).to_have_attribute("aria-invalid", "true")
    expect(shopper.field).to_be_focused()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("0712", "This number is too short: 10 digits"),
        ("0712 345 6789", "This number is too long: 10 digits"),
        ("", "Enter the number that pays with M-PESA."),
        ("   ", "Enter the number that pays with M-PESA."),
    ],
)
def test_a_number_with_missing_or_spare_digits_is_told_what_is_wrong(visit, sale, typed, told):
    shopper = visit(sale)

    shopper.pay(typed)

    expect(shopper.page.get_by_role("alert")).to_contain_text(told)
    expect(shopper.field).to_be_focused()
    if not typed.strip():
        assert not shopper.asked("/stk-push")


@pytest.mark.parametrize(
    "pasted",
    [
        "0{0}\u00a0{1}\u00a0{2}",
        "+254 (0) {0} - {1} - \u2066\u2066\u2066{2}\u2069\u2069\u2069",
    ],
)
def test_a_pasted_number_is_understood_and_sent_whole(visit, sale, pasted):
    shopper = visit(sale)
    number = pasted.format(sale.line[3:6], sale.line[6:9], sale.line[9:])

    shopper.field.focus()
    shopper.page.keyboard.insert_text(number)
    shopper.reads(f"The request goes to {sale.typed}")
    shopper.pay_button.click()

    shopper.sees("waiting")


def test_another_networks_number_is_remarked_upon_while_it_is_typed_and_never_refused(visit, sale):
    shopper = visit(sale)

    shopper.field.fill("0733")
    shopper.reads("This looks like an Airtel number; M-PESA needs a Safaricom line")
    shopper.field.fill("0712")
    expect(shopper.page.locator("#phone-hint")).not_to_contain_text("Airtel")
    shopper.pay("0733 123 456")

    shopper.sees("waiting")


def test_the_result_is_pushed_and_needs_no_poll(visit, sale):
    shopper = visit(sale)
    shopper.page.route("**/check-status*", lambda route: route.abort())
    shopper.wait_live(sale)

    sale.phone.answer(pin="1234")

    shopper.sees("paid")
    shopper.reads(sale.receipt())
    shopper.reads("KES 150")
    shopper.reads("INV-1")
    expect(shopper.page).to_have_title(re.compile("^Paid"))


def test_while_waiting_the_page_says_whose_phone_what_to_do_and_how_long(visit, sale):
    shopper = visit(sale)

    shopper.wait_live(sale)

    shopper.reads(sale.typed)
    shopper.reads("never on this page")
    shopper.reads("Unlock the phone")
    shopper.reads(re.compile("0:[0-9]{2} left to answer"))
    expect(shopper.field).to_be_hidden()


def test_only_the_tab_in_which_a_number_was_typed_shows_all_of_it(visit, sale):
    # As most shoppers have it: the phone that rings shows the page.
    shopper = visit(sale, viewport={"width": 360, "height": 640}, has_touch=True)
    shopper.wait_live(sale)
    masked = f"0{sale.line[3:6]}•••{sale.line[-3:]}"
    shopper.reads(sale.typed)
    shopper.reads("opens over this page")
    expect(shopper.text("Unlock the phone")).to_have_count(0)

    other_tab = shopper.second_tab(sale.url())
    shopper.page.reload()

    other_tab.reads(masked)
    shopper.reads(sale.typed)
    shopper.text("Not your number?").click()
    shopper.reads(re.compile("another number from [0-9]{2}:[0-9]{2}"))
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    assert shopper.page.evaluate("sessionStorage.length") == 0


def test_a_push_that_takes_long_says_so(visit, sale):
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.page.route("**/stk-push*", lambda route: None)

    shopper.pay(sale.typed)
    before = shopper.jumped()
    expect(shopper.button("^Sending…$")).to_be_disabled()
    shopper.page.clock.run_for(5_000)

    expect(shopper.button("^M-PESA is slow today, still sending…$")).to_be_disabled()
    assert shopper.jumped() == before


@pytest.mark.parametrize(
    ("script", "answer", "sentence", "money", "step"),
    [
        (
            {},
            {"cancel": True},
            "cancelled or closed on your phone",
            NOT_TAKEN_SO_FAR,
            "Try again",
        ),
        ({}, {"pin": "9999"}, "PIN was wrong", NOT_TAKEN, "Try again"),
        ({"answer": "unreachable"}, {}, "could not reach", NOT_SURE, "Pay by hand"),
        ({"push": "refused"}, {}, "did not accept", NOT_TAKEN, "Use another number"),
    ],
)
def test_a_failure_says_what_happened_where_the_money_is_and_one_next_step(
    visit, sale, script, answer, sentence, money, step
):
    sale.phone.script(**script)
    shopper = visit(sale)
    shopper.pay(sale.typed)
    if answer:
        sale.phone.answer(**answer)

    shopper.sees("failed")

    shopper.reads(sentence)
    says_of_the_money(shopper, money)
    assert first_way_on(shopper).startswith(step)


@pytest.mark.parametrize(
    ("code", "sentence", "money", "step"),
    [
        ("8006", "PIN is locked", NOT_TAKEN, "Use another number"),
        ("1019", "ran out", NOT_SURE, "Try again in"),
        ("8", "not set up correctly", NOT_TAKEN, "Pay by hand"),
        ("777", "no clear answer", NOT_SURE, "Try again in"),
        ("operator", "found no payment", ("found no payment", 1), "Try again in"),
    ],
)
def test_a_failure_that_another_worker_heard_of_reaches_the_page(
    visit, sale, backstage, code, sentence, money, step
):
    shopper = visit(sale)
    shopper.wait_live(sale)

    if code == "operator":
        backstage(sale.server).say_not_paid(sale.transaction_id)
    else:
        backstage(sale.server).call_back(sale.transaction_id, code)

    shopper.sees("failed")
    shopper.reads(sentence)
    says_of_the_money(shopper, money)
    assert first_way_on(shopper).startswith(step)


def test_a_push_that_could_not_be_sent_says_so(visit, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    with running(tmp_path, DARAJA_BASE_URL=nobody) as server:
        sale = Sale(server)
        shopper = visit(sale)

        shopper.pay(sale.typed)

        shopper.sees("failed")
        shopper.reads("busy or cannot be reached")
        says_of_the_money(shopper, NOT_TAKEN)
        expect(shopper.button("^Try again in [01]:")).to_be_visible()


def test_try_again_sends_a_new_request_to_the_same_number(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    sale.phone.answer(cancel=True)
    shopper.sees("failed")

    shopper.button("^Try again$").click()

    shopper.sees("waiting")
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    assert [each["status"] for each in sale.attempts()] == ["SUCCESS", "FAILED"]


def test_another_number_can_pay_the_same_order(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    sale.phone.answer(pin="9999")
    shopper.sees("failed")
    friend = Sale(sale.server)

    shopper.button("^Use another number$").click()
    expect(shopper.field).to_be_focused()
    expect(shopper.field).to_have_value("")
    shopper.button(f"^Use {sale.typed} again$").click()
    expect(shopper.field).to_have_value(sale.typed)
    expect(shopper.pay_button).to_be_focused()
    shopper.pay(friend.typed)

    shopper.sees("waiting")
    friend.phone.answer(pin="1234")
    shopper.sees("paid")
    shopper.reads(friend.receipt())


def test_try_again_counts_its_wait_down_and_then_works(visit, sale, backstage):
    sale.phone.script(answer="unreachable")
    shopper = visit(sale)
    shopper.pay(sale.typed)
    shopper.sees("failed")
    held = shopper.button("^Try again in (2:00|1:[0-9]{2})$")
    expect(held).to_be_visible()
    expect(held).to_be_disabled()

    sale.phone.script(answer="manual")
    backstage(sale.server).age(sale.transaction_id, 120)
    shopper.page.reload()

    expect(shopper.button("^Try again$")).to_be_enabled()


def test_a_line_that_another_shop_asks_right_now_is_told_to_wait(visit, sale):
    first = visit(sale)
    first.wait(sale)
    second_sale = Sale(sale.server, line=sale.line)
    second = visit(second_sale)

    second.pay(second_sale.typed)

    expect(second.page.get_by_role("alert")).to_contain_text(
        "Another M-PESA request is open on this phone"
    )
    expect(second.button("^Try again in [0-9]:")).to_be_disabled()
    assert not second_sale.attempts()


def test_a_line_that_has_to_wait_keeps_no_other_line_out(visit, sale):
    visit(sale).wait(sale)
    second_sale, friend = Sale(sale.server, line=sale.line), Sale(sale.server)
    second = visit(second_sale)
    second.pay(second_sale.typed)
    expect(second.button("^Try again in [0-9]:")).to_be_disabled()

    second.pay(friend.typed)

    second.sees("waiting")
    friend.phone.answer(pin="1234")
    second.sees("paid")


def test_the_receipts_time_is_that_of_the_payment(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    paid_at = shopper.page.locator('[data-field="paid_at"]')
    expect(paid_at).to_have_text("")

    sale.phone.answer(pin="1234")

    expect(paid_at).to_contain_text(re.compile("[0-9]{2}:[0-9]{2}"))


def test_a_push_without_an_answer_asks_to_look_at_the_phone_and_can_be_paid(visit, sale):
    sale.phone.script(push="error_500")
    shopper = visit(sale)

    shopper.pay(sale.typed)
    shopper.sees("waiting")
    shopper.reads("If an M-PESA request appears on your phone")
    sale.phone.answer(pin="1234")

    shopper.sees("paid")


def test_money_that_comes_after_a_failure_turns_the_page_to_paid(visit, sale):
    sale.phone.script(late_success_after=2)
    shopper = visit(sale)
    shopper.wait_live(sale)

    sale.phone.answer(cancel=True)

    shopper.sees("paid")
    shopper.reads("came through after all")
    said = " ".join(shopper.said())
    assert said.index("cancelled") < said.index("after all")


def test_a_page_whose_order_another_phone_paid_says_already_paid(visit, sale):
    sale.phone.script(answer="cancel")
    shopper = visit(sale)
    shopper.pay(sale.typed)
    shopper.sees("failed")
    friend = Sale(sale.server)
    friends_page = visit(sale, "?other=1")

    friends_page.pay(friend.typed)
    friends_page.sees("waiting")
    friend.phone.answer(pin="1234")

    friends_page.sees("paid")
    shopper.sees("Already paid")
    shopper.reads("cancel it")


def test_a_page_of_a_cancelled_order_offers_nothing_to_pay(visit, sale):
    sale.server.post(f"/api/orders/{sale.order_id}/cancel", headers=API_KEY)

    shopper = visit(sale)

    shopper.sees("Order cancelled")
    expect(shopper.pay_button).to_be_hidden()


def test_an_order_that_is_cancelled_before_the_press_tells_so(visit, sale):
    shopper = visit(sale)
    sale.server.post(f"/api/orders/{sale.order_id}/cancel", headers=API_KEY)

    shopper.pay(sale.typed)

    shopper.sees("Order cancelled")
    assert not sale.phone.prompts()


def test_an_expired_order_says_so(visit, server, backstage):
    sale = Sale(server)
    backstage(server).expire(sale.order_id)

    shopper = visit(sale)

    shopper.sees("Order expired")
    expect(shopper.pay_button).to_be_hidden()


def test_an_unknown_order_is_a_page_in_plain_words(visit, sale):
    shopper = visit(sale)

    answer = shopper.open(sale.server.url("/checkout/AAAAAAAAAAAAAAAAAAAAAA"))

    assert answer.status == 404
    shopper.reads("There is no such order")


def test_after_the_money_the_shopper_is_led_back_to_the_merchant(visit, server):
    sale = Sale(server, return_url=server.url("/healthz?cart=7"))
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    shopper.reads(re.compile("Back to Duka la Mfano in 0:0"))

    shopper.page.clock.run_for(5_500)

    shopper.page.wait_for_url(f"**/healthz?cart=7&order_id={sale.order_id}&status=PAID")


def test_who_wants_to_stay_is_not_led_away(visit, server):
    sale = Sale(server, return_url=server.url("/healthz"))
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")

    shopper.button("^Stay here$").click()
    shopper.page.clock.run_for(20_000)

    shopper.sees("paid")
    shopper.reads(sale.receipt())


def test_while_a_prompt_is_open_the_merchants_name_asks_once_before_it_leads_away(visit, server):
    sale = Sale(server, return_url=server.url("/healthz"))
    shopper = visit(sale)
    shopper.wait_live(sale)
    home = shopper.page.get_by_role("banner").get_by_role("link", name="Back to Duka la Mfano")

    home.click()
    shopper.reads("The M-PESA request stays on your phone")
    shopper.button("^Stay here$").click()

    shopper.sees("waiting")
    home.click()
    shopper.page.wait_for_url(f"**/healthz?order_id={sale.order_id}&status=OPEN")


def test_a_question_about_a_prompt_that_is_over_goes_away(visit, server):
    sale = Sale(server, return_url=server.url("/healthz"))
    shopper = visit(sale)
    shopper.wait_live(sale)
    shopper.page.locator("#home").click()
    shopper.reads("The M-PESA request stays on your phone")

    sale.phone.answer(cancel=True)

    shopper.sees("failed")
    expect(shopper.page.get_by_role("dialog")).to_have_count(0)


def test_on_a_phone_the_receipt_is_shared_and_its_code_copied(visit, sale):
    shopper = visit(sale, has_touch=True, is_mobile=True, timezone_id="Africa/Nairobi")
    shopper.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shopper.page.add_init_script("navigator.share = async (told) => { window.shared = told; }")
    shopper.page.reload()
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")

    shopper.button("^Copy the receipt code$").click()
    shopper.button("^Share the receipt$").click()

    assert shopper.page.evaluate("navigator.clipboard.readText()") == sale.receipt()
    shared = shopper.page.evaluate("window.shared")
    assert shared["url"] == sale.url()
    told = dict(line.split(": ") for line in shared["text"].splitlines())
    assert told["M-PESA receipt"] == sale.receipt()
    assert (told["Amount"], told["Paid to"]) == ("KES 150", "Duka la Mfano")
    # Nobody in Kenya is told where Nairobi's time is.
    assert re.fullmatch("[0-9]{1,2} [A-Z][a-z]{2,3} [0-9]{4}, [0-9:]{5}", told["Date"])
    expect(shopper.button("^Print the receipt$")).to_have_count(0)


def test_an_open_receipt_tells_of_a_refund_that_is_asked_for(visit, sale):
    sale.phone.script(answer="pay")
    shopper = visit(sale)
    shopper.pay(sale.typed)
    shopper.sees("paid")
    shopper.reads(sale.receipt())
    sale.ask_for_refund()

    # As often as the page looks by itself; and here as if somebody came back to it.
    shopper.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    shopper.reads("The shop was asked to give the money back")


def test_trying_again_too_early_holds_the_button_that_is_shown(visit, server):
    sale = Sale(server)
    sale.phone.script(answer="cancel")
    shopper = visit(sale)
    shopper.pay(sale.typed)
    shopper.sees("failed")
    sale.phone.script(answer="manual")
    other = Sale(server, line=sale.line)
    visit(other).wait(other)

    shopper.button("^Try again$").click()

    shopper.reads("Another M-PESA request is open on this phone")
    expect(shopper.button("^Try again in [0-9]:[0-9]{2}$")).to_be_disabled()
    # Neither outlives the other request, nor keeps another number out.
    shopper.field.fill("0712 999 999")
    expect(shopper.pay_button).to_be_enabled()
    expect(shopper.text("Another M-PESA request is open on this phone")).to_have_count(0)


def test_a_result_has_no_line_about_the_connection_above_it(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)

    sale.phone.answer(cancel=True)
    shopper.sees("failed")

    expect(shopper.text(LIVE)).to_have_count(0)
    shopper.button("^Try again$").click()
    shopper.reads(LIVE)


# All that is seen of the state; buttons to copy with and the rest need a script to be of use, and
# what stands in noscript is of use without one.
STAGE = """
() => {
  const stage = document.getElementById("stage");
  const parts = [...stage.querySelectorAll("h2, p, a, button, dt, dd, dd > *, li, label")];
  const beside = "#link, #spoken, #print, [data-copy], dd:has([data-copy]), noscript";
  const seen = parts.filter((el) => el.checkVisibility() && !el.closest(beside));
  const texts = seen.map((el) => el.textContent.trim());
  return [stage.dataset.view, stage.dataset.money, document.title, ...texts];
}
"""


@pytest.mark.parametrize(
    ("answer", "lang"),
    [
        ({"pin": "1234"}, "en"),
        ({"pin": "1234"}, "sw"),
        ({"cancel": True}, "sw"),
        ({"pin": "9999"}, "en"),
    ],
)
def test_what_the_script_shows_of_a_result_is_what_the_server_shows_of_it(
    visit, sale, answer, lang
):
    shopper = visit(sale, f"?lang={lang}")
    shopper.pay(sale.typed)
    shopper.reads(LIVE)
    sale.phone.answer(**answer)
    shopper.sees("paid" if answer == {"pin": "1234"} else "failed")

    without_script = visit(sale, f"?lang={lang}", java_script_enabled=False)

    by_script, by_server = (each.page.evaluate(STAGE) for each in (shopper, without_script))
    assert by_script == by_server


def says_of_the_money(shopper, expected):
    said, warnings = expected
    expect(shopper.page.locator("#message")).to_contain_text(said)
    expect(shopper.text("do not pay again")).to_have_count(warnings)


def first_way_on(shopper):
    """What the first of the buttons below a failure says."""
    ways = shopper.page.locator("#ways-on").locator("a, button").filter(visible=True)
    return ways.first.inner_text()
