"""Puts the simulator's parts together and into an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask

from mpesa.simulator.endpoints import DarajaEndpoints
from mpesa.simulator.phone import PhoneRoutes
from mpesa.simulator.simulator import NAMESPACE, Simulator


def add_to(app: Flask, socketio: Any, prefix: str, seams: Mapping[str, Any]) -> Simulator:
    """Do what `mpesa.simulator.mount` promises."""
    simulator = Simulator(socketio, **seams)
    blueprint = Blueprint("simulator", __name__, url_prefix=prefix or None)
    DarajaEndpoints(simulator).register(blueprint)
    PhoneRoutes(simulator).register(blueprint)
    app.register_blueprint(blueprint)
    socketio.on_event("connect", _welcome, namespace=NAMESPACE)
    return simulator


def _welcome(auth: object = None) -> None:
    """Let everybody listen: there are no secrets here, and all that is sent are hints to look."""
