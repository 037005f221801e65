"""Bad networks, reloads, second tabs: the page always ends at what the server knows."""

import json
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SETTINGS, launch
from tests.browser.steps import LIVE, NO_NETWORK, Sale, Shopper
from tests.integration.steps import push
from tests.servers import free_port, running, wait_until

POLLING = "Checking every few seconds"
NO_SERVER = "does not answer just now"
SOCKET = re.compile("/socket.io/")


def refuse_sockets(page):
    page.route_web_socket(SOCKET, lambda socket: socket.close())


def test_where_sockets_are_refused_polling_brings_the_result(visit, sale):
    shopper = visit(sale)
    refuse_sockets(shopper.page)
    shopper.page.reload()
    shopper.wait(sale)
    shopper.reads(POLLING)

    sale.phone.answer(pin="1234")

    shopper.sees("paid")
    shopper.reads(sale.receipt())
    # Engine.IO's own long polling would need one worker for all its requests.
    assert not shopper.asked("/socket.io/")


def test_a_socket_that_dies_while_waiting_strands_nobody(visit, sale):
    lines = []
    shopper = visit(sale)
    shopper.page.route_web_socket(SOCKET, lambda socket: lines.append(through(socket)))
    shopper.page.reload()
    shopper.wait_live(sale)

    shopper.page.unroute_all()
    refuse_sockets(shopper.page)
    lines[0].close()
    shopper.reads(POLLING)
    sale.phone.answer(pin="1234")

    shopper.sees("paid")


def test_a_socket_that_comes_back_ends_the_polling(visit, sale):
    lines = []
    shopper = visit(sale)
    shopper.page.route_web_socket(SOCKET, lambda socket: lines.append(through(socket)))
    shopper.page.reload()
    shopper.wait_live(sale)

    lines[0].close()

    shopper.reads(POLLING)
    shopper.reads(LIVE)
    assert len(lines) == 2


def test_a_broker_that_fell_silent_is_made_up_for_by_a_slow_poll(visit, sale):
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.route_web_socket(SOCKET, lambda socket: through(socket, mute_after=1))
    shopper.page.reload()
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")
    shopper.sees("waiting")

    shopper.page.clock.run_for(10_500)

    shopper.sees("paid")


def test_a_result_that_lands_while_the_page_is_offline_is_shown_once_it_is_back(visit, sale):
    shopper = visit(sale)
    refuse_sockets(shopper.page)
    shopper.page.reload()
    shopper.wait(sale)
    shopper.context.set_offline(True)
    shopper.reads(NO_NETWORK)
    sale.phone.answer(pin="1234")
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")
    shopper.sees("waiting")

    shopper.context.set_offline(False)

    shopper.sees("paid")


def test_a_server_that_restarts_is_waited_for(visit, tmp_path):
    port = free_port()
    program = ("-m", "mpesa.simulator", "--port", str(port))
    with (
        running(tmp_path, program, PORT=str(port)) as simulator,
        running(tmp_path, DARAJA_BASE_URL=simulator.address, **SETTINGS) as server,
    ):
        sale = Sale(server)
        sale.phone.simulator = simulator.address
        shopper = visit(sale)
        shopper.wait_live(sale)

        server.stop()
        shopper.reads(NO_SERVER)
        server.start()
        sale.phone.answer(pin="1234")

        shopper.sees("paid")


def test_a_reload_shows_the_same_state(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)

    shopper.page.reload()
    shopper.sees("waiting")
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    shopper.page.reload()

    shopper.sees("paid")
    shopper.reads(sale.receipt())
    assert len(shopper.asked("/stk-push")) == 1


