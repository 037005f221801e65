"""For load balancers, and for `flask doctor`: does it serve, can it work, is it this one?"""

import hmac
import re

from flask import Blueprint, Response, jsonify, request

from mpesa import __version__, vitals
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

probes = Blueprint("probes", __name__)

_NONCE = re.compile(r"[0-9a-f]{32}")
# What is signed with SECRET_KEY elsewhere never begins like this.
_PURPOSE = "healthz:"


@probes.get("/healthz")
def healthz() -> Response:
    """200 while the process serves; with a `nonce`, proof to `flask doctor` of which one does."""
    shown = proof(services().settings.secret_key, request.args.get("nonce", ""))
    return jsonify(status="ok", version=__version__, **({"proof": shown} if shown else {}))


@probes.get("/readyz")
def readyz() -> Response:
    """200 when what this server stands on answers; else 503 naming what does not."""
    wrong = vitals.troubles(db.engine, services().settings.redis_url)
    if wrong:
        raise Problem(503, "unavailable", " ".join(wrong))
    return jsonify(status="ready")


def proof(secret_key: str, nonce: str) -> str | None:
    """What only a server with this SECRET_KEY can answer; None for anything but 32 hex digits."""
    if not _NONCE.fullmatch(nonce):
        return None
    return hmac.digest(secret_key.encode(), f"{_PURPOSE}{nonce}".encode(), "sha256").hex()
