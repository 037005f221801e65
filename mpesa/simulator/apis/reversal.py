"""Reversal: give a payment back to its payer, as a whole."""

from flask import Blueprint, Response

from mpesa.simulator.api_users import ApiUser, Role
from mpesa.simulator.apis.initiated import Initiated, Request, read_initiator, read_rest
from mpesa.simulator.books import account_of
from mpesa.simulator.confirmations import money
from mpesa.simulator.fields import PARTY, matching, shillings
from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.merchants import organisation_of
from mpesa.simulator.movement import Channel, Movement
from mpesa.simulator.people import name_of
from mpesa.simulator.results import SUCCESS_TEXT, Amount, Failure, Parameters, Result
from mpesa.simulator.reversals import NotReversed, Obstacle
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wire import METHODS

# Whether it takes another amount is documented nowhere, and nobody reports that it did.
_FAILURES = {
    Obstacle.UNKNOWN: Failure.NOT_REVERSIBLE,
    Obstacle.ALREADY_BACK: Failure.ALREADY_REVERSED,
    Obstacle.TOO_LITTLE: Failure.BELOW_MINIMUM,
    Obstacle.TOO_MUCH: Failure.ABOVE_MAXIMUM,
    Obstacle.NO_MONEY: Failure.TOO_LITTLE_MONEY,
}


class ReversalEndpoint:
    """The route of Reversal."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._requests = Initiated(simulator, "reversal", Role.REVERSAL)

    def register(self, blueprint: Blueprint) -> None:
        """Add the route."""
        blueprint.add_url_rule(
            "/mpesa/reversal/v1/request", "reversal", self.request, methods=METHODS
        )

    def request(self) -> Response:
        """POST /mpesa/reversal/v1/request."""
        body = self._simulator.body("RecieverIdentifierType")
        initiator = read_initiator(body, "TransactionReversal")
        receipt = matching(body, "TransactionID", "[A-Za-z0-9]{1,20}")
        amount = shillings(body, "Amount")
        shortcode = matching(body, "ReceiverParty", PARTY)
        # Spelt like that on the wire. "11" is today's value; clients that send 4 are still about.
        matching(body, "RecieverIdentifierType", "11|4")
        request = read_rest(body, initiator, shortcode)
        return self._requests.answer(request, lambda: self._result(request, receipt, amount))

    def _result(self, request: Request, receipt: str, amount: int) -> Result:
        shortcode = organisation_of(request.shortcode)
        paid = self._simulator.bank.movement(receipt)
        if shortcode is None or paid is None or paid.payee.shortcode != shortcode:
            return Result.of(Failure.NOT_REVERSIBLE)
        try:
            back = self._simulator.give_back(receipt, amount, Channel.API, ApiUser.REFUND)
        except NotReversed as refused:
            return Result.of(_FAILURES[refused.obstacle])
        return Result("0", SUCCESS_TEXT, self._parameters(back), receipt=back.receipt)

    def _parameters(self, back: Movement) -> Parameters:
        payee, held = back.payee, money(back.balance)
        account = f"{account_of(payee)}|KES|{held}|{held}|0.00|0.00"
        return [
            ("DebitAccountBalance", account),
            ("Amount", Amount(back.amount * 100)),
            ("TransCompletedTime", int(f"{back.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}")),
            ("OriginalTransactionID", back.reverses),
            ("Charge", Amount(0)),
            ("CreditPartyPublicName", f"{back.msisdn} - {name_of(back.msisdn)}"),
            ("DebitPartyPublicName", f"{payee.number} - {self._simulator.business.upper()}"),
        ]
