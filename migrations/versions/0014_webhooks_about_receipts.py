"""webhooks about receipts

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-29 22:05:00.000000

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEX = "ix_webhook_messages_receipt_id"
KEY = "fk_webhook_messages_receipt_id"
MUST = "transaction_id VARCHAR(32) NOT NULL"
MAY = "transaction_id VARCHAR(32)"


def upgrade():
    if op.get_context().dialect.name == "postgresql":
        # Neither looks at a row: the column is new, and a key that is not valid yet is kept for
        # every row that is written from now on. There are no others.
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.alter_column("webhook_messages", "transaction_id", nullable=True)
        op.add_column("webhook_messages", sa.Column("receipt_id", sa.String(32), nullable=True))
        op.execute(
            f"ALTER TABLE webhook_messages ADD CONSTRAINT {KEY}"
            " FOREIGN KEY (receipt_id) REFERENCES receipts (id) NOT VALID"
        )
    else:
        # With its key in the same statement, which Alembic has no words for on SQLite.
        op.execute(
            f"ALTER TABLE webhook_messages ADD COLUMN receipt_id VARCHAR(32)"
            f" CONSTRAINT {KEY} REFERENCES receipts (id)"
        )
        change_text(MUST, MAY)
    where = sa.text("receipt_id IS NOT NULL")
    op.create_index(
        INDEX, "webhook_messages", ["receipt_id"], sqlite_where=where, postgresql_where=where
    )


def downgrade():
    of_receipts = "SELECT id FROM webhook_messages WHERE receipt_id IS NOT NULL"
    op.execute(f"DELETE FROM webhook_attempts WHERE message_id IN ({of_receipts})")
    op.execute("DELETE FROM webhook_messages WHERE receipt_id IS NOT NULL")
    op.drop_index(INDEX, "webhook_messages")
    if op.get_context().dialect.name == "postgresql":
        op.drop_column("webhook_messages", "receipt_id")
        op.alter_column("webhook_messages", "transaction_id", nullable=False)
        return
    # SQLite drops no column that has a key; without it, it is one like any other.
    change_text(f" CONSTRAINT {KEY} REFERENCES receipts (id)", "")
    op.drop_column("webhook_messages", "receipt_id")
    change_text(MAY, MUST)


def change_text(before, after):
    """Change a constraint of SQLite's table, which it can do in the table's own text alone.

    That is the documented way (sqlite.org, ALTER TABLE, 7): a copy would drop the table that
    attempts point to.
    """
    bind = op.get_bind()
    version = bind.exec_driver_sql("PRAGMA schema_version").scalar()
    bind.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = bind.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?)"
        " WHERE type = 'table' AND name = 'webhook_messages' AND instr(sql, ?) > 0",
        (before, after, before),
    )
    bind.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    bind.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise RuntimeError("webhook_messages is not as the migrations before this one left it")
