"""A receipt: one movement of money, named by M-PESA, however many tell of it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum

from mpesa.domain.told import Payer, Told

# The merchant's server hears of an unclaimed receipt after this time, in which a rule may claim it.
UNCLAIMED_AFTER = timedelta(minutes=15)


class Direction(StrEnum):
    """Which way the money went: to the shop, or back from it."""

    IN = "in"
    OUT = "out"


class State(StrEnum):
    """How far it is known whose a receipt of money in is."""

    UNPROVEN = "unproven"
    UNCLAIMED = "unclaimed"
    CLAIMED = "claimed"
    RETURNED = "returned"


class Trust(IntEnum):
    """How far what is known of a receipt can be believed, the best first."""

    ASKED = 0  # we asked M-PESA ourselves
    TOLD = 1  # M-PESA told us at an address that nobody else knows
    UNLISTED = 2  # so did an address that is not M-PESA's
    DOUBTED = 3  # only a callback told it, and another amount than its push's


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as its row has it, every column by its own name (`models.Receipt`)."""

    id: str
    organisation: str
    receipt: str
    direction: Direction
    amount: int
    state: State
    listed: bool
    learned_at: datetime
    changed_at: datetime
    short_code: str | None = None
    account: str | None = None
    payer_masked: str | None = None
    payer_hash: str | None = None
    payer_name: str | None = None
    paid_at: datetime | None = None
    paid_at_doubtful: bool = False
    transaction_id: str | None = None
    returned_by: str | None = None
    refund_id: str | None = None
    needs_review: bool = False
    trust: int = Trust.TOLD
    unclaimed_from: datetime | None = None

    @property
    def told(self) -> Told:
        """What its witnesses have told so far; the payer's number as its keyed hash."""
        return Told(
            receipt=self.receipt,
            amount=self.amount,
            short_code=self.short_code,
            account=self.account,
            payer=Payer(masked=self.payer_masked, hashed=self.payer_hash),
            name=self.payer_name,
            paid_at=self.paid_at,
            paid_at_doubtful=self.paid_at_doubtful,
        )


def day_of(number: str) -> date | None:
    """The day that a receipt number's first three characters tell; None: they tell none.

    The year's letter (O is 2020), the month's (A is January), and the day as 1 to 9, then A to V
    (inferred from dated samples; Daraja documents nothing of it).
    """
    year, month, day = (_DIGITS.find(each) for each in number[:3])
    try:
        return date(2020 + year - _DIGITS.index("O"), month - 9, day)
    except ValueError:
        return None


def nairobi_day(moment: datetime) -> date:
    """The day in Nairobi, whose time is three hours ahead of UTC all year."""
    return (moment.astimezone(UTC) + timedelta(hours=3)).date()


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
