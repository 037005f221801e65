"""transactions: FAILED by the word of a query alone

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-28 22:55:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What failed before and may still turn into a success: few rows, found by the index of questions.
KNOWN = sa.text(
    "UPDATE transactions SET failed_by_query = true"
    " WHERE next_ask_at IS NOT NULL AND status = 'FAILED' AND NOT final"
    " AND reason NOT IN ('closed_by_operator', 'unknown_code') AND NOT EXISTS ("
    "SELECT 1 FROM decisions WHERE decisions.transaction_id = transactions.id"
    # The second is what is kept since, for who comes back after a downgrade.
    " AND (decisions.why LIKE 'the callback says%' OR decisions.why LIKE 'callback_says_%'))"
)


def upgrade():
    # A column with a constant default rewrites no row; its lock is short, once it is had.
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "transactions",
        sa.Column("failed_by_query", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(KNOWN)


def downgrade():
    op.drop_column("transactions", "failed_by_query")
