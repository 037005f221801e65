"""What the merchant's server hears of receipts."""

import json
from datetime import timedelta

import flask_migrate
import pytest
from sqlalchemy import select, update

from mpesa import receipt_lists, receipts, records, webhooks
from mpesa.database import MIGRATIONS
from mpesa.domain.webhook import MessageType
from mpesa.models import Receipt, WebhookMessage
from mpesa.receipts import Claim
from mpesa.runtime import database
from mpesa.webhooks import Answered, Endpoint
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.shop import Shop, at_once

URL = "http://127.0.0.1:9/hook"
SECRET = "whsec_" + "a2tr" * 8


@pytest.fixture
def shop(make_app, clock, daraja):
    """A shop whose server is told."""
    return Shop(make_app(WEBHOOK_URL=URL, WEBHOOK_SECRET=SECRET), clock, daraja)


def tell(shop):
    with shop.sessions() as session:
        return receipts.tell_unclaimed(session, shop.now)


def messages(shop):
    with shop.sessions() as session:
        newest = select(WebhookMessage).where(WebhookMessage.receipt_id.is_not(None))
        return session.scalars(newest.order_by(WebhookMessage.seq)).all()


def told(shop):
    return [json.loads(each.body) for each in messages(shop)]


def write_returned(shop):
    """As a reversal does that M-PESA tells of."""
    with shop.sessions() as session:
        connection = session.connection()
        receipt = receipt_lists.find(connection, RECEIPT)
        data = receipt_lists.for_webhook(connection, receipt)
        [message] = records.of_message(
            records.shop_of(connection), MessageType.RETURNED, receipt, data, shop.now()
        )
        session.execute(message.statement, message.values)
        session.commit()


# -- receipt.unclaimed ----------------------------------------------------------------------------


@on_both
def test_what_is_unclaimed_after_15_minutes_is_told_once(shop, clock):
    shop.confirm("2345")
    clock.pass_(minutes=14, seconds=59)
    assert tell(shop) == 0
    clock.pass_(seconds=1)

    assert [tell(shop), tell(shop)] == [1, 0]

    [message] = told(shop)
    assert message == {
        "type": "receipt.unclaimed",
        "timestamp": "2026-11-24T09:15:00Z",
        "data": {
            "receipt": RECEIPT,
            "direction": "in",
            "amount": "150.00",
            "paid_at": "2026-11-24T09:00:10Z",
            "account": "2345",
            "phone": "2547•••••678",
            "name": "WANJIKU",
            "state": "unclaimed",
            "order_id": None,
            "transaction_id": None,
            "returned_by": None,
            "suggestions": [],
            "learned_at": "2026-11-24T09:00:00Z",
            "changed_at": "2026-11-24T09:00:00Z",
        },
    }
    assert shop.receipt().unclaimed_from is None


@on_both
def test_another_witness_of_what_was_told_begins_no_second_message(shop, clock):
    shop.confirm("JANE")
    clock.pass_(minutes=15)
    tell(shop)

    shop.confirm("JANE", FirstName="NJERI")
    clock.pass_(minutes=15)

    assert tell(shop) == 0
    assert len(messages(shop)) == 1


@on_both
def test_what_was_claimed_meanwhile_is_not_told(shop, clock):
    order = shop.order()
    shop.confirm("JANE")
    with shop.sessions() as session:
        receipts.claim(session, Claim(RECEIPT, order, "wanjiku"), shop.receipt_needs())
    clock.pass_(minutes=15)

    assert tell(shop) == 0
    assert messages(shop) == []


@on_both
def test_so_is_what_a_pushs_own_callback_told_with_another_amount(shop, clock):
    push = shop.attempt()
    shop.callback(1, shop.paid(amount=100))
    clock.pass_(minutes=15)

    tell(shop)

    [message] = told(shop)
    assert message["data"]["suggestions"] == [shop.transaction(push).order_id]
    assert message["data"]["amount"] == "100.00"


def test_money_that_is_older_than_two_days_is_no_news(shop, clock):
    shop.confirm("JANE", TransTime="20261122115959")
    clock.pass_(minutes=15)

    assert tell(shop) == 0


def test_what_nothing_proves_is_not_told(shop, clock):
    shop.confirm("JANE", proof_from=1)
    clock.pass_(minutes=15)

    assert tell(shop) == 0


@on_both
@pytest.mark.parametrize(
    ("account", "shown"), [("JANE", None), ("INV-1001", "INV-1001"), ("0712345678", "0712•••678")]
)
def test_an_account_that_names_no_order_and_has_letters_is_told_to_nobody(
    shop, clock, account, shown
):
    shop.order(reference="INV-1001")
    shop.confirm(account, amount="149.00")
    clock.pass_(minutes=15)

    tell(shop)

    assert told(shop)[0]["data"]["account"] == shown


