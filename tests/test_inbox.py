"""Callbacks: stored raw before anything else, judged as well as can be, never lost."""

import ipaddress
import threading
from dataclasses import replace

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from mpesa import inbox, ledger
from mpesa.domain import settlement
from mpesa.domain.address import from_listed
from mpesa.domain.evidence import Kind, Raw
from mpesa.inbox import Arrival, UnknownToken
from mpesa.models import EvidenceRow
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
)
from tests.servers import wait_until
from tests.shop import Shop

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


def everything_stored(shop):
    with shop.sessions() as session:
        return list(session.scalars(select(EvidenceRow.body).where(EvidenceRow.kind == "callback")))


def judge_waiting(shop):
    with shop.sessions() as session:
        return inbox.judge_waiting(session, shop.inbox_needs()).count


class BrokenJudgement:
    """A database that takes evidence and no decisions, while it is entered."""

    def __init__(self, shop):
        self.engine = shop.engine

    def __enter__(self):
        event.listen(self.engine, "before_cursor_execute", self.refuse)

    def __exit__(self, *_):
        event.remove(self.engine, "before_cursor_execute", self.refuse)

    @staticmethod
    def refuse(_connection, _cursor, statement, *_):
        if "INSERT INTO decisions" in statement:
            raise OperationalError("INSERT", {}, RuntimeError("disk full"))


# -- what is stored ------------------------------------------------------------------------------


@on_both
def test_an_unknown_token_stores_nothing(shop):
    shop.attempt()
    arrival = Arrival("0" * 64, raw(shop.paid()), SAFARICOM)

    with shop.sessions() as session, pytest.raises(UnknownToken):
        inbox.receive(session, arrival, shop.inbox_needs())

    assert everything_stored(shop) == []


@on_both
def test_a_callback_is_stored_as_it_came(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=12)
    body = b'  {"Body": {"stkCallback" : {"ResultCode":1032} } }\n'

    shop.callback(1, body)

    evidence = shop.evidence(transaction)[-1]
    assert (evidence.kind, evidence.body) == ("callback", body)
    assert (evidence.source, evidence.received_at) == (SAFARICOM, clock())


@on_both
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_stored_and_changes_nothing_but_asks_daraja(shop, body):
    transaction = shop.attempt()
    before = shop.snapshot(transaction)

    shop.callback(1, body)

    row = shop.transaction(transaction)
    assert everything_stored(shop) == [body]
    assert shop.snapshot(transaction) == before
    assert row.next_ask_at == shop.now()


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_answered_like_anything_else(shop, client, body):
    shop.attempt()

    answer = client.post(f"/callback/{shop.daraja.token_of(1)}", data=body)

    assert answer.status_code == 200
    assert answer.get_json() == {"ResultCode": 0, "ResultDesc": "Accepted"}


def test_unreadable_evidence_without_an_id_to_ask_with_needs_a_person(shop):
    shop.daraja.answers.append(lambda push: shop.callback(1, b"garbage"))

    transaction = shop.attempt()

    assert shop.transaction(transaction).needs_review


@on_both
def test_a_success_pays(shop):
    transaction = shop.attempt()
    shop.announced.clear()

    shop.callback(1, shop.paid())

    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.final, row.receipt) == ("SUCCESS", "paid", True, RECEIPT)
    assert shop.announced == [transaction]


def test_a_repeated_callback_is_announced_once(shop):
    transaction = shop.attempt()
    shop.announced.clear()

    for _ in range(3):
        shop.callback(1, shop.paid())

    assert shop.announced == [transaction]
    assert len(everything_stored(shop)) == 3


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
def test_a_success_that_does_not_fit_is_not_believed(shop, changed):
    transaction = shop.attempt()

    shop.callback(1, shop.paid(**changed))

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert shop.order_row(row.order_id).status == "OPEN"


def test_a_callback_under_anothers_token_pays_nobody(shop):
    first = shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)

    shop.callback(1, shop.paid(2))

    assert shop.transaction(first).status == "PENDING"
    assert shop.transaction(second).status == "PENDING"
    assert shop.transaction(first).needs_review


