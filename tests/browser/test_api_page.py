"""The API as developers read it: on a phone and a desk, with and without a script."""

import pytest

from tests.browser.test_gallery import AXE, TAGS

PHONE, TABLET, DESK = (320, 640), (768, 1024), (1440, 900)


@pytest.fixture
def read(browser, server):
    """Opens the page; named arguments are the browser's."""
    contexts = []

    def open_page(size=DESK, **more):
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        page = context.new_page()
        page.goto(server.url("/docs/api"))
        return page

    yield open_page
    for context in contexts:
        context.close()


# One article of each kind: the others are made by the same macros, and axe takes long for them all.
OF_EACH_KIND = ["keys", "post-stk-push", "signature", "receipt.unclaimed", "PENDING", "line_busy",
                "SnapshotRefund"]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "colours"), [(PHONE, "dark"), (DESK, "light")], ids=["phone", "desk"]
)
def test_axe_finds_nothing(read, size, colours):
    page = read(size, color_scheme=colours, bypass_csp=True)
    page.evaluate(
        "ids => document.querySelectorAll('article').forEach((each) =>"
        " ids.includes(each.id) || each.remove())",
        OF_EACH_KIND,
    )
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.locator("article").count() == len(OF_EACH_KIND)
    page.evaluate(AXE.read_text())

    found = page.evaluate(
        "async (values) => (await axe.run({ runOnly: { type: 'tag', values } })).violations"
        ".map(({ id, nodes }) => [id, nodes[0].html, nodes[0].failureSummary])",
        TAGS,
    )

    assert found == []


@pytest.mark.parametrize("size", [PHONE, TABLET], ids=["phone", "tablet"])
def test_a_small_screen_begins_with_the_text_and_the_menu_is_one_press_away(read, size):
    page = read(size, java_script_enabled=False)
    entry = page.get_by_role("link", name="POST /stk-push")

    heading = page.get_by_role("heading", name="The API").bounding_box()
    assert heading["y"] < size[1] / 2
    assert not entry.is_visible()
    page.locator("nav summary").click()

    assert entry.is_visible()


def test_a_desk_has_the_menu_beside_the_text(read):
    page = read(java_script_enabled=False)

    assert page.get_by_role("link", name="POST /stk-push").is_visible()
    assert not page.locator("nav summary").is_visible()


def test_a_command_is_copied_with_a_script_and_has_no_button_without(read):
    order = "#post-api-orders .samples"
    page = read(permissions=["clipboard-read", "clipboard-write"])
    button = page.locator(order).get_by_role("button", name="Copy")

    button.click()

    page.locator(order).get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(f"{order} pre").first.text_content()
    assert copied.startswith("curl --fail-with-body -sS http://127.0.0.1:")
    assert read(java_script_enabled=False).get_by_role("button").count() == 0


def test_no_button_lies_on_words(read):
    page = read(PHONE, permissions=["clipboard-read", "clipboard-write"])

    covered = page.get_by_role("button", name="Copy").evaluate_all(
        """all => all.filter((button) => {
          const words = document.createRange();
          words.selectNodeContents(button.nextElementSibling);
          const { left, bottom } = button.getBoundingClientRect();
          return [...words.getClientRects()].some((box) => box.right > left && box.top < bottom);
        }).map((button) => button.nextElementSibling.innerText)"""
    )

    assert covered == []
