"""The same checkout as tutorials build it: what ours is measured beside.

Flask, Flask-SocketIO on eventlet, Flask-SQLAlchemy, stock rooms. It is written as well as such
tutorials are, and is left without what they leave out: a callback is believed, and not kept.
"""

import eventlet

eventlet.monkey_patch()

import base64  # noqa: E402 - everything below has to see the patched modules
import os  # noqa: E402
import uuid  # noqa: E402
from datetime import UTC, datetime, timedelta  # noqa: E402

import requests  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from flask_socketio import ConnectionRefusedError, SocketIO, emit, join_room  # noqa: E402
from flask_sqlalchemy import SQLAlchemy  # noqa: E402

DARAJA = os.environ["DARAJA_BASE_URL"]
SHORTCODE, PASSKEY = "174379", "passkey"

app = Flask(__name__)
app.config["SECRET_KEY"] = "plain"
# A bare postgresql:// would mean psycopg 3, which blocks eventlet's loop.
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace(
    "postgresql://", "postgresql+psycopg2://"
)
# The same pool as ours.
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
    "pool_size": 20,
    "max_overflow": 20,
    "pool_timeout": 10,
    "pool_pre_ping": True,
}
db = SQLAlchemy(app)
# WebSocket only, as ours.
socketio = SocketIO(app, async_mode="eventlet", transports=["websocket"])


class Order(db.Model):  # type: ignore[name-defined,misc]
    """What is being paid for."""

    __tablename__ = "orders"

    order_id = db.Column(db.String(36), primary_key=True)
    amount = db.Column(db.Integer, nullable=False)
    reference = db.Column(db.String(64), nullable=False)
    description = db.Column(db.String(200), nullable=False)
    created_at = db.Column(db.DateTime(timezone=True), default=lambda: datetime.now(UTC))


