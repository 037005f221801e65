"""The demo shop, whose prices the server owns."""

import html
import re
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from mpesa.models import Order, db
from tests.factories import API_KEY, raw, success_callback
from tests.web.steps import call_back, problem, pushed, rows


def test_it_shows_its_goods_and_their_prices(client):
    text = client.get("/").text

    assert "Coffee from Nyeri" in text
    assert "650" in text


def test_buying_leads_to_the_checkout_page_of_a_new_order(client):
    answer = client.post("/", data={"item": "kahawa"})

    order_id = answer.headers["Location"].rsplit("/", 1)[1]
    order = client.get(f"/api/orders/{order_id}", headers=API_KEY).get_json()
    assert answer.status_code == 303
    assert order["amount"] == 650
    assert re.fullmatch("KAHAWA-[0-9A-F]{3}", order["reference"])


def bought(client, lang="en"):
    """Buy coffee; returns the order."""
    answer = client.post(f"/?lang={lang}", data={"item": "kahawa"})
    order_id = urlsplit(answer.headers["Location"]).path.rsplit("/", 1)[1]
    return client.get(f"/api/orders/{order_id}", headers=API_KEY).get_json()


def came_back(client, order):
    """The shop's page that a shopper comes back to."""
    checkout = client.get(f"/checkout/{order['order_id']}").text
    link = re.search(r'data-back="http://127.0.0.1:8000([^"]*)"', checkout)[1]
    return client.get(html.unescape(link)).text


def test_a_paid_order_leads_back_to_a_page_of_thanks(client, daraja):
    order = bought(client)
    pushed(client, order["order_id"])
    paid = success_callback(daraja.checkout_id(1), daraja.merchant_id(1), amount=650)
    call_back(client, daraja, body=raw(paid))

    thanks = came_back(client, order)

    assert "<h1>Thank you!</h1>" in thanks
    assert order["reference"] in thanks
    assert f'href="/checkout/{order["order_id"]}?lang=en"' in thanks
    assert 'href="/?lang=en"' in thanks


def test_an_order_that_is_not_paid_can_be_paid_from_there(client):
    order = bought(client)

    back = came_back(client, order)

    assert "<h1>Not paid yet</h1>" in back
    assert f'href="/checkout/{order["order_id"]}?lang=en"' in back


def test_an_order_that_ended_unpaid_leads_to_the_shop(client):
    order = bought(client)
    client.post(f"/api/orders/{order['order_id']}/cancel", headers=API_KEY)

    back = came_back(client, order)

    assert "<h1>Order cancelled</h1>" in back
    assert "/checkout/" not in back
    assert 'href="/?lang=en"' in back


def test_a_status_in_the_address_is_not_believed(client):
    order = bought(client)

    back = client.get(f"/thanks?order_id={order['order_id']}&status=PAID").text

    assert "Thank you!" not in back


def test_who_bought_in_kiswahili_comes_back_in_kiswahili(client):
    assert "<h1>Bado haijalipwa</h1>" in came_back(client, bought(client, lang="sw"))


def test_nobody_is_thanked_for_an_order_that_is_not_there(client):
    problem(client.get("/thanks"), 404, "order_not_found")
    problem(client.get(f"/thanks?order_id={'A' * 22}"), 404, "order_not_found")


def test_two_orders_of_the_same_good_are_told_apart(client, app):
    for _each in range(2):
        client.post("/", data={"item": "kahawa"})

    with app.app_context():
        assert len(set(db.session.scalars(select(Order.reference)))) == 2


def test_the_price_is_not_the_browsers_to_say(client):
    answer = client.post("/", data={"item": "kahawa", "price": "1", "amount": "1"})

    order_id = answer.headers["Location"].rsplit("/", 1)[1]
    order = client.get(f"/api/orders/{order_id}", headers=API_KEY).get_json()
    assert order["amount"] == 650


@pytest.mark.parametrize("item", ["", "unknown", "KAHAWA", "kahawa\0"])
def test_what_is_not_sold_is_refused_at_its_field(client, app, item):
    before = rows(app)

    problem(client.post("/", data={"item": item}), 400, "invalid_request", "item")
    assert rows(app) == before


def test_it_can_be_turned_off(make_app):
    client = make_app(DEMO_SHOP="off").test_client()

    problem(client.get("/"), 404, "not_found")
    problem(client.post("/", data={"item": "kahawa"}), 404, "not_found")
    problem(client.get("/thanks"), 404, "not_found")


def test_it_speaks_kiswahili(client):
    assert '<html lang="sw">' in client.get("/?lang=sw").text
