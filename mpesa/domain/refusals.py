"""Refusals to make, find, pay or cancel an order; web translates each into its problem.

OrderError
├── OrderNotFound
├── OrderPaid
├── OrderClosed
├── EndsAtNoTime
├── KeyReused
└── MustWait
    ├── AttemptOpen
    ├── RetryLater
    └── LineBusy
"""

from dataclasses import dataclass


class OrderError(Exception):
    """The order is not made, found, paid or cancelled."""


class OrderNotFound(OrderError):
    """There is no such order."""


class OrderPaid(OrderError):
    """The order is paid: there is nothing left to pay or to cancel."""


class OrderClosed(OrderError):
    """The order was cancelled or has expired."""


class EndsAtNoTime(OrderError):
    """The order's end has passed, or is further away than a merchant can mean."""


class KeyReused(OrderError):
    """The idempotency key came before with other fields."""


@dataclass
class MustWait(OrderError):
    """The same request may be accepted later.

    Attributes:
        seconds: the time until then.
    """

    seconds: int


class AttemptOpen(MustWait):
    """A prompt of this order may still be answered."""


class RetryLater(MustWait):
    """The newest attempt's wait is not over."""


class LineBusy(MustWait):
    """A prompt of another order may still be answered on this phone."""
