"""What holds on one async server holds on the other: its tests run on both."""

import os
import signal
from contextlib import ExitStack

import pytest

from mpesa.config import AsyncMode
from tests.servers import Server, running

# `ASYNC_MODE=gevent make test` runs everything on that one alone.
MODES = [os.environ["ASYNC_MODE"]] if os.environ.get("ASYNC_MODE") else [*AsyncMode]
# What our own code decides is tried on the first alone, since every test costs time.
on_one_server = pytest.mark.parametrize("async_mode", MODES[:1], indirect=True)
# Ctrl-C differs from SIGTERM in our own code alone.
STOPS = [*((mode, signal.SIGTERM) for mode in MODES), (MODES[0], signal.SIGINT)]
by_every_signal = pytest.mark.parametrize(("async_mode", "number"), STOPS, indirect=["async_mode"])


@pytest.fixture(params=MODES)
def async_mode(request, monkeypatch):
    """The async server below everything that the test starts, one after the other."""
    monkeypatch.setenv("ASYNC_MODE", request.param)
    mode: str = request.param
    return mode


@pytest.fixture(scope="session")
def server_on(tmp_path_factory):
    """One shared server for each async mode, started when it is first asked for."""
    started: dict[str, Server] = {}
    with ExitStack() as running_ones:

        def on(mode):
            if mode not in started:
                folder = tmp_path_factory.mktemp("server")
                started[mode] = running_ones.enter_context(running(folder, ASYNC_MODE=mode))
            return started[mode]

        yield on


@pytest.fixture
def server(async_mode, server_on):
    """Our server with the simulator, on each async server in turn."""
    return server_on(async_mode)
