"""The checkout page: every state, in both languages, without a script."""

import base64
import gzip
import hashlib
import html
import re
from datetime import timedelta

import pytest

from mpesa.daraja import UnknownOutcome
from mpesa.deadlines import run_once
from mpesa.models import db
from mpesa.web.http import qr
from mpesa.web.http.sentences import whole
from tests.factories import API_KEY, RECEIPT, raw, success_callback
from tests.servers import ROOT
from tests.web.shopper.reading import headline, page, seen, shown, snapshot_in, view, visible
from tests.web.steps import call_back, fail, pushed

# Each is a request of the first load, and what is packed apart packs worse.
MODULES = 12


@pytest.mark.parametrize(("lang", "words"), [("en", "Pay KES 1,500"), ("sw", "Lipa KES 1,500")])
def test_before_the_push_it_asks_for_the_number_and_says_the_amount(
    client, make_order, lang, words
):
    text = page(client, make_order(amount=1500), query_string={"lang": lang})

    assert view(text) == "phone"
    assert f'<html lang="{lang}">' in text
    assert words in text


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_while_the_pin_is_awaited_it_shows_the_snapshot_of_the_attempt(client, make_order, lang):
    order_id = make_order()
    snapshot = pushed(client, order_id, query_string={"lang": lang})

    text = page(client, order_id, query_string={"lang": lang})

    assert view(text) == "waiting"
    assert snapshot_in(text) == snapshot
    assert f'<p id="message" role="status">{whole(snapshot["message"])}</p>' in text


def test_without_a_script_a_waiting_page_looks_again_by_itself(client, make_order):
    order_id = make_order()
    pushed(client, order_id)

    text = page(client, order_id)

    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in text
    assert "This page looks again every 5 seconds" in text


def test_a_page_whose_script_may_be_lost_brings_what_loads_it_again(client, make_order, daraja):
    order_id = make_order()
    before = page(client, order_id)
    pushed(client, order_id)
    waiting = page(client, order_id)
    call_back(client, daraja)
    paid = page(client, order_id)

    reload = (ROOT / "static" / "checkout" / "reload.js").read_text()
    assert f'<script id="reload" data-seconds="5">{reload}</script>' in waiting
    # In a browser without modules anything newer would be lost as well.
    assert not re.search(r"=>|\blet\b|\bconst\b|`|\?\.|\bimport\b|\bexport\b", reload)
    assert 'id="reload"' not in before + paid


def imported_by(module, found):
    """A module of the page and all that it imports."""
    found.add(module)
    text = (ROOT / "static" / "checkout" / module).read_text()
    for each in re.findall(r'from "\./(\w+\.js)"', text):
        if each not in found:
            imported_by(each, found)
    return found


def test_a_page_names_all_modules_of_its_script_at_once(client, make_order):
    """Found one after another, each would cost a line of 2G another round trip."""
    named = re.findall(r'"/static/[0-9a-f]+/checkout/(\w+\.js)"', page(client, make_order()))

    assert len(named) == len(set(named)) <= MODULES
    assert set(named) == imported_by("page.js", set())


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_after_the_payment_it_shows_the_receipt_and_the_time_in_nairobi(
    client, make_order, daraja, lang
):
    order_id = make_order()
    pushed(client, order_id)
    call_back(client, daraja)

    text = page(client, order_id, query_string={"lang": lang})

    assert view(text) == "paid"
    assert RECEIPT in text
    assert re.search(r'data-field="paid_at">24 \w+ 2026, 12:00<', text)
    assert "refresh" not in text


REASONS = {
    1032: "cancelled",
    1: "insufficient_funds",
    2001: "wrong_pin",
    8006: "pin_locked",
    1037: "unreachable",
    1019: "expired",
    17: "line_busy",
    3: "over_limit",
    11: "declined",
    26: "system_busy",
    2028: "misconfigured",
    777: "unknown_code",
}


