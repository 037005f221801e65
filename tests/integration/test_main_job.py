"""The main job over real HTTP and real sockets: push, prompt, result in the page."""

import pytest
from sqlalchemy import select

from mpesa.models import Announcement, db
from tests.browser.backstage import Backstage
from tests.conftest import on_both
from tests.integration.conftest import on_one_server
from tests.integration.steps import (
    Page,
    Phone,
    ledger,
    new_line,
    new_order,
    phone,
    push,
    read_order,
    started,
    status_of,
    watching,
)
from tests.servers import running, wait_until


def test_a_payer_who_types_the_pin_sees_the_receipt_in_the_page(server):
    msisdn, transaction_id = started(server, amount=150)
    with watching(server, transaction_id) as page:
        phone(server, msisdn).answer(pin="1234")

        snapshot = page.snapshot_with(status="SUCCESS")

    paid = ledger(server)[msisdn]
    assert page.first["status"] == "PENDING"
    assert (snapshot["reason"], snapshot["order_status"]) == ("paid", "PAID")
    assert (snapshot["receipt"], snapshot["amount"]) == (paid["receipt"], paid["amount"])
    assert snapshot["seq"] > page.first["seq"]


@pytest.mark.parametrize(
    ("script", "answer", "reason"),
    [
        ({}, {"cancel": True}, "cancelled"),
        ({}, {"pin": "9999"}, "wrong_pin"),
        ({"balance": 149}, {"pin": "1234"}, "insufficient_funds"),
    ],
)
def test_a_payer_who_does_not_pay_sees_why(server, script, answer, reason):
    msisdn = new_line()
    phone(server, msisdn).script(**script)
    _, transaction_id = started(server, msisdn, amount=150)
    with watching(server, transaction_id) as page:
        phone(server, msisdn).answer(**answer)

        snapshot = page.snapshot_with(status="FAILED")

    assert snapshot["reason"] == reason
    assert snapshot["can_retry"]
    assert snapshot["receipt"] is None
    assert msisdn not in ledger(server)


@pytest.mark.parametrize("form", ["no_balance", "masked_phone", "no_phone", "whole_amount"])
def test_a_success_is_believed_in_every_form_that_daraja_gives_it(server, form):
    msisdn = new_line()
    phone(server, msisdn).script(answer="pay", metadata=form)

    _, transaction_id = started(server, msisdn)

    wait_until(lambda: status_of(server, transaction_id)["final"], server.why)
    snapshot = status_of(server, transaction_id)
    assert (snapshot["status"], snapshot["reason"]) == ("SUCCESS", "paid")
    assert snapshot["receipt"] == ledger(server)[msisdn]["receipt"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"push": "busy_500"}, "system_busy"),
        ({"push": "quota"}, "system_busy"),
        ({"push": "rate_429"}, "system_busy"),
        ({"push": "dead_token"}, "misconfigured"),
        ({"answer": "code:17"}, "line_busy"),
        ({"answer": "code:26"}, "system_busy"),
        ({"answer": "code:1019"}, "expired"),
        ({"answer": "code:1025"}, "system_busy"),
        ({"answer": "code:2029"}, "misconfigured"),
        ({"answer": "code:8006"}, "pin_locked"),
        ({"answer": "code:E3008"}, "declined"),
        ({"answer": "code:2032"}, "unknown_code"),
    ],
)
def test_what_daraja_turns_down_or_ends_by_itself_has_its_reason(server, script, reason):
    msisdn = new_line()
    phone(server, msisdn).script(**script)

    _, transaction_id = started(server, msisdn)

    wait_until(lambda: status_of(server, transaction_id)["status"] == "FAILED", server.why)
    assert status_of(server, transaction_id)["reason"] == reason
    assert msisdn not in ledger(server)


def test_push_and_poll_tell_the_same(server):
    msisdn, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        phone(server, msisdn).answer(pin="1234")
        pushed = page.snapshot_with(status="SUCCESS")

    assert status_of(server, transaction_id) == pushed


def test_after_a_failure_the_same_order_can_be_paid(server):
    msisdn, order_id = new_line(), new_order(server)
    first = push(server, order_id, msisdn)["transaction_id"]
    phone(server, msisdn).answer(cancel=True)
    wait_until(lambda: status_of(server, first)["status"] == "FAILED")
    with watching(server, first) as old_page:
        second = push(server, order_id, msisdn)["transaction_id"]
        phone(server, msisdn).answer(pin="1234")

        told = old_page.snapshot_with(order_status="PAID")

    assert (told["transaction_id"], told["status"]) == (first, "FAILED")
    assert status_of(server, second)["status"] == "SUCCESS"
    assert read_order(server, order_id)["status"] == "PAID"


