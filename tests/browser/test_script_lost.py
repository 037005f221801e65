"""Scripting is on, and the page's script does not run: the page loads itself again all the same."""

import re
import time
from pathlib import Path

import pytest

from tests.browser.steps import LIVE, Sale, Shopper
from tests.browser.test_networks import keeping, kept_in_memory  # noqa: F401
from tests.integration.steps import push
from tests.servers import ROOT, wait_until

SCRIPTS = ROOT / "static" / "checkout"
PATH = "**/static/*/checkout"
CLIENT = "socket.io"
AGAIN = "This page looks again every 5 seconds"
EVERY_MS = 5000
LATE_EVERY_MS = 30_000
# Something to be seen happening on a machine that is busy.
SLACK_S = 4


def modules_of(name, seen):
    """A module of the page and all that it imports."""
    seen.add(name)
    for each in re.findall(r'(?:from|import) "\./(\w+\.js)"', (SCRIPTS / name).read_text()):
        if each not in seen:
            modules_of(each, seen)
    return seen


MODULES = sorted(modules_of("page.js", set()))
# As `?.` is to a browser of 2017: Chromium knows no pipes, and refuses the whole module.
UNKNOWN_SYNTAX = {"content_type": "text/javascript", "body": "1 |> String;"}


@pytest.fixture
def shopper(browser):
    """One whose page may well stumble over a script."""
    opened = Shopper(browser.new_context())
    yield opened
    opened.leave()


def wait_without(shopper, sale):
    """Open the page of a payment under way, with a clock that the test can move."""
    push(sale.server, sale.order_id, sale.line)
    shopper.page.clock.install()
    shopper.open(sale.url())
    shopper.sees("waiting")


def pay_meanwhile(sale):
    sale.phone.answer(pin="1234")
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")


def documents(shopper):
    """How often the page was loaded."""
    return sum(each.resource_type == "document" for each in shopper.requests)


def runs(shopper):
    return shopper.page.evaluate("document.documentElement.hasAttribute('data-runs')")


def test_the_modules_of_the_page_are_those_that_are_imported_statically(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)

    loaded = [each.url for each in shopper.asked("/checkout/") if each.url.endswith(".js")]

    assert sorted(Path(each).name for each in loaded) == MODULES


# The first, one that it imports, one that imports nothing. All are imported statically, as the test
# above finds: where one is missing, none runs.
@pytest.mark.parametrize("lost", ["page.js", "follower.js", "view.js"])
def test_with_a_module_lost_the_result_is_shown_within_the_pages_interval(shopper, sale, lost):
    shopper.page.route(f"{PATH}/{lost}", lambda route: route.abort())
    wait_without(shopper, sale)
    shopper.reads(AGAIN)
    pay_meanwhile(sale)

    shopper.page.clock.run_for(EVERY_MS)

    shopper.sees("paid")
    shopper.reads(sale.receipt())


@pytest.mark.parametrize("refused", ["sms_code.js", "*.js"])
def test_a_browser_that_does_not_know_the_syntax_is_shown_the_result(shopper, sale, refused):
    shopper.page.route(f"{PATH}/{refused}", lambda route: route.fulfill(**UNKNOWN_SYNTAX))
    wait_without(shopper, sale)
    shopper.reads(AGAIN)
    pay_meanwhile(sale)

    shopper.page.clock.run_for(EVERY_MS)

    shopper.sees("paid")


def test_without_the_socket_client_the_page_polls_and_is_never_loaded_again(shopper, sale):
    shopper.page.route(f"**/*{CLIENT}*", lambda route: route.abort())
    wait_without(shopper, sale)
    shopper.page.clock.run_for(2 * LATE_EVERY_MS)
    pay_meanwhile(sale)

    shopper.page.clock.run_for(EVERY_MS)

    shopper.sees("paid")
    assert documents(shopper) == 1


def test_with_all_scripts_lost_the_page_shows_the_result_by_itself(shopper, sale):
    """In real time, as a shopper would see it."""
    shopper.page.route("**/*.js", lambda route: route.abort())
    shopper.open(sale.url())
    shopper.pay(sale.typed)
    shopper.sees("waiting")
    shopper.reads(AGAIN)
    sale.phone.answer(pin="1234")
    began = time.monotonic()

    shopper.sees("paid")

    assert time.monotonic() - began < EVERY_MS / 1000 + SLACK_S


def test_a_browser_that_knows_no_modules_is_shown_the_result(shopper, sale):
    def without_modules(route):
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace('type="module"', 'type="x"'))

    shopper.page.route("**/checkout/*", without_modules)
    wait_without(shopper, sale)
    shopper.reads(AGAIN)
    pay_meanwhile(sale)

    shopper.page.clock.run_for(EVERY_MS)

    shopper.sees("paid")


