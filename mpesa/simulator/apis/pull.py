"""Pull Transactions: an organisation's payments of the last 48 hours, a page at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response

from mpesa.simulator import refusals
from mpesa.simulator.confirmations import money
from mpesa.simulator.fields import PARTY, Body, address, matching, text
from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.merchants import organisation_of
from mpesa.simulator.movement import Direction, Movement
from mpesa.simulator.organisation import Pull, PullZone, Shapes
from mpesa.simulator.people import masked
from mpesa.simulator.refusals import Refusal, invalid
from mpesa.simulator.script import MSISDN
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.validation import TILL
from mpesa.simulator.wire import METHODS, answered

_REACH = timedelta(hours=48)  # Daraja docs, Pull Transactions
_PAGE = 100  # the step of the docs' own example

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_ODD_TIME = "%Y-%m-%d %H:%M:%S"

# As the live sandbox spells them (two SDKs, September and October 2026).
_SPACED = {
    "ResponseRefID": "RequestID",
    "ResponseStatus": "Response Status",
    "ResponseDescription": "Response Description",
    "ResponseCode": "Response Code",
    "ResponseMessage": "Response Message",
}


class PullEndpoints:
    """The routes of Pull, whose paths have no /mpesa before them."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes."""
        for path, view in (("register", self.enrol), ("query", self.query)):
            blueprint.add_url_rule(
                f"/pulltransactions/v1/{path}", f"pull_{path}", view, methods=METHODS
            )

    def enrol(self) -> Response:
        """POST /pulltransactions/v1/register."""
        body = self._simulator.body("ShortCode")
        with _blamed_as_bad_input():
            shortcode = _shortcode(body)
            matching(body, "RequestType", "Pull")
            matching(body, "NominatedNumber", MSISDN.pattern)
            address(body, "CallBackURL")
        is_new = self._simulator.enrol_for_pull(shortcode)
        return self._answered(
            {
                "ResponseRefID": self._reference(),
                "ResponseStatus": "1000" if is_new else "1001",
                "ShortCode": text(body, "ShortCode"),
                "ResponseDescription": "Success" if is_new else "ShortCode already Registered",
            }
        )

    def query(self) -> Response:
        """POST /pulltransactions/v1/query."""
        body = self._simulator.body("ShortCode")
        with _blamed_as_bad_input():
            since, until = _moment(body, "StartDate"), _moment(body, "EndDate")
            if until < since:
                raise invalid("EndDate")
            offset = int(matching(body, "OffSetValue", "[0-9]{1,6}"))
            shortcode = _shortcode(body)
        mode = self._simulator.organisation.pull
        if mode is Pull.ERROR_500:
            raise refusals.nothing_pulled()
        reach = max(since, self._simulator.now() - _REACH)
        found = [
            self._row(movement)
            for movement in self._simulator.bank.ledger()
            if movement.direction is Direction.IN
            and movement.payee.shortcode == shortcode
            and reach <= movement.paid_at <= until
        ]
        rows = [] if mode is Pull.EMPTY else found[offset : offset + _PAGE]
        return self._answered(
            {
                "ResponseRefID": self._reference(),
                "ResponseCode": "1000" if rows or mode is Pull.EMPTY else "1001",
                "ResponseMessage": "Success" if rows or mode is Pull.EMPTY else "No transactions",
                # A list in a list; where there is nothing it was also seen as a string.
                "Response": "[[]]" if mode is Pull.EMPTY else [rows],
            }
        )

    def _row(self, movement: Movement) -> dict[str, str]:
        merchant = self._simulator.organisation
        is_odd = merchant.shapes is Shapes.ODD
        zone = UTC if merchant.pull_zone is PullZone.UTC else NAIROBI
        is_till = movement.payee.kind == TILL
        return {
            "transactionId": movement.receipt,
            "trxDate": f"{movement.paid_at.astimezone(zone):{_ODD_TIME if is_odd else _TIME}}",
            "msisdn": masked(movement.msisdn) if is_odd else movement.msisdn,
            "sender": "MPESA",
            "transactiontype": "c2b-buy-goods-debit" if is_till else "c2b-pay-bill-debit",
            "billreference": "" if is_till else movement.account,
            "amount": money(movement.amount * 100),
            "organizationname": self._simulator.business.upper(),
        }

    def _answered(self, body: dict[str, Any]) -> Response:
        if self._simulator.organisation.pull is Pull.SPACED_KEYS:
            body = {_SPACED.get(name, name): value for name, value in body.items()}
        return answered(body)

    def _reference(self) -> str:
        chance = self._simulator.chance
        return f"{chance.randrange(10_000, 100_000)}-{chance.randrange(10**7, 10**8)}-1"


@contextmanager
def _blamed_as_bad_input() -> Iterator[None]:
    """Refuse with Pull's own code, which is shorter than other APIs'."""
    try:
        yield
    except Refusal as refusal:
        raise Refusal(400, "400.001", refusal.message) from None


def _shortcode(body: Body) -> str:
    shortcode = organisation_of(matching(body, "ShortCode", PARTY))
    if shortcode is None:
        raise invalid("ShortCode")
    return shortcode


def _moment(body: Body, name: str) -> datetime:
    """Read a time of Nairobi."""
    try:
        return datetime.strptime(f"{text(body, name)}+0300", "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        raise invalid(name) from None
