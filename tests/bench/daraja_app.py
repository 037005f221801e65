"""A Daraja that takes every push, as a process of its own, and remembers what it was asked.

Two routes beside Daraja's: `PUT /delay` sets how long a push waits for its answer, `GET /pushed`
tells of all pushes since it was asked last.
"""

import asyncio
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

delay = 0.0
pushed: dict[str, dict[str, str]] = {}


async def token(_request: Request) -> JSONResponse:
    """As good as Daraja's."""
    return JSONResponse({"access_token": "a-token-of-twenty-eight-char", "expires_in": "3599"})


async def push(request: Request) -> JSONResponse:
    """Take it, and answer after the delay."""
    asked = await request.json()
    msisdn = str(asked["PartyA"])
    ids = {
        "MerchantRequestID": f"2654-4b64-97ff-{msisdn}",
        "CheckoutRequestID": f"ws_CO_{msisdn}",
    }
    pushed[msisdn] = {**ids, "CallBackURL": asked["CallBackURL"]}
    await asyncio.sleep(delay)
    said = "Success. Request accepted for processing"
    told = {"ResponseCode": "0", "ResponseDescription": said, "CustomerMessage": said}
    return JSONResponse({**ids, **told})


async def query(_request: Request) -> JSONResponse:
    """The callback is still to come."""
    return JSONResponse({"ResponseCode": "0", "ResultCode": "4999"})


async def set_delay(request: Request) -> JSONResponse:
    """Seconds; they count from the next push on."""
    global delay
    delay = (await request.json())["seconds"]
    return JSONResponse({})


async def forget_pushed(_request: Request) -> JSONResponse:
    """Every push since the last time: its ids and its callback address, by MSISDN."""
    told = dict(pushed)
    pushed.clear()
    return JSONResponse(told)


app = Starlette(
    routes=[
        Route("/oauth/v1/generate", token),
        Route("/mpesa/stkpush/v1/processrequest", push, methods=["POST"]),
        Route("/mpesa/stkpushquery/v1/query", query, methods=["POST"]),
        Route("/delay", set_delay, methods=["PUT"]),
        Route("/pushed", forget_pushed),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        # Ours keeps an idle connection for 15 s, plain opens one for each push.
        timeout_keep_alive=600,
        access_log=False,
        log_level="warning",
    )
