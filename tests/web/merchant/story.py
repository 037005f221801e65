"""A shop's first days, told as calls of the API: what `/openapi.json` and `/docs/api` show of them.

Every answer is the server's own. Its clock and its ids are the test's, so that the same code gives
the same answers, byte for byte.
"""

import base64
import hashlib
import itertools
import json
import secrets
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

from mpesa import awaited, receipt_lists, receipts, records, webhooks
from mpesa.awaited import Awaited, Subject
from mpesa.database import writing
from mpesa.domain import refund_shown
from mpesa.domain.receipt import State
from mpesa.domain.refund import Refund, RefundStatus
from mpesa.domain.webhook import MessageType, refund_body
from mpesa.ids import new_id
from mpesa.models import WebhookMessage
from mpesa.web.monitor import probes
from mpesa.webhooks import Answered, Endpoint
from tests.factories import confirmation, failure_callback, success_callback

# Published beside the messages that it signs.
SECRET = "whsec_" + base64.b64encode(b"Published, for examples alone.").decode()
SETTINGS = {
    "REFUND_API_KEYS": "a-key-that-may-ask-for-refunds-0001",
    "WEBHOOK_URL": "http://127.0.0.1:9/hook",
    "WEBHOOK_SECRET": SECRET,
    "C2B_TOKEN": "0123456789abcdef0123456789abcdef",
}
# As the variables of a developer's shell are named.
_KEYS = {"API_KEY": "development-api-key", "REFUND_API_KEY": SETTINGS["REFUND_API_KEYS"]}
_HEADERS = ("Location", "ETag", "Retry-After")
_PAID, _NOBODYS, _RETURNED = "UKO1ABCDEF", "UKO2GHIJKL", "UKO3MNOPQR"
_UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"


def draw_the_same(monkeypatch):
    """Let chance draw the same ids in each run, and a release change no answer.

    What is drawn for one use moves nothing that is drawn for another.
    """
    monkeypatch.setattr(probes, "__version__", "1.0.0")
    streams = defaultdict(itertools.count)

    def draw(size, use):
        text = f"{use} {size} {next(streams[use, size])}"
        return hashlib.sha512(text.encode()).digest()[:size]

    def urlsafe(size):
        return base64.urlsafe_b64encode(draw(size, "id")).rstrip(b"=").decode()

    monkeypatch.setattr(secrets, "token_urlsafe", urlsafe)
    monkeypatch.setattr(secrets, "token_hex", lambda size: draw(size, "token").hex())
    monkeypatch.setattr(
        secrets, "randbelow", lambda below: int.from_bytes(draw(8, f"below {below}"), "big") % below
    )


class Story:
    """Calls the API and writes down each call with its answer, by its operation."""

    def __init__(self, shop):
        self.shop = shop
        self.client = shop.app.test_client()
        self.calls = defaultdict(list)

    def call(self, operation, summary, method, path, body=None, *, key=None, headers=None):
        """Make a call; returns the JSON of its answer.

        Args:
            summary: tells what is special about this call, for people.
            key: which of _KEYS is sent.
        """
        self.shop.now.pass_(seconds=1)
        sent = dict(headers or {})
        keyed = {"Authorization": f"Bearer {_KEYS[key]}"} if key else {}
        answer = self.client.open(path, method=method, json=body, headers={**sent, **keyed})
        request = {"method": method, "path": path, "key": key, "headers": sent, "body": body}
        told = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
        shown = answer.get_json()
        if operation == "readDocument":
            told = shown = None  # it would hold itself
        self.calls[operation].append(
            {
                "summary": summary,
                "request": {name: each for name, each in request.items() if each},
                "status": answer.status_code,
                **({"headers": told} if told else {}),
                **({"body": shown} if shown is not None else {}),
            }
        )
        return answer.get_json()


def tell(shop):
    """Live through it; returns every call with its answer, and a signed message of each type."""
    story = Story(shop)
    order_id = _an_order(story)
    _a_push(story, order_id)
    _what_became_of_it(story, order_id)
    _ends(story)
    _by_hand(story, order_id)
    _a_refund(story)
    _results(story)
    _operations(story)
    return {"operations": dict(story.calls), "webhooks": _messages(shop)}


def _an_order(story):
    fields = {"amount": 150, "reference": "INV-1042", "description": "Two coffees"}
    key = {"Idempotency-Key": "invoice-1042"}
    at = ("createOrder", "POST", "/api/orders")

    def create(summary, body, **more):
        return story.call(at[0], summary, *at[1:], body, **more)

    made = create("A new order", fields, key="API_KEY", headers=key)
    create("The amount is a text", {**fields, "amount": "150"}, key="API_KEY")
    create("No key", fields)
    create("The same Idempotency-Key, another amount", {**fields, "amount": 200},
           key="API_KEY", headers=key)  # fmt: skip
    return made["order_id"]


def _another_order(story, amount=150, reference="INV-1043"):
    return story.shop.order(amount=amount, reference=reference)


