"""`python -m mpesa.simulator --port 5001`: the simulator alone."""

from mpesa import serving  # isort: skip - patches the standard library, so it comes first

import argparse
from pathlib import Path

from flask import Flask
from flask_socketio import SocketIO

from mpesa.simulator import mount

_ROOT = Path(__file__).resolve().parents[2]


def create_app(business: str) -> Flask:
    """Build an app that is the simulator and nothing else.

    Args:
        business: the name that prompts and SMS show.
    """
    app = Flask(__name__, template_folder=_ROOT / "templates", static_folder=_ROOT / "static")
    socketio = SocketIO(app, async_mode=serving.MODE.value, transports=["websocket"])
    mount(app, socketio, prefix="", business=business)
    return app


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m mpesa.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=5001, help="where to listen (%(default)s)")
    parser.add_argument(
        "--business",
        default="Duka la Mfano",
        help="the business that prompts and SMS name (%(default)s)",
    )
    asked = parser.parse_args()
    try:
        listener = serving.listen(asked.host, asked.port)
    except serving.CannotListen as problem:
        raise SystemExit(str(problem)) from None
    address = f"http://{asked.host}:{asked.port}/"
    serving.serve(
        create_app(asked.business),
        listener,
        on_ready=lambda: print(f"The virtual phone: {address} (no real money moves)", flush=True),
    )


if __name__ == "__main__":
    main()
