"""account_reference: on each attempt, what Daraja was given of the order's reference

Apart from 0008, so that no migration holds the locks of orders and of transactions at once.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-28 20:56:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    # Without a default, so that no row is rewritten.
    op.add_column("transactions", sa.Column("account_reference", sa.String(12), nullable=True))


def downgrade():
    op.drop_column("transactions", "account_reference")
