"""Callbacks: stored raw before anything else, judged as well as can be, never lost."""

import ipaddress
import threading
from dataclasses import replace
from typing import NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from mpesa import inbox, ledger
from mpesa.domain import settlement
from mpesa.inbox import Arrival, UnknownToken, from_listed
from mpesa.models import EvidenceRow
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja
from tests.servers import wait_until

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
SAFARICOM = "196.201.212.69"
FORGER = "203.0.113.9"

GARBAGE = [
    b"",
    b"\x00\xff\xfe",
    b"not json",
    b"[]",
    b"null",
    b'{"Body": 1}',
    b'{"Body": {"stkCallback": {}}}',
    b'{"Body": {"stkCallback": {"ResultCode": null}}}',
    b'{"Body": {"stkCallback": {"ResultCode": false}}}',
    b'{"Body": {"stkCallback": {"ResultCode": ""}}}',
    b'{"Body": {"stkCallback": {"ResultCode": 1, "ResultCode": 0}}}',
    b"[" * 50_000,
    b'{"Body": {"stkCallback": {"ResultCode": ' + b"9" * 5_000 + b"}}}",
]


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def paid(desk: Desk, push: int = 1, **changed: object) -> dict:
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    return success_callback(*ids, **changed)


def everything_stored(desk: Desk) -> list[bytes]:
    with desk.sessions() as session:
        return list(session.scalars(select(EvidenceRow.body).where(EvidenceRow.kind == "callback")))


def judge_waiting(desk: Desk) -> int:
    with desk.sessions() as session:
        return inbox.judge_waiting(session, desk.inbox_needs()).count


class BrokenJudgement:
    """A database that takes evidence and no decisions, while it is entered."""

    def __init__(self, desk: Desk) -> None:
        self.engine = desk.engine

    def __enter__(self) -> None:
        event.listen(self.engine, "before_cursor_execute", self.refuse)

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self.refuse)

    @staticmethod
    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO decisions" in statement:
            raise OperationalError("INSERT", {}, RuntimeError("disk full"))


# -- what is stored ------------------------------------------------------------------------------


@on_both
def test_an_unknown_token_stores_nothing(desk: Desk) -> None:
    desk.attempt()
    arrival = Arrival("0" * 64, raw(paid(desk)), SAFARICOM)

    with desk.sessions() as session, pytest.raises(UnknownToken):
        inbox.receive(session, arrival, desk.inbox_needs())

    assert everything_stored(desk) == []


@on_both
def test_a_callback_is_stored_as_it_came(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=12)
    body = b'  {"Body": {"stkCallback" : {"ResultCode":1032} } }\n'

    desk.callback(1, body)

    evidence = desk.evidence(transaction)[-1]
    assert (evidence.kind, evidence.body) == ("callback", body)
    assert (evidence.source, evidence.received_at) == (SAFARICOM, clock())


@on_both
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_stored_and_changes_nothing_but_asks_daraja(desk: Desk, body: bytes) -> None:
    transaction = desk.attempt()
    before = desk.snapshot(transaction)

    desk.callback(1, body)

    row = desk.transaction(transaction)
    assert everything_stored(desk) == [body]
    assert desk.snapshot(transaction) == before
    assert row.next_ask_at == desk.now()


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_answered_like_anything_else(
    desk: Desk, client: FlaskClient, body: bytes
) -> None:
    desk.attempt()

    answer = client.post(f"/callback/{desk.daraja.token_of(1)}", data=body)

    assert answer.status_code == 200
    assert answer.get_json() == {"ResultCode": 0, "ResultDesc": "Accepted"}


def test_unreadable_evidence_without_an_id_to_ask_with_needs_a_person(desk: Desk) -> None:
    desk.daraja.answers.append(lambda push: desk.callback(1, b"garbage"))

    transaction = desk.attempt()

    assert desk.transaction(transaction).needs_review


@on_both
def test_a_success_pays(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.announced.clear()

    desk.callback(1, paid(desk))

    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.final, row.receipt) == ("SUCCESS", "paid", True, RECEIPT)
    assert desk.announced == [transaction]


