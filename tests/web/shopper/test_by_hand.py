"""Paying by hand as the page shows it: offered, explained, seen; without a script, and with one."""

import re

import pytest
from sqlalchemy import update

from mpesa.domain.evidence import Kind
from mpesa.domain.settlement import WaitOver
from mpesa.models import Receipt, Transaction
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.shop import Shop
from tests.web.shopper.reading import headline, page, seen, shown, snapshot_in, view, visible
from tests.web.steps import call_back, fail, problem, pushed, status_of

OFFER = 'action="/pay-by-hand'
STEPS = ("Lipa na M-PESA", "Choose Pay Bill", "Business number", "Account number", "Amount", "PIN")


def by_hand(client, order_id, **more):
    return client.post("/pay-by-hand", json={"order_id": order_id}, **more)


def by_hand_form(client, order_id, **more):
    """A page without a script posts its form."""
    return client.post("/pay-by-hand", data={"order_id": order_id}, **more)


def to_copy(text):
    """What the buttons that are seen would copy."""
    return re.findall(r'data-copy="([^"]*)"', seen_by_script(text))


def seen_by_script(text):
    """What is on the screen once a script has shown its buttons."""
    return seen(re.sub(r'(data-copy="[^"]*") hidden', r"\1", text))


# -- the choice ----------------------------------------------------------------------------------


@on_both
def test_the_choice_is_answered_by_a_transaction_by_hand_and_repeated_by_the_same(
    client, make_order
):
    order_id = make_order()

    first, second = by_hand(client, order_id), by_hand(client, order_id)

    chosen = first.get_json()
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.get_json() == chosen
    assert (chosen["channel"], chosen["status"], chosen["phone"]) == ("hand", "PENDING", None)
    assert (chosen["view"], chosen["next"]) == ("by_hand", "pay_by_hand")
    assert status_of(client, chosen["transaction_id"]) == chosen


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_a_form_is_answered_with_the_page_in_its_language(client, make_order, lang):
    order_id = make_order()

    answer = by_hand_form(client, order_id, query_string={"lang": lang})

    assert answer.status_code == 303
    assert answer.location == f"/checkout/{order_id}?lang={lang}"
    assert view(page(client, order_id)) == "by_hand"


def test_an_order_that_is_over_is_refused_to_a_script_and_shown_to_a_form(
    client, make_order, daraja, shop
):
    paid, cancelled = make_order(), make_order()
    pushed(client, paid)
    call_back(client, daraja)
    shop.cancel(cancelled)

    for order_id, code, seen_as in (
        (paid, "order_paid", "paid"),
        (cancelled, "order_closed", "closed"),
    ):
        problem(by_hand(client, order_id), 409, code)
        answer = by_hand_form(client, order_id)
        assert answer.status_code == 303
        assert view(page(client, order_id)) == seen_as


def test_where_a_shop_does_not_offer_it_there_is_no_such_choice(make_app, clock, daraja):
    app = make_app(MANUAL_PAYMENT="off")
    client, order_id = app.test_client(), Shop(app, clock, daraja).order()

    problem(by_hand(client, order_id), 404, "order_not_found")
    pushed(client, order_id)
    fail(client, daraja, 1037)
    text = page(client, order_id)

    assert OFFER not in text
    assert "by hand" not in visible(text)
    assert snapshot_in(text)["next"] == "retry"


@pytest.mark.parametrize("order_id", ["", "nothing", "A" * 22, 7, None])
def test_a_choice_for_no_order_is_refused(client, order_id):
    answer = by_hand(client, order_id)

    assert answer.status_code in (400, 404)
    assert answer.get_json()["code"] in ("invalid_request", "order_not_found")


def test_the_choice_counts_against_the_limit_of_its_address(make_app, clock, daraja):
    app = make_app(STK_PUSH_LIMIT_PER_IP="1/minute")
    client, order_id = app.test_client(), Shop(app, clock, daraja).order()
    assert by_hand(client, order_id).status_code == 201

    refused, form = by_hand(client, order_id), by_hand_form(client, order_id)

    problem(refused, 429, "rate_limited")
    assert form.status_code == 429
    assert refused.get_json()["detail"] in visible(seen(form.text))
    assert OFFER in seen(form.text)


# -- the steps -----------------------------------------------------------------------------------


