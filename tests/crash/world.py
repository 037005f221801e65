"""Everything that a crash leaves standing: the payers' money, Daraja, the database, witnesses."""

import json
import os
import queue
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import requests
import socketio
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from mpesa.models import Pull
from mpesa.pull import LEASE
from tests.crash.witness import Seen, Witness
from tests.factories import API_KEY, order_fields
from tests.servers import Postgres, Server, free_port, running, wait_until

# A result is on the page this long (seconds) after the server is there again, or it came late.
SOON = 2.0
PUSH_PATH = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH = "/mpesa/stkpushquery/v1/query"

T = TypeVar("T")

_TIMES = {
    "orders": ("created_at", "updated_at", "expires_at"),
    "transactions": (
        "created_at",
        "updated_at",
        "settled_at",
        "retry_at",
        "next_ask_at",
        "prompt_ends_at",
    ),
    "evidence": ("received_at",),
    "decisions": ("decided_at",),
    "daraja_access": ("expires_at", "fetching_until", "next_query_at"),
    "announcements": ("announced_at",),
}


class Page:
    """A checkout page that watches one transaction over a socket.

    Attributes:
        told: the newest `seq` that it heard.
    """

    def __init__(self, address: str, transaction_id: str) -> None:
        self.transaction_id = transaction_id
        self.told = 0
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self._client = socketio.Client(reconnection=False)
        self._client.on("status", self._hear)
        auth = {"tx_id": transaction_id, "lang": "en"}
        self._client.connect(address, auth=auth, transports=["websocket"])

    def wait_for(self, word: str, seconds: float = SOON) -> dict[str, Any]:
        """The first snapshot with this status or reason; an assertion error if it comes late."""
        last, deadline = {}, time.monotonic() + seconds
        while word not in (last.get("status"), last.get("reason")):
            try:
                last = self._heard.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{word} was not heard in {seconds} s, but {last}") from None
        return last

    def wait_for_the_end(self) -> None:
        """Until the connection is gone, and all that was sent on it has been heard."""
        self._client.wait()

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()

    def _hear(self, snapshot: dict[str, Any]) -> None:
        self.told = max(self.told, snapshot["seq"])
        self._heard.put(snapshot)


