"""order_qr: the M-PESA QR of each order that was asked for one

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-29 22:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "order_qr",
        sa.Column("order_id", sa.String(32), nullable=False),
        sa.Column("says", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_qr_order_id"),
        sa.PrimaryKeyConstraint("order_id", name="pk_order_qr"),
    )
    op.create_index("ix_order_qr_asked_at", "order_qr", ["asked_at"])


def downgrade():
    op.drop_table("order_qr")
