"""prompt_ends_at: a prompt's life is counted from the push's answer

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-28 19:10:00.000000

"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The longest that a prompt can live from its row on: nobody wrote down when its push was answered.
OPEN_UNANSWERED = timedelta(seconds=200)


def upgrade():
    # Without a default, so that no row is rewritten; as a plain ADD COLUMN, since SQLite's
    # batch mode would copy the table and drop the one that evidence points to.
    op.add_column(
        "transactions", sa.Column("prompt_ends_at", sa.DateTime(timezone=True), nullable=True)
    )
    rows = sa.table(
        "transactions",
        sa.column("id", sa.String),
        sa.column("is_open", sa.Boolean),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("prompt_ends_at", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(rows.c.id, rows.c.created_at).where(rows.c.is_open)):
        ends = row.created_at + OPEN_UNANSWERED
        connection.execute(sa.update(rows).where(rows.c.id == row.id).values(prompt_ends_at=ends))


def downgrade():
    op.drop_column("transactions", "prompt_ends_at")
