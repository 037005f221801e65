"""The people who hold the lines: their names, and the forms in which numbers are shown."""

from dataclasses import dataclass
from hashlib import sha256

_FIRST = ("WANJIRU", "OTIENO", "AMINA", "KIPCHOGE", "MUTHONI", "BARAKA", "NEEMA", "JUMA")
_MIDDLE = ("NJERI", "ODHIAMBO", "HASSAN", "KIPROTICH", "WAMBUI", "MWANGI", "ATIENO", "KARIUKI")
_LAST = ("KAMAU", "OCHIENG", "ALI", "RONO", "NJOROGE", "WAFULA", "MUSA", "ACHIENG")


@dataclass(frozen=True)
class Name:
    """A person's three names, as M-PESA knows them."""

    first: str
    middle: str
    last: str

    def __str__(self) -> str:
        return f"{self.first} {self.middle} {self.last}"


def name_of(msisdn: str) -> Name:
    """Name the person who holds a line: made up, and always the same one."""
    drawn = sha256(msisdn.encode()).digest()
    first, middle, last = (
        names[each % len(names)]
        for names, each in zip((_FIRST, _MIDDLE, _LAST), drawn, strict=False)
    )
    return Name(first, middle, last)


def masked(msisdn: str) -> str:
    """Mask a number as C2B confirmations of version 2 do, like `2547 ***** 678`."""
    return f"{msisdn[:4]} ***** {msisdn[-3:]}"


def masked_in_statement(msisdn: str) -> str:
    """Mask a number as the portal's statements do, like `25471****678`."""
    return f"{msisdn[:5]}****{msisdn[-3:]}"


def hashed(msisdn: str) -> str:
    """Hash a number as C2B confirmations of version 1 do: SHA-256 of its digits, in hex."""
    return sha256(msisdn.encode()).hexdigest()
