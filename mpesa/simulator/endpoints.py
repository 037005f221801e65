"""Daraja's three endpoints: token, push, query."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from mpesa.simulator import bodies, refusals
from mpesa.simulator.ids import merchant_request_id
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.refusals import Refusal, UnknownConsumer
from mpesa.simulator.script import Answer, Callback, Push, Query, Script
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.tokens import LIFETIME
from mpesa.simulator.validation import read_push, read_query

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# About one answer in five failed in a live run; a little more often shows it sooner.
_FLAKY_SHARE = 0.4


class DarajaEndpoints:
    """The skin that speaks Daraja's HTTP."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes, with every method: Daraja answers wrong ones in its own words."""
        for path, view in (
            ("/oauth/v1/generate", self.token),
            ("/mpesa/stkpush/v1/processrequest", self.push),
            ("/mpesa/stkpushquery/v1/query", self.query),
            ("/oauth/<path:rest>", self.elsewhere),
            ("/mpesa/<path:rest>", self.elsewhere),
        ):
            name = f"{view.__name__}_{path.split('/')[1]}"
            blueprint.add_url_rule(path, name, view, methods=_METHODS)
        blueprint.register_error_handler(Refusal, self.refused)
        blueprint.register_error_handler(UnknownConsumer, self.unknown_consumer)

    def token(self) -> Response:
        """GET /oauth/v1/generate."""
        _only("GET")
        authorization = request.headers.get("Authorization", "")
        if not authorization.lower().startswith("basic "):
            raise refusals.wrong_authentication()
        if request.args.get("grant_type") != "client_credentials":
            raise refusals.wrong_grant()
        return jsonify(bodies.token(self._simulator.tokens.give(authorization), LIFETIME))

    def push(self) -> Response:
        """POST /mpesa/stkpush/v1/processrequest."""
        asked = read_push(self._body())
        script = self._simulator.bank.script(asked.msisdn)
        if script.push is Push.HTML_503:
            return Response(bodies.INCAPSULA_PAGE, 503, content_type="text/html")
        _refuse_as_scripted(script)
        payment = self._simulator.take(asked, script)
        return self._answer_to(payment)

    def query(self) -> Response:
        """POST /mpesa/stkpushquery/v1/query."""
        payment = self._simulator.bank.payment(read_query(self._body()))
        if payment is None:
            raise refusals.unknown_payment()
        mode = self._simulator.bank.script(payment.msisdn).query
        if mode is Query.RATE_LIMITED:
            return _json(bodies.SPIKE_ARREST, 429)
        if mode is Query.FLAKY and self._simulator.chance.random() < _FLAKY_SHARE:
            raise refusals.unknown_payment()
        return jsonify(bodies.query_answer(payment, _as_told(payment, mode)))

    def elsewhere(self, rest: str) -> Response:
        """Any other path of the API."""
        raise refusals.no_such_path()

    def refused(self, refusal: Refusal) -> Response:
        """Answer a refusal in Daraja's shape."""
        request_id = merchant_request_id(self._simulator.chance)
        return _json(bodies.error(request_id, refusal.code, refusal.message), refusal.status)

    def unknown_consumer(self, _: UnknownConsumer) -> Response:
        """Answer unknown credentials as live runs saw it: 400, text/plain, nothing in it."""
        return Response("", 400, content_type="text/plain")

    def _body(self) -> dict[str, object]:
        _only("POST")
        self._simulator.tokens.check(request.headers.get("Authorization", ""))
        if request.mimetype != "application/json":
            # Without the header the gateway reads no field at all and names the first one
            # (Daraja docs, M-PESA Express FAQ 9).
            raise refusals.invalid("BusinessShortCode")
        try:
            body = json.loads(request.get_data())
        except (ValueError, RecursionError):
            raise refusals.unreadable() from None
        if not isinstance(body, dict):
            raise refusals.unreadable()
        return body

    def _answer_to(self, payment: Payment) -> Response:
        if payment.script.push is Push.TIMEOUT:
            self._simulator.hold(self._simulator.timing.push_hold)
        if payment.script.push is Push.ERROR_500:
            raise refusals.unknown_fate()
        if payment.script.callback is Callback.BEFORE_RESPONSE:
            self._simulator.hold_for_callback(payment)
        response = jsonify(bodies.accepted(payment))
        response.call_on_close(payment.acknowledge)
        return response


def _only(method: str) -> None:
    if request.method != method:
        raise refusals.wrong_method()


def _refuse_as_scripted(script: Script) -> None:
    if script.push is Push.REFUSED:
        raise refusals.invalid("PhoneNumber")
    if script.answer is Answer.BUSY:
        raise refusals.line_locked()


def _as_told(payment: Payment, mode: Query) -> Outcome | None:
    """Return the outcome that a query tells, which need not be the true one."""
    if mode is Query.PENDING:
        return None
    if mode is Query.WRONG_FAILED and payment.outcome is Outcome.PAID:
        return Outcome.IGNORED
    return payment.outcome


def _json(body: Any, status: int) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response
