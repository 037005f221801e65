"""The application: `create_app()` for tools and tests, `python app.py` to serve it."""

if __name__ == "__main__":
    from mpesa import serving  # first: it patches the modules that everything else imports

import logging
import platform
import sys
from collections.abc import Callable
from datetime import datetime

from flask import Flask
from flask_migrate import Migrate

from mpesa import __version__, cli, logs, simulator
from mpesa.config import Settings, SettingsError, advice, doubts, environment
from mpesa.daraja import Daraja
from mpesa.database import MIGRATIONS
from mpesa.deadlines import since_boot
from mpesa.models import db
from mpesa.runtime import database, wiring
from mpesa.web.http.services import services


@cli.one_line_for_wrong_settings()
def create_app(
    settings: Settings | None = None,
    *,
    async_mode: str = "threading",
    daraja: Daraja | None = None,
    now: Callable[[], datetime] = wiring.utc_now,
    monotonic: Callable[[], float] = since_boot,
) -> Flask:
    """Wire an application together.

    Args:
        settings: read from the environment, and from `.env` below it, where None.
        async_mode: how sockets are served; `threading` for commands and tests.
        daraja: the client; None for the one that the settings describe.
        now: the time, aware UTC.
        monotonic: seconds, by a clock that nobody can set.

    Raises:
        SettingsError: one line that names the setting and says what is expected.
    """
    settings = settings or Settings.from_env(environment())
    app = Flask(__name__)
    app.secret_key = settings.secret_key
    database.connect(app, settings)
    Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True)
    socketio = wiring.wire(app, settings, async_mode, daraja=daraja, now=now, monotonic=monotonic)
    if settings.simulated:
        # Who may reach it from elsewhere may not have it call what is beside this server.
        only = settings.public_url if settings.simulator_public else None
        # Money by hand is heard of without a registration, which nobody should need to try it out.
        below = f"{settings.public_url}/c2b/{settings.c2b_token[0]}" if settings.c2b_token else None
        ours = {settings.daraja_shortcode, settings.c2b_shortcode, settings.daraja_till}
        told = {number: below for number in ours if number and below}
        business = settings.merchant_name
        simulator.mount(app, socketio, business=business, only=only, unregistered=told)
    cli.register(app)
    return app


def main() -> None:
    """Migrate and serve until SIGINT or SIGTERM."""
    settings = Settings.from_env(environment())
    logs.set_up(settings.log_format)
    for line in (*doubts(settings), *advice(settings)):
        logging.getLogger("mpesa").warning(line)
    app = create_app(settings, async_mode=settings.async_mode.value)
    listener = serving.listen(settings.host, settings.port)
    with app.app_context():
        database.migrate()
        ours = services()
    # Now that nothing can stop the start: what does is to be the only line.
    logging.getLogger("mpesa").info(
        "version %s starts, on Python %s", __version__, platform.python_version()
    )
    serving.serve(
        app,
        listener,
        on_ready=lambda: wiring.start(app),
        on_stop=lambda: wiring.stop(app),
        on_cut=ours.access.daraja.cut,
    )


if __name__ == "__main__":
    try:
        main()
    except (SettingsError, serving.CannotListen) as problem:
        sys.exit(f"mpesa: {problem}")
