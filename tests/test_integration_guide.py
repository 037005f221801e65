"""The servers of the documents: webhooks.md, the tutorial and integration.md, as they stand."""

import base64
import html
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from dotenv import dotenv_values
from flask import Flask, redirect, request, url_for
from standardwebhooks import Webhook

from mpesa import webhooks
from mpesa.webhooks import Answered, Endpoint
from tests.factories import API_KEY, PAYER, PAYER_MSISDN, confirmation, make_settings
from tests.servers import PATIENCE, ROOT, free_port, listens, running, wait_until

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
FENCE = re.compile(r"^```(python|js|php)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code(document, language):
    """The one server that a document has in this language."""
    fences = FENCE.findall((ROOT / document).read_text())
    (found,) = [text for kind, text in fences if kind == language and "/hook" in text]
    return str(found)


def program(language, file, port):
    """How a reader starts it."""
    if language == "python":
        return [sys.executable, "-m", "flask", "--app", str(file), "run", "--port", str(port)]
    if language == "js":
        return ["node", str(file)]
    return ["php", "-S", f"127.0.0.1:{port}", str(file)]


class Shop:
    """One of the servers, while it runs.

    Attributes:
        language: it is written in.
        address: where it listens.
    """

    def __init__(self, language, port):
        self.language = language
        self.address = f"http://127.0.0.1:{port}"

    def hook(self, body, headers):
        """Let a webhook arrive; returns the status code."""
        answer = requests.post(
            f"{self.address}/hook", data=body, headers=dict(headers), timeout=PATIENCE
        )
        return answer.status_code

    def thanks(self, reference):
        """The page that it shows to who comes back."""
        answer = requests.get(
            f"{self.address}/thanks",
            params={"reference": reference, "order_id": "A" * 22, "status": "PAID"},
            timeout=PATIENCE,
        )
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.status_code == 200, answer.text
        return answer.text

    def order(self, reference):
        """What it knows of an order."""
        answer = requests.get(f"{self.address}/orders/{reference}", timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        known: dict[str, Any] = answer.json()
        return known


@contextmanager
def open_shop(document, language, folder, port, url):
    """Start a server out of a document."""
    file = folder / {"python": "shop.py", "js": "shop.mjs", "php": "shop.php"}[language]
    file.write_text(code(document, language))
    environment = {
        "PATH": os.environ["PATH"],
        "CHECKOUT_URL": url,
        "API_KEY": "development-api-key",
        "WEBHOOK_SECRET": SECRET if document == "docs/webhooks.md" else f"{OLD_SECRET} {SECRET}",
        "SHOP_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            program(language, file, port), cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()
        yield Shop(language, port)
    finally:
        process.terminate()
        process.wait(PATIENCE)


# Of a type that nobody knows today, with nothing in it that the shops look for.
UNKNOWN = json.dumps({"type": "settlement.closed", "data": {"day": "2026-11-24"}})


def message(seq=3, **changed):
    """The body of a webhook about a paid order."""
    payment = {
        "transaction_id": "t", "reference": "INV-9", "order_status": "PAID", "status": "SUCCESS",
        "receipt": "UKO1ABCDEF", "seq": seq, **changed,
    }  # fmt: skip
    return json.dumps({"type": "transaction.succeeded", "data": payment})


def signed(body, message_id="msg_1", late=0.0, secret=SECRET):
    """The headers of a webhook that was sent `late` seconds ago."""
    sent_at = datetime.now(UTC) - timedelta(seconds=late)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, sent_at, body),
    }


LANGUAGES = [
    "python",
    pytest.param("js", marks=pytest.mark.node),
    pytest.param("php", marks=pytest.mark.php),
]


@pytest.fixture(scope="module")
def shop_port():
    """Where each shop listens in its turn."""
    return free_port()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, shop_port):
    """Our server, which tells the shop of results."""
    folder = tmp_path_factory.mktemp("checkout")
    hook = f"http://127.0.0.1:{shop_port}/hook"
    with running(folder, WEBHOOK_URL=hook, WEBHOOK_SECRET=SECRET) as server:
        yield server