@pytest.mark.parametrize("lang", ["en", "sw"])
@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_after_a_failure_it_says_why_and_what_to_do(client, make_order, daraja, code, reason, lang):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, code)

    text = page(client, order_id, query_string={"lang": lang})

    snapshot = snapshot_in(text)
    assert view(text) == "failed"
    assert snapshot["reason"] == reason
    assert f'<p id="message" role="status">{whole(snapshot["message"])}</p>' in text
    # Advice only where the buttons do not say it.
    assert set(shown(text, "reason")) <= {reason}


def test_every_reason_has_a_sentence_of_its_own_in_each_language(client, make_order, daraja):
    sentences = {}
    for number, code in enumerate(REASONS, 1):
        order_id = make_order()
        pushed(client, order_id)
        fail(client, daraja, code, number)
        for lang in ("en", "sw"):
            text = page(client, order_id, query_string={"lang": lang})
            sentences[code, lang] = snapshot_in(text)["message"]

    assert len(set(sentences.values())) == len(sentences)


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_an_unconfirmed_push_is_waited_for(client, make_order, daraja, lang):
    daraja.answers.append(UnknownOutcome())
    order_id = make_order()
    pushed(client, order_id)

    text = page(client, order_id, query_string={"lang": lang})

    assert view(text) == "waiting"
    assert snapshot_in(text)["reason"] == "push_unconfirmed"


ENDED = {
    ("CANCELLED", "en"): "Order cancelled", ("CANCELLED", "sw"): "Oda imeghairiwa",
    ("EXPIRED", "en"): "Order expired", ("EXPIRED", "sw"): "Muda wa oda umekwisha",
}  # fmt: skip


NEW_ORDER = {"en": "for a new order", "sw": "omba oda mpya"}


@pytest.mark.parametrize(("end", "status"), [("cancel", "CANCELLED"), ("expire", "EXPIRED")])
@pytest.mark.parametrize("lang", ["en", "sw"])
def test_an_order_that_ended_unpaid_says_so(client, make_order, clock, end, status, lang):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    if end == "cancel":
        client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY)
    clock.pass_(minutes=11)

    text = page(client, order_id, query_string={"lang": lang})

    assert view(text) == "closed"
    assert NEW_ORDER[lang] in seen(text)
    assert "code-of-closed" not in seen(text)
    assert headline(text) == ENDED[status, lang]


def test_nobody_whose_money_is_in_doubt_is_sent_to_pay_again_when_the_order_ended(
    client, make_order, clock
):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    pushed(client, order_id)
    clock.pass_(minutes=11)

    text = page(client, order_id)

    assert (view(text), snapshot_in(text)["money"]) == ("closed", "unknown")
    assert "cancel it" in seen(text)
    assert 'id="code-of-closed"' in seen(text)
    assert NEW_ORDER["en"] in text
    assert NEW_ORDER["en"] not in seen(text)


def test_a_paid_order_shows_the_payment_also_after_another_attempt_failed(
    client, make_order, daraja
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1032)
    pushed(client, order_id)
    fail(client, daraja, 1, 2)
    call_back(client, daraja, 1)

    text = page(client, order_id)

    assert view(text) == "paid"
    assert snapshot_in(text)["reason"] == "paid_late"


def test_another_number_may_be_typed_after_a_failure(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1)

    assert view(page(client, order_id, query_string={"other": "1"})) == "phone"


def test_another_number_may_not_be_typed_while_a_prompt_is_open(client, make_order):
    order_id = make_order()
    pushed(client, order_id)

    assert view(page(client, order_id, query_string={"other": "1"})) == "waiting"


def test_a_second_device_sees_the_same(app, client, make_order):
    order_id = make_order()
    pushed(client, order_id)

    assert page(app.test_client(), order_id) == page(client, order_id)


@pytest.mark.parametrize(
    ("accepts", "lang"),
    [
        ("sw", "sw"),
        ("sw-KE,sw;q=0.9,en;q=0.5", "sw"),
        ("en-GB", "en"),
        ("fr, sw;q=0.3", "sw"),
        ("de", "en"),
        ("", "en"),
        (";;q=x,,", "en"),
    ],
)
def test_the_language_follows_the_browser(client, make_order, accepts, lang):
    text = page(client, make_order(), headers={"Accept-Language": accepts})

    assert f'<html lang="{lang}">' in text


