"""GET /checkout/<order_id>/mpesa-qr.png: drawn once, kept, and never anything but a picture."""

from collections import deque
from datetime import timedelta

import pytest

from mpesa.daraja import NoAnswer, NotSent
from mpesa.daraja.answers import Answer
from mpesa.daraja.qr import QR_PATH
from mpesa.domain.result_codes import Reason
from mpesa.models import Order, db
from tests.conftest import on_both
from tests.daraja.test_other_apis import drawn, png
from tests.domain.bodies import raw
from tests.factories import API_KEY, order_fields
from tests.web.steps import problem


@pytest.fixture
def app(make_app):
    return make_app(MPESA_QR="on", MANUAL_PAYMENT="on")


@pytest.fixture
def draws(daraja):
    """Let Daraja draw these, one after the other, and then the usual picture without end."""

    class Endless(deque):
        def popleft(self):
            return super().popleft() if len(self) else Answer(200, raw(drawn(png())))

        def __bool__(self):
            return True

    daraja.post_answers[QR_PATH] = Endless()
    return daraja.post_answers[QR_PATH]


@pytest.fixture
def new_order():
    """Make an order at some client's application; returns its id."""

    def make(client):
        answer = client.post("/api/orders", json=order_fields(), headers=API_KEY)
        order_id: str = answer.get_json()["order_id"]
        return order_id

    return make


def shown(client, order_id):
    return client.get(f"/checkout/{order_id}/mpesa-qr.png")


def asked(daraja):
    return [body for path, body in daraja.posts if path == QR_PATH]


@on_both
def test_an_orders_code_is_drawn_once_and_kept(client, app, daraja, draws, make_order):
    order_id = make_order()

    first, second = shown(client, order_id), shown(client, order_id)

    assert first.data == second.data == png()
    assert first.content_type == "image/png"
    assert first.headers["Cache-Control"] == "private, max-age=300"
    (body,) = asked(daraja)
    with app.app_context():
        order = db.session.get_one(Order, order_id)
    assert (body["RefNo"], body["Amount"]) == (order.pay_code, order.amount)
    assert (body["TrxCode"], body["CPI"]) == ("PB", "174379")


def test_the_code_names_the_paybill_that_is_paid_by_hand(make_app, daraja, draws, new_order):
    client = make_app(MPESA_QR="on", C2B_SHORTCODE="600999").test_client()

    shown(client, new_order(client))

    assert [each["CPI"] for each in asked(daraja)] == ["600999"]


def test_a_tills_code_names_the_till(make_app, daraja, draws, new_order):
    app = make_app(MPESA_QR="on", DARAJA_ACCOUNT_TYPE="till", DARAJA_TILL="555123")
    client = app.test_client()

    assert shown(client, new_order(client)).status_code == 200
    assert [(each["TrxCode"], each["CPI"]) for each in asked(daraja)] == [("BG", "555123")]


@pytest.mark.parametrize("named", [{"MPESA_QR": "off"}, {"MANUAL_PAYMENT": "off"}])
def test_where_the_shop_does_not_offer_it_there_is_nothing(
    make_app, draws, daraja, new_order, named
):
    client = make_app(**{"MPESA_QR": "on", "MANUAL_PAYMENT": "on", **named}).test_client()

    problem(shown(client, new_order(client)), 404, "not_found")
    assert asked(daraja) == []


@pytest.mark.parametrize("order_id", ["0" * 22, "x", "..", "a" * 200])
def test_an_order_that_is_none_has_no_code(client, draws, daraja, order_id):
    assert shown(client, order_id).status_code == 404
    assert asked(daraja) == []


def test_an_order_that_is_over_has_no_code_even_if_one_is_kept(client, draws, make_order):
    order_id = make_order()
    shown(client, order_id)
    client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY)

    problem(shown(client, order_id), 404, "not_found")


@pytest.mark.parametrize(
    "answer",
    [
        NoAnswer("nothing came"),
        NotSent(Reason.SYSTEM_BUSY),
        Answer(200, raw(drawn(b"<svg onload=alert(1)>"))),
        Answer(500, b"<html>"),
    ],
    ids=["no answer", "not sent", "no PNG", "a page"],
)
@on_both
def test_after_a_failure_daraja_is_left_alone_for_ten_minutes(
    client, daraja, draws, clock, make_order, answer
):
    order_id = make_order()
    draws.append(answer)

    failed = shown(client, order_id)
    clock.pass_(minutes=9, seconds=59)
    early = shown(client, order_id)
    asked_early = len(asked(daraja))
    clock.pass_(seconds=2)
    late = shown(client, order_id)

    assert [each.status_code for each in (failed, early, late)] == [404, 404, 200]
    assert (asked_early, len(asked(daraja))) == (1, 2)


@on_both
def test_ten_codes_are_drawn_in_a_minute_and_no_more(client, daraja, draws, clock, make_order):
    orders = [make_order(reference=f"INV-{number}") for number in range(12)]

    first = [shown(client, each).status_code for each in orders]
    clock.pass_(seconds=61)
    later = [shown(client, each).status_code for each in orders]

    assert first == [200] * 10 + [404] * 2
    assert later == [200] * 12
    assert len(asked(daraja)) == 12


def test_while_one_is_fetched_nobody_fetches_it_again(client, app, daraja, draws, make_order):
    order_id = make_order()
    meanwhile = []

    class Overtaken(deque):
        def popleft(self):
            other = app.test_client()
            meanwhile.append(shown(other, order_id).status_code)
            return Answer(200, raw(drawn(png())))

    daraja.post_answers[QR_PATH] = Overtaken([None])

    assert shown(client, order_id).status_code == 200
    assert meanwhile == [404]
    assert len(asked(daraja)) == 1


def test_a_clock_that_stepped_back_blocks_no_code(client, draws, clock, make_order):
    order_id = make_order()
    draws.append(NoAnswer("nothing came"))
    shown(client, order_id)

    clock.step(seconds=-timedelta(days=1).total_seconds())

    assert shown(client, order_id).status_code == 200


def test_a_code_that_says_what_is_no_longer_true_is_drawn_anew(make_app, daraja, draws, new_order):
    before = make_app(MPESA_QR="on", MERCHANT_NAME="Duka").test_client()
    order_id = new_order(before)
    shown(before, order_id)

    after = make_app(MPESA_QR="on", MERCHANT_NAME="Kiosk").test_client()
    shown(after, order_id)

    assert [each["MerchantName"] for each in asked(daraja)] == ["Duka", "Kiosk"]
