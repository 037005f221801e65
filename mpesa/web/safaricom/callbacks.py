"""POST /callback/<token>: Daraja tells the result of a push here."""

import re

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import inbox
from mpesa.domain.address import UNKNOWN
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.fields import whole_body
from mpesa.web.http.services import inbox_needs

callbacks = Blueprint("callbacks", __name__)

_TOKEN = re.compile(r"[0-9a-f]{64}")


# Some proxies and frameworks add a slash, and a callback comes only once.
@callbacks.post("/callback/<token>", strict_slashes=False)
def callback(token: str) -> Response:
    """Take in a callback; answer 200 once its raw body is committed, whatever it says.

    Raises:
        Problem: 404 for a token that no transaction has.
    """
    if not _TOKEN.fullmatch(token):
        raise _unknown_token()
    arrival = inbox.Arrival(token, whole_body(), source=request.remote_addr or UNKNOWN)
    try:
        inbox.receive(db.session(), arrival, inbox_needs())
    except inbox.UnknownToken:
        raise _unknown_token() from None
    # The answer that Daraja documents for confirmations (Daraja docs, Customer To Business).
    return jsonify(ResultCode=0, ResultDesc="Accepted")


def _unknown_token() -> Problem:
    return Problem(404, "not_found", _("There is nothing at this address."))
