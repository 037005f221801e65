"""Why an order is not made, found, paid or cancelled; web translates each into its problem.

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
    """Why an order is not made, found, paid or cancelled."""


class OrderNotFound(OrderError):
    """There is no such order."""


class OrderPaid(OrderError):
    """It is paid: there is nothing left to pay or to cancel."""


class OrderClosed(OrderError):
    """It was cancelled or has expired."""


class EndsAtNoTime(OrderError):
    """Its end has passed before it began, or is further away than anybody can mean."""


class KeyReused(OrderError):
    """The idempotency key came before with other fields."""


@dataclass
class MustWait(OrderError):
    """The same may be taken later.

    Attributes:
        seconds: until then.
    """

    seconds: int


class AttemptOpen(MustWait):
    """A prompt of this order may still be answered."""


class RetryLater(MustWait):
    """The newest attempt's wait is not over."""


class LineBusy(MustWait):
    """A prompt of another order may still be answered on this phone."""
