"""The simulator as a process of its own, over real HTTP and a real WebSocket."""

import json
import socket

import pytest
import requests
import websocket
from mpesakit import MpesaClient
from mpesakit.auth import TokenManager
from mpesakit.errors import MpesaApiException
from mpesakit.http_client import MpesaHttpClient
from mpesakit.services import StkPushService

from mpesa.simulator.validation import PASSKEY


@pytest.fixture
def address(standalone):
    requests.post(f"{standalone}/reset", timeout=5)
    return standalone


@pytest.fixture
def express(address):
    """A Daraja client that others wrote and publish, as it is, pointed at the simulator."""
    http = MpesaHttpClient(env="sandbox")
    http.base_url = address
    keys = TokenManager(consumer_key="key", consumer_secret="secret", http_client=http)
    return StkPushService(http_client=http, token_manager=keys)


def push(express, callback_url, **changes):
    fields = {
        "business_short_code": 174379,
        "transaction_type": "CustomerPayBillOnline",
        "amount": 150,
        "party_a": "254712345678",
        "party_b": "174379",
        "phone_number": "254712345678",
        "callback_url": callback_url,
        "account_reference": "INV-1",
        "transaction_desc": "Coffee",
        "passkey": PASSKEY,
    }
    return express.push(**(fields | changes))


def query(express, checkout_request_id):
    return express.query(
        business_short_code=174379, checkout_request_id=checkout_request_id, passkey=PASSKEY
    )


def answer(address, prompt_id, **body):
    return requests.post(f"{address}/prompts/{prompt_id}/answer", json=body, timeout=5)


def test_a_client_of_others_takes_a_payment_from_push_to_query(address, express, merchant):
    shop, _ = merchant

    pushed = push(express, f"{shop}/callback/1")
    pending = query(express, pushed.CheckoutRequestID)
    answer(address, pushed.CheckoutRequestID, pin="1234")
    paid = query(express, pushed.CheckoutRequestID)

    assert pushed.is_successful()
    assert (str(pending.ResultCode), str(paid.ResultCode)) == ("4999", "0")


def test_a_client_of_others_reads_the_callback(address, express, merchant):
    shop, taken = merchant
    pushed = push(express, f"{shop}/callback/1")
    answer(address, pushed.CheckoutRequestID, pin="1234")

    _, _, body = taken.get(timeout=5)
    result = MpesaClient.process_stk_callback(None, json.loads(body)).Body.stkCallback

    (entry,) = requests.get(f"{address}/ledger", timeout=5).json()
    receipt = {item.Name: item.Value for item in result.CallbackMetadata.Item}
    assert (result.ResultCode, receipt["MpesaReceiptNumber"]) == (0, entry["receipt"])


def test_a_client_of_others_is_told_of_a_locked_line(address, express, merchant):
    shop, _ = merchant
    push(express, f"{shop}/callback/1")

    with pytest.raises(MpesaApiException, match="Unable to lock subscriber"):
        push(express, f"{shop}/callback/2")


def test_a_callback_is_a_post_with_darajas_headers(address, express, merchant):
    shop, taken = merchant
    pushed = push(express, f"{shop}/callback/0123abcd")

    answer(address, pushed.CheckoutRequestID, cancel=True)

    path, headers, body = taken.get(timeout=5)
    assert path == "/callback/0123abcd"
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["BusinessShortCode"] == "174379"
    assert json.loads(body)["Body"]["stkCallback"]["ResultCode"] == 1032


def test_a_merchant_who_answers_500_is_not_called_again(address, express, merchant):
    shop, taken = merchant  # this one always answers 500
    first = push(express, f"{shop}/callback/1")
    answer(address, first.CheckoutRequestID, cancel=True)
    second = push(express, f"{shop}/callback/2")
    answer(address, second.CheckoutRequestID, cancel=True)

    paths = [taken.get(timeout=5)[0] for _ in range(2)]

    assert sorted(paths) == ["/callback/1", "/callback/2"]
    assert taken.empty()


def test_an_open_phone_is_told_to_look_again(address, express, merchant):
    shop, _ = merchant
    url = f"ws{address.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
    phone = websocket.create_connection(url, timeout=5)
    phone.recv()
    phone.send("40/simulator,")
    connected = phone.recv()

    push(express, f"{shop}/callback/1")
    heard = phone.recv()
    phone.close()

    assert connected.startswith("40/simulator,")
    assert heard == '42/simulator,["changed",{"msisdn":"254712345678"}]'


def test_the_page_and_all_that_it_loads_come_from_here(address):
    page = requests.get(address, timeout=5)

    assert page.status_code == 200
    assert "no real money moves" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert 'data-base=""' in page.text


def test_a_merchant_who_is_slow_to_answer_holds_nobody_up(address, express):
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        port = never_answers.getsockname()[1]
        pushed = push(express, f"http://127.0.0.1:{port}/callback/1")
        answer(address, pushed.CheckoutRequestID, pin="1234")
        connection, _ = never_answers.accept()

        ledger = requests.get(f"{address}/ledger", timeout=3)

        connection.close()
    assert len(ledger.json()) == 1