class World:
    """A server that may die, and what does not die with it.

    Attributes:
        to_daraja: sees what the server asks Daraja.
        to_server: sees what Daraja tells the server.
    """

    def __init__(self, server: Server, simulator: Server, witnesses: tuple[Witness, Witness]):
        self.server = server
        self.simulator = simulator
        self.to_daraja, self.to_server = witnesses
        self.doom = Path(server.environment["DOOM"])
        url = make_url(server.environment["DATABASE_URL"])
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg2")
        self.engine: Engine = create_engine(url, pool_pre_ping=True)
        self.pages: list[Page] = []
        self.back_at = datetime.now(UTC)
        self._threads = ThreadPoolExecutor(8)

    # -- what people do ------------------------------------------------------------------------

    def line(self, msisdn: str, **script: object) -> None:
        """Script a payer's line."""
        answer = requests.put(self.simulator.url(f"/lines/{msisdn}"), json=script, timeout=10)
        assert answer.status_code == 200, answer.text

    def order(self, reference: str, amount: int = 150) -> str:
        """The merchant's server makes an order."""
        fields = order_fields(reference=reference, amount=amount)
        answer = self.server.post("/api/orders", json=fields, headers=API_KEY)
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["order_id"]
        return order_id

    def push(self, order_id: str, msisdn: str, key: str) -> requests.Response | None:
        """The payer's page asks for a push; None where the server died instead of answering."""
        try:
            return self.server.post(
                "/stk-push",
                json={"order_id": order_id, "phone": f"+{msisdn}"},
                headers={"Idempotency-Key": key},
            )
        except requests.RequestException:
            return None

    def in_background(self, work: Callable[[], T]) -> "Future[T]":
        """Do something while the test goes on."""
        return self._threads.submit(work)

    def pay(self, msisdn: str) -> None:
        """The payer types the PIN; nobody waits for the callback."""
        (prompt,) = self.simulator.get("/prompts", params={"msisdn": msisdn}).json()
        answer = self.simulator.post(f"/prompts/{prompt['id']}/answer", json={"pin": "1234"})
        assert answer.status_code == 200, answer.text

    def by_hand_is_not_confirmed(self) -> None:
        """Payments by hand are told by the test alone, and by Pull and Transaction Status."""
        # Read as Nairobi's, a time of UTC would be hours before its order was made.
        switches = {"confirmation": "never", "pull_zone": "nairobi"}
        answer = self.simulator.put("/organisation", json=switches)
        assert answer.status_code == 200, answer.text

    def tell(self, path: str, body: bytes) -> int:
        """Safaricom posts something to the server; the status, 502 where nobody answered."""
        address = f"{self.to_server.address}{path}"
        headers = {"Content-Type": "application/json"}
        return requests.post(address, data=body, headers=headers, timeout=30).status_code

    def pull_is_due(self) -> None:
        """The next start pulls at once, as after a longer pause."""
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM pulls"))

    def watch(self, transaction_id: str) -> Page:
        """Open a page on a transaction; closed with the world."""
        page = Page(self.server.address, transaction_id)
        self.pages.append(page)
        return page

    # -- dying and coming back -----------------------------------------------------------------

    def arm(self, point: str, word: str = "die") -> None:
        """From now on the server dies, or is held, at this point."""
        fresh = self.doom.with_suffix(".new")
        fresh.write_text(f"{word} {point}")
        fresh.rename(self.doom)

    def wait_until_held(self) -> None:
        """Until the server is at the point where it is held."""
        wait_until(lambda: not self.doom.exists(), self.server.why, 10)

    def wait_for_death(self) -> None:
        """Until the server has killed itself."""
        process = self.server.process
        assert process is not None
        wait_until(lambda: process.poll() is not None, self.server.why, 10)
        assert process.returncode == -signal.SIGKILL, self.server.why()
        self.check_that_what_was_told_is_committed()

    def come_back(self) -> None:
        """Start the server; returns when it has answered."""
        self.doom.unlink(missing_ok=True)
        self.back_at = datetime.now(UTC)
        self.server.start()
        self.wait_until_served()

    def wait_until_served(self) -> None:
        """Connections are queued before the database is migrated; answers come after it."""
        assert self.server.get("/healthz").status_code == 200

    def time_passes(self, seconds: int) -> None:
        """Move every time in the database back: the server cannot tell that from waiting."""
        with self.engine.begin() as connection:
            for table, columns in _TIMES.items():
                moved = ", ".join(f"{each} = {each} - :gone * interval '1 s'" for each in columns)
                statement = f"UPDATE {table} SET {moved}"  # noqa: S608 (names of our own)
                connection.execute(text(statement), {"gone": seconds})

    @contextmanager
    def holding(self, order_id: str) -> Iterator[None]:
        """Somebody else holds the order's lock."""
        lock = text("SELECT id FROM orders WHERE id = :id FOR UPDATE")
        with self.engine.begin() as connection:
            connection.execute(lock, {"id": order_id})
            yield

    def forget(self) -> None:
        """Begin the next test from nothing."""
        for page in self.pages:
            page.close()
        self.pages.clear()
        self.doom.unlink(missing_ok=True)
        self.simulator.post("/reset")
        # A page hears of a callback before Safaricom has its 200.
        wait_until(lambda: not self.to_server.under_way, self.server.why)
        wait_until(lambda: not self._pulls(), self.server.why)
        wait_until(self._deleted, self.server.why)
        for witness in (self.to_daraja, self.to_server):
            witness.seen.clear()

    def _pulls(self) -> bool:
        """Whether the server writes down what M-PESA listed before it forgot; the dead do not."""
        with self.engine.connect() as connection:
            leases = connection.scalars(select(Pull.claimed_until))
            return any(each is not None and each - LEASE >= self.back_at for each in leases)

    def _deleted(self) -> bool:
        """Whether all rows are gone; where a loop of the server adds one meanwhile, none goes."""
        # Children first; TRUNCATE would deadlock with whatever the server is reading.
        of_receipts = ("witnesses", "suggestions", "receipts", "status_questions", "pulls")
        try:
            with self.engine.begin() as connection:
                for table in (*of_receipts, "idempotency_keys", *reversed(_TIMES)):
                    connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608
        except IntegrityError:
            return False
        return True

    # -- what is so ----------------------------------------------------------------------------

    def rows(self, sql: str, **named: object) -> list[dict[str, Any]]:
        """Rows of the database, as another client sees them."""
        with self.engine.connect() as connection:
            return [dict(each) for each in connection.execute(text(sql), named).mappings()]

    def attempts(self, order_id: str) -> list[dict[str, Any]]:
        """An order's rows, oldest first."""
        return self.rows(
            "SELECT * FROM transactions WHERE order_id = :order_id ORDER BY attempt",
            order_id=order_id,
        )

    def attempt(self, order_id: str) -> dict[str, Any]:
        """The only row of an order."""
        (row,) = self.attempts(order_id)
        return row

    def wait_for(self, order_id: str, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Until the newest row of an order is so."""
        wait_until(
            lambda: condition(self.attempts(order_id)[-1]),
            lambda: f"{self.attempts(order_id)}\n{self.server.why()}",
            10,
        )

    def ledger(self) -> list[dict[str, Any]]:
        """The truth: what moved money."""
        entries: list[dict[str, Any]] = self.simulator.get("/ledger").json()
        return entries

    def pushes(self) -> Counter[str]:
        """How often each callback address, so each row, was pushed."""
        asked = [json.loads(each.body) for each in self._ran(PUSH_PATH)]
        return Counter(each["CallBackURL"] for each in asked)

    def questions(self) -> int:
        """How often Daraja was asked what became of a push."""
        return len(self._ran(QUERY_PATH))

    def _ran(self, path: str) -> list[Seen]:
        """What was asked of Daraja, but for what it refused because the token was dead.

        Between two tests the simulator forgets its tokens, and a server that lives on does not.
        """
        return [each for each in self.to_daraja.seen if each.path == path and each.may_have_run]

    def check_promises(self) -> None:
        """What has to be true after any crash, once all has come back and time has passed."""
        self._check_every_accepted_callback_is_kept()
        self._check_money()
        assert all(count == 1 for count in self.pushes().values()), "a row was pushed twice"

    def check_that_what_was_told_is_committed(self) -> None:
        """After a death: no page knows more than the database."""
        for page in self.pages:
            page.wait_for_the_end()
            (row,) = self.rows(
                "SELECT seq FROM transactions WHERE id = :id", id=page.transaction_id
            )
            assert page.told <= row["seq"], "a page was told what was never committed"

    def _check_every_accepted_callback_is_kept(self) -> None:
        accepted = Counter(each.body for each in self.to_server.seen if each.status == 200)
        kept = Counter(
            bytes(each["body"])
            for each in self.rows("SELECT body FROM evidence WHERE kind = 'callback'")
        )
        assert not accepted - kept, "a callback was answered 200 and is lost"

    def _check_money(self) -> None:
        """Every order of a test has a reference of its own."""
        paid = Counter(each["reference"] for each in self.ledger())
        rows = self.rows("SELECT reference, t.* FROM transactions t JOIN orders o ON o.id=order_id")
        told = Counter(each["reference"] for each in rows if each["status"] == "SUCCESS")
        review = {each["reference"] for each in rows if each["needs_review"]}
        assert not told - paid, "a SUCCESS without a shilling"
        missing = {reference for reference in paid - told if reference not in review}
        assert not missing, f"money that nobody knows of: {missing}"


@contextmanager
def a_world(
    folder: Path, postgres: Postgres | None, program: tuple[str, ...], **settings: str
) -> Iterator[World]:
    """A server, and a simulator in a process of its own.

    Args:
        postgres: the cluster that the server gets a database of; None: it has a file of SQLite.
    """
    database = {"DATABASE_URL": postgres.new_database()} if postgres else {}
    port = str(free_port())
    simulator_program = ("-m", "mpesa.simulator", "--port", port)
    with running(folder, simulator_program, PORT=port) as simulator:
        ours = str(free_port())
        with (
            Witness(simulator.address).standing() as to_daraja,
            Witness(f"http://127.0.0.1:{ours}").standing() as to_server,
            running(
                folder,
                program,
                PORT=ours,
                DARAJA_ENV="simulator",
                DARAJA_BASE_URL=to_daraja.address,
                PUBLIC_URL=to_server.address,
                DOOM=str(folder / "doom"),
                **{
                    # What serves production; `ASYNC_MODE=eventlet make test` tries the other.
                    "ASYNC_MODE": os.environ.get("ASYNC_MODE") or "gevent",
                    # The reconciler's budget is not what is tested here.
                    "DARAJA_QUERY_RATE": "600/minute",
                    **database,
                    **settings,
                },
            ) as server,
        ):
            world = World(server, simulator, (to_daraja, to_server))
            try:
                world.wait_until_served()
                yield world
            finally:
                world.forget()
                world.engine.dispose()
