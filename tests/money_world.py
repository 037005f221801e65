"""Daraja, the phones and the forger, with a ledger of their own: the truth that ours is held to."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mpesa.daraja import (
    DarajaError,
    NoAnswer,
    NotSent,
    Push,
    PushAccepted,
    QueryAnswer,
    Refused,
    UnknownOutcome,
)
from mpesa.daraja.answers import Answer
from mpesa.domain.result_codes import Reason
from mpesa.domain.wire_words import NAIROBI
from tests.factories import confirmation, failure_callback, raw, success_callback
from tests.fakes import Clock

# A prompt is answerable until Daraja tells its end, or for the longest documented life of one from
# when Daraja took its push, which may be at the end of the time that we give it.
PROMPT_LIFE = timedelta(seconds=180)
# An answer of 2029 to an earlier question than this says nothing.
TOO_EARLY = timedelta(seconds=30)
# KES from which a confirmation alone proves nothing.
PROOF_FROM = 500


class Pushed(StrEnum):
    """What becomes of a push."""

    ACCEPTED = "accepted"
    SLOW = "accepted after 19 seconds"
    SLOW_AND_TIMED_OUT = "on the phone after 19 seconds, and not answered"
    OVERTAKEN_BY_MONEY = "paid, and told so, before it is answered"
    OVERTAKEN_BY_FAILURE = "cancelled, and told so, before it is answered"
    TIMED_OUT = "not answered, but on the phone"
    LOST = "not answered, and never on the phone"
    BUSY_LINE = "refused: the line is busy"
    MISCONFIGURED = "refused: the merchant is unknown"
    NEVER_SENT = "not sent at all"


class Queries(StrEnum):
    """How Daraja answers questions."""

    HONEST = "honest"
    LYING = "says that everything failed"
    EARLY = "2029 to everything"
    UNKNOWN = "a code that nobody knows"
    UNDER_WAY = "4999 to everything"
    SILENT = "no answer"
    RATE_LIMITED = "not sent"
    OF_ANOTHER = "speaks of another payment"
    OVERTAKEN = "says that it failed, while it is paid and told so"


class Pulls(StrEnum):
    """How Daraja answers when it is asked for a list of what was paid."""

    HONEST = "honest"
    NOTHING = "says that there was nothing"
    FAILING = "HTTP 500"


class Payer(StrEnum):
    """How a confirmation tells the number of who paid."""

    MASKED = "masked"
    HASHED = "hashed"
    PLAIN = "plain"
    ABSENT = "absent"


class Fate(StrEnum):
    """What really became of a prompt."""

    ON_THE_PHONE = "on the phone"
    PAID = "paid"
    ENDED = "ended without money"


@dataclass(eq=False)
class Payment:
    """A movement of money at M-PESA, by a prompt or by hand.

    Attributes:
        account: as it was typed, or as the push sent it.
        paid_at: by M-PESA's clock, which agrees with ours.
        names: references of the orders that it may be given to.
        pays: the reference of the order that it pays for certain, once it was told by a witness
            that suffices; None: that depends.
        witnesses: the kinds that may be believed, and have told of it.
        told_truly, named: one of them told its amount; one told its account.
        disputed: a witness told another amount.
    """

    receipt: str
    msisdn: str
    amount: int
    account: str
    paid_at: datetime
    names: set[str] = field(default_factory=set)
    pays: str | None = None
    witnesses: set[str] = field(default_factory=set)
    told_truly: bool = False
    named: bool = False
    disputed: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether what was told of it suffices."""
        small = self.amount < PROOF_FROM and "confirmation" in self.witnesses
        return small or "pull" in self.witnesses

    def confirmed(self, payer: Payer, *, account: bool = True, amount: int | None = None) -> bytes:
        """The body of its confirmation.

        Args:
            account: False: as a till's, which tells none.
            amount: another one than was paid.
        """
        number = {
            Payer.MASKED: f"{self.msisdn[:4]} ***** {self.msisdn[-3:]}",
            Payer.HASHED: hashlib.sha256(self.msisdn.encode()).hexdigest(),
            Payer.PLAIN: self.msisdn,
            Payer.ABSENT: None,
        }
        return raw(
            confirmation(
                self.account if account else "",
                receipt=self.receipt,
                amount=f"{amount or self.amount}.00",
                TransTime=f"{self.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}",
                MSISDN=number[payer],
            )
        )

    def pulled(self) -> dict[str, object]:
        """Its row in a list of what was paid."""
        return {
            "transactionId": self.receipt,
            "trxDate": f"{self.paid_at.astimezone(NAIROBI):%Y-%m-%dT%H:%M:%SZ}",
            "msisdn": self.msisdn,
            "sender": "MPESA",
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": self.account,
            "amount": f"{self.amount}.0",
            "organizationname": "The shop",
        }


_NO_PROMPT: dict[Pushed, DarajaError] = {
    Pushed.BUSY_LINE: Refused(Reason.LINE_BUSY),
    Pushed.MISCONFIGURED: Refused(Reason.MISCONFIGURED),
    Pushed.NEVER_SENT: NotSent(Reason.SYSTEM_BUSY),
}