def test_the_page_has_the_phones_menu_step_by_step_and_each_value_to_copy(client, make_order):
    order_id = make_order(amount=1500)
    code = by_hand(client, order_id).get_json()["pay_by_hand"]["account"]

    text = page(client, order_id)

    assert (view(text), headline(text)) == ("by_hand", "Pay by hand")
    assert to_copy(text) == ["174379", code, "1500"]
    words = visible(seen_by_script(text))
    assert f"Account number {code[:3]} {code[3:6]} {code[6:]}" in words
    assert "Amount KES 1,500" in words
    places = [words.index(step) for step in STEPS]
    assert places == sorted(places)
    assert 'name="code"' in seen(text)


def test_a_code_for_the_m_pesa_app_is_there_where_the_shop_wants_it(make_app, make_order, client):
    with_code = make_app(MPESA_QR="on").test_client()
    order = make_order()
    by_hand(client, order)

    assert f"/checkout/{order}/mpesa-qr.png" in page(with_code, order)
    assert "mpesa-qr.png" not in page(client, order)


def test_a_till_is_paid_without_an_account(make_app, clock, daraja):
    app = make_app(DARAJA_ACCOUNT_TYPE="till", DARAJA_TILL="555123")
    client, order_id = app.test_client(), Shop(app, clock, daraja).order(amount=1500)
    by_hand(client, order_id)

    text = page(client, order_id)

    assert to_copy(text) == ["555123", "1500"]
    assert "Choose Buy Goods and Services" in visible(seen(text))
    assert "Account number" not in visible(text)


def test_the_number_is_the_one_that_confirmations_are_registered_for(make_app, clock, daraja):
    app = make_app(C2B_SHORTCODE="600999")
    client, order_id = app.test_client(), Shop(app, clock, daraja).order()
    by_hand(client, order_id)

    assert to_copy(page(client, order_id))[0] == "600999"


def test_the_page_says_that_it_shows_the_money_as_soon_as_it_is_told(client, make_order):
    order_id = make_order()
    by_hand(client, order_id)

    text = page(client, order_id)

    assert "as soon as M-PESA tells us" in visible(seen(text))
    assert "does not see such a payment" not in visible(text)
    # A browser whose script does not run looks again by itself.
    assert 'http-equiv="refresh" content="30"' in text


SANDBOX = {
    "DARAJA_ENV": "sandbox",
    "DARAJA_CONSUMER_KEY": "k",
    "DARAJA_CONSUMER_SECRET": "s",
    "SECRET_KEY": "mine",
    "API_KEYS": "key-of-mine",
    "PUBLIC_URL": "https://pay.example.com",
}


def test_where_such_money_is_not_told_the_page_says_so_and_asks_for_the_code(
    make_app, clock, daraja
):
    app = make_app(MANUAL_PAYMENT="on", **SANDBOX)
    client, order_id = app.test_client(), Shop(app, clock, daraja).order()
    at_home = {"headers": {"Host": "pay.example.com"}}
    by_hand(client, order_id, **at_home)

    text = page(client, order_id, **at_home)

    assert "This page does not see such a payment by itself" in visible(seen(text))
    assert "as soon as M-PESA tells us" not in visible(text)
    assert re.search(r"<details[^>]* open>\s*<summary><span>Paid, but not shown here", seen(text))


def test_without_a_script_the_box_for_the_code_is_unfolded_for_who_types_in_peace(
    client, make_order
):
    order_id = make_order()
    by_hand(client, order_id)
    box = r"<details[^>]* open>\s*<summary><span>Paid, but not shown here"

    restless = seen(page(client, order_id))
    still = page(client, order_id, query_string={"typing": "1"})

    assert not re.search(box, restless)
    assert re.search(box, seen(still))
    assert 'http-equiv="refresh"' not in still


def test_the_prompt_is_one_press_away(client, make_order):
    order_id = make_order()
    by_hand(client, order_id)
    assert f'href="/checkout/{order_id}?other=1' in seen(page(client, order_id))

    text = page(client, order_id, query_string={"other": "1"})

    assert view(text) == "phone"
    assert OFFER in seen(text)


# -- the offer -----------------------------------------------------------------------------------


def offers(text):
    """Whether each offer that is on the screen is unfolded."""
    return [
        " open" in each for each in re.findall(r'<details class="offer"([^>]*)>', offered(text))
    ]


def offered(text):
    """What is on the screen, but for the box for the code."""
    return re.sub(r'<details class="offer"[^>]*>\s*<summary><span>Paid, but.*', "", seen(text))