def announced(server, transaction_id):
    """What is kept of what its page was told."""
    with Backstage(server.environment["DATABASE_URL"]).app.app_context():
        kept = select(Announcement.status).where(Announcement.transaction_id == transaction_id)
        return db.session.scalars(kept).all()


def test_that_the_page_was_told_is_kept(server):
    msisdn, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        phone(server, msisdn).answer(pin="1234")
        page.snapshot_with(status="SUCCESS")

        wait_until(lambda: "SUCCESS" in announced(server, transaction_id), server.why)


@on_one_server
def test_that_the_page_was_told_is_kept_by_a_server_that_ends_right_then(async_mode, tmp_path):
    with running(tmp_path) as server:
        msisdn, transaction_id = started(server)
        with watching(server, transaction_id) as page:
            phone(server, msisdn).answer(pin="1234")
            page.snapshot_with(status="SUCCESS")

            server.stop()

        assert "SUCCESS" in announced(server, transaction_id)


def test_a_repeated_callback_is_announced_once(server):
    msisdn = new_line()
    phone(server, msisdn).script(callback="twice")
    _, transaction_id = started(server, msisdn)
    with watching(server, transaction_id) as page:
        phone(server, msisdn).answer(pin="1234")
        page.snapshot_with(status="SUCCESS", final=True)

        assert page.hears_nothing()


def test_a_callback_that_overtakes_the_pushs_answer_counts(server):
    msisdn = new_line()
    phone(server, msisdn).script(answer="pay", callback="before_response")

    _, transaction_id = started(server, msisdn)

    wait_until(lambda: status_of(server, transaction_id)["status"] == "SUCCESS")
    assert status_of(server, transaction_id)["receipt"] == ledger(server)[msisdn]["receipt"]


def test_the_page_over_http_shows_the_result_without_a_script(server):
    msisdn, order_id = new_line(), new_order(server)
    form = {"order_id": order_id, "phone": msisdn}
    waiting = server.post("/stk-push", data=form)
    phone(server, msisdn).answer(pin="1234")
    wait_until(lambda: read_order(server, order_id)["status"] == "PAID")

    paid = server.get(f"/checkout/{order_id}")

    assert 'data-view="waiting"' in waiting.text
    assert waiting.url == paid.url
    assert 'data-view="paid"' in paid.text
    assert ledger(server)[msisdn]["receipt"] in paid.text


@on_both
def test_everything_is_still_there_after_a_restart(tmp_path, database_url):
    with running(tmp_path, DATABASE_URL=database_url) as first:
        msisdn, order_id = new_line(), new_order(first)
        paid = push(first, order_id, msisdn)["transaction_id"]
        phone(first, msisdn).answer(pin="1234")
        wait_until(lambda: status_of(first, paid)["status"] == "SUCCESS")
        before = read_order(first, order_id)
        _, pending = started(first)
        assert first.stop() == 0
    with running(tmp_path, DATABASE_URL=database_url) as second:
        after = read_order(second, order_id)

        assert after | {"checkout_url": ""} == before | {"checkout_url": ""}
        with watching(second, pending) as page:
            assert page.first["status"] == "PENDING"


@pytest.mark.usefixtures("async_mode")
@pytest.mark.postgres
def test_with_postgresql_the_result_arrives_in_the_page_too(tmp_path, postgres):
    with running(tmp_path, DATABASE_URL=postgres.new_database()) as server:
        msisdn, transaction_id = started(server)
        with watching(server, transaction_id) as page:
            phone(server, msisdn).answer(pin="1234")

            snapshot = page.snapshot_with(status="SUCCESS")

        assert snapshot["receipt"] == ledger(server)[msisdn]["receipt"]
        assert server.get("/readyz").status_code == 200


@pytest.mark.usefixtures("async_mode")
def test_with_a_simulator_of_its_own_the_result_arrives_too(tmp_path):
    from tests.servers import free_port

    port = free_port()
    program = ("-m", "mpesa.simulator", "--port", str(port))
    with (
        running(tmp_path, program, PORT=str(port)) as simulator,
        running(tmp_path, DARAJA_BASE_URL=simulator.address) as server,
    ):
        msisdn, transaction_id = started(server)
        with watching(server, transaction_id) as page:
            Phone(simulator.address, msisdn).answer(pin="1234")

            assert page.snapshot_with(status="SUCCESS")["reason"] == "paid"


def test_nothing_that_the_server_wrote_holds_a_secret(server):
    msisdn, transaction_id = started(server)
    (prompt,) = phone(server, msisdn).prompts()
    with Page(server) as page:
        page.connect(tx_id="A" * 22)
    phone(server, msisdn).answer(pin="1234")
    wait_until(lambda: status_of(server, transaction_id)["status"] == "SUCCESS")

    written = server.log.read_text()

    assert prompt["id"] not in written
    assert "ws_CO_" not in written
    assert msisdn not in written
    assert "/callback/" not in written
    assert "Traceback" not in written
