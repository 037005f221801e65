"""Shoppers at a shop's front door: an order by its server, and a push to their phone."""

import asyncio
import itertools
import json
import time

from tests.bench import http_line, rows
from tests.bench.daraja import Daraja
from tests.bench.http_line import Line
from tests.bench.subjects import Waiting
from tests.factories import API_KEY, order_fields
from tests.servers import from_address

# Beyond every number of a row that was put into the database.
_FIRST = 1_000_000


class Buying:
    """Shoppers of one server, each with a number and an address of the network alone.

    Args:
        daraja: the one that the server pushes to.
    """

    def __init__(self, port: int, daraja: Daraja) -> None:
        self._ports, self._daraja = [port], daraja
        self._numbers = itertools.count(_FIRST)
        self._asked: list[tuple[str, int]] = []

    async def order(self, count: int, at_once: int) -> list[str]:
        """Have so many orders made; returns their ids."""
        return await http_line.in_flight(self._ports, range(count), _order, at_once)

    async def push(self, orders: list[str], at_once: int) -> None:
        """Push each order to a phone of its own, so many at any time."""
        await http_line.in_flight(self._ports, orders, self._push, at_once)

    async def push_at_rate(self, orders: list[str], per_second: float) -> list[float]:
        """Push each order at its own time; seconds until each answer."""
        return await http_line.at_rate(self._ports, orders, self._push, per_second)

    async def waiting(self) -> list[Waiting]:
        """All whose push was answered since the last time, with the callback that settles them."""
        pushed = await asyncio.to_thread(self._daraja.pushed)
        waiting = []
        for transaction_id, number in self._asked:
            told = pushed[_msisdn(number)]
            callback = rows.body(number, told.checkout_id, told.merchant_id)
            waiting.append(Waiting(transaction_id, told.callback_path, callback))
        self._asked = []
        return waiting

    async def _push(self, line: Line, order_id: str, begin: float) -> float:
        number = next(self._numbers)
        fields = {"order_id": order_id, "phone": _msisdn(number)}
        address = from_address(number)
        answer = await line.post("/stk-push", json.dumps(fields).encode(), **address)
        assert answer.status == 202, answer
        answered = time.monotonic()
        self._asked.append((json.loads(answer.body)["transaction_id"], number))
        return answered - begin


async def _order(line: Line, _number: int, _begin: float) -> str:
    answer = await line.post("/api/orders", json.dumps(order_fields()).encode(), **API_KEY)
    assert answer.status == 201, answer
    order_id: str = json.loads(answer.body)["order_id"]
    return order_id


def _msisdn(number: int) -> str:
    return f"2547{number:08d}"
