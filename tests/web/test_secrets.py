"""No page, snapshot, problem or log line holds what only the server and Daraja may know."""

import logging
import re

import pytest

from mpesa.daraja import NotSent, Refused, UnknownOutcome
from mpesa.domain.result_codes import Reason
from mpesa.models import db
from tests.factories import API_KEY, failure_callback, raw, success_callback
from tests.web.steps import call_back, fail, push, push_form

BROWSER = {"Accept": "text/html"}
# Not the number that the form gives as an example.
PAYER = "0790123456"
# With or without its country code, and however it is grouped.
FULL_NUMBER = re.compile(r"790\D{0,2}123\D{0,2}456")


@pytest.fixture(autouse=True)
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def heard():
    """All that anybody but Daraja was answered."""
    return []


def look_everywhere(client, order_id, heard):
    """Every place where a shopper, a merchant or a stranger may look."""
    headers = API_KEY | {"Idempotency-Key": "k"}
    orders = client.get("/api/orders?reference=INV-1", headers=API_KEY)
    order = client.get(f"/api/orders/{order_id}", headers=API_KEY)
    heard += [orders, order]
    for each in order.get_json()["transactions"]:
        tx_id = each["transaction_id"]
        heard.append(client.get("/check-status", query_string={"tx_id": tx_id}))
        heard.append(client.get("/check-status", query_string={"tx_id": tx_id, "lang": "sw"}))
    heard.append(client.get(f"/checkout/{order_id}"))
    heard.append(client.get(f"/checkout/{order_id}?other=1&lang=sw"))
    heard.append(push(client, order_id, PAYER, headers=headers))
    heard.append(push(client, order_id, "0722000111"))
    heard.append(push_form(client, order_id, PAYER))
    heard.append(client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY))
    heard.append(client.get("/readyz"))


def texts(heard, caplog):
    everything = "\n".join([f"{each.headers}{each.text}" for each in heard] + [caplog.text])
    # A form that is refused comes back to the one who filled it in, with what they typed.
    return everything.replace(f'value="{PAYER}"', "")


def assert_nothing_leaked(daraja, heard, caplog):
    everything = texts(heard, caplog)
    for number in range(1, len(daraja.pushes) + 1):
        assert daraja.checkout_id(number) not in everything
        assert daraja.token_of(number) not in everything
    assert not FULL_NUMBER.search(everything)
    assert "ws_CO_" not in everything
    assert "0790•••456" in everything


ANSWERS = {
    "accepted": None,
    "refused": Refused(Reason.PUSH_REFUSED, body=b'{"errorMessage": "Bad 254790123456"}'),
    "never sent": NotSent(Reason.SYSTEM_BUSY),
    "unknown": UnknownOutcome(body=b"ws_CO_24112026120000001790123456"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_push_leaks_nothing_however_daraja_answers(
    client, make_order, daraja, heard, caplog, name
):
    if ANSWERS[name]:
        daraja.answers.append(ANSWERS[name])
    order_id = make_order()

    heard.append(push(client, order_id, PAYER))
    look_everywhere(client, order_id, heard)

    assert_nothing_leaked(daraja, heard, caplog)


@pytest.mark.parametrize("code", [0, 1, 1032, 1037, 17, 2028, 999, "SFC_IC0003"])
def test_a_result_leaks_nothing(client, make_order, daraja, heard, caplog, code):
    order_id = make_order()
    push(client, order_id, PAYER)

    answer = call_back(client, daraja) if code == 0 else fail(client, daraja, code)
    heard.append(answer)
    look_everywhere(client, order_id, heard)

    assert_nothing_leaked(daraja, heard, caplog)


@pytest.mark.parametrize(
    "body",
    [
        b"254790123456 \xff",
        raw(success_callback("ws_CO_24112026120000999790123456", "other")),
        raw(failure_callback("ws_CO_24112026120000999790123456", "other", "254790123456")),
        raw(success_callback("ws_CO_24112026120000001790123456", "x", amount="254790123456")),
    ],
    ids=range(4),
)
def test_a_strange_callback_leaks_nothing(client, make_order, daraja, heard, caplog, body):
    order_id = make_order()
    push(client, order_id, PAYER)

    heard.append(call_back(client, daraja, body=body))
    heard.append(call_back(client, daraja, body=b"x" * 70_000))
    heard.append(client.put(f"/callback/{daraja.token_of(1)}", headers=BROWSER))
    look_everywhere(client, order_id, heard)

    assert_nothing_leaked(daraja, heard, caplog)


def test_a_wrong_number_is_repeated_to_nobody_but_its_own_form(client, make_order, heard, caplog):
    order_id, typed = make_order(), "0790123456999"

    heard.append(push(client, order_id, typed))
    heard.append(client.get(f"/checkout/{order_id}"))

    assert typed not in texts(heard, caplog)


@pytest.mark.parametrize("table", ["evidence", "transactions", "decisions", "idempotency_keys"])
def test_a_database_that_fails_leaks_nothing(app, client, make_order, daraja, heard, caplog, table):
    order_id, other = make_order(), make_order()
    push(client, order_id, PAYER)
    with app.app_context():
        db.session.execute(db.text(f"ALTER TABLE {table} RENAME TO gone"))
        db.session.commit()

    heard.append(call_back(client, daraja))
    heard.append(push(client, other, PAYER, headers={"Idempotency-Key": "secret-key"}))
    heard.append(push(client, order_id, PAYER, headers=BROWSER))
    heard.append(client.get(f"/checkout/{order_id}", headers=BROWSER))

    everything = texts(heard, caplog)
    assert daraja.checkout_id(1) not in everything
    assert daraja.token_of(1) not in everything
    assert not FULL_NUMBER.search(everything)


def test_an_api_key_is_repeated_to_nobody(client, heard, caplog):
    for key in ("development-api-key", "almost-the-development-key"):
        headers = {"Authorization": f"Bearer {key}"}
        heard.append(client.get("/api/orders?reference=%00", headers=headers))
        heard.append(client.get("/api/orders/x", headers=headers))

    assert "development-api-key" not in texts(heard, caplog)
    assert "almost-the-development-key" not in texts(heard, caplog)