@pytest.mark.parametrize(
    ("code", "unfolded"),
    [
        (1032, False),
        (1, False),
        (8006, False),
        (777, False),
        (1037, True),
        (26, True),
        (2028, True),
    ],
)
def test_after_a_failure_it_is_unfolded_where_another_push_would_not_help(
    client, make_order, daraja, code, unfolded
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, code)

    text = page(client, order_id)

    assert offers(text) == [unfolded]
    assert (snapshot_in(text)["next"] == "pay_by_hand") is unfolded
    # What helps stands first.
    if code != 2028:  # where another push is blocked for a while
        first = seen(text).index("Pay from the") < seen(text).index(">Try again")
        assert first is unfolded


def test_before_a_push_and_while_one_is_open_it_is_folded(client, make_order, shop):
    order_id = make_order()
    before = page(client, order_id)
    transaction_id = pushed(client, order_id)["transaction_id"]
    waiting = page(client, order_id)
    shop.record(transaction_id, WaitOver(), Kind.CLOCK)
    overdue = page(client, order_id)

    assert [view(each) for each in (before, waiting, overdue)] == ["phone", "waiting", "checking"]
    assert [offers(each) for each in (before, waiting, overdue)] == [[False]] * 3


@pytest.mark.parametrize("overdue", [False, True])
def test_beside_an_open_prompt_the_page_says_to_cancel_that_first(
    client, make_order, shop, overdue
):
    order_id = make_order()
    transaction_id = pushed(client, order_id)["transaction_id"]
    if overdue:
        shop.record(transaction_id, WaitOver(), Kind.CLOCK)
    by_hand(client, order_id)

    text = page(client, order_id)

    assert snapshot_in(text)["transaction_id"] == transaction_id
    assert snapshot_in(text)["next"] == "cancel_prompt"
    assert "First cancel the M-PESA request on your phone" in visible(seen(text))
    assert len(to_copy(text)) == 3
    assert OFFER not in seen(text)


def test_nothing_is_offered_to_anybody_whose_money_is_in_sight(client, make_order, shop):
    order_id = make_order()
    by_hand(client, order_id)
    shop.confirm(shop.order_row(order_id).pay_code, proof_from=1)

    text = page(client, order_id)

    assert (view(text), headline(text)) == ("checking", "Checking your payment")
    assert "please do not pay again" in visible(seen(text))
    assert "A person at" not in visible(seen(text))
    assert OFFER not in seen(text)
    assert not to_copy(text)


def test_an_order_that_is_over_offers_no_way_to_pay(client, make_order, daraja, shop):
    paid, cancelled = make_order(), make_order()
    pushed(client, paid)
    call_back(client, daraja)
    shop.cancel(cancelled)

    for order_id in (paid, cancelled):
        text = page(client, order_id)
        assert OFFER not in text
        assert to_copy(text) in ([], [""])


def test_money_that_never_came_may_be_sent_again(client, make_order, clock, shop):
    order_id = make_order()
    by_hand(client, order_id)
    clock.pass_(hours=24)
    shop.tick()

    text = page(client, order_id)

    assert (view(text), snapshot_in(text)["reason"]) == ("failed", "not_received")
    assert offers(text) == [True]
    assert by_hand(client, order_id).status_code == 201


# -- the money -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(("lang", "words"), [("en", "Paid"), ("sw", "Imelipwa")])
def test_an_order_paid_by_hand_looks_like_any_paid_order_without_a_phone(
    client, make_order, shop, chosen, lang, words
):
    order_id = make_order(amount=1500)
    if chosen:
        by_hand(client, order_id)
    shop.confirm(shop.order_row(order_id).pay_code, amount="1500.00")

    text = page(client, order_id, query_string={"lang": lang})

    assert (view(text), headline(text)) == ("paid", words)
    slip = visible(seen(text))
    assert RECEIPT in slip
    assert "1,500" in slip
    assert shown(text, "channel") == []  # the row with the phone
    assert re.search(r'data-field="paid_at">24 \w+ 2026, 12:00<', text)


def test_the_receipt_tells_when_the_payer_paid_not_when_the_money_was_claimed(
    client, make_order, clock, shop
):
    order_id = make_order()
    clock.pass_(hours=3)
    shop.confirm(shop.order_row(order_id).pay_code)

    assert 'data-field="paid_at">24 Nov 2026, 12:00<' in page(client, order_id)