@dataclass
class Prompt:
    """One push that Daraja let through.

    Attributes:
        code: what ended it; None where nothing will ever be told.
        sent_at: when Daraja took its push, by the clock that nobody can set (seconds).
        told_over, told_failed: Daraja told us that it ended, or that it failed; true or not.
        odd: something was told of it that an honest Daraja would not.
    """

    number: int
    token: str
    msisdn: str
    amount: int
    reference: str
    sent_at: float
    fate: Fate = Fate.ON_THE_PHONE
    code: object = None
    receipt: str = ""
    told_over: bool = False
    told_failed: bool = False
    odd: bool = False

    @property
    def checkout_id(self) -> str:
        return f"ws_CO_2411202612{self.number:06d}{self.msisdn[3:]}"

    @property
    def merchant_id(self) -> str:
        return f"2654-4b64-97ff-b827b542{self.number:06d}"

    def success(self, amount: object, code: object = 0, receipt: object = None) -> bytes:
        """The body of a callback that claims a payment."""
        named = receipt or self.receipt
        ids = (self.checkout_id, self.merchant_id)
        return raw(success_callback(*ids, amount=amount, receipt=named, ResultCode=code))

    def failure(self, code: object) -> bytes:
        """The body of a callback that tells of a failure."""
        return raw(failure_callback(self.checkout_id, self.merchant_id, code))

    def may_be_answered(self, now: Clock) -> bool:
        """As far as Daraja told."""
        return not self.told_over and self.age(now) < PROMPT_LIFE

    def age(self, now: Clock) -> timedelta:
        """Time that really passed since Daraja took its push."""
        return timedelta(seconds=now.monotonic() - self.sent_at)