def test_a_script_that_stumbles_while_it_starts_does_not_count_as_running(shopper, sale):
    """As where a browser knows the syntax, but not all that is called."""
    shopper.page.add_init_script("window.setInterval = undefined;")
    wait_without(shopper, sale)
    pay_meanwhile(sale)

    shopper.page.clock.run_for(EVERY_MS)

    shopper.sees("paid")


def test_while_the_wait_is_over_the_page_looks_every_half_minute(shopper, impatient_server):
    sale = Sale(impatient_server)
    push(sale.server, sale.order_id, sale.line)
    wait_until(lambda: sale.attempts()[0]["reason"] == "overdue")
    shopper.page.route(f"{PATH}/follower.js", lambda route: route.abort())
    shopper.page.clock.install()
    shopper.open(sale.url())
    shopper.sees("overdue")
    shopper.reads("This page looks again every 30 seconds")
    pay_meanwhile(sale)

    shopper.page.clock.run_for(LATE_EVERY_MS)

    shopper.sees("paid")


def test_a_code_that_is_being_typed_is_not_lost(shopper, impatient_server):
    sale = Sale(impatient_server)
    push(sale.server, sale.order_id, sale.line)
    wait_until(lambda: sale.attempts()[0]["reason"] == "overdue")
    shopper.page.route(f"{PATH}/follower.js", lambda route: route.abort())
    shopper.page.clock.install()
    shopper.open(sale.url())
    code = shopper.page.locator("#code")
    code.press_sequentially("UKO1")

    shopper.page.clock.run_for(2 * LATE_EVERY_MS)
    code.press_sequentially("AB")
    shopper.page.clock.run_for(3 * LATE_EVERY_MS)

    assert code.input_value() == "UKO1AB"
    assert documents(shopper) == 1
    # Left behind, it keeps nothing back.
    pay_meanwhile(sale)
    shopper.page.clock.run_for(2 * LATE_EVERY_MS)
    shopper.sees("paid")


def test_who_will_not_wait_can_have_the_page_look_now(shopper, sale):
    shopper.page.route(f"{PATH}/follower.js", lambda route: route.abort())
    wait_without(shopper, sale)
    pay_meanwhile(sale)

    shopper.page.get_by_role("link", name="Look now").click()

    shopper.sees("paid")


def test_a_page_whose_script_runs_is_never_loaded_again(visit, sale):
    shopper = visit(sale)
    wait_without(shopper, sale)
    loaded = documents(shopper)

    shopper.page.clock.run_for(2 * LATE_EVERY_MS)

    shopper.sees("waiting")
    assert documents(shopper) == loaded
    assert shopper.page.locator("#look").is_hidden()


@pytest.mark.parametrize("slow", [f"{PATH}/follower.js", f"**/*{CLIENT}*"])
def test_a_script_that_is_slow_to_come_is_waited_for(visit, sale, slow):
    """On a line of 2G the modules take longer than the page's interval."""
    push(sale.server, sale.order_id, sale.line)
    shopper = visit(Sale(sale.server))

    def dawdle(route):
        time.sleep(EVERY_MS / 1000 + 2)
        route.continue_()

    shopper.page.route(slow, dawdle)
    loaded = documents(shopper)
    shopper.open(sale.url())
    wait_until(lambda: runs(shopper))
    shopper.page.wait_for_timeout(EVERY_MS + 1000)

    shopper.sees("waiting")
    shopper.reads(re.compile("^(Connected|Checking every few seconds)"))
    assert documents(shopper) == loaded + 1


def test_a_module_that_hangs_is_not_waited_for_for_ever(shopper, sale):
    shopper.page.route(f"{PATH}/follower.js", lambda route: None)
    push(sale.server, sale.order_id, sale.line)
    shopper.page.clock.install()
    shopper.page.goto(sale.url(), wait_until="commit")
    shopper.sees("waiting")
    pay_meanwhile(sale)

    shopper.page.clock.run_for(LATE_EVERY_MS)

    shopper.sees("paid")


def test_a_page_that_comes_back_from_memory_with_its_script_is_not_loaded_again(
    keeping,  # noqa: F811
    sale,
):
    push(sale.server, sale.order_id, sale.line)
    shopper = kept_in_memory(keeping, sale)
    shopper.reads(LIVE)
    shopper.open(sale.server.url("/"))
    with shopper.page.expect_console_message(lambda message: "persisted: true" in message.text):
        shopper.page.evaluate("history.back()")
    loaded = documents(shopper)

    shopper.page.wait_for_timeout(EVERY_MS + 2000)

    shopper.sees("waiting")
    assert documents(shopper) == loaded
