"""Forgetting who paid: what goes, what stays, and what is never touched."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mpesa import ledger, receipts, retention, turns, webhooks
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import CodeTyped, ReviewSettled
from mpesa.models import (
    AwaitedResult,
    EvidenceRow,
    HeardResult,
    IdempotencyKey,
    Transaction,
    WebhookMessage,
    db,
)
from mpesa.webhooks import Answered
from tests.conftest import BOTH_DATABASES
from tests.factories import (
    PAYER_MSISDN,
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.shop import Shop
from tests.web.steps import status_of

pytestmark = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
AGE = timedelta(days=400)


def pay(shop, push=1, receipt=RECEIPT):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids, receipt=receipt))


def forget(shop, **more):
    with shop.sessions() as session:
        return retention.by_age(session, shop.now(), AGE, "cron", **more)


def forget_line(shop, msisdn=PAYER_MSISDN, **more):
    with shop.sessions() as session:
        mark = shop.receipt_needs().mark_of(msisdn)
        return retention.by_line(session, msisdn, mark, shop.now(), "flask, amina", **more)


def everything(shop):
    """Every value of every table, as text."""
    with shop.sessions() as session:
        tables = db.metadata.sorted_tables
        rows = [session.execute(select(table)).all() for table in tables]
    values = [value for table in rows for row in table for value in row]
    return " ".join(value.decode() if isinstance(value, bytes) else str(value) for value in values)


def test_number_ids_and_raw_messages_of_old_payments_go(shop):
    transaction = shop.start(shop.order(), key="key-1", sender="mark-of-pusher").transaction_id
    with shop.sessions() as session:
        code = Raw(Kind.SMS_CODE, b"UKO9ZZZZZZ", share="mark-of-typist")
        ledger.record(session, transaction, CodeTyped(), code, shop.now)
        turns.take(session, shop.budget, "mark-of-asker", shop.now(), is_old=False)
    pay(shop)
    shop.now.pass_(days=401)

    done = forget(shop)

    kept = everything(shop)
    assert (done.transactions, done.messages, done.left) == (1, 3, 0)
    assert "mark-of" not in kept
    for gone in ("712345678", "ws_CO", "2654-4b64", "196.201.212.69", "UKO9ZZZZZZ", "key-1"):
        assert gone not in kept


def test_sums_receipts_states_and_times_stay(shop):
    transaction = shop.attempt()
    pay(shop)
    before = shop.snapshot(transaction)
    decided = [(each.status, each.reason, each.why) for each in shop.decisions(transaction)]
    shop.now.pass_(days=401)

    forget(shop)

    after = shop.snapshot(transaction)
    assert after == {**before, "phone": ""}
    kept = [(each.status, each.reason, each.why) for each in shop.decisions(transaction)]
    assert kept[:-1] == decided


def test_what_was_forgotten_says_so_by_whom_and_when(shop):
    transaction = shop.attempt()
    pay(shop)
    shop.now.pass_(days=401)

    forget(shop)

    last = shop.evidence(transaction)[-1]
    assert (last.kind, last.source, last.received_at) == ("forgotten", "cron", shop.now())
    assert "forgotten_by_age: 400" in shop.decisions(transaction)[-1].why


def test_once_more_finds_nothing(shop):
    shop.attempt()
    pay(shop)
    shop.now.pass_(days=401)
    forget(shop)
    rows = everything(shop)

    done = forget(shop)

    assert (done.transactions, done.messages) == (0, 0)
    assert everything(shop) == rows


def test_a_dry_run_says_the_same_numbers_and_changes_nothing(shop):
    shop.attempt()
    pay(shop)
    shop.now.pass_(days=401)
    before = everything(shop)

    said = forget(shop, dry_run=True)

    assert everything(shop) == before
    assert said == forget(shop)


def test_what_is_young_stays(shop):
    transaction = shop.attempt()
    pay(shop)
    shop.now.pass_(days=399)

    assert forget(shop) == retention.Forgotten()
    assert shop.transaction(transaction).msisdn == PAYER_MSISDN


@pytest.mark.parametrize("case", ["pending", "needs review", "still asked about"])
def test_what_may_still_change_or_waits_for_a_person_stays(shop, case):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    if case == "needs review":
        shop.callback(1, failure_callback(*ids, "NEW_CODE"))
    if case == "still asked about":
        shop.callback(1, failure_callback(*ids, 1032))
    shop.now.pass_(days=401)

    done = forget(shop)

    assert (done.transactions, done.left) == (0, 1)
    assert shop.transaction(transaction).msisdn == PAYER_MSISDN


def test_a_failure_that_nobody_asks_about_any_more_is_forgotten(shop):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*ids, 2001))
    shop.now.pass_(days=401)

    assert forget(shop).transactions == 1
    assert shop.transaction(transaction).reason == "wrong_pin"


def test_a_late_callback_is_kept_and_not_believed(shop):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*ids, 2001))
    shop.now.pass_(days=401)
    forget(shop)

    pay(shop)

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review, row.receipt) == ("FAILED", True, None)
    assert shop.evidence(transaction)[-1].kind == "callback"
    assert row.checkout_request_id.startswith("forgotten:")


def test_a_repeated_callback_of_a_forgotten_payment_changes_nothing(shop):
    transaction = shop.attempt()
    pay(shop)
    shop.now.pass_(days=401)
    forget(shop)

    pay(shop)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt) == ("SUCCESS", RECEIPT)


def test_many_are_forgotten_each_with_an_id_of_its_own(shop):
    for number in range(1, 6):
        shop.attempt(f"25470000000{number}")
        pay(shop, number, receipt=f"UKO1ABCDE{number}")
    shop.now.pass_(days=401)

    assert forget(shop).transactions == 5


# -- on request ----------------------------------------------------------------------------------


def test_one_line_is_forgotten_on_request_and_no_other(shop):
    own = shop.attempt()
    pay(shop)
    others = shop.attempt(SECOND_PAYER_MSISDN)
    pay(shop, 2, receipt="UKO2ABCDEF")

    done = forget_line(shop)

    assert done.transactions == 1
    assert shop.transaction(own).msisdn is None
    assert shop.transaction(others).msisdn == SECOND_PAYER_MSISDN
    assert shop.evidence(own)[-1].source == "flask, amina"


def test_a_line_with_a_payment_that_may_still_change_is_refused_whole(shop):
    paid = shop.attempt()
    pay(shop)
    waiting = shop.attempt()

    with pytest.raises(retention.UnsettledLine) as refusal:
        forget_line(shop)

    assert refusal.value.transaction_ids == [waiting]
    assert shop.transaction(paid).msisdn == PAYER_MSISDN


def test_a_key_that_holds_the_hash_of_a_number_goes(shop):
    shop.start(shop.order(), key="key-1")
    pay(shop)

    forget_line(shop)

    with shop.sessions() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0


def test_a_webhook_that_was_taken_loses_its_masked_number(shop):
    transaction = shop.attempt()
    pay(shop)
    body = json.dumps({"type": "x", "data": {"phone": "0712•••678", "amount": 150}})
    with shop.sessions() as session:
        session.add(
            WebhookMessage(
                id="w1", transaction_id=transaction, type="x", body=body, seq=2,
                created_at=shop.now(), next_attempt_at=None, delivered_at=shop.now(),
            )
        )  # fmt: skip
        session.commit()

    forget_line(shop)

    with shop.sessions() as session:
        told = json.loads(session.get_one(WebhookMessage, "w1").body)
    assert told["data"] == {"phone": "", "amount": 150}


@pytest.fixture
def telling(make_app, clock, daraja):
    """A shop whose merchant has an endpoint; nothing is sent but by the tests."""
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    return Shop(make_app(WEBHOOK_URL=HOOK, WEBHOOK_SECRET=secret), clock, daraja)


HOOK = "http://127.0.0.1:9/hook"


def send(shop, *answers):
    """Send what is due; the merchant's server answers like this, and then 204."""
    coming = iter(answers)
    endpoint = webhooks.Endpoint(
        HOOK, ("whsec_" + base64.b64encode(b"k" * 32).decode(),),
        lambda *_: Answered(next(coming, 204)), shop.now, lambda: 0.0,
    )  # fmt: skip
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)