def test_a_failure_after_the_success_leaves_it_and_calls_a_person(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid())

    shop.callback(1, failure_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


@pytest.mark.parametrize("zero", [0, 0.0, "0"])
def test_zero_is_zero_however_it_is_written(shop, zero):
    transaction = shop.attempt()

    shop.callback(1, shop.paid(ResultCode=zero))

    assert shop.transaction(transaction).status == "SUCCESS"


@pytest.mark.parametrize("code", [False, None, "", "00", "0x0", [], {}, -0.5])
def test_what_is_not_zero_pays_nobody(shop, code):
    transaction = shop.attempt()

    shop.callback(1, shop.paid(ResultCode=code))

    assert shop.transaction(transaction).status != "SUCCESS"


# -- CALLBACK_ALLOWED_IPS ------------------------------------------------------------------------


@on_both
def test_a_callback_from_elsewhere_is_stored_and_not_believed(make_app, clock, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24, 196.201.214.200")
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()
    clock.pass_(seconds=5)

    answer = app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=shop.paid(),
        environ_base={"REMOTE_ADDR": FORGER},
    )

    row = shop.transaction(transaction)
    assert answer.status_code == 200
    assert len(everything_stored(shop)) == 1
    assert (row.status, row.receipt, row.next_ask_at) == ("PENDING", None, clock())
    assert row.needs_review  # it claimed money


def test_a_failure_from_elsewhere_changes_nothing_and_needs_no_person(make_app, clock, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()

    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=failure_callback(daraja.checkout_id(1), daraja.merchant_id(1)),
        environ_base={"REMOTE_ADDR": FORGER},
    )

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review, row.next_ask_at) == ("PENDING", False, clock())


def test_a_callback_from_a_listed_address_is_believed(make_app, clock, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24, 196.201.214.200")
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()

    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=shop.paid(),
        environ_base={"REMOTE_ADDR": SAFARICOM},
    )

    assert shop.transaction(transaction).status == "SUCCESS"


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
def test_an_address_is_listed_or_not(source, expected):
    listed = from_listed([ipaddress.ip_network("196.201.212.0/24")])

    assert listed(source) is expected


def test_an_empty_list_lists_everybody():
    listed = from_listed([])

    assert listed("203.0.113.9")
    assert listed(None)


def test_where_a_stored_callback_came_from_still_counts_when_it_is_judged_late(
    shop,
):
    transaction = shop.attempt()
    arrived = Raw(Kind.CALLBACK, raw(shop.paid()), FORGER)
    with shop.sessions() as session:
        ledger.store(session, transaction, arrived, shop.now)

    listed = from_listed([ipaddress.ip_network("196.201.212.0/24")])
    with shop.sessions() as session:
        inbox.judge_waiting(session, shop.inbox_needs(listed))

    assert shop.transaction(transaction).status == "PENDING"


# -- a database that fails -----------------------------------------------------------------------


@on_both
def test_a_judgement_that_fails_leaves_the_callback_stored_and_is_made_later(shop):
    transaction = shop.attempt()
    with BrokenJudgement(shop):
        shop.callback(1, shop.paid())
    stored, during = everything_stored(shop), shop.transaction(transaction).status

    judged = judge_waiting(shop)

    assert (stored, during, judged) == ([raw(shop.paid())], "PENDING", 1)
    assert shop.transaction(transaction).status == "SUCCESS"
    assert judge_waiting(shop) == 0


def test_safaricom_gets_its_200_although_the_judgement_failed(shop, client):
    shop.attempt()

    with BrokenJudgement(shop):
        answer = client.post(f"/callback/{shop.daraja.token_of(1)}", json=shop.paid())

    assert answer.status_code == 200
    assert len(everything_stored(shop)) == 1


@on_both
def test_what_waits_is_judged_in_the_order_in_which_it_came(shop):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    with BrokenJudgement(shop):
        shop.callback(1, failure_callback(*ids, 1037))
        shop.callback(1, shop.paid())

    judged = judge_waiting(shop)

    row = shop.transaction(transaction)
    assert judged == 2
    assert (row.status, row.reason, row.needs_review) == ("SUCCESS", "paid_late", False)


def test_one_callback_that_cannot_be_judged_does_not_keep_the_others_waiting(
    shop,
):
    poisoned = shop.attempt()
    healthy = shop.attempt(SECOND_PAYER_MSISDN)
    with BrokenJudgement(shop):
        shop.callback(1, shop.paid(1))
        shop.callback(2, shop.paid(2, receipt="UKO1BBBBBB"))

    def refuse(_c, _cursor, statement, parameters, *_):
        if "INSERT INTO decisions" in statement and poisoned in str(parameters):
            raise OperationalError("INSERT", {}, RuntimeError("this row alone"))

    event.listen(shop.engine, "before_cursor_execute", refuse)
    try:
        judge_waiting(shop)
    finally:
        event.remove(shop.engine, "before_cursor_execute", refuse)

    assert shop.transaction(healthy).status == "SUCCESS"
    assert shop.transaction(poisoned).status == "PENDING"


def test_what_could_not_be_stored_is_not_called_accepted(shop, client):
    shop.attempt()

    def refuse(_c, _cursor, statement, *_):
        if statement.startswith("INSERT INTO evidence"):
            raise OperationalError("INSERT", {}, RuntimeError("disk full"))

    event.listen(shop.engine, "before_cursor_execute", refuse)
    try:
        answer = client.post(f"/callback/{shop.daraja.token_of(1)}", json=shop.paid())
    finally:
        event.remove(shop.engine, "before_cursor_execute", refuse)

    assert answer.status_code == 503
    assert answer.get_json()["code"] == "unavailable"


