"""lines of a statement: the day whose close counted them; what a look at a file found

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-29 23:50:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade():
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("statement_files", sa.Column("found", sa.Text(), nullable=True))
    op.add_column("statement_lines", sa.Column("booked_on", sa.String(10), nullable=True))
    op.create_index(
        "ix_statement_lines_not_booked",
        "statement_lines",
        ["organisation", "day"],
        sqlite_where=sa.text("booked_on IS NULL"),
        postgresql_where=sa.text("booked_on IS NULL"),
    )


def downgrade():
    op.drop_index("ix_statement_lines_not_booked", "statement_lines")
    op.drop_column("statement_lines", "booked_on")
    op.drop_column("statement_files", "found")