def told_numbers(shop):
    """The `phone` of each webhook."""
    with shop.sessions() as session:
        bodies = session.scalars(select(WebhookMessage.body)).all()
    return [json.loads(body)["data"]["phone"] for body in bodies]


@pytest.mark.parametrize("forget_first", [forget_line, forget])
def test_a_webhook_that_is_taken_after_the_forgetting_loses_its_number_with_the_next_run(
    telling, forget_first
):
    telling.attempt()
    pay(telling)
    if forget_first is forget:
        telling.now.pass_(days=401)
    forget_first(telling)
    while_it_waits = (told_numbers(telling), forget(telling).transactions)

    send(telling)
    found = forget(telling, dry_run=True).transactions
    forget(telling)

    assert while_it_waits == (["0712•••678"], 0)
    assert (found, told_numbers(telling)) == (1, [""])
    assert forget(telling).transactions == 0


def test_a_webhook_that_is_given_up_after_the_forgetting_loses_its_number(telling):
    telling.attempt()
    pay(telling)
    forget_line(telling)
    for _ in range(10):
        send(telling, 500)
        telling.now.pass_(hours=25)

    forget(telling)

    assert told_numbers(telling) == [""]


def test_what_is_told_of_a_forgotten_payment_is_found_once(telling):
    """It holds no number from the start."""
    transaction = telling.attempt()
    pay(telling)
    forget_line(telling)
    telling.callback(1, {"what": "is this"})
    with telling.sessions() as session:
        settles = ReviewSettled()
        ledger.record(session, transaction, settles, Raw(Kind.OPERATOR, b"{}"), telling.now)
    send(telling)

    assert forget(telling).transactions == 1
    assert set(told_numbers(telling)) == {""}
    assert forget(telling).transactions == 0


