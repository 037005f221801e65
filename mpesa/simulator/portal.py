"""The organisation's own routes, as on its portal: switches, reversals, sweeps, its certificate."""

from dataclasses import asdict
from datetime import date
from enum import StrEnum

from flask import Blueprint, Response, jsonify, request

from mpesa.simulator import keys, wishes
from mpesa.simulator.books import COMPLETED, Account
from mpesa.simulator.confirmations import money
from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.merchants import organisation_of
from mpesa.simulator.movement import Channel, iso
from mpesa.simulator.organisation import Shapes
from mpesa.simulator.problems import Problem, body_object, wishes_checked
from mpesa.simulator.reversals import NotReversed, Obstacle
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.statement import (
    Day,
    Defect,
    Family,
    NothingToSpoil,
    Statement,
    as_csv,
    as_xlsx,
    entries_of,
    statement,
)
from mpesa.simulator.validation import SHORTCODE, STORE, STORE_TILL
from mpesa.simulator.wishes import InvalidField

_REVERSAL: wishes.Readers = {
    "receipt": wishes.words,
    "amount": wishes.some_shillings,
    "linked": wishes.yes_or_no,
}
# A till collects in another account.
_COLLECTS = {STORE: Account.MERCHANT}
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_OBSTACLES = {
    Obstacle.UNKNOWN: (404, "not_found"),
    Obstacle.ALREADY_BACK: (409, "already_reversed"),
    Obstacle.TOO_MUCH: (409, "too_much"),
    Obstacle.NO_MONEY: (409, "insufficient_funds"),
}


class Rows(StrEnum):
    """The filter of an export: what moved, or also what was turned down."""

    COMPLETED = "completed"
    ALL = "all"


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
            ("/statement.csv", self.statement_csv, "GET"),
            ("/statement.xlsx", self.statement_xlsx, "GET"),
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

    def statement_csv(self) -> Response:
        """GET /statement.csv: the portal's export of a day."""
        made = self._statement()
        file = as_csv(made, is_odd=self._is_odd())
        return _attached(file, f"{made.name}.csv", "text/csv; charset=utf-8")

    def statement_xlsx(self) -> Response:
        """GET /statement.xlsx: the same as a workbook."""
        made = self._statement()
        return _attached(as_xlsx(made), f"{made.name}.xlsx", _XLSX)

    def _statement(self) -> Statement:
        with wishes_checked():
            wanted = wishes.read(request.args, _STATEMENT)
        now = self._simulator.now()
        day = wanted.get("day", now.astimezone(NAIROBI).date())
        number = wanted.get("short_code", SHORTCODE)
        shortcode = organisation_of(number) or number
        account = wanted.get("account", _COLLECTS.get(shortcode, Account.UTILITY))
        family = wanted.get("family", Family.A)
        shown = [account] if family is Family.A else [account, Account.SETTLEMENT]
        entries, held = self._simulator.bank.entries(shortcode, shown)
        if wanted.get("rows") is not Rows.ALL:
            entries = [entry for entry in entries if entry.status == COMPLETED]
        opening, entries = entries_of(day, entries, shown, held)
        business = self._simulator.business
        taken = Day(business, number, account, day, opening, entries, made_at=now)
        try:
            return statement(taken, family, wanted.get("defect"), is_odd=self._is_odd())
        except NothingToSpoil:
            raise Problem(409, "no_payments", "There is no payment that day to spoil.") from None

    def _is_odd(self) -> bool:
        return self._simulator.organisation.shapes is Shapes.ODD


def _attached(file: bytes, name: str, content_type: str) -> Response:
    answer = Response(file, content_type=content_type)
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError('must be a day like "2026-11-24"') from None


def _number(value: object) -> str:
    if organisation_of(str(value)) is None:
        raise ValueError(f"must be {SHORTCODE}, 600000 to 600999, {STORE} or {STORE_TILL}")
    return str(value)


def _account(value: object) -> Account:
    names = {account.name.lower(): account for account in Account}
    if value not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    return names[str(value)]


_STATEMENT: wishes.Readers = {
    "day": _day,
    "family": wishes.one_of(Family),
    "defect": wishes.one_of(Defect),
    "short_code": _number,
    "account": _account,
    "rows": wishes.one_of(Rows),
}
