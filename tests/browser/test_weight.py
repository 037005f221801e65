"""What the page costs: bytes, requests, and how much it jumps."""

import gzip
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.browser.steps import LIVE, NO_NETWORK, Sale

KILOBYTE = 1024
LIGHT = 30 * KILOBYTE
# Google's "good" is 0.1; here nothing moves at all,
STILL = 0
# but for the quiet line, where a longer sentence above it takes two lines more of a narrow screen.
A_LINE_MORE = 0.002


@pytest.fixture
def visit(visit):
    """With all that moves."""
    return partial(visit, reduced_motion="no-preference")


def test_the_page_with_its_own_scripts_and_styles_is_light(visit, server):
    sale = Sale(server, return_url=server.url("/"))
    bodies = {}
    shopper = visit(sale)
    shopper.page.on("response", lambda response: bodies.setdefault(response.url, response))
    shopper.page.reload()
    shopper.wait_live(sale)
    own = [url for url in bodies if ours(url)]

    weights = {url: len(gzip.compress(bodies[url].body())) for url in own}

    assert b"<style>" in bodies[sale.url()].body()
    assert any(".js" in url for url in own)
    assert sum(weights.values()) <= LIGHT, weights


def test_nobody_else_is_asked_for_anything(visit, sale):
    shopper = visit(sale)
    shopper.wait_live(sale)
    sale.phone.answer(pin="1234")
    shopper.sees("paid")
    shopper.open(sale.server.url("/"))

    hosts = {urlsplit(each.url).netloc for each in shopper.requests if "data:" not in each.url}

    assert hosts == {urlsplit(sale.server.address).netloc}
    assert {urlsplit(each.url).netloc for each in shopper.sockets} == hosts


def test_the_socket_client_is_fetched_only_when_the_waiting_begins(visit, sale):
    shopper = visit(sale)
    shopper.field.fill(sale.typed)
    before = len(shopper.asked("socket.io"))

    shopper.pay_button.click()
    shopper.sees("waiting")

    shopper.reads(LIVE)
    assert before == 0
    assert len(shopper.asked("socket.io")) == 1


def test_nothing_jumps_while_the_page_comes_up(visit, sale):
    shopper = visit(sale)
    shopper.page.wait_for_load_state("load")

    assert shopper.jumped() <= STILL


def test_nothing_jumps_when_the_result_comes(visit, server):
    for answer, state in (({"pin": "1234"}, "paid"), ({"cancel": True}, "failed")):
        sale = Sale(server)
        shopper = visit(sale, viewport={"width": 390, "height": 760})
        shopper.wait_live(sale)
        before = shopper.jumped()

        sale.phone.answer(**answer)

        shopper.sees(state)
        drawn(shopper)
        assert shopper.jumped() - before <= STILL, state


def test_nothing_but_the_quiet_line_moves_when_the_wait_is_over(visit, impatient_server):
    sale = Sale(impatient_server)
    shopper = visit(sale, viewport={"width": 390, "height": 760})
    shopper.wait(sale)
    before = shopper.jumped()

    shopper.sees("overdue")
    drawn(shopper)

    assert shopper.jumped() - before <= A_LINE_MORE


def test_nothing_jumps_when_the_network_goes_and_comes_back(visit, sale):
    shopper = visit(sale, viewport={"width": 390, "height": 760})
    shopper.wait_live(sale)
    before = shopper.jumped()

    shopper.context.set_offline(True)
    shopper.reads(NO_NETWORK)
    shopper.context.set_offline(False)
    shopper.reads(LIVE)
    drawn(shopper)

    assert shopper.jumped() - before <= STILL


def ours(url):
    """HTML, CSS and our own JavaScript; the Socket.IO client has a weight of its own.

    What opens the virtual phone is the simulator's: shoppers who really pay never load it.
    """
    path = urlsplit(url).path
    is_part = path.startswith("/checkout/") or path.endswith((".css", ".js"))
    return is_part and "/vendor/" not in path and not path.endswith("/virtual_phone.js")


def drawn(shopper):
    """Let two frames be drawn, so that shifts are known."""
    shopper.page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
