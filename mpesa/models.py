"""Tables and constraints."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
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
    and_,
    false,
    func,
    literal_column,
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

from mpesa.domain.refund import UNDER_WAY, RefundStatus
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
        """Refuse naive times, whose zone is unknown."""
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


_WORDS_OF_ORDER = "to_tsvector('simple'::regconfig, description)"


class Order(Base):
    """An order: what a shopper pays for. The server owns the price.

    Attributes:
        pay_code: the account number for paying it by hand; None where it was over before there
            were any.
        account_form: its reference as `domain.matching` compares it; None on older rows.
        in_sight_until: until then, a receipt that names it, or a typed code, waits for its proof.
    """

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
        Index("uq_orders_pay_code", "pay_code", unique=True),
        Index("ix_orders_account_form", "account_form"),
        # What operators search for by a part. Only so are beginnings found whatever the collation,
        # and only PostgreSQL keeps words: SQLite reads the descriptions of a shop of its size.
        Index("ix_orders_begins", text("upper(reference)")).ddl_if(dialect="sqlite"),
        Index("ix_orders_begins", text("upper(reference) text_pattern_ops")).ddl_if(
            dialect="postgresql"
        ),
        Index("ix_orders_words", text(_WORDS_OF_ORDER), postgresql_using="gin").ddl_if(
            dialect="postgresql"
        ),
        Index(
            "ix_orders_in_sight_until",
            "in_sight_until",
            **_only_where("in_sight_until IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount: Mapped[int] = mapped_column(Integer)
    # SQLite ignores lengths, and would have to copy the table to change a column.
    reference: Mapped[str] = mapped_column(
        String(64).with_variant(String(12), "sqlite"), index=True
    )
    description: Mapped[str] = mapped_column(String(200))
    return_url: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(10), server_default="OPEN")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    pay_code: Mapped[str | None] = mapped_column(String(9))
    account_form: Mapped[str | None] = mapped_column(String(64))
    in_sight_until: Mapped[datetime | None]

    transactions: Mapped[list["Transaction"]] = relationship(
        back_populates="order",
        order_by="(Transaction.created_at.desc(), Transaction.attempt.desc())",
    )


class Transaction(Base):
    """One attempt to pay an order: an STK push, or money by hand. Only `ledger` changes it.

    Attributes:
        attempt: its number within its order, from 1.
        is_open: unsettled and young enough for its prompt to be answered; a column that the
            clock clears, so that silence blocks neither order nor line for ever.
        prompt_ends_at: when its prompt's longest life is over: 180 s after the push was answered,
            or 200 s after the row until then; None for older attempts.
        settles_order: it is the success that paid its order.
        amount_disputed: a callback told another amount, so a query's word makes it no success.
        success_claimed: a callback said paid and was not believed; Daraja is asked about it.
        failed_by_query: FAILED only by the word of a query, which has been wrong at times.
        next_ask_at: when Daraja is to be asked about it; None: no question is planned.
        account_reference: the part of its order's reference that Daraja was given, as the payer's
            prompt and M-PESA's statement show it; None on older rows.
        ask_urgently: a piece of evidence makes the question more pressing than others.
        pushed_from: the keyed hash of the sender that asked for the push, whose share pays for the
            questions about it; None: not known, or forgotten.
        urgent_for: the same of the sender whose code made it urgent; None: no stranger's did.
        channel: push or hand; the latter has neither number nor ids, and its token nobody knows.
        receipt_amount: the cents that came, where a person accepted another amount; 0 where another
            transaction of the order has the receipt of the same money, so that it counts once.
        by_rule: a push that is SUCCESS by its receipt, and whose own result nobody has told yet.
        refund_id: of its receipt the newest refund that was not refused; so are `refund_status` and
            `refund_at`, the time of its last change.
        returned: M-PESA gave its receipt back to the payer.
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
        # With what the figures of a period add up, so that PostgreSQL need not read the table.
        Index(
            "ix_transactions_begun",
            "created_at",
            postgresql_include=["channel", "reason", "amount", "receipt_amount"],
        ),
        # For pages of the console: most payments are in none of these, so they cost them nothing.
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
        Index(
            "uq_transactions_hand_pending",
            "order_id",
            unique=True,
            **_only_where("status = 'PENDING' AND channel = 'hand'"),
        ),
        Index("ix_transactions_account_reference", "account_reference", "created_at"),
        Index("ix_transactions_updated_at", "updated_at"),
        Index("ix_transactions_hand", "created_at", **_only_where("channel = 'hand'")),
        # What operators search for by a part.
        Index("ix_transactions_amount", "amount", "created_at", "id"),
        Index("ix_transactions_last_digits", text("substr(msisdn, 10, 3)"), "created_at", "id"),
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
    channel: Mapped[str] = mapped_column(String(4), server_default="push")
    receipt_amount: Mapped[int | None] = mapped_column(BigInteger)
    by_rule: Mapped[bool] = mapped_column(server_default=false())
    returned: Mapped[bool] = mapped_column(server_default=false())
    refund_id: Mapped[str | None] = mapped_column(String(32))
    refund_status: Mapped[str | None] = mapped_column(String(10))
    refund_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship(back_populates="transactions")
    evidence: Mapped[list["EvidenceRow"]] = relationship(
        back_populates="transaction", order_by="EvidenceRow.id"
    )


