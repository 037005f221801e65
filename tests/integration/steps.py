"""A payer, a page and a merchant's server, over real HTTP and real sockets."""

import json
import time
from itertools import count

import requests
import websocket

from tests.factories import API_KEY, order_fields
from tests.servers import PATIENCE, wait_until

# Every test has lines of its own, since the server is shared.
_lines = count(712_100_000)


def new_line():
    """An MSISDN that nobody used before."""
    return f"254{next(_lines)}"


def new_order(server, **fields):
    answer = server.post("/api/orders", json=order_fields(**fields), headers=API_KEY)
    assert answer.status_code == 201, answer.text
    return answer.json()["order_id"]


def read_order(server, order_id):
    return server.get(f"/api/orders/{order_id}", headers=API_KEY).json()


def push(server, order_id, msisdn):
    """The page asks for a push; returns the snapshot."""
    answer = server.post("/stk-push", json={"order_id": order_id, "phone": msisdn})
    assert answer.status_code == 202, answer.text
    return answer.json()


def started(server, msisdn=None, **fields):
    """A new order with a push under way; returns the line and the transaction's id."""
    msisdn = msisdn or new_line()
    return msisdn, push(server, new_order(server, **fields), msisdn)["transaction_id"]


def status_of(server, transaction_id, lang="en"):
    query = {"tx_id": transaction_id, "lang": lang}
    return server.get("/check-status", params=query).json()


class Phone:
    """A line of the simulator."""

    def __init__(self, simulator, msisdn):
        self.simulator, self.msisdn = simulator, msisdn

    def script(self, **switches):
        """Change switches; a payer who is told what to do takes no time unless told so."""
        if "answer" in switches:
            switches = {"after": 0} | switches
        url = f"{self.simulator}/lines/{self.msisdn}"
        assert requests.put(url, json=switches, timeout=PATIENCE).status_code == 200

    def prompts(self):
        query = {"msisdn": self.msisdn}
        return requests.get(f"{self.simulator}/prompts", params=query, timeout=PATIENCE).json()

    def answer(self, **what):
        wait_until(self.prompts, lambda: "no prompt appeared")
        url = f"{self.simulator}/prompts/{self.prompts()[0]['id']}/answer"
        answer = requests.post(url, json=what, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text


def phone(server, msisdn):
    """The payer's phone, in the simulator that is mounted in the server."""
    return Phone(server.url("/simulator"), msisdn)


def ledger(server):
    return {each["msisdn"]: each for each in server.get("/simulator/ledger").json()}


class Page:
    """A page's socket, frame by frame."""

    def __init__(self, server, *, transport="websocket", timeout=PATIENCE, **options):
        address = server.address.replace("http", "ws", 1)
        options.setdefault("suppress_origin", "origin" not in options)
        self.ws = websocket.create_connection(
            f"{address}/socket.io/?EIO=4&transport={transport}", timeout=timeout, **options
        )
        self.opened = self.frame()

    def frame(self):
        """The next frame that is no ping; an empty text where the connection was closed."""
        try:
            deadline = time.monotonic() + PATIENCE
            while (text := self.ws.recv()) == "2":
                assert time.monotonic() < deadline, "nothing but pings"
                self.ws.send("3")
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return ""
        return text

    def connect(self, **auth):
        """Ask for a room; returns the answer's frame."""
        self.ws.send("40" + json.dumps(auth))
        return self.frame()

    def snapshot(self):
        """The next snapshot."""
        text = self.frame()
        assert text.startswith("42"), text
        event, snapshot = json.loads(text[2:])
        assert event == "status"
        return snapshot

    def snapshot_with(self, **fields):
        """Read on until a snapshot has these fields."""
        while True:
            snapshot = self.snapshot()
            if fields.items() <= snapshot.items():
                return snapshot

    def hears_nothing(self, seconds=1.0):
        """Whether no frame but pings arrives in that time."""
        self.ws.settimeout(seconds)
        try:
            text = self.frame()
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self.ws.settimeout(PATIENCE)
        raise AssertionError(f"heard {text!r}")

    def closed_after(self):
        """Seconds until the server closes the connection."""
        begin = time.monotonic()
        while self.frame():
            assert time.monotonic() < begin + PATIENCE, "it stayed open"
        return time.monotonic() - begin

    def close(self):
        self.ws.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def watching(server, transaction_id, lang="en", **options):
    """A page that is in its room and has its first snapshot."""
    page = Page(server, **options)
    page.connect(tx_id=transaction_id, lang=lang)
    page.first = page.snapshot()
    return page