@pytest.mark.parametrize("asked", ["xx", "", "sw\0", "swa", "../en"])
def test_a_language_that_we_do_not_speak_is_ignored(client, make_order, asked):
    text = page(client, make_order(), query_string={"lang": asked})

    assert '<html lang="en">' in text


@pytest.mark.parametrize("asked", ["sw-KE", "sw_KE", "SW"])
def test_a_language_may_name_a_country(client, make_order, asked):
    text = page(client, make_order(), query_string={"lang": asked})

    assert '<html lang="sw">' in text


def test_what_a_merchant_wrote_is_shown_as_text(client, make_order):
    evil = '"><script>alert(1)</script>'

    text = page(client, make_order(description=evil))

    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    "query",
    ['lang="><script>alert(1)</script>', '"><script>alert(1)</script>=1', "x=<script>alert(1)"],
)
def test_what_stands_in_the_address_is_shown_as_text(client, make_order, query):
    answer = client.get(f"/checkout/{make_order()}?{query}")

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_the_simulator_says_on_every_page_that_no_real_money_moves(client, make_order):
    for path in (f"/checkout/{make_order()}", "/"):
        assert "no real money moves" in client.get(path).text


def test_outside_the_simulator_no_page_speaks_of_it(make_app):
    app = make_app(**SANDBOX)
    client = app.test_client()
    order = client.post(
        "/api/orders",
        json={"amount": 1, "reference": "A", "description": "x"},
        headers={"Authorization": "Bearer key-of-mine", "Host": "pay.example.com"},
    ).get_json()

    text = page(client, order["order_id"], headers={"Host": "pay.example.com"})

    assert "imulator" not in text
    assert client.get("/simulator/", headers={"Host": "pay.example.com"}).status_code == 404
    assert client.get("/", headers={"Host": "pay.example.com"}).status_code == 404


SANDBOX = {
    "DARAJA_ENV": "sandbox",
    "DARAJA_CONSUMER_KEY": "k",
    "DARAJA_CONSUMER_SECRET": "s",
    "SECRET_KEY": "mine",
    "API_KEYS": "key-of-mine",
    "PUBLIC_URL": "https://pay.example.com",
}


def return_links(text):
    return {html.unescape(each) for each in re.findall(r'data-return href="([^"]*)"', text)}


@pytest.mark.parametrize(
    ("return_url", "expected"),
    [
        ("https://shop.example", "https://shop.example?"),
        ("https://shop.example/done?cart=1", "https://shop.example/done?cart=1&"),
        (
            "https://shop.example/done?sig=a%2Fb+c&flag",
            "https://shop.example/done?sig=a%2Fb+c&flag&",
        ),
        ("https://shop.example/?x=%ff", "https://shop.example/?x=%ff&"),
    ],
)
def test_the_way_back_is_the_merchants_address_with_two_fields_appended(
    client, make_order, daraja, return_url, expected
):
    order_id = make_order(return_url=return_url)
    pushed(client, order_id)
    call_back(client, daraja)

    links = return_links(page(client, order_id))

    assert links == {f"{expected}order_id={order_id}&status=PAID"}


def test_the_way_back_keeps_its_fragment_at_the_end(client, make_order, daraja):
    order_id = make_order(return_url="https://shop.example/a#top")
    pushed(client, order_id)
    call_back(client, daraja)

    links = return_links(page(client, order_id))

    assert links == {f"https://shop.example/a?order_id={order_id}&status=PAID#top"}


def way_home(text):
    """Where the merchant's name leads to, without a script and with it."""
    links = re.search(r'id="home" href="([^"]*)" data-back="([^"]*)"', text).groups()
    return [html.unescape(each) for each in links]


def test_the_merchants_name_leads_back_in_every_state(client, make_order, daraja):
    order_id = make_order(return_url="https://shop.example/")
    back = f"https://shop.example/?order_id={order_id}&status="
    assert way_home(page(client, order_id)) == [f"{back}OPEN"] * 2
    pushed(client, order_id)
    fail(client, daraja, 1032)
    assert way_home(page(client, order_id)) == [f"{back}OPEN"] * 2
    pushed(client, order_id)
    call_back(client, daraja)

    assert way_home(page(client, order_id)) == [f"{back}PAID"] * 2


