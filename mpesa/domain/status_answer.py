"""What a result of Transaction Status tells of the payment that was asked about.

(Daraja docs, Transaction Status.) It tells payer and receiver by number and name, and never which
account the payer typed.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from mpesa.domain.results import Result
from mpesa.domain.told import Payer, Told
from mpesa.domain.wire_words import first_word, read_payer

# "600999 - EXAMPLE SHOP   ", "254708374149 - TEST PAYER". Up to the first character that is no
# digit, since 6009990 begins with 600999 too.
_PARTY = re.compile(r"([0-9]+)[\s-]*(.*)", re.DOTALL)
# A payer whose whole number was cut out before the answer was stored: "2547*****149 - TEST".
_PERSON = re.compile(r"([0-9]+(?:\*+[0-9]+)?)[\s-]*(.*)", re.DOTALL)

# All other words are an end (Daraja docs, Transaction Status).
_NOT_FINAL = frozenset({"initiated", "authorized", "pending authorized"})


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """The claims of an answer.

    Attributes:
        code: the result's; `"0"`: the question was answered, `"2032"`: there is no such receipt.
        receipt: the one that the answer is about; None where missing.
        status: M-PESA's word, as `Completed`; None where missing, or where two words stand there.
        amount: in cents; None where missing.
        credited: the number that was paid, as the digits that `CreditPartyName` begins with; None
            without them.
        payer: the number in `DebitPartyName`.
        name: the first word of the payer's name; None where missing.
        finalised_at: aware UTC; None where missing.
    """

    code: str
    receipt: str | None
    status: str | None
    amount: int | None
    credited: str | None
    payer: Payer = field(repr=False)
    name: str | None = field(repr=False)
    finalised_at: datetime | None

    @property
    def is_completed(self) -> bool:
        """Whether the payment was made and, as far as this answer knows, stands."""
        return self._is("completed")

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more in what became of the payment."""
        return self.code == "0" and (self.status or "").lower() not in _NOT_FINAL

    @property
    def is_reversed(self) -> bool:
        """Whether the payment was given back."""
        return self._is("reversed")

    def _is(self, word: str) -> bool:
        return self.code == "0" and (self.status or "").lower() == word

    def told(self, asked: str) -> Told | None:
        """The receipt, as a witness of which `matching` takes notice.

        Args:
            asked: the receipt that was asked about.

        Returns:
            None unless the answer is about that receipt, which is completed, and tells its amount
            and who was paid: any receipt of Kenya would do otherwise. Whether that number is ours
            is for the caller to compare.
        """
        if not self.is_completed or self.receipt != asked:
            return None
        if self.amount is None or self.credited is None:
            return None
        return Told(
            receipt=asked,
            amount=self.amount,
            short_code=self.credited,
            payer=self.payer,
            name=self.name,
            paid_at=self.finalised_at,
        )


def read_status_answer(result: Result) -> StatusAnswer:
    """Read the parameters of a result of Transaction Status."""
    payer, name = _payer(result.values("DebitPartyName"))
    parties = [_PARTY.fullmatch(each) for each in result.values("CreditPartyName")]
    credited = {party[1] if party else None for party in parties}
    return StatusAnswer(
        code=result.code,
        receipt=result.receipt_of("ReceiptNo"),
        status=result.value("TransactionStatus"),
        amount=result.amount("Amount"),
        credited=credited.pop() if len(credited) == 1 else None,
        payer=payer,
        name=name,
        finalised_at=result.time("FinalisedTime"),
    )


def _payer(parties: tuple[str, ...]) -> tuple[Payer, str | None]:
    """The payer among the values of `DebitPartyName`.

    Daraja's own sample prints that key twice, once for each party, so the one with a phone's number
    is the payer; two different phones tell nothing.
    """
    found = [each for each in map(_PERSON.fullmatch, parties) if each]
    named = {read_payer(each[1]): each[2] for each in found}
    people = {payer: name for payer, name in named.items() if payer.msisdn or payer.masked}
    if len(people) != 1:
        return Payer(), None
    ((payer, name),) = people.items()
    return payer, first_word(name)