def test_the_account_of_a_push_is_the_shops_own(shop, clock):
    shop.attempt(reference="A-REFERENCE-OF-MANY-LETTERS")
    shop.confirm("MANY-LETTERS", amount="149.00")
    clock.pass_(minutes=15)

    tell(shop)

    assert told(shop)[0]["data"]["account"] == "MANY-LETTERS"


def test_a_shop_without_webhooks_gets_no_message_and_no_backlog(make_app, clock, daraja):
    shop = Shop(make_app(), clock, daraja)
    shop.confirm("JANE")
    clock.pass_(minutes=15)

    assert [tell(shop), tell(shop)] == [1, 0]
    assert messages(shop) == []


def test_a_time_by_a_clock_that_was_ahead_is_not_waited_for(shop, clock):
    shop.confirm("JANE")
    clock.step(hours=-3)

    assert tell(shop) == 1


@on_both
def test_workers_at_once_tell_once(shop, clock):
    for number in range(5):
        shop.confirm("JANE", receipt=f"UKO1ABCDE{number}")
    clock.pass_(minutes=15)

    outcomes = at_once([lambda: tell(shop)] * 4)

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert len(messages(shop)) == 5


@on_both
def test_a_claim_and_the_message_at_once_keep_both(shop, clock):
    order = shop.order()
    shop.confirm("JANE")
    clock.pass_(minutes=15)

    def claim():
        with shop.sessions() as session:
            receipts.claim(session, Claim(RECEIPT, order, "wanjiku"), shop.receipt_needs())

    outcomes = at_once([claim, lambda: tell(shop)])

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert shop.receipt().state == "claimed"
    assert shop.receipt().unclaimed_from is None


# -- the migration --------------------------------------------------------------------------------


@on_both
def test_messages_and_their_tries_outlive_the_migration(shop, clock):
    endpoint = Endpoint(URL, (SECRET,), lambda *_: Answered(500), clock)
    push = shop.attempt()
    shop.callback(1, shop.paid(receipt="UKO2GHIJKL"))
    shop.confirm("JANE")
    clock.pass_(minutes=15)
    tell(shop)
    with shop.sessions() as session:
        assert webhooks.run_until_idle(session, endpoint) == 2

    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0013")
        database.migrate()

    with shop.sessions() as session:
        [message] = webhooks.page(session, 10)
        assert (message.transaction_id, message.receipt_id) == (push, None)
        assert [each.status_code for each in message.attempts] == [500]
    shop.confirm("JOHN", receipt="UKO3MNOPQR")
    clock.pass_(minutes=15)
    tell(shop)
    assert [each["data"]["receipt"] for each in told(shop)] == ["UKO3MNOPQR"]


# -- sending --------------------------------------------------------------------------------------


@on_both
def test_messages_about_receipts_are_sent_like_others(shop, clock):
    got = []
    endpoint = Endpoint(URL, (SECRET,), lambda body, _: got.append(body) or Answered(204), clock)
    shop.attempt()
    shop.callback(1, shop.paid(receipt="UKO2GHIJKL"))
    shop.confirm("JANE")
    clock.pass_(minutes=15)
    tell(shop)

    with shop.sessions() as session:
        assert webhooks.run_until_idle(session, endpoint) == 2

    assert [json.loads(each)["type"] for each in got] == [
        "transaction.succeeded",
        "receipt.unclaimed",
    ]


@on_both
def test_a_receipts_newer_word_waits_for_its_older_one(shop, clock):
    got = []

    def post(body, _headers):
        got.append(json.loads(body)["type"])
        return Answered(500 if len(got) == 1 else 204)

    endpoint = Endpoint(URL, (SECRET,), post, clock, chance=lambda: 0.0)
    shop.confirm("JANE")
    shop.confirm("JOHN", receipt="UKO2GHIJKL")
    with shop.sessions() as session:
        other = Receipt.receipt == "UKO2GHIJKL"
        later = shop.now() + timedelta(minutes=15, seconds=2)
        session.execute(update(Receipt).where(other).values(unclaimed_from=later))
        session.commit()
    clock.pass_(minutes=15)
    tell(shop)
    with shop.sessions() as session:
        webhooks.run_once(session, endpoint)

    clock.pass_(seconds=2)
    write_returned(shop)
    tell(shop)
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)
    clock.pass_(seconds=5)
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)

    # Another receipt's message waits for nobody.
    assert got == ["receipt.unclaimed"] * 3 + ["receipt.returned"]


def test_a_returned_receipt_is_told_as_one_reads_it(shop):
    shop.confirm("JANE")
    with shop.sessions() as session:
        session.execute(update(Receipt).values(state="returned", returned_by="UKO9ZZZZZZ"))
        session.commit()

    write_returned(shop)

    [message] = told(shop)
    assert message["type"] == "receipt.returned"
    assert (message["data"]["state"], message["data"]["returned_by"]) == ("returned", "UKO9ZZZZZZ")
    assert "witnesses" not in message["data"]
