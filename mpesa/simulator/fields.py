"""The fields of a body as Daraja reads them; each reader names the field that it refuses."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from mpesa.simulator.refusals import invalid

Body = Mapping[str, object]

# Safaricom's rule for callback addresses (Daraja docs, Customer to Business Register URL); "exec"
# contains "exe". One report says that pushes obey it too, and several say the contrary.
FORBIDDEN_WORDS = ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query")

# The number of a PayBill, a till or a store.
PARTY = r"[0-9]{5,7}"


def text(body: Body, name: str) -> str:
    """A field as text: Daraja treats numbers like strings, and other types like missing fields."""
    value = body.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def matching(body: Body, name: str, pattern: str) -> str:
    """A field that has to fit a pattern as a whole.

    Raises:
        Refusal: it does not.
    """
    found = text(body, name)
    if not re.fullmatch(pattern, found):
        raise invalid(name)
    return found


def words(body: Body, name: str, public_name: str | None = None) -> str:
    """A field that may not be empty, without the blanks around it.

    Args:
        public_name: what a refusal calls the field; None: its own name.

    Raises:
        Refusal: it is empty.
    """
    found = text(body, name).strip()
    if not found:
        raise invalid(public_name or name)
    return found


def shillings(body: Body, name: str) -> int:
    """A field that tells whole KES, of at least one; `10.0` is a whole number too.

    Raises:
        Refusal: it does not.
    """
    amount = body.get(name)
    if isinstance(amount, float) and amount.is_integer():
        amount = int(amount)
    found = text({name: amount}, name)
    if not re.fullmatch(r"[0-9]{1,12}", found) or int(found) < 1:
        raise invalid(name)
    return int(found)


def address(body: Body, name: str) -> str:
    """A field with an address that Daraja could call: plain http and unknown hosts pass, as in the
    sandbox.

    Raises:
        Refusal: it is none.
    """
    url = text(body, name)
    try:
        host = urlsplit(url).hostname
    except ValueError:
        raise invalid(name) from None
    if not host or not re.fullmatch(r"https?://[^\s<>\"]{1,2000}", url):
        raise invalid(name)
    return url