# The last three digits of a number, in the very words of their index.
last_digits: ColumnElement[str] = literal_column("substr(transactions.msisdn, 10, 3)", String)


def begins_with(dialect: str, beginning: str) -> ColumnElement[bool]:
    """Whether an order's reference begins so, whatever its case.

    Args:
        beginning: in capitals.
    """
    reference = func.upper(Order.reference)
    if dialect == "postgresql":
        return reference.startswith(beginning, autoescape=True)
    # Every character of a reference is before the tilde.
    return and_(reference >= beginning, reference < f"{beginning}~")


def has_words(dialect: str, words: Sequence[str]) -> ColumnElement[bool]:
    """Whether an order's description has words that begin with each of these.

    Args:
        words: letters and digits only, so that they need no quoting. SQLite finds them within
            words too.
    """
    if dialect == "postgresql":
        found = literal_column("to_tsvector('simple'::regconfig, orders.description)", Text)
        query = " & ".join(f"'{each}':*" for each in words)
        return found.bool_op("@@")(func.to_tsquery(literal_column("'simple'::regconfig"), query))
    return and_(*(Order.description.icontains(each) for each in words))


class EvidenceRow(Base):
    """A piece of evidence about a transaction: raw, append-only."""

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
    """The decision on a piece of evidence, and its reason."""

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


# The receipts of an index of their own. A query names it in these words, since SQLite draws no
# conclusions.
NOT_CLAIMED = "direction = 'in' AND state <> 'claimed'"


