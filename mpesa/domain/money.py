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
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value)) if _plain(value) else Decimal("NaN")
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 < amount < _LARGEST or amount != amount.to_integral_value():
        return None
    return int(amount)


def _plain(value: int | float | str) -> bool:
    """Short and ASCII: Decimal itself would read other scripts' digits and underscores."""
    if isinstance(value, int):
        return abs(value) < _LARGEST
    text = str(value)
    return len(text) <= 24 and text.isascii() and "_" not in text


def format_kes(shillings: int) -> str:
    """`1500` becomes `KES 1,500`."""
    return f"KES {shillings:,}"
