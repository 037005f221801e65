"""The organisation's own routes, as on its portal: switches, reversals, sweeps, its certificate."""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify

from mpesa.simulator import keys, wishes
from mpesa.simulator.confirmations import money
from mpesa.simulator.movement import Channel, iso
from mpesa.simulator.problems import Problem, body_object, wishes_checked
from mpesa.simulator.reversals import NotReversed, Obstacle
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wishes import InvalidField

_REVERSAL: wishes.Readers = {
    "receipt": wishes.words,
    "amount": wishes.some_shillings,
    "linked": wishes.yes_or_no,
}
_OBSTACLES = {
    Obstacle.UNKNOWN: (404, "not_found"),
    Obstacle.ALREADY_BACK: (409, "already_reversed"),
    Obstacle.TOO_MUCH: (409, "too_much"),
    Obstacle.NO_MONEY: (409, "insufficient_funds"),
}


class PortalRoutes:
    """The routes for those who run the organisation."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes."""
        for path, view, method in (
            ("/organisation", self.organisation, "GET"),
            ("/organisation", self.reorganise, "PUT"),
            ("/reversals", self.give_back, "POST"),
            ("/sweep", self.sweep, "POST"),
            ("/registrations/<short_code>", self.unregister, "DELETE"),
            ("/certificate.cer", self.certificate, "GET"),
        ):
            blueprint.add_url_rule(path, view.__name__, view, methods=[method])

    def organisation(self) -> Response:
        """GET /organisation: how Daraja treats the merchant."""
        return jsonify(asdict(self._simulator.organisation))

    def reorganise(self) -> Response:
        """PUT /organisation: change some switches; the rest stays as it was."""
        with wishes_checked():
            self._simulator.reorganise(body_object())
        return self.organisation()

    def give_back(self) -> Response:
        """POST /reversals: a payment given back by others, at the portal or by M-PESA's care."""
        with wishes_checked():
            wanted = wishes.read(body_object(), _REVERSAL)
            if "receipt" not in wanted:
                raise InvalidField("receipt", "is missing")
        try:
            back = self._simulator.give_back(
                wanted["receipt"],
                wanted.get("amount"),
                Channel.PORTAL,
                "clerk1",
                is_linked=wanted.get("linked", True),
            )
        except NotReversed as refused:
            status, code = _OBSTACLES[refused.obstacle]
            raise Problem(status, code, str(refused)) from None
        answer = jsonify({"receipt": back.receipt, "paid_at": iso(back.paid_at)})
        answer.status_code = 201
        return answer

    def sweep(self) -> Response:
        """POST /sweep: all that is in the merchants' accounts goes to the bank."""
        return jsonify(
            [
                {
                    "short_code": entry.shortcode,
                    "receipt": entry.receipt,
                    "amount": money(-entry.amount),
                }
                for entry in self._simulator.bank.sweep()
            ]
        )

    def unregister(self, short_code: str) -> Response:
        """DELETE /registrations/<short_code>: forget its C2B addresses, as URL Management does."""
        self._simulator.unregister(short_code)
        return jsonify({})

    def certificate(self) -> Response:
        """GET /certificate.cer: what API users' passwords are sealed with."""
        return Response(keys.certificate(), content_type="application/x-x509-ca-cert")
