"""When Daraja is asked about a transaction that stays silent, and when a person must look."""

from datetime import datetime, timedelta

from mpesa.domain.attempt import Attempt
from mpesa.domain.result_codes import Status

# Most payments are over 10 to 18 s after the push, and a query can know 12 s before the callback.
# Earlier than about 12 s a query tells nothing, or something wrong (sandbox runs of 2026).
FIRST_QUESTION = timedelta(seconds=15)
_SECONDS = (15, 35, 65, 95, 155)
_MINUTES = (5, 15, 60)
_HOURS = (2, 4, 8, 16, 24, 36, 48, 60)
_PENDING = (
    *(timedelta(seconds=each) for each in _SECONDS),
    *(timedelta(minutes=each) for each in _MINUTES),
    *(timedelta(hours=each) for each in _HOURS),
)
# Daraja reports a success after a failure, if rarely: it is looked for a few times, after all other
# questions.
_FAILED = (*(timedelta(minutes=each) for each in (3, 15, 60)), timedelta(hours=24))

# After this only the merchant's statement can tell.
SILENT_WITH_ID = timedelta(hours=72)
# Without an id there is nothing to ask with; a callback that comes at all comes within minutes.
SILENT_WITHOUT_ID = timedelta(hours=1)
RECEIPT_EXPECTED = timedelta(hours=24)


def decides(attempt: Attempt) -> tuple[object, ...]:
    """The fields of an attempt on which the plan depends; when one changes, a new plan is due."""
    return (
        attempt.status,
        attempt.final,
        attempt.has_id,
        attempt.created_at,
        attempt.settled_at,
        attempt.success_claimed,
    )


def next_question(attempt: Attempt, after: datetime) -> datetime | None:
    """Find the first planned moment later than `after`; None: nothing more is planned.

    For a SUCCESS without its receipt, and at the end of a silence, it is the moment at which a
    person takes over.

    Args:
        after: aware UTC.
    """
    if attempt.by_hand:
        return None
    if attempt.status is Status.PENDING:
        plan = (*_PENDING, SILENT_WITH_ID) if attempt.has_id else (SILENT_WITHOUT_ID,)
        return _first(attempt.created_at, plan, after)
    settled_at = attempt.settled_at or attempt.created_at
    if attempt.final:
        return None
    if attempt.status is Status.FAILED:
        return _first(settled_at, _FAILED if attempt.has_id else (), after)
    return _first(settled_at, (RECEIPT_EXPECTED,), after)


def after_question(attempt: Attempt, asked_at: datetime) -> datetime | None:
    """Find the next planned moment once a question was asked about a transaction that has an id.

    The end of silence of a PENDING transaction is never skipped: a question at that very moment
    would otherwise hide the transaction from the person who takes over then. A failure that a
    callback called paid is asked about until an answer, or the lack of one, is recorded: a process
    that ends meanwhile must not be the last to know of it.

    Args:
        asked_at: aware UTC.
    """
    if attempt.status is Status.FAILED and attempt.success_claimed:
        return asked_at + _FAILED[0]
    planned = next_question(attempt, asked_at)
    if planned is None and attempt.status is Status.PENDING:
        return attempt.created_at + SILENT_WITH_ID
    return planned


def _first(start: datetime, plan: tuple[timedelta, ...], after: datetime) -> datetime | None:
    return next((start + each for each in plan if start + each > after), None)
