"""Puts the simulator's parts together and into an app."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask

from mpesa.simulator.apis.balance import BalanceEndpoint
from mpesa.simulator.apis.c2b import C2bEndpoints
from mpesa.simulator.apis.pull import PullEndpoints
from mpesa.simulator.apis.qr import QrEndpoint
from mpesa.simulator.apis.reversal import ReversalEndpoint
from mpesa.simulator.apis.status import StatusEndpoint
from mpesa.simulator.endpoints import DarajaEndpoints
from mpesa.simulator.phone import PhoneRoutes
from mpesa.simulator.portal import PortalRoutes
from mpesa.simulator.problems import Problem
from mpesa.simulator.simulator import NAMESPACE, Simulator


def add_to(app: Flask, socketio: Any, prefix: str, seams: Mapping[str, Any]) -> Simulator:
    """Add the simulator to an app, see `mpesa.simulator.mount`."""
    simulator = Simulator(socketio, **seams)
    blueprint = Blueprint("simulator", __name__, url_prefix=prefix or None)
    for part in (
        DarajaEndpoints,
        C2bEndpoints,
        StatusEndpoint,
        ReversalEndpoint,
        BalanceEndpoint,
        PullEndpoints,
        QrEndpoint,
        PhoneRoutes,
        PortalRoutes,
    ):
        part(simulator).register(blueprint)
    blueprint.register_error_handler(Problem, Problem.as_response)
    blueprint.after_request(simulator.date)
    app.register_blueprint(blueprint)
    # Every client may listen: there are no secrets here, and it hears only when to look again.
    socketio.on_event("connect", lambda auth=None: None, namespace=NAMESPACE)
    return simulator
