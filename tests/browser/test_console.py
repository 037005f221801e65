"""The console in a browser: who gets in, what changes by itself, and what a hostile text can do."""

import re
from datetime import UTC, datetime

import pytest
import requests
from playwright.sync_api import expect

from mpesa import operators
from mpesa.domain.callback import StkResult
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import CallbackReceived
from mpesa.ledger import record
from mpesa.models import db
from mpesa.runtime.wiring import utc_now
from scripts.busy_days import fill
from tests.browser.backstage import Backstage
from tests.browser.conftest import SETTINGS
from tests.browser.steps import Sale
from tests.browser.test_gallery import AXE
from tests.integration.steps import push
from tests.servers import running

NAME, PASSWORD = "amina", "correct horse battery"
HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
PAGES = [
    *("", "transactions", "receipts", "receipts?state=unclaimed", "review", "days", "statements"),
    *("webhooks", "health"),
]
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server of two busy days."""
    with running(tmp_path_factory.mktemp("console"), **SETTINGS) as server:
        requests.get(server.url("/healthz"), timeout=60)  # it listens before it has migrated
        behind = Backstage(server.environment["DATABASE_URL"])
        with behind.app.app_context():
            fill(db.engine, datetime.now(UTC), 400)
            operators.add(db.session(), NAME, PASSWORD, datetime.now(UTC))
        server.behind = behind
        yield server


@pytest.fixture(scope="module")
def signed_in(browser, shop):
    """What the browser keeps of one login."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop.url("/console/"))
    log_in(page)
    expect(heading(page)).to_have_text("Today")
    yield context.storage_state()
    context.close()


