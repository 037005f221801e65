"""The command `mpesa-simulator`: the simulator alone, with a thread for each connection.

It is `__main__` of the package of that name, in which the pages lie beside it. A developer's phone
and tests are few connections, and threads need no async server.
"""

import logging
from contextlib import suppress
from pathlib import Path

from werkzeug.serving import make_server

from mpesa.simulator.standalone import asked_for, create_app, greeting

_PACKAGE = Path(__file__).resolve().parent


def main() -> None:
    """Serve until SIGINT or SIGTERM; an address that cannot be listened on ends with 1."""
    asked = asked_for("mpesa-simulator")
    # Paths of requests hold ids of payments; a traceback is still written.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = create_app(asked.business, "threading", _PACKAGE)
    server = make_server(asked.host, asked.port, app, threaded=True)
    print(greeting(asked.host, server.port), flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
