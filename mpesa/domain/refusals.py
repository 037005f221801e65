"""Refusals to make, find, pay or cancel an order, and to claim a receipt; web translates each.

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

ReceiptError
├── ReceiptNotFound
├── AlreadyClaimed
├── NotProven
├── AlreadyReturned
├── OnItsWayBack
└── AmountDiffers
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


class ReceiptError(Exception):
    """The receipt is not found, or not given to an order."""


class ReceiptNotFound(ReceiptError):
    """There is no such receipt."""


class AlreadyClaimed(ReceiptError):
    """It is another order's."""


class NotProven(ReceiptError):
    """Nothing proves yet that its money came."""


class AlreadyReturned(ReceiptError):
    """Its money went back to the payer."""


class OnItsWayBack(ReceiptError):
    """A refund of it was asked for."""


class AmountDiffers(ReceiptError):
    """Its amount is not the order's, and nobody accepted that."""
