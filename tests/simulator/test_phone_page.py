"""The virtual phone in a browser, as a person uses it."""

import re

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import launch
from tests.simulator.shop import PAYER, SECOND_PAYER, push_body

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def phone(browser, standalone):
    """A phone with PAYER's line in the hand; a message on the page's console fails the test."""
    requests.post(f"{standalone}/reset", timeout=5)
    page = browser.new_page(base_url=standalone, viewport={"width": 360, "height": 740})
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # Chromium itself notes each refusal of the simulator there.
    page.on("console", lambda told: "409" in told.text or complaints.append(told.text))
    page.goto("/")
    expect(page.locator("[data-connection]")).to_have_text("Live")
    yield page
    page.close()
    assert complaints == []


def ask_to_pay(address, msisdn=PAYER):
    token = requests.get(
        f"{address}/oauth/v1/generate?grant_type=client_credentials", auth=("k", "s"), timeout=5
    ).json()["access_token"]
    answer = requests.post(
        f"{address}/mpesa/stkpush/v1/processrequest",
        json=push_body(msisdn),
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    return answer.json()["CheckoutRequestID"]


def line(address):
    """How PAYER's line behaves."""
    return requests.get(f"{address}/lines/{PAYER}", timeout=5).json()


def unfold(phone, name):
    """Open what a narrow page keeps folded away: the lines, or the switches."""
    phone.locator("summary").filter(has_text=name).click()


def test_a_prompt_is_paid_with_the_keypad_and_an_sms_comes(phone, standalone):
    ask_to_pay(standalone)
    prompt = phone.get_by_role("dialog", name=re.compile(r"pay KES\s150 to Duka la Mfano"))
    expect(prompt).to_be_visible()

    for key in "1234":
        prompt.get_by_role("button", name=key, exact=True).click()
    prompt.get_by_role("button", name="OK").click()

    expect(phone.get_by_role("listitem").filter(has_text="Confirmed. Ksh150.00")).to_be_visible()
    expect(phone.locator("[data-balance]")).to_have_text(re.compile(r"KES\s49,850"))
    expect(prompt).to_be_hidden()


def test_the_keyboard_alone_suffices(phone, standalone):
    ask_to_pay(standalone)
    expect(phone.get_by_label("Enter M-PESA PIN")).to_be_focused()

    phone.keyboard.type("4321")
    phone.keyboard.press("Enter")

    expect(phone.get_by_text("Wrong PIN. Nothing was paid.")).to_be_visible()
    expect(phone.get_by_role("listitem").filter(has_text="wrong PIN")).to_be_visible()


def test_a_pin_that_is_too_short_is_not_sent(phone, standalone):
    ask_to_pay(standalone)
    phone.get_by_label("Enter M-PESA PIN").fill("12")

    phone.get_by_role("button", name="OK").click()

    expect(phone.get_by_text("A PIN has four digits.")).to_be_visible()
    assert len(requests.get(f"{standalone}/prompts", timeout=5).json()) == 1


def test_cancel_closes_the_prompt(phone, standalone):
    ask_to_pay(standalone)

    phone.get_by_role("button", name="Cancel", exact=True).click()

    expect(phone.get_by_role("dialog")).to_be_hidden()
    assert requests.get(f"{standalone}/ledger", timeout=5).json() == []


def test_any_number_can_be_picked_up_as_people_write_it(phone, standalone):
    unfold(phone, "0712 345 678")
    phone.get_by_label("Another number").fill("+254 110-345 678")
    phone.get_by_role("button", name="Pick it up").click()
    expect(phone.locator("[data-number]").first).to_have_text("0110 345 678")

    ask_to_pay(standalone, SECOND_PAYER)

    # What was folded out to choose a line does not stay before the phone.
    expect(phone.get_by_role("dialog")).to_be_visible()
    expect(phone.get_by_label("Another number")).to_be_hidden()


def test_what_is_no_number_is_said_beside_the_field(phone):
    unfold(phone, "0712 345 678")
    phone.get_by_label("Another number").fill("12345")

    phone.get_by_role("button", name="Pick it up").click()

    expect(phone.get_by_text("Type a Kenyan mobile number")).to_be_visible()


def test_a_scene_is_played_by_one_press_and_ended_by_another(phone, standalone):
    lost = phone.get_by_role("button", name="Callback lost")
    lost.click()
    expect(lost).to_have_attribute("aria-pressed", "true")
    expect(phone.get_by_text("the shop must find out by itself")).to_be_visible()
    played = line(standalone)
    myself = phone.get_by_role("button", name="Answer it myself")
    assert myself.bounding_box()["height"] >= 24  # WCAG 2.2, 2.5.8

    myself.click()

    expect(phone.get_by_text("You hold this phone")).to_be_visible()
    expect(lost).to_have_attribute("aria-pressed", "false")
    assert (played["answer"], played["callback"]) == ("pay", "never")
    assert (line(standalone)["answer"], line(standalone)["callback"]) == ("manual", "once")


def test_every_switch_of_a_line_is_on_the_page_and_saved_as_it_is_changed(phone, standalone):
    unfold(phone, "More")
    for label, word, switch in (
        ("The payer", "code:1019", "answer"),
        ("A success tells", "masked_phone", "metadata"),
        ("Asked again", "rule_17", "again"),
        ("The push", "rate_429", "push"),
        ("Status queries", "too_early", "query"),
    ):
        with phone.expect_response(f"**/lines/{PAYER}"):
            phone.get_by_label(label).select_option(word)

        expect(phone.get_by_text("Saved.")).to_be_visible()
        assert line(standalone)[switch] == word
    expect(phone.get_by_text("a mix of its own")).to_be_visible()


def test_every_switch_of_the_organisation_is_on_the_page_with_its_value(phone, standalone):
    unfold(phone, "More")
    form = phone.locator("[data-treatment]")
    expect(form.locator("[name=float]")).to_have_value("10000")

    shown = form.evaluate("form => Object.fromEntries(new FormData(form))")

    told = requests.get(f"{standalone}/organisation", timeout=5).json()
    assert shown == {
        name: str(value).replace("T", "t").replace("F", "f") for name, value in told.items()
    }


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [("confirmation", "never", "never"), ("push_confirmation", "false", False)],
)
def test_a_switch_of_the_organisation_is_saved(phone, standalone, name, word, value):
    unfold(phone, "More")

    phone.locator(f"[data-treatment] [name={name}]").select_option(word)

    expect(phone.get_by_text("Saved.")).to_be_visible()
    assert requests.get(f"{standalone}/organisation", timeout=5).json()[name] == value


