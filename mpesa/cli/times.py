"""Times as the commands print them."""

from datetime import datetime

from mpesa.domain.wire_words import NAIROBI


def in_nairobi(moment: datetime) -> str:
    """A time for a person in Nairobi, with its zone: `2026-11-24 20:13:11 EAT`."""
    return f"{moment.astimezone(NAIROBI):%Y-%m-%d %H:%M:%S %Z}"
