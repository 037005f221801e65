"""Account Balance: what is in an organisation's accounts."""

from flask import Blueprint, Response

from mpesa.simulator.api_users import Role
from mpesa.simulator.apis.initiated import Initiated, Request, read_initiator, read_rest
from mpesa.simulator.books import Account
from mpesa.simulator.confirmations import money
from mpesa.simulator.fields import PARTY, matching
from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.merchants import organisation_of
from mpesa.simulator.results import SUCCESS_TEXT, Failure, Parameters, Result
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wire import METHODS

# In the order of a production log of August 2026; None: an account that is always empty here.
_ACCOUNTS = {
    "Working Account": None,
    "Utility Account": Account.UTILITY,
    "Charges Paid Account": None,
    "Merchant Account": Account.MERCHANT,
    "Organization Settlement Account": Account.SETTLEMENT,
}


class BalanceEndpoint:
    """The route of Account Balance."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._requests = Initiated(simulator, "accountbalance", Role.BALANCE, self._failed)

    def register(self, blueprint: Blueprint) -> None:
        """Add the route."""
        blueprint.add_url_rule(
            "/mpesa/accountbalance/v1/query", "balance", self.query, methods=METHODS
        )

    def query(self) -> Response:
        """POST /mpesa/accountbalance/v1/query."""
        body = self._simulator.body("InitiatorName")
        initiator = read_initiator(body, "AccountBalance")
        shortcode = matching(body, "PartyA", PARTY)
        matching(body, "IdentifierType", "4")
        request = read_rest(body, initiator, shortcode)
        return self._requests.answer(request, lambda: self._result(request))

    def _result(self, request: Request) -> Result:
        shortcode = organisation_of(request.shortcode)
        if shortcode is None:
            return Result.of(Failure.NO_PARTY)
        accounts = []
        for name, account in _ACCOUNTS.items():
            held = money(self._simulator.bank.balance(shortcode, account) if account else 0)
            # Current, available, and what is reserved and uncleared, which are never anything.
            accounts.append(f"{name}|KES|{held}|{held}|0.00|0.00")
        told = "&".join(accounts)
        # The code is a string in Daraja's own sample.
        return Result("0", SUCCESS_TEXT, self._about(("AccountBalance", told)), is_text=True)

    def _failed(self, failure: Failure) -> Result:
        """A failure has parameters too, where the credential is locked (sandbox, October 2026)."""
        code, text = failure.value
        is_locked = failure is Failure.LOCKED
        return Result(code, text, self._about(("ErrorMsg", text)) if is_locked else ())

    def _about(self, told: tuple[str, object]) -> Parameters:
        at = int(f"{self._simulator.now().astimezone(NAIROBI):%Y%m%d%H%M%S}")
        return [("ActionType", "AccountBalance"), told, ("BOCompletedTime", at)]