def lipa(phone, kind=None, **typed):
    """Open Lipa na M-PESA, type, and press Continue."""
    phone.get_by_role("button", name="Lipa na M-PESA").click()
    sheet = phone.get_by_role("dialog", name="Lipa na M-PESA")
    if kind:
        sheet.get_by_text(kind, exact=True).click()
    for label, value in typed.items():
        sheet.get_by_label(label.replace("_", " ")).fill(value)
    sheet.get_by_role("button", name="Continue").click()
    return sheet


def test_a_paybill_is_paid_by_hand_and_an_sms_comes(phone, standalone):
    sheet = lipa(phone, Business_number="174379", Account_number="234567890", Amount="500")
    prompt = phone.get_by_role(
        "dialog", name=re.compile(r"pay KES\s500 to Duka la Mfano, account no. 234567890")
    )
    expect(prompt.get_by_label("Enter M-PESA PIN")).to_be_focused()

    phone.keyboard.type("1234")
    phone.keyboard.press("Enter")

    expect(phone.get_by_role("listitem").filter(has_text="Confirmed. Ksh500.00")).to_be_visible()
    expect(phone.locator("[data-balance]")).to_have_text(re.compile(r"KES\s49,500"))
    expect(sheet).to_be_hidden()
    (entry,) = requests.get(f"{standalone}/ledger", timeout=5).json()
    assert (entry["channel"], entry["account"]) == ("hand", "234567890")


def test_goods_are_paid_without_an_account(phone, standalone):
    sheet = lipa(phone, "Buy Goods", Till_number="5174380", Amount="1,200")
    expect(phone.get_by_role("dialog", name=re.compile("till no. 5174380"))).to_be_visible()

    phone.keyboard.type("1234")
    phone.keyboard.press("Enter")

    expect(phone.get_by_role("listitem").filter(has_text="paid to Duka la Mfano")).to_be_visible()
    expect(sheet).to_be_hidden()


