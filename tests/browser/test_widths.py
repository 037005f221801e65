"""No page of ours can be scrolled sideways, at any width from a small phone to a desk."""

import re
from math import ceil, floor

import pytest

from tests.browser.steps import Sale
from tests.browser.test_console import (  # noqa: F401
    PAGES,
    open_console,
    shop,
    signed_in,
)
from tests.integration.steps import push
from tests.servers import ROOT, wait_until

REM = 16


def edges():
    """The widths on both sides of every change of layout."""
    for sheet in ROOT.glob("static/**/*.css"):
        for which, rems in re.findall(r"\((min|max)-width: ([\d.]+)rem\)", sheet.read_text()):
            last = floor(float(rems) * REM) if which == "max" else ceil(float(rems) * REM) - 1
            yield from (last, last + 1)


# A layout is fullest at its narrowest; and what lies between.
WIDTHS = sorted({*edges(), *range(320, 1441, 40)})


def too_wide(page):
    """The widths at which a page is wider than its window, and how wide it is then."""
    devtools = page.context.new_cdp_session(page)
    wider = []
    for width in WIDTHS:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        devtools.send("Emulation.setDeviceMetricsOverride", metrics)
        found = page.evaluate("[innerWidth, document.scrollingElement.scrollWidth]")
        assert found[0] == width
        if found[1] > width:
            wider.append((width, found[1]))
    return wider


@pytest.mark.parametrize("path", ["transactions?lang=en", *(f"{each}?lang=sw" for each in PAGES)])
def test_no_page_of_the_console_scrolls_sideways(open_console, path):  # noqa: F811
    """Kiswahili has the longer words, and each tab may have a number of what waits."""
    page = open_console(path)
    page.evaluate("document.querySelectorAll('.badge').forEach((each) => (each.hidden = false))")

    assert too_wide(page) == []


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_no_word_on_todays_tiles_is_broken(open_console, lang):  # noqa: F811
    page = open_console(f"?lang={lang}")
    page.evaluate("document.body.style.overflowWrap = 'normal'")
    for width in (320, 360, 412, 448, 600, 768, 1056, 1440):
        page.set_viewport_size({"width": width, "height": 900})

        broken = page.locator(".tile a").evaluate_all(
            "all => all.filter((each) => each.scrollWidth > each.clientWidth)"
            ".map((each) => each.innerText)"
        )

        assert broken == [], width


def test_a_payment_and_what_may_be_done_with_it_do_not_scroll_sideways(
    open_console,  # noqa: F811
    shop,  # noqa: F811
):
    sale = Sale(shop, reference="A/VERY-LONG1", description="Kahawa" * 30)
    push(shop, sale.order_id, sale.line)
    page = open_console(f"transactions/{sale.transaction_id}")
    assert too_wide(page) == []

    page.goto(shop.url(f"/console/transactions/{sale.transaction_id}/paid"))

    assert too_wide(page) == []


def test_the_shop_the_phone_the_api_and_an_error_do_not_scroll_sideways(visit, sale):
    shopper = visit(sale)
    for path in ("/?lang=sw", "/simulator/", "/docs/api", "/checkout/nothing?lang=sw"):
        shopper.open(sale.server.url(path))

        assert too_wide(shopper.page) == [], path


def test_the_checkout_page_scrolls_sideways_in_no_state(visit, merchants_server):
    sale = Sale(merchants_server, description="Kahawa" * 30)
    shopper = visit(sale, "?lang=sw")
    assert too_wide(shopper.page) == []
    push(sale.server, sale.order_id, sale.line)
    shopper.page.reload()
    assert too_wide(shopper.page) == []
    sale.phone.answer(cancel=True)
    wait_until(lambda: sale.attempts()[0]["status"] == "FAILED")
    shopper.page.reload()
    assert too_wide(shopper.page) == []
    push(sale.server, sale.order_id, sale.line)
    sale.phone.answer(pin="1234")
    wait_until(lambda: sale.attempts()[0]["status"] == "SUCCESS")
    shopper.page.reload()
    assert too_wide(shopper.page) == []


def test_the_steps_of_paying_by_hand_do_not_scroll_sideways(visit, server):
    sale = Sale(server, amount=250_000)
    server.post("/pay-by-hand", json={"order_id": sale.order_id})
    shopper = visit(sale, "?lang=sw")
    shopper.sees("by_hand")
    assert too_wide(shopper.page) == []

    push(server, sale.order_id, sale.line)
    shopper.page.reload()

    assert too_wide(shopper.page) == []


def test_an_overdue_payments_page_does_not_scroll_sideways(visit, impatient_server):
    sale = Sale(impatient_server)
    push(sale.server, sale.order_id, sale.line)
    wait_until(lambda: sale.attempts()[0]["reason"] == "overdue")

    assert too_wide(visit(sale, "?lang=sw").page) == []
