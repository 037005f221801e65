"""transactions: a callback told another amount

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-28 19:20:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What is in doubt already, and may still be asked about, reviewed or not: few rows, found by index.
KNOWN = sa.text(
    "UPDATE transactions SET amount_disputed = true"
    " WHERE (needs_review OR next_ask_at IS NOT NULL) AND EXISTS ("
    "SELECT 1 FROM decisions WHERE decisions.transaction_id = transactions.id"
    # The second is what is kept since, for who comes back after a downgrade.
    " AND decisions.why IN ('code 0 with another amount', 'callback_names_other_amount'))"
)


def upgrade():
    # A column with a constant default rewrites no row; its lock is short, once it is had.
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "transactions",
        sa.Column("amount_disputed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(KNOWN)


def downgrade():
    op.drop_column("transactions", "amount_disputed")
