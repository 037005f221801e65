"""Daraja's endpoints of M-PESA Express: token, push, query; and its words for every other path."""

from flask import Blueprint, Response, current_app, request

from mpesa.simulator import bodies, refusals
from mpesa.simulator.fields import Body
from mpesa.simulator.ids import merchant_request_id
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.refusals import Blocked, RateLimited, Refusal, UnknownConsumer
from mpesa.simulator.script import Answer, Callback, PushAnswer, Query, Script
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.tokens import LIFETIME
from mpesa.simulator.validation import read_push, read_query
from mpesa.simulator.wire import METHODS, answered, body_of_request, require_method

# About one answer in five failed in a live run; a little more often shows it sooner.
_FLAKY_SHARE = 0.4


class DarajaEndpoints:
    """The routes that speak Daraja's HTTP."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes, with every method: Daraja answers wrong ones in its own words."""
        for path, view, methods in (
            ("/oauth/v1/generate", self.token, METHODS),
            ("/mpesa/stkpush/v1/processrequest", self.push, METHODS),
            ("/mpesa/stkpushquery/v1/query", self.query, METHODS),
            ("/<path:rest>", self.elsewhere, METHODS),
            ("/", self.root, METHODS[1:]),  # GET is the virtual phone
        ):
            blueprint.add_url_rule(path, view.__name__, view, methods=methods)
        blueprint.register_error_handler(Refusal, self.refused)
        blueprint.register_error_handler(UnknownConsumer, self.unknown_consumer)
        blueprint.register_error_handler(Blocked, self.blocked)
        blueprint.register_error_handler(RateLimited, self.rate_limited)

    def token(self) -> Response:
        """GET /oauth/v1/generate."""
        require_method("GET")
        authorization = request.headers.get("Authorization", "")
        if not authorization.lower().startswith("basic "):
            raise refusals.wrong_authentication()
        if request.args.get("grant_type") != "client_credentials":
            raise refusals.wrong_grant()
        living = self._simulator.organisation.tokens
        return answered(bodies.token(self._simulator.tokens.give(authorization, living), LIFETIME))

    def push(self) -> Response:
        """POST /mpesa/stkpush/v1/processrequest."""
        asked = read_push(self._body(), self._simulator.organisation)
        script = self._simulator.bank.script(asked.msisdn)
        _turn_down(script)
        payment = self._simulator.take(asked, script)
        if script.push is PushAnswer.TIMEOUT:
            self._simulator.hold(self._simulator.timing.push_hold)
        if script.push is PushAnswer.ERROR_500:
            raise refusals.unknown_fate()
        if script.callback is Callback.BEFORE_RESPONSE:
            self._simulator.hold_for_callback(payment)
        response = answered(bodies.accepted(payment))
        response.call_on_close(payment.acknowledge)
        return response

    def query(self) -> Response:
        """POST /mpesa/stkpushquery/v1/query."""
        payment = self._simulator.bank.payment(read_query(self._body()))
        if payment is None:
            raise refusals.unknown_payment()
        mode = self._simulator.bank.script(payment.msisdn).query
        if mode is Query.FLAKY and self._simulator.chance.random() < _FLAKY_SHARE:
            raise refusals.unknown_payment()
        if mode is Query.RATE_LIMITED:
            raise RateLimited
        if mode is Query.PENDING_500:
            raise refusals.still_processing()
        if mode is Query.TOO_EARLY:
            raise refusals.invalid("CheckoutRequestID")
        outcome = payment.outcome
        if mode is Query.PENDING:
            outcome = None
        elif mode is Query.WRONG_FAILED and outcome is Outcome.PAID:
            outcome = Outcome.IGNORED
        return answered(bodies.query_answer(payment, outcome))

    def root(self) -> Response:
        """Refuse the address alone, which Daraja does not serve."""
        raise refusals.no_such_path()

    def elsewhere(self, rest: str) -> Response:
        """Refuse every other path of the API, or another method of the virtual phone's."""
        adapter = current_app.url_map.bind("")
        endpoints = {adapter.match(request.path, method)[0] for method in METHODS}
        raise refusals.no_such_path() if len(endpoints) == 1 else refusals.wrong_method()

    def refused(self, refusal: Refusal) -> Response:
        """Answer a refusal in Daraja's shape."""
        request_id = merchant_request_id(self._simulator.chance)
        return answered(bodies.error(request_id, refusal.code, refusal.message), refusal.status)

    def unknown_consumer(self, _: UnknownConsumer) -> Response:
        """Answer unknown credentials as live runs saw it: 400, text/plain, an empty body."""
        return Response("", 400, content_type="text/plain")

    def blocked(self, _: Blocked) -> Response:
        """Answer as the firewall does."""
        return Response(bodies.INCAPSULA_PAGE, 503, content_type="text/html")

    def rate_limited(self, _: RateLimited) -> Response:
        """Answer as the gateway does."""
        return answered(bodies.SPIKE_ARREST, 429)

    def _body(self) -> Body:
        return body_of_request(self._simulator.tokens, "BusinessShortCode")


def _turn_down(script: Script) -> None:
    """Refuse a push as the line's script says, before a prompt reaches the phone."""
    match script.push:
        case PushAnswer.HTML_503:
            raise Blocked
        case PushAnswer.RATE_429:
            raise RateLimited
        case PushAnswer.REFUSED:
            raise refusals.invalid("PhoneNumber")
        case PushAnswer.BUSY_500:
            raise refusals.busy()
        case PushAnswer.QUOTA:
            raise refusals.over_quota()
        case PushAnswer.DEAD_TOKEN:
            raise refusals.no_product()
    if script.answer == Answer.BUSY:
        raise refusals.line_locked()
