"""a payment counts once where two transactions of its order are told of it

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-30 17:50:00.000000

"""

from alembic import op

# revision identifiers, used by Alembic.
revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade():
    op.execute(
        "UPDATE transactions SET receipt_amount = 0"
        " WHERE status = 'SUCCESS' AND receipt IS NULL AND id IN"
        " (SELECT transaction_id FROM decisions WHERE why LIKE 'receipt_of_its_order%')"
    )


def downgrade():
    op.execute("UPDATE transactions SET receipt_amount = NULL WHERE receipt_amount = 0")
