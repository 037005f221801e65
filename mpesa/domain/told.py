"""What one witness tells of a receipt: the same few facts, however they arrived."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class WitnessKind(StrEnum):
    """Where M-PESA's word about a receipt came from."""

    CALLBACK = "callback"
    CONFIRMATION = "confirmation"
    PULL = "pull"
    STATUS = "status"
    STATEMENT = "statement"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Payer:
    """The payer's number, in the forms in which witnesses tell it; all None: not told.

    Attributes:
        msisdn: twelve digits, `2547XXXXXXXX` or `2541XXXXXXXX`.
        masked: digits and stars without blanks, as `2547*****149`.
        hashed: the SHA-256 of the twelve digits, as 64 lower-case hex digits.
    """

    msisdn: str | None = None
    masked: str | None = None
    hashed: str | None = None

    @property
    def exact(self) -> bool:
        """Whether it tells one number from all others."""
        return self.msisdn is not None or self.hashed is not None


@dataclass(frozen=True, slots=True)
class Told:
    """A payment to us, as one witness tells it.

    Attributes:
        receipt: ten upper-case letters and digits.
        amount: in cents.
        short_code: the number that was paid; None: not told.
        account: what the payer typed as account, trimmed; `""`: told, and empty; None: not told.
        payer: their number.
        name: the first word of their name; None: not told.
        paid_at: aware UTC; None: not told.
        paid_at_doubtful: its zone is not known: `paid_at` reads it as Nairobi's, and the time may
            be three hours later. (Daraja docs, Pull Transactions: `trxDate` ends with Z in some
            samples only.)
    """

    receipt: str
    amount: int
    short_code: str | None = None
    account: str | None = None
    payer: Payer = field(default_factory=Payer)
    name: str | None = None
    paid_at: datetime | None = None
    paid_at_doubtful: bool = False
