"""Every column that can hold a text, and whether forgetting reaches it: a new one must say so."""

import base64
from datetime import timedelta

import pytest
from sqlalchemy import LargeBinary, String, func, select, update

from mpesa import retention, turns
from mpesa.models import StatementFile, StatusQuestion, WebhookMessage, db
from tests.conftest import on_both
from tests.factories import PAYER_MSISDN, RECEIPT
from tests.shop import Shop
from tests.statements.desk import Desk
from tests.statements.files import NOON, Entry, Made, charge, reversal
from tests.test_refunds import REVERSAL, result
from tests.test_refunds import Desk as RefundDesk

LATER = NOON + timedelta(minutes=5)
# What forgetting blanks, or takes away with its row.
GOES = {
    "asked": {"share"},
    "evidence": {"body", "source"},
    "heard_results": {"body", "payer_hash", "source"},
    "idempotency_keys": {"scope", "key", "fingerprint"},
    "receipts": {"account", "payer_masked", "payer_hash", "payer_name"},
    "refund_steps": {"body", "by"},
    "statement_files": {"raw"},
    "statement_lines": {"details", "account", "payer", "name"},
    "status_questions": {"share"},
    "transactions": {
        "msisdn", "merchant_request_id", "checkout_request_id", "pushed_from", "urgent_for",
    },
    "webhook_messages": {"body"},
    "witnesses": {"body", "source"},
}  # fmt: skip
# What may stay: our own words, ids and hashes of random secrets, and what is no shopper's.
STAYS = {
    "announcements": {"transaction_id", "reason"},
    "awaited_results": {"token_hash", "subject", "credential_hash"},
    "closed_days": {"closed_by"},
    "daraja_access": {"id", "token"},
    "day_differences": {"kind", "key", "word"},
    "decisions": {"reason", "why"},
    "evidence": {"kind"},
    "heard_results": {"fingerprint"},
    "initiator_acts": {"by", "reason", "once"},
    "initiators": {"credential_hash", "stopped_why"},
    "operator_sessions": {"id"},
    "operators": {"name", "password_hash", "last_address", "totp_sealed"},
    "order_qr": {"says", "picture"},  # the order's number and sum, as M-PESA drew them
    "orders": {"id", "reference", "description", "return_url", "account_form"},  # the merchant's
    "receipts": {"id", "refund_id"},
    "refund_steps": {"event"},
    "refunds": {
        "id", "reason", "requested_by", "released_by", "conversation_id", "result_code",
        "asked_key", "fingerprint",
    },
    "statement_files": {"id", "sha256", "name", "days_said", "account", "found", "kept_by"},
    "statement_lines": {"key", "verdict"},  # the key is a hash where words may tell of people
    "transactions": {"id", "account_reference", "callback_token_hash", "reason", "refund_id"},
    "webhook_attempts": {"failure"},
    "webhook_endpoints": {"id"},
    "webhook_messages": {"id", "type"},
    "witnesses": {"kind", "fingerprint"},
}  # fmt: skip
# Numbers of receipts, short codes, days and single words are shorter.
SHORT = 11


def texts(table):
    """The columns that can hold a text that names somebody."""
    found = set()
    for column in table.columns:
        kind = getattr(column.type, "impl", column.type)
        length = getattr(kind, "length", None)
        if isinstance(kind, String | LargeBinary) and not column.foreign_keys:
            found |= {column.name} if length is None or length > SHORT else set()
    return found


@pytest.mark.parametrize("table", db.metadata.sorted_tables, ids=lambda table: table.name)
def test_each_column_with_texts_is_forgotten_or_may_stay(table):
    goes, stays = GOES.get(table.name, set()), STAYS.get(table.name, set())

    assert texts(table) == goes | stays
    assert not goes & stays


@pytest.fixture
def shop(make_app, clock, daraja):
    """A shop in whose books every kind of row is about one payer, and settled."""
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    app = make_app(WEBHOOK_URL="http://127.0.0.1:9/", WEBHOOK_SECRET=secret)
    shop = Shop(app, clock, daraja)
    shop.start(shop.order(), key="key-1", sender="sender")
    shop.callback(1, shop.paid())
    shop.confirm("INV-1", MSISDN=PAYER_MSISDN)
    money = RefundDesk(shop)
    money.sent()
    money.hear(result())
    clock.pass_(seconds=20 * 3600)
    lines = [Entry(RECEIPT, 150), charge(RECEIPT, 1), reversal(REVERSAL, 150, RECEIPT, at=LATER)]
    desk = Desk(shop)
    desk.import_(Made(*lines))
    desk.import_(Made(*lines, charge(REVERSAL, 1, at=LATER)))
    with shop.sessions() as session:
        turns.take(session, shop.budget, "sender", clock(), is_old=False)
        session.add(
            StatusQuestion(
                receipt=RECEIPT,
                transaction_id=shop.transactions()[0].id,
                share="sender",
                typed_at=clock(),
                times_asked=1,
            )
        )
        session.execute(update(WebhookMessage).values(next_attempt_at=None))
        session.commit()
    return shop


def is_forgettable(table):
    """The rows whose texts have to go: not the acts of people, nor M-PESA's words of charges."""
    columns = table.c
    if table.name == "refund_steps":
        return func.length(columns.body) > 0
    if table.name == "evidence":
        return columns.kind.not_in(("operator", "forgotten"))
    if table.name == "statement_lines":
        return columns.kind != "charge"
    return True


def write_the_number(shop, tables):
    """Put the payer's number into every column that is to be forgotten."""
    with shop.sessions() as session:
        for table in tables:
            for name in GOES.get(table.name, ()):
                number = PAYER_MSISDN
                if isinstance(table.c[name].type, LargeBinary):
                    number = number.encode()
                if table.name == "webhook_messages":
                    number = f'{{"data": {{"phone": "{PAYER_MSISDN}"}}}}'
                written = update(table).where(is_forgettable(table)).values({name: number})
                assert session.execute(written).rowcount, f"no row of {table.name}"
        session.commit()


def holding_the_number(shop, tables):
    found = set()
    with shop.sessions() as session:
        for table in tables:
            for name in texts(table):
                for value in session.scalars(select(table.c[name])):
                    text = value.decode() if isinstance(value, bytes) else str(value)
                    found |= {f"{table.name}.{name}"} if PAYER_MSISDN in text else set()
    return found


@on_both
@pytest.mark.parametrize("on_request", [False, True])
def test_no_column_keeps_what_is_forgotten(shop, clock, on_request):
    tables = [each for each in db.metadata.sorted_tables if each.name in GOES]
    with shop.sessions() as session:
        assert session.scalar(select(func.count()).select_from(StatementFile)) == 2
    write_the_number(shop, tables)
    assert holding_the_number(shop, tables)
    clock.pass_(days=401)

    with shop.sessions() as session:
        if on_request:
            mark = shop.receipt_needs().mark_of(PAYER_MSISDN)
            retention.by_line(session, PAYER_MSISDN, mark, clock(), "amina")
        else:
            retention.by_age(session, clock(), timedelta(days=400), "amina")

    assert holding_the_number(shop, tables) == set()
