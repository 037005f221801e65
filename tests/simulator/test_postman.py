import logging
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mpesa.simulator.postman import ask_merchant, post_callback
from tests.simulator.shop import CALLBACK_URL, CONFIRMATION_URL, Shop


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://" + "a" * 70 + ".example", "http://.", "http://[::1"]
)
def test_a_merchant_who_cannot_be_reached_is_let_go_without_telling_his_secret(address, caplog):
    caplog.set_level(logging.DEBUG, "mpesa")

    post_callback(f"{address}/callback/5ec2e7", b"{}", "174379")

    (record,) = [record for record in caplog.records if record.name == "mpesa.simulator.postman"]
    assert "not delivered" in record.getMessage()
    assert "5ec2e7" not in record.getMessage()


def test_a_callback_arrives_as_it_was_written(merchant):
    address, taken = merchant

    post_callback(f"{address}/callback/1?order=2", b'{"Value":1.00}', "174379")

    path, _, body = taken.get(timeout=5)
    assert (path, body) == ("/callback/1?order=2", b'{"Value":1.00}')


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://."])
def test_a_merchant_who_cannot_be_asked_has_not_answered(address):
    assert ask_merchant(f"{address}/c2b/5ec2e7/validation", b"{}", "174379") is None


def test_a_merchant_who_answers_an_error_has_not_answered(merchant):
    address, taken = merchant  # this one always answers 500

    assert ask_merchant(f"{address}/validation", b"{}", "174379") is None
    assert taken.get(timeout=5)[0] == "/validation"


def test_a_merchants_answer_to_a_question_is_read():
    class Accepts(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ResultCode": 0}')

        def log_message(self, *_):
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Accepts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = ask_merchant(f"http://127.0.0.1:{server.server_port}/", b"{}", "174379")
        server.shutdown()

    assert answer == b'{"ResultCode": 0}'


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://127.0.0.1:2/callback/1",
        "https://127.0.0.1:1/callback/1",
        "http://127.0.0.1/callback/1",
        "http://127.0.0.1.example.com:1/callback/1",
        "http://127.0.0.1:1@example.com/callback/1",
        "http://user@127.0.0.1:1/callback/1",
        "http://example.com:1\\@127.0.0.1:1/callback/1",
    ],
)
def test_what_is_not_below_the_one_allowed_address_is_told_nothing(elsewhere, caplog):
    shop = Shop(only="http://127.0.0.1:1")
    shop.script(answer="pay")
    shop.register(ConfirmationURL=elsewhere, ValidationURL=elsewhere)
    shop.organise(validation=True)

    shop.push(CallBackURL=elsewhere)
    shop.pay()

    with pytest.raises(queue.Empty):
        shop.callbacks.get(timeout=0.2)
    assert (shop.told, shop.asked) == ([], [])
    assert "callback/1" not in caplog.text


def test_the_one_allowed_address_is_told():
    shop = Shop(only="http://127.0.0.1:1")
    shop.script(answer="pay")
    shop.register()

    shop.push()

    assert shop.next_callback()["ResultCode"] == 0
    assert shop.next_confirmation()
    assert shop.told == [CALLBACK_URL, CONFIRMATION_URL]
