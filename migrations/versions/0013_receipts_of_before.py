"""receipts of payments from before, pay codes of open orders; indexes without a lock

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-29 21:31:00.000000

"""

import re
import secrets

import sqlalchemy as sa
from alembic import context, op
from flask import current_app

# revision identifiers, used by Alembic.
revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Rows of one commit: payments wait for none of them longer than a moment.
BATCH = 1000
INDEXES = (
    ("uq_orders_pay_code", "orders", ["pay_code"], True, None),
    ("ix_orders_account_form", "orders", ["account_form"], False, None),
    (
        "ix_orders_in_sight_until",
        "orders",
        ["in_sight_until"],
        False,
        "in_sight_until IS NOT NULL",
    ),
    (
        "uq_transactions_hand_pending",
        "transactions",
        ["order_id"],
        True,
        "status = 'PENDING' AND channel = 'hand'",
    ),
    (
        "ix_transactions_account_reference",
        "transactions",
        ["account_reference", "created_at"],
        False,
        None,
    ),
)
RECEIPTS = (
    "INSERT INTO receipts (id, organisation, receipt, direction, amount, state, transaction_id,"
    " listed, learned_at, changed_at)"
    " SELECT id, '{}', receipt, 'in', amount * 100, 'claimed', id, true,"
    " coalesce(settled_at, updated_at), coalesce(settled_at, updated_at)"
    " FROM transactions WHERE receipt IS NOT NULL{}"
    " AND NOT EXISTS (SELECT 1 FROM receipts AS known WHERE known.receipt = transactions.receipt)"
)


def upgrade():
    on_postgresql = op.get_context().dialect.name == "postgresql"
    # Every statement is a commit of its own: an index is built beside running payments, and no
    # lock of one step is kept through the next.
    with op.get_context().autocommit_block():
        if on_postgresql:
            op.execute(
                "ALTER TABLE transactions VALIDATE CONSTRAINT ck_transactions_reason_fits_status"
            )
        for name, table, columns, unique, condition in INDEXES:
            # What an attempt before left half built is no index.
            op.drop_index(name, table, if_exists=True, **concurrently(on_postgresql))
            where = sa.text(condition) if condition else None
            op.create_index(
                name,
                table,
                columns,
                unique=unique,
                sqlite_where=where,
                postgresql_where=where,
                **concurrently(on_postgresql),
            )
        short_code = current_app.config["DARAJA_SHORTCODE"]
        if context.is_offline_mode():
            # Pay codes are drawn by a program: orders that are open now get none, and their pages
            # offer no payment by hand.
            op.execute(RECEIPTS.format(short_code, ""))
            return
        bind = op.get_bind()
        last = ""
        while last is not None:
            last = receipts_after(bind, last, short_code)
        while codes_for_open_orders(bind):
            pass


def concurrently(on_postgresql):
    return {"postgresql_concurrently": True} if on_postgresql else {}


def receipts_after(bind, last, short_code):
    ids = (
        bind.execute(
            sa.text("SELECT id FROM transactions WHERE id > :last ORDER BY id LIMIT :batch"),
            {"last": last, "batch": BATCH},
        )
        .scalars()
        .all()
    )
    if not ids:
        return None
    between = " AND id > :last AND id <= :until"
    bind.execute(sa.text(RECEIPTS.format(short_code, between)), {"last": last, "until": ids[-1]})
    return ids[-1]


def codes_for_open_orders(bind):
    open_orders = bind.execute(
        sa.text(
            "SELECT id, reference FROM orders WHERE status = 'OPEN' AND pay_code IS NULL"
            " LIMIT :batch"
        ),
        {"batch": BATCH},
    ).all()
    give = sa.text(
        "UPDATE orders SET pay_code = :code, account_form = :form WHERE id = :id"
        " AND pay_code IS NULL AND NOT EXISTS (SELECT 1 FROM orders AS other"
        " WHERE other.pay_code = :code OR other.account_form = :code)"
    )
    for order_id, reference in open_orders:
        bind.execute(give, {"id": order_id, "code": pay_code(), "form": form_of(reference)})
    return open_orders


# As they were when this was written: a migration outlives the code.


def pay_code():
    table = (
        "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
        "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
    )  # fmt: skip
    digits = secrets.choice("2345689") + f"{secrets.randbelow(10**7):07d}"
    interim = 0
    for digit in digits:
        interim = int(table[interim][int(digit)])
    return f"{digits}{interim}"


def form_of(reference):
    kept = re.sub("[^A-Z0-9]", "", reference.upper())
    kept = re.sub(r"\A(?:INVOICE|ACCOUNT|ORDER|ACC|INV|REF|NO)+(?=[0-9]+\Z)", "", kept)
    return kept.lstrip("0") or "0" if kept.isdigit() else kept


def downgrade():
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