class Receipt(Base):
    """One movement of money at M-PESA, named by M-PESA. Only `ledger` changes it.

    Attributes:
        organisation: the short code of the shop at the time, whatever number a witness named.
        direction: in, a payment to us; out, a reversal of one.
        amount: in cents.
        short_code: the number that was paid, as a witness named it; None: nobody did.
        account: what the payer typed; None: nobody told it.
        payer_masked: the payer's number as a page may show it.
        payer_hash: the keyed hash of the SHA-256 of the payer's number.
        payer_name: the first word of the payer's name.
        paid_at: None: nobody told it.
        paid_at_doubtful: its zone is not known, and it is read as Nairobi's.
        state: of money in: unproven, unclaimed, claimed, returned.
        transaction_id: whose money it is; None: nobody's yet.
        returned_by: the receipt of its reversal; None: not returned, or without one.
        refund_id: of a refund under way, while which it can't be claimed.
        needs_review: witnesses contradict each other about it.
        trust: how far what is known of it can be believed (`domain.receipt.Trust`).
        listed: at least one witness came from an address that may be believed.
        learned_at: when the first witness arrived.
        changed_at: when the state last changed.
        unclaimed_from: when the merchant's server is to hear that it is unclaimed; None: never, or
            it has.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        CheckConstraint(_one_of("direction", ("in", "out")), "direction_known"),
        CheckConstraint(
            _one_of("state", ("unproven", "unclaimed", "claimed", "returned")), "state_known"
        ),
        UniqueConstraint("organisation", "receipt", "direction"),
        Index("ix_receipts_changed_at", "changed_at", "id"),
        Index("ix_receipts_state_changed_at", "state", "changed_at", "id"),
        Index("ix_receipts_learned_at", "learned_at", "id"),
        Index("ix_receipts_moment", text("coalesce(paid_at, learned_at)"), "id"),
        Index("ix_receipts_review", "learned_at", **_only_where("needs_review")),
        # For pages of the console: most receipts are claimed, so the first costs them nothing.
        Index("ix_receipts_odd", "state", "learned_at", "id", **_only_where(NOT_CLAIMED)),
        Index("ix_receipts_amount", "amount", "learned_at", "id"),
        Index(
            "ix_receipts_account",
            "account",
            "learned_at",
            "id",
            **_only_where("account IS NOT NULL"),
        ),
        Index(
            "ix_receipts_unclaimed_from",
            "unclaimed_from",
            **_only_where("unclaimed_from IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(10))
    receipt: Mapped[str] = mapped_column(String(10))
    direction: Mapped[str] = mapped_column(String(3))
    amount: Mapped[int] = mapped_column(BigInteger)
    short_code: Mapped[str | None] = mapped_column(String(10))
    account: Mapped[str | None] = mapped_column(String(64))
    payer_masked: Mapped[str | None] = mapped_column(String(24))
    payer_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    payer_name: Mapped[str | None] = mapped_column(String(64))
    paid_at: Mapped[datetime | None]
    paid_at_doubtful: Mapped[bool] = mapped_column(server_default=false())
    state: Mapped[str] = mapped_column(String(10))
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("transactions.id"), index=True)
    returned_by: Mapped[str | None] = mapped_column(String(10))
    refund_id: Mapped[str | None] = mapped_column(String(32))
    needs_review: Mapped[bool] = mapped_column(server_default=false())
    trust: Mapped[int] = mapped_column(Integer, server_default="0")
    listed: Mapped[bool]
    learned_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    unclaimed_from: Mapped[datetime | None]


# When a receipt's money moved, or when it was learned of where nobody told that.
receipt_moved_at = func.coalesce(Receipt.paid_at, Receipt.learned_at)


class Suggestion(Base):
    """An order that an unclaimed receipt may belong to; a person decides.

    Attributes:
        place: 0 for the likeliest.
    """

    __tablename__ = "suggestions"

    receipt_id: Mapped[str] = mapped_column(ForeignKey("receipts.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True, index=True)
    place: Mapped[int] = mapped_column(Integer)


class Witness(Base):
    """One telling of a receipt, raw and append-only; the same once more only adds to its count.

    Attributes:
        receipt_id: None: it could not be read, or waits to be judged.
        kind: callback, confirmation, pull, status, statement or operator.
        fingerprint: the SHA-256 of what was told.
        body: raw; empty for a callback, whose body is the evidence of its push.
        transaction_id: the push whose callback it is; None: another kind.
        judged: whether it was read and its receipt judged.
    """

    __tablename__ = "witnesses"
    __table_args__ = (
        UniqueConstraint("kind", "fingerprint"),
        Index("ix_witnesses_waiting", "received_at", **_only_where("NOT judged")),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    receipt_id: Mapped[str | None] = mapped_column(ForeignKey("receipts.id"), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str | None] = mapped_column(String(64))
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("transactions.id"))
    judged: Mapped[bool]
    times: Mapped[int] = mapped_column(Integer, server_default="1")
    received_at: Mapped[datetime] = mapped_column(index=True)
    told_last_at: Mapped[datetime]


class Refund(Base):
    """One receipt to be given back in full. Only `ledger` changes it.

    Attributes:
        amount: in cents.
        reason: a person's words; M-PESA gets none of them.
        requested_by: an operator's name, or `api:` and the beginning of the key's hash.
        released_day: the day in Nairobi against whose limit it counts.
        reversal_receipt: M-PESA's receipt of the reversal; None: not known.
        result_code: of Daraja's last word about it.
        asked_key: the hash of the Idempotency-Key and its owner; None: none was sent.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint(_one_of("status", RefundStatus), "status_known"),
        Index(
            "uq_refunds_under_way",
            "receipt_id",
            unique=True,
            **_only_where(_one_of("status", UNDER_WAY)),
        ),
        Index("ix_refunds_updated_at", "updated_at", "id"),
        Index("ix_refunds_released_day", "released_day"),
        Index(
            "ix_refunds_unfinished",
            "updated_at",
            **_only_where("status IN ('released', 'requested', 'sent', 'unknown')"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    receipt_id: Mapped[str] = mapped_column(ForeignKey("receipts.id"), index=True)
    receipt: Mapped[str] = mapped_column(String(10))
    order_id: Mapped[str | None] = mapped_column(ForeignKey("orders.id"), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(10))
    requested_by: Mapped[str] = mapped_column(String(48))
    released_by: Mapped[str | None] = mapped_column(String(48))
    released_day: Mapped[str | None] = mapped_column(String(10))
    sent_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    conversation_id: Mapped[str | None] = mapped_column(String(64))
    reversal_receipt: Mapped[str | None] = mapped_column(String(10))
    result_code: Mapped[str | None] = mapped_column(String(32))
    needs_review: Mapped[bool] = mapped_column(server_default=false())
    seq: Mapped[int] = mapped_column(Integer)
    asked_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class RefundStep(Base):
    """What happened to a refund: append-only.

    Attributes:
        event: a word of `domain.refund.Event`.
        status: the refund's after it.
        by: a person, an address, or None.
        body: raw, people's data cut out; empty where nothing was sent.
    """

    __tablename__ = "refund_steps"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    refund_id: Mapped[str] = mapped_column(ForeignKey("refunds.id"), index=True)
    event: Mapped[str] = mapped_column(String(24))
    status: Mapped[str] = mapped_column(String(10))
    by: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class RefundDay(Base):
    """A day in Nairobi, whose row every release locks while it adds up the day's refunds."""

    __tablename__ = "refund_days"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)


class AwaitedResult(Base):
    """A result that Daraja will send to an address of ours, made for one request.

    Attributes:
        token_hash: of the secret last segment of that address.
        kind: status or reversal.
        subject: the receipt that was asked about, or the id of the refund.
        credential_hash: of the API user in whose name it was asked (`InitiatorState`).
        until: it is heard until then.
        answered_at: when a result was judged that could be believed; None: none has been.
    """

    __tablename__ = "awaited_results"
    __table_args__ = (
        Index("ix_awaited_results_subject", "kind", "subject", "asked_at"),
        Index(
            "ix_awaited_results_unanswered",
            "credential_hash",
            "asked_at",
            **_only_where("answered_at IS NULL"),
        ),
    )

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    subject: Mapped[str] = mapped_column(String(32))
    credential_hash: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime]
    until: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class HeardResult(Base):
    """What came to such an address, append-only; the same once more only adds to its count.

    Attributes:
        fingerprint: the SHA-256 of the body, its source, and which of the two addresses it was.
        body: people's data cut out.
        payer_hash: the keyed hash of the payer's number that was cut out of it.
        timed_out: it came to the address for time-outs, and tells nothing.
        source: the address that it came from.
        judged: whether something was made of it.
    """

    __tablename__ = "heard_results"
    __table_args__ = (
        UniqueConstraint("token_hash", "fingerprint"),
        Index("ix_heard_results_waiting", "heard_at", **_only_where("NOT judged")),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    token_hash: Mapped[str] = mapped_column(ForeignKey("awaited_results.token_hash"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    payer_hash: Mapped[str | None] = mapped_column(String(64))
    timed_out: Mapped[bool]
    source: Mapped[str | None] = mapped_column(String(64))
    heard_at: Mapped[datetime]
    times: Mapped[int] = mapped_column(Integer, server_default="1")
    judged: Mapped[bool] = mapped_column(server_default=false())


class StatusQuestion(Base):
    """A receipt about which M-PESA is to be asked by Transaction Status.

    Attributes:
        transaction_id: the one whose shopper typed it as a code; None: an unproven receipt.
        share: a mark of the sender who typed it.
        next_at: when it is to be asked about; None: never, or never again.
        asked_at: when it was asked about last; None: never.
        typed_at: when the code was typed.
        done: its receipt was found, or a person was told that it was not.
    """

    __tablename__ = "status_questions"
    __table_args__ = (
        Index("ix_status_questions_next_at", "next_at", **_only_where("next_at IS NOT NULL")),
        Index("ix_status_questions_share", "share", "typed_at"),
        Index(
            "ix_status_questions_typed",
            "typed_at",
            **_only_where("transaction_id IS NOT NULL AND NOT done"),
        ),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    receipt: Mapped[str] = mapped_column(String(10), index=True)
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("transactions.id"), index=True)
    share: Mapped[str | None] = mapped_column(String(64))
    typed_at: Mapped[datetime]
    next_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None] = mapped_column(index=True)
    times_asked: Mapped[int] = mapped_column(Integer, server_default="0")
    done: Mapped[bool] = mapped_column(server_default=false())


class InitiatorState(Base):
    """What is known of an API user of the organisation, which all workers share.

    Attributes:
        id: status or refund.
        credential_hash: of name and credential; another one begins anew.
        answered: a result has come that was no refusal of the credential.
        since: what was asked before says nothing against it.
        stopped_at: nothing is asked in its name until a person says go; None: it is at work.
        stopped_why: a word.
    """

    __tablename__ = "initiators"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)
    credential_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    answered: Mapped[bool] = mapped_column(server_default=false())
    since: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    stopped_why: Mapped[str | None] = mapped_column(String(24))


class InitiatorAct(Base):
    """A person's word that a stopped API user is to be used again.

    Attributes:
        initiator: status or refund.
        by: the operator's name.
        once: the mark of the form, by which one that is sent twice acts once.
    """

    __tablename__ = "initiator_acts"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    initiator: Mapped[str] = mapped_column(String(10))
    by: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    once: Mapped[str] = mapped_column(String(32), unique=True)
    at: Mapped[datetime]


class Pull(Base):
    """How far what Pull Transactions tells was read, which all workers share.

    Attributes:
        id: the short code that is pulled.
        claimed_until: until when a process may pull; a lease, since it may die.
        again_at: not before then, after a pull that failed or was not complete.
        begun_at: when the last complete pull was begun.
        reaches_back_to: the beginning of what the complete pulls since cover without a gap.
        gap_from, gap_until: the newest stretch that no pull has seen; a statement is needed for it.
    """

    __tablename__ = "pulls"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)
    claimed_until: Mapped[datetime | None]
    again_at: Mapped[datetime | None]
    begun_at: Mapped[datetime | None]
    reaches_back_to: Mapped[datetime | None]
    gap_from: Mapped[datetime | None]
    gap_until: Mapped[datetime | None]


