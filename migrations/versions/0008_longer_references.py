"""longer references: 64 characters, and on each attempt what Daraja was given of it

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-28 19:35:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    # PostgreSQL rewrites neither table nor index for a longer varchar, and no row for a new column
    # without a default. SQLite minds no length.
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("orders", "reference", type_=sa.String(64), existing_nullable=False)
    op.add_column("transactions", sa.Column("account_reference", sa.String(12), nullable=True))


def downgrade():
    op.drop_column("transactions", "account_reference")
    # Fails where a longer one is kept: a merchant's references are not cut.
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("orders", "reference", type_=sa.String(12), existing_nullable=False)
