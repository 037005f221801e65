"""POST /c2b/<token>/…: Safaricom tells of payments that no push asked for."""

import hmac

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import counters, receipts
from mpesa.domain.address import UNKNOWN
from mpesa.domain.confirmation import nonce_of_test
from mpesa.ids import hash_token
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.fields import whole_body
from mpesa.web.http.proofs import Purpose, proof
from mpesa.web.http.services import receipt_needs, services

c2b = Blueprint("c2b", __name__)


# Some proxies and frameworks add a slash.
@c2b.post("/c2b/<token>/validation", strict_slashes=False)
def validation(token: str) -> Response:
    """Let the payment pass, whatever is asked, and without a look into the database.

    A payment that is turned away is made in another shop, and one that is taken by mistake can be
    given back. The answer would be the same for every token, so none is looked at.
    """
    whole_body()
    # A text, as in Daraja's example (Daraja docs, Customer To Business Register URL).
    return jsonify(ResultCode="0", ResultDesc="Accepted")


@c2b.post("/c2b/<token>/confirmation", strict_slashes=False)
def confirmation(token: str) -> Response:
    """Take in a confirmation; answer 200 once its raw body is committed, whatever it says.

    The doctor's own test, which names neither receipt nor amount, is answered and kept nowhere.

    Raises:
        Problem: 404 for a token that is not one of C2B_TOKEN.
    """
    known = [hash_token(each) for each in services().settings.c2b_token]
    given = hash_token(token)
    if not any(hmac.compare_digest(given, each) for each in known):
        counters.count("confirmations", verdict="unknown_token")
        raise Problem(404, "not_found", _("There is nothing at this address."))
    body = whole_body()
    nonce = nonce_of_test(body)
    if nonce is not None:
        shown = proof(services().settings.secret_key, nonce, Purpose.CONFIRMATION)
        return jsonify(ResultCode=0, ResultDesc="Accepted", proof=shown)
    receipts.receive(db.session(), body, request.remote_addr or UNKNOWN, receipt_needs())
    return jsonify(ResultCode=0, ResultDesc="Accepted")
