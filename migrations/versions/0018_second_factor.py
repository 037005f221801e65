"""operators: a second factor, and each try to prove oneself with it

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-29 22:40:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade():
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("operators", sa.Column("totp_sealed", sa.String(120), nullable=True))
    op.create_table(
        "step_ups",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("operator", sa.String(40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_step_ups"),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["operators.name"],
            name="fk_step_ups_operator",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("operator", "step", name="uq_step_ups_operator_step"),
    )


def downgrade():
    op.drop_table("step_ups")
    op.drop_column("operators", "totp_sealed")