@dataclass
class World:
    """Plays Daraja for the application, by the interface of its client.

    Attributes:
        deliver: posts a body to a prompt's callback address.
        next_push, queries, pulls: how Daraja behaves.
        payments: the prompts whose money moved, by callback token.
        moved: the truth about money, by receipt.
        listed: what lists of payments told so far.
        without_prompt: tokens of pushes that certainly showed no prompt.
        proofs, failures: by token, the bodies that prove a payment or tell a failure believably.
        answered_paid: by token, answers of 0; they prove a payment that nothing disputes.
        disputes: by token, callbacks that tell another amount than was asked for.
        rough: by token, callbacks that tell the receipt of a payment, but are faulty.
        unbelievable: by token, bodies that claim a payment and must not be believed.
        broken: promises that were broken while Daraja was spoken to.
    """

    now: Clock
    deliver: Callable[[Prompt, bytes], None]
    order_is_open: Callable[[str], bool]
    next_push: Pushed = Pushed.ACCEPTED
    queries: Queries = Queries.HONEST
    pulls: Pulls = Pulls.HONEST
    prompts: list[Prompt] = field(default_factory=list)
    payments: dict[str, Prompt] = field(default_factory=dict)
    moved: dict[str, Payment] = field(default_factory=dict)
    listed: list[Payment] = field(default_factory=list)
    without_prompt: set[str] = field(default_factory=set)
    proofs: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    answered_paid: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    disputes: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    rough: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    failures: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    unbelievable: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    broken: list[str] = field(default_factory=list)

    # -- the client's interface --------------------------------------------------------------

    def push(self, push: Push, *, budget: float = 20.0) -> PushAccepted:
        self._look_for_a_second_prompt(push)
        how, self.next_push = self.next_push, Pushed.ACCEPTED
        if how in _NO_PROMPT:
            self.without_prompt.add(_token(push))
            raise _NO_PROMPT[how]
        if how in (Pushed.SLOW, Pushed.SLOW_AND_TIMED_OUT):
            self.now.pass_(seconds=19)
        prompt = self._show(push)
        self._before_the_answer(how, prompt)
        if how in (Pushed.SLOW_AND_TIMED_OUT, Pushed.TIMED_OUT, Pushed.LOST):
            raise UnknownOutcome("no answer")
        return PushAccepted(prompt.merchant_id, prompt.checkout_id, b'{"ResponseCode": "0"}')

    def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
        prompt = next((p for p in self.prompts if p.checkout_id == checkout_request_id), None)
        if self.queries is Queries.RATE_LIMITED:
            raise NotSent(Reason.SYSTEM_BUSY)
        if prompt is None or self.queries is Queries.SILENT:
            raise NoAnswer("HTTP 500")
        if self.queries is Queries.OF_ANOTHER:
            other = f"{checkout_request_id}9"
            prompt.odd = True
            return QueryAnswer("0", "", None, other, _answer("0", other))
        if self.queries is Queries.OVERTAKEN and prompt.fate is Fate.ON_THE_PHONE:
            self.pay(prompt)
            self.tell_success(prompt, prompt.amount)
        return self._tell(prompt, self._code(prompt))

    def post(self, path: str, body: dict[str, Any], *, budget: float, largest: int = 0) -> Answer:
        """Answer a page of what was paid; of other APIs nobody asks here."""
        if self.pulls is Pulls.FAILING:
            return Answer(500, b'{"errorMessage": "Failed to retrieve transactions"}')
        begin, end = (
            datetime.strptime(body[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=NAIROBI)
            for name in ("StartDate", "EndDate")
        )
        paid = [
            each
            for each in self.moved.values()
            if self.pulls is Pulls.HONEST and begin <= each.paid_at <= end
        ]
        page = paid[int(body["OffSetValue"]) :]
        self.listed += page
        rows = [each.pulled() for each in page]
        code = "1000" if rows else "1001"
        return Answer(200, raw({"ResponseCode": code, "Response": [rows]}))

    def check_credentials(self) -> None:
        """Every credential will do."""

    def cut(self) -> None:
        """Nothing is under way."""

    # -- what happens on the phones ------------------------------------------------------------

    def pay(self, prompt: Prompt) -> None:
        """Move the money."""
        prompt.fate = Fate.PAID
        prompt.receipt = f"UKO{prompt.number:07d}"
        self.payments[prompt.token] = prompt
        paid = (prompt.receipt, prompt.msisdn, prompt.amount, prompt.reference, self.now())
        self.moved[prompt.receipt] = Payment(*paid, names={prompt.reference})

    def pay_by_hand(
        self, msisdn: str, amount: int, account: str, names: Iterable[str], pays: str | None = None
    ) -> Payment:
        """Move the money that a payer sends without a prompt."""
        receipt = f"UKH{len(self.moved) + 1:07d}"
        paid = Payment(receipt, msisdn, amount, account, self.now(), set(names), pays)
        self.moved[receipt] = paid
        return paid

    def money_for(self, reference: str) -> list[Payment]:
        """What was paid that may be given to an order."""
        return [each for each in self.moved.values() if reference in each.names]

    def may_be_given_blindly(self, payment: Payment) -> None:
        """It was told without an account: any push to its payer's number may be meant."""
        payment.names.update(p.reference for p in self.prompts if p.msisdn == payment.msisdn)

    def end(self, prompt: Prompt, code: object) -> None:
        """End it without money."""
        prompt.fate, prompt.code = Fate.ENDED, code

    # -- what is told --------------------------------------------------------------------------

    def tell_success(self, prompt: Prompt, amount: object, code: object = 0) -> None:
        """Send the callback of a payment."""
        body = prompt.success(amount, code)
        self.proofs[prompt.token].add(body)
        prompt.told_over = True
        self.deliver(prompt, body)

    def tell_failure(self, prompt: Prompt, code: object) -> None:
        """Send a callback that tells of a failure."""
        body = prompt.failure(code)
        self.failures[prompt.token].add(body)
        prompt.told_over = prompt.told_failed = True
        self.deliver(prompt, body)

    def _before_the_answer(self, how: Pushed, prompt: Prompt) -> None:
        match how:
            case Pushed.LOST:
                self.end(prompt, None)
            case Pushed.OVERTAKEN_BY_MONEY:
                self.pay(prompt)
                self.tell_success(prompt, prompt.amount)
            case Pushed.OVERTAKEN_BY_FAILURE:
                self.end(prompt, 1032)
                self.tell_failure(prompt, 1032)

    def _show(self, push: Push) -> Prompt:
        number, where = len(self.prompts) + 1, (push.msisdn, push.amount, push.reference)
        prompt = Prompt(number, _token(push), *where, sent_at=self.now.monotonic())
        self.prompts.append(prompt)
        return prompt

    def _look_for_a_second_prompt(self, push: Push) -> None:
        if not self.order_is_open(push.reference):
            self.broken.append("a prompt for an order that is known to be closed")
        for other in self.prompts:
            if not other.may_be_answered(self.now):
                continue
            if other.reference == push.reference:
                self.broken.append("a second prompt for an order")
            if other.msisdn == push.msisdn:
                self.broken.append("a second prompt on a line")

    def _code(self, prompt: Prompt) -> str:
        match self.queries:
            case Queries.LYING | Queries.OVERTAKEN:
                return "1037"
            case Queries.EARLY:
                return "2029"
            case Queries.UNKNOWN:
                return "7777"
            case Queries.UNDER_WAY:
                return "4999"
        if prompt.fate is Fate.ENDED:
            return str(prompt.code or "4999")
        return "0" if prompt.fate is Fate.PAID else "4999"

    def _tell(self, prompt: Prompt, code: str) -> QueryAnswer:
        body = _answer(code, prompt.checkout_id)
        prompt.odd = prompt.odd or self.queries is not Queries.HONEST
        if code == "0":
            self.answered_paid[prompt.token].add(body)
            prompt.told_over = True
        elif code not in ("4999", "7777", "6666") and not self._too_early(prompt, code):
            prompt.told_over = prompt.told_failed = True
        return QueryAnswer(code, "", None, prompt.checkout_id, body)

    def _too_early(self, prompt: Prompt, code: str) -> bool:
        return code == "2029" and prompt.age(self.now) < TOO_EARLY


def _token(push: Push) -> str:
    return push.callback_url.rsplit("/", 1)[1]


def _answer(code: str, checkout_id: str) -> bytes:
    document: dict[str, Any] = {"ResultCode": code, "CheckoutRequestID": checkout_id}
    return json.dumps(document).encode()
