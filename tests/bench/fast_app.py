"""The same checkout with the quickest that Python has: the other one that ours is measured beside.

uvicorn with uvloop, Starlette, python-socketio's asyncio server, asyncpg, aiohttp, one commit for
each change. It promises nothing: a callback is believed and not kept, and a payment is written down
once Daraja has answered, so that a crash before that loses it.
"""

import base64
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import socketio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PORT = int(os.environ["PORT"])
DARAJA = os.environ["DARAJA_BASE_URL"]
SHORTCODE, PASSKEY = "174379", "passkey"
TABLES = """
    CREATE TABLE IF NOT EXISTS orders (
        order_id text PRIMARY KEY, amount int NOT NULL, reference text NOT NULL,
        description text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE IF NOT EXISTS payments (
        transaction_id text PRIMARY KEY, order_id text NOT NULL, phone text NOT NULL,
        amount int NOT NULL, merchant_request_id text, checkout_request_id text UNIQUE,
        status text NOT NULL DEFAULT 'PENDING',
        message text NOT NULL DEFAULT 'Enter your PIN on your phone.', receipt text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now())
"""
INSERT_ORDER = """INSERT INTO orders (order_id, amount, reference, description)
    VALUES ($1, $2, $3, $4)"""
INSERT_PAYMENT = """INSERT INTO payments (transaction_id, order_id, phone, amount,
    merchant_request_id, checkout_request_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *"""
SETTLE = """UPDATE payments SET status = $2, message = $3, receipt = $4, updated_at = now()
    WHERE checkout_request_id = $1 RETURNING *"""
PAYMENT = "SELECT * FROM payments WHERE transaction_id = $1"

socket = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
pool: asyncpg.Pool
daraja: aiohttp.ClientSession
token: tuple[str, datetime] = ("", datetime.min.replace(tzinfo=UTC))


def snapshot(row: asyncpg.Record) -> dict[str, object]:
    """What push and poll deliver."""
    hidden = ("merchant_request_id", "checkout_request_id")
    told = {name: value for name, value in row.items() if name not in hidden}
    times = {name: row[name].isoformat() for name in ("created_at", "updated_at")}
    return {**told, **times, "currency": "KES"}


async def create_order(request: Request) -> JSONResponse:
    """Write an order down."""
    fields, order_id = await request.json(), str(uuid.uuid4())
    named = (fields[name] for name in ("amount", "reference", "description"))
    await pool.execute(INSERT_ORDER, order_id, *named)
    return JSONResponse({"order_id": order_id, "status": "OPEN"}, 201)


async def stk_push(request: Request) -> JSONResponse:
    """Ask Daraja, and keep what it answered."""
    fields = await request.json()
    order = await pool.fetchrow("SELECT * FROM orders WHERE order_id = $1", fields["order_id"])
    if order is None:
        return JSONResponse({"error": "unknown order"}, 404)
    answer = await pushed(fields["phone"], order)
    ids = answer["MerchantRequestID"], answer["CheckoutRequestID"]
    named = (str(uuid.uuid4()), order["order_id"], fields["phone"], order["amount"], *ids)
    return JSONResponse(snapshot(await pool.fetchrow(INSERT_PAYMENT, *named)), 202)


async def pushed(phone: str, order: asyncpg.Record) -> dict[str, Any]:
    """Daraja's answer to a push."""
    # Daraja's clock is Nairobi's.
    timestamp = f"{datetime.now(UTC) + timedelta(hours=3):%Y%m%d%H%M%S}"
    push = {
        "BusinessShortCode": SHORTCODE,
        "Password": base64.b64encode(f"{SHORTCODE}{PASSKEY}{timestamp}".encode()).decode(),
        "Timestamp": timestamp,
        "TransactionType": "CustomerPayBillOnline",
        "Amount": order["amount"],
        "PartyA": phone,
        "PartyB": SHORTCODE,
        "PhoneNumber": phone,
        "CallBackURL": f"http://127.0.0.1:{PORT}/callback",
        "AccountReference": order["reference"],
        "TransactionDesc": order["description"],
    }
    bearer = {"Authorization": f"Bearer {await access_token()}"}
    path = "/mpesa/stkpush/v1/processrequest"
    async with daraja.post(path, json=push, headers=bearer) as answer:
        answer.raise_for_status()
        told: dict[str, Any] = await answer.json()
        return told


async def access_token() -> str:
    """Daraja's token, kept until shortly before its end."""
    global token
    if token[1] < datetime.now(UTC):
        path, basic = "/oauth/v1/generate", aiohttp.BasicAuth("key", "secret")
        query = {"grant_type": "client_credentials"}
        async with daraja.get(path, params=query, auth=basic) as answer:
            told = await answer.json()
        ends = datetime.now(UTC) + timedelta(seconds=int(told["expires_in"]) - 60)
        token = (told["access_token"], ends)
    return token[0]


async def callback(request: Request) -> JSONResponse:
    """Set the row's status, and tell the room."""
    result = (await request.json())["Body"]["stkCallback"]
    items = result.get("CallbackMetadata", {}).get("Item", [])
    receipt = next((each["Value"] for each in items if each["Name"] == "MpesaReceiptNumber"), None)
    status = "SUCCESS" if result["ResultCode"] == 0 else "FAILED"
    named = (result["CheckoutRequestID"], status, result["ResultDesc"], receipt)
    row = await pool.fetchrow(SETTLE, *named)
    if row is None:
        return JSONResponse({"ResultCode": 1, "ResultDesc": "Unknown payment"}, 404)
    await socket.emit("status", snapshot(row), to=row["transaction_id"])
    return JSONResponse({"ResultCode": 0, "ResultDesc": "Accepted"})


async def check_status(request: Request) -> JSONResponse:
    """The row as it is."""
    row = await pool.fetchrow(PAYMENT, request.query_params.get("tx_id"))
    if row is None:
        return JSONResponse({"error": "unknown transaction"}, 404)
    return JSONResponse(snapshot(row))


@socket.on("connect")  # type: ignore[untyped-decorator,unused-ignore]
async def connected(sid: str, _environ: object, auth: dict[str, str] | None = None) -> None:
    """Join the transaction's room and hear where it stands."""
    row = await pool.fetchrow(PAYMENT, (auth or {}).get("tx_id"))
    if row is None:
        raise socketio.exceptions.ConnectionRefusedError("transaction_not_found")
    await socket.enter_room(sid, row["transaction_id"])
    await socket.emit("status", snapshot(row), to=sid)


async def as_it_is(_connection: object) -> None:
    """No session changes anything that would have to be put back: saves asyncpg a round trip."""


@asynccontextmanager
async def ready(_app: Starlette) -> AsyncIterator[None]:
    """Connections to PostgreSQL, as many as ours has, and to Daraja."""
    global pool, daraja
    sizes = {"min_size": 20, "max_size": 40}
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], **sizes, reset=as_it_is) as pool,
        aiohttp.ClientSession(DARAJA) as daraja,
    ):
        await pool.execute(TABLES)
        yield


routes = [
    Route("/api/orders", create_order, methods=["POST"]),
    Route("/stk-push", stk_push, methods=["POST"]),
    Route("/callback", callback, methods=["POST"]),
    Route("/check-status", check_status),
]
app = socketio.ASGIApp(socket, Starlette(routes=routes, lifespan=ready))

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=PORT,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        # Engine.IO has pings of its own, and a waiting page is told too little to be compressed.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        # As long as the others keep an idle connection, at least.
        timeout_keep_alive=600,
        access_log=False,
        log_level="warning",
    )
