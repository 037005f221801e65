"""The only package that knows the async servers: patches, sockets, start and stop.

Imported first, by app.py and mpesa/simulator/__main__.py alone, when they run as the program.

process        listen, serve, stop, on both servers
on_eventlet    eventlet: its patches, its WSGI server
on_gevent      gevent: its patches, its WSGI server
websockets     WebSockets for gevent, which has none of its own
"""

import sys
from functools import partial
from importlib import import_module

from mpesa.config import SettingsError, async_mode, environment

__all__ = ["MODE", "CannotListen", "listen", "serve"]

try:
    MODE = async_mode(environment())
except SettingsError as problem:
    sys.exit(f"mpesa: {problem}")

# It patches the standard library, so it comes before everything that uses that.
_server = import_module(f"mpesa.serving.on_{MODE.value}")

from mpesa.serving.process import CannotListen, listen, serve_with  # noqa: E402

serve = partial(serve_with, _server.start)
