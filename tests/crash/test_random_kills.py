"""A crowd pays while the server is killed again and again, whatever it is doing."""

import os
import time
from random import Random

import pytest

from tests.crash.crowd import Crowd
from tests.crash.world import a_world

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

KILLS = 4
PAYERS = 36
# Kills come 1 to 2 s after the server is back, which takes 2 s or so.
ALL_THIS_TIME = 12.0


@pytest.fixture
def world(tmp_path, postgres):
    """The program itself, without a launcher."""
    # The points are tried on gevent, so the other one dies here.
    mode = os.environ.get("ASYNC_MODE") or "eventlet"
    named = {"ASYNC_MODE": mode, "DARAJA_QUERY_RATE": "60000/minute"}
    with a_world(tmp_path, postgres, ("app.py",), **named) as made:
        yield made


@pytest.mark.parametrize("seed", [Random().randrange(10**6)])
def test_a_crowd_loses_no_shilling_to_a_server_that_keeps_dying(world, seed):
    print(f"seed {seed}")  # noqa: T201  # shown where it fails; put it in the list above to see it again
    chance = Random(seed)
    crowd = Crowd(world, chance, PAYERS)

    crowd.come(within=ALL_THIS_TIME)
    for _ in range(KILLS):
        time.sleep(chance.uniform(1, 2))
        world.server.stop(9)
        world.come_back()
    crowd.wait()
    crowd.wait_until_known()

    assert len(world.ledger()) > PAYERS / 4, "hardly anybody paid"
    assert crowd.stuck() == []
    assert world.pushes().total() <= PAYERS, "an order was pushed twice with one key"
    world.check_promises()
