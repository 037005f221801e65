"""POST /c2b/<token>/…: Safaricom tells of payments that no push asked for."""

from flask import Blueprint, Response, jsonify

from mpesa.web.http.fields import whole_body

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
