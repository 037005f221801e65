"""An order and its attempts, in the one form on which all decisions are made."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from mpesa.domain.result_codes import Reason, Status

# The longest documented life of a prompt (Daraja's older FAQ: "1-3 minutes depending on phone"),
# from the push's answer: after it, silence blocks neither the order nor the line any longer.
OPEN_FOR = timedelta(seconds=180)
# From the row, while the push has no answer: Daraja may accept it until its 20 s are over.
OPEN_UNANSWERED = OPEN_FOR + timedelta(seconds=20)
# A receipt that is not proven by then no longer keeps the shopper from paying.
IN_SIGHT_FOR = timedelta(minutes=15)
# Begins the text that replaces a blanked CheckoutRequestID: unique as that was, and not Daraja's.
FORGOTTEN_ID = "forgotten:"


class OrderStatus(StrEnum):
    """The state of an order."""

    OPEN = "OPEN"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Channel(StrEnum):
    """How a transaction's money is asked for."""

    PUSH = "push"
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Order:
    """An order: what a shopper pays for.

    Attributes:
        amount: whole shillings.
        status: as it was written down; its end may have passed since, see `Account.status`.
        expires_at: aware UTC; None: never.
        return_url: where the shopper goes afterwards; None: nowhere.
        pay_code: its account number for paying by hand (`domain.pay_code`); None for an order that
            was over before there were any.
        in_sight_until: until then, a receipt that names it, or a typed code, waits for its proof.
    """

    id: str
    amount: int
    reference: str
    description: str
    status: OrderStatus
    expires_at: datetime | None
    updated_at: datetime
    created_at: datetime
    return_url: str | None = None
    pay_code: str | None = None
    in_sight_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """The times of an attempt on which decisions depend.

    Attributes:
        ask_urgently: Daraja is to be asked about it at once.
    """

    created_at: datetime
    updated_at: datetime
    settled_at: datetime | None
    retry_at: datetime | None
    prompt_ends_at: datetime | None
    next_ask_at: datetime | None
    ask_urgently: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A transaction as its row has it, every column by its own name (`models.Transaction`).

    Attributes:
        final: for FAILED and SUCCESS: no later change is expected.
        amount: the whole shillings that were asked for.
        retry_at: when the order's next push may go out.
        receipt: M-PESA's receipt number once it is known.
        amount_disputed: a callback under its token and ids told another amount.
        success_claimed: a callback under its token said paid and could not be believed; neither a
            query nor a person has said since whether it is true.
        failed_by_query: FAILED by the word of a query, which neither a callback nor a person has
            confirmed since.
        settled_at: None while PENDING.
        channel: by push, or by hand; the latter has no prompt, number or id.
        receipt_amount: the cents that came, where a person accepted another amount; 0 where another
            transaction of the order has the receipt of the same money, so that it counts once.
        by_rule: a push that is SUCCESS by its receipt, and whose own result nobody has told yet.
        refund_id: of its receipt the newest refund that was not refused; so are `refund_status` and
            `refund_at`, the time of its last change.
        returned: M-PESA gave its receipt back to the payer.
    """

    status: Status
    reason: Reason
    final: bool
    amount: int
    created_at: datetime
    updated_at: datetime
    id: str
    order_id: str
    attempt: int
    callback_token_hash: str
    is_open: bool
    seq: int = 1
    msisdn: str | None = None
    account_reference: str | None = None
    merchant_request_id: str | None = None
    checkout_request_id: str | None = None
    receipt: str | None = None
    settles_order: bool = False
    needs_review: bool = False
    amount_disputed: bool = False
    success_claimed: bool = False
    failed_by_query: bool = False
    retry_at: datetime | None = None
    prompt_ends_at: datetime | None = None
    next_ask_at: datetime | None = None
    settled_at: datetime | None = None
    times_asked: int = 0
    ask_urgently: bool = False
    pushed_from: str | None = None
    urgent_for: str | None = None
    channel: Channel = Channel.PUSH
    receipt_amount: int | None = None
    by_rule: bool = False
    returned: bool = False
    refund_id: str | None = None
    refund_status: str | None = None
    refund_at: datetime | None = None

    @property
    def by_hand(self) -> bool:
        """Whether the payer sends the money without a push of ours."""
        return self.channel is Channel.HAND

    @property
    def shares_receipt(self) -> bool:
        """Whether another transaction of its order has the receipt of its money."""
        return self.receipt_amount == 0

    @property
    def has_id(self) -> bool:
        """Whether Daraja can be asked about it."""
        return self.checkout_request_id is not None

    @property
    def forgotten(self) -> bool:
        """Whether its ids were blanked, with everything else that identifies the payer."""
        return (self.checkout_request_id or "").startswith(FORGOTTEN_ID)

    @property
    def times(self) -> Times:
        """Its times that a step of the clock makes wrong."""
        return Times(
            created_at=self.created_at,
            updated_at=self.updated_at,
            settled_at=self.settled_at,
            retry_at=self.retry_at,
            prompt_ends_at=self.prompt_ends_at,
            next_ask_at=self.next_ask_at,
            ask_urgently=self.ask_urgently,
        )

    def prompt_may_live(self, now: datetime) -> bool:
        """Whether it is open at `now`; its column may not yet say that it is over."""
        return self.is_open and now < self.prompt_end(now)

    def prompt_end(self, now: datetime) -> datetime:
        """When the prompt's longest life is over, even if the attempt is settled.

        No prompt lives longer than that from now: an end that lies further away was written before
        the clock stepped back, and the prompt's life is counted from now.
        """
        planned = self.prompt_ends_at or self.created_at + OPEN_UNANSWERED
        return min(planned, now + OPEN_UNANSWERED)

    def not_received(self, now: datetime) -> "Attempt":
        """The same attempt by hand, no longer waited for if it was until now."""
        if self.status is not Status.PENDING:
            return self
        return replace(self, status=Status.FAILED, reason=Reason.NOT_RECEIVED, settled_at=now)

    def with_next_seq(self, now: datetime) -> "Attempt":
        """The same attempt with its next `seq`, since its snapshot is different from now on."""
        return replace(self, seq=self.seq + 1, updated_at=now)


@dataclass(frozen=True, slots=True)
class Account:
    """An order with all of its attempts.

    Attributes:
        attempts: newest first.
    """

    order: Order
    attempts: tuple[Attempt, ...]

    def attempt(self, transaction_id: str) -> Attempt:
        """Find one of its attempts by its id.

        Raises:
            KeyError: it is another order's.
        """
        for each in self.attempts:
            if each.id == transaction_id:
                return each
        raise KeyError(transaction_id)

    def attempt_under(self, token_hash: str) -> Attempt:
        """The attempt whose callback address holds the token with this hash.

        Raises:
            KeyError: it is another order's.
        """
        for each in self.attempts:
            if each.callback_token_hash == token_hash:
                return each
        raise KeyError

    @property
    def pushes(self) -> tuple[Attempt, ...]:
        """Its attempts by push, newest first."""
        return tuple(each for each in self.attempts if not each.by_hand)

    @property
    def settled_by(self) -> str | None:
        """The id of the transaction that paid the order."""
        return next((each.id for each in self.attempts if each.settles_order), None)

    def money_in_sight(self, now: datetime) -> bool:
        """Whether a receipt or a code that names the order waits for its proof.

        A time further away than any such wait was written before the clock stepped back.
        """
        until = self.order.in_sight_until
        return until is not None and now < until <= now + IN_SIGHT_FOR

    def status(self, now: datetime) -> OrderStatus:
        """The order's status at `now`, even if the passing of its end is not yet written down.

        An order whose prompt may still be answered, or whose money is in sight, does not expire.
        """
        order = self.order
        if order.status is not OrderStatus.OPEN or self.attempt_open(now):
            return order.status
        if self.money_in_sight(now):
            return order.status
        expired = order.expires_at is not None and order.expires_at <= now
        return OrderStatus.EXPIRED if expired else order.status

    def pay_code_at(self, now: datetime) -> str | None:
        """Its pay code while it can be paid."""
        return self.order.pay_code if self.status(now) is OrderStatus.OPEN else None

    def attempt_open(self, now: datetime) -> bool:
        """Whether a prompt of the order may still be answered."""
        return any(each.prompt_may_live(now) for each in self.attempts)

    def with_next_seqs(self, now: datetime, *, but: str) -> "Account":
        """The account with the next `seq` of every attempt, except the one with this id."""
        return Account(
            self.order,
            tuple(each if each.id == but else each.with_next_seq(now) for each in self.attempts),
        )

    def ended(self, status: OrderStatus, now: datetime) -> "Account":
        """The account with its order's new status, and the next `seq` of every attempt.

        Nothing is awaited by hand any longer, though money that still comes is taken.
        """
        order = replace(self.order, status=status, updated_at=now)
        attempts = (each.not_received(now) if each.by_hand else each for each in self.attempts)
        return Account(order, tuple(each.with_next_seq(now) for each in attempts))

    def changed(self, attempt: Attempt) -> "Account":
        """The account with one attempt replaced by its new state."""
        attempts = tuple(attempt if each.id == attempt.id else each for each in self.attempts)
        return Account(self.order, attempts)
