"""A browser, servers, and shoppers with pages of their own. No page may end with a script error."""

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.backstage import Backstage
from tests.browser.steps import REFUND_KEY, Sale, Shopper
from tests.servers import CHROMIUM, chromium, running

# Machines that run tests are slow and shared; these only bound a failure.
PATIENCE_MS = 30_000
# The tests of one minute ask about more payments than a shop of that size.
SETTINGS = {"DARAJA_QUERY_RATE": "600/minute", "REFUND_API_KEYS": REFUND_KEY}


def pytest_collection_modifyitems(items):
    """Every test of this folder needs Chromium."""
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)


def launch(playwright, *flags, whole=False, **more):
    """Start the system's Chromium with flags of its own; `whole` as `servers.chromium` takes it."""
    # Chromium's sandbox refuses to run as root.
    return playwright.chromium.launch(
        executable_path=chromium(whole=whole),
        args=[*CHROMIUM, *flags],
        chromium_sandbox=False,
        **more,
    )


@pytest.fixture(scope="session")
def playwright():
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright):
    opened = launch(playwright)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server"), **SETTINGS) as started:
        yield started


# The next two end with their module, since a server that nobody visits works too.
@pytest.fixture(scope="module")
def impatient_server(tmp_path_factory):
    """A server on which a silent payment is overdue after two seconds."""
    folder = tmp_path_factory.mktemp("impatient")
    with running(folder, PAYMENT_WAIT_SECONDS="2", **SETTINGS) as started:
        yield started


@pytest.fixture(scope="module")
def merchants_server(tmp_path_factory):
    """A server of a merchant with a light colour, a logo and a way to pay by hand."""
    face = {"MERCHANT_COLOUR": "#ffd400", "MERCHANT_LOGO": "/static/img/chai.svg"}
    folder = tmp_path_factory.mktemp("merchant")
    with running(folder, MANUAL_PAYMENT="on", **face, **SETTINGS) as started:
        yield started


@pytest.fixture(scope="session")
def backstage():
    """What shoppers cannot see of a server: its database."""
    known: dict[str, Backstage] = {}

    def behind(server):
        if server.address not in known:
            known[server.address] = Backstage(server.environment["DATABASE_URL"])
        return known[server.address]

    return behind


@pytest.fixture
def sale(server):
    """An order and a line of its own."""
    return Sale(server)


@pytest.fixture
def visit(browser):
    """Open a sale's page in a browser profile of its own; named arguments are the profile's.

    It asks for less motion unless told otherwise: a page that waits is drawn sixty times a second.
    """
    shoppers: list[Shopper] = []

    def open_page(sale, query="", **profile):
        shopper = Shopper(browser.new_context(**{"reduced_motion": "reduce", **profile}))
        shoppers.append(shopper)
        shopper.open(sale.url(query))
        return shopper

    yield open_page
    for shopper in shoppers:
        shopper.leave()
    assert not [problem for each in shoppers for problem in each.problems]