def test_the_back_button_leads_to_the_truth(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    shopper.open(sale.server.url("/"))
    sale.phone.answer(pin="1234")
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")

    shopper.page.go_back()

    shopper.sees("paid")


@pytest.fixture
def keeping(playwright):
    """A browser that keeps pages in memory for its back button."""
    browser = launch(
        playwright,
        # A page that a test hands on would not be trusted with a socket to this computer.
        "--disable-features=LocalNetworkAccessChecks",
        whole=True,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


def test_a_page_that_a_browser_kept_in_memory_shows_the_truth(keeping, sale):
    shopper = kept_in_memory(keeping, sale)
    shopper.open(sale.server.url("/"))
    other_tab = shopper.second_tab(sale.url())
    other_tab.wait(sale)
    sale.phone.answer(pin="1234")
    other_tab.sees("paid")

    with shopper.page.expect_console_message(lambda message: "persisted: true" in message.text):
        shopper.page.evaluate("history.back()")

    shopper.sees("paid")


def test_a_waiting_page_that_a_browser_kept_in_memory_shows_the_truth(keeping, sale):
    shopper = kept_in_memory(keeping, sale)
    shopper.wait_live(sale)
    shopper.open(sale.server.url("/"))
    sale.phone.answer(cancel=True)
    wait_until(lambda: sale.attempts()[0]["status"] == "FAILED")

    with shopper.page.expect_console_message(lambda message: "persisted: true" in message.text):
        shopper.page.evaluate("history.back()")

    shopper.sees("failed")
    # It is connected again, and says so to nobody: above a result the line is not shown.
    expect(shopper.page.locator("#link")).to_have_attribute("data-link", "live")


@pytest.mark.parametrize(
    "told",
    [
        "document.dispatchEvent(new Event('visibilitychange'))",
        "dispatchEvent(new Event('online'))",
    ],
)
def test_a_page_that_is_looked_at_or_has_its_network_again_asks_at_once(visit, sale, told):
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait_live(sale)
    stop_time(shopper)

    with shopper.page.expect_request("**/check-status*"):
        shopper.page.evaluate(told)


def test_a_second_tab_joins_instead_of_pushing_again(visit, sale):
    shopper = visit(sale)
    second = shopper.second_tab(sale.url())
    shopper.wait(sale)

    second.wait(sale)
    third = shopper.second_tab(sale.url())
    third.sees("waiting")
    sale.phone.answer(pin="1234")

    for each in (shopper, second, third):
        each.sees("paid")
    assert len(sale.attempts()) == 1


def test_a_second_browser_with_another_number_learns_of_the_open_request(visit, sale):
    friend = Sale(sale.server)
    # On a phone: a wide page would turn to the open request by itself before the press.
    friends_page = visit(sale, viewport={"width": 360, "height": 640})
    shopper = visit(sale)
    shopper.wait(sale)

    friends_page.pay(friend.typed)

    friends_page.sees("waiting")
    friends_page.reads(LIVE)  # the socket has repeated the state by now
    expect(friends_page.page.get_by_role("alert")).to_contain_text("open on another phone")
    assert not friend.phone.prompts()


def test_a_laptop_whose_order_is_paid_on_a_phone_turns_by_itself(visit, sale):
    laptop = visit(sale, viewport={"width": 1280, "height": 800})
    laptop.page.clock.install()
    laptop.page.reload()
    expect(laptop.field).to_be_visible()
    phones_page = visit(sale, viewport={"width": 390, "height": 760})
    phones_page.wait(sale)
    sale.phone.answer(pin="1234")
    phones_page.sees("paid")

    laptop.page.clock.run_for(11_000)

    laptop.sees("paid")


def test_a_second_browser_sees_the_open_request_and_its_result(visit, sale):
    visit(sale).wait(sale)

    second = visit(sale)
    second.sees("waiting")
    second.reads(f"0{sale.line[3:6]}•••{sale.line[-3:]}")
    sale.phone.answer(pin="1234")

    second.sees("paid")


def test_a_double_click_is_one_request(visit, sale):
    shopper = visit(sale)
    shopper.field.fill(sale.typed)

    shopper.pay_button.dblclick()

    shopper.sees("waiting")
    assert len(shopper.asked("/stk-push")) == 1
    assert len(sale.attempts()) == 1


def test_enter_pressed_twice_is_one_request(visit, sale):
    shopper = visit(sale)
    shopper.field.fill(sale.typed)

    shopper.field.press("Enter")
    shopper.page.keyboard.press("Enter")

    shopper.sees("waiting")
    assert len(shopper.asked("/stk-push")) == 1
    assert len(sale.attempts()) == 1


@pytest.mark.parametrize("arrives", [True, False])
def test_a_press_whose_answer_was_lost_is_safe_to_repeat(visit, sale, arrives):
    shopper = visit(sale)

    def lose(route):
        if arrives:
            route.fetch()
        route.abort()

    shopper.page.route("**/stk-push*", lose, times=1)
    shopper.pay(sale.typed)
    shopper.reads("safe to press again")

    shopper.pay_button.click()

    shopper.sees("waiting")
    assert len({key_of(each) for each in shopper.asked("/stk-push")}) == 1
    assert len(sale.attempts()) == 1


def test_a_press_that_met_an_overloaded_server_keeps_its_key(visit, sale):
    shopper = visit(sale)
    overloaded = {"status": 503, "content_type": "text/html", "body": "<h1>503</h1>"}
    shopper.page.route("**/stk-push*", lambda route: route.fulfill(**overloaded), times=1)
    shopper.pay(sale.typed)
    expect(shopper.page.get_by_role("alert")).to_contain_text("try again")

    shopper.pay_button.click()

    shopper.sees("waiting")
    assert len({key_of(each) for each in shopper.asked("/stk-push")}) == 1


def test_without_javascript_the_whole_way_works(visit, sale):
    shopper = visit(sale, "?lang=sw", java_script_enabled=False)
    shopper.pay(sale.typed)
    shopper.sees("waiting")

    sale.phone.answer(pin="1234")

    shopper.sees("paid")
    shopper.reads(sale.receipt())


def test_without_javascript_a_wrong_number_is_refused_and_kept(visit, sale):
    shopper = visit(sale, java_script_enabled=False)

    shopper.pay("0812 345 678")

    expect(shopper.page.get_by_role("alert").filter(visible=True)).to_contain_text("Kenyan")
    expect(shopper.field).to_have_value("0812 345 678")


def test_without_javascript_a_failed_payment_can_be_tried_again(visit, sale):
    push(sale.server, sale.order_id, sale.line)
    sale.phone.answer(cancel=True)
    wait_until(lambda: sale.attempts()[0]["status"] == "FAILED")
    shopper = visit(sale, java_script_enabled=False)
    shopper.sees("failed")

    shopper.button("^Try again$").click()
    shopper.pay(sale.typed)

    shopper.sees("waiting")
    assert len(sale.attempts()) == 2


def test_after_the_last_word_only_a_refund_is_looked_for_seldom_and_not_for_ever(visit, sale):
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    before = len(shopper.requests)

    for event in ("online", "pageshow"):
        shopper.page.evaluate(f"dispatchEvent(new Event('{event}'))")
    shopper.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shopper.page.clock.run_for(120_000)

    asked = shopper.requests[before:]
    assert {each.url.partition("?")[0] for each in asked} == {sale.url()}
    assert len(asked) <= 5
    shopper.page.clock.fast_forward("01:00:00")
    before = len(shopper.requests)
    shopper.page.clock.run_for(120_000)
    assert shopper.requests[before:] == []
    wait_until(lambda: pumped(shopper) and shopper.sockets[-1].is_closed())


def test_a_hidden_page_with_a_result_asks_for_nothing_until_it_is_looked_at(visit, sale):
    shopper = visit(sale)
    shopper.page.clock.install()
    shopper.page.reload()
    shopper.wait_live(sale)
    sale.phone.answer(cancel=True)
    shopper.sees("failed")
    before = len(shopper.requests)

    hide(shopper, True)
    shopper.page.clock.run_for(120_000)

    wait_until(lambda: pumped(shopper) and shopper.sockets[-1].is_closed())
    assert shopper.requests[before:] == []
    with shopper.page.expect_request("**/check-status*"):
        hide(shopper, False)


def test_a_hidden_page_that_waits_goes_on_waiting(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)

    hide(shopper, True)
    sale.phone.answer(pin="1234")

    shopper.sees("paid")


def test_a_snapshot_that_was_overtaken_changes_nothing(visit, sale):
    lines, heard = [], []
    shopper = visit(sale)
    shopper.page.route_web_socket(SOCKET, lambda socket: lines.append(through(socket, heard=heard)))
    shopper.page.reload()
    shopper.wait_live(sale)
    sale.phone.answer(cancel=True)
    shopper.sees("failed")
    said = shopper.said()

    lines[0].send(heard[0])
    lines[0].send(newer(heard[-1], message="This came after it."))

    shopper.reads("This came after it.")
    assert shopper.said() == [*said, "This came after it."]


def test_a_press_without_a_network_says_that_nothing_was_sent(visit, sale):
    shopper = visit(sale)
    shopper.context.set_offline(True)
    shopper.pay(sale.typed)
    expect(shopper.page.get_by_role("alert")).to_contain_text("nothing was sent")

    shopper.context.set_offline(False)
    shopper.pay_button.click()

    shopper.sees("waiting")
    assert len(shopper.asked("/stk-push")) == 1


def test_a_press_while_the_server_is_away_is_safe_to_repeat(visit, tmp_path):
    with running(tmp_path, **SETTINGS) as server:
        sale = Sale(server)
        shopper = visit(sale)
        server.stop()
        shopper.pay(sale.typed)
        expect(shopper.page.get_by_role("alert")).to_contain_text("safe to press again")

        server.start()
        shopper.pay_button.click()

        shopper.sees("waiting")


def test_a_page_hears_of_nobody_elses_payment(visit, sale):
    stranger = Sale(sale.server)
    strangers_page, shopper = visit(stranger), visit(sale)
    strangers_page.wait_live(stranger)
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")

    stranger.phone.answer(cancel=True)

    strangers_page.sees("failed")
    heard = "".join(map(str, strangers_page.frames))
    assert stranger.transaction_id in heard
    assert sale.transaction_id not in heard
    assert sale.order_id not in heard


def through(socket, mute_after=None, heard=None):
    """Let a socket through to the server; after so many snapshots it goes on, but says nothing.

    Every snapshot is added to `heard`.
    """
    server = socket.connect_to_server()
    heard = [] if heard is None else heard

    def pass_on(message):
        if message.startswith("42"):
            heard.append(message)
            if mute_after is not None and len(heard) > mute_after:
                return
        socket.send(message)

    server.on_message(pass_on)
    return socket


def kept_in_memory(browser, sale):
    """A shopper on a phone, whose page says so when it comes back from memory."""
    shopper = Shopper(browser.new_context(viewport={"width": 390, "height": 760}))
    # Chromium keeps no page that is `no-store`, other browsers do.
    shopper.page.route("**/checkout/*", without_cache_control)
    shopper.open(sale.url())
    shopper.page.evaluate(
        "addEventListener('pageshow', ({persisted}) => console.log({persisted}));"
        # Safari has told a page that comes back nothing else.
        "addEventListener('visibilitychange', (told) => told.stopImmediatePropagation(), true);"
    )
    return shopper


def without_cache_control(route):
    response = route.fetch()
    kept = {k: v for k, v in response.headers.items() if k != "cache-control"}
    route.fulfill(response=response, headers=kept)


def stop_time(shopper):
    """From now on no timer of the page runs."""
    now = shopper.page.evaluate("Date.now()")
    shopper.page.clock.pause_at(datetime.fromtimestamp(now / 1000 + 1, UTC))


def hide(shopper, hidden):
    """Let another window cover the page, or no longer; headless browsers cover nothing."""
    shopper.page.evaluate(
        "(value) => { Object.defineProperty(document, 'hidden', { value, writable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def newer(frame, **changes):
    """The snapshot in a Socket.IO frame with changes, as the next one."""
    name, snapshot = json.loads(frame.removeprefix("42"))
    return "42" + json.dumps([name, {**snapshot, "seq": snapshot["seq"] + 1, **changes}])


def key_of(request):
    return request.headers["idempotency-key"]


def pumped(shopper):
    """Let Playwright deliver what the browser told meanwhile."""
    shopper.page.evaluate("0")
    return True
