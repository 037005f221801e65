"""Customer To Business: a merchant registers addresses, and in the sandbox lets a payer pay."""

import re
from dataclasses import replace
from functools import partial

from flask import Blueprint, Response

from mpesa.simulator import refusals
from mpesa.simulator.confirmations import Registration, ResponseType, Version
from mpesa.simulator.fields import FORBIDDEN_WORDS, PARTY, Body, address, matching, shillings, words
from mpesa.simulator.hand import HandPayment
from mpesa.simulator.ids import merchant_request_id
from mpesa.simulator.merchants import organisation_of, payee_of
from mpesa.simulator.organisation import C2bMode, C2bProduct
from mpesa.simulator.refusals import invalid
from mpesa.simulator.script import MSISDN
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.validation import PAYBILL, TILL
from mpesa.simulator.wire import METHODS, answered

_ACCOUNT = re.compile(r".{1,20}")


class C2bEndpoints:
    """The routes of C2B, in both versions."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the routes."""
        for version in Version:
            for call in (self.register_url, self.simulate):
                name = call.__name__
                blueprint.add_url_rule(
                    f"/mpesa/c2b/{version}/{name.replace('_', '')}",
                    f"c2b_{version}_{name}",
                    partial(call, version),
                    methods=METHODS,
                )

    def register_url(self, version: Version) -> Response:
        """POST /mpesa/c2b/v1|v2/registerurl."""
        body = self._body(version)
        shortcode = organisation_of(matching(body, "ShortCode", PARTY))
        if shortcode is None:
            raise invalid("ShortCode")
        response_type = matching(body, "ResponseType", "|".join(ResponseType))
        urls = [_address(body, name) for name in ("ConfirmationURL", "ValidationURL")]
        wanted = Registration(version, ResponseType(response_type), *urls)
        mode = self._simulator.organisation.c2b_mode
        if not self._simulator.register(shortcode, wanted, may_replace=mode is C2bMode.SANDBOX):
            raise refusals.already_registered()
        return answered(
            {
                # Spelt like that on the wire (Daraja docs, Customer to Business Register URL).
                "OriginatorCoversationID": merchant_request_id(self._simulator.chance),
                "ResponseCode": "0",
                "ResponseDescription": "success",
            }
        )

    def simulate(self, version: Version) -> Response:
        """POST /mpesa/c2b/v1|v2/simulate: an acknowledgement alone; the payment comes after it."""
        body = self._body(version)
        number = matching(body, "ShortCode", PARTY)
        if organisation_of(number) is None:
            raise invalid("ShortCode")
        kind = matching(body, "CommandID", f"{PAYBILL}|{TILL}")
        amount = shillings(body, "Amount")
        msisdn = matching(body, "Msisdn", MSISDN.pattern)
        account = ""
        if kind == PAYBILL:
            account = words(body, "BillRefNumber")
            if not _ACCOUNT.fullmatch(account):
                raise invalid("BillRefNumber")
        payee = replace(payee_of(number, account), kind=kind)
        if self._simulator.organisation.c2b_mode is C2bMode.PRODUCTION:
            raise refusals.no_product()
        self._simulator.pay_by_hand_soon(HandPayment(msisdn, payee, account, amount))
        return answered(
            {
                "OriginatorCoversationID": merchant_request_id(self._simulator.chance),
                "ResponseCode": "0",
                "ResponseDescription": "Accept the service request successfully.",
            }
        )

    def _body(self, version: Version) -> Body:
        body = self._simulator.body("ShortCode")
        if self._simulator.organisation.c2b_product not in (C2bProduct.BOTH, version):
            raise refusals.no_product()
        return body


def _address(body: Body, name: str) -> str:
    url = address(body, name)
    for word in FORBIDDEN_WORDS:
        if word in url.lower():
            raise refusals.forbidden_word(name, word)
    return url
