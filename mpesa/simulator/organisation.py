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


class C2bProduct(StrEnum):
    """The version of C2B that the app on the Daraja portal may use."""

    BOTH = "both"
    V1 = "v1"
    V2 = "v2"


class Gateway(StrEnum):
    """What the gateway makes of calls to all APIs but M-PESA Express, before they run."""

    OPEN = "open"
    BUSY_500 = "busy_500"
    QUOTA = "quota"
    RATE_429 = "rate_429"
    HTML_503 = "html_503"
    DEAD_TOKEN = "dead_token"
    NO_PRODUCT = "no_product"


class Pull(StrEnum):
    """How Pull answers a query: `empty` and `error_500` are how it says that there is nothing."""

    NORMAL = "normal"
    EMPTY = "empty"
    ERROR_500 = "error_500"
    SPACED_KEYS = "spaced_keys"


class PullZone(StrEnum):
    """The zone of Pull's times, which end with Z in either case."""

    UTC = "utc"
    NAIROBI = "nairobi"


class StatusAnswer(StrEnum):
    """How Transaction Status answers.

    `not_found_first` knows a receipt from the second question on; `reversed` says of what went
    back that it did, which nobody has documented; `foreign_party` names another merchant as paid.
    """

    NORMAL = "normal"
    NOT_FOUND_FIRST = "not_found_first"
    SILENT = "silent"
    REVERSED = "reversed"
    FOREIGN_PARTY = "foreign_party"


class ResultMode(StrEnum):
    """The fate of the result of an API user's request, which runs in any case."""

    ONCE = "once"
    TWICE = "twice"
    NEVER = "never"
    LATE = "late"
    TIMEOUT = "timeout"
    BEFORE_ACK = "before_ack"
    ERROR_500_AFTER = "error_500_after"


class Initiator(StrEnum):
    """The fate of API users; named as valid again, they are unlocked."""

    VALID = "valid"
    WRONG = "wrong"
    LOCKED = "locked"
    NO_ROLE = "no_role"


class Shapes(StrEnum):
    """The JSON types and forms of results."""

    PLAIN = "plain"
    ODD = "odd"


@dataclass(frozen=True)
class Organisation:
    """The switches, with the defaults; `changed` reads them from a JSON object.

    Attributes:
        confirmation_after: seconds from a payment to its confirmation.
        push_confirmation: whether a paid push has a confirmation too.
        validation: whether the merchant is asked before a payment by hand.
        result_after: seconds from an API user's request to its result.
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
    c2b_product: C2bProduct = C2bProduct.BOTH
    gateway: Gateway = Gateway.OPEN
    pull: Pull = Pull.NORMAL
    pull_zone: PullZone = PullZone.UTC
    status: StatusAnswer = StatusAnswer.NORMAL
    result: ResultMode = ResultMode.ONCE
    # Results take seconds in production; one is enough for a merchant to have stored the answer.
    result_after: float = 1
    initiator: Initiator = Initiator.VALID
    shapes: Shapes = Shapes.PLAIN
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
    "c2b_product": one_of(C2bProduct),
    "gateway": one_of(Gateway),
    "pull": one_of(Pull),
    "pull_zone": one_of(PullZone),
    "status": one_of(StatusAnswer),
    "result": one_of(ResultMode),
    "result_after": seconds,
    "initiator": one_of(Initiator),
    "shapes": one_of(Shapes),
    "clock_ahead": seconds_either_way,
    "float": shillings,
}
