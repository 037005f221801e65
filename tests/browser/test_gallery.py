"""What holds in every state: nothing that axe-core finds, nothing wider than a small phone."""

from pathlib import Path

import axe_playwright_python
import pytest

from tests.browser.gallery import SHOWN, Gallery
from tests.browser.steps import Shopper

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def axe():
    """The checker's source."""
    return AXE.read_text()


@pytest.fixture(scope="module")
def gallery(browser, server, impatient_server, merchants_server, backstage):
    shoppers = []

    def visit(sale, query=""):
        shopper = Shopper(browser.new_context(reduced_motion="reduce", bypass_csp=True))
        shoppers.append(shopper)
        shopper.open(sale.url(query))
        return shopper

    def leave():
        while shoppers:
            shoppers.pop().leave()

    yield Gallery(visit, leave, server, impatient_server, merchants_server, backstage)
    leave()


# The module's scope groups the tests by state, so that each state is reached once.
@pytest.fixture(scope="module", params=SHOWN, ids="-".join)
def shown(request, gallery):
    return gallery.show(*request.param)


# What fades in has no contrast yet; what turns for ever is let be.
_ANIMATED = """() => Promise.all(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().endTime < Infinity)
    .map((each) => each.finished.catch(() => {})))"""


def test_axe_finds_nothing(shown, axe):
    shown.page.evaluate(_ANIMATED)
    shown.page.evaluate(axe)
    # Colours are those of both languages, and in the dark only they differ.
    is_first = shown.page.evaluate("document.documentElement.lang") == "en"

    assert violations(shown, {"type": "tag", "values": TAGS}, contrast=is_first) == []
    if is_first:
        shown.page.emulate_media(color_scheme="dark")
        shown.page.evaluate(_ANIMATED)
        assert violations(shown, {"type": "rule", "values": ["color-contrast"]}) == []
        shown.page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_is_wider_than_the_screen(shown, width):
    # 320 px is WCAG's narrowest screen; 640 px is 1280 at a zoom of 200 %.
    shown.page.set_viewport_size({"width": width, "height": 512})

    needed = shown.page.evaluate("document.documentElement.scrollWidth")

    assert needed <= width


def test_letters_twice_as_large_stay_in_their_place(shown):
    shown.page.set_viewport_size({"width": 390, "height": 760})

    shown.page.evaluate("document.documentElement.style.fontSize = '200%'")
    wider = shown.page.evaluate(WIDER_THAN_ITS_PLACE)
    shown.page.evaluate("document.documentElement.style.fontSize = ''")

    assert wider == []


def test_what_can_be_pressed_is_large_enough(shown):
    shown.page.set_viewport_size({"width": 390, "height": 844})

    small = shown.page.evaluate(SMALL_TARGETS)

    assert small == []


def violations(shopper, wanted, *, contrast=True):
    rules = {} if contrast else {"color-contrast": {"enabled": False}}
    return shopper.page.evaluate(
        "async (options) => (await axe.run(options)).violations.flatMap(({ id, nodes }) =>"
        " nodes.map(({ html, failureSummary }) => [id, html, failureSummary]))",
        {"runOnly": wanted, "rules": rules},
    )


# WCAG 2.2, 2.5.8: 24 px, but for links within a sentence.
SMALL_TARGETS = """Array.from(document.querySelectorAll("a, button, input, select, summary"))
  .filter((each) => each.checkVisibility() && !each.closest("[hidden]"))
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && (box.width < 24 || box.height < 24))
  .map(([each, box]) => `${each.outerHTML.slice(0, 120)} ${box.width} x ${box.height}`)"""

# A field scrolls what is typed; tight letters count as up to two pixels wider than they are.
WIDER_THAN_ITS_PLACE = """Array.from(document.querySelectorAll(".pane, .pane *, .good, .good *"))
  .filter((each) => each.checkVisibility() && !each.closest("svg, input, .unseen"))
  .filter((each) => getComputedStyle(each).display !== "inline")
  .filter((each) => each.scrollWidth > each.clientWidth + 2)
  .map((each) => `${each.outerHTML.slice(0, 120)} ${each.scrollWidth} > ${each.clientWidth}`)"""
