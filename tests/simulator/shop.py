"""A merchant's side of Daraja, as plainly as it can be written, for the tests of the simulator."""

import json
from base64 import b64encode
from queue import Queue

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from flask import Flask
from flask_socketio import SocketIO

from mpesa.simulator import mount
from mpesa.simulator.simulator import Timing
from mpesa.simulator.validation import PASSKEY

PAYER = "254712345678"
SECOND_PAYER = "254110345678"
CALLBACK_URL = "http://127.0.0.1:1/callback/0123abcd"
CONFIRMATION_URL = "http://127.0.0.1:1/c2b/0123abcd/confirmation"
VALIDATION_URL = "http://127.0.0.1:1/c2b/0123abcd/validation"
RESULT_URL = "http://127.0.0.1:1/result/4567cdef"
TIMEOUT_URL = "http://127.0.0.1:1/timeout/4567cdef"
TIMESTAMP = "20261124131500"


def password(shortcode="174379", timestamp=TIMESTAMP):
    return b64encode(f"{shortcode}{PASSKEY}{timestamp}".encode()).decode()


def push_body(msisdn=PAYER, **changes):
    """A push that Daraja accepts, with changes; a change to None leaves the field out."""
    body = {
        "BusinessShortCode": "174379",
        "Password": password(),
        "Timestamp": TIMESTAMP,
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 150,
        "PartyA": msisdn,
        "PartyB": "174379",
        "PhoneNumber": msisdn,
        "CallBackURL": CALLBACK_URL,
        "AccountReference": "INV-1",
        "TransactionDesc": "Coffee",
    } | changes
    return {name: value for name, value in body.items() if value is not None}


def query_body(checkout_request_id, **changes):
    return {
        "BusinessShortCode": "174379",
        "Password": password(),
        "Timestamp": TIMESTAMP,
        "CheckoutRequestID": checkout_request_id,
    } | changes


