"""Daraja in a box and a virtual phone: real HTTP, same paths, bodies and misbehaviour.

It shares nothing with the client, so that a mistake in one is not repeated in the other.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from mpesa.simulator.simulator import Simulator


def mount(app: "Flask", socketio: Any, *, prefix: str = "/simulator", **seams: Any) -> "Simulator":
    """Add the simulator's routes and its Socket.IO namespace to an app.

    Templates and static files are the app's own folders `simulator/`.

    Args:
        prefix: the path before every route; empty for none.
        seams: arguments of `Simulator`: the business, times, clock, chance, and how callbacks are
            sent, and where to.

    Returns:
        The simulator.
    """
    # Imported late: `python -m mpesa.simulator` runs this file before __main__ has patched the
    # standard library, and code that opens sockets must not be imported before that.
    from mpesa.simulator.mounting import add_to

    return add_to(app, socketio, prefix, seams)
