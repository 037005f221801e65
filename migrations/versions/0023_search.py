"""payments found by a part: indexes of amounts, last digits, beginnings and words

Revision ID: 0023
Revises: 0022
Create Date: 2026-11-30 03:20:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade():
    on_postgres = op.get_context().dialect.name == "postgresql"
    concurrently = {"postgresql_concurrently": True} if on_postgres else {}
    begins = "upper(reference) text_pattern_ops" if on_postgres else "upper(reference)"
    digits = sa.text("substr(msisdn, 10, 3)")
    indexes = [
        ("ix_transactions_amount", "transactions", ["amount", "created_at", "id"], {}),
        ("ix_transactions_last_digits", "transactions", [digits, "created_at", "id"], {}),
        ("ix_orders_begins", "orders", [sa.text(begins)], {}),
    ]
    if on_postgres:
        words = sa.text("to_tsvector('simple'::regconfig, description)")
        indexes.append(("ix_orders_words", "orders", [words], {"postgresql_using": "gin"}))
    # Each is built beside running payments, in a commit of its own.
    with op.get_context().autocommit_block():
        for name, table, columns, more in indexes:
            # What an attempt before left half built is no index.
            op.drop_index(name, table, if_exists=True, **concurrently)
            op.create_index(name, table, columns, **more, **concurrently)


def downgrade():
    for name, table in (
        ("ix_orders_words", "orders"),
        ("ix_orders_begins", "orders"),
        ("ix_transactions_last_digits", "transactions"),
        ("ix_transactions_amount", "transactions"),
    ):
        op.drop_index(name, table, if_exists=True)
