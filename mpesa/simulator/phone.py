"""The virtual phone's routes: lines and their scripts, prompts, money by hand, and the ledger."""

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from mpesa.simulator import organisation, words
from mpesa.simulator.hand import Declined, read
from mpesa.simulator.merchants import OWN_NUMBERS
from mpesa.simulator.movement import entry_as_json, iso
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payer import Ending, always, typed
from mpesa.simulator.payment import Payment, prompt_as_json
from mpesa.simulator.problems import Problem, body_object, wishes_checked
from mpesa.simulator.scenes import BY_HAND, SCENES
from mpesa.simulator.script import (
    MSISDN,
    RESULTS,
    SILENT_LINE,
    Again,
    Answer,
    Callback,
    Metadata,
    PushAnswer,
    Query,
    Script,
    as_json,
)
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.validation import SHORTCODE, STORE_TILL

# Shown while no line was used yet, so that a newcomer has a line to choose.
_FIRST_LINES = ("254712345678", "254722000111", "254110345678", SILENT_LINE)
# The line's switches that have words for values, with their names on the page.
_CHOICES = {
    "answer": ("The payer", [*Answer, *RESULTS]),
    "callback": ("The callback", [*Callback]),
    "metadata": ("A success tells", [*Metadata]),
    "push": ("The push", [*PushAnswer]),
    "again": ("Asked again", [*Again]),
    "query": ("Status queries", [*Query]),
}
_YES_OR_NO = ["true", "false"]
# The organisation's, likewise.
_TREATMENT = {
    "confirmation": ("The confirmation", [*organisation.Confirmation]),
    "push_confirmation": ("Of pushes too", _YES_OR_NO),
    "confirmation_account": ("It tells the account", [*organisation.ConfirmationAccount]),
    "msisdn": ("It tells the number", [*organisation.Msisdn]),
    "validation": ("The shop is asked before", _YES_OR_NO),
    "c2b_mode": ("Addresses are those of", [*organisation.C2bMode]),
    "c2b_product": ("Product of C2B", [*organisation.C2bProduct]),
    "pull": ("Pull", [*organisation.Pull]),
    "pull_zone": ("Times of Pull", [*organisation.PullZone]),
    "status": ("Transaction Status", [*organisation.StatusAnswer]),
    "result": ("Results", [*organisation.ResultMode]),
    "initiator": ("API users", [*organisation.Initiator]),
    "shapes": ("Shapes", [*organisation.Shapes]),
    "gateway": ("The gateway", [*organisation.Gateway]),
    "tokens": ("Living tokens", [*organisation.LivingTokens]),
    "callback_words": ("Words in addresses", [*organisation.CallbackWords]),
    "till_mismatch": ("Buy Goods at the PayBill", [*organisation.TillMismatch]),
}
_PAGE_POLICY = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:"