def test_a_repeated_callback_is_announced_once(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.announced.clear()

    for _ in range(3):
        desk.callback(1, paid(desk))

    assert desk.announced == [transaction]
    assert len(everything_stored(desk)) == 3


# -- what is not believed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 149},
        {"amount": 151},
        {"amount": 150.5},
        {"amount": None},
        {"amount": True},
        {"receipt": None},
        {"receipt": "SHORT"},
        {"receipt": "UKO1ABCDÉF"},
        {"MerchantRequestID": "another"},
        {"CheckoutRequestID": "another"},
        {"CheckoutRequestID": None},
        {"CallbackMetadata": None},
    ],
    ids=str,
)
def test_a_success_that_does_not_fit_is_not_believed(desk: Desk, changed: dict) -> None:
    transaction = desk.attempt()

    desk.callback(1, paid(desk, **changed))

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert desk.order_row(row.order_id).status == "OPEN"


def test_a_callback_under_anothers_token_pays_nobody(desk: Desk) -> None:
    first = desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)

    desk.callback(1, paid(desk, 2))

    assert desk.transaction(first).status == "PENDING"
    assert desk.transaction(second).status == "PENDING"
    assert desk.transaction(first).needs_review


def test_a_failure_after_the_success_leaves_it_and_calls_a_person(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk))

    desk.callback(1, failure_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1)))

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


@pytest.mark.parametrize("zero", [0, 0.0, "0"])
def test_zero_is_zero_however_it_is_written(desk: Desk, zero: object) -> None:
    transaction = desk.attempt()

    desk.callback(1, paid(desk, ResultCode=zero))

    assert desk.transaction(transaction).status == "SUCCESS"


@pytest.mark.parametrize("code", [False, None, "", "00", "0x0", [], {}, -0.5])
def test_what_is_not_zero_pays_nobody(desk: Desk, code: object) -> None:
    transaction = desk.attempt()

    desk.callback(1, paid(desk, ResultCode=code))

    assert desk.transaction(transaction).status != "SUCCESS"


# -- CALLBACK_ALLOWED_IPS ------------------------------------------------------------------------


@on_both
def test_a_callback_from_elsewhere_is_stored_and_not_believed(
    make_app: object, clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24, 196.201.214.200")  # type: ignore[operator]
    desk = Desk(app, clock, daraja)
    transaction = desk.attempt()
    clock.pass_(seconds=5)

    answer = app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=paid(desk),
        environ_base={"REMOTE_ADDR": FORGER},
    )

    row = desk.transaction(transaction)
    assert answer.status_code == 200
    assert len(everything_stored(desk)) == 1
    assert (row.status, row.receipt, row.next_ask_at) == ("PENDING", None, clock())
    assert row.needs_review  # it claimed money


def test_a_failure_from_elsewhere_changes_nothing_and_needs_no_person(
    make_app: object, clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")  # type: ignore[operator]
    desk = Desk(app, clock, daraja)
    transaction = desk.attempt()

    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=failure_callback(daraja.checkout_id(1), daraja.merchant_id(1)),
        environ_base={"REMOTE_ADDR": FORGER},
    )

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review, row.next_ask_at) == ("PENDING", False, clock())


def test_a_callback_from_a_listed_address_is_believed(
    make_app: object, clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24, 196.201.214.200")  # type: ignore[operator]
    desk = Desk(app, clock, daraja)
    transaction = desk.attempt()

    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=paid(desk),
        environ_base={"REMOTE_ADDR": SAFARICOM},
    )

    assert desk.transaction(transaction).status == "SUCCESS"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("196.201.212.69", True),
        ("196.201.213.1", False),
        ("::ffff:196.201.212.69", True),
        ("", False),
        (None, False),
        ("nonsense", False),
    ],
)
def test_an_address_is_listed_or_not(source: str | None, expected: bool) -> None:
    listed = from_listed([ipaddress.ip_network("196.201.212.0/24")])

    assert listed(source) is expected


def test_an_empty_list_lists_everybody() -> None:
    listed = from_listed([])

    assert listed("203.0.113.9")
    assert listed(None)