def test_without_a_return_url_the_merchants_name_is_no_link(client, make_order):
    assert 'id="home"' not in page(client, make_order())


@pytest.mark.parametrize("wait_is_over", [False, True])
def test_while_a_prompt_is_open_the_way_back_asks_first_once(
    app, client, clock, make_order, wait_is_over
):
    order_id = make_order(return_url="https://shop.example/")
    pushed(client, order_id)
    if wait_is_over:
        overdue(app, clock)
    back = f"https://shop.example/?order_id={order_id}&status=OPEN"
    to_the_question, with_a_script = way_home(page(client, order_id))

    asked = client.get(to_the_question).text

    assert with_a_script == back
    assert "The M-PESA request stays on your phone." in visible(asked)
    assert "cancel it there" in visible(asked)
    assert re.search(r'<dialog [^>]*id="way-out"[^>]* open>', asked)
    assert way_home(asked) == [back, back]


def test_a_question_about_a_prompt_that_is_over_is_not_asked(client, make_order, daraja):
    order_id = make_order(return_url="https://shop.example/")
    pushed(client, order_id)
    fail(client, daraja, 1032)

    asked = page(client, order_id, query_string={"leaving": "1"})

    assert not re.search(r"<dialog [^>]* open>", asked)


def test_an_unknown_order_is_a_page_for_a_browser_and_a_problem_for_a_program(client):
    path = f"/checkout/{'A' * 22}"

    for_browser = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    for_program = client.get(path)

    assert (for_browser.status_code, for_browser.mimetype) == (404, "text/html")
    assert for_program.status_code == 404
    assert for_program.get_json()["code"] == "order_not_found"


def test_the_merchants_colours_are_in_the_page_with_a_text_colour_that_can_be_read(make_app):
    client = make_app(MERCHANT_COLOUR="#ffffff").test_client()

    assert ":root{--brand:#ffffff;--on-brand:#000000}</style>" in client.get("/").text


@pytest.mark.parametrize(("word", "drawn"), [("", True), ("on", True), ("off", False)])
def test_the_ornament_is_on_every_page_until_it_is_switched_off(make_app, word, drawn):
    client = make_app(MERCHANT_PATTERN=word).test_client()
    fields = {"amount": 150, "reference": "INV-7", "description": "x"}
    order = client.post("/api/orders", json=fields, headers=API_KEY).get_json()["order_id"]
    as_browser = {"headers": {"Accept": "text/html"}}

    answers = [client.get(path, **as_browser) for path in (f"/checkout/{order}", "/", "/nothing")]

    assert [each.status_code for each in answers] == [200, 200, 404]
    for text in (each.text.replace(": ", ":") for each in answers):
        assert ("--pindo:" in text, "mask:var(--pindo)" in text) == (drawn, drawn)
        assert ("var(--mji)" in text, "--edge:20px" in text) == (drawn, drawn)


@pytest.mark.parametrize("pattern", ["on", "off"])
def test_the_policy_allows_the_pages_own_style_and_no_other(make_app, pattern):
    answer = make_app(MERCHANT_COLOUR="#123456", MERCHANT_PATTERN=pattern).test_client().get("/")

    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'self' 'sha256-{digest}';" in policy


def test_a_page_is_compressed_for_a_browser_that_can_unpack_it(client):
    plain = client.get("/")
    packed = client.get("/", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data).decode() == plain.text


def test_a_merchants_name_is_shown_as_text(make_app):
    client = make_app(MERCHANT_NAME="<b>Duka</b>").test_client()

    text = client.get("/").text

    assert "<b>Duka</b>" not in text
    assert "&lt;b&gt;Duka&lt;/b&gt;" in text


