"""console: operators and their sessions, indexes for its lists

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-24 17:10:31.118402

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ODD = "status <> 'PENDING' AND reason <> 'paid'"
_PARTIAL = (
    ("ix_transactions_failed", ["created_at"], "status = 'FAILED'"),
    ("ix_transactions_odd", ["reason", "created_at"], _ODD),
    ("ix_transactions_review", ["created_at"], "needs_review"),
)


def upgrade():
    op.create_table(
        "operators",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_address", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operators")),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["operators.name"],
            name=op.f("fk_operator_sessions_operator"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_sessions")),
    )
    with op.batch_alter_table("operator_sessions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operator_sessions_operator"), ["operator"], unique=False
        )
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        # A payment writes this one each time it changes; the partial one holds the few that matter.
        batch_op.drop_index(batch_op.f("ix_transactions_needs_review"))
        for name, columns, condition in _PARTIAL:
            _create_partial(batch_op, name, columns, condition)
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        _create_partial(batch_op, "ix_evidence_sms_codes", ["received_at"], "kind = 'sms_code'")


def _create_partial(batch_op, name, columns, condition):
    batch_op.create_index(
        name,
        columns,
        unique=False,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def downgrade():
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_index("ix_evidence_sms_codes")
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        for name, _columns, _condition in _PARTIAL:
            batch_op.drop_index(name)
        batch_op.create_index(
            batch_op.f("ix_transactions_needs_review"), ["needs_review"], unique=False
        )
    op.drop_table("operator_sessions")
    op.drop_table("operators")