def test_where_a_stored_callback_came_from_still_counts_when_it_is_judged_late(
    desk: Desk,
) -> None:
    transaction = desk.attempt()
    arrived = ledger.Raw(ledger.Kind.CALLBACK, raw(paid(desk)), FORGER)
    with desk.sessions() as session:
        ledger.store(session, transaction, arrived, desk.now)

    listed = from_listed([ipaddress.ip_network("196.201.212.0/24")])
    with desk.sessions() as session:
        inbox.judge_waiting(session, desk.inbox_needs(listed))

    assert desk.transaction(transaction).status == "PENDING"


# -- a database that fails -----------------------------------------------------------------------


@on_both
def test_a_judgement_that_fails_leaves_the_callback_stored_and_is_made_later(desk: Desk) -> None:
    transaction = desk.attempt()
    with BrokenJudgement(desk):
        desk.callback(1, paid(desk))
    stored, during = everything_stored(desk), desk.transaction(transaction).status

    judged = judge_waiting(desk)

    assert (stored, during, judged) == ([raw(paid(desk))], "PENDING", 1)
    assert desk.transaction(transaction).status == "SUCCESS"
    assert judge_waiting(desk) == 0


def test_safaricom_gets_its_200_although_the_judgement_failed(
    desk: Desk, client: FlaskClient
) -> None:
    desk.attempt()

    with BrokenJudgement(desk):
        answer = client.post(f"/callback/{desk.daraja.token_of(1)}", json=paid(desk))

    assert answer.status_code == 200
    assert len(everything_stored(desk)) == 1


@on_both
def test_what_waits_is_judged_in_the_order_in_which_it_came(desk: Desk) -> None:
    transaction = desk.attempt()
    ids = (desk.daraja.checkout_id(1), desk.daraja.merchant_id(1))
    with BrokenJudgement(desk):
        desk.callback(1, failure_callback(*ids, 1037))
        desk.callback(1, paid(desk))

    judged = judge_waiting(desk)

    row = desk.transaction(transaction)
    assert judged == 2
    assert (row.status, row.reason, row.needs_review) == ("SUCCESS", "paid_late", False)