def test_what_arrived_after_a_forgetting_on_request_goes_with_the_next_run(shop):
    transaction = shop.attempt()
    pay(shop)
    forget_line(shop)
    pay(shop)

    forget(shop)

    assert [each.body for each in shop.evidence(transaction)] == [b""] * 5
    assert "712345678" not in everything(shop)


def test_a_failure_of_these_days_keeps_its_number_for_late_money(shop):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*ids, 2001))

    with pytest.raises(retention.UnsettledLine):
        forget_line(shop)
    pay(shop)

    assert shop.transaction(transaction).reason == "paid_late"


def test_a_callback_that_comes_again_after_all_was_forgotten_is_no_news(shop):
    transaction = shop.attempt()
    pay(shop)
    forget_line(shop)

    pay(shop)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


def test_what_arrives_after_all_was_forgotten_is_asked_by_nobody(shop):
    transaction = shop.attempt()
    pay(shop)
    forget_line(shop)

    shop.callback(1, {"what": "is this"})

    row = shop.transaction(transaction)
    assert (row.next_ask_at, row.needs_review) == (None, True)


def test_a_code_typed_after_the_receipt_keeps_nothing_from_being_forgotten(shop):
    transaction = shop.attempt()
    pay(shop)
    raw = Raw(Kind.SMS_CODE, b"UKO9ZZZZZZ")
    with shop.sessions() as session:
        ledger.record(session, transaction, CodeTyped(), raw, shop.now)
    shop.now.pass_(days=401)

    assert forget(shop).transactions == 1
    assert shop.transaction(transaction).next_ask_at is None


def test_a_callback_that_waits_for_its_judgement_is_kept_whole(shop):
    transaction = shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*ids, 2001))
    with shop.sessions() as session:
        ledger.store(session, transaction, Raw(Kind.CALLBACK, b"the money"), shop.now)
    shop.now.pass_(days=401)

    assert forget(shop) == retention.Forgotten(left=1)
    assert shop.evidence(transaction)[-1].body == b"the money"


# -- the command, and what is shown afterwards ---------------------------------------------------


def test_the_command_says_what_it_did_in_numbers(shop, app):
    shop.attempt()
    pay(shop)
    flask = app.test_cli_runner().invoke

    would = flask(args=["transactions", "forget", "--phone", "0712 345 678", "--dry-run"])
    did = flask(args=["transactions", "forget", "--phone", "0712 345 678"])
    again = flask(args=["transactions", "forget"])

    assert would.output == (
        "would forget the payer of 1 transactions and 0 receipts, and 2 raw messages\n"
    )
    assert did.output == "forgot the payer of 1 transactions and 0 receipts, and 2 raw messages\n"
    assert again.output == "forgot the payer of 0 transactions and 0 receipts, and 0 raw messages\n"


def test_the_command_refuses_a_line_with_an_open_attempt(shop, app):
    shop.attempt()

    done = app.test_cli_runner().invoke(args=["transactions", "forget", "--phone", "0712345678"])

    assert done.exit_code == 1
    assert "nothing was forgotten" in done.output


