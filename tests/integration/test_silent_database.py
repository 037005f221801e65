"""A database that takes bytes and says nothing costs a worker seconds, and then it is over."""

import re
import threading
import time
from dataclasses import dataclass

import pytest

from mpesa.database import REQUESTS
from mpesa.silence import CONNECT_WITHIN
from tests.crash.witness import Witness
from tests.factories import API_KEY, order_fields
from tests.integration.steps import Phone, new_line, new_order, push, started, status_of
from tests.mute import Mute
from tests.servers import Server, free_port, running, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

# The longest way, a callback's: its statement is not answered, and then no new connection comes to
# stand. The rest is for a machine that does other things too.
FAILS_WITHIN = REQUESTS.silence + CONNECT_WITHIN + 2
WELL_WITHIN = 10.0
METRICS = {"Authorization": "Bearer t"}


@dataclass
class Scene:
    server: Server
    database: Mute
    callbacks: Witness


@pytest.fixture
def scene(tmp_path, postgres, async_mode):
    """A server, its database behind a proxy, and a witness of what Safaricom is answered."""
    port = free_port()
    name = postgres.new_database().rsplit("/", 1)[1]
    with (
        Mute(postgres.port).standing() as database,
        Witness(f"http://127.0.0.1:{port}").standing() as callbacks,
        running(
            tmp_path,
            PORT=str(port),
            DATABASE_URL=f"postgresql://mpesa@127.0.0.1:{database.port}/{name}",
            PUBLIC_URL=callbacks.address,
            METRICS_TOKEN="t",
            DARAJA_QUERY_RATE="600/minute",
        ) as server,
    ):
        wait_until(lambda: server.get("/readyz").status_code == 200, server.why)
        yield Scene(server, database, callbacks)


def all_at_once(asks):
    """The status of each, and the seconds that it took."""
    answers: dict[str, tuple[int, float]] = {}

    def ask(name):
        began = time.monotonic()
        answer = asks[name]()
        if answer.status_code >= 400 and name != "metrics":
            assert answer.headers["Content-Type"] == "application/problem+json", answer.text
        answers[name] = answer.status_code, time.monotonic() - began

    threads = [threading.Thread(target=ask, args=(name,)) for name in asks]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return answers


def loops(server):
    """When each loop last went well."""
    page = server.get("/metrics", headers=METRICS).text
    found = re.findall(r'last_success_timestamp_seconds\{loop="(\w+)"\} (\S+)', page)
    return {loop: float(moment) for loop, moment in found}


def test_requests_fail_within_seconds_and_all_is_well_soon_after(scene):
    server = scene.server
    phone = Phone(server.url("/simulator"), new_line())
    _line, transaction_id = started(server, phone.msisdn)
    waiting = new_order(server, reference="WAITS")
    began_well = loops(server)

    scene.database.fall_silent()
    for _ in range(2):  # the second time no connection is left from before
        asked = all_at_once(
            {
                "readyz": lambda: server.get("/readyz"),
                "metrics": lambda: server.get("/metrics", headers=METRICS),
                "order": lambda: server.post("/api/orders", json=order_fields(), headers=API_KEY),
                "push": lambda: server.post(
                    "/stk-push", json={"order_id": waiting, "phone": new_line()}
                ),
                "poll": lambda: server.get(f"/check-status?tx_id={transaction_id}"),
                "callback": lambda: server.post(f"/callback/{'0' * 64}", json={}),
            }
        )
        assert {name: status for name, (status, _) in asked.items()} == {
            "readyz": 503, "metrics": 200, "order": 503, "push": 503, "poll": 503, "callback": 503,
        }  # fmt: skip
        assert max(took for _, took in asked.values()) < FAILS_WITHIN, asked
    assert "The database does not answer" in server.get("/readyz").json()["detail"]
    phone.answer(pin="1234")
    wait_until(lambda: scene.callbacks.seen, server.why)

    scene.database.speak()
    came_back = time.time()

    def well():
        return server.get("/readyz").status_code == 200

    wait_until(well, server.why, WELL_WITHIN)
    order = new_order(server)
    line = new_line()
    Phone(server.url("/simulator"), line).script(answer="pay", after=0)
    paid = push(server, order, line)["transaction_id"]
    wait_until(
        lambda: status_of(server, paid)["status"] == "SUCCESS",
        server.why,
        came_back + WELL_WITHIN - time.time(),
    )
    wait_until(
        lambda: all(loops(server)[each] > came_back for each in began_well),
        lambda: f"{came_back} {loops(server)} {server.why()}",
        came_back + WELL_WITHIN - time.time(),
    )
    # Safaricom heard that its callback was not kept, and nothing was made of it.
    assert scene.callbacks.seen[0].status == 503
    # What the lost callback said, Daraja is asked.
    wait_until(lambda: status_of(server, transaction_id)["status"] == "SUCCESS", server.why)