def test_one_callback_that_cannot_be_judged_does_not_keep_the_others_waiting(
    desk: Desk,
) -> None:
    poisoned = desk.attempt()
    healthy = desk.attempt(SECOND_PAYER_MSISDN)
    with BrokenJudgement(desk):
        desk.callback(1, paid(desk, 1))
        desk.callback(2, paid(desk, 2, receipt="UKO1BBBBBB"))

    def refuse(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "INSERT INTO decisions" in statement and poisoned in str(parameters):
            raise OperationalError("INSERT", {}, RuntimeError("this row alone"))

    event.listen(desk.engine, "before_cursor_execute", refuse)
    try:
        judge_waiting(desk)
    finally:
        event.remove(desk.engine, "before_cursor_execute", refuse)

    assert desk.transaction(healthy).status == "SUCCESS"
    assert desk.transaction(poisoned).status == "PENDING"


def test_what_could_not_be_stored_is_not_called_accepted(desk: Desk, client: FlaskClient) -> None:
    desk.attempt()

    def refuse(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO evidence"):
            raise OperationalError("INSERT", {}, RuntimeError("disk full"))

    event.listen(desk.engine, "before_cursor_execute", refuse)
    try:
        answer = client.post(f"/callback/{desk.daraja.token_of(1)}", json=paid(desk))
    finally:
        event.remove(desk.engine, "before_cursor_execute", refuse)

    assert answer.status_code == 503
    assert answer.get_json()["code"] == "unavailable"


def test_neither_number_nor_token_is_logged_when_a_judgement_fails(
    desk: Desk, caplog: pytest.LogCaptureFixture, log_lines: list[dict[str, str]]
) -> None:
    transaction = desk.attempt()

    with BrokenJudgement(desk):
        desk.callback(1, paid(desk))

    assert log_lines[-1]["transaction_id"] == transaction
    assert "712345678" not in caplog.text
    assert desk.daraja.token_of(1) not in caplog.text


# -- one commit, or two ---------------------------------------------------------------------------


class Commits:
    """Counts what an engine commits, while it is entered."""

    def __init__(self, desk: Desk) -> None:
        self.engine = desk.engine
        self.count = 0

    def __enter__(self) -> "Commits":
        event.listen(self.engine, "commit", self.add)
        event.listen(self.engine, "before_cursor_execute", self.look)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "commit", self.add)
        event.remove(self.engine, "before_cursor_execute", self.look)

    def add(self, _connection: object) -> None:
        self.count += 1

    def look(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """One that is sent along with what it commits is the driver's alone."""
        self.count += statement.rstrip().endswith("COMMIT")


def broken_decision(*_: object) -> NoReturn:
    raise ZeroDivisionError("a bug in a rule")


@on_both
def test_the_usual_callback_is_stored_and_judged_in_one_commit(desk: Desk) -> None:
    transaction = desk.attempt()

    with Commits(desk) as commits:
        desk.callback(1, paid(desk))

    decision, evidence = desk.decisions(transaction)[-1], desk.evidence(transaction)[-1]
    assert commits.count == 1
    assert (evidence.body, decision.evidence_id) == (raw(paid(desk)), evidence.id)
    assert desk.transaction(transaction).status == "SUCCESS"


@on_postgresql
def test_a_callback_is_stored_although_its_order_is_held_and_judged_afterwards(
    desk: Desk,
) -> None:
    transaction = desk.attempt()
    order_id = desk.transaction(transaction).order_id
    arrival = threading.Thread(target=desk.callback, args=(1, paid(desk)), daemon=True)

    with desk.sessions() as holder:
        ledger.lock_order(holder, order_id)
        arrival.start()
        wait_until(lambda: everything_stored(desk), seconds=10)
        meanwhile = desk.transaction(transaction).status
        holder.rollback()
    arrival.join(10)

    assert (meanwhile, desk.transaction(transaction).status) == ("PENDING", "SUCCESS")
    assert everything_stored(desk) == [raw(paid(desk))]
    assert judge_waiting(desk) == 0


@on_both
def test_a_decision_that_fails_leaves_the_body_and_is_made_later(
    desk: Desk, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = desk.attempt()
    with monkeypatch.context() as broken:
        broken.setattr(settlement, "decide", broken_decision)
        answer = client.post(f"/callback/{desk.daraja.token_of(1)}", data=raw(paid(desk)))
    stored, during = everything_stored(desk), desk.transaction(transaction).status

    judged = judge_waiting(desk)

    assert (answer.status_code, stored, during) == (200, [raw(paid(desk))], "PENDING")
    assert (judged, desk.transaction(transaction).status) == (1, "SUCCESS")
    assert everything_stored(desk) == stored


@on_both
def test_a_receipt_that_is_anothers_is_stored_and_decided_on_once(desk: Desk) -> None:
    desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, paid(desk, 1))

    desk.callback(2, paid(desk, 2))

    row, evidence = desk.transaction(second), desk.evidence(second)[-1]
    decided = [each for each in desk.decisions(second) if each.evidence_id == evidence.id]
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert everything_stored(desk) == [raw(paid(desk, 1)), raw(paid(desk, 2))]
    assert [each.needs_review for each in decided] == [True]


def test_an_unknown_token_stores_nothing_where_the_usual_way_fails_either(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.attempt()
    monkeypatch.setattr(ledger, "record_callback", broken_decision)
    arrival = Arrival("0" * 64, raw(paid(desk)), SAFARICOM)

    with desk.sessions() as session, pytest.raises(UnknownToken):
        inbox.receive(session, arrival, desk.inbox_needs())

    assert everything_stored(desk) == []


@pytest.mark.parametrize("usual_way_fails", [False, True])
def test_an_announcement_that_fails_is_no_error_to_the_sender(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, usual_way_fails: bool
) -> None:
    transaction = desk.attempt()
    arrival = Arrival(desk.daraja.token_of(1), raw(paid(desk)), SAFARICOM)
    needs = replace(desk.inbox_needs(), announce=broken_decision)
    if usual_way_fails:
        monkeypatch.setattr(ledger, "record_callback", broken_decision)

    with desk.sessions() as session:
        inbox.receive(session, arrival, needs)

    assert desk.transaction(transaction).status == "SUCCESS"
    assert everything_stored(desk) == [raw(paid(desk))]
