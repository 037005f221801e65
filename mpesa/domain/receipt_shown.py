"""A receipt as merchants and operators are shown it: no whole number, of a name the first word."""

from collections.abc import Sequence
from typing import TypedDict

from mpesa.domain.attempt import Attempt
from mpesa.domain.cut_people import mask_numbers
from mpesa.domain.money import cents_text
from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.domain.receipt import Direction, Receipt
from mpesa.domain.snapshot import utc_text


class ReceiptShown(TypedDict):
    """A receipt without its witnesses; its fields are written in this order.

    `state` is None for a reversal, whose payment has one.
    """

    receipt: str
    direction: str
    amount: str
    paid_at: str | None
    account: str | None
    phone: str | None
    name: str | None
    state: str | None
    order_id: str | None
    transaction_id: str | None
    returned_by: str | None
    suggestions: list[str]
    learned_at: str
    changed_at: str


def draw(receipt: Receipt, owner: Attempt | None, suggestions: Sequence[str]) -> ReceiptShown:
    """Draw a receipt; times are UTC with whole seconds, and the amount has two places.

    Args:
        owner: the transaction whose money it is; None: nobody's yet.
        suggestions: ids of orders that it may belong to, the likeliest first.
    """
    masked = receipt.payer_masked
    # A push's own callback tells of no payer but the one that was asked.
    if masked is None and owner is not None and owner.msisdn is not None:
        masked = mask_msisdn(owner.msisdn)
    return ReceiptShown(
        receipt=receipt.receipt,
        direction=receipt.direction.value,
        amount=cents_text(receipt.amount) or "",
        paid_at=utc_text(receipt.paid_at) if receipt.paid_at else None,
        account=account_shown(receipt.account),
        phone=with_dots(masked),
        name=receipt.payer_name,
        state=receipt.state.value if receipt.direction is Direction.IN else None,
        order_id=owner.order_id if owner else None,
        transaction_id=receipt.transaction_id,
        returned_by=receipt.returned_by,
        suggestions=list(suggestions),
        learned_at=utc_text(receipt.learned_at),
        changed_at=utc_text(receipt.changed_at),
    )


def with_dots(masked: str | None) -> str | None:
    """M-PESA masks with stars; everything here masks with dots."""
    return masked.replace("*", "•") if masked else masked


def for_webhook(shown: ReceiptShown, *, account_is_ours: bool) -> ReceiptShown:
    """The receipt as a webhook tells it.

    Args:
        account_is_ours: its account names an order. Another one with letters may be a name, so it
            is left out.
    """
    account = shown["account"]
    if account_is_ours or account is None or not any(each.isalpha() for each in account):
        return shown
    return {**shown, "account": None}


def account_shown(account: str | None) -> str | None:
    """The account, masked where the payer typed a phone number, alone or beside other words."""
    if account is None:
        return None
    try:
        return with_dots(mask_msisdn(parse_msisdn(account)))
    except InvalidPhone:
        return with_dots(mask_numbers(account))


def account_seen(account: str | None, reference: str | None, *, sees_people: bool) -> str | None:
    """The account of a receipt, as far as a person may see it.

    Args:
        reference: of the order whose money it is; None: nobody's yet. Letters that name no order
            may be a person's name.
        sees_people: whether that person may see names.
    """
    names_somebody = reference is None and any(each.isalpha() for each in account or "")
    if names_somebody and not sees_people:
        return "•••"
    return account_shown(account)
