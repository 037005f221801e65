"""One movement of money: paid by a line, or given back to it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mpesa.simulator.merchants import Payee


class Direction(StrEnum):
    """From the merchant's side: a payment, or its reversal."""

    IN = "in"
    OUT = "out"


class Channel(StrEnum):
    """How a movement came about: by a push or by the payer's hand; by Reversal or on the portal."""

    PUSH = "push"
    HAND = "hand"
    API = "api"
    PORTAL = "portal"


@dataclass
class Movement:
    """One entry of the ledger.

    Attributes:
        msisdn: the line that paid, or got the money back.
        amount: whole KES.
        account: what the payer typed, or the push sent as AccountReference; empty at a till.
        balance: what the payee's account had afterwards, in cents.
        returned_by: the receipt of the reversal that gave all of it back.
        reverses: of a reversal, the receipt of what it gives back.
        is_linked: of a reversal, whether a statement tells what it gives back.
    """

    receipt: str
    direction: Direction
    channel: Channel
    payee: Payee
    msisdn: str
    amount: int
    account: str
    paid_at: datetime
    balance: int = 0
    checkout_request_id: str | None = None
    returned_by: str | None = None
    reverses: str | None = None
    is_linked: bool = True


def entry_as_json(movement: Movement) -> dict[str, Any]:
    """Make the entry of a movement in `GET /ledger`."""
    return {
        "receipt": movement.receipt,
        "checkout_request_id": movement.checkout_request_id,
        "msisdn": movement.msisdn,
        "amount": movement.amount,
        "reference": movement.account,
        "paid_at": iso(movement.paid_at),
        "direction": movement.direction,
        "channel": movement.channel,
        "short_code": movement.payee.number,
        "account": movement.account,
        "returned_by": movement.returned_by,
        "reverses": movement.reverses,
    }


def iso(moment: datetime) -> str:
    """Write an aware time as ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
