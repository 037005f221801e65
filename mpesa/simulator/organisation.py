"""How Daraja treats the merchant, for all payers, where live reports and documents disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mpesa.simulator import wishes
from mpesa.simulator.wishes import one_of


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


@dataclass(frozen=True)
class Organisation:
    """The switches, with the defaults; `changed` reads them from a JSON object."""

    tokens: LivingTokens = LivingTokens.NEWEST
    callback_words: CallbackWords = CallbackWords.TAKEN
    till_mismatch: TillMismatch = TillMismatch.TAKEN

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
}