@pytest.fixture(scope="module", params=LANGUAGES)
def shop(
    request,
    tmp_path_factory,
    checkout,
    shop_port,
):
    """Each of the guide's servers."""
    folder = tmp_path_factory.mktemp(request.param)
    with open_shop("docs/integration.md", request.param, folder, shop_port, checkout.address) as it:
        yield it


def buy(shop, reference):
    """Buy; returns the checkout page's address."""
    answer = requests.post(
        f"{shop.address}/buy",
        data={"reference": reference},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_shop_sells_and_hears_by_webhook_that_it_was_paid(shop, checkout):
    requests.put(
        checkout.url(f"/simulator/lines/{PAYER_MSISDN}"),
        json={"answer": "pay", "after": 0, "callback_after": 0},
        timeout=PATIENCE,
    )
    reference = f"INV-{shop.language}"
    address = buy(shop, reference)
    before = shop.order(reference)
    not_thanked = shop.thanks(reference)
    order_id = address.rsplit("/", 1)[1]
    checkout.post("/stk-push", json={"order_id": order_id, "phone": PAYER})

    wait_until(lambda: shop.order(reference)["by"] == "webhook", lambda: checkout.why(), 10)

    assert before == {"status": "OPEN", "by": "asking"}
    assert address == checkout.url(f"/checkout/{order_id}")
    assert shop.order(reference) == {"status": "PAID", "by": "webhook"}
    assert "Not paid yet" in not_thanked
    assert f"Order {reference} is paid." in shop.thanks(reference)


def test_the_checkout_page_leads_back_to_the_shop(shop, checkout):
    reference = f"BACK/{shop.language}"

    page = requests.get(buy(shop, reference), timeout=PATIENCE).text

    (link,) = re.findall(r'id="home" href="([^"]*)"', page)
    back = html.unescape(link)
    assert back.startswith(f"{shop.address}/thanks?reference=BACK%2F{shop.language}&order_id=")
    assert f"Pay order {reference}<" in requests.get(back, timeout=PATIENCE).text


def test_what_stands_in_the_address_is_text_for_a_shop(shop):
    body = message(reference="<b>'\"", transaction_id="t-text")
    shop.hook(body, signed(body, "msg_text"))

    page = shop.thanks("<b>'\"")

    assert "is paid." in page
    assert "<b>" not in page
    assert "'\"" not in page


def test_buying_the_same_twice_makes_one_order(shop):
    assert buy(shop, "INV-2") == buy(shop, "INV-2")


def test_a_shops_own_order_number_needs_no_shortening(shop):
    reference = f"ORD-2026-000123-{shop.language}"

    buy(shop, reference)

    assert shop.order(reference) == {"status": "OPEN", "by": "asking"}


def test_an_order_that_is_refused_is_told_to_the_shopper_in_words(shop):
    answer = requests.post(f"{shop.address}/buy", data={"reference": "no. 7"}, timeout=PATIENCE)

    assert answer.status_code == 502
    assert answer.text == "This order cannot be paid just now. Please tell the shop."


def test_an_order_that_nobody_made_is_unknown(shop):
    assert shop.order("INV-404") == {"status": None, "by": "asking"}


@pytest.mark.parametrize(
    ("changed", "late", "secret"),
    [
        ({"webhook-signature": "v1,AAAA"}, 0, SECRET),
        ({"webhook-signature": ""}, 0, SECRET),
        ({"webhook-signature": "v1"}, 0, SECRET),
        ({"webhook-id": "msg_other"}, 0, SECRET),
        ({"webhook-timestamp": "1"}, 0, SECRET),
        ({"webhook-timestamp": "soon"}, 0, SECRET),
        ({}, 400, SECRET),
        ({}, -400, SECRET),
        ({}, 0, "whsec_" + base64.b64encode(b"x" * 32).decode()),
    ],
    ids=["another signature", "no signature", "half a signature", "another id", "another time",
         "no time", "too old", "from the future", "another secret"],
)  # fmt: skip
def test_a_shop_believes_no_forger(shop, changed, late, secret):
    body = message(reference="FORGED")

    status = shop.hook(body, {**signed(body, "msg_forged", late, secret), **changed})

    assert status == 401
    assert shop.order("FORGED")["status"] is None


def test_a_shop_believes_each_of_its_secrets(shop):
    body = message(reference="INV-3", transaction_id="t3")

    assert shop.hook(body, signed(body, "msg_3", secret=OLD_SECRET)) == 204
    assert shop.order("INV-3")["status"] == "PAID"


def test_a_message_that_comes_again_or_late_changes_nothing(shop):
    newer = message(seq=4, reference="INV-4", transaction_id="t4")
    older = message(seq=2, reference="INV-4", transaction_id="t4", order_status="OPEN")
    headers = signed(newer, "msg_4")

    answers = [
        shop.hook(newer, headers),
        shop.hook(newer, headers),
        shop.hook(older, signed(older, "msg_old")),
    ]

    assert answers == [204, 204, 204]
    assert shop.order("INV-4") == {"status": "PAID", "by": "webhook"}


def test_a_shop_takes_a_type_that_it_does_not_know(shop):
    headers = signed(UNKNOWN, "msg_unknown")

    assert [shop.hook(UNKNOWN, headers), shop.hook(UNKNOWN, headers)] == [204, 204]


def parcels(shop):
    """The references of what it sends out."""
    answer = requests.get(f"{shop.address}/parcels", timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    sent: list[str] = answer.json()
    return sent


def test_a_shop_takes_a_test_message_on_demand_and_ships_nothing(shop):
    hook, before = f"{shop.address}/hook", parcels(shop)

    outcome = webhooks.send_test(Endpoint.at(hook, (SECRET,), lambda: datetime.now(UTC)))

    assert outcome == Answered(204)
    assert parcels(shop) == before


def test_an_order_is_shipped_once_and_for_its_own_amount_only(shop):
    sent = []
    for amount, tx in ((149, "a"), (150, "b"), (150, "c")):
        body = message(reference="INV-7", transaction_id=tx, order_id="o7", amount=amount)
        assert shop.hook(body, signed(body, f"msg_7{tx}")) == 204
        sent.append(parcels(shop).count("INV-7"))

    assert sent == [0, 1, 1]


# -- the receiver of docs/webhooks.md ------------------------------------------------------------


def receiver():
    return code("docs/webhooks.md", "python")


def test_the_receiver_of_the_page_on_webhooks_takes_what_is_signed_and_nothing_else(
    monkeypatch,
):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(receiver(), names)  # noqa: S102 (a reader runs it as well)
    client = names["app"].test_client()
    newer, older = message(seq=4), message(seq=2, status="FAILED")

    def hook(body, **headers):
        return int(client.post("/hook", data=body, headers={**signed(body), **headers}).status_code)

    assert [hook(older), hook(newer), hook(newer), hook(older)] == [204] * 4
    assert hook(UNKNOWN) == 204
    assert hook(newer, **{"webhook-signature": "v1,AAAA"}) == 401
    assert hook(newer, **{"webhook-signature": "v1"}) == 401
    assert names["payments"]["t"]["status"] == "SUCCESS"


def test_the_receiver_of_the_page_on_webhooks_is_as_short_as_a_reader_hopes():
    assert len([line for line in receiver().splitlines() if line.strip()]) <= 16


# -- reading every receipt -------------------------------------------------------------------------


def test_the_reader_of_receipts_in_the_guide_sees_each_change(client, app, clock):
    [text] = [
        text
        for _, text in FENCE.findall((ROOT / "docs/integration.md").read_text())
        if "def read_receipts" in text
    ]
    names: dict[str, Any] = {}
    exec(compile(text, "integration.md", "exec"), names)  # noqa: S102 - our own text
    [token] = app.extensions["mpesa"].settings.c2b_token
    kept: list[str] = []

    def get(query):
        return client.get("/api/receipts", query_string=query, headers=API_KEY).get_json()

    def read(cursor):
        return names["read_receipts"](get, cursor, lambda each: kept.append(each["receipt"]))

    def pay(receipt):
        client.post(f"/c2b/{token}/confirmation", json=confirmation("JANE", receipt=receipt))
        clock.pass_(seconds=15)

    assert read(None) is None
    pay("UKO1ABCDEF")
    cursor = read(None)
    pay("UKO2GHIJKL")

    assert read(read(cursor)) is not None
    assert kept == ["UKO1ABCDEF", "UKO2GHIJKL"]


# -- the tutorial, and the ten lines of the README -------------------------------------------------


def told_by(body):
    """The arguments of a test client's POST to /hook."""
    return {"data": body, "headers": signed(body)}


@pytest.fixture
def asked_for(client, monkeypatch):
    """What a shop asked for whose `requests.post` reaches the server in this process."""
    asked: list[dict[str, Any]] = []

    def post(address, *, json, headers, timeout):
        assert timeout
        asked.append(json)
        answer = client.post(address.split(":8000")[1], json=json, headers=headers)
        return SimpleNamespace(json=answer.get_json, raise_for_status=lambda: None)

    monkeypatch.setattr(requests, "post", post)
    return asked


def test_the_shop_of_the_tutorial_sells_and_believes_the_webhook_alone(asked_for, monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.delenv("PORT", raising=False)
    names: dict[str, Any] = {"__name__": "my_shop"}
    exec(code("docs/tutorial.md", "python"), names)  # noqa: S102 (a reader runs it as well)
    shop = names["app"].test_client()

    bought = shop.post("/buy")
    [order] = asked_for
    thanks = f"/thanks/{order['reference']}?status=PAID"
    before = shop.get(thanks).text
    paid = message(reference=order["reference"])

    assert (bought.status_code, "/checkout/" in bought.location) == (303, True)
    assert order["return_url"].endswith(f"/thanks/{order['reference']}")
    assert shop.post("/hook", **told_by(UNKNOWN)).status_code == 204
    assert shop.post("/hook", data=paid).status_code == 401
    assert shop.post("/hook", **told_by(paid)).status_code == 204
    assert ("Paid" in before, "Paid" in shop.get(thanks).text) == (False, True)


def test_the_ten_lines_of_the_readme_sell_and_ship(asked_for):
    app, shipped = Flask("readme"), list[str]()
    app.get("/thanks", endpoint="thanks")(lambda: "")
    names = {
        "app": app, "requests": requests, "request": request, "redirect": redirect,
        "url_for": url_for, "CHECKOUT": "http://127.0.0.1:8000", "KEY": API_KEY,
        "webhook": Webhook(SECRET), "ship_once": shipped.append,
    }  # fmt: skip
    exec(code("README.md", "python"), names)  # noqa: S102 (a reader copies it)
    shop = app.test_client()

    assert "/checkout/" in shop.post("/buy").location
    assert shop.post("/hook", **told_by(message())).status_code == 204
    assert shop.post("/hook", **told_by(UNKNOWN)).status_code == 204
    assert [order["reference"] for order in asked_for] == ["INV-1"]
    assert shipped == ["INV-9"]


def test_the_settings_that_the_tutorial_writes_are_taken_and_lift_the_limit(tmp_path):
    text = (ROOT / "docs/tutorial.md").read_text()
    write = next(
        each for each in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S) if ".env" in each
    )

    subprocess.run(["bash", "-euc", write], cwd=tmp_path, check=True, timeout=PATIENCE)
    settings = make_settings(**dotenv_values(tmp_path / ".env"))

    assert settings.webhook_url == "http://127.0.0.1:8100/hook"
    assert settings.stk_push_limit_per_phone is None


def test_the_shell_of_the_tutorial_pays_on_any_port(tmp_path):
    text = (ROOT / "docs/tutorial.md").read_text()
    order, push, ask = re.findall(r"^```sh\n(.*?)^```$", text.split("## 3")[0], re.M | re.S)[1:]
    until_it_is_told = f"until {{ told=$({ask}); grep -q SUCCESS <<< $told; }}; do sleep 0.1; done"

    # A server of its own: on the shared one, prompts of other tests wait on the tutorial's phone.
    with running(tmp_path) as server:
        ran = subprocess.run(
            ["bash", "-euc", f"{order}{push}{until_it_is_told}\necho $told"],
            env={**os.environ, "PORT": str(urlsplit(server.address).port)},
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"receipt":"' in ran.stdout.replace(" ", "")
