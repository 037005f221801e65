"""The database loses its power under load, while the server goes on."""

import shutil
import tempfile
import time
from pathlib import Path
from random import Random

import pytest

from tests.crash.crowd import Crowd
from tests.crash.world import a_world
from tests.factories import PAYER_MSISDN
from tests.servers import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

OUTAGES = 3
PAYERS = 24


@pytest.fixture(scope="module")
def cluster():
    """A cluster of our own: the others' one stays up."""
    folder = Path(tempfile.mkdtemp(prefix="mpesa-pg-"))
    made = Postgres(folder).create()
    yield made
    made.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def standing_world(tmp_path_factory, cluster):
    """A server on that cluster; it lives through all of this."""
    folder, program = tmp_path_factory.mktemp("outages"), ("-m", "tests.crash.doomed")
    with a_world(folder, cluster, program, DARAJA_QUERY_RATE="60000/minute") as made:
        yield made


def test_a_crowd_loses_no_shilling_to_a_database_that_loses_its_power(world, cluster):
    seed = Random().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    chance = Random(seed)
    crowd = Crowd(world, chance, PAYERS)

    crowd.come(within=6)
    for _ in range(OUTAGES):
        time.sleep(chance.uniform(0.5, 1))
        cluster.stop("immediate")
        time.sleep(chance.uniform(0, 1))
        cluster.start()
    crowd.wait()
    crowd.wait_until_known()

    assert len(world.ledger()) > PAYERS / 4, "hardly anybody paid"
    assert crowd.stuck() == []
    assert world.pushes().total() <= PAYERS, "an order was pushed twice with one key"
    world.check_promises()


def test_a_page_that_waits_hears_what_was_committed_just_before_a_long_outage(world, cluster):
    # As long as the announcer looks back, and a little more.
    world.line(PAYER_MSISDN)
    order_id = world.order("CRASH-1")
    answer = world.push(order_id, PAYER_MSISDN, "first")
    assert answer is not None
    page = world.watch(answer.json()["transaction_id"])
    page.wait_for("PENDING")
    world.arm("after the judgement of a callback", "hold")
    world.in_background(lambda: world.pay(PAYER_MSISDN))
    world.wait_until_held()

    cluster.stop("immediate")
    time.sleep(11)
    cluster.start()

    world.wait_for(order_id, lambda row: row["status"] == "SUCCESS")
    page.wait_for("SUCCESS")
