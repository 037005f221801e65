"""The people of the soak's shop: they ask for refunds, release them, refuse some, and end others.

Now and then two do the same at once, and somebody at M-PESA's portal is faster than they are.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from random import Random
from typing import Any, TypeVar

import pyotp
import requests

from app import create_app
from mpesa import operators
from mpesa.config import Settings
from mpesa.domain.roles import Role
from mpesa.models import db
from mpesa.runtime.wiring import utc_now
from tests.factories import API_KEY
from tests.servers import PATIENCE, Server
from tests.soak.shopper import Notes
from tests.web.console.steps import token_on

T = TypeVar("T")
REFUND_KEY = "a-key-that-may-ask-for-refunds"
_ASKING = {"Authorization": f"Bearer {REFUND_KEY}"}
# Each releases one refund a time step at most, since a code counts once (seconds).
_MANAGERS, _TIME_STEP = ("amina", "baraka", "chege", "dora"), 30
_PASSWORD = "the managers of a soak"
_LOOK_EVERY, _LOOK_FOR_STOPPED_EVERY = 2.0, 30.0
# Nobody ends at once what is unknown (seconds).
_LOOKED_AT_AFTER = 20


class Manager:
    """A manager's browser, logged in, and the app that shows the codes of the second factor."""

    def __init__(self, server: Server, name: str, secret: str) -> None:
        self._server, self._codes, self._last_step = server, pyotp.TOTP(secret), 0
        self._browser = requests.Session()
        self._token = self._token_on("/console/login")
        self.send("/console/login", name=name, password=_PASSWORD)
        self._token = self._token_on("/console/refunds")

    @property
    def has_a_code(self) -> bool:
        """Whether the app shows a code that was not used, and goes on showing it for a moment."""
        step, since = divmod(time.time(), _TIME_STEP)
        return step > self._last_step and since < _TIME_STEP - 2

    def send(self, path: str, **fields: str) -> bool:
        """Send a form; returns whether it was taken."""
        data = {**fields, "csrf_token": self._token}
        address = self._server.url(path)
        answer = self._browser.post(address, data, timeout=PATIENCE, allow_redirects=False)
        assert answer.status_code in (303, 409), f"{path}: {answer.status_code}"
        assert "or the code was used before" not in answer.text, path
        return answer.status_code == 303

    def send_with_code(self, path: str, **fields: str) -> bool:
        """Send a form that asks for password and code; returns whether it was taken."""
        self._last_step = int(time.time()) // _TIME_STEP
        code = self._codes.at(self._last_step * _TIME_STEP)
        return self.send(path, password=_PASSWORD, code=code, **fields)

    def _token_on(self, path: str) -> str:
        return token_on(self._browser.get(self._server.url(path), timeout=PATIENCE).text)