@pytest.mark.parametrize("phone", ["", "12", "+44 20 7946 0958"])
def test_the_command_refuses_what_is_no_line(app, phone):
    done = app.test_cli_runner().invoke(args=["transactions", "forget", "--phone", phone])

    assert done.exit_code == 2


def test_a_forgotten_payment_is_still_shown_everywhere(shop, app):
    transaction = shop.attempt()
    pay(shop)
    forget_line(shop)
    client = app.test_client()
    order = shop.snapshot(transaction)["order_id"]

    pages = [client.get(f"/checkout/{order}"), client.get(f"/check-status?tx_id={transaction}")]

    assert [page.status_code for page in pages] == [200, 200]
    assert status_of(client, transaction)["phone"] == ""
    assert RECEIPT in pages[0].text


def test_a_client_that_keeps_the_number_is_not_told_that_nothing_changed(shop, app):
    transaction = shop.attempt()
    pay(shop)
    address, client = f"/check-status?tx_id={transaction}", app.test_client()
    kept = client.get(address)
    forget_line(shop)

    asked_again = client.get(address, headers={"If-None-Match": kept.headers["ETag"]})

    assert kept.get_json()["phone"] == "0712•••678"
    assert (asked_again.status_code, asked_again.get_json()["phone"]) == (200, "")


def test_the_row_of_evidence_is_the_only_one_that_was_added(shop):
    transaction = shop.attempt()
    pay(shop)
    before = len(shop.evidence(transaction))

    forget_line(shop)

    with shop.sessions() as session:
        number = session.scalar(select(func.count()).select_from(EvidenceRow))
        assert session.scalar(select(func.count()).select_from(Transaction)) == 1
    assert number == before + 1


# -- receipts --------------------------------------------------------------------------------------

MASKED_ONLY, HASHED = "2547 ***** 678", hashlib.sha256(PAYER_MSISDN.encode()).hexdigest()
PAYERS_OWN = ("WANJIKU", "678", "JANE", "196.201.212.69", HASHED)


def unclaimed(shop, receipt="UKO2GHIJKL", **told):
    shop.confirm("JANE", receipt=receipt, **told)


def test_the_payers_of_old_receipts_go_though_they_are_nobodys(shop):
    unclaimed(shop, MSISDN=HASHED)
    unclaimed(shop, "UKO3MNOPQR", MSISDN=MASKED_ONLY)
    shop.now.pass_(days=401)

    done = forget(shop)

    kept = everything(shop)
    assert (done.receipts, done.messages, done.left) == (2, 2, 0)
    for gone in PAYERS_OWN:
        assert gone not in kept
    mark = shop.receipt_needs().mark_of(PAYER_MSISDN)
    assert mark not in kept


def test_receipt_amount_time_and_state_stay(shop):
    unclaimed(shop)
    before = shop.receipt("UKO2GHIJKL")
    shop.now.pass_(days=401)

    forget(shop)

    after = shop.receipt("UKO2GHIJKL")
    for name in ("receipt", "amount", "paid_at", "state", "learned_at", "changed_at", "short_code"):
        assert getattr(after, name) == getattr(before, name)


def test_a_young_receipt_stays_whole(shop):
    unclaimed(shop)
    before = everything(shop)
    shop.now.pass_(days=399)

    assert forget(shop).receipts == 0
    assert everything(shop) == before


def test_a_receipt_that_a_person_has_to_look_at_is_left(shop):
    unclaimed(shop)
    unclaimed(shop, amount="149.00")
    shop.now.pass_(days=401)

    done = forget(shop)

    assert (done.receipts, done.left) == (0, 1)
    assert shop.receipt("UKO2GHIJKL").payer_name == "WANJIKU"


def test_what_a_witness_tells_of_a_forgotten_receipt_goes_with_the_next_run(shop):
    unclaimed(shop)
    shop.now.pass_(days=401)
    forget(shop)
    unclaimed(shop, FirstName="NJERI")

    assert forget(shop).receipts == 1
    assert "NJERI" not in everything(shop)


def test_what_cannot_be_read_or_is_another_shops_goes_by_its_age(shop):
    with shop.sessions() as session:
        for body in (b"WANJIKU 0712345678", b'{"TransID": "x", "FirstName": "WANJIKU"}'):
            receipts.receive(session, body, "196.201.212.69", shop.receipt_needs())
    unclaimed(shop, BusinessShortCode="999999")
    shop.now.pass_(days=401)

    assert forget(shop).messages == 3
    assert "WANJIKU" not in everything(shop)
    assert "196.201.212.69" not in everything(shop)


