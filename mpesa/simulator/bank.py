"""The simulator's memory: lines, payments and the money that moved. Every method holds the lock."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from threading import RLock

from mpesa.simulator import ids
from mpesa.simulator.messages import Message, sms_about
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment, doom_of
from mpesa.simulator.refusals import line_locked
from mpesa.simulator.script import Again, Script, changed, first_script
from mpesa.simulator.validation import PushRequest

# Daraja docs, M-PESA Express: a line may be asked again after a minute; the same amount from the
# same customer within two minutes ends with result 17.
_LOCK = timedelta(minutes=1)
_SAME_AMOUNT = timedelta(minutes=2)

# For each line: a load test would fill the memory with SMS that are never read.
_MESSAGES_KEPT = 30


class Bank:
    """Lines with their scripts, at most one open payment for each line, and the ledger.

    Args:
        business: the name that SMS show.
        now: the clock, aware UTC.
        chance: the source of ids and receipts.
    """

    def __init__(self, business: str, now: Callable[[], datetime], chance: Random) -> None:
        self.business = business
        self._now = now
        self._chance = chance
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
            self._paid: list[Payment] = []
            self._receipts: set[str] = set()
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

    def prompts(self, msisdn: str | None = None) -> list[Payment]:
        """The open prompts, oldest first.

        Args:
            msisdn: a line; None: all of them.
        """
        with self._lock:
            payments = [self._open.get(msisdn)] if msisdn else list(self._open.values())
        return [payment for payment in payments if payment and payment.shows_prompt]

    def ledger(self) -> list[Payment]:
        """Every payment that moved money, in the order in which it did."""
        with self._lock:
            return list(self._paid)

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

    def _end(self, payment: Payment, outcome: Outcome) -> None:
        if outcome is Outcome.PAID:
            script = self.script(payment.msisdn)
            left = script.balance - payment.request.amount
            self._scripts[payment.msisdn] = replace(script, balance=left)
            payment.paid_at = self._now()
            while (receipt := ids.receipt_number(payment.paid_at, self._chance)) in self._receipts:
                pass
            self._receipts.add(receipt)
            payment.receipt = receipt
            self._paid.append(payment)
            self._last_paid[payment.msisdn, payment.request.amount] = payment.paid_at
        payment.outcome = outcome
        balance = self.script(payment.msisdn).balance
        if text := sms_about(payment, self.business, balance):
            self._messages_sent += 1
            message = Message(self._messages_sent, text, payment.receipt is not None, self._now())
            self._messages[payment.msisdn].append(message)
