"""The simulator's memory: lines, payments and the money that moved. Every method holds the lock."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from threading import RLock

from mpesa.simulator import ids
from mpesa.simulator.books import Account, Books, Entry, account_of
from mpesa.simulator.hand import Declined, HandPayment
from mpesa.simulator.merchants import SOMEBODY_ELSE, Payee
from mpesa.simulator.messages import (
    Message,
    sms_of_failure,
    sms_of_receipt,
    sms_of_reversal,
    sms_of_too_little,
    sms_of_wrong_pin,
)
from mpesa.simulator.movement import Channel, Direction, Movement
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import LARGEST_AMOUNT, Payment, doom_of
from mpesa.simulator.refusals import line_locked
from mpesa.simulator.reversals import NotReversed, Obstacle
from mpesa.simulator.script import Again, Script, changed, first_script
from mpesa.simulator.validation import PushRequest

# Daraja docs, M-PESA Express: a line may be asked again after a minute; the same amount from the
# same customer within two minutes ends with result 17.
_LOCK = timedelta(minutes=1)
_SAME_AMOUNT = timedelta(minutes=2)

# For each line: a load test would fill the memory with SMS that are never read.
_MESSAGES_KEPT = 30


class Bank:
    """Lines with their scripts, at most one open push for each line, the ledger, and the books.

    Args:
        business: the name that SMS show.
        now: the clock, aware UTC.
        chance: the source of ids and receipts.
        opening: whole KES that a merchant's accounts begin with.
    """

    def __init__(
        self, business: str, now: Callable[[], datetime], chance: Random, opening: int = 0
    ) -> None:
        self.business = business
        self._now = now
        self._chance = chance
        self._opening = opening
        self._lock = RLock()
        self.forget()

    def forget(self) -> None:
        """Forget every line, payment and SMS; tasks under way for them then do nothing."""
        with self._lock:
            self._scripts: dict[str, Script] = {}
            self._payments: dict[str, Payment] = {}
            self._open: dict[str, Payment] = {}
            self._last: dict[str, Payment] = {}
            self._last_paid: dict[tuple[str, int], datetime] = {}
            self._moved: dict[str, Movement] = {}
            self._drawn: set[str] = set()
            self._books = Books(self._opening)
            self._messages: dict[str, deque[Message]] = defaultdict(
                lambda: deque(maxlen=_MESSAGES_KEPT)
            )
            self._messages_sent = 0

    def script(self, msisdn: str) -> Script:
        """The script of a line, as it is now."""
        with self._lock:
            return self._scripts.get(msisdn) or first_script(msisdn)

    def rescript(self, msisdn: str, wishes: Mapping[str, object]) -> Script:
        """Change a line's switches.

        Raises:
            InvalidField: a wish cannot be met; nothing was changed.
        """
        with self._lock:
            self._scripts[msisdn] = changed(self.script(msisdn), wishes)
            return self._scripts[msisdn]

    def scripts(self) -> dict[str, Script]:
        """Every line that was scripted or asked to pay, with its script."""
        with self._lock:
            return dict(self._scripts)

    def open(self, request: PushRequest, script: Script) -> Payment:
        """Lock the line and start a payment.

        Raises:
            Refusal: the line is locked.
        """
        with self._lock:
            now, last = self._now(), self._last.get(request.msisdn)
            asked_lately = last is not None and now - last.created_at < _LOCK
            if request.msisdn in self._open or (script.again is Again.LOCKED and asked_lately):
                raise line_locked()
            paid_at = self._last_paid.get((request.msisdn, request.amount))
            paid_lately = paid_at is not None and now - paid_at < _SAME_AMOUNT
            rule_17 = script.again is Again.RULE_17 and paid_lately
            moment = now
            while (unused := ids.checkout_request_id(moment, request.msisdn)) in self._payments:
                moment += timedelta(milliseconds=1)
            self._scripts.setdefault(request.msisdn, script)
            payment = Payment(
                id=unused,
                merchant_request_id=ids.merchant_request_id(self._chance),
                request=request,
                script=script,
                created_at=now,
                doomed_to=doom_of(request) or (Outcome.SAME_AMOUNT if rule_17 else None),
            )
            self._payments[payment.id] = self._open[request.msisdn] = payment
            self._last[request.msisdn] = payment
            return payment

    def payment(self, checkout_request_id: str) -> Payment | None:
        """Find the payment with a CheckoutRequestID; None where there is none."""
        with self._lock:
            return self._payments.get(checkout_request_id)

    def is_known(self, payment: Payment) -> bool:
        """Whether a payment was not forgotten since."""
        return self.payment(payment.id) is payment

    def knows(self, movement: Movement) -> bool:
        """Whether a movement was not forgotten since."""
        return self.movement(movement.receipt) is movement

    def prompts(self, msisdn: str | None = None) -> list[Payment]:
        """The open prompts, oldest first.

        Args:
            msisdn: a line; None: all of them.
        """
        with self._lock:
            payments = [self._open.get(msisdn)] if msisdn else list(self._open.values())
        return [payment for payment in payments if payment and payment.shows_prompt]

    def ledger(self) -> list[Movement]:
        """Every movement of money, in the order in which they happened."""
        with self._lock:
            return list(self._moved.values())

    def movement(self, receipt: str | None) -> Movement | None:
        """Find the movement with a receipt; None where there is none."""
        with self._lock:
            return self._moved.get(receipt or "")

    def messages(self, msisdn: str) -> list[Message]:
        """The newest SMS of a line, oldest first."""
        with self._lock:
            return list(self._messages.get(msisdn, ()))

    def finish(self, payment: Payment, ending: Callable[[Script], Outcome]) -> bool:
        """End an open payment and release its line.

        Args:
            ending: decides on the line as it is now.

        Returns:
            False where it had ended before.
        """
        with self._lock:
            if self._open.get(payment.msisdn) is not payment:
                return False
            del self._open[payment.msisdn]
            self._end(payment, ending(self.script(payment.msisdn)))
            return True

    def pay_late(self, payment: Payment) -> bool:
        """Move the money of a payment that had failed.

        Returns:
            False where the money is missing or has already moved, or the payment was forgotten.
        """
        with self._lock:
            has_moved = payment.receipt is not None
            has_money = self.script(payment.msisdn).balance >= payment.request.amount
            if has_moved or not has_money or not self.is_known(payment):
                return False
            self._end(payment, Outcome.PAID)
            return True

    def begin(self, hand: HandPayment) -> Movement:
        """Look whether a payer can make a payment, and give it a receipt; nothing moves yet.

        Raises:
            Declined: the payer can't; the line got an SMS where M-PESA sends one.
        """
        with self._lock:
            business, balance = self.name_of(hand.payee), self.script(hand.msisdn).balance
            if hand.amount > LARGEST_AMOUNT:
                raise Declined("over_limit", f"M-PESA takes KES {LARGEST_AMOUNT:,} at most.")
            if hand.pin not in (None, self.script(hand.msisdn).pin):
                self._send(hand.msisdn, sms_of_wrong_pin(hand.amount, business))
                raise Declined("wrong_pin", "Wrong PIN. Nothing was paid.")
            if balance < hand.amount:
                self._send(hand.msisdn, sms_of_too_little(hand.amount, business, balance))
                raise _too_little()
            now = self._now()
            return Movement(
                receipt=self._draw(now),
                direction=Direction.IN,
                channel=Channel.HAND,
                payee=hand.payee,
                msisdn=hand.msisdn,
                amount=hand.amount,
                account=hand.account,
                paid_at=now,
            )

    def complete(self, movement: Movement) -> None:
        """Move the money of a payment by hand that was begun.

        Raises:
            Declined: the line's money went elsewhere in the meantime.
        """
        with self._lock:
            if self.script(movement.msisdn).balance < movement.amount:
                raise _too_little()
            self._collect(movement)

    def give_back(
        self,
        receipt: str,
        amount: int | None,
        channel: Channel,
        operator: str,
        *,
        is_linked: bool = True,
    ) -> Movement:
        """Give a payment back to its payer.

        Args:
            amount: whole KES; None: all of it. Only the portal gives back a part.
            operator: who does it, for the statement.
            is_linked: whether the statement tells what is given back.

        Raises:
            NotReversed: nothing moved.
        """
        with self._lock:
            paid = self._moved.get(receipt)
            if paid is None or paid.direction is Direction.OUT or not paid.payee.is_ours:
                raise NotReversed(Obstacle.UNKNOWN)
            given = [each.amount for each in self._moved.values() if each.reverses == receipt]
            left = paid.amount - sum(given)
            wanted = left if amount is None else amount
            self._refuse_reversal(paid, wanted, left, channel)
            now = self._now()
            back = Movement(
                receipt=self._draw(now),
                direction=Direction.OUT,
                channel=channel,
                payee=paid.payee,
                msisdn=paid.msisdn,
                amount=wanted,
                account="",
                paid_at=now,
                reverses=receipt,
                is_linked=is_linked,
            )
            if wanted == left:
                paid.returned_by = back.receipt
            self._moved[back.receipt] = back
            self._books.give_back(back, f"{self.business}\\{operator}")
            script = self.script(paid.msisdn)
            balance = script.balance + wanted
            self._scripts[paid.msisdn] = replace(script, balance=balance)
            self._send(paid.msisdn, sms_of_reversal(back, balance), is_receipt=True)
            return back

    def _refuse_reversal(self, paid: Movement, wanted: int, left: int, channel: Channel) -> None:
        is_api = channel is Channel.API
        if left == 0 or (is_api and left < paid.amount):
            raise NotReversed(Obstacle.ALREADY_BACK)
        if wanted > left:
            raise NotReversed(Obstacle.TOO_MUCH)
        if is_api and wanted < paid.amount:
            raise NotReversed(Obstacle.TOO_LITTLE)
        if self._books.balance(paid.payee.shortcode, account_of(paid.payee)) < wanted * 100:
            raise NotReversed(Obstacle.NO_MONEY)

    def sweep(self) -> list[Entry]:
        """Send all that merchants' accounts hold to their banks.

        Returns:
            The withdrawals.
        """
        with self._lock:
            now = self._now()
            return self._books.sweep(lambda: self._draw(now), now)

    def decline(self, movement: Movement, text: str) -> None:
        """Tell a payer by SMS that the merchant did not want the payment."""
        with self._lock:
            self._books.cancel(movement)
            self._send(movement.msisdn, text)

    def name_of(self, payee: Payee) -> str:
        """The name that the SMS about a payment shows."""
        return self.business if payee.is_ours else SOMEBODY_ELSE

    def balance(self, shortcode: str, account: Account) -> int:
        """What is in a merchant's account, in cents."""
        with self._lock:
            return self._books.balance(shortcode, account)

    def fund(self, amount: int) -> None:
        """Bring every merchant's account that takes payments to this many whole KES."""
        with self._lock:
            now = self._now()
            self._books.fund(amount, lambda: self._draw(now), now)

    def entries(self, shortcode: str, accounts: Iterable[Account]) -> tuple[list[Entry], int]:
        """Every entry in a merchant's accounts, and what is in some of them now, in cents."""
        with self._lock:
            held = sum(self._books.balance(shortcode, account) for account in accounts)
            return self._books.entries(shortcode), held

    def _end(self, payment: Payment, outcome: Outcome) -> None:
        if outcome is Outcome.PAID:
            self._pay(payment)
        payment.outcome = outcome
        balance = self.script(payment.msisdn).balance
        if text := sms_of_failure(payment, self.business, balance):
            self._send(payment.msisdn, text)

    def _pay(self, payment: Payment) -> None:
        asked = payment.request
        payment.paid_at = self._now()
        payment.receipt = self._draw(payment.paid_at)
        self._last_paid[payment.msisdn, asked.amount] = payment.paid_at
        movement = Movement(
            receipt=payment.receipt,
            direction=Direction.IN,
            channel=Channel.PUSH,
            payee=Payee(asked.party, asked.shortcode, asked.kind),
            msisdn=payment.msisdn,
            amount=asked.amount,
            account=asked.reference,
            paid_at=payment.paid_at,
            checkout_request_id=payment.id,
        )
        self._collect(movement)

    def _collect(self, movement: Movement) -> None:
        script = self.script(movement.msisdn)
        left = script.balance - movement.amount
        self._scripts[movement.msisdn] = replace(script, balance=left)
        self._moved[movement.receipt] = movement
        if movement.payee.is_ours:
            self._books.take(movement)
        business = self.name_of(movement.payee)
        self._send(movement.msisdn, sms_of_receipt(movement, business, left), is_receipt=True)

    def _draw(self, moment: datetime) -> str:
        while (receipt := ids.receipt_number(moment, self._chance)) in self._drawn:
            pass
        self._drawn.add(receipt)
        return receipt

    def _send(self, msisdn: str, text: str, *, is_receipt: bool = False) -> None:
        with self._lock:
            self._messages_sent += 1
            message = Message(self._messages_sent, text, is_receipt, self._now())
            self._messages[msisdn].append(message)


def _too_little() -> Declined:
    return Declined("insufficient_funds", "There is not enough money on this line.")
