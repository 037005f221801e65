"""Who told of a receipt, what each said, and when: the same on its page and on its payment's."""

import json
from dataclasses import dataclass
from datetime import datetime

from flask import request
from sqlalchemy import select

from mpesa import records
from mpesa.domain.evidence import Kind
from mpesa.domain.roles import Act
from mpesa.domain.told import WitnessKind
from mpesa.models import EvidenceRow, Witness, db
from mpesa.web.console import raw_bodies, session

# Who knows the address of confirmations may tell of one receipt in thousands of ways.
_WITNESSES = 50


@dataclass(frozen=True)
class Telling:
    """A witness of a receipt as a person reads it.

    Attributes:
        about: the address or the operator that it came from; None: we asked M-PESA.
        transaction_id: the push whose callback it is.
        raw: the body as text, numbers masked; None if there is none, or not for this operator.
        whole: whether `raw` is the whole body, not only its beginning.
        reason: the words of an operator who settled a review; None for all others.
    """

    id: int
    kind: WitnessKind
    at: datetime
    last_at: datetime
    times: int
    about: str | None
    transaction_id: str | None
    raw: str | None
    whole: bool
    reason: str | None = None


def tellings_of(receipt_id: str) -> list[Telling]:
    """All who told of a receipt, the first heard first."""
    rows = (
        select(Witness)
        .where(Witness.receipt_id == receipt_id)
        .order_by(Witness.received_at, Witness.id)
        .limit(_WITNESSES)
    )
    return [_telling(each) for each in db.session.scalars(rows)]


def _telling(witness: Witness) -> Telling:
    body, about, reason = witness.body, witness.source, None
    if witness.transaction_id is not None and not body:
        body, about = _told_by_push(witness)
    if witness.kind == WitnessKind.OPERATOR.value:
        said = json.loads(body) if body else {}
        reason = str(said.get("reason", "")) if isinstance(said, dict) else ""
    asked_for = request.args.get("whole", 0, int) == witness.id
    # A raw message may name anybody.
    hidden = reason is not None or not body.strip() or not session.may(Act.SEE_PEOPLE)
    raw, whole = None, True
    if not hidden:
        most = None if asked_for else raw_bodies.SHOWN + raw_bodies.MARGIN
        text = raw_bodies.masked(raw_bodies.readable(body, most), None)
        whole = asked_for or len(text) <= raw_bodies.SHOWN
        raw = text if whole else text[: raw_bodies.SHOWN]
    return Telling(
        id=witness.id,
        kind=WitnessKind(witness.kind),
        at=witness.received_at,
        last_at=witness.told_last_at,
        times=witness.times,
        about=about,
        transaction_id=witness.transaction_id,
        raw=raw,
        whole=whole,
        reason=reason,
    )


def _told_by_push(witness: Witness) -> tuple[bytes, str | None]:
    """Body and sender of a witness that is a push's evidence; empty where that was forgotten."""
    push = witness.transaction_id or ""
    kind = Kind.OPERATOR if witness.kind == WitnessKind.OPERATOR.value else Kind.CALLBACK
    heard = (
        select(EvidenceRow)
        .where(EvidenceRow.transaction_id == push, EvidenceRow.kind == kind.value)
        .order_by(EvidenceRow.id)
        .limit(_WITNESSES)
    )
    for each in db.session.scalars(heard):
        if records.fingerprint(push.encode() + each.body) == witness.fingerprint:
            return each.body, each.source
    return b"", None
