"""Daraja, the phones and the forger, with a ledger of their own: the truth that ours is held to."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
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
from mpesa.domain.result_codes import Reason
from tests.factories import failure_callback, raw, success_callback
from tests.fakes import Clock

# A prompt is answerable until Daraja tells its end, or for the longest documented life of one from
# when Daraja took its push, which may be at the end of the time that we give it.
PROMPT_LIFE = timedelta(seconds=180)
# An answer of 2029 to an earlier question than this says nothing.
TOO_EARLY = timedelta(seconds=30)


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


class Fate(StrEnum):
    """What really became of a prompt."""

    ON_THE_PHONE = "on the phone"
    PAID = "paid"
    ENDED = "ended without money"


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
        next_push, queries: how Daraja behaves.
        payments: the truth about money, by callback token.
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
    prompts: list[Prompt] = field(default_factory=list)
    payments: dict[str, Prompt] = field(default_factory=dict)
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

    def certificate(self) -> bytes:
        """No credential is sealed here."""
        return b""

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
