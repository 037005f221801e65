"""One world for all points of a module: only the server in it dies."""

import pytest

from tests.crash.world import a_world


@pytest.fixture(scope="session")
def standing_world(tmp_path_factory, postgres):
    """Kept between tests, since a start takes longer than a test."""
    with a_world(tmp_path_factory.mktemp("crash"), postgres, ("-m", "tests.crash.doomed")) as world:
        yield world


@pytest.fixture
def world(standing_world):
    """A world in which nothing has happened yet, and whose server lives."""
    process = standing_world.server.process
    if process is None or process.poll() is not None:
        standing_world.come_back()
    standing_world.forget()
    return standing_world
