"""The fields of an operator's form: a reason, and a mark by which a form sent twice acts once."""

import json

from flask import request
from flask_babel import gettext as _
from sqlalchemy import Connection, select

from mpesa.domain.evidence import Kind
from mpesa.domain.people_text import is_sound
from mpesa.ids import new_id
from mpesa.models import EvidenceRow

# Characters of a reason.
_SHORTEST, _LONGEST = 3, 500


def reason() -> str:
    """The reason as it was typed, with plain line ends."""
    return request.form.get("reason", "").replace("\r\n", "\n").strip()


def wrong_reason(given: str) -> str | None:
    """What is wrong with a reason; None if nothing is."""
    if _SHORTEST <= len(given) <= _LONGEST and is_sound(given, may_break=True):
        return None
    return str(_("Say why, in 3 to 500 characters."))


def once() -> str:
    """The mark of this form; a new one if it brought none."""
    return request.form.get("once", "")[:32] or new_id()


def was_done(connection: Connection, transaction_id: str, once: str) -> bool:
    """Whether an act with this mark was recorded for this payment before."""
    acts = select(EvidenceRow.body).where(
        EvidenceRow.transaction_id == transaction_id, EvidenceRow.kind == Kind.OPERATOR.value
    )
    return any(json.loads(body).get("once") == once for body in connection.scalars(acts))