class StatementFile(Base):
    """A statement of the organisation's portal, as somebody gave it to us.

    Attributes:
        organisation: the short code of the shop at the time, as of a receipt.
        sha256: of the file; the same file once more changes nothing.
        name: the file's, into which the portal writes short code and days.
        days_said: the days that it covers by a person's word, `YYYY-MM-DD..YYYY-MM-DD`; None: the
            file or its name tells.
        family: a or b (`domain.statement_lines.Family`).
        short_code, account: whose; None and `""`: not told.
        since, until: what it covers; the second is not included.
        vouched: only its name, or a person, tells what it covers.
        raw: the file; None: forgotten.
        rows: its lines; of them, so many were `stored`, and so many `settled`.
        found: what a look at it found, as JSON.
        kept_by: who gave it to us.
        begun_at: when its import was asked for; None: it was only looked at, and goes after a day.
        done_at: when the last line was settled.
        claimed_until: until when a process may import it; a lease, since it may die.
    """

    __tablename__ = "statement_files"
    __table_args__ = (
        UniqueConstraint("organisation", "sha256"),
        Index("ix_statement_files_unfinished", "kept_at", **_only_where("done_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(10))
    sha256: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    days_said: Mapped[str | None] = mapped_column(String(24))
    family: Mapped[str] = mapped_column(String(1))
    short_code: Mapped[str | None] = mapped_column(String(10))
    account: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    until: Mapped[datetime]
    vouched: Mapped[bool]
    # Up to 200 MiB, which only the reader of the file needs.
    raw: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    rows: Mapped[int] = mapped_column(Integer)
    stored: Mapped[int] = mapped_column(Integer, server_default="0")
    settled: Mapped[int] = mapped_column(Integer, server_default="0")
    found: Mapped[str | None] = mapped_column(Text)
    kept_by: Mapped[str] = mapped_column(String(64))
    kept_at: Mapped[datetime] = mapped_column(index=True)
    begun_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]


class StatementDay(Base):
    """A day in Nairobi that a statement covers whole, with the balances of its account.

    Attributes:
        opening, closing: in cents.
    """

    __tablename__ = "statement_days"

    file_id: Mapped[str] = mapped_column(
        ForeignKey("statement_files.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[str] = mapped_column(String(10), primary_key=True, index=True)
    opening: Mapped[int] = mapped_column(BigInteger)
    closing: Mapped[int] = mapped_column(BigInteger)


class StatementLine(Base):
    """One movement in an account of the organisation, as its statement tells it.

    Attributes:
        file_id: of the first file that told it.
        key: what tells it from all others, in whatever file (`domain.statement_lines.Line.key`).
        place: its line in that file; `turn`: its place in the order in which balances add up.
        day: in Nairobi.
        kind: a `LineKind`.
        amount: in cents; negative: it left the account.
        details: M-PESA's words, without people; `""`: forgotten.
        account, payer, name: of a payment, as of a receipt.
        verdict: what became of it; None: it is not settled yet.
        booked_on: the day whose close counted it, its own or a later one; None: none has yet.
        added_at: when it was stored.
    """

    __tablename__ = "statement_lines"
    __table_args__ = (
        UniqueConstraint("organisation", "key"),
        Index("ix_statement_lines_day", "organisation", "day"),
        Index("ix_statement_lines_receipt", "receipt"),
        Index("ix_statement_lines_unsettled", "file_id", **_only_where("verdict IS NULL")),
        Index(
            "ix_statement_lines_not_booked",
            "organisation",
            "day",
            **_only_where("booked_on IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    file_id: Mapped[str] = mapped_column(ForeignKey("statement_files.id"), index=True)
    organisation: Mapped[str] = mapped_column(String(10))
    key: Mapped[str] = mapped_column(String(160))
    place: Mapped[int] = mapped_column(Integer)
    turn: Mapped[int] = mapped_column(Integer)
    receipt: Mapped[str] = mapped_column(String(10))
    at: Mapped[datetime]
    day: Mapped[str] = mapped_column(String(10))
    kind: Mapped[str] = mapped_column(String(10))
    amount: Mapped[int] = mapped_column(BigInteger)
    balance: Mapped[int] = mapped_column(BigInteger)
    details: Mapped[str] = mapped_column(Text)
    linked: Mapped[str | None] = mapped_column(String(10))
    account: Mapped[str | None] = mapped_column(String(64))
    payer: Mapped[str | None] = mapped_column(String(24))
    name: Mapped[str | None] = mapped_column(String(64))
    verdict: Mapped[str | None] = mapped_column(String(12))
    booked_on: Mapped[str | None] = mapped_column(String(10))
    added_at: Mapped[datetime]


class ClosedDay(Base):
    """A day in Nairobi whose sums a manager closed; they never change again.

    Attributes:
        taken_push, taken_hand, unclaimed: what came, by whose money it is; all sums in cents.
        returned, charges: what left, as positive numbers.
        swept: between own accounts and the bank; negative: it left. So is `other`.
        opening, closing: balances of the account that takes payments, as the statement has them.
        vouched: that the statement covers the whole day is the word of the manager who closed it.
    """

    __tablename__ = "closed_days"

    organisation: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    closed_by: Mapped[str] = mapped_column(String(48))
    closed_at: Mapped[datetime]
    taken_push: Mapped[int] = mapped_column(BigInteger)
    taken_hand: Mapped[int] = mapped_column(BigInteger)
    unclaimed: Mapped[int] = mapped_column(BigInteger)
    returned: Mapped[int] = mapped_column(BigInteger)
    charges: Mapped[int] = mapped_column(BigInteger)
    swept: Mapped[int] = mapped_column(BigInteger)
    other: Mapped[int] = mapped_column(BigInteger)
    opening: Mapped[int] = mapped_column(BigInteger)
    closing: Mapped[int] = mapped_column(BigInteger)
    vouched: Mapped[bool]


class DayDifference(Base):
    """A difference between the statement and our own books, with the word of who closed the day.

    Attributes:
        day: whose close it is a part of.
        kind: a `DifferenceKind`.
        key: what it is about; the same is told once.
        of_day: the day that it belongs to, which may have been closed before.
        receipt: None: it is about no single one.
        amount: in cents, of what differs.
        word: what the manager says about it.
    """

    __tablename__ = "day_differences"
    __table_args__ = (
        UniqueConstraint("organisation", "kind", "key"),
        Index("ix_day_differences_day", "organisation", "day"),
    )

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    organisation: Mapped[str] = mapped_column(String(10))
    day: Mapped[str] = mapped_column(String(10))
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(160))
    of_day: Mapped[str] = mapped_column(String(10))
    receipt: Mapped[str | None] = mapped_column(String(10))
    amount: Mapped[int] = mapped_column(BigInteger)
    word: Mapped[str] = mapped_column(String(100))


class IdempotencyKey(Base):
    """A request that must not be carried out twice, kept with the row that it made or joined.

    Attributes:
        scope: the order (for a push) or the hash of the API key (for an order) that it belongs to.
        fingerprint: the hash of the normalised fields; the same key with others is refused.
        status_code: of the first answer.
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
    """The OAuth token and the query budget of a consumer key, which all processes share.

    Attributes:
        id: the hash of consumer key and base address.
        fetching_until: until when a process may fetch a new token; a lease, since it may die.
        next_query_at: when the next status query may be sent.
    """

    __tablename__ = "daraja_access"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    token: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    fetching_until: Mapped[datetime | None]
    next_query_at: Mapped[datetime | None]


class Asked(Base):
    """A question that Daraja was asked lately, with its sender; deleted after ten minutes.

    Attributes:
        share: the keyed hash of the sender that caused it; None: no stranger did.
        is_old: it was about a payment for which no shopper is expected to wait.
    """

    __tablename__ = "asked"

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    share: Mapped[str | None] = mapped_column(String(64))
    is_old: Mapped[bool]
    asked_at: Mapped[datetime]


class OrderQr(Base):
    """The M-PESA QR of an order, as Daraja drew it.

    Attributes:
        says: the hash of all that it says; another one was asked for before a setting was changed.
        asked_at: when Daraja was asked for it last.
        picture: a PNG; None: Daraja has not answered, or failed.
    """

    __tablename__ = "order_qr"

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    says: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(index=True)
    picture: Mapped[bytes | None] = mapped_column(LargeBinary)


class Announcement(Base):
    """A snapshot that the open checkout pages at one worker were sent; it decides nothing.

    Attributes:
        transaction_id: no foreign key, whose check would lock and rewrite the transaction's row
            while the payment is under way.
        seq: the snapshot's; so are `status`, `reason` and `order_status`.
        pages: the number of sockets that it was sent to.
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
    """A message for the merchant's server about one change, written in the commit of that change.

    Attributes:
        id: the `webhook-id`, the same for every try.
        transaction_id: None where it tells of a receipt.
        receipt_id: None where it tells of a transaction.
        body: the exact JSON text that is signed and sent.
        seq: the transaction's, in that commit, or the place among a receipt's messages; an older
            message of the same transaction, or receipt, goes first.
        next_attempt_at: when it is to be sent; None: it was delivered or given up.
        claimed_until: until when a process may send it; a lease, since it may die.
        tries: how often it was sent since it was written, or since an operator sent it again.
        delivered_at: when the merchant's server accepted it.
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
        # Most messages are about transactions.
        Index(
            "ix_webhook_messages_receipt_id",
            "receipt_id",
            **_only_where("receipt_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("transactions.id"), index=True)
    receipt_id: Mapped[str | None] = mapped_column(ForeignKey("receipts.id"))
    type: Mapped[str] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered_at: Mapped[datetime | None]

    receipt: Mapped[Receipt | None] = relationship()
    attempts: Mapped[list["WebhookAttempt"]] = relationship(
        back_populates="message", order_by="WebhookAttempt.id"
    )


class WebhookAttempt(Base):
    """One try to deliver a message, and its outcome.

    Attributes:
        status_code: of the merchant's answer; None where no answer came.
        failure: the reason in a word; None where an answer came.
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
    """The state of one address of the merchant's server, which all workers share.

    Attributes:
        id: the hash of the address, which may contain a password.
        failures: tries in a row to which it was silent or too busy.
        resume_at: when the next message may be sent there; None: now.
        stopped_at: when it answered 410, after which nothing is sent until an operator says so.
        delivered_at: when it last accepted a message.
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
        name: in lower case; the evidence of this person's acts names it.
        password_hash: Argon2id, with its own parameters and salt.
        role: a `Role`. The default is for rows from before there were roles, and for workers that
            run on while a new version starts.
        last_address: of the last login; strangers' tries never lock it out.
        totp_sealed: the secret of the second factor, see `second_factor.seal`; None: there is none.
    """

    __tablename__ = "operators"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(8), server_default="manager")
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    last_address: Mapped[str | None] = mapped_column(String(64))
    totp_sealed: Mapped[str | None] = mapped_column(String(120))


class StepUp(Base):
    """An operator's try to prove oneself once more, with password and code.

    Attributes:
        step: the time step of the code, which is used up by this; None: the try was wrong.
    """

    __tablename__ = "step_ups"
    __table_args__ = (UniqueConstraint("operator", "step"),)

    id: Mapped[int] = mapped_column(_Counting, primary_key=True)
    operator: Mapped[str] = mapped_column(ForeignKey("operators.name", ondelete="CASCADE"))
    at: Mapped[datetime]
    step: Mapped[int | None] = mapped_column(BigInteger)


class OperatorSession(Base):
    """A login that has not ended: the row is the session, and the cookie only names it.

    Attributes:
        id: the hash of the token in the cookie.
    """

    __tablename__ = "operator_sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    operator: Mapped[str] = mapped_column(
        ForeignKey("operators.name", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
