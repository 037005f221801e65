"""Kenyan shillings: whole ones, or cents where money is told of.

M-PESA moves no cents in an STK push (Daraja docs, M-PESA Express); a payment by hand may have some.
"""

from decimal import Decimal, InvalidOperation

# Far above every M-PESA amount; it keeps absurd numbers out of integer columns.
_LARGEST = 10**9


def whole_shillings(value: object) -> int | None:
    """Read an amount in a callback, which may be written as `1`, `1.0` or `"1.00"`.

    Args:
        value: any value from JSON.

    Returns:
        Shillings, or None where the value is no whole, positive amount.
    """
    amount = _number(value)
    if amount is None or not 0 < amount < _LARGEST or amount != amount.to_integral_value():
        return None
    return int(amount)


def shillings_told(value: object) -> int | Decimal | None:
    """Read whole shillings as an int, and another number, such as 149.5 or 0, as a Decimal.

    Args:
        value: any value from JSON.

    Returns:
        None where the value is no number, or an absurd one: it then tells no amount, whereas a
        wrong number tells a wrong one.
    """
    number = _number(value)
    if number is None or not -_LARGEST < number < _LARGEST:
        return None
    return whole_shillings(value) or number


def cents_told(value: object) -> int | None:
    """Read an amount to the cent, which may be written as `500`, `500.0` or `"500.00"`.

    Args:
        value: any value from JSON.

    Returns:
        Cents; None where the value is no positive amount, or has a broken cent.
    """
    amount = _number(value)
    if amount is None or not 0 < amount < _LARGEST:
        return None
    cents = int(amount * 100)
    # Compared exactly: a product of many digits was rounded.
    return cents if cents and Decimal(cents).scaleb(-2) == amount else None


def _number(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return None
    text = str(value)
    # Short and ASCII, since Decimal would also read other scripts' digits and underscores.
    if len(text) > 24 or not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def format_kes(shillings: int | Decimal) -> str:
    """Write an amount for people: `1500` becomes `KES 1,500`."""
    return f"KES {shillings:,}"


def format_cents(cents: int) -> str:
    """Write cents for people: `150000` becomes `KES 1,500`, and `150050` becomes `KES 1,500.50`."""
    shillings = Decimal(cents).scaleb(-2)
    return f"KES {shillings:,.2f}" if cents % 100 else format_kes(cents // 100)


def cents_text(cents: int | None) -> str | None:
    """Write cents as the API does: `50000` becomes `"500.00"`; None stays None."""
    return None if cents is None else f"{cents // 100}.{cents % 100:02d}"