def test_a_line_is_known_again_by_its_keyed_hash(shop):
    unclaimed(shop, MSISDN=HASHED)
    unclaimed(shop, "UKO3MNOPQR", MSISDN=hashlib.sha256(SECOND_PAYER_MSISDN.encode()).hexdigest())

    done = forget_line(shop)

    assert (done.receipts, done.messages) == (1, 1)
    assert shop.receipt("UKO2GHIJKL").payer_name is None
    assert shop.receipt("UKO3MNOPQR").payer_name == "WANJIKU"


def test_the_receipts_of_a_lines_pushes_are_its_own(shop):
    shop.attempt()
    shop.confirm("INV-1", MSISDN=MASKED_ONLY)
    pay(shop)

    done = forget_line(shop)

    assert (done.transactions, done.receipts) == (1, 1)
    assert "WANJIKU" not in everything(shop)


def test_an_unreadable_body_with_the_lines_number_goes_on_request(shop):
    with shop.sessions() as session:
        for body in (b"WANJIKU 0712345678", HASHED.upper().encode(), b"AMINA 0722000111"):
            receipts.receive(session, body, "196.201.212.69", shop.receipt_needs())

    assert forget_line(shop).messages == 2
    kept = everything(shop)
    assert "WANJIKU" not in kept
    assert "AMINA" in kept


def test_a_line_with_a_receipt_in_review_is_refused(shop):
    unclaimed(shop, MSISDN=HASHED)
    unclaimed(shop, MSISDN=HASHED, amount="149.00")

    with pytest.raises(retention.UnsettledLine) as refusal:
        forget_line(shop)

    assert refusal.value.transaction_ids == ["UKO2GHIJKL"]
    assert shop.receipt("UKO2GHIJKL").payer_name == "WANJIKU"


def test_results_that_tell_of_a_payer_go(shop):
    old, mark = shop.now(), shop.receipt_needs().mark_of(PAYER_MSISDN)
    unclaimed(shop, MSISDN=HASHED)
    with shop.sessions() as session:
        for number, (subject, payer_hash) in enumerate(
            (
                ("UKO2GHIJKL", None),
                ("UKO3MNOPQR", mark),
                ("UKO4STUVWX", "another"),
            )
        ):
            session.add(
                AwaitedResult(
                    token_hash=str(number), kind="status", subject=subject, credential_hash="c",
                    asked_at=old, until=old,
                )
            )  # fmt: skip
            session.flush()
            session.add(
                HeardResult(
                    token_hash=str(number), fingerprint="f", payer_hash=payer_hash, heard_at=old,
                    body=b"2547*****149 - TEST", source="196.201.212.69", timed_out=False,
                    judged=True,
                )
            )  # fmt: skip
        session.commit()

    assert forget_line(shop).messages == 3  # the confirmation, and two results
    shop.now.pass_(days=401)
    assert forget(shop).messages == 1
    assert "TEST" not in everything(shop)


def test_a_webhook_about_a_receipt_loses_its_payer_once_it_was_sent(make_app, clock, daraja):
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    url = "http://127.0.0.1:9/"
    shop = Shop(make_app(WEBHOOK_URL=url, WEBHOOK_SECRET=secret), clock, daraja)
    unclaimed(shop)
    shop.now.pass_(minutes=15)
    with shop.sessions() as session:
        receipts.tell_unclaimed(session, shop.now)
    shop.now.pass_(days=401)
    forget(shop)
    assert "WANJIKU" in everything(shop)
    endpoint = webhooks.Endpoint(url, (secret,), lambda *_: Answered(204), shop.now)
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)

    assert forget(shop).receipts == 1
    assert "WANJIKU" not in everything(shop)
    assert forget(shop).receipts == 0


def test_a_dry_run_counts_receipts_and_changes_nothing(shop):
    unclaimed(shop, MSISDN=HASHED)
    before = everything(shop)
    line = forget_line(shop, dry_run=True)
    shop.now.pass_(days=401)

    age = forget(shop, dry_run=True)

    assert [(each.receipts, each.messages) for each in (line, age)] == [(1, 1), (1, 1)]
    assert everything(shop) == before