def _push(story, summary, order_id, phone="0712 345 678", **more):
    fields = {"order_id": order_id, "phone": phone}
    return story.call("startPush", summary, "POST", "/stk-push", fields, **more)


def _a_push(story, order_id):
    key = {"Idempotency-Key": "pay-button-1"}
    story.paid_by = _push(story, "A prompt is on its way", order_id, headers=key)["transaction_id"]
    _push(story, "Digits are missing", order_id, "0712 345")
    _push(story, "Another phone while the prompt is open", order_id, "0722 000 111")
    story.call("cancelOrder", "A prompt is open", "POST", f"/api/orders/{order_id}/cancel",
               key="API_KEY")  # fmt: skip
    _status(story, "The payer is asked", story.paid_by)


def _status(story, summary, transaction_id, **more):
    story.call("readStatus", summary, "GET", f"/check-status?tx_id={transaction_id}", **more)


def _what_became_of_it(story, order_id):
    daraja = story.shop.daraja
    told = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    story.call("takeCallback", "The payer paid", "POST", f"/callback/{daraja.token_of(1)}", told)
    story.call("takeCallback", "No such token", "POST", f"/callback/{'0' * 64}", told)
    _status(story, "It is paid", story.paid_by)
    _status(story, "No such transaction", _UNKNOWN)
    _push(story, "The order is paid", order_id)
    for summary, path in (("A paid order", order_id), ("No such order", _UNKNOWN)):
        story.call("readOrder", summary, "GET", f"/api/orders/{path}", key="API_KEY")
    found = "/api/orders?reference=INV-1042"
    story.call("findOrders", "One order has it", "GET", found, key="API_KEY")
    story.call("findOrders", "No reference", "GET", "/api/orders", key="API_KEY")
    story.call("findOrders", "No key", "GET", found)


def _ends(story):
    cancel = ("cancelOrder", "POST")
    not_wanted = _another_order(story)
    for summary, order_id in (("It is cancelled", not_wanted), ("No such order", _UNKNOWN)):
        path = f"/api/orders/{order_id}/cancel"
        story.call(cancel[0], summary, cancel[1], path, key="API_KEY")
    # The answer that a developer hopes for comes first.
    story.calls["cancelOrder"].sort(key=lambda each: each["status"])
    daraja, unreachable = story.shop.daraja, _another_order(story, reference="INV-1044")
    story.shop.start(unreachable, "254722000111")
    story.shop.callback(
        2, failure_callback(daraja.checkout_id(2), daraja.merchant_id(2), 1037)
    )  # fmt: skip
    _push(story, "The phone was off a moment ago", unreachable, "0722 000 111")
    waiting = story.shop.attempt("254733000222", reference="INV-1045")
    for summary, code in (("Kept, and M-PESA is asked", "UKO4STUVWX"), ("Too short", "UKO4")):
        fields = {"tx_id": waiting, "code": code}
        story.call("sendSmsCode", summary, "POST", "/sms-code", fields)
    fields = {"tx_id": _UNKNOWN, "code": "UKO4STUVWX"}
    story.call("sendSmsCode", "No such transaction", "POST", "/sms-code", fields)


def _by_hand(story, paid):
    order_id = _another_order(story, amount=500, reference="INV-1046")
    for summary, each in (
        ("The shopper sends the money", order_id),
        ("No such order", _UNKNOWN),
        ("The order is paid", paid),
    ):
        story.call("payByHand", summary, "POST", "/pay-by-hand", {"order_id": each})
    token = SETTINGS["C2B_TOKEN"]
    told = confirmation("JANE", receipt=_NOBODYS, amount="500.00")
    at = "/c2b/{}/confirmation"
    story.call("takeConfirmation", "Somebody sent money", "POST", at.format(token), told)
    story.call("takeConfirmation", "No such token", "POST", at.format("0" * 32), told)
    story.call("letPass", "It may be made", "POST", f"/c2b/{token}/validation", told)
    read = "/api/receipts/{}"
    for summary, number in (("Nobody's yet", _NOBODYS), ("No such receipt", "UKO9ZZZZZZ")):
        story.call("readReceipt", summary, "GET", read.format(number), key="API_KEY")
    claim = ("POST", f"/api/receipts/{_NOBODYS}/claim")
    cheaper = _another_order(story, reference="INV-1047")
    for summary, each in (
        ("The order is paid by it", order_id),
        ("The receipt is another order's", cheaper),
        ("No such order", _UNKNOWN),
    ):
        story.call("claimReceipt", summary, *claim, {"order_id": each}, key="API_KEY")
    story.shop.now.pass_(seconds=15)
    story.call("listReceipts", "The first page", "GET", "/api/receipts?limit=2", key="API_KEY")
    story.call("listReceipts", "No such cursor", "GET", "/api/receipts?cursor=2", key="API_KEY")
    story.call("listReceipts", "No key", "GET", "/api/receipts")