def test_a_time_that_may_be_of_another_zone_is_not_told(client, make_order, clock, shop):
    order_id = make_order()
    clock.pass_(minutes=5)
    shop.confirm(shop.order_row(order_id).pay_code)
    change(shop, update(Receipt).values(paid_at_doubtful=True))

    assert 'data-field="paid_at">24 Nov 2026, 12:05<' in page(client, order_id)


def test_where_a_person_accepted_another_amount_the_receipt_says_what_came(
    client, make_order, shop
):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code)
    change(shop, update(Transaction).values(receipt_amount=14_950))

    slip = visible(seen(page(client, order_id)))

    assert "AmountKES 149.50" in slip
    assert "AmountKES 150" not in slip


def test_a_payment_that_was_given_back_is_not_called_paid(client, make_order, shop):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code)
    change(shop, update(Transaction).values(returned=True))

    text = page(client, order_id)

    assert headline(text) == "Money returned"
    assert "gave this payment back" in visible(seen(text))
    assert "Given backKES 150\n" in visible(seen(text))


def test_the_receipt_says_when_the_shop_gave_the_money_back(client, make_order, shop, clock):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code)
    refund = {"refund_id": "r", "refund_status": "succeeded", "refund_at": clock()}
    change(shop, update(Transaction).values(returned=True, **refund))

    assert "Given backKES 150 · 24 Nov 2026, 12:00" in visible(seen(page(client, order_id)))


# -- a payment that a person has to check --------------------------------------------------------


def test_a_payment_that_may_be_the_orders_is_told_by_amount_and_time_and_by_no_name(
    client, make_order, shop
):
    order_id, another = make_order(), make_order()
    by_hand(client, order_id)
    shop.confirm(shop.order_row(order_id).pay_code, amount="1149.50")

    text = page(client, order_id)

    words = visible(seen(text))
    assert "A payment of KES 1,149.50 came at 12:00." in words
    assert "A person at Duka la Mfano is checking whether it is for this order." in words
    assert "If it is yours, do not pay again." in words
    assert "WANJIKU" not in text
    assert RECEIPT not in words
    assert "A payment of" not in visible(seen(page(client, another)))


def test_its_day_is_told_where_it_is_another_one(client, make_order, clock, shop):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code, amount="149.00")
    clock.pass_(hours=24)

    assert "KES 149 came at 12:00, 24 Nov." in visible(seen(page(client, order_id)))


def test_its_time_is_left_out_where_nobody_told_it_for_certain(client, make_order, shop):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code, amount="149.00")
    change(shop, update(Receipt).values(paid_at_doubtful=True))

    assert "A payment of KES 149 came." in visible(seen(page(client, order_id)))


@pytest.mark.parametrize("state", ["claimed", "returned"])
def test_it_is_told_until_it_is_claimed_or_returned(client, make_order, shop, state):
    order_id = make_order()
    shop.confirm(shop.order_row(order_id).pay_code, amount="149.00")
    change(shop, update(Receipt).values(state=state))

    assert "A payment of" not in visible(seen(page(client, order_id)))


def test_a_paid_order_tells_of_it_and_warns_of_nothing(client, make_order, shop):
    order_id = make_order()
    code = shop.order_row(order_id).pay_code
    shop.confirm(code, amount="149.00")
    shop.confirm(code, receipt="UKO2GHIJKL")

    words = visible(seen(page(client, order_id)))

    assert "A payment of KES 149 came" in words
    assert "do not pay again" not in words


def test_a_code_that_no_rule_could_place_waits_for_a_person(client, make_order, clock):
    order_id = make_order()
    transaction_id = by_hand(client, order_id).get_json()["transaction_id"]
    client.post("/sms-code", json={"tx_id": transaction_id, "code": RECEIPT})

    at_once = visible(seen(page(client, order_id)))
    clock.pass_(minutes=4)
    later = visible(seen(page(client, order_id)))

    assert "Thank you. We have your code and are checking it." in at_once
    assert "a person at Duka la Mfano is checking it" in later


# -- all of it -----------------------------------------------------------------------------------


def test_no_id_stands_on_a_page_twice(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1)

    ids = re.findall(r' id="([^"]+)"', page(client, order_id))

    assert len(ids) == len(set(ids))


def change(shop, statement):
    """What other parts of the server write."""
    with shop.sessions() as session:
        session.execute(statement)
        session.commit()
