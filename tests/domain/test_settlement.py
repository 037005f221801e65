"""The whole table of decisions, cell by cell, against an expectation that is written out."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest

from mpesa.domain import settlement
from mpesa.domain.attempt import Account, Attempt, Channel, OrderStatus, Times
from mpesa.domain.callback import StkResult
from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    SUCCESS_REASONS,
    Reason,
    Status,
)
from mpesa.domain.settlement import decide
from mpesa.domain.steps import Step
from mpesa.domain.why import Why
from tests.domain import known

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NOW = PUSHED_AT + timedelta(seconds=45)
EARLIER_WAIT = PUSHED_AT + timedelta(seconds=77)
HOURS = timedelta(hours=3)
OURS = ("2654-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000712345678")
OTHERS = ("9999-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000722000111")
RECEIPT = "UKO1ABCDEF"
SECOND_RECEIPT = "UKO2GHIJKL"
OTHER_PAYMENT = "another-transaction-id"

# -- what may arrive ---------------------------------------------------------------------------


def success(
    ids=OURS,
    *,
    amount=150,
    receipt=RECEIPT,
    **more,
):
    return settlement.CallbackReceived(StkResult("0", *ids, amount, receipt), **more)


def unreadable(
    ids=OURS,
    *,
    amount=150,
    receipt=RECEIPT,
    code="0",
    **more,
):
    """Of which something can be made out all the same."""
    return settlement.CallbackReceived(None, rough=StkResult(code, *ids, amount, receipt), **more)


def failure(code, ids=OURS, **flags):
    return settlement.CallbackReceived(StkResult(code, *ids), **flags)


@dataclass(frozen=True)
class Early:
    """Evidence that is heard 29 s after the push, not 45 s."""

    evidence: settlement.Evidence


EVIDENCE: dict[str, settlement.Evidence | Early] = {
    "success": success(),
    "success, second receipt": success(receipt=SECOND_RECEIPT),
    "success, other amount": success(amount=1),
    "success, amount of cents": success(amount=Decimal("149.5")),
    "success, other amount, no receipt": success(amount=1, receipt=None),
    "success, no amount": success(amount=None),
    "success, no receipt": success(receipt=None),
    "success, no amount or receipt": success(amount=None, receipt=None),
    "success, both ids other": success(OTHERS),
    "success, merchant id other": success((OTHERS[0], OURS[1])),
    "success, checkout id other": success((OURS[0], OTHERS[1])),
    "success, no ids": success((None, None)),
    "success, no checkout id": success((OURS[0], None)),
    "success, no merchant id": success((None, OURS[1])),
    "success, no merchant id, second": success((None, OURS[1]), receipt=SECOND_RECEIPT),
    "success, no merchant id, other amount": success((None, OURS[1]), amount=1),
    "success, no merchant id, no receipt": success((None, OURS[1]), receipt=None),
    "success, no merchant id, other checkout id": success((None, OTHERS[1])),
    "success, no merchant id, unlisted": success((None, OURS[1]), listed=False),
    "success, other ids, no amount": success(OTHERS, amount=None),
    "success, ids taken": success(OTHERS, ids_taken=True),
    "success, receipt taken": success(receipt=SECOND_RECEIPT, receipt_holder=OTHER_PAYMENT),
    "success, unlisted": success(listed=False),
    "failure, unlisted": failure("1032", listed=False),
    "unknown code, unlisted": failure("7777", listed=False),
    "other ids, unlisted": failure("1032", OTHERS, listed=False),
    "unreadable": settlement.CallbackReceived(None),
    "unreadable, unlisted": settlement.CallbackReceived(None, listed=False),
    "unreadable, success": unreadable(),
    "unreadable, success, second receipt": unreadable(receipt=SECOND_RECEIPT),
    "unreadable, success, no merchant id": unreadable((None, OURS[1])),
    "unreadable, success, no checkout id": unreadable((OURS[0], None)),
    "unreadable, success, other ids": unreadable(OTHERS),
    "unreadable, success, other amount": unreadable(amount=1),
    "unreadable, success, no amount": unreadable(amount=None),
    "unreadable, success, no receipt": unreadable(receipt=None),
    "unreadable, success, receipt taken": unreadable(receipt_holder=OTHER_PAYMENT),
    "unreadable, success, unlisted": unreadable(listed=False),
    "unreadable, failure": unreadable(code="1032", amount=None, receipt=None),
    "failure, both ids other": failure("1032", OTHERS),
    "failure, no ids": failure("1032", (None, None)),
    "failure, no checkout id": failure("1032", (OURS[0], None)),
    "failure, no merchant id": failure("1032", (None, OURS[1])),
    "unknown code, no merchant id": failure("7777", (None, OURS[1])),
    "4999, no merchant id": failure("4999", (None, OURS[1])),
    "failure, ids taken": failure("1032", OTHERS, ids_taken=True),
    "callback 4999": failure("4999"),
    "callback 7777": failure("7777"),
    "callback 1032": failure("1032"),
    "callback 1": failure("1"),
    "callback 2001": failure("2001"),
    "callback 8006": failure("8006"),
    "callback 1037": failure("1037"),
    "callback 1019": failure("1019"),
    "callback 1001": failure("1001"),
    "callback 4": failure("4"),
    "callback E3008": failure("E3008"),
    "callback 9999": failure("9999"),
    "callback 2029": failure("2029"),
    "callback SFC_IC0003": failure("SFC_IC0003"),
    "callback 2029, early": Early(failure("2029")),
    "query 0": settlement.QueryAnswered("0"),
    "query 0, early": Early(settlement.QueryAnswered("0")),
    "query 0, kept receipt": settlement.QueryAnswered("0", kept_receipt=RECEIPT),
    "query 0, second kept receipt": settlement.QueryAnswered("0", kept_receipt=SECOND_RECEIPT),
    "query 0, kept receipt taken": settlement.QueryAnswered(
        "0", kept_receipt=SECOND_RECEIPT, receipt_holder=OTHER_PAYMENT
    ),
    "query 4999": settlement.QueryAnswered("4999"),
    "query 7777": settlement.QueryAnswered("7777"),
    "query, empty code": settlement.QueryAnswered(""),
    "query 1032": settlement.QueryAnswered("1032"),
    "query 1032, no wait": settlement.QueryAnswered("1032", sets_wait=False),
    "query 1": settlement.QueryAnswered("1"),
    "query 2001": settlement.QueryAnswered("2001"),
    "query 8006": settlement.QueryAnswered("8006"),
    "query 1037": settlement.QueryAnswered("1037"),
    "query 1019": settlement.QueryAnswered("1019"),
    "query 17": settlement.QueryAnswered("17"),
    "query 3": settlement.QueryAnswered("3"),
    "query E3008": settlement.QueryAnswered("E3008"),
    "query 26": settlement.QueryAnswered("26"),
    "query 2029": settlement.QueryAnswered("2029"),
    "query 2029, early": Early(settlement.QueryAnswered("2029")),
    "query unanswered": settlement.QueryUnanswered(),
    "query of another, paid": settlement.QueryUnanswered(paid_unnamed=True),
    "push answered": settlement.PushAnswered(*OURS),
    "push answered, other ids": settlement.PushAnswered(*OTHERS),
    "push answered, ids taken": settlement.PushAnswered(*OTHERS, ids_taken=True),
    "push refused": settlement.PushFailed(Reason.PUSH_REFUSED),
    "push refused, line busy": settlement.PushFailed(Reason.LINE_BUSY),
    "push refused, credentials": settlement.PushFailed(Reason.MISCONFIGURED),
    "push never sent": settlement.PushFailed(Reason.SYSTEM_BUSY),
    "push unconfirmed": settlement.PushUnconfirmed(),
    "wait over": settlement.WaitOver(),
    "prompt over": settlement.PromptOver(),
    "silence": settlement.SilenceTooLong(),
    "clock stepped": settlement.ClockStepped(
        Step(HOURS, timedelta(seconds=1), NOW + HOURS),
        Times(PUSHED_AT, PUSHED_AT, None, EARLIER_WAIT, None, None),
    ),
    "times ahead": settlement.TimesAhead(),
    "code typed": settlement.CodeTyped(),
    "receipt claimed": settlement.ReceiptClaimed(OTHER_PAYMENT),
    "receipt found": settlement.ReceiptFound(RECEIPT, 15_000, NOW),
    "receipt found, second": settlement.ReceiptFound(SECOND_RECEIPT, 15_000, NOW),
    "receipt found, doubtful": settlement.ReceiptFound(RECEIPT, 15_000, NOW, doubtful=True),
    "chosen by hand": settlement.ChosenByHand(),
    "not received": settlement.NotReceived(),
    "success, held by own order": success(
        receipt=SECOND_RECEIPT, receipt_holder=OTHER_PAYMENT, held_by_own_order=True
    ),
    "success, receipt differs": success(receipt_differs=True),
    "operator: paid": settlement.OperatorSaysPaid(RECEIPT),
    "operator: paid, second": settlement.OperatorSaysPaid(SECOND_RECEIPT),
    "operator: paid, taken": settlement.OperatorSaysPaid(SECOND_RECEIPT, OTHER_PAYMENT),
    "operator: not paid": settlement.OperatorSaysNotPaid(),
    "operator: asks": settlement.OperatorAsks(),
    "its money went back": settlement.ReceiptReturned("UKO9REVERS"),
    "operator: looked": settlement.OperatorLooked(),
    "operator: settled": settlement.ReviewSettled(),
}

# -- where it may find a transaction -----------------------------------------------------------


def attempt(status, reason, *, final, receipt=None):
    waits = EARLIER_WAIT if status is Status.FAILED else None
    return known.attempt(
        status=status,
        reason=reason,
        final=final,
        is_open=status is Status.PENDING,
        retry_at=waits,
        receipt=receipt,
    )


def pending(reason):
    return [attempt(Status.PENDING, reason, final=False)]


def failed(*, final):
    return [attempt(Status.FAILED, each, final=final) for each in sorted(FAILED_REASONS)]


def paid(receipt, *finals):
    return [
        attempt(Status.SUCCESS, each, final=final, receipt=receipt)
        for each in sorted(SUCCESS_REASONS)
        for final in finals
    ]


SITUATIONS: dict[str, list[Attempt]] = {
    "awaiting": pending(Reason.AWAITING_PIN),
    "unsure": pending(Reason.PUSH_UNCONFIRMED),
    "overdue": pending(Reason.OVERDUE),
    "failed": failed(final=False),
    "failed for good": failed(final=True),
    # Final without a receipt: 24 h have passed.
    "paid, no receipt": paid(None, False, True),
    "paid": paid(RECEIPT, True),
}

# -- what is expected --------------------------------------------------------------------------
# `.` nothing changes; `!` a person must look; `?` Daraja is asked at once.
# `A/B`: A where our row knows its ids, B where it does not yet.
# `paid`, `late`: SUCCESS with that reason. `fill`: SUCCESS stays and gets its receipt.
# `pin`, `unsure`, `overdue`: PENDING with that reason. `give up`: SUCCESS, final, no receipt.
# `over`: unchanged, but no longer open. `shared`: SUCCESS by a receipt that its order has already.
# Any other word: FAILED with that reason, final; after `~` not final.

TABLE = """
                                           | awaiting            | unsure              | overdue             | failed              | failed for good     | paid, no receipt | paid