def test_neither_number_nor_token_is_logged_when_a_judgement_fails(shop, caplog, log_lines):
    transaction = shop.attempt()

    with BrokenJudgement(shop):
        shop.callback(1, shop.paid())

    assert log_lines[-1]["transaction_id"] == transaction
    assert "712345678" not in caplog.text
    assert shop.daraja.token_of(1) not in caplog.text


# -- one commit, or two ---------------------------------------------------------------------------


class Commits:
    """Counts what an engine commits, while it is entered."""

    def __init__(self, shop):
        self.engine = shop.engine
        self.count = 0

    def __enter__(self):
        event.listen(self.engine, "commit", self.add)
        event.listen(self.engine, "before_cursor_execute", self.look)
        return self

    def __exit__(self, *_):
        event.remove(self.engine, "commit", self.add)
        event.remove(self.engine, "before_cursor_execute", self.look)

    def add(self, _connection):
        self.count += 1

    def look(self, _connection, _cursor, statement, *_):
        """One that is sent along with what it commits is the driver's alone."""
        self.count += statement.rstrip().endswith("COMMIT")


def broken_decision(*_):
    raise ZeroDivisionError("a bug in a rule")


@on_both
def test_the_usual_callback_is_stored_and_judged_in_one_commit(shop):
    transaction = shop.attempt()

    with Commits(shop) as commits:
        shop.callback(1, shop.paid())

    decision, evidence = shop.decisions(transaction)[-1], shop.evidence(transaction)[-1]
    assert commits.count == 1
    assert (evidence.body, decision.evidence_id) == (raw(shop.paid()), evidence.id)
    assert shop.transaction(transaction).status == "SUCCESS"


@on_postgresql
def test_a_callback_is_stored_although_its_order_is_held_and_judged_afterwards(
    shop,
):
    transaction = shop.attempt()
    order_id = shop.transaction(transaction).order_id
    arrival = threading.Thread(target=shop.callback, args=(1, shop.paid()), daemon=True)

    with shop.sessions() as holder:
        ledger.lock_order(holder, order_id)
        arrival.start()
        wait_until(lambda: everything_stored(shop), seconds=10)
        meanwhile = shop.transaction(transaction).status
        holder.rollback()
    arrival.join(10)

    assert (meanwhile, shop.transaction(transaction).status) == ("PENDING", "SUCCESS")
    assert everything_stored(shop) == [raw(shop.paid())]
    assert judge_waiting(shop) == 0


@on_both
def test_a_decision_that_fails_leaves_the_body_and_is_made_later(shop, client, monkeypatch):
    transaction = shop.attempt()
    with monkeypatch.context() as broken:
        broken.setattr(settlement, "decide", broken_decision)
        answer = client.post(f"/callback/{shop.daraja.token_of(1)}", data=raw(shop.paid()))
    stored, during = everything_stored(shop), shop.transaction(transaction).status

    judged = judge_waiting(shop)

    assert (answer.status_code, stored, during) == (200, [raw(shop.paid())], "PENDING")
    assert (judged, shop.transaction(transaction).status) == (1, "SUCCESS")
    assert everything_stored(shop) == stored


@on_both
def test_a_receipt_that_is_anothers_is_stored_and_decided_on_once(shop):
    shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, shop.paid(1))

    shop.callback(2, shop.paid(2))

    row, evidence = shop.transaction(second), shop.evidence(second)[-1]
    decided = [each for each in shop.decisions(second) if each.evidence_id == evidence.id]
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert everything_stored(shop) == [raw(shop.paid(1)), raw(shop.paid(2))]
    assert [each.needs_review for each in decided] == [True]


def test_an_unknown_token_stores_nothing_where_the_usual_way_fails_either(shop, monkeypatch):
    shop.attempt()
    monkeypatch.setattr(ledger, "record_callback", broken_decision)
    arrival = Arrival("0" * 64, raw(shop.paid()), SAFARICOM)

    with shop.sessions() as session, pytest.raises(UnknownToken):
        inbox.receive(session, arrival, shop.inbox_needs())

    assert everything_stored(shop) == []


@pytest.mark.parametrize("usual_way_fails", [False, True])
def test_an_announcement_that_fails_is_no_error_to_the_sender(shop, monkeypatch, usual_way_fails):
    transaction = shop.attempt()
    arrival = Arrival(shop.daraja.token_of(1), raw(shop.paid()), SAFARICOM)
    needs = replace(shop.inbox_needs(), announce=broken_decision)
    if usual_way_fails:
        monkeypatch.setattr(ledger, "record_callback", broken_decision)

    with shop.sessions() as session:
        inbox.receive(session, arrival, needs)

    assert shop.transaction(transaction).status == "SUCCESS"
    assert everything_stored(shop) == [raw(shop.paid())]
