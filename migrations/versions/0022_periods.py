"""figures and lists of any period, by index

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-30 02:45:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade():
    concurrently, covering = {}, {}
    if op.get_context().dialect.name == "postgresql":
        concurrently = {"postgresql_concurrently": True}
        covering = {"postgresql_include": ["channel", "reason", "amount", "receipt_amount"]}
    moment = [sa.text("coalesce(paid_at, learned_at)"), "id"]
    # Each is built beside running payments, in a commit of its own.
    with op.get_context().autocommit_block():
        for name, table, columns, more in (
            ("ix_transactions_begun", "transactions", ["created_at"], covering),
            ("ix_receipts_moment", "receipts", moment, {}),
        ):
            # What an attempt before left half built is no index.
            op.drop_index(name, table, if_exists=True, **concurrently)
            op.create_index(name, table, columns, **more, **concurrently)
        op.drop_index("ix_transactions_created_at", "transactions", if_exists=True, **concurrently)


def downgrade():
    op.create_index("ix_transactions_created_at", "transactions", ["created_at"])
    op.drop_index("ix_receipts_moment", "receipts")
    op.drop_index("ix_transactions_begun", "transactions")
