"""The demo shop, whose prices the server owns."""

import re

import pytest
from sqlalchemy import select

from mpesa.models import Order, db
from tests.factories import API_KEY
from tests.web.steps import problem, rows


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


def test_it_speaks_kiswahili(client):
    assert '<html lang="sw">' in client.get("/?lang=sw").text
