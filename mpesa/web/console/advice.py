"""What to do about each doubt, and the answers that end most of them, for Review and the guide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from mpesa.domain.why import Why, words_of


@dataclass(frozen=True)
class Answer:
    """A decision with its usual reason.

    Attributes:
        act: the name of the act on the payment that carries it out.
        says: the reason that is kept; `%(amount)s` is the payment's.
    """

    act: str
    says: Any


@dataclass(frozen=True)
class Advice:
    """What to do about one kind of doubt.

    Attributes:
        do: one or two sentences.
        answers: the usual decisions, the likeliest first.
    """

    do: Any
    answers: tuple[Answer, ...]


_ON_STATEMENT = Answer("paid", _l("It is on the statement"))
_NOT_ON_STATEMENT = Answer("not-paid", _l("It is not on the statement"))
_AS_IT_STANDS = Answer("settle", _l("It is right as it stands"))
_GAVE_BACK = Answer("settle", _l("I gave %(amount)s back"))

_NOT_BELIEVED = Advice(
    _l("Don't believe the report. Ask M-PESA, then look for amount and time on your statement."),
    (_ON_STATEMENT, _NOT_ON_STATEMENT, _AS_IT_STANDS),
)
_STATEMENT_DECIDES = Advice(
    _l("Nothing is paid until you say so. Look for amount and time on your statement."),
    (_ON_STATEMENT, _NOT_ON_STATEMENT, _AS_IT_STANDS),
)
_ONE_RECEIPT = Advice(
    _l("The statement has the receipt once. Leave it with the payment that it fits."),
    (
        Answer("not-paid", _l("The receipt is the other payment's")),
        Answer("settle", _l("Both payments are right as they stand")),
    ),
)
_PAID_TWICE = Advice(
    _l("The payer may have paid twice. If the statement has both receipts, give one back."),
    (_GAVE_BACK, Answer("settle", _l("Only one of the two is on the statement"))),
)
# What no row of the table is about, such as the prose of old rows.
IN_GENERAL = Advice(_l("Compare what is known with your statement, then decide."), ())

ADVICE: Mapping[Why, Advice] = {
    Why.CALLBACK_NAMES_OTHER_AMOUNT: _NOT_BELIEVED,
    Why.CALLBACK_NAMES_OTHER_IDS: _NOT_BELIEVED,
    Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT: _NOT_BELIEVED,
    Why.CALLBACK_LACKS_CHECKOUT_ID: _NOT_BELIEVED,
    Why.CALLBACK_NOT_LISTED: _NOT_BELIEVED,
    Why.CALLBACK_UNREADABLE: _NOT_BELIEVED,
    Why.PUSH_NAMES_OTHER_IDS: _NOT_BELIEVED,
    Why.QUERY_PAID_UNNAMED: _NOT_BELIEVED,
    Why.QUERY_AGAINST_THE_AMOUNT: _STATEMENT_DECIDES,
    Why.CLAIM_NOT_PROVEN: _STATEMENT_DECIDES,
    Why.CALLBACK_SAYS_OTHERWISE: _STATEMENT_DECIDES,
    Why.CALLBACK_OF_UNKNOWN_CODE: _STATEMENT_DECIDES,
    Why.SILENT_TOO_LONG: _STATEMENT_DECIDES,
    Why.OPERATOR_ASKS: _STATEMENT_DECIDES,
    Why.RECEIPT_DIFFERS: _STATEMENT_DECIDES,
    Why.CODE_TYPED: Advice(
        _l("The code proves nothing by itself. Look for it on your statement, with this amount."),
        (_ON_STATEMENT, _NOT_ON_STATEMENT),
    ),
    Why.RECEIPT_TAKEN: _ONE_RECEIPT,
    Why.QUERY_PAID_RECEIPT_TAKEN: _ONE_RECEIPT,
    Why.RECEIPT_CLAIMED: Advice(
        _l(
            "Most likely the receipt was given to the wrong payment. Look at both. This one stays"
            " paid here, so if it is not on the statement, tell the person who ships."
        ),
        (
            Answer("settle", _l("It is on the statement with another receipt")),
            Answer("settle", _l("It is not on the statement; shipping was told")),
        ),
    ),
    Why.RECEIPT_FOUND: Advice(
        _l("Compare receipt and order. Keep the money if they fit; otherwise give it back."),
        (Answer("settle", _l("The money is this order's")), _GAVE_BACK),
    ),
    Why.RECEIPT_RETURNED: Advice(
        _l("Ask who gave it back on the M-PESA portal, and whether the order is still delivered."),
        (
            Answer("settle", _l("It was given back on purpose; nothing is delivered")),
            Answer("settle", _l("It is delivered all the same")),
        ),
    ),
    Why.SECOND_RECEIPT: _PAID_TWICE,
    Why.OPERATOR_NAMES_OTHER_RECEIPT: _PAID_TWICE,
    Why.MONEY_TWICE: Advice(
        _l("Give one of the two back, or use the money for another order."),
        (_GAVE_BACK, Answer("settle", _l("Used for another order"))),
    ),
    Why.MONEY_FOR_CLOSED_ORDER: Advice(
        _l("Deliver after all, or give the money back."),
        (Answer("settle", _l("Delivered after all")), _GAVE_BACK),
    ),
    Why.FAILED_AFTER_PAID: Advice(
        _l("If the statement has it, it stays paid. If not, call Safaricom with the receipt."),
        (
            Answer("settle", _l("It is on the statement, so it stays paid")),
            Answer("settle", _l("It is not on the statement; Safaricom was called")),
        ),
    ),
    Why.RECEIPT_NEVER_CAME: Advice(
        _l("Take the receipt from your statement and mark it as paid with it, then settle."),
        (_ON_STATEMENT, Answer("settle", _l("The receipt is there now"))),
    ),
}


def advice_on(text: str) -> Advice:
    """What to do about a doubt, by the reason that its decision's row holds."""
    read = words_of(text)
    return ADVICE.get(read[0][0], IN_GENERAL) if read else IN_GENERAL
