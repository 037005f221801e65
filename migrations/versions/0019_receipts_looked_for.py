"""receipts that a person looks for; indexes without a lock

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-29 22:50:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INDEXES = (
    (
        "ix_receipts_odd",
        "receipts",
        ["state", "learned_at", "id"],
        "direction = 'in' AND state <> 'claimed'",
    ),
    ("ix_receipts_amount", "receipts", ["amount", "learned_at", "id"], None),
    ("ix_receipts_account", "receipts", ["account", "learned_at", "id"], "account IS NOT NULL"),
    ("ix_transactions_hand", "transactions", ["created_at"], "channel = 'hand'"),
)


def upgrade():
    concurrently = {}
    if op.get_context().dialect.name == "postgresql":
        concurrently = {"postgresql_concurrently": True}
    # Each is built beside running payments, in a commit of its own.
    with op.get_context().autocommit_block():
        for name, table, columns, condition in INDEXES:
            # What an attempt before left half built is no index.
            op.drop_index(name, table, if_exists=True, **concurrently)
            where = sa.text(condition) if condition else None
            op.create_index(
                name, table, columns, sqlite_where=where, postgresql_where=where, **concurrently
            )


def downgrade():
    for name, table, _columns, _condition in INDEXES:
        op.drop_index(name, table)