@pytest.mark.parametrize(
    ("code", "money"),
    [(2001, "not_taken"), (1032, "not_taken"), (1037, "unknown"), (777, "unknown")],
)
def test_a_failure_says_whether_money_was_taken_as_surely_as_it_is_known(
    client, make_order, daraja, code, money
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, code)

    text = page(client, order_id)

    assert set(shown(text, "money")) == {money}
    # A caution, strong or small; never two of them.
    assert seen(text).count("do not pay again") + seen(text).count("Do not pay again") == (
        code != 2001
    )
    assert ('class="note"' in seen(text)) == (money == "unknown")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (1, "Top up your M-PESA, or use another number."),
        (8006, "To unlock it, call Safaricom on 100."),
        (1037, "Before you try again, unlock the phone and check its signal."),
    ],
)
def test_a_failure_advises_where_the_buttons_alone_do_not_say_what_helps(
    client, make_order, daraja, code, advice
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, code)

    assert advice in re.sub("<[^>]+>", "", seen(page(client, order_id)))


def test_a_wait_is_told_in_minutes_where_no_script_counts_it_down(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1037)

    assert "Try again in about 2 minutes" in seen(page(client, order_id))


def test_who_sent_to_a_wrong_number_is_told_from_when_another_one_can_be_used(
    client, make_order, clock
):
    order_id = make_order()
    pushed(client, order_id)
    clock.pass_(seconds=19)
    early = page(client, order_id)
    clock.pass_(seconds=1)
    late = page(client, order_id)

    # Pushed at 12:00 in Nairobi; a prompt lives for 180 s.
    assert "You can use another number from 12:03" in seen(early)
    assert '<b class="number" data-field="number">0712•••678</b>' in early
    assert ('class="turns"' in early, 'class="turns late"' in late) == (True, True)
    assert "No prompt yet?" in late


def test_who_hears_nothing_has_two_ways_the_second_with_the_time_from_which_one_can_pay_again(
    app, client, make_order, clock
):
    order_id = make_order()
    pushed(client, order_id)
    overdue(app, clock)
    barred = seen(page(client, order_id))
    clock.pass_(seconds=120)
    free = seen(page(client, order_id))

    assert barred.index("I got an") < barred.index("I got no SMS")
    assert "From 12:03 you can pay again." in barred
    assert 'id="again"' not in barred
    assert "From 12:" not in free
    assert ("There is nothing to do" in barred, "There is nothing to do" in free) == (True, False)
    assert "Then you can pay again." in free
    assert 'id="again"' in free


def test_an_unconfirmed_push_has_words_of_its_own(client, make_order, daraja):
    daraja.answers.append(UnknownOutcome())
    order_id = make_order()
    pushed(client, order_id)

    text = page(client, order_id)

    assert headline(text) == "Watch your phone"
    assert all("wait" in each.split(" ") for each in shown(text, "next"))
    assert "wait" in shown(text, "next")


def test_late_money_and_no_clear_answer_have_headlines_of_their_own(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 777)
    unclear = headline(page(client, order_id))
    call_back(client, daraja)

    assert unclear == "No clear answer"
    assert headline(page(client, order_id)) == "Paid after all"


def test_nobody_whose_prompt_may_still_be_answered_reads_that_it_is_not_paid(
    client, make_order, daraja, clock
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1037)
    early = headline(page(client, order_id))
    clock.pass_(seconds=180)

    assert early == "Not paid yet"
    assert headline(page(client, order_id)) == "Not paid"


def test_a_paid_page_warns_of_a_prompt_that_another_attempt_left_as_long_as_it_lives(
    client, make_order, daraja, clock
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1037)
    clock.pass_(seconds=120)
    pushed(client, order_id)
    call_back(client, daraja, 2)

    living = page(client, order_id)
    clock.pass_(seconds=60)
    over = page(client, order_id)

    assert headline(living) == headline(over) == "Paid"
    assert set(shown(living, "next")) == {"cancel_prompt"}
    assert shown(over, "next") == []


def test_the_page_of_an_order_that_was_paid_twice_shows_what_settled_it(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1032)
    pushed(client, order_id)
    fail(client, daraja, 1032, 2)
    for number, receipt in ((1, RECEIPT), (2, "UKO1ZZZZZZ")):
        body = success_callback(
            daraja.checkout_id(number), daraja.merchant_id(number), receipt=receipt
        )
        call_back(client, daraja, number, raw(body))

    assert snapshot_in(page(client, order_id))["receipt"] == RECEIPT


