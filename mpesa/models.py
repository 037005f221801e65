"""Tables and constraints."""

from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    registry,
    relationship,
)
from sqlalchemy.types import TypeDecorator

from mpesa.domain.result_codes import FAILED_REASONS, PENDING_REASONS, SUCCESS_REASONS

# Names that do not depend on the database, so that one migration runs on both.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite keeps no time zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: nobody knows which zone they are in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every time its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Our own base, so that the tables can be used without Flask."""

    registry = registry(
        metadata=MetaData(naming_convention=_NAMES), type_annotation_map={datetime: UTCDateTime}
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

# SQLite counts up only in columns declared INTEGER; PostgreSQL wants 64 bits for evidence.
_Counting = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, words: Any) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in sorted(words))})"


def _only_where(condition: str) -> dict[str, Any]:
    """A partial index, on both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Order(Base):
    """What is being paid for. The server owns the price."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("amount >= 1", "amount_positive"),
        CheckConstraint(
            _one_of("status", ("OPEN", "PAID", "CANCELLED", "EXPIRED")), "status_known"
        ),
        Index(
            "ix_orders_expiring",
            "expires_at",
            **_only_where("status = 'OPEN'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount: Mapped[int] = mapped_column(Integer)
    # SQLite minds no length, and cannot change a column that others point to without copying all.
    reference: Mapped[str] = mapped_column(
        String(64).with_variant(String(12), "sqlite"), index=True
    )
    description: Mapped[str] = mapped_column(String(200))
    return_url: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(10), server_default="OPEN")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    transactions: Mapped[list["Transaction"]] = relationship(
        back_populates="order",
        order_by="(Transaction.created_at.desc(), Transaction.attempt.desc())",
    )


class Transaction(Base):
    """One STK push for an order: an attempt. Only `ledger` changes it.

    Attributes:
        attempt: its number within its order, from 1.
        is_open: unsettled and young enough for its prompt to be answered; a column that the
            clock clears, so that silence blocks neither order nor line for ever.
        prompt_ends_at: when its prompt's longest life is over, 180 s after the push was answered,
            200 s after the row until then; None for attempts from before this was kept.
        settles_order: it is the success that paid its order.
        amount_disputed: a callback told another amount, so a query's word makes it no success.
        success_claimed: a callback said paid and was not believed; Daraja is asked whether it is.
        failed_by_query: FAILED by the word of a query alone, which has been wrong at times.
        next_ask_at: when Daraja is to be asked about it; None: not any more.
        account_reference: what Daraja was given of its order's reference, as the payer's prompt
            and M-PESA's statement show it; None on rows from before it was kept.
        ask_urgently: something was heard that makes the question more pressing than others.
        pushed_from: keyed hash of the sender that asked for the push, whose share pays for the
            questions about it; None: not known, or forgotten.
        urgent_for: the same of the sender whose code made it urgent; None: no stranger did.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        CheckConstraint(
            f"(status = 'PENDING' AND {_one_of('reason', PENDING_REASONS)})"
            f" OR (status = 'SUCCESS' AND {_one_of('reason', SUCCESS_REASONS)})"
            f" OR (status = 'FAILED' AND {_one_of('reason', FAILED_REASONS)})",
            "reason_fits_status",
        ),
        CheckConstraint("status = 'PENDING' OR NOT is_open", "only_pending_is_open"),
        CheckConstraint("status = 'SUCCESS' OR NOT settles_order", "only_success_settles"),
        Index(
            "uq_transactions_open_order",
            "order_id",
            unique=True,
            **_only_where("is_open"),
        ),
        Index(
            "uq_transactions_open_line",
            "msisdn",
            unique=True,
            **_only_where("is_open"),
        ),
        Index(
            "uq_transactions_settled_order",
            "order_id",
            unique=True,
            **_only_where("settles_order"),
        ),
        Index(
            "ix_transactions_pending",
            "created_at",
            **_only_where("status = 'PENDING'"),
        ),
        UniqueConstraint("order_id", "attempt"),
        Index("ix_transactions_created_at", "created_at"),
        # What a person looks for and most payments never are: these cost a usual payment nothing.
        Index(
            "ix_transactions_failed",
            "created_at",
            **_only_where("status = 'FAILED'"),
        ),
        Index(
            "ix_transactions_odd",
            "reason",
            "created_at",
            **_only_where("status <> 'PENDING' AND reason <> 'paid'"),
        ),
        Index(
            "ix_transactions_review",
            "created_at",
            **_only_where("needs_review"),
        ),
        Index("ix_transactions_next_ask_at", "next_ask_at"),
        Index("ix_transactions_updated_at", "updated_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    attempt: Mapped[int] = mapped_column(Integer)
    msisdn: Mapped[str | None] = mapped_column(String(12), index=True)
    amount: Mapped[int] = mapped_column(Integer)
    account_reference: Mapped[str | None] = mapped_column(String(12))
    callback_token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    merchant_request_id: Mapped[str | None] = mapped_column(String(64))
    checkout_request_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    status: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(String(24))
    final: Mapped[bool] = mapped_column(server_default=false())
    is_open: Mapped[bool]
    settles_order: Mapped[bool] = mapped_column(server_default=false())
    needs_review: Mapped[bool] = mapped_column(server_default=false())
    amount_disputed: Mapped[bool] = mapped_column(server_default=false())
    success_claimed: Mapped[bool] = mapped_column(server_default=false())
    failed_by_query: Mapped[bool] = mapped_column(server_default=false())
    receipt: Mapped[str | None] = mapped_column(String(10), unique=True)
    seq: Mapped[int] = mapped_column(Integer)
    retry_at: Mapped[datetime | None]
    prompt_ends_at: Mapped[datetime | None]
    next_ask_at: Mapped[datetime | None]
    times_asked: Mapped[int] = mapped_column(Integer, server_default="0")
    ask_urgently: Mapped[bool] = mapped_column(server_default=false())
    pushed_from: Mapped[str | None] = mapped_column(String(64))
    urgent_for: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship(back_populates="transactions")
    evidence: Mapped[list["EvidenceRow"]] = relationship(
        back_populates="transaction", order_by="EvidenceRow.id"
    )


class EvidenceRow(Base):
    """Anything that says what became of a transaction: raw, append-only."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index(
            "ix_evidence_sms_codes",
            "received_at",
            **_only_where("kind = 'sms_code'"),
        ),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey("transactions.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str | None] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(index=True)

    transaction: Mapped[Transaction] = relationship(back_populates="evidence")
    decisions: Mapped[list["DecisionRow"]] = relationship(
        back_populates="evidence", order_by="DecisionRow.id"
    )


class DecisionRow(Base):
    """What was decided on a piece of evidence, and why."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    evidence_id: Mapped[int] = mapped_column(ForeignKey("evidence.id"), index=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey("transactions.id"), index=True)
    status: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(String(24))
    seq: Mapped[int] = mapped_column(Integer)
    needs_review: Mapped[bool]
    why: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime]

    evidence: Mapped[EvidenceRow] = relationship(back_populates="decisions")


class IdempotencyKey(Base):
    """A request that must not be carried out twice, kept with the row that it made or joined.

    Attributes:
        scope: the order (for a push) or the hash of the API key (for an order) it belongs to.
        fingerprint: hash of the normalised fields; the same key with others is refused.
        status_code: what was answered first.
    """

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(String(72), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status_code: Mapped[int] = mapped_column(Integer)
    order_id: Mapped[str | None] = mapped_column(ForeignKey("orders.id"))
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("transactions.id"))
    created_at: Mapped[datetime]


class DarajaAccess(Base):
    """One row a consumer key: the OAuth token and the query budget that all processes share.

    Attributes:
        id: hash of consumer key and base address.
        fetching_until: somebody is fetching a new token; a lease, since they may die.
        next_query_at: no status query may be sent before.
    """

    __tablename__ = "daraja_access"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    token: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    fetching_until: Mapped[datetime | None]
    next_query_at: Mapped[datetime | None]


class Asked(Base):
    """A question that Daraja was asked lately, and for whom; gone after ten minutes.

    Attributes:
        share: keyed hash of the sender that caused it; None: no stranger did.
        is_old: it was about a payment that nobody is expected to wait for.
    """

    __tablename__ = "asked"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    share: Mapped[str | None] = mapped_column(String(64))
    is_old: Mapped[bool]
    asked_at: Mapped[datetime]


class Announcement(Base):
    """What the open checkout pages at one worker were told, and when. It decides nothing.

    Attributes:
        transaction_id: no foreign key, whose check would lock and rewrite the transaction's row,
            beside a payment that is under way.
        seq: of the snapshot that was sent; `status`, `reason`, `order_status` are that snapshot's.
        pages: how many it was sent to.
    """

    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    transaction_id: Mapped[str] = mapped_column(String(32), index=True)
    seq: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(String(24))
    order_status: Mapped[str] = mapped_column(String(10))
    pages: Mapped[int] = mapped_column(Integer)
    announced_at: Mapped[datetime]


class WebhookMessage(Base):
    """What the merchant's server is told of one change, written in that change's own commit.

    Attributes:
        id: the `webhook-id`, the same for every try.
        body: the exact JSON text that is signed and sent.
        seq: the transaction's, in that commit; an older message goes first.
        next_attempt_at: when it is to be sent; None: it is over, delivered or given up.
        claimed_until: somebody is sending it; a lease, since they may die.
        tries: how often it was sent since it was written, or since an operator sent it again.
        delivered_at: when the merchant's server took it.
    """

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index(
            "ix_webhook_messages_due",
            "next_attempt_at",
            **_only_where("next_attempt_at IS NOT NULL"),
        ),
        Index(
            "ix_webhook_messages_claimed",
            "claimed_until",
            **_only_where("claimed_until IS NOT NULL"),
        ),
        Index(
            "ix_webhook_messages_undelivered",
            "created_at",
            **_only_where("delivered_at IS NULL"),
        ),
        Index("ix_webhook_messages_newest", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey("transactions.id"), index=True)
    type: Mapped[str] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered_at: Mapped[datetime | None]

    attempts: Mapped[list["WebhookAttempt"]] = relationship(
        back_populates="message", order_by="WebhookAttempt.id"
    )


class WebhookAttempt(Base):
    """One try to deliver a message, and what came of it.

    Attributes:
        status_code: what the merchant's server answered; None where no answer came.
        failure: why none came, in a word; None where one came.
        took_ms: milliseconds until the answer, or until it was given up.
    """

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("webhook_messages.id"), index=True)
    started_at: Mapped[datetime]
    status_code: Mapped[int | None] = mapped_column(Integer)
    failure: Mapped[str | None] = mapped_column(String(16))
    took_ms: Mapped[int] = mapped_column(Integer)

    message: Mapped[WebhookMessage] = relationship(back_populates="attempts")


class WebhookEndpoint(Base):
    """How one address of the merchant's server does; all workers share it.

    Attributes:
        id: hash of the address, which may hold a password.
        failures: tries in a row to which it was silent, or too busy.
        resume_at: nothing is sent there before.
        stopped_at: it answered 410: nothing is sent there until an operator says so.
        delivered_at: when it last took a message.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    resume_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]


class Operator(Base):
    """A person who may use the console.

    Attributes:
        name: lower case; what evidence of this person's acts is signed with.
        password_hash: Argon2id, with its own parameters and salt.
        last_address: where the last login came from; it is never locked out by strangers' tries.
    """

    __tablename__ = "operators"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    last_address: Mapped[str | None] = mapped_column(String(64))


class OperatorSession(Base):
    """A login that has not ended; its row is the session, the cookie only names it.

    Attributes:
        id: hash of what the cookie holds.
    """

    __tablename__ = "operator_sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    operator: Mapped[str] = mapped_column(
        ForeignKey("operators.name", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
