"""The simulator: takes pushes, lets payers answer, moves money and tells the merchant."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from typing import Any

from flask import Response

from mpesa.simulator import bodies, confirmations
from mpesa.simulator.api_users import ApiUsers
from mpesa.simulator.bank import Bank
from mpesa.simulator.confirmations import Registration, ResponseType, Verdict, Version
from mpesa.simulator.fields import Body
from mpesa.simulator.hand import Declined, HandPayment
from mpesa.simulator.movement import Channel, Movement
from mpesa.simulator.organisation import Confirmation, Organisation
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payer import Ending, plan
from mpesa.simulator.payment import Payment
from mpesa.simulator.postman import Ask, Post, ask_merchant, origin_of, post_callback
from mpesa.simulator.script import Callback, PushAnswer, Script
from mpesa.simulator.tokens import Tokens
from mpesa.simulator.validation import PushRequest
from mpesa.simulator.wire import body_of_request

NAMESPACE = "/simulator"

_log = logging.getLogger(__name__)


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
        late: what the organisation's switches call late.
    """

    prompt_life: float = 60
    silent_life: float = 14
    push_hold: float = 60
    callback_hold: float = 10
    acknowledgement: float = 1
    late: float = 120


class Simulator:
    """Daraja in a box: all of its state, which the routes read and change.

    Args:
        business: the name that prompts and SMS show.
        timing: how long things last.
        now: this machine's clock, aware UTC.
        chance: the source of ids; None: the system's.
        post: sends a callback.
        ask: sends a question, and returns its answer.
        only: the one address below which a merchant is told and asked; None: anywhere.
        unregistered: by short code, the address below which a merchant who registered none is told
            of money by hand; of pushes only a registered merchant is told.
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
        ask: Ask = ask_merchant,
        only: str | None = None,
        unregistered: Mapping[str, str] | None = None,
    ) -> None:
        self.business = business
        self.timing = timing
        self.chance = chance or SystemRandom()
        self.organisation = Organisation()
        self.bank = Bank(business, self.now, self.chance, self.organisation.float)
        self.tokens = Tokens(now, self.chance)
        self.api_users = ApiUsers()
        self._registrations: dict[str, Registration] = {}
        self._asked_about: set[str] = set()
        self._pulling: set[str] = set()
        self._clock = now
        self._socketio = socketio
        self._post = post
        self._ask = ask
        self._only = origin_of(only) if only else None
        self._unregistered = {
            shortcode: Registration(
                Version.V2, ResponseType.COMPLETED, f"{below}/confirmation", f"{below}/validation"
            )
            for shortcode, below in (unregistered or {}).items()
        }

    def now(self) -> datetime:
        """M-PESA's clock, aware UTC."""
        return self._clock() + timedelta(seconds=self.organisation.clock_ahead)

    def date(self, response: Response) -> Response:
        """Date an answer by M-PESA's clock, where that is not this machine's."""
        if self.organisation.clock_ahead:
            response.date = self.now()
        return response

    def body(self, first_field: str) -> Body:
        """Read a call to one of Daraja's APIs besides Express, see `wire.body_of_request`."""
        return body_of_request(self.tokens, first_field, self.organisation.gateway)

    def take(self, request: PushRequest, script: Script) -> Payment:
        """Start a payment and bring the prompt to the phone.

        Raises:
            Refusal: the line is locked.
        """
        payment = self.bank.open(request, script)
        comes_first = script.callback is Callback.BEFORE_RESPONSE
        payment.is_acknowledged = comes_first or script.push is PushAnswer.TIMEOUT
        self.announce(payment.msisdn)
        self.start(self._let_payer_act, payment)
        return payment

    def finish(self, payment: Payment, ending: Ending) -> bool:
        """End an open payment and report it; returns False where it had ended before."""
        if not self.bank.finish(payment, ending):
            return False
        self.announce(payment.msisdn)
        self.start(self._report, payment)
        return True

    def pay_by_hand(self, hand: HandPayment) -> Movement:
        """Let a payer pay by hand; the merchant is asked before, where he wants to be, and told.

        Raises:
            Declined: nothing was paid.
        """
        try:
            movement = self.bank.begin(hand)
            verdict, third_party = self._asked_merchant(movement)
            if verdict is not Verdict.ACCEPTED:
                self.bank.decline(movement, f"Failed. {verdict.value}")
                raise Declined("rejected", verdict.value)
            self.bank.complete(movement)
        finally:
            self.announce(hand.msisdn)
        self.start(self._confirm, movement, third_party)
        return movement

    def pay_by_hand_soon(self, hand: HandPayment) -> None:
        """Let a payer pay by hand, in a while and without a word about how it ended."""

        def pay() -> None:
            with suppress(Declined):
                self.pay_by_hand(hand)

        self.start(pay)

    def give_back(
        self,
        receipt: str,
        amount: int | None,
        channel: Channel,
        operator: str,
        *,
        is_linked: bool = True,
    ) -> Movement:
        """Give a payment back to its payer, see `Bank.give_back`.

        Raises:
            NotReversed: nothing moved.
        """
        back = self.bank.give_back(receipt, amount, channel, operator, is_linked=is_linked)
        self.announce(back.msisdn)
        return back

    def is_asked_first(self, receipt: str) -> bool:
        """Whether Transaction Status is asked about a receipt for the first time."""
        is_first = receipt not in self._asked_about
        self._asked_about.add(receipt)
        return is_first

    def register(self, shortcode: str, wanted: Registration, *, may_replace: bool) -> bool:
        """Keep a merchant's C2B addresses; returns False where it has some that have to stay."""
        if shortcode in self._registrations and not may_replace:
            return False
        self._registrations[shortcode] = wanted
        return True

    def unregister(self, shortcode: str) -> None:
        """Forget a merchant's C2B addresses, as the portal's URL Management does."""
        self._registrations.pop(shortcode, None)

    def enrol_for_pull(self, shortcode: str) -> bool:
        """Note that a merchant registered for Pull; returns False where it had before."""
        is_new = shortcode not in self._pulling
        self._pulling.add(shortcode)
        return is_new

    def reorganise(self, wanted: Mapping[str, object]) -> None:
        """Change how the merchant is treated.

        Raises:
            InvalidField: a wish cannot be met; nothing was changed.
        """
        self.organisation = self.organisation.changed(wanted)
        if "float" in wanted:
            self.bank.fund(self.organisation.float)
        if "initiator" in wanted:
            self.api_users.unlock()

    def forget(self) -> None:
        """Forget everything, tokens included, but the C2B addresses: merchants give them once."""
        self.organisation = Organisation()
        self.bank.forget()
        self.tokens.forget()
        self.api_users.unlock()
        self._asked_about.clear()
        self._pulling.clear()
        self.announce(None)

    def announce(self, msisdn: str | None) -> None:
        """Tell open phones to look at a line again.

        Args:
            msisdn: the line; None: all of them.
        """
        self._socketio.emit("changed", {"msisdn": msisdn}, namespace=NAMESPACE)

    def start(self, task: Callable[..., None], *arguments: object) -> None:
        """Run a task beside the request that started it."""
        self._socketio.start_background_task(task, *arguments)

    def post(self, url: str, body: bytes, shortcode: str) -> None:
        """Tell a merchant something, unless he is at an address that is not allowed."""
        if self._may_reach(url):
            self._post(url, body, shortcode)

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
        self._tell_in_order(payment, script.callback_after)
        if payment.outcome is Outcome.PAID or script.late_success_after is None:
            return
        self._socketio.sleep(script.late_success_after)
        if self.bank.pay_late(payment):
            self.announce(payment.msisdn)
            self._tell_in_order(payment, 0)

    def _tell_in_order(self, payment: Payment, callback_after: float) -> None:
        """Send the callback, and the confirmation of what was paid after or before it."""
        movement = self.bank.movement(payment.receipt)
        confirmation_leads = self.organisation.confirmation is Confirmation.BEFORE_PUSH_CALLBACK
        if movement and confirmation_leads:
            self._confirm(movement)
        self._socketio.sleep(callback_after)
        self._tell_merchant(payment)
        payment.is_reported = True
        if movement and not confirmation_leads:
            self._confirm(movement)

    def _confirm(self, movement: Movement, third_party: str = "") -> None:
        merchant = self.organisation
        mode, wait = merchant.confirmation, merchant.confirmation_after
        is_silent = movement.channel is Channel.PUSH and not merchant.push_confirmation
        if mode is Confirmation.NEVER or is_silent:
            return
        self._socketio.sleep(self.timing.late if mode is Confirmation.LATE and not wait else wait)
        registration = self._registrations.get(movement.payee.shortcode)
        if registration is None and movement.channel is not Channel.PUSH:
            registration = self._unregistered.get(movement.payee.shortcode)
        if registration is None or not self.bank.knows(movement):
            return
        body = confirmations.confirmation(movement, registration.version, merchant, third_party)
        for _ in range(2 if mode is Confirmation.TWICE else 1):
            self.post(registration.confirmation_url, body, movement.payee.shortcode)

    def _asked_merchant(self, movement: Movement) -> tuple[Verdict, str]:
        shortcode = movement.payee.shortcode
        registration = self._registrations.get(shortcode)
        if registration is None or not self.organisation.validation:
            return Verdict.ACCEPTED, ""
        body = confirmations.validation(movement, registration.version, self.organisation)
        url = registration.validation_url
        answer = self._ask(url, body, shortcode) if self._may_reach(url) else None
        verdict, third_party = confirmations.verdict_of(answer)
        completes = registration.response_type is ResponseType.COMPLETED
        if verdict is Verdict.NO_ANSWER and completes:
            return Verdict.ACCEPTED, ""
        return verdict, third_party

    def _may_reach(self, url: str) -> bool:
        is_allowed = self._only is None or origin_of(url) == self._only
        if not is_allowed:
            # Without the address, which may hold a secret.
            _log.warning("a callback was not sent: its address is not below PUBLIC_URL")
        return is_allowed

    def _tell_merchant(self, payment: Payment) -> None:
        script = self.bank.script(payment.msisdn)
        mode = script.callback
        if mode is Callback.NEVER or not self.bank.is_known(payment):
            return
        body = bodies.callback(payment, script.metadata)
        if mode is Callback.GARBLED:
            body = bodies.garbled(body)
        for _ in range(2 if mode is Callback.TWICE else 1):
            self.post(payment.request.callback_url, body, payment.request.shortcode)

    def _wait_until(self, is_so: Callable[[], bool], at_most: float) -> None:
        step = 0.01
        for _ in range(round(at_most / step)):
            if is_so():
                return
            self._socketio.sleep(step)
