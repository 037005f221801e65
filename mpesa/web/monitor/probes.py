"""Probes: whether the process serves, whether it can work, and which server answers."""

import hmac
import re

from flask import Blueprint, Response, jsonify, request

from mpesa import __version__, vitals
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

probes = Blueprint("probes", __name__)

_NONCE = re.compile(r"[0-9a-f]{32}")
# Nothing else that is signed with SECRET_KEY begins with this, so no proof can be used elsewhere.
_PURPOSE = "healthz:"


@probes.get("/healthz")
def healthz() -> Response:
    """Answer 200 while the process serves; a `nonce` of `flask doctor` is answered with a proof."""
    shown = proof(services().settings.secret_key, request.args.get("nonce", ""))
    return jsonify(status="ok", version=__version__, **({"proof": shown} if shown else {}))


@probes.get("/readyz")
def readyz() -> Response:
    """Answer 200 if database and Redis can be used; else 503 with what is wrong."""
    troubles = vitals.troubles(db.engine, services().settings.redis_url)
    if troubles:
        raise Problem(503, "unavailable", " ".join(troubles))
    return jsonify(status="ready")


def proof(secret_key: str, nonce: str) -> str | None:
    """The answer to a nonce that only a server with this SECRET_KEY can give.

    None if the nonce is not 32 hexadecimal digits.
    """
    if not _NONCE.fullmatch(nonce):
        return None
    return hmac.digest(secret_key.encode(), f"{_PURPOSE}{nonce}".encode(), "sha256").hex()
