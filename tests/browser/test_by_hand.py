"""Paying by hand, as a shopper with a small phone does it."""

import re

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.steps import MENU, Sale, type_code
from tests.browser.test_states import STAGE
from tests.factories import API_KEY
from tests.servers import PATIENCE, running, wait_until

SMALL = {"viewport": {"width": 320, "height": 640}}
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def test_the_page_shows_money_that_was_sent_by_hand_as_soon_as_it_is_told(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.page.route("**/check-status*", lambda route: route.abort())
    shopper.pay_by_hand()
    shopper.sees("by_hand")
    expect(shopper.page.locator("#link")).to_have_attribute("data-link", "live")

    sale.send_by_hand()

    shopper.sees("paid")
    shopper.reads(sale.receipt())
    expect(shopper.page.get_by_text("From", exact=True).filter(visible=True)).to_have_count(0)


def test_without_a_socket_the_same_is_polled(visit, sale):
    shopper = visit(sale)
    shopper.page.route("**/socket.io*", lambda route: route.abort())
    shopper.pay_by_hand()
    shopper.sees("by_hand")

    sale.send_by_hand()

    shopper.sees("paid")


@pytest.mark.parametrize("query", ["?lang=en", "?lang=sw"])
def test_all_of_it_works_without_a_script(visit, sale, query):
    shopper = visit(sale, query, java_script_enabled=False, **SMALL)
    shopper.pay_by_hand()
    shopper.sees("by_hand")
    expect(shopper.page.locator("[data-copy]").filter(visible=True)).to_have_count(0)
    shopper.reads(grouped(sale.pay_code))

    sale.send_by_hand()
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")
    shopper.page.reload()

    shopper.sees("paid")
    shopper.reads(sale.receipt())


def test_each_value_is_copied_as_the_phone_takes_it(visit, sale):
    shopper = visit(sale, **SMALL, **CLIPBOARD)
    shopper.pay_by_hand()
    shopper.sees("by_hand")
    copied = []

    for value in ("174379", sale.pay_code, "150"):
        button = shopper.page.locator(f'[data-copy="{value}"]')
        button.click()
        expect(button).to_have_text(re.compile("^Copied"))
        copied.append(shopper.page.evaluate("navigator.clipboard.readText()"))
        expect(button).to_have_text(re.compile("^Copy "))

    assert copied == ["174379", sale.pay_code, "150"]
    assert "Copied" in shopper.said()


def test_after_an_unreachable_phone_it_is_unfolded_and_one_press_away(visit, sale):
    sale.phone.script(answer="unreachable")
    shopper = visit(sale, **SMALL)
    shopper.pay(sale.typed)
    shopper.sees("failed")

    shopper.page.get_by_role("button", name="Pay by hand", exact=True).click()

    shopper.sees("by_hand")
    expect(shopper.heading("Pay by hand", level=2)).to_be_focused()
    sale.send_by_hand()
    shopper.sees("paid")


def test_after_other_failures_it_is_folded(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.wait_live(sale)
    sale.phone.answer(pin="9999")
    shopper.sees("failed")

    expect(shopper.page.get_by_role("button", name="Pay by hand", exact=True)).to_be_hidden()
    shopper.page.get_by_text(MENU).filter(visible=True).click()

    expect(shopper.page.get_by_role("button", name="Pay by hand", exact=True)).to_be_visible()


def test_beside_an_open_prompt_that_is_to_be_cancelled_first(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.wait_live(sale)

    shopper.pay_by_hand()

    shopper.reads("First cancel the M-PESA request on your phone")
    shopper.reads("Pay once only")
    expect(shopper.heading("Pay by hand", level=3)).to_be_focused()
    shopper.sees("waiting")
    sale.phone.answer(cancel=True)
    shopper.sees("by_hand")
    expect(shopper.text("First cancel")).to_have_count(0)


def test_money_by_hand_beside_an_open_prompt_shows_its_receipt(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.wait_live(sale)
    shopper.pay_by_hand()
    shopper.reads("First cancel the M-PESA request on your phone")

    sale.send_by_hand()

    shopper.sees("paid")
    shopper.reads(sale.receipt())
    shopper.reads("If another M-PESA request is still on a phone, cancel it.")


@pytest.mark.parametrize(("beside", "lang"), [(False, "sw"), (True, "en")])
def test_what_the_script_shows_of_it_is_what_the_server_shows_of_it(visit, sale, beside, lang):
    shopper = visit(sale, f"?lang={lang}")
    if beside:
        shopper.wait(sale)
    shopper.pay_by_hand()
    expect(shopper.page.locator("#by-hand")).to_be_visible()

    without_script = visit(sale, f"?lang={lang}", java_script_enabled=False)

    by_script, by_server = (each.page.evaluate(STAGE) for each in (shopper, without_script))
    assert without_counting(by_script) == without_counting(by_server)


def test_who_would_rather_have_a_prompt_gets_one(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.pay_by_hand()
    shopper.sees("by_hand")

    shopper.button("^Get a request on my phone$").click()
    expect(shopper.field).to_be_focused()
    shopper.wait(sale)
    sale.phone.answer(pin="1234")

    shopper.sees("paid")


def test_who_changes_the_mind_comes_back_to_the_same_transaction(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.pay_by_hand()
    shopper.sees("by_hand")
    shopper.button("^Get a request on my phone$").click()

    shopper.pay_by_hand()

    shopper.sees("by_hand")
    assert len(sale.attempts()) == 1


def test_an_order_that_ended_before_the_press_tells_so(visit, sale):
    shopper = visit(sale)
    sale.server.post(f"/api/orders/{sale.order_id}/cancel", headers=API_KEY)

    shopper.pay_by_hand()

    shopper.sees("Order cancelled")


def test_a_press_without_a_network_says_so_and_can_be_repeated(visit, sale):
    shopper = visit(sale)
    shopper.context.set_offline(True)
    shopper.pay_by_hand()
    shopper.reads("It is safe to press again")

    shopper.context.set_offline(False)
    shopper.page.get_by_role("button", name="Pay by hand", exact=True).click()

    shopper.sees("by_hand")


def test_a_code_from_the_sms_pays_where_nobody_told_of_the_money(visit, tmp_path):
    with running(tmp_path) as server:
        silent = {"confirmation": "never"}
        requests.put(f"{server.address}/simulator/organisation", json=silent, timeout=PATIENCE)
        sale = Sale(server)
        sale.phone.script(answer="cancel")  # the code proves itself by the number that was asked
        shopper = visit(sale, **SMALL)
        shopper.pay(sale.typed)
        shopper.sees("failed")
        shopper.pay_by_hand()
        shopper.sees("by_hand")
        sale.send_by_hand()
        shopper.page.get_by_text("Paid, but not shown here?").click()

        type_code(shopper, sale.receipt())

        shopper.sees("paid")
        shopper.reads(sale.receipt())


def test_while_a_code_is_checked_the_page_says_so_and_offers_no_other_way(visit, sale):
    shopper = visit(sale, **SMALL)
    shopper.pay_by_hand()
    shopper.sees("by_hand")
    shopper.page.get_by_text("Paid, but not shown here?").click()

    type_code(shopper, "UKO1ABCDEF")

    shopper.sees("Checking your payment")
    shopper.reads("Thank you. We have your code and are checking it.")
    expect(shopper.page.locator("form.by-hand, #by-hand").filter(visible=True)).to_have_count(0)


def test_a_payment_that_a_person_has_to_check_reaches_the_page_when_its_shopper_comes_back(
    visit, sale
):
    shopper = visit(sale, **SMALL)
    shopper.pay_by_hand()
    shopper.sees("by_hand")

    sale.send_by_hand(amount=120)
    wait_until(lambda: "A payment of KES 120" in sale.server.get(sale.path).text)
    # From the phone's menu back to the browser.
    shopper.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    shopper.reads("A payment of KES 120 came")
    shopper.reads("A person at Duka la Mfano is checking")


def without_counting(texts):
    """All but what counts down."""
    return [text for text in texts if not re.search("left to answer|Waiting up to", text)]


def grouped(code):
    return f"{code[:3]} {code[3:6]} {code[6:]}"
