"""How Daraja treats the merchant, for all payers, where live reports and documents disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mpesa.simulator import wishes
from mpesa.simulator.wishes import one_of, seconds, seconds_either_way, shillings, yes_or_no


class LivingTokens(StrEnum):
    """The tokens of a consumer key that are valid: only the newest, by the documents; unproven."""

    NEWEST = "newest"
    ALL = "all"


class CallbackWords(StrEnum):
    """The fate of a push whose CallBackURL has a word of Safaricom's list in path or query."""

    TAKEN = "taken"
    REFUSED = "refused"


class TillMismatch(StrEnum):
    """The fate of a Buy Goods push that comes from the PayBill's short code."""

    TAKEN = "taken"
    REFUSED = "refused"


class Confirmation(StrEnum):
    """The fate of a C2B confirmation."""

    ONCE = "once"
    TWICE = "twice"
    NEVER = "never"
    LATE = "late"
    BEFORE_PUSH_CALLBACK = "before_push_callback"


class ConfirmationAccount(StrEnum):
    """What a confirmation tells as BillRefNumber: what the payer sent, or nothing."""

    SENT = "sent"
    EMPTY = "empty"


class Msisdn(StrEnum):
    """The form of the payer's number in confirmations.

    Version 1 knows no mask: where a number would be masked, it has the hash.
    """

    MASKED = "masked"
    HASHED = "hashed"
    PLAIN = "plain"
    ABSENT = "absent"


class C2bMode(StrEnum):
    """Addresses are registered as often as one likes in the sandbox, once in production."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Organisation:
    """The switches, with the defaults; `changed` reads them from a JSON object.

    Attributes:
        confirmation_after: seconds from a payment to its confirmation.
        push_confirmation: whether a paid push has a confirmation too.
        validation: whether the merchant is asked before a payment by hand.
        clock_ahead: seconds by which M-PESA's clock is ahead of this machine's.
        float: whole KES that each account which takes payments begins with.
    """

    tokens: LivingTokens = LivingTokens.NEWEST
    callback_words: CallbackWords = CallbackWords.TAKEN
    till_mismatch: TillMismatch = TillMismatch.TAKEN
    confirmation: Confirmation = Confirmation.ONCE
    confirmation_after: float = 0
    push_confirmation: bool = True
    confirmation_account: ConfirmationAccount = ConfirmationAccount.SENT
    msisdn: Msisdn = Msisdn.MASKED
    validation: bool = False
    c2b_mode: C2bMode = C2bMode.SANDBOX
    clock_ahead: float = 0
    # The last one: from here on the word no longer means the type in this class.
    float: int = 10_000

    def changed(self, wanted: Mapping[str, object]) -> "Organisation":
        """The same with the wishes met; switches that are not named stay.

        Raises:
            InvalidField: a wish cannot be met.
        """
        return replace(self, **wishes.read(wanted, _READERS))


_READERS: wishes.Readers = {
    "tokens": one_of(LivingTokens),
    "callback_words": one_of(CallbackWords),
    "till_mismatch": one_of(TillMismatch),
    "confirmation": one_of(Confirmation),
    "confirmation_after": seconds,
    "push_confirmation": yes_or_no,
    "confirmation_account": one_of(ConfirmationAccount),
    "msisdn": one_of(Msisdn),
    "validation": yes_or_no,
    "c2b_mode": one_of(C2bMode),
    "clock_ahead": seconds_either_way,
    "float": shillings,
}