@pytest.fixture
def open_console(browser, shop, signed_in):
    """Open a page of the console; named arguments are the browser profile's."""
    contexts, problems = [], []

    def open_page(path="", **profile):
        context = browser.new_context(**{"storage_state": signed_in, **profile})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda told: told.type == "error" and problems.append(told.text))
        page.goto(shop.url(f"/console/{path}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def log_in(page, password=PASSWORD):
    page.get_by_label(re.compile("^Name")).fill(NAME)
    page.get_by_label(re.compile("^Password")).fill(password)
    page.keyboard.press("Enter")


def heading(page):
    return page.get_by_role("heading", level=1)


def live(page):
    """Wait until the page hears by its socket."""
    expect(page.locator('[data-live-link][data-state="live"]')).to_be_attached()
    return page


def pending(shop, **fields):
    """A sale whose payer has not answered."""
    sale = Sale(shop, **fields)
    push(shop, sale.order_id, sale.line)
    return sale


def test_a_guest_sees_the_login_and_comes_back_to_the_page_that_was_wanted(browser, shop):
    page = browser.new_context().new_page()
    page.goto(shop.url("/console/transactions?status=FAILED"))

    log_in(page)

    expect(page).to_have_url(re.compile(r"/console/transactions\?status=FAILED$"))
    page.context.close()


def test_a_wrong_password_stays_at_the_door(browser, shop):
    page = browser.new_context().new_page()
    page.goto(shop.url("/console/"))

    log_in(page, "wrong horse battery")

    expect(page.get_by_text("Wrong name or password.")).to_be_visible()
    page.fill("[name=password]", "is it mistyped?")
    page.get_by_role("button", name="Show password").click()
    expect(page.locator("#password")).to_have_attribute("type", "text")
    page.context.close()


def test_a_payment_appears_on_today_while_it_is_open(open_console, shop):
    page = live(open_console())
    before = page.locator("#tile-paid strong").inner_text()

    pending(shop).phone.answer(pin="1234")

    expect(page.locator("#tile-paid strong")).to_have_text(str(int(before.replace(",", "")) + 1))


def test_a_payments_page_follows_its_payment(open_console, shop):
    sale = pending(shop)
    page = live(open_console(f"transactions/{sale.transaction_id}"))

    sale.phone.answer(pin="1234")

    expect(page.locator(".summary .state")).to_have_text("Paid")
    expect(page.locator(".facts").get_by_text(sale.receipt())).to_be_visible()


def test_a_number_that_was_asked_for_stays_while_the_page_follows_its_payment(open_console, shop):
    sale = pending(shop)
    page = live(open_console(f"transactions/{sale.transaction_id}"))
    page.get_by_role("button", name="Show the number").click()
    number = page.locator(".facts").get_by_text(f"+{sale.line}")
    expect(number).to_be_visible()
    live(page)

    sale.phone.answer(pin="1234")

    expect(page.locator(".summary .state")).to_have_text("Paid")
    expect(number).to_be_visible()
    page.evaluate("dispatchEvent(new Event('online'))")  # which has it look again at once
    page.wait_for_load_state("networkidle")
    expect(page.locator("[data-live-words]")).to_have_text("Live")
    page.reload()
    expect(page.locator(".summary .state")).to_have_text("Paid")
    expect(number).to_have_count(0)


def test_what_is_open_and_typed_stays_when_the_page_changes(open_console, shop):
    page = live(open_console("transactions"))
    field = page.get_by_role("main").locator("input[name=q]")
    field.fill("half a recei")

    pending(shop)

    expect(
        page.locator('[data-live="list"] .fresh').or_(page.get_by_text("INV-1").first)
    ).to_be_visible()
    expect(field).to_have_value("half a recei")
    expect(field).to_be_focused()


def test_a_table_that_was_opened_stays_open_when_the_page_changes(open_console, shop):
    page = live(open_console())
    page.get_by_text("The same as a table").click()
    before = page.locator("#tile-paid strong").inner_text()

    pending(shop).phone.answer(pin="1234")

    expect(page.locator("#tile-paid strong")).not_to_have_text(before)
    expect(page.locator("#parts-table")).to_have_attribute("open", "")


def test_the_list_is_paged_both_ways(open_console):
    page = open_console("transactions")
    first = page.locator(".row-link").first.get_attribute("href")

    page.get_by_role("link", name="Older").click()
    expect(page.locator(".row-link").first).not_to_have_attribute("href", first)
    page.get_by_role("link", name="Newer").click()

    expect(page.locator(".row-link").first).to_have_attribute("href", first)


def test_a_payment_is_found_by_its_receipt(open_console, shop):
    sale = pending(shop)
    sale.phone.answer(pin="1234")
    page = open_console("transactions")

    page.get_by_role("main").locator("input[name=q]").fill(sale.receipt())
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(f"/transactions/{re.escape(sale.transaction_id)}$"))


def test_an_act_is_asked_twice_and_kept_with_its_reason(open_console, shop):
    sale = pending(shop)
    page = open_console(f"transactions/{sale.transaction_id}")

    page.get_by_role("link", name=re.compile("^Mark as not paid")).click()
    page.locator("textarea[name=reason]").fill("Not on the statement")
    page.locator("main form button").click()
    expect(heading(page)).to_contain_text("are you sure?")
    assert sale.attempts()[0]["status"] == "PENDING"
    page.locator("main form button").click()

    expect(page.locator(".summary .state")).to_have_text("Failed")
    expect(page.get_by_text("Not on the statement")).to_be_visible()


def test_hostile_text_of_a_callback_and_an_order_is_shown_and_never_run(open_console, shop):
    sale = pending(shop, description=HOSTILE)
    told = CallbackReceived(StkResult("1032", "x", "y"))
    body = Raw(Kind.CALLBACK, f'{{"ResultDesc": {HOSTILE!r}}}'.encode())
    with shop.behind.app.app_context():
        record(db.session(), sale.transaction_id, told, body, utc_now)

    page = open_console(f"transactions/{sale.transaction_id}?technical=on")
    expect(page.get_by_text(HOSTILE).first).to_be_visible()
    listed = open_console("transactions")

    assert page.evaluate("window.owned") is None
    assert listed.evaluate("window.owned") is None


def test_a_session_that_ended_is_said_on_the_page(browser, shop, open_console):
    state = browser.new_context()
    page = state.new_page()
    page.goto(shop.url("/console/"))
    log_in(page)
    live(page)
    other = state.new_page()
    other.goto(shop.url("/console/health"))
    other.get_by_role("button", name="Log out").click()

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.get_by_role("alert")).to_contain_text("You are logged out here.")
    page.get_by_role("link", name="Log in again").click()
    expect(page).to_have_url(re.compile("/console/login"))
    state.close()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_works_without_a_script(open_console, path):
    page = open_console(path, java_script_enabled=False)

    expect(heading(page)).to_be_visible()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def breaches(page, options):
    page.evaluate(AXE.read_text())
    found = page.evaluate("options => axe.run(document, options)", options)
    return [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_and_in_the_dark_contrast_enough(open_console, path):
    page = open_console(path, color_scheme="light", reduced_motion="reduce")
    assert breaches(page, {}) == []

    page.emulate_media(color_scheme="dark")

    assert breaches(page, {"runOnly": ["color-contrast"]}) == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_a_phone(open_console, path):
    page = open_console(path, viewport=PHONE)

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("path", ["", "webhooks", "health"])
def test_the_pages_speak_kiswahili(open_console, path):
    page = open_console(f"{path}?lang=sw")

    expect(page.locator("html")).to_have_attribute("lang", "sw")
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)


def test_unclaimed_money_is_given_to_an_order_by_its_pay_code(open_console, shop):
    sale = Sale(shop)
    shop.behind.confirm("MAMA NJERI", receipt="UKT1ABCDEF")
    page = open_console("receipts?state=unclaimed", viewport={"width": 320, "height": 700})
    page.locator("tr", has_text="UKT1ABCDEF").get_by_role("link").click()
    expect(page.get_by_text("No order nearly matches.")).to_be_visible()

    page.get_by_label("Another order").fill(sale.pay_code)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Why").fill("She called, and read the SMS out")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Give it to an order").click()

    expect(page.get_by_text("The receipt is given to the order, which is paid.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert sale.attempts()[0]["order_status"] == "PAID"
