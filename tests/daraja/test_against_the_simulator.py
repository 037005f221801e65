"""The client and the simulator were written apart: each reads what the other one sends."""

import queue
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from mpesa.config import AccountType, C2BVersion
from mpesa.daraja import Daraja, Initiators, Merchant
from mpesa.daraja.c2b import Registered, addresses, register_c2b
from mpesa.daraja.pull import PullQuestion, pull, register_pull
from mpesa.daraja.qr import QrOrder, draw_qr
from mpesa.daraja.reversal import ReversalOrder, reverse
from mpesa.daraja.status import StatusQuestion, ask_status
from mpesa.domain.confirmation import parse_confirmation
from mpesa.domain.cut_people import cut_people
from mpesa.domain.results import parse_result
from mpesa.domain.status_answer import read_status_answer
from mpesa.domain.told import Payer
from mpesa.simulator.validation import PASSKEY
from tests.daraja.shared_token import SharedToken
from tests.factories import PAYER_MSISDN, make_settings
from tests.servers import running

SHORT_CODE = "600999"
TOKEN = "9c1f0b7a3e5d2846af90c7d1b35e8f62"
PATIENCE = 10


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """The address of a simulator, in a server of ours."""
    with running(tmp_path_factory.mktemp("simulator")) as server:
        yield server.url("/simulator")


@pytest.fixture(autouse=True)
def nothing_is_odd(simulator):
    requests.post(f"{simulator}/reset", timeout=PATIENCE).raise_for_status()


@pytest.fixture
def daraja(simulator):
    merchant = Merchant("simulator-key", "simulator-secret", "174379", PASSKEY)
    daraja = Daraja(merchant, simulator, SharedToken())
    yield daraja
    daraja.cut()


@pytest.fixture
def initiators(daraja):
    return Initiators(make_settings(), daraja.certificate)


@pytest.fixture
def ours():
    """A server of ours that takes whatever Safaricom posts: its address, and (path, body)."""
    heard: queue.Queue[tuple[str, bytes]] = queue.Queue()

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = b'{"ResultCode": "0", "ResultDesc": "Accepted"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            heard.put((self.path, body))

        def log_message(self, *_):
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Takes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def paid_by_hand(simulator, account="ORD-17", amount=500):
    """The receipt of a payment that no push asked for."""
    fields = {
        "msisdn": PAYER_MSISDN, "short_code": SHORT_CODE, "account": account, "amount": amount,
    }  # fmt: skip
    answer = requests.post(f"{simulator}/payments", json=fields, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text
    return answer.json()["receipt"]


@pytest.mark.parametrize("version", C2BVersion)
def test_a_registered_address_hears_of_money_by_hand(simulator, daraja, ours, version):
    address, heard = ours
    told = addresses(address, TOKEN)

    registered = register_c2b(daraja, version, SHORT_CODE, told)
    receipt = paid_by_hand(simulator)
    path, body = heard.get(timeout=PATIENCE)

    confirmed = parse_confirmation(body)
    assert registered is Registered.NOW
    assert path == f"/c2b/{TOKEN}/confirmation"
    assert (confirmed.receipt, confirmed.amount) == (receipt, 50_000)
    assert (confirmed.short_code, confirmed.account) == (SHORT_CODE, "ORD-17")
    assert confirmed.payer != Payer()
    assert abs(confirmed.paid_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_in_production_addresses_are_registered_once(simulator, daraja, ours):
    told = addresses(ours[0], TOKEN)
    # The server of this simulator has registered its own.
    requests.delete(f"{simulator}/registrations/{SHORT_CODE}", timeout=PATIENCE)
    requests.put(f"{simulator}/organisation", json={"c2b_mode": "production"}, timeout=PATIENCE)

    outcomes = [register_c2b(daraja, C2BVersion.V2, SHORT_CODE, told) for _ in range(2)]

    assert outcomes == [Registered.NOW, Registered.ALREADY]


@pytest.mark.parametrize("shapes", ["plain", "odd"])
def test_a_receipt_is_asked_about_and_answered_in_every_shape(
    simulator, daraja, initiators, ours, shapes
):
    address, heard = ours
    requests.put(f"{simulator}/organisation", json={"shapes": shapes}, timeout=PATIENCE)
    receipt = paid_by_hand(simulator)
    question = StatusQuestion(receipt, SHORT_CODE, f"{address}/result/a", f"{address}/timeout/a")

    ask_status(daraja, initiators.status(), question)
    path, body = heard.get(timeout=PATIENCE)

    told = read_status_answer(parse_result(body)).told(receipt)
    assert path == "/result/a"
    assert (told.receipt, told.amount, told.short_code) == (receipt, 50_000, SHORT_CODE)
    assert told.payer == Payer(msisdn=PAYER_MSISDN)
    assert PAYER_MSISDN.encode() not in cut_people(body)
    assert parse_result(cut_people(body)).receipt_of("ReceiptNo") == receipt


def test_an_unknown_receipt_is_told_by_its_code(daraja, initiators, ours):
    address, heard = ours
    question = StatusQuestion("UKO1ABCDEF", SHORT_CODE, f"{address}/r", f"{address}/t")

    ask_status(daraja, initiators.status(), question)

    assert read_status_answer(parse_result(heard.get(timeout=PATIENCE)[1])).code == "2032"


def test_money_is_given_back_to_its_payer(simulator, daraja, initiators, ours):
    address, heard = ours
    receipt = paid_by_hand(simulator)
    order = ReversalOrder(receipt, 500, SHORT_CODE, "Refund 0123", f"{address}/r", f"{address}/t")

    reverse(daraja, initiators.refund(), order)
    result = parse_result(heard.get(timeout=PATIENCE)[1])

    assert result.went_well
    assert result.receipt_of("OriginalTransactionID") == receipt
    assert result.amount("Amount") == 50_000
    ledger = requests.get(f"{simulator}/ledger", timeout=PATIENCE).json()
    returned = [each["returned_by"] for each in ledger if each["receipt"] == receipt]
    assert returned == [result.receipt]


def test_the_one_that_asks_cannot_move_money(simulator, daraja, initiators, ours):
    address, heard = ours
    receipt = paid_by_hand(simulator)
    order = ReversalOrder(receipt, 500, SHORT_CODE, "Refund 0123", f"{address}/r", f"{address}/t")

    reverse(daraja, initiators.status(), order)

    assert not parse_result(heard.get(timeout=PATIENCE)[1]).went_well


@pytest.mark.parametrize("form", ["normal", "spaced_keys", "empty", "error_500"])
def test_what_was_paid_is_pulled_in_every_form(simulator, daraja, form):
    receipt = paid_by_hand(simulator)
    requests.put(f"{simulator}/organisation", json={"pull": form}, timeout=PATIENCE)
    register_pull(daraja, SHORT_CODE, "254722000000", "https://pay.example/c2b/pull/validation")
    now = datetime.now(UTC)
    question = PullQuestion(SHORT_CODE, now - timedelta(hours=47), now + timedelta(minutes=1))

    page = pull(daraja, question).page

    found = [each.receipt for each in page.told]
    assert found == ([receipt] if form in ("normal", "spaced_keys") else [])
    assert page.is_sure == (form != "error_500")
    assert page.unread == 0


def test_a_code_is_drawn(daraja):
    order = QrOrder("Duka la Mfano", "234567890", 500, AccountType.PAYBILL, SHORT_CODE)

    assert draw_qr(daraja, order).startswith(b"\x89PNG")
