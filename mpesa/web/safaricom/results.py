"""POST /result/<token> and /timeout/<token>: Daraja answers here what was asked a while ago."""

import re

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import awaited, counters
from mpesa.domain.address import UNKNOWN
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.fields import whole_body
from mpesa.web.http.services import receipt_needs

results = Blueprint("results", __name__)

_TOKEN = re.compile(r"[0-9a-f]{64}")


@results.post("/result/<token>", strict_slashes=False)
def result(token: str) -> Response:
    """Take in a result; answer 200 once it is committed, whatever it says.

    Raises:
        Problem: 404 for a token that is not, or no longer, waited for.
    """
    return _heard(token, timed_out=False)


@results.post("/timeout/<token>", strict_slashes=False)
def timeout(token: str) -> Response:
    """Take in that Daraja gave up, which says nothing about what became of the request.

    Raises:
        Problem: as for a result.
    """
    return _heard(token, timed_out=True)


def _heard(token: str, *, timed_out: bool) -> Response:
    needs, body = receipt_needs(), whole_body()
    source = request.remote_addr or UNKNOWN
    known = _TOKEN.fullmatch(token) and awaited.hear(
        db.session(), token, body, source, needs.now(), needs.mark_of, timed_out=timed_out
    )
    verdict = "timed_out" if timed_out else "heard"
    counters.count("delayed_results", verdict=verdict if known else "unknown_token")
    if not known:
        raise Problem(404, "not_found", _("There is nothing at this address."))
    return jsonify(ResultCode=0, ResultDesc="Accepted")
