"""Probes: whether the process serves, whether it can work, and which server answers."""

from flask import Blueprint, Response, jsonify, request

from mpesa import __version__, vitals
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.proofs import proof
from mpesa.web.http.services import services

probes = Blueprint("probes", __name__)


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