class Shop:
    """Talks to a simulator in this process; what it is told lands in queues instead of a server.

    Attributes:
        told: of everything in the order in which it came, the address.
        answer_to_validation: the body; None: it does not answer.
        asked: the validations that it was sent.
    """

    def __init__(self, prefix="", timing=None, **seams):
        app = Flask(__name__)
        self.callbacks = Queue()
        self.confirmations = Queue()
        self.told = []
        self.asked = []
        self.answer_to_validation = b'{"ResultCode": "0", "ResultDesc": "Accepted"}'
        self.simulator = mount(
            app,
            SocketIO(app, async_mode="threading"),
            prefix=prefix,
            # The test client does not tell when an answer has left, so nobody waits long for that.
            timing=timing or Timing(acknowledgement=0.02),
            post=self.hear,
            ask=self.validate,
            **seams,
        )
        self.http = app.test_client()
        self.prefix = prefix

    def hear(self, url, body, shortcode):
        self.told.append(url)
        queue = self.confirmations if url == CONFIRMATION_URL else self.callbacks
        queue.put((url, body, shortcode))

    def validate(self, url, body, shortcode):
        self.asked.append((url, json.loads(body)))
        return self.answer_to_validation

    def token(self, key="key", secret="secret"):
        answer = self.http.get(
            f"{self.prefix}/oauth/v1/generate?grant_type=client_credentials", auth=(key, secret)
        )
        return answer.json["access_token"]

    def bearer(self):
        return {"Authorization": f"Bearer {self.token()}"}

    def push(self, msisdn=PAYER, **changes):
        return self.http.post(
            f"{self.prefix}/mpesa/stkpush/v1/processrequest",
            json=push_body(msisdn, **changes),
            headers=self.bearer(),
        )

    def query(self, checkout_request_id, **changes):
        return self.http.post(
            f"{self.prefix}/mpesa/stkpushquery/v1/query",
            json=query_body(checkout_request_id, **changes),
            headers=self.bearer(),
        )

    def script(self, msisdn=PAYER, **wishes):
        """Change a line's switches; a payer who is told what to do takes no time unless told so."""
        if "answer" in wishes:
            wishes = {"after": 0} | wishes
        return self.http.put(f"{self.prefix}/lines/{msisdn}", json=wishes)

    def organise(self, **wishes):
        return self.http.put(f"{self.prefix}/organisation", json=wishes)

    def answer(self, prompt_id, **body):
        return self.http.post(f"{self.prefix}/prompts/{prompt_id}/answer", json=body)

    def get(self, path):
        return self.http.get(self.prefix + path).json

    def asked_to_pay(self, msisdn=PAYER, **changes):
        """Push, and return the CheckoutRequestID."""
        return self.push(msisdn, **changes).json["CheckoutRequestID"]

    def next_callback(self):
        """Wait for a callback and return its stkCallback; raises queue.Empty after 5 s."""
        _, body, _ = self.callbacks.get(timeout=5)
        return json.loads(body)["Body"]["stkCallback"]

    def call(self, path, body):
        """POST to one of Daraja's paths."""
        return self.http.post(self.prefix + path, json=body, headers=self.bearer())

    def register(self, version="v2", **changes):
        body = {
            "ShortCode": "174379",
            "ResponseType": "Completed",
            "ConfirmationURL": CONFIRMATION_URL,
            "ValidationURL": VALIDATION_URL,
        }
        return self.call(f"/mpesa/c2b/{version}/registerurl", body | changes)

    def pay(self, msisdn=PAYER, **changes):
        """Pay by hand; a change to None leaves the field out."""
        body = {"msisdn": msisdn, "short_code": "174379", "account": "234567890", "amount": 500}
        body = {name: value for name, value in (body | changes).items() if value is not None}
        return self.http.post(f"{self.prefix}/payments", json=body)

    def next_confirmation(self):
        """Wait for a confirmation and return it; raises queue.Empty after 5 s."""
        _, body, _ = self.confirmations.get(timeout=5)
        return json.loads(body)

    def ask_status(self, receipt, credential=None, initiator="status_api", **changes):
        body = {
            "Initiator": initiator,
            "SecurityCredential": credential or self.sealed(),
            "CommandID": "TransactionStatusQuery",
            "TransactionID": receipt,
            "PartyA": "174379",
            "IdentifierType": "4",
            "ResultURL": RESULT_URL,
            "QueueTimeOutURL": TIMEOUT_URL,
            "Remarks": "Check",
            "Occasion": "",
        }
        return self.call("/mpesa/transactionstatus/v1/query", body | changes)

    def reverse(self, receipt, amount=500, initiator="refund_api", **changes):
        body = {
            "Initiator": initiator,
            "SecurityCredential": self.sealed(),
            "CommandID": "TransactionReversal",
            "TransactionID": receipt,
            "Amount": amount,
            "ReceiverParty": "174379",
            "RecieverIdentifierType": "11",
            "ResultURL": RESULT_URL,
            "QueueTimeOutURL": TIMEOUT_URL,
            "Remarks": "Refund",
        }
        return self.call("/mpesa/reversal/v1/request", body | changes)

    def give_back(self, receipt, **wishes):
        """Give a payment back at the portal."""
        return self.http.post(f"{self.prefix}/reversals", json={"receipt": receipt} | wishes)

    def sealed(self, password="Simulator#1", scheme=None):
        """Seal a password with the certificate, as a merchant's server does."""
        certificate = x509.load_pem_x509_certificate(self.http.get("/certificate.cer").data)
        encrypted = certificate.public_key().encrypt(password.encode(), scheme or PKCS1v15())
        return b64encode(encrypted).decode()

    def next_result(self):
        """Wait for a result and return it; raises queue.Empty after 5 s."""
        _, body, _ = self.callbacks.get(timeout=5)
        return json.loads(body)["Result"]


def parameters_of(result):
    """What a result tells, by name; None where an item has no value."""
    items = result["ResultParameters"]["ResultParameter"]
    return {item["Key"]: item.get("Value") for item in items}