def _a_refund(story):
    fields = {"receipt": _PAID, "reason": "The buyer sent the goods back."}
    keyed = {"Idempotency-Key": "return-77"}

    def ask(summary, body, key="REFUND_API_KEY", headers=None):
        at = ("POST", "/api/refunds")
        return story.call("askForRefund", summary, *at, body, key=key, headers=headers)

    asked = ask("A manager has to release it", fields, headers=keyed)
    ask("A key of API_KEYS", fields, key="API_KEY")
    ask("It was asked for before", fields)
    ask("The same Idempotency-Key, another reason", {**fields, "reason": "Broken."}, headers=keyed)
    for summary, each in (("It waits for its release", asked["refund_id"]),
                          ("No such refund", _UNKNOWN)):  # fmt: skip
        story.call("readRefund", summary, "GET", f"/api/refunds/{each}", key="API_KEY")
    story.shop.now.pass_(seconds=15)
    story.call("listRefunds", "The first page", "GET", "/api/refunds", key="API_KEY")
    story.call("listRefunds", "No key", "GET", "/api/refunds")


def _results(story):
    for operation, path, code in (("takeResult", "result", 0), ("takeTimeout", "timeout", 1)):
        body = {
            "Result": {"ResultType": 0, "ResultCode": code, "ResultDesc": "As M-PESA words it."}
        }
        asked = _asked(story.shop)
        story.call(operation, "It is kept", "POST", f"/{path}/{asked}", body)
        story.call(operation, "No such token", "POST", f"/{path}/{'0' * 64}", body)


def _asked(shop):
    """The token of a question to M-PESA."""
    wanted = Awaited(Subject.STATUS, _PAID, "c" * 64, shop.now() + timedelta(days=30))
    made, row = awaited.addresses(wanted, "https://pay.example", shop.now())
    with shop.sessions() as session, writing(session):
        session.connection().execute(row.statement, dict(row.values))
    return made.result_url.rsplit("/", 1)[1]


def _operations(story):
    story.call("readHealth", "It serves", "GET", "/healthz")
    story.call("readReadiness", "It is ready", "GET", "/readyz")
    story.call("readDocument", "The document", "GET", "/openapi.json")


# -- what is told by webhook ---------------------------------------------------------------------


def _messages(shop):
    """The first message of each type, as the merchant's server gets it."""
    got = {}

    def take(body, headers):
        signed = {name: headers[name] for name in headers if name.startswith("webhook-")}
        kind = json.loads(body)["type"]
        got.setdefault(kind, {"headers": signed, "body": body.decode()})
        return Answered(204)

    endpoint = Endpoint(SETTINGS["WEBHOOK_URL"], (SECRET,), take, shop.now)
    unclear(shop)
    unclaimed_and_returned(shop, _RETURNED)
    refunded(shop, _RETURNED)
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)
    webhooks.send_test(endpoint)
    return {"secret": SECRET, "messages": got}


def unclear(shop):
    """Let a push end with a code that nobody knows."""
    shop.attempt("254711000333", reference="INV-1048")
    number, daraja = len(shop.daraja.pushes), shop.daraja
    ids = (daraja.checkout_id(number), daraja.merchant_id(number))
    shop.callback(number, failure_callback(*ids, 987654))


def unclaimed_and_returned(shop, number):
    """Let money come that is nobody's, and go back."""
    shop.confirm("JANE", receipt=number)
    shop.now.pass_(minutes=15)
    with shop.sessions() as session:
        receipts.tell_unclaimed(session, shop.now)
        connection = session.connection()
        receipt = receipt_lists.find(connection, number)
        back = replace(receipt, state=State.RETURNED, returned_by="UKO4STUVWX")
        told = receipt_lists.for_webhook(connection, back)
        kind, of = MessageType.RETURNED, records.shop_of(connection)
        [message] = records.of_message(of, kind, receipt, told, shop.now())
        session.execute(message.statement, message.values)
        session.commit()


# What a refund is when each message about it is written, and the receipt of its reversal.
_WHEN_TOLD = {
    MessageType.REFUND_SUCCEEDED: (RefundStatus.SUCCEEDED, "UKO5YZABCD"),
    MessageType.REFUND_FAILED: (RefundStatus.FAILED, None),
    MessageType.REFUND_NEEDS_REVIEW: (RefundStatus.UNKNOWN, None),
}


def refunded(shop, number):
    """Let each message about a refund be written, as the ledger writes it."""
    with shop.sessions() as session:
        receipt = receipt_lists.find(session.connection(), number)
        for kind, (status, reversal) in _WHEN_TOLD.items():
            refund = Refund(
                id=new_id(), receipt_id=receipt.id, receipt=number, amount=receipt.amount,
                reason="Paid twice.", status=status, requested_by="api:1a2b", released_by="njeri",
                created_at=shop.now(), updated_at=shop.now(), reversal_receipt=reversal, seq=3,
            )  # fmt: skip
            body = refund_body(kind, refund_shown.draw(refund), shop.now())
            session.add(
                WebhookMessage(
                    id=f"msg_{new_id()}", receipt_id=receipt.id, type=kind.value, body=body,
                    seq=3, created_at=shop.now(), next_attempt_at=shop.now(),
                )
            )  # fmt: skip
        session.commit()
