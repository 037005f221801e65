"""The simulator alone: its application, and what its command takes, on any server."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_socketio import SocketIO

from mpesa.simulator import mount


@dataclass(frozen=True)
class Asked:
    """What the command was given.

    Attributes:
        host: where to listen.
        port: likewise.
        business: the name that prompts and SMS show.
    """

    host: str
    port: int
    business: str


def asked_for(program: str) -> Asked:
    """Read the command line; ends the program where it makes no sense, or asks for help.

    Args:
        program: how the command is called.
    """
    parser = argparse.ArgumentParser(prog=program, description="The simulator of Daraja, alone.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=5001, help="where to listen (%(default)s)")
    parser.add_argument(
        "--business",
        default="Duka la Mfano",
        help="the business that prompts and SMS name (%(default)s)",
    )
    return Asked(**vars(parser.parse_args()))


def create_app(business: str, async_mode: str, pages: Path) -> Flask:
    """Build an app that is the simulator and nothing else.

    Args:
        business: the name that prompts and SMS show.
        async_mode: of Flask-SocketIO: the server that will serve it.
        pages: the folder with `templates` and `static`.
    """
    app = Flask(__name__, template_folder=pages / "templates", static_folder=pages / "static")
    socketio = SocketIO(app, async_mode=async_mode, transports=["websocket"])
    mount(app, socketio, prefix="", business=business)
    return app


def greeting(host: str, port: int) -> str:
    """The line that says where the phone is."""
    return f"The virtual phone: http://{host}:{port}/ (no real money moves)"
