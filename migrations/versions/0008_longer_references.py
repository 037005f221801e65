"""longer references: 64 characters

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
    # PostgreSQL rewrites neither table nor index for a longer varchar. SQLite minds no length.
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("orders", "reference", type_=sa.String(64), existing_nullable=False)


def downgrade():
    # Fails where a longer one is kept: a merchant's references are not cut.
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("orders", "reference", type_=sa.String(12), existing_nullable=False)
