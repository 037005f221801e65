"""Transaction Status: what became of a receipt, no matter who was paid with it."""

from flask import Blueprint, Response

from mpesa.simulator.api_users import Role
from mpesa.simulator.apis.initiated import Initiated, Request, read_initiator, read_rest
from mpesa.simulator.books import reason_of
from mpesa.simulator.fields import PARTY, matching, text
from mpesa.simulator.ids import NAIROBI, conversation_id
from mpesa.simulator.merchants import SOMEBODY_ELSE, organisation_of
from mpesa.simulator.movement import Direction, Movement
from mpesa.simulator.organisation import Shapes, StatusAnswer
from mpesa.simulator.people import name_of
from mpesa.simulator.refusals import invalid
from mpesa.simulator.results import NO_VALUE, SUCCESS_TEXT, Amount, Failure, Parameters, Result
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wire import METHODS

_SOMEBODY_ELSES_NUMBER = "247247"


class StatusEndpoint:
    """The route of Transaction Status."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._requests = Initiated(simulator, "transactionstatus", Role.STATUS)

    def register(self, blueprint: Blueprint) -> None:
        """Add the route."""
        blueprint.add_url_rule(
            "/mpesa/transactionstatus/v1/query", "status", self.query, methods=METHODS
        )

    def query(self) -> Response:
        """POST /mpesa/transactionstatus/v1/query."""
        body = self._simulator.body("InitiatorName")
        initiator = read_initiator(body, "TransactionStatusQuery")
        receipt = text(body, "TransactionID").strip()
        if not receipt and not text(body, "OriginalConversationID").strip():
            raise invalid("TransactionID")
        shortcode = matching(body, "PartyA", PARTY)
        matching(body, "IdentifierType", "[124]")
        request = read_rest(body, initiator, shortcode)
        return self._requests.answer(request, lambda: self._result(request, receipt))

    def _result(self, request: Request, receipt: str) -> Result | None:
        mode = self._simulator.organisation.status
        if mode is StatusAnswer.SILENT:
            return None
        if organisation_of(request.shortcode) is None:
            return Result.of(Failure.NO_PARTY)
        is_early = mode is StatusAnswer.NOT_FOUND_FIRST and self._simulator.is_asked_first(receipt)
        movement = self._simulator.bank.movement(receipt)
        if movement is None or is_early:
            return Result.of(Failure.NO_SUCH_RECEIPT)
        return Result("0", SUCCESS_TEXT, self._parameters(movement))

    def _parameters(self, movement: Movement) -> Parameters:
        """Tell of a movement, in the order of a production log of February 2024."""
        simulator, merchant = self._simulator, self._simulator.organisation
        number, business = movement.payee.number, simulator.bank.name_of(movement.payee)
        if merchant.status is StatusAnswer.FOREIGN_PARTY:
            number, business = _SOMEBODY_ELSES_NUMBER, SOMEBODY_ELSE
        debit = f"{movement.msisdn} - {name_of(movement.msisdn)}"
        # The blanks at the end are in that log.
        credit = f"{number} - {business.upper()}   "
        reason = reason_of(movement.payee)
        if movement.direction is Direction.OUT:
            debit, credit, reason = credit, debit, f"{reason} Reversal"
        # Daraja's own sample has the first name twice.
        again = [("DebitPartyName", debit)] if merchant.shapes is Shapes.ODD else []
        went_back = merchant.status is StatusAnswer.REVERSED and movement.returned_by is not None
        at = int(f"{movement.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}")
        return [
            ("DebitPartyName", debit),
            *again,
            ("CreditPartyName", credit),
            ("OriginatorConversationID", NO_VALUE),
            ("InitiatedTime", at),
            ("CreditPartyCharges", NO_VALUE),
            ("DebitAccountType", "MMF Account For Customer"),
            ("TransactionReason", NO_VALUE),
            ("ReasonType", reason),
            ("TransactionStatus", "Reversed" if went_back else "Completed"),
            ("FinalisedTime", at),
            ("Amount", Amount(movement.amount * 100)),
            ("ConversationID", conversation_id(movement.paid_at, simulator.chance)),
            ("ReceiptNo", movement.receipt),
        ]
