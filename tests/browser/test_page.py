"""How the page is used: keyboard, screen reader, motion, dark, paper, Kiswahili."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.steps import Sale, pick_up


def test_the_keyboard_alone_buys_and_pays(visit, sale):
    shopper = visit(sale)
    shopper.open(sale.server.url("/"))
    tab_to(shopper, shopper.button("^Buy Coffee"))
    shopper.page.keyboard.press("Enter")
    expect(shopper.pay_button).to_be_visible()
    tab_to(shopper, shopper.field)
    shopper.page.keyboard.type(sale.typed)
    tab_to(shopper, shopper.pay_button)
    shopper.page.keyboard.press("Enter")
    shopper.sees("waiting")

    sale.phone.answer(pin="1234")

    shopper.sees("paid")
    shopper.reads("KAHAWA")


def test_whatever_has_the_keyboard_can_be_seen_to_have_it(visit, sale):
    shopper = visit(sale)

    for _ in range(6):
        shopper.page.keyboard.press("Tab")
        style = shopper.page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, parseFloat(outlineWidth)])"
            "(getComputedStyle(document.activeElement))"
        )
        if shopper.page.evaluate("document.activeElement !== document.body"):
            assert style[0] != "none"
            assert style[1] >= 2


def test_the_result_moves_the_focus_to_its_heading(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    expect(shopper.heading("Check your phone")).to_be_focused()

    sale.phone.answer(cancel=True)
    expect(shopper.heading("Not paid")).to_be_focused()
    shopper.button("^Try again$").click()
    sale.phone.answer(pin="1234")

    expect(shopper.heading("Paid")).to_be_focused()


def test_the_language_of_a_page_that_is_not_there_leads_to_no_other_host(visit, sale):
    shopper = visit(sale)

    for path in ("//evil.example/pay", "/%5Cevil.example/pay", "/%09/evil.example", "/%5C%5Cevil"):
        shopper.page.goto(sale.server.url(path))
        link = shopper.page.get_by_role("link", name="Kiswahili")
        assert link.evaluate("each => new URL(each.href).host") == f"127.0.0.1:{sale.server.port}"


def test_each_change_is_said_once(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    sale.phone.answer(cancel=True)
    shopper.sees("failed")
    shopper.button("^Try again$").click()
    shopper.sees("waiting")
    sale.phone.answer(pin="1234")

    shopper.sees("paid")

    changes = [words for words in shopper.said() if "seconds left" not in words]
    assert changes == [
        "Enter your M-PESA PIN on your phone.",
        "The request was cancelled or closed on your phone. M-PESA says that no money was taken.",
        "Enter your M-PESA PIN on your phone.",
        "Payment received, thank you.",
    ]


def test_the_countdown_is_said_sparsely(visit, sale):
    shopper = visit(sale)
    # The page sets its clock by the server's answers, and ours is to run ahead.
    shopper.page.route("**/check-status*", lambda route: route.abort())
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait_live(sale)
    before = shopper.said()

    shopper.page.clock.run_for(35_000)

    shopper.reads(re.compile("0:[012][0-9] left to answer"))
    assert 1 <= len(shopper.said()) - len(before) <= 4


@pytest.mark.parametrize("hours", [-2, 2, 24 * 400])
def test_the_countdown_is_right_after_a_reload_though_the_phones_clock_is_wrong(visit, sale, hours):
    shopper = visit(sale)
    shopper.wait_live(sale)
    # What the page is told afterwards would set its clock right.
    shopper.page.route("**/check-status*", lambda route: route.abort())
    shopper.page.route_web_socket("**/socket.io/**", lambda _socket: None)
    shopper.page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=hours))

    shopper.page.reload()

    shopper.reads(re.compile("^0:[345][0-9] left to answer$"))


def test_the_status_region_is_there_from_the_first_paint(visit, sale):
    shopper = visit(sale, java_script_enabled=False)

    expect(shopper.page.get_by_role("status").first).to_contain_text("Confirm it there")


def test_a_problem_is_an_alert(visit, sale):
    shopper = visit(sale)

    shopper.pay("12")

    expect(shopper.page.get_by_role("alert").filter(visible=True)).to_have_count(1)


def test_who_wants_less_motion_sees_none(visit, sale):
    calm, lively = (visit(sale, reduced_motion=each) for each in ("reduce", "no-preference"))
    calm.wait_live(sale)
    lively.page.reload()
    lively.sees("waiting")

    assert animations(lively) > 0
    assert animations(calm) == 0
    sale.phone.answer(pin="1234")
    calm.sees("paid")
    assert animations(calm) == 0


def test_a_dark_system_gets_a_dark_page(visit, sale):
    light, dark = visit(sale, color_scheme="light"), visit(sale, color_scheme="dark")

    assert brightness(light) > 200
    assert brightness(dark) < 60


def test_the_printed_receipt_has_what_a_receipt_needs_and_no_buttons(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")

    shopper.page.emulate_media(media="print")

    for words in (sale.receipt(), "KES 150", "INV-1", "Duka la Mfano"):
        shopper.reads(words)
    expect(shopper.page.get_by_role("button")).to_have_count(0)
    expect(shopper.page.get_by_role("link")).to_have_count(0)


def test_in_kiswahili_the_whole_way_is_kiswahili(visit, sale):
    shopper = visit(sale, "?lang=sw")
    expect(shopper.page.locator("html")).to_have_attribute("lang", "sw")
    shopper.pay("0812 345 678")
    expect(shopper.page.get_by_role("alert")).to_contain_text("Kenya")
    expect(shopper.page.get_by_role("alert")).not_to_contain_text("number")
    shopper.wait_live(sale)

    sale.phone.answer(pin="1234")

    shopper.sees("paid")
    shopper.reads("Malipo yamepokelewa, asante.")


def test_the_language_is_switched_in_the_corner_and_the_state_stays(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)

    shopper.page.get_by_role("link", name="Kiswahili").click()

    shopper.sees("waiting")
    shopper.page.get_by_role("link", name="English").click()
    expect(shopper.heading("Check your phone")).to_be_visible()


def test_a_browser_that_prefers_kiswahili_gets_it(visit, sale):
    shopper = visit(sale, locale="sw-KE")

    expect(shopper.page.locator("html")).to_have_attribute("lang", "sw")


def test_the_receipts_time_is_nairobis_wherever_the_phone_is(visit, sale):
    shopper = visit(sale, timezone_id="America/New_York")
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    told = receipt_time(shopper)

    shopper.page.reload()

    shopper.sees("paid")
    assert re.fullmatch(r"[0-9]{1,2} [A-Z][a-z]{2,3} [0-9]{4}, [0-9]{2}:[0-9]{2}", told)
    assert receipt_time(shopper) == told


def test_the_virtual_phone_pays_what_the_shop_sold(visit, sale):
    shopper = visit(sale)
    shopper.open(sale.server.url("/"))
    shopper.button("^Buy Kiondo basket").click()
    shopper.pay(sale.typed)
    shopper.sees("waiting")
    with shopper.context.expect_page() as opened:
        shopper.page.get_by_role("link", name="Virtual phone").click()
    device = opened.value
    pick_up(device, sale.typed)
    prompt = device.get_by_role("dialog", name=re.compile("KES 1,500|Ksh ?1,500"))
    expect(prompt).to_be_visible()

    for digit in "1234":
        prompt.get_by_role("button", name=digit, exact=True).click()
    prompt.get_by_role("button", name="OK").click()

    shopper.sees("paid")
    expect(device.get_by_role("list", name="Messages")).to_contain_text(sale.receipt())


def test_the_virtual_phone_can_refuse(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    device = shopper.second_tab(sale.server.url("/simulator/")).page
    pick_up(device, sale.typed)

    device.get_by_role("dialog").get_by_role("button", name="Cancel").click()

    shopper.sees("failed")


def test_the_page_shows_what_the_merchant_wrote_as_it_was_written(visit, server):
    sale = Sale(server, reference="SHOP/7", description="Asali & chai <b>", amount=250_000)

    shopper = visit(sale)

    shopper.reads("SHOP/7")
    shopper.reads("Asali & chai <b>")
    expect(shopper.pay_button).to_have_accessible_name(re.compile(r"Pay KES\s250,000"))


def test_where_nothing_can_be_copied_the_page_stays_whole(visit, sale):
    shopper = visit(sale)
    shopper.page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no'))"
    )
    shopper.page.reload()
    shopper.pay_by_hand()
    shopper.sees("by_hand")

    shopper.button("^Copy the number$").click()

    expect(shopper.button("^Copy the number$")).to_be_visible()


def test_on_a_wide_screen_the_virtual_phone_opens_beside_the_shop(visit, sale):
    shopper = visit(sale, screen={"width": 1600, "height": 1000})
    shopper.open(sale.server.url("/"))
    shopper.page.evaluate(
        "window.open = (...asked) => { window.asked = asked; return {}; }; window.asked = null"
    )

    shopper.page.get_by_role("link", name="Virtual phone").click()

    address, _name, features = shopper.page.evaluate("window.asked")
    assert address == sale.server.url("/simulator/")
    assert "popup" in features
    assert "left=1140" in features


def tab_to(shopper, target):
    for _ in range(30):
        shopper.page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("the keyboard never gets there")


def animations(shopper):
    return shopper.page.evaluate(
        "document.getAnimations().filter((each) => each.playState === 'running'"
        " && each.effect.getComputedTiming().duration > 1).length"
    )


def brightness(shopper):
    """Of the largest surface, 0 to 255."""
    colour = shopper.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall("[0-9]+", colour)[:3])) / 3


def receipt_time(shopper):
    term = shopper.page.get_by_role("term").filter(has_text=re.compile("^Date"))
    return term.locator("xpath=following-sibling::dd[1]").inner_text()
