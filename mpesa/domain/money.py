"""Whole Kenyan shillings. M-PESA moves no cents in an STK push (Daraja docs, M-PESA Express)."""

from decimal import Decimal, InvalidOperation

# No M-PESA amount comes near it; it keeps absurd numbers out of integer columns.
_LARGEST = 10**9


def whole_shillings(value: object) -> int | None:
    """Read an amount out of a callback, where it may stand as `1`, `1.0` or `"1.00"`.

    Args:
        value: what JSON gave.

    Returns:
        Shillings, or None where the value is no whole, positive amount.
    """
    amount = _number(value)
    if amount is None or not 0 < amount < _LARGEST or amount != amount.to_integral_value():
        return None
    return int(amount)


def shillings_told(value: object) -> int | Decimal | None:
    """Whole shillings as an int; another number, such as 149.5 or 0, as the Decimal that it is.

    Args:
        value: what JSON gave.

    Returns:
        None where the value is no number, or an absurd one: that tells no amount, while a wrong
        number tells another.
    """
    number = _number(value)
    if number is None or not -_LARGEST < number < _LARGEST:
        return None
    return whole_shillings(value) or number


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not _plain(value):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _plain(value: int | float | str) -> bool:
    """Short and ASCII: Decimal itself would read other scripts' digits and underscores."""
    if isinstance(value, int):
        return abs(value) < _LARGEST
    text = str(value)
    return len(text) <= 24 and text.isascii() and "_" not in text


def format_kes(shillings: int | Decimal) -> str:
    """`1500` becomes `KES 1,500`."""
    return f"KES {shillings:,}"
