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

RefundError
├── NoReceipt
├── NoRefund
├── RefundExists
├── NotRefundable
├── OtherReturned
├── NotYours
├── TooLate
└── DailyLimit
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


class RefundError(Exception):
    """The refund is not asked for, released or ended."""


class NoReceipt(RefundError):
    """There is no such receipt of money in."""


class NoRefund(RefundError):
    """There is no such refund."""


@dataclass
class RefundExists(RefundError):
    """A refund of this receipt is under way, or its money went back.

    Attributes:
        refund_id: of the refund.
    """

    refund_id: str


class NotRefundable(RefundError):
    """The receipt is not proven, is returned, or is no whole number of shillings."""


class OtherReturned(RefundError):
    """Another receipt of the same order is returned or on its way back."""


class NotYours(RefundError):
    """Who asked for a refund may not release it."""


class TooLate(RefundError):
    """It is not, or no longer, in a state in which that can be done."""


class DailyLimit(RefundError):
    """The day's refunds would exceed their limit."""
