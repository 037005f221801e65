"""The simulator's memory: lines, payments and the money that moved. Every method holds the lock."""

from __future__ import annotations

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

# Daraja docs, M-PESA Express: wait a minute before asking a line again; the same amount from the
# same customer within two is result 17.
_LOCK = timedelta(minutes=1)
_SAME_AMOUNT = timedelta(minutes=2)

_MESSAGES_KEPT = 30  # a line's; a load test would fill the memory with SMS that nobody reads


class Bank:
    """Lines with their scripts, one open payment a line at most, and the ledger."""

    def __init__(self, business: str, now: Callable[[], datetime], chance: Random) -> None:
        self.business = business
        self._now = now
        self._chance = chance
        self._lock = RLock()
        self.forget()

    def forget(self) -> None:
        """Forget every line, payment and SMS; what is still under way for them ends in nothing."""
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
        """Return how the line behaves now."""
        with self._lock:
            return self._scripts.get(msisdn) or first_script(msisdn)

    def rescript(self, msisdn: str, wishes: Mapping[str, object]) -> Script:
        """Change the line's switches; raises InvalidField, and then nothing is changed."""
        with self._lock:
            self._scripts[msisdn] = changed(self.script(msisdn), wishes)
            return self._scripts[msisdn]

    def scripts(self) -> dict[str, Script]:
        """Return every line that was scripted or asked to pay."""
        with self._lock:
            return dict(self._scripts)

    def open(self, request: PushRequest, script: Script) -> Payment:
        """Lock the line and start a payment; raises Refusal if the line is locked."""
        with self._lock:
            now = self._now()
            if request.msisdn in self._open or self._is_locked(request, script, now):
                raise line_locked()
            self._scripts.setdefault(request.msisdn, script)
            payment = Payment(
                id=self._unused_id(request.msisdn),
                merchant_request_id=ids.merchant_request_id(self._chance),
                request=request,
                script=script,
                created_at=now,
                doomed_to=doom_of(request) or self._rule_17(request, script, now),
            )
            self._payments[payment.id] = self._open[request.msisdn] = payment
            self._last[request.msisdn] = payment
            return payment

    def payment(self, checkout_request_id: str) -> Payment | None:
        """Return the payment with that CheckoutRequestID, None if there is none."""
        with self._lock:
            return self._payments.get(checkout_request_id)

    def is_known(self, payment: Payment) -> bool:
        """Return False once the payment was forgotten."""
        return self.payment(payment.id) is payment

    def prompts(self, msisdn: str | None = None) -> list[Payment]:
        """Return the open prompts, oldest first: one line's, or all if None."""
        with self._lock:
            payments = [self._open.get(msisdn)] if msisdn else list(self._open.values())
        return [payment for payment in payments if payment and payment.shows_prompt]

    def ledger(self) -> list[Payment]:
        """Return every payment that moved money, in the order in which it did."""
        with self._lock:
            return list(self._paid)

    def messages(self, msisdn: str) -> list[Message]:
        """Return the line's newest SMS, oldest first."""
        with self._lock:
            return list(self._messages.get(msisdn, ()))

    def finish(self, payment: Payment, ending: Callable[[Script], Outcome]) -> bool:
        """End an open payment and release its line.

        `ending` decides on the line as it is now. Returns False if another got there first.
        """
        with self._lock:
            if self._open.get(payment.msisdn) is not payment:
                return False
            del self._open[payment.msisdn]
            self._end(payment, ending(self.script(payment.msisdn)))
            return True

    def pay_late(self, payment: Payment) -> bool:
        """Move the money of a payment that had failed; False if it can't or already has moved."""
        with self._lock:
            has_moved = payment.receipt is not None
            has_money = self.script(payment.msisdn).balance >= payment.request.amount
            if has_moved or not has_money or not self.is_known(payment):
                return False
            self._end(payment, Outcome.PAID)
            return True

    def _is_locked(self, request: PushRequest, script: Script, now: datetime) -> bool:
        last = self._last.get(request.msisdn)
        return script.again is Again.LOCKED and last is not None and now - last.created_at < _LOCK

    def _rule_17(self, request: PushRequest, script: Script, now: datetime) -> Outcome | None:
        paid_at = self._last_paid.get((request.msisdn, request.amount))
        is_repeated = paid_at is not None and now - paid_at < _SAME_AMOUNT
        return Outcome.SAME_AMOUNT if script.again is Again.RULE_17 and is_repeated else None

    def _end(self, payment: Payment, outcome: Outcome) -> None:
        if outcome is Outcome.PAID:
            self._move_money(payment)
        payment.outcome = outcome
        balance = self.script(payment.msisdn).balance
        if text := sms_about(payment, self.business, balance):
            self._messages_sent += 1
            message = Message(self._messages_sent, text, payment.receipt is not None, self._now())
            self._messages[payment.msisdn].append(message)

    def _move_money(self, payment: Payment) -> None:
        script = self.script(payment.msisdn)
        left = script.balance - payment.request.amount
        self._scripts[payment.msisdn] = replace(script, balance=left)
        payment.paid_at = self._now()
        payment.receipt = self._unused_receipt(payment.paid_at)
        self._paid.append(payment)
        self._last_paid[payment.msisdn, payment.request.amount] = payment.paid_at

    def _unused_id(self, msisdn: str) -> str:
        moment = self._now()
        while (found := ids.checkout_request_id(moment, msisdn)) in self._payments:
            moment += timedelta(milliseconds=1)
        return found

    def _unused_receipt(self, moment: datetime) -> str:
        while (receipt := ids.receipt_number(moment, self._chance)) in self._receipts:
            pass
        self._receipts.add(receipt)
        return receipt
