"""refunds, their steps and days

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-29 22:20:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNDER_WAY = "status IN ('released', 'requested', 'sent', 'unknown')"


def upgrade():
    # Columns without a default rewrite no row; their locks are short, once they are had.
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("transactions", sa.Column("refund_id", sa.String(32), nullable=True))
    op.add_column("transactions", sa.Column("refund_status", sa.String(10), nullable=True))
    op.add_column("transactions", sa.Column("refund_at", TIME, nullable=True))
    op.add_column("receipts", sa.Column("refund_id", sa.String(32), nullable=True))
    op.create_table(
        "refunds",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("receipt_id", sa.String(32), nullable=False),
        sa.Column("receipt", sa.String(10), nullable=False),
        sa.Column("order_id", sa.String(32), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("requested_by", sa.String(48), nullable=False),
        sa.Column("released_by", sa.String(48), nullable=True),
        sa.Column("released_day", sa.String(10), nullable=True),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("acknowledged_at", TIME, nullable=True),
        sa.Column("conversation_id", sa.String(64), nullable=True),
        sa.Column("reversal_receipt", sa.String(10), nullable=True),
        sa.Column("result_code", sa.String(32), nullable=True),
        sa.Column("needs_review", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("asked_key", sa.String(64), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint(
            "status IN ('failed', 'refused', 'released', 'requested', 'sent', 'succeeded',"
            " 'unknown')",
            name=op.f("ck_refunds_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["receipt_id"], ["receipts.id"], name=op.f("fk_refunds_receipt_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_refunds_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint("asked_key", name=op.f("uq_refunds_asked_key")),
    )
    for name in ("receipt_id", "order_id"):
        op.create_index(op.f(f"ix_refunds_{name}"), "refunds", [name])
    op.create_index("ix_refunds_updated_at", "refunds", ["updated_at", "id"])
    op.create_index("ix_refunds_released_day", "refunds", ["released_day"])
    for name, column, unique in (
        ("uq_refunds_under_way", "receipt_id", True),
        ("ix_refunds_unfinished", "updated_at", False),
    ):
        op.create_index(
            name,
            "refunds",
            [column],
            unique=unique,
            sqlite_where=sa.text(UNDER_WAY),
            postgresql_where=sa.text(UNDER_WAY),
        )
    op.create_table(
        "refund_steps",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("refund_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("by", sa.String(64), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refunds.id"], name=op.f("fk_refund_steps_refund_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_steps")),
    )
    op.create_index(op.f("ix_refund_steps_refund_id"), "refund_steps", ["refund_id"])
    op.create_table(
        "refund_days",
        sa.Column("id", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_days")),
    )


def downgrade():
    for table in ("refund_days", "refund_steps", "refunds"):
        op.drop_table(table)
    op.drop_column("receipts", "refund_id")
    for name in ("refund_at", "refund_status", "refund_id"):
        op.drop_column("transactions", name)