class PhoneRoutes:
    """The routes for people, and for tests that script the payers."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._bank = simulator.bank

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes."""
        blueprint.add_url_rule("/", "phone", self.phone)
        blueprint.add_url_rule("/prompts", "prompts", self.prompts)
        blueprint.add_url_rule(
            "/prompts/<prompt_id>/answer", "answer", self.answer, methods=["POST"]
        )
        blueprint.add_url_rule("/lines", "lines", self.lines)
        blueprint.add_url_rule("/lines/<msisdn>", "line", self.line)
        blueprint.add_url_rule("/lines/<msisdn>", "rescript", self.rescript, methods=["PUT"])
        blueprint.add_url_rule("/payments", "payments", self.pay, methods=["POST"])
        blueprint.add_url_rule("/ledger", "ledger", self.ledger)
        blueprint.add_url_rule("/reset", "reset", self.reset, methods=["POST"])

    def phone(self) -> Response:
        """GET /: the virtual phone, in English or Kiswahili."""
        lang = words.language()
        page = Response(
            render_template(
                "simulator/phone.html",
                lang=lang,
                other_lang="en" if lang == "sw" else "sw",
                say=words.in_language(lang),
                words=words.SWAHILI if lang == "sw" else {},
                scenes=SCENES,
                by_hand=BY_HAND,
                base=url_for(".phone").rstrip("/"),
                first_lines=_FIRST_LINES,
                choices=_CHOICES,
                treatment=_TREATMENT,
                business=self._simulator.business,
                own_numbers=OWN_NUMBERS,
                paybill=SHORTCODE,
                till=STORE_TILL,
            )
        )
        page.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
        page.vary.add("Accept-Language")
        return page

    def prompts(self) -> Response:
        """GET /prompts?msisdn=: one line's open prompts, or those of all lines."""
        wanted = request.args.get("msisdn")
        found = self._bank.prompts(_msisdn(wanted) if wanted else None)
        return jsonify([self._prompt(payment) for payment in found])

    def answer(self, prompt_id: str) -> Response:
        """POST /prompts/<id>/answer: type a PIN or cancel."""
        payment = self._bank.payment(prompt_id)
        if payment is None or not payment.shows_prompt:
            raise Problem(404, "not_found", "There is no prompt with this id.")
        ending = _ending(body_object(), payment.request.amount)
        if not self._simulator.finish(payment, ending):
            raise Problem(
                409, "prompt_closed", "This prompt is closed: it was answered or ran out."
            )
        outcome = payment.outcome
        return jsonify(
            {
                "id": payment.id,
                "result_code": outcome.code if outcome else None,
                "result_desc": outcome.value.callback_text if outcome else None,
                "receipt": payment.receipt,
            }
        )

    def lines(self) -> Response:
        """GET /lines: every line that was scripted or asked to pay."""
        return jsonify([_line(msisdn, script) for msisdn, script in self._bank.scripts().items()])

    def line(self, msisdn: str) -> Response:
        """GET /lines/<msisdn>: one line's script, with its open prompts and its SMS."""
        script = self._bank.script(_msisdn(msisdn))
        prompts = [self._prompt(payment) for payment in self._bank.prompts(msisdn)]
        messages = [
            {
                "number": each.number,
                "text": each.text,
                "is_receipt": each.is_receipt,
                "received_at": iso(each.received_at),
            }
            for each in self._bank.messages(msisdn)
        ]
        return jsonify(_line(msisdn, script) | {"prompts": prompts, "messages": messages})

    def rescript(self, msisdn: str) -> Response:
        """PUT /lines/<msisdn>: change some switches; the rest stays as it was."""
        with wishes_checked():
            script = self._bank.rescript(_msisdn(msisdn), body_object())
        self._simulator.announce(msisdn)
        return jsonify(_line(msisdn, script))

    def pay(self) -> Response:
        """POST /payments: money sent by hand."""
        with wishes_checked():
            hand = read(body_object())
        try:
            movement = self._simulator.pay_by_hand(hand)
        except Declined as why:
            raise Problem(409, why.code, str(why)) from None
        paid = jsonify({"receipt": movement.receipt, "paid_at": iso(movement.paid_at)})
        paid.status_code = 201
        return paid

    def ledger(self) -> Response:
        """GET /ledger: every movement of money."""
        return jsonify([entry_as_json(movement) for movement in self._bank.ledger()])

    def reset(self) -> Response:
        """POST /reset: forget everything but the C2B addresses."""
        self._simulator.forget()
        return jsonify({})

    def _prompt(self, payment: Payment) -> dict[str, Any]:
        return prompt_as_json(payment, self._simulator.business)


def _msisdn(text: str) -> str:
    if not MSISDN.fullmatch(text):
        raise Problem(400, "invalid_request", "msisdn: must look like 254712345678.", "msisdn")
    return text


def _ending(body: dict[str, object], amount: int) -> Ending:
    match body:
        case {"cancel": True, **rest} if not rest:
            return always(Outcome.CANCELLED)
        case {"pin": str(pin), **rest} if not rest and pin.isascii() and pin.isdigit():
            return typed(pin, amount)
        case {"cancel": _}:
            raise Problem(400, "invalid_request", "cancel: must be true, and alone.", "cancel")
        case _:
            wanted = (
                'pin: must be a string of digits, like {"pin": "1234"}; or send {"cancel": true}.'
            )
            raise Problem(400, "invalid_request", wanted, "pin")


def _line(msisdn: str, script: Script) -> dict[str, Any]:
    return {"msisdn": msisdn} | as_json(script)