class Payment(db.Model):  # type: ignore[name-defined,misc]
    """One row a payment, found by either of its ids."""

    __tablename__ = "payments"

    id = db.Column(db.Integer, primary_key=True)
    transaction_id = db.Column(db.String(36), unique=True, nullable=False)
    order_id = db.Column(db.String(36), nullable=False)
    phone = db.Column(db.String(12), nullable=False)
    amount = db.Column(db.Integer, nullable=False)
    merchant_request_id = db.Column(db.String(64))
    checkout_request_id = db.Column(db.String(64), unique=True)
    status = db.Column(db.String(10), nullable=False, default="PENDING")
    message = db.Column(db.String(200), nullable=False, default="Enter your PIN on your phone.")
    receipt = db.Column(db.String(10))
    created_at = db.Column(db.DateTime(timezone=True), default=lambda: datetime.now(UTC))
    updated_at = db.Column(db.DateTime(timezone=True), default=lambda: datetime.now(UTC))

    def to_dict(self) -> dict[str, object]:
        """What push and poll deliver."""
        return {
            "transaction_id": self.transaction_id,
            "order_id": self.order_id,
            "status": self.status,
            "message": self.message,
            "amount": self.amount,
            "currency": "KES",
            "phone": self.phone,
            "receipt": self.receipt,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


@app.post("/api/orders")
def create_order():  # type: ignore[no-untyped-def]
    """Write an order down."""
    fields = request.get_json()
    order = Order(
        order_id=str(uuid.uuid4()),
        amount=fields["amount"],
        reference=fields["reference"],
        description=fields["description"],
    )
    db.session.add(order)
    db.session.commit()
    return jsonify(order_id=order.order_id, status="OPEN"), 201


@app.post("/stk-push")
def stk_push():  # type: ignore[no-untyped-def]
    """Ask Daraja, and keep what it answered."""
    fields = request.get_json()
    order = db.session.get(Order, fields["order_id"])
    if order is None:
        return jsonify(error="unknown order"), 404
    answer = pushed(fields["phone"], order)
    payment = Payment(
        transaction_id=str(uuid.uuid4()),
        order_id=order.order_id,
        phone=fields["phone"],
        amount=order.amount,
        merchant_request_id=answer["MerchantRequestID"],
        checkout_request_id=answer["CheckoutRequestID"],
    )
    db.session.add(payment)
    db.session.commit()
    return jsonify(payment.to_dict()), 202


def pushed(phone, order):  # type: ignore[no-untyped-def]
    """Daraja's answer to a push."""
    # Daraja's clock is Nairobi's.
    timestamp = f"{datetime.now(UTC) + timedelta(hours=3):%Y%m%d%H%M%S}"
    push = {
        "BusinessShortCode": SHORTCODE,
        "Password": base64.b64encode(f"{SHORTCODE}{PASSKEY}{timestamp}".encode()).decode(),
        "Timestamp": timestamp,
        "TransactionType": "CustomerPayBillOnline",
        "Amount": order.amount,
        "PartyA": phone,
        "PartyB": SHORTCODE,
        "PhoneNumber": phone,
        "CallBackURL": f"http://127.0.0.1:{os.environ['PORT']}/callback",
        "AccountReference": order.reference,
        "TransactionDesc": order.description,
    }
    answer = requests.post(
        f"{DARAJA}/mpesa/stkpush/v1/processrequest",
        json=push,
        headers={"Authorization": f"Bearer {access_token()}"},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()


kept = {"token": "", "ends": datetime.min.replace(tzinfo=UTC)}


def access_token():  # type: ignore[no-untyped-def]
    """Daraja's token; better tutorials keep it, most ask for one with each push."""
    if kept["ends"] < datetime.now(UTC):
        answer = requests.get(
            f"{DARAJA}/oauth/v1/generate",
            params={"grant_type": "client_credentials"},
            auth=("key", "secret"),
            timeout=30,
        ).json()
        kept["token"] = answer["access_token"]
        kept["ends"] = datetime.now(UTC) + timedelta(seconds=int(answer["expires_in"]) - 60)
    return kept["token"]


@app.post("/callback")
def callback():  # type: ignore[no-untyped-def]
    """Find the row, set its status, commit, tell the room."""
    result = request.get_json()["Body"]["stkCallback"]
    payment = Payment.query.filter_by(checkout_request_id=result["CheckoutRequestID"]).first()
    if payment is None:
        return jsonify(ResultCode=1, ResultDesc="Unknown payment"), 404
    if result["ResultCode"] == 0:
        items = {each["Name"]: each.get("Value") for each in result["CallbackMetadata"]["Item"]}
        payment.status, payment.receipt = "SUCCESS", items.get("MpesaReceiptNumber")
    else:
        payment.status = "FAILED"
    payment.message = result["ResultDesc"]
    payment.updated_at = datetime.now(UTC)
    db.session.commit()
    socketio.emit("status", payment.to_dict(), to=payment.transaction_id)
    return jsonify(ResultCode=0, ResultDesc="Accepted")


@app.get("/check-status")
def check_status():  # type: ignore[no-untyped-def]
    """The row as it is."""
    payment = Payment.query.filter_by(transaction_id=request.args.get("tx_id")).first()
    if payment is None:
        return jsonify(error="unknown transaction"), 404
    return jsonify(payment.to_dict())


@socketio.on("connect")
def connected(auth=None):  # type: ignore[no-untyped-def]
    """Join the transaction's room and hear where it stands."""
    payment = Payment.query.filter_by(transaction_id=(auth or {}).get("tx_id")).first()
    if payment is None:
        raise ConnectionRefusedError("transaction_not_found")
    join_room(payment.transaction_id)
    emit("status", payment.to_dict())


if __name__ == "__main__":
    with app.app_context():
        db.create_all()
    # max_size: eventlet takes 1,024 connections at once unless told, and then no callback any more;
    # a tutorial leaves that out, but then nothing could be compared.
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), max_size=100_000)