def test_a_wrong_pin_leaves_what_was_typed_for_another_try(phone, standalone):
    sheet = lipa(phone, Business_number="174379", Account_number="INV-1", Amount="500")
    expect(phone.get_by_label("Enter M-PESA PIN")).to_be_focused()

    phone.keyboard.type("4321")
    phone.keyboard.press("Enter")

    expect(phone.get_by_text("Wrong PIN. Nothing was paid.")).to_be_visible()
    expect(sheet.get_by_label("Account number")).to_have_value("INV-1")
    assert requests.get(f"{standalone}/ledger", timeout=5).json() == []


def test_what_is_missing_is_said_beside_the_field(phone):
    sheet = lipa(phone, Business_number="174379", Amount="500")

    expect(sheet.get_by_text("Type the account number")).to_be_visible()
    expect(sheet.get_by_label("Account number")).to_be_focused()


def test_a_prompt_comes_before_a_payment_by_hand_and_leaves_it_on_the_sheet(phone, standalone):
    sheet = lipa(phone, Business_number="174379", Account_number="INV-1", Amount="500")

    ask_to_pay(standalone)

    expect(phone.get_by_role("dialog", name=re.compile(r"pay KES\s150 to"))).to_be_visible()
    phone.get_by_role("button", name="Cancel", exact=True).click()
    expect(sheet.get_by_label("Account number")).to_have_value("INV-1")


def test_a_number_of_ours_is_named_as_it_is_typed(phone):
    phone.get_by_role("button", name="Lipa na M-PESA").click()

    phone.get_by_label("Business number").fill("174379")
    expect(phone.locator("[data-payee]")).to_have_text("Duka la Mfano")
    phone.get_by_label("Business number").fill("247247")
    expect(phone.locator("[data-payee]")).to_have_text(re.compile("Somebody else.s number"))


@pytest.mark.parametrize("width", [320, 360])
def test_the_sheet_fits_a_small_phone(phone, width):
    phone.set_viewport_size({"width": width, "height": 740})
    phone.get_by_role("button", name="Lipa na M-PESA").click()

    wide = phone.evaluate(
        """() => [...document.querySelectorAll("[data-lipa] *")]
            .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 1)
            .map((each) => each.outerHTML)"""
    )

    assert wide == []
    assert phone.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_nothing_is_wider_than_a_small_phone(phone, lang):
    phone.goto(f"/?lang={lang}")
    for width in (320, 360):
        phone.set_viewport_size({"width": width, "height": 740})

        assert phone.evaluate("document.documentElement.scrollWidth") == width


# Of the window that the shop opens beside itself, 900 high with its frame and bar.
INNER = {"width": 460, "height": 830}


def test_a_prompt_fits_the_window_beside_the_shop_with_scenes_above_and_switches_open(
    phone, standalone
):
    phone.set_viewport_size(INNER)
    ask_to_pay(standalone)
    expect(phone.get_by_role("dialog")).to_be_visible()

    unfold(phone, "More")

    assert phone.evaluate("scrollY") == 0
    ends = phone.locator("[data-device]").bounding_box()
    assert ends["y"] + ends["height"] <= INNER["height"]
    keys = phone.locator(".keypad").bounding_box()
    card = phone.locator(".answer .card").bounding_box()
    assert card["y"] + card["height"] <= keys["y"]
    # The question stays in sight above the switches.
    switches = phone.locator("[data-more] .panel-body").bounding_box()
    question = phone.locator("[data-question]").bounding_box()
    assert question["y"] + question["height"] <= switches["y"]


def test_on_a_wide_page_the_phone_stays_in_sight_while_its_switches_are_read(phone):
    phone.set_viewport_size({"width": 1280, "height": 720})
    phone.reload()
    unfold(phone, "More")
    phone.locator("[data-treatment] [name=float]").scroll_into_view_if_needed()

    assert phone.evaluate("scrollY") > 300
    place = phone.locator("[data-device]").bounding_box()
    assert place["y"] >= 0
    assert place["y"] + place["height"] <= 720
