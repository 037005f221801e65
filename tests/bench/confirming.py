"""What a confirmation costs beside a push's callback: answered, and told to the page that waits.

In turns on one server, so that a busy moment of the machine meets all of them.
"""

import asyncio
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from mpesa.domain.wire_words import NAIROBI
from tests.bench.comparison import CALLBACK, Bound, Row
from tests.bench.crowd import Crowd, undisturbed
from tests.bench.daraja import Daraja, stand_in
from tests.bench.http_line import Line
from tests.bench.process import cpu_of, pid_of
from tests.bench.settling import Settling
from tests.bench.subjects import Waiting
from tests.factories import API_KEY, confirmation, order_fields, raw, success_callback
from tests.servers import LIMITED, Server, from_address, running

BY_HAND, OF_A_PUSH = "by hand", "of a paid push"
# What a confirmation may cost of a callback.
_BOUND = Bound(CALLBACK, 1.3)
_TOKEN = "c2b0" * 8
_ADDRESS = f"/c2b/{_TOKEN}/confirmation"
# Of each kind in each turn: ticks of 10 ms disappear in so many.
_AT_A_TURN = 100
_WARM_UP = 50


@dataclass
class Cost:
    """The server's CPU seconds for all of one kind, and the seconds until each 200."""

    cpu: float = 0.0
    answers: list[float] = field(default_factory=list)


Costs = Mapping[str, Cost]


def measure(folder: Path, url: str, count: int, **settings: str) -> Costs:
    """Settle so many pushes and as many payments by hand, each with its page; confirm the pushes.

    Returns:
        What each kind cost.
    """
    by_hand = {"MANUAL_PAYMENT": "true", "C2B_TOKEN": _TOKEN}
    with stand_in(folder) as daraja:
        given = {"DATABASE_URL": url, "DARAJA_BASE_URL": daraja.address, **LIMITED, **settings}
        with running(folder, **given, **by_hand) as server, undisturbed():
            return asyncio.run(_measure(server, daraja, count))


async def _measure(server: Server, daraja: Daraja, count: int) -> Costs:
    shop = _Shop(server, daraja)
    await shop.turn(min(_WARM_UP, count))
    shop.costs.clear()
    for begun in range(0, count, _AT_A_TURN):
        await shop.turn(min(_AT_A_TURN, count - begun))
    return shop.costs


def rows(costs: Costs) -> list[Row]:
    """What confirmations cost, and may cost, in milliseconds."""
    figures: dict[str, Callable[[Cost], float]] = {
        "CPU of a confirmation": lambda cost: 1000 * cost.cpu / len(cost.answers),
        "its 200, p50,": lambda cost: 1000 * median(cost.answers),
    }
    beside = costs[CALLBACK]
    return [
        Row(f"{name} {kind}", 0, figure(costs[kind]), {CALLBACK: figure(beside)}, (_BOUND,))
        for kind in (BY_HAND, OF_A_PUSH)
        for name, figure in figures.items()
    ]


@dataclass(frozen=True)
class _Order:
    """An order and its shopper, who has a number."""

    id: str
    number: int
    pay_code: str

    @property
    def reference(self) -> str:
        """The merchant's, which the push sends as account."""
        return f"INV-{self.number}"

    @property
    def msisdn(self) -> str:
        """The shopper's line."""
        return f"2547{self.number:08d}"

    @property
    def receipt(self) -> str:
        """Of its money."""
        return f"U{self.number:09d}"

    def confirmed(self, account: str) -> bytes:
        """What Safaricom tells of its money, which was sent to an account just now."""
        masked = f"{self.msisdn[:4]} ***** {self.msisdn[-3:]}"
        at = f"{datetime.now(NAIROBI):%Y%m%d%H%M%S}"
        return raw(confirmation(account, receipt=self.receipt, TransTime=at, MSISDN=masked))


class _Shop:
    """Shoppers of one server, one after another.

    Attributes:
        costs: of all turns so far.
    """

    def __init__(self, server: Server, daraja: Daraja) -> None:
        self._pid, self._port, self._daraja = pid_of(server), server.port, daraja
        self._line, self._numbers = Line(server.port), itertools.count(1)
        self.costs: defaultdict[str, Cost] = defaultdict(Cost)

    async def turn(self, count: int) -> None:
        """Settle and confirm so many of each kind."""
        pushed = [await self._order() for _ in range(count)]
        callbacks = await self._push(pushed)
        by_hand = [await self._choose(await self._order()) for _ in range(count)]
        await self._settle(CALLBACK, callbacks)
        await self._settle(BY_HAND, by_hand)
        await self._confirm([each.confirmed(each.reference) for each in pushed])

    async def _order(self) -> _Order:
        number = next(self._numbers)
        wanted = order_fields(reference=f"INV-{number}")
        made = await self._told("/api/orders", wanted, **API_KEY)
        return _Order(made["order_id"], number, made["pay_code"])

    async def _push(self, orders: Sequence[_Order]) -> list[Waiting]:
        begun = [
            await self._told(
                "/stk-push",
                {"order_id": each.id, "phone": each.msisdn},
                **from_address(each.number),
            )
            for each in orders
        ]
        pushed = await asyncio.to_thread(self._daraja.pushed)
        waiting = []
        for order, transaction in zip(orders, begun, strict=True):
            told = pushed[order.msisdn]
            body = success_callback(told.checkout_id, told.merchant_id, receipt=order.receipt)
            waiting.append(Waiting(transaction["transaction_id"], told.callback_path, raw(body)))
        return waiting

    async def _choose(self, order: _Order) -> Waiting:
        """Have an order paid by hand, under its pay code."""
        sender = from_address(order.number)
        begun = await self._told("/pay-by-hand", {"order_id": order.id}, **sender)
        return Waiting(begun["transaction_id"], _ADDRESS, order.confirmed(order.pay_code))

    async def _told(self, path: str, wanted: object, **headers: str) -> dict[str, str]:
        answer = await self._line.post(path, raw(wanted), **headers)
        assert answer.status in (201, 202), answer
        told: dict[str, str] = json.loads(answer.body)
        return told

    async def _settle(self, kind: str, waiting: Sequence[Waiting]) -> None:
        crowd = Crowd([self._port])
        await crowd.join_all(waiting)
        before = cpu_of(self._pid)
        settled = await Settling(crowd, [self._port]).in_flight(len(waiting), 1)
        self._add(kind, before, settled.answered)

    async def _confirm(self, bodies: Sequence[bytes]) -> None:
        """Tell of pushes that are paid; no page hears anything new."""
        answers, before = [], cpu_of(self._pid)
        for body in bodies:
            begin = time.monotonic()
            assert (await self._line.post(_ADDRESS, body)).status == 200
            answers.append(time.monotonic() - begin)
        self._add(OF_A_PUSH, before, answers)

    def _add(self, kind: str, before: float, answers: Sequence[float]) -> None:
        self.costs[kind].cpu += cpu_of(self._pid) - before
        self.costs[kind].answers += answers
