"""operators: what each of them may do

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-29 22:20:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade():
    # A column with a constant default rewrites no row; its lock is short, once it is had.
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    # Who was an operator before could do everything, and still can.
    role = sa.Column("role", sa.String(8), server_default="manager", nullable=False)
    op.add_column("operators", role)


def downgrade():
    op.drop_column("operators", "role")