def test_a_page_that_counts_down_carries_the_servers_time(client, clock, make_order):
    order_id = make_order()
    before = page(client, order_id)
    pushed(client, order_id)
    clock.pass_(seconds=7)

    waiting = page(client, order_id)

    assert "data-server-time" not in before  # its ETag stays while nothing happens
    (told,) = re.findall(r'data-server-time="([0-9]+)"', waiting)
    assert int(told) == clock().timestamp() * 1000


def test_the_merchants_name_and_logo_stand_on_its_page(make_app):
    logo = "https://cdn.example.com/logo.svg"
    client = make_app(MERCHANT_NAME="Mama Njeri", MERCHANT_LOGO=logo).test_client()

    answer = client.get("/")

    assert "<title>Mama Njeri</title>" in answer.text
    assert f'<img src="{logo}"' in answer.text
    assert '<span class="name">Mama Njeri</span>' in answer.text  # also where the logo is wide
    assert (
        "img-src 'self' data: https://cdn.example.com;" in answer.headers["Content-Security-Policy"]
    )


@pytest.mark.parametrize(("colour", "chips"), [("#0b7a4b", 1), ("#ffd400", 0)])
def test_a_logo_stands_on_white_where_the_merchants_colour_is_dark(make_app, colour, chips):
    client = make_app(MERCHANT_COLOUR=colour, MERCHANT_LOGO="/static/img/chai.svg").test_client()

    assert client.get("/").text.count('class="logo on-white"') == chips


def test_a_code_that_was_sent_is_remembered_on_every_device(app, client, make_order, clock):
    order_id = make_order()
    transaction_id = pushed(client, order_id)["transaction_id"]
    overdue(app, clock)
    before = page(client, order_id)
    client.post("/sms-code", json={"tx_id": transaction_id, "code": RECEIPT})

    after = page(app.test_client(), order_id)

    assert view(before) == view(after) == "checking"
    assert "Thank you. We have your code" not in visible(before)
    assert "Thank you. We have your code" in visible(after)


def test_without_a_script_a_code_can_be_typed_in_peace(app, client, make_order, clock):
    order_id = make_order()
    pushed(client, order_id)
    overdue(app, clock)

    restless, still = page(client, order_id), page(client, order_id, query_string={"typing": "1"})

    assert 'http-equiv="refresh" content="30"' in restless
    assert 'href="?typing=1' in restless
    assert "refresh" not in still


def overdue(app, clock):
    """The wait passes, and the clock says so."""
    clock.pass_(seconds=61)
    with app.app_context():
        run_once(db.session(), clock, timedelta(seconds=60), lambda _changed: None)


def test_the_page_has_a_code_to_scan_while_nothing_was_begun(client, make_order):
    order_id = make_order()
    before = page(client, order_id)
    pushed(client, order_id)

    assert qr.svg(f"http://127.0.0.1:8000/checkout/{order_id}?lang=en") in before
    assert 'class="qr-code"' not in page(client, order_id)


def test_a_page_that_waits_for_a_scan_is_told_only_of_changes(client, make_order):
    order_id = make_order()
    etag = client.get(f"/checkout/{order_id}").headers["ETag"]
    unchanged = client.get(f"/checkout/{order_id}", headers={"If-None-Match": etag})
    pushed(client, order_id)
    changed = client.get(f"/checkout/{order_id}", headers={"If-None-Match": etag})

    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["Cache-Control"] == "no-store"
    assert changed.status_code == 200


def test_m_pesa_is_never_broken_at_its_hyphen():
    assert whole("<M-PESA> & M-PESA") == (
        '&lt;<b class="whole">M-PESA</b>&gt; &amp; <b class="whole">M-PESA</b>'
    )


def test_an_unknown_order_says_that_no_money_was_taken(client):
    answer = client.get(f"/checkout/{'A' * 22}", headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert "Opening it took no money." in answer.text