success                                    | paid                | paid                | paid                | late                | late                | fill             | .
success, second receipt                    | paid                | paid                | paid                | late                | late                | fill             | !
success, other amount                      | !                   | !                   | !                   | !                   | !                   | !                | !
success, amount of cents                   | !                   | !                   | !                   | !                   | !                   | !                | !
success, other amount, no receipt          | !                   | !                   | !                   | !                   | !                   | !                | !
success, no amount                         | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
success, no receipt                        | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
success, no amount or receipt              | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
success, both ids other                    | !/paid              | !/paid              | !/paid              | !/late              | !/late              | !/fill           | !/.
success, merchant id other                 | !/paid              | !/paid              | !/paid              | !/late              | !/late              | !/fill           | !/.
success, checkout id other                 | !/paid              | !/paid              | !/paid              | !/late              | !/late              | !/fill           | !/.
success, no ids                            | ?!/paid             | ?!/paid             | ?!/paid             | ?!/late             | ?!/late             | ?!/fill          | ?!/.
success, no checkout id                    | ?!/paid             | ?!/paid             | ?!/paid             | ?!/late             | ?!/late             | ?!/fill          | ?!/.
success, no merchant id                    | ?/paid              | ?/paid              | ?/paid              | ?/late              | ?/late              | fill             | .
success, no merchant id, second            | ?/paid              | ?/paid              | ?/paid              | ?/late              | ?/late              | fill             | !
success, no merchant id, other amount      | !                   | !                   | !                   | !                   | !                   | !                | !
success, no merchant id, no receipt        | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
success, no merchant id, other checkout id | !/paid              | !/paid              | !/paid              | !/late              | !/late              | !/fill           | !/.
success, no merchant id, unlisted          | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
success, other ids, no amount              | !                   | !                   | !                   | !                   | !                   | !                | !
success, ids taken                         | !                   | !                   | !                   | !                   | !                   | !                | !
success, receipt taken                     | !                   | !                   | !                   | !                   | !                   | !                | !
success, unlisted                          | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
failure, unlisted                          | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unknown code, unlisted                     | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
other ids, unlisted                        | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
unreadable                                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, unlisted                       | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, success                        | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | fill/!           | ?/!
unreadable, success, second receipt        | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | fill/!           | !
unreadable, success, no merchant id        | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | fill/!           | ?/!
unreadable, success, no checkout id        | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, success, other ids             | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, success, other amount          | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
unreadable, success, no amount             | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, success, no receipt            | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
unreadable, success, receipt taken         | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | !/!              | ?/!
unreadable, success, unlisted              | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!                | ?!/!             | ?!/!
unreadable, failure                        | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
failure, both ids other                    | !/~cancelled        | !/~cancelled        | !/~cancelled        | !/~cancelled        | !/.                 | !                | !
failure, no ids                            | ?!/~cancelled       | ?!/~cancelled       | ?!/~cancelled       | ?!/~cancelled       | ?!/.                | ?!/!             | ?!/!
failure, no checkout id                    | ?!/~cancelled       | ?!/~cancelled       | ?!/~cancelled       | ?!/~cancelled       | ?!/.                | ?!/!             | ?!/!
failure, no merchant id                    | ?/~cancelled        | ?/~cancelled        | ?/~cancelled        | ?/~cancelled        | .                   | !                | !
unknown code, no merchant id               | ?/~unknown_code!    | ?/~unknown_code!    | ?/~unknown_code!    | ?/~unknown_code!    | .                   | !                | !
4999, no merchant id                       | .                   | .                   | .                   | .                   | .                   | .                | .
failure, ids taken                         | !                   | !                   | !                   | !                   | !                   | !                | !
callback 4999                              | .                   | .                   | .                   | .                   | .                   | .                | .
callback 7777                              | ~unknown_code!      | ~unknown_code!      | ~unknown_code!      | ~unknown_code!      | .                   | !                | !
callback 1032                              | ~cancelled          | ~cancelled          | ~cancelled          | ~cancelled          | .                   | !                | !
callback 1                                 | insufficient_funds  | insufficient_funds  | insufficient_funds  | insufficient_funds  | .                   | !                | !
callback 2001                              | wrong_pin           | wrong_pin           | wrong_pin           | wrong_pin           | .                   | !                | !
callback 8006                              | pin_locked          | pin_locked          | pin_locked          | pin_locked          | .                   | !                | !
callback 1037                              | ~unreachable        | ~unreachable        | ~unreachable        | ~unreachable        | .                   | !                | !
callback 1019                              | ~expired            | ~expired            | ~expired            | ~expired            | .                   | !                | !
callback 1001                              | line_busy           | line_busy           | line_busy           | line_busy           | .                   | !                | !
callback 4                                 | over_limit          | over_limit          | over_limit          | over_limit          | .                   | !                | !
callback E3008                             | declined            | declined            | declined            | declined            | .                   | !                | !
callback 9999                              | ~system_busy        | ~system_busy        | ~system_busy        | ~system_busy        | .                   | !                | !
callback 2029                              | misconfigured       | misconfigured       | misconfigured       | misconfigured       | .                   | !                | !
callback SFC_IC0003                        | misconfigured       | misconfigured       | misconfigured       | misconfigured       | .                   | !                | !
callback 2029, early                       | misconfigured       | misconfigured       | misconfigured       | misconfigured       | .                   | !                | !
query 0                                    | paid                | paid                | paid                | late                | late                | .                | .
query 0, early                             | paid                | paid                | paid                | late                | late                | .                | .
query 0, kept receipt                      | paid                | paid                | paid                | late                | late                | fill             | .
query 0, second kept receipt               | paid                | paid                | paid                | late                | late                | fill             | .
query 0, kept receipt taken                | paid!               | paid!               | paid!               | late!               | late!               | !                | .
query 4999                                 | .                   | .                   | .                   | .                   | .                   | .                | .
query 7777                                 | .                   | .                   | .                   | .                   | .                   | .                | .
query, empty code                          | .                   | .                   | .                   | .                   | .                   | .                | .
query 1032                                 | ~cancelled          | ~cancelled          | ~cancelled          | .                   | .                   | .                | .
query 1032, no wait                        | ~cancelled          | ~cancelled          | ~cancelled          | .                   | .                   | .                | .
query 1                                    | ~insufficient_funds | ~insufficient_funds | ~insufficient_funds | .                   | .                   | .                | .
query 2001                                 | ~wrong_pin          | ~wrong_pin          | ~wrong_pin          | .                   | .                   | .                | .
query 8006                                 | ~pin_locked         | ~pin_locked         | ~pin_locked         | .                   | .                   | .                | .
query 1037                                 | ~unreachable        | ~unreachable        | ~unreachable        | .                   | .                   | .                | .
query 1019                                 | ~expired            | ~expired            | ~expired            | .                   | .                   | .                | .
query 17                                   | ~line_busy          | ~line_busy          | ~line_busy          | .                   | .                   | .                | .
query 3                                    | ~over_limit         | ~over_limit         | ~over_limit         | .                   | .                   | .                | .
query E3008                                | ~declined           | ~declined           | ~declined           | .                   | .                   | .                | .
query 26                                   | ~system_busy        | ~system_busy        | ~system_busy        | .                   | .                   | .                | .
query 2029                                 | ~misconfigured      | ~misconfigured      | ~misconfigured      | .                   | .                   | .                | .
query 2029, early                          | .                   | .                   | .                   | .                   | .                   | .                | .
query unanswered                           | .                   | .                   | .                   | .                   | .                   | .                | .
query of another, paid                     | !                   | !                   | !                   | !                   | !                   | !                | !
push answered                              | .                   | pin                 | .                   | .                   | .                   | .                | .
push answered, other ids                   | !/.                 | !/pin               | !/.                 | !/.                 | !/.                 | !/.              | !/.
push answered, ids taken                   | !                   | !                   | !                   | !                   | !                   | !                | !
push refused                               | push_refused        | push_refused        | push_refused        | .                   | .                   | .                | .
push refused, line busy                    | line_busy           | line_busy           | line_busy           | .                   | .                   | .                | .
push refused, credentials                  | misconfigured       | misconfigured       | misconfigured       | .                   | .                   | .                | .
push never sent                            | system_busy         | system_busy         | system_busy         | .                   | .                   | .                | .
push unconfirmed                           | ./unsure            | .                   | .                   | .                   | .                   | .                | .
wait over                                  | overdue             | overdue             | .                   | .                   | .                   | .                | .
prompt over                                | over                | over                | over                | over                | over                | over             | over
silence                                    | !                   | !                   | !                   | .                   | .                   | give up!         | .
clock stepped                              | .                   | .                   | .                   | .                   | .                   | .                | .
times ahead                                | .                   | .                   | .                   | .                   | .                   | .                | .
code typed                                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
receipt claimed                            | !                   | !                   | !                   | !                   | !                   | !                | !
receipt found                              | paid                | paid                | paid                | late                | late                | fill             | .
receipt found, second                      | paid                | paid                | paid                | late                | late                | fill             | !
receipt found, doubtful                    | paid!               | paid!               | paid!               | late!               | late!               | fill!            | !
chosen by hand                             | .                   | .                   | .                   | .                   | .                   | .                | .
not received                               | .                   | .                   | .                   | .                   | .                   | .                | .
success, held by own order                 | shared              | shared              | shared              | shared late         | shared late         | give up          | .
success, receipt differs                   | !                   | !                   | !                   | !                   | !                   | !                | !
operator: paid                             | paid                | paid                | paid                | late                | late                | fill             | .
operator: paid, second                     | paid                | paid                | paid                | late                | late                | fill             | !
operator: paid, taken                      | !                   | !                   | !                   | !                   | !                   | !                | !
operator: not paid                         | ~closed_by_operator | ~closed_by_operator | ~closed_by_operator | ~closed_by_operator | ~closed_by_operator | .                | .
operator: asks                             | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!                 | ?/!              | ?/!
its money went back                        | !                   | !                   | !                   | !                   | !                   | !                | !
operator: looked                           | .                   | .                   | .                   | .                   | .                   | .                | .
operator: settled                          | .                   | .                   | .                   | .                   | .                   | .                | .
"""  # noqa: E501 - a table that wraps cannot be read


def read_table():
    """From (evidence, situation) to what is expected with known and with unknown ids."""
    header, *lines = (
        [cell.strip() for cell in line.split("|")] for line in TABLE.strip("\n").splitlines()
    )
    words_of = {}
    for name, *words in lines:
        assert len(words) == len(header) - 1, f"the row {name!r} lacks a cell"
        for situation, word in zip(header[1:], words, strict=True):
            known, _, unknown = word.partition("/")
            words_of[name, situation] = (known, unknown or known)
    return words_of


EXPECTED = read_table()
COLUMNS = [
    pytest.param(situation, ids_known, id=f"{situation}, ids {shown}")
    for situation in SITUATIONS
    for ids_known, shown in ((True, "known"), (False, "unknown"))
]


@dataclass(frozen=True)
class Cell:
    """One kind of evidence that finds one transaction; shown by an assertion that fails."""

    name: str
    before: Attempt
    evidence: settlement.Evidence
    now: datetime


def cells(situation, ids_known):
    """A column of the table: all evidence, each on every transaction of that situation."""
    for name, entry in EVIDENCE.items():
        early = isinstance(entry, Early)
        evidence = entry.evidence if isinstance(entry, Early) else entry
        now = PUSHED_AT + timedelta(seconds=29, milliseconds=999) if early else NOW
        for before in SITUATIONS[situation]:
            yield Cell(name, identified(before) if ids_known else before, evidence, now)


PENDING_WORDS = {
    "pin": Reason.AWAITING_PIN,
    "unsure": Reason.PUSH_UNCONFIRMED,
    "overdue": Reason.OVERDUE,
}
SUCCESS_WORDS = {"paid": Reason.PAID, "late": Reason.PAID_LATE}


def test_the_table_has_an_expectation_for_every_cell_and_no_other():
    assert set(EXPECTED) == {(name, at) for name in EVIDENCE for at in SITUATIONS}
    assert all(known and unknown for known, unknown in EXPECTED.values())


def test_the_table_walks_every_kind_of_evidence_and_every_reason():
    kinds = {type(e.evidence if isinstance(e, Early) else e) for e in EVIDENCE.values()}
    reasons = {each.reason for attempts in SITUATIONS.values() for each in attempts}

    assert kinds == set(get_args(settlement.Evidence))
    assert {*reasons, Reason.AWAITING_PAYMENT} == set(Reason)
    assert set(Reason) == PENDING_REASONS | SUCCESS_REASONS | FAILED_REASONS


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_each_cell_of_the_table_is_decided_as_written(situation, ids_known):
    for cell in cells(situation, ids_known):
        word = EXPECTED[cell.name, situation][0 if ids_known else 1]

        decision = decide(cell.before, cell.evidence, cell.now)

        assert outcome(decision) == expected(word, cell.before, cell.evidence), (cell, decision)
        assert decision.why, cell


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_only_a_person_who_decided_settles_a_review(situation, ids_known):
    for cell in cells(situation, ids_known):
        decision = decide(cell.before, cell.evidence, cell.now)

        # A receipt that is filled in says nothing of what else is in doubt, such as money twice.
        by_word = (
            cell.name in ("operator: paid", "operator: paid, second")
            and cell.before.status is not Status.SUCCESS
            and not decision.needs_review
        )
        by_no = cell.name == "operator: not paid" and cell.before.status is not Status.SUCCESS
        settles = by_word or by_no or cell.name == "operator: settled"
        assert decision.settles_review == settles, cell


def identified(before):
    return replace(before, merchant_request_id=OURS[0], checkout_request_id=OURS[1])


def outcome(decision):
    return (
        decision.status,
        decision.reason,
        decision.final,
        decision.receipt,
        decision.needs_review,
        decision.ask_now,
    )


def expected(word, before, evidence):
    review, ask = "!" in word, "?" in word
    word = word.strip("!?.")
    status, reason, final, receipt = before.status, before.reason, before.final, before.receipt
    if word in PENDING_WORDS:
        reason = PENDING_WORDS[word]
    elif word in SUCCESS_WORDS or word == "fill":
        status, reason = Status.SUCCESS, SUCCESS_WORDS.get(word, reason)
        receipt = named_receipt(evidence)
        final = receipt is not None
    elif word.startswith("shared"):
        status, final = Status.SUCCESS, True
        reason = Reason.PAID_LATE if word.endswith("late") else Reason.PAID
    elif word == "give up":
        final = True
    elif word and word != "over":
        status, reason, final = Status.FAILED, Reason(word.lstrip("~")), not word.startswith("~")
    return (status, reason, final, receipt, review, ask)


def named_receipt(evidence):
    if isinstance(evidence, settlement.CallbackReceived):
        named = evidence.result or evidence.rough
        return named and named.receipt
    if isinstance(evidence, settlement.QueryAnswered):
        return None if evidence.receipt_holder else evidence.kept_receipt
    return getattr(evidence, "receipt", None)


# -- what the table's words leave out ----------------------------------------------------------


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_an_attempt_stays_open_until_it_is_settled_or_its_prompt_is_over(situation, ids_known):
    for cell in cells(situation, ids_known):
        decision = decide(cell.before, cell.evidence, cell.now)

        settled = cell.before.status is Status.PENDING and decision.status is not Status.PENDING
        over = isinstance(cell.evidence, settlement.PromptOver)
        if settled or over:
            assert decision.closes, cell
        if decision.status is Status.PENDING and not over:
            assert not decision.closes, cell


@pytest.mark.parametrize("evidence", [success(), failure("1032"), settlement.PushAnswered(*OURS)])
@pytest.mark.parametrize("before", pending(Reason.AWAITING_PIN) + failed(final=False))
def test_the_first_to_name_the_ids_brings_them(evidence, before):
    decision = decide(before, evidence, NOW)

    assert decision.adopts == OURS


@pytest.mark.parametrize(
    "evidence",
    [
        success(OTHERS, ids_taken=True),
        success(amount=1),
        success(receipt_holder=OTHER_PAYMENT),
        success(listed=False),
        failure("1032", OTHERS, ids_taken=True),
        failure("1032", listed=False),
        settlement.PushAnswered(*OTHERS, ids_taken=True),
    ],
)
def test_ids_are_never_taken_from_evidence_that_is_not_believed(
    evidence,
):
    before = attempt(Status.PENDING, Reason.AWAITING_PIN, final=False)

    decision = decide(before, evidence, NOW)

    assert decision.adopts is None


def test_the_push_answer_fills_in_the_id_that_a_callback_left_out():
    before = attempt(Status.SUCCESS, Reason.PAID, final=True, receipt=RECEIPT)
    half_known = replace(before, checkout_request_id=OURS[1])

    decision = decide(half_known, settlement.PushAnswered(*OURS), NOW)

    assert decision.adopts == OURS
    assert not decision.needs_review


@pytest.mark.parametrize("reason", [Reason.AWAITING_PIN, Reason.OVERDUE])
def test_a_push_answer_that_is_recorded_twice_changes_nothing(reason):
    before = identified(attempt(Status.PENDING, reason, final=False))

    decision = decide(before, settlement.PushAnswered(*OURS), NOW)

    assert (decision.status, decision.reason, decision.prompt_ends_at) == (
        before.status,
        reason,
        None,
    )
    acts = (decision.needs_review, decision.closes, decision.replan, decision.ask_now)
    assert not any(acts)


def test_a_push_answer_with_other_ids_than_the_callback_needs_review():
    before = identified(attempt(Status.SUCCESS, Reason.PAID, final=True, receipt=RECEIPT))

    decision = decide(before, settlement.PushAnswered(*OTHERS), NOW)

    assert decision.needs_review
    assert decision.adopts is None


def test_a_callback_without_its_merchant_id_is_not_believed_and_is_no_contradiction():
    before = identified(attempt(Status.PENDING, Reason.AWAITING_PIN, final=False))

    decision = decide(before, success((None, OURS[1])), NOW)

    assert decision.status is Status.PENDING
    assert decision.ask_now
    assert not decision.needs_review


TELLS_ANOTHER_AMOUNT = {
    "success, other amount",
    "success, amount of cents",
    "success, other amount, no receipt",
    "success, no merchant id, other amount",
    "unreadable, success, other amount",
}


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_only_who_is_told_another_amount_by_a_right_callback_disputes_it(situation, ids_known):
    for cell in cells(situation, ids_known):
        decision = decide(cell.before, cell.evidence, cell.now)

        readable = not cell.name.startswith("unreadable")
        told = cell.name in TELLS_ANOTHER_AMOUNT and (ids_known or readable)
        assert decision.disputes_amount == told, cell


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_where_the_amount_is_disputed_a_querys_success_is_only_recorded(situation, ids_known):
    for cell in cells(situation, ids_known):
        usual = decide(cell.before, cell.evidence, cell.now)

        decision = decide(replace(cell.before, amount_disputed=True), cell.evidence, cell.now)

        by_query = isinstance(cell.evidence, settlement.QueryAnswered) and cell.evidence.code == "0"
        if by_query and cell.before.status is not Status.SUCCESS:
            assert outcome(decision) == expected("!", cell.before, cell.evidence), cell
        else:
            assert decision == usual, cell


# Whether it is paid only Daraja can tell: our token, and nothing that contradicts us.
CLAIMS_A_SUCCESS = {
    "success, no merchant id",
    "success, no merchant id, second",
    "unreadable, success",
    "unreadable, success, second receipt",
    "unreadable, success, no merchant id",
    "unreadable, success, no checkout id",
    "unreadable, success, other ids",
    "unreadable, success, no amount",
    "unreadable, success, no receipt",
    "unreadable, success, receipt taken",
}


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_a_success_is_claimed_where_one_is_told_that_only_an_answer_of_daraja_can_prove(
    situation, ids_known
):
    for cell in cells(situation, ids_known):
        decision = decide(cell.before, cell.evidence, cell.now)

        settled = cell.before.status is Status.SUCCESS
        claims = cell.name in CLAIMS_A_SUCCESS and ids_known and not settled
        assert decision.success_claimed == claims, cell
        if claims:
            assert (decision.ask_now, decision.needs_review) == (True, False), cell


CLAIMED_IN = ("awaiting", "unsure", "overdue", "failed", "failed for good")
TELLS_NOTHING = {
    "query 4999",
    "query 7777",
    "query, empty code",
    "query 2029, early",
    "query unanswered",
    "query of another, paid",
}


def answers_a_claim(name, situation):
    """Whether this is another answer than "paid", after which no other may be heard of."""
    if name.startswith("query"):
        waits = name in TELLS_NOTHING and not situation.startswith("failed")
        return not name.startswith("query 0") and not waits
    if name.startswith("push") and name not in EVIDENCE_OF_A_PROMPT:
        return not situation.startswith("failed")
    believed = name.startswith("callback ") and name != "callback 4999"
    return believed and situation != "failed for good"


EVIDENCE_OF_A_PROMPT = {name for name in EVIDENCE if name.startswith(("push answered", "push unc"))}


@pytest.mark.parametrize("situation", CLAIMED_IN)
def test_a_claim_of_success_ends_with_proof_of_it_or_with_a_person(situation):
    for cell in cells(situation, ids_known=True):
        usual = decide(cell.before, cell.evidence, cell.now)

        decision = decide(replace(cell.before, success_claimed=True), cell.evidence, cell.now)

        if answers_a_claim(cell.name, situation):
            # A callback that says otherwise may be the wrong one of the two: Daraja is asked.
            asks = cell.name.startswith("callback")
            said = {"why": decision.why, "about": decision.about}
            told = replace(usual, **said, needs_review=True, ask_now=asks)
            assert decision == told, cell
        else:
            ends = usual.status is Status.SUCCESS or cell.name == "operator: not paid"
            assert decision == replace(usual, success_claimed=not ends), cell


@pytest.mark.parametrize(("situation", "ids_known"), COLUMNS)
def test_a_receipt_is_contested_by_what_would_be_believed_but_for_it(situation, ids_known):
    for cell in cells(situation, ids_known):
        decision = decide(cell.before, cell.evidence, cell.now)

        if decision.contests:
            assert decision.needs_review, cell
            taken = (Why.RECEIPT_TAKEN, Why.QUERY_PAID_RECEIPT_TAKEN)
            assert decision.why in taken, cell
            assert decision.about == OTHER_PAYMENT, cell
        contests = {
            "success, receipt taken": True,
            "query 0, kept receipt taken": cell.before.receipt is None,
            "unreadable, success, receipt taken": situation == "paid, no receipt" and ids_known,
        }
        assert bool(decision.contests) == contests.get(cell.name, False), cell


# Seconds from the push (P) or from the failure (F) until the next push; None: at once.
WAITS = {
    "1032": None,
    "1": None,
    "2001": None,
    "8006": None,
    "1037": ("P", 120),
    "1019": ("P", 60),
    "1001": ("F", 120),
    "3": None,
    "11": None,
    "9999": ("F", 60),
    "2028": ("F", 600),
    "7777": ("P", 180),
}


@pytest.mark.parametrize(("code", "wait"), WAITS.items())
def test_a_failure_says_from_when_on_the_next_push_may_go_out(code, wait):
    before = identified(attempt(Status.PENDING, Reason.AWAITING_PIN, final=False))

    decision = decide(before, failure(code), NOW)

    assert decision.retry_at == moment(wait)


@pytest.mark.parametrize(
    ("reason", "wait"),
    [
        (Reason.PUSH_REFUSED, None),
        (Reason.LINE_BUSY, ("F", 120)),
        (Reason.SYSTEM_BUSY, ("F", 60)),
        (Reason.MISCONFIGURED, ("F", 600)),
    ],
)
def test_a_push_that_failed_says_so_too(reason, wait):
    before = attempt(Status.PENDING, Reason.AWAITING_PIN, final=False)

    decision = decide(before, settlement.PushFailed(reason), NOW)

    assert decision.retry_at == moment(wait)


def moment(wait):
    if wait is None:
        return None
    start = PUSHED_AT if wait[0] == "P" else NOW
    return start + timedelta(seconds=wait[1])


def test_an_operator_who_found_no_money_has_the_next_push_wait_for_the_prompt():
    before = identified(attempt(Status.PENDING, Reason.OVERDUE, final=False))

    decision = decide(before, settlement.OperatorSaysNotPaid(), NOW)

    assert decision.retry_at == PUSHED_AT + timedelta(seconds=180)


def test_a_failure_told_twice_is_waited_for_once():
    told = identified(attempt(Status.FAILED, Reason.SYSTEM_BUSY, final=False))

    decision = decide(told, failure("9999"), NOW + timedelta(seconds=30))

    assert decision.retry_at == EARLIER_WAIT


def test_another_failure_is_waited_for_anew():
    told = identified(attempt(Status.FAILED, Reason.CANCELLED, final=False))

    decision = decide(told, failure("9999"), NOW)

    assert decision.retry_at == NOW + timedelta(seconds=60)


def test_a_failure_found_for_an_impatient_shopper_sets_no_wait():
    before = identified(attempt(Status.PENDING, Reason.OVERDUE, final=False))

    decision = decide(before, settlement.QueryAnswered("1037", sets_wait=False), NOW)

    assert (decision.status, decision.retry_at) == (Status.FAILED, None)


@pytest.mark.parametrize("name", ["success", "query 0", "operator: paid"])
def test_late_money_ends_the_wait_for_another_push(name):
    entry = EVIDENCE[name]
    assert not isinstance(entry, Early)
    before = identified(attempt(Status.FAILED, Reason.UNREACHABLE, final=False))

    decision = decide(before, entry, NOW)

    assert decision.retry_at is None


@pytest.mark.parametrize("word", [".", "!", "?", "?!"])
def test_what_changes_nothing_leaves_the_wait_as_it_was(word):
    unchanged = [name for (name, at), words in EXPECTED.items() if at == "failed" and word in words]
    before = identified(attempt(Status.FAILED, Reason.UNREACHABLE, final=False))

    for name in unchanged:
        entry = EVIDENCE[name]
        evidence = entry.evidence if isinstance(entry, Early) else entry
        known = before if EXPECTED[name, "failed"][0] == word else replace(before, **NO_IDS)
        wait = EARLIER_WAIT + HOURS if name == "clock stepped" else EARLIER_WAIT
        assert decide(known, evidence, NOW).retry_at == wait, name


NO_IDS = {"merchant_request_id": None, "checkout_request_id": None}


def test_a_query_is_believed_about_2029_from_30_s_after_the_push_on():
    before = identified(attempt(Status.PENDING, Reason.AWAITING_PIN, final=False))

    decision = decide(before, settlement.QueryAnswered("2029"), PUSHED_AT + timedelta(seconds=30))

    assert (decision.status, decision.reason) == (Status.FAILED, Reason.MISCONFIGURED)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_after_too_long_a_silence_the_next_question_is_planned_anew(situation):
    for before in SITUATIONS[situation]:
        assert decide(before, settlement.SilenceTooLong(), NOW).replan


def test_something_that_is_no_evidence_is_refused():
    before = attempt(Status.PENDING, Reason.AWAITING_PIN, final=False)

    with pytest.raises(AssertionError, match="paid, trust me"):
        decide(before, "paid, trust me", NOW)


# -- money by hand -------------------------------------------------------------------------------

BY_HAND = known.attempt(
    channel=Channel.HAND, msisdn=None, is_open=False, reason=Reason.AWAITING_PAYMENT
)
NOT_RECEIVED = replace(BY_HAND, status=Status.FAILED, reason=Reason.NOT_RECEIVED)
PAID_BY_HAND = replace(
    BY_HAND, status=Status.SUCCESS, reason=Reason.PAID, final=True, receipt=RECEIPT
)
FOUND = settlement.ReceiptFound(RECEIPT, 15_000, NOW)


@pytest.mark.parametrize(
    ("before", "evidence", "becomes"),
    [
        (BY_HAND, FOUND, (Status.SUCCESS, Reason.PAID, RECEIPT)),
        (NOT_RECEIVED, FOUND, (Status.SUCCESS, Reason.PAID_LATE, RECEIPT)),
        (PAID_BY_HAND, FOUND, (Status.SUCCESS, Reason.PAID, RECEIPT)),
        (BY_HAND, settlement.NotReceived(), (Status.FAILED, Reason.NOT_RECEIVED, None)),
        (NOT_RECEIVED, settlement.NotReceived(), (Status.FAILED, Reason.NOT_RECEIVED, None)),
        (PAID_BY_HAND, settlement.NotReceived(), (Status.SUCCESS, Reason.PAID, RECEIPT)),
        (BY_HAND, settlement.ChosenByHand(), (Status.PENDING, Reason.AWAITING_PAYMENT, None)),
    ],
)
def test_each_state_of_money_by_hand_meets_each_of_its_events(before, evidence, becomes):
    decision = decide(before, evidence, NOW)

    assert (decision.status, decision.reason, decision.receipt) == becomes
    assert not decision.needs_review


def test_a_push_that_its_receipt_paid_waits_for_its_own_result_and_only_records_it():
    paid = _applied(known.attempt(merchant_request_id=OURS[0], checkout_request_id=OURS[1]), FOUND)
    assert paid.by_rule

    for evidence in (success(), failure("1032"), settlement.QueryAnswered("1032")):
        told = decide(paid, evidence, NOW)

        assert (told.status, told.receipt, told.by_rule) == (Status.SUCCESS, RECEIPT, False)
        assert not told.needs_review, evidence


def test_another_amount_that_a_person_accepted_stays_with_the_transaction():
    accepted = replace(FOUND, amount=14_950)

    assert _applied(BY_HAND, accepted).receipt_amount == 14_950
    assert _applied(BY_HAND, FOUND).receipt_amount is None


SHARES = [
    EVIDENCE["success, held by own order"],
    settlement.QueryAnswered("0", receipt_holder=OTHER_PAYMENT, held_by_hand=True),
]


@pytest.mark.parametrize("evidence", SHARES)
@pytest.mark.parametrize("status", [Status.FAILED, Status.PENDING])
def test_money_that_its_order_has_by_another_counts_there(evidence, status):
    reason = Reason.WRONG_PIN if status is Status.FAILED else Reason.AWAITING_PIN
    before = known.attempt(status=status, reason=reason, final=status is Status.FAILED)

    shares = _applied(before, evidence)

    assert (shares.status, shares.receipt, shares.receipt_amount) == (Status.SUCCESS, None, 0)
    assert shares.shares_receipt
    assert not shares.needs_review


@pytest.mark.parametrize(
    "evidence",
    [
        success(receipt=SECOND_RECEIPT),
        settlement.OperatorSaysPaid(SECOND_RECEIPT),
        settlement.ReceiptFound(SECOND_RECEIPT, 15_000, NOW),
    ],
)
def test_a_push_that_shares_a_receipt_takes_no_other_unseen(evidence):
    shares = _applied(known.attempt(), SHARES[0])

    after = _applied(shares, evidence)

    assert (after.receipt, after.receipt_amount, after.needs_review) == (None, 0, True)


def test_what_was_kept_of_a_callback_gives_it_no_other_either():
    shares = _applied(known.attempt(), SHARES[0])

    after = _applied(shares, settlement.QueryAnswered("0", kept_receipt=SECOND_RECEIPT))

    assert (after.receipt, after.receipt_amount) == (None, 0)


def test_a_payment_with_its_own_receipt_counts_whatever_its_order_has():
    heard = _applied(PAID_BY_HAND, EVIDENCE["success, held by own order"])

    assert (heard.receipt, heard.receipt_amount) == (RECEIPT, None)


@pytest.mark.parametrize(
    ("paid_at", "needs_review"),
    [(NOW - timedelta(seconds=31), False), (NOW - timedelta(seconds=29), True)],
)
def test_money_that_was_paid_before_its_order_expired_was_in_time(paid_at, needs_review):
    order = known.order(expires_at=NOW - timedelta(seconds=30), status=OrderStatus.EXPIRED)
    found = replace(FOUND, paid_at=paid_at)
    account = Account(order, (NOT_RECEIVED,))

    after, _ = settlement.apply(account, NOT_RECEIVED, decide(NOT_RECEIVED, found, NOW), NOW)

    assert after.order.status is OrderStatus.PAID
    assert after.attempts[0].needs_review is needs_review


def test_an_order_that_ends_waits_for_no_money_by_hand():
    ended = Account(known.order(), (BY_HAND,)).ended(OrderStatus.CANCELLED, NOW)

    assert (ended.attempts[0].status, ended.attempts[0].reason) == (
        Status.FAILED,
        Reason.NOT_RECEIVED,
    )
    assert ended.attempts[0].seq == BY_HAND.seq + 1


def _applied(attempt, evidence):
    account = Account(known.order(), (attempt,))
    after, _ = settlement.apply(account, attempt, decide(attempt, evidence, NOW), NOW)
    return after.attempts[0]