class Desk:
    """Gives money back for as long as shoppers come."""

    def __init__(self, server: Server, simulator: Server, notes: Notes, chance: Random) -> None:
        self._server, self._simulator, self._notes, self._chance = server, simulator, notes, chance
        # It listens before its tables are there.
        server.get("/readyz").raise_for_status()
        self._managers = [Manager(server, *each) for each in _hired(server.environment)]
        self._refunds: dict[str, dict[str, Any]] = {}
        self._met: set[str] = set()
        self._decided: set[str] = set()
        self._places = {"receipts": "", "refunds": ""}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def open(self) -> None:
        """Begin to work, beside whatever else happens."""
        self._thread.start()

    def close(self) -> None:
        """Ask for nothing more, refuse what still waits, and let what is released be sent."""
        self._closing.set()
        self._thread.join()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self._let_initiators_go()
            for refund_id in self._waiting("requested"):
                self._managers[0].send(f"/console/refunds/{refund_id}/refuse")
            time.sleep(_LOOK_EVERY)

    def _work(self) -> None:
        looked = time.monotonic()
        try:
            while not self._closing.wait(_LOOK_EVERY):
                for receipt in self._new_receipts():
                    self._meet(receipt)
                for refund_id in self._waiting("requested"):
                    self._decide(refund_id)
                for refund_id in self._waiting("unknown"):
                    self._end(refund_id)
                if time.monotonic() - looked > _LOOK_FOR_STOPPED_EVERY:
                    looked = time.monotonic()
                    self._let_initiators_go()
        except Exception as error:  # noqa: BLE001 - whatever it is, the soak tells it
            self._notes.broken.append(f"desk: {type(error).__name__}: {error}")

    # -- asking -------------------------------------------------------------------------------

    def _new_receipts(self) -> Iterator[str]:
        for shown in self._listed("receipts"):
            known = shown["receipt"] in self._met or shown["direction"] != "in"
            if not known and shown["state"] in ("claimed", "unclaimed"):
                self._met.add(shown["receipt"])
                yield shown["receipt"]

    def _meet(self, receipt: str) -> None:
        """Most receipts are left alone."""
        if self._chance.random() < 0.02:
            self._give_back_at_the_portal(receipt)
        if self._chance.random() < 0.12:
            self._ask(receipt)

    def _give_back_at_the_portal(self, receipt: str) -> None:
        answer = self._simulator.post("/reversals", json={"receipt": receipt})
        assert answer.status_code in (201, 409), answer.text
        self._notes.seen["given back at the portal"] += answer.status_code == 201

    def _ask(self, receipt: str) -> None:
        """Some ask twice at once: with one key, or as two who do not know of each other."""
        wanted: dict[str, object] = {"receipt": receipt, "reason": "the soak"}
        key = {"Idempotency-Key": f"{self._chance.random()}"} if self._chance.random() < 0.5 else {}
        headers = {**_ASKING, **key}
        send = lambda: self._server.post("/api/refunds", json=wanted, headers=headers)  # noqa: E731
        answers = _at_once([send] * self._chance.choice([1, 1, 2]))
        if {_error(each) for each in answers} == {"other_receipt_returned"}:
            wanted["returns_all"] = True
            answers = [send()]
        made = {each.json()["refund_id"] for each in answers if each.status_code == 201}
        refused = {_error(each) for each in answers} - {None}
        assert len(made) <= 1, f"{receipt}: two refunds at once"
        assert refused <= {"refund_exists", "not_refundable"}, f"{receipt}: {refused}"
        self._notes.seen["refunds asked for"] += len(made)

    # -- deciding -----------------------------------------------------------------------------

    def _decide(self, refund_id: str) -> None:
        """Refuse a few, and release the others; some of them two managers at once."""
        free = [each for each in self._managers if each.has_a_code]
        if refund_id in self._decided or not free:
            return
        self._decided.add(refund_id)
        path = f"/console/refunds/{refund_id}"
        if self._chance.random() < 0.1:
            self._notes.seen["refunds refused"] += free[0].send(f"{path}/refuse")
            return
        if self._chance.random() < 0.05:
            self._give_back_at_the_portal(self._refunds[refund_id]["receipt"])
        sends = [
            lambda by=by: by.send_with_code(f"{path}/release", returns_all="yes")  # type: ignore[misc]
            for by in free[: self._chance.choice([1, 1, 2])]
        ]
        done = sum(_at_once(sends))
        assert done <= 1, f"{refund_id}: released twice"
        self._notes.seen["refunds released" if done else "releases refused"] += 1

    def _end(self, refund_id: str) -> None:
        """Say of half of the unknown ones what M-PESA's ledger says; leave the others to others."""
        shown, mark = self._refunds[refund_id], f"{refund_id} ended"
        age = utc_now() - datetime.fromisoformat(shown["updated_at"])
        free = [each for each in self._managers if each.has_a_code]
        if mark in self._decided or age.total_seconds() < _LOOKED_AT_AFTER or not free:
            return
        self._decided.add(mark)
        if self._chance.random() < 0.5:
            return
        ledger = self._simulator.get("/ledger").json()
        (paid,) = (each for each in ledger if each["receipt"] == shown["receipt"])
        back = "yes" if paid["returned_by"] else "no"
        if free[0].send_with_code(f"/console/refunds/{refund_id}/end", back=back):
            self._notes.seen[f"refunds ended, back: {back}"] += 1
            if back == "no":
                self._ask(shown["receipt"])

    def _let_initiators_go(self) -> None:
        """Where one is stopped, it is used again; where none is, that says nothing."""
        for initiator in ("refund", "status"):
            path = f"/console/health/initiators/{initiator}/go"
            self._managers[0].send(path, reason="it is the simulator's mood")

    # -- listing ------------------------------------------------------------------------------

    def _waiting(self, status: str) -> list[str]:
        """The refunds with a status, as their list tells."""
        for shown in self._listed("refunds"):
            self._refunds[shown["refund_id"]] = shown
        return [each for each, shown in self._refunds.items() if shown["status"] == status]

    def _listed(self, what: str) -> Iterator[dict[str, Any]]:
        """What changed since it was read last."""
        while True:
            query = {"cursor": self._places[what]} if self._places[what] else {}
            answer = self._server.get(f"/api/{what}", params=query, headers=API_KEY)
            assert answer.status_code == 200, answer.text
            yield from answer.json()[what]
            if answer.json()["next"] is None:
                return
            self._places[what] = answer.json()["next"]


def _hired(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Managers and the secrets of their second factors."""
    settings = Settings.from_env(dict(environment))
    app = create_app(settings)
    with app.app_context():
        for name in _MANAGERS:
            operators.add(db.session(), name, _PASSWORD, utc_now(), Role.MANAGER)
            secret = operators.enrol(db.session(), name, settings.secret_key)
            assert secret is not None
            yield name, secret
        db.session.remove()
        db.engine.dispose()


def _at_once(calls: list[Callable[[], T]]) -> list[T]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def _error(answer: requests.Response) -> str | None:
    return None if answer.ok else answer.json()["code"]
