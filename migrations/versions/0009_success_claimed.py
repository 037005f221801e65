"""transactions: a callback said paid and was not believed

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-28 20:45:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    # A column with a constant default rewrites no row; its lock is short, once it is had.
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "transactions",
        sa.Column("success_claimed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade():
    op.drop_column("transactions", "success_claimed")
