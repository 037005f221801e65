"""asked: whose questions Daraja was asked lately, and which sender caused a question

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-28 19:30:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    # Without a default, so that no row is rewritten; as a plain ADD COLUMN, since SQLite's
    # batch mode would copy the table and drop the one that evidence points to.
    op.add_column("transactions", sa.Column("pushed_from", sa.String(length=64), nullable=True))
    op.add_column("transactions", sa.Column("urgent_for", sa.String(length=64), nullable=True))
    op.create_table(
        "asked",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("share", sa.String(length=64), nullable=True),
        sa.Column("is_old", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asked")),
    )


def downgrade():
    op.drop_table("asked")
    op.drop_column("transactions", "urgent_for")
    op.drop_column("transactions", "pushed_from")
