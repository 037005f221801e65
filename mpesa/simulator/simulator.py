"""The simulator: takes pushes, lets payers answer, moves money and tells the merchant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Any

from mpesa.simulator import bodies
from mpesa.simulator.bank import Bank
from mpesa.simulator.organisation import Organisation
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payer import Ending, plan
from mpesa.simulator.payment import Payment
from mpesa.simulator.postman import Post, post_callback
from mpesa.simulator.script import Callback, PushAnswer, Script
from mpesa.simulator.tokens import Tokens
from mpesa.simulator.validation import PushRequest

NAMESPACE = "/simulator"


@dataclass(frozen=True)
class Timing:
    """How long things last, in seconds.

    Attributes:
        prompt_life: a prompt that is left alone.
        silent_life: the same on Safaricom's test number, whose query turned to 1037 between 6 and
            14 s (nkap, sandbox runs of September 2026).
        push_hold: a push answer that comes too late, well past the 15 to 30 s that clients wait.
        callback_hold: a push answer's wait for a callback that is to come first, below those 15 s.
        acknowledgement: a payer's wait for the push answer to leave, so that a result does not
            overtake it unless a script says so.
    """

    prompt_life: float = 60
    silent_life: float = 14
    push_hold: float = 60
    callback_hold: float = 10
    acknowledgement: float = 1


class Simulator:
    """Daraja in a box: all of its state, which the routes read and change.

    Args:
        business: the name that prompts and SMS show.
        timing: how long things last.
        now: the clock, aware UTC.
        chance: the source of ids; None: the system's.
        post: sends a callback.
    """

    def __init__(
        self,
        socketio: Any,
        *,
        business: str = "Duka la Mfano",
        timing: Timing = Timing(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Random | None = None,
        post: Post = post_callback,
    ) -> None:
        self.business = business
        self.timing = timing
        self.chance = chance or SystemRandom()
        self.bank = Bank(business, now, self.chance)
        self.tokens = Tokens(now, self.chance)
        self.organisation = Organisation()
        self._socketio = socketio
        self._post = post

    def take(self, request: PushRequest, script: Script) -> Payment:
        """Start a payment and bring the prompt to the phone.

        Raises:
            Refusal: the line is locked.
        """
        payment = self.bank.open(request, script)
        comes_first = script.callback is Callback.BEFORE_RESPONSE
        payment.is_acknowledged = comes_first or script.push is PushAnswer.TIMEOUT
        self.announce(payment.msisdn)
        self._socketio.start_background_task(self._let_payer_act, payment)
        return payment

    def finish(self, payment: Payment, ending: Ending) -> bool:
        """End an open payment and report it; returns False where it had ended before."""
        if not self.bank.finish(payment, ending):
            return False
        self.announce(payment.msisdn)
        self._socketio.start_background_task(self._report, payment)
        return True

    def forget(self) -> None:
        """Forget everything, tokens included."""
        self.bank.forget()
        self.tokens.forget()
        self.organisation = Organisation()
        self.announce(None)

    def announce(self, msisdn: str | None) -> None:
        """Tell open phones to look at a line again.

        Args:
            msisdn: the line; None: all of them.
        """
        self._socketio.emit("changed", {"msisdn": msisdn}, namespace=NAMESPACE)

    def hold(self, seconds: float) -> None:
        """Keep a caller waiting for this many seconds."""
        self._socketio.sleep(seconds)

    def hold_for_callback(self, payment: Payment) -> None:
        """Keep the push's caller waiting until its callback was sent, or for `callback_hold`."""
        self._wait_until(lambda: payment.is_reported, self.timing.callback_hold)

    def _let_payer_act(self, payment: Payment) -> None:
        wait, ending = plan(payment, self.timing.prompt_life, self.timing.silent_life)
        self._wait_until(lambda: payment.is_acknowledged, self.timing.acknowledgement)
        self._socketio.sleep(wait)
        self.finish(payment, ending)

    def _report(self, payment: Payment) -> None:
        script = self.bank.script(payment.msisdn)
        self._socketio.sleep(script.callback_after)
        self._tell_merchant(payment)
        payment.is_reported = True
        if payment.outcome is Outcome.PAID or script.late_success_after is None:
            return
        self._socketio.sleep(script.late_success_after)
        if self.bank.pay_late(payment):
            self.announce(payment.msisdn)
            self._tell_merchant(payment)

    def _tell_merchant(self, payment: Payment) -> None:
        script = self.bank.script(payment.msisdn)
        mode = script.callback
        if mode is Callback.NEVER or not self.bank.is_known(payment):
            return
        body = bodies.callback(payment, script.metadata)
        if mode is Callback.GARBLED:
            body = bodies.garbled(body)
        for _ in range(2 if mode is Callback.TWICE else 1):
            self._post(payment.request.callback_url, body, payment.request.shortcode)

    def _wait_until(self, is_so: Callable[[], bool], at_most: float) -> None:
        step = 0.01
        for _ in range(round(at_most / step)):
            if is_so():
                return
            self._socketio.sleep(step)
