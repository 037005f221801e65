"""The reasons of decisions, as sentences for operators."""

import re
from typing import Any

from flask_babel import lazy_gettext as _l
from markupsafe import Markup

from mpesa.domain.result_codes import Reason
from mpesa.domain.sms_code import find_receipt
from mpesa.domain.why import Why, words_of
from mpesa.web.console import wording
from mpesa.web.console.blueprint import console

SENTENCES: dict[Why, Any] = {
    Why.PUSH_TAKEN: _l("M-PESA accepted the request."),
    Why.PUSH_ANSWERED_LATE: _l("M-PESA accepted the request after its result."),
    Why.PUSH_NAMES_OTHER_IDS: _l("M-PESA's answer to the request names another payment."),
    Why.PUSH_FAILED_LATE: _l("The request failed after its result was known."),
    Why.PUSH_NOT_RUN: _l("No request reached the phone."),
    Why.PUSH_UNCERTAIN: _l("It is not known whether the request reached the phone."),
    Why.PUSH_ANSWER_NOT_NEEDED: _l("The answer to the request is no longer needed."),
    Why.CALLBACK_SAYS_PAID: _l("M-PESA confirmed: paid."),
    Why.CALLBACK_SAYS_FAILED: _l("M-PESA reported: not paid."),
    Why.CALLBACK_OF_UNKNOWN_CODE: _l("M-PESA reported an unknown code."),
    Why.CALLBACK_SAYS_OTHERWISE: _l("M-PESA reported: not paid. Before, a report had said paid."),
    Why.CALLBACK_TELLS_NO_END: _l("M-PESA reported no result yet."),
    Why.CALLBACK_NOT_LISTED: _l("A report came from an address that is not on your list."),
    Why.CALLBACK_UNREADABLE: _l("A report came that can't be read."),
    Why.CALLBACK_LACKS_MERCHANT_ID: _l("M-PESA's report lacks one of its two ids."),
    Why.CALLBACK_LACKS_CHECKOUT_ID: _l("M-PESA's report doesn't say which payment it means."),
    Why.CALLBACK_NAMES_OTHER_IDS: _l("A report came that names another payment."),
    Why.CALLBACK_NAMES_OTHER_AMOUNT: _l("M-PESA reported: paid, but another amount."),
    Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT: _l("M-PESA reported: paid, but no amount or no receipt."),
    Why.CALLBACK_AFTER_FORGETTING: _l(
        "The payer was forgotten, and M-PESA's report says nothing new."
    ),
    Why.FAILED_AFTER_PAID: _l("M-PESA reported a failure after the payment."),
    Why.FAILED_AFTER_THE_END: _l("M-PESA reported another failure after the end."),
    Why.SECOND_RECEIPT: _l("A second receipt came for the same payment."),
    Why.RECEIPT_TAKEN: _l("The receipt belongs to another payment."),
    Why.RECEIPT_CLAIMED: _l("M-PESA named this receipt for another payment."),
    Why.RECEIPT_FOUND: _l("Its receipt was found."),
    Why.RECEIPT_DIFFERS: _l("Its receipt is known with another amount."),
    Why.RECEIPT_RETURNED: _l("M-PESA gave money back, and no refund of yours had asked for it."),
    Why.RECEIPT_OF_ITS_ORDER: _l("Its receipt is known, and is the order's already."),
    Why.CHOSEN_BY_HAND: _l("Its money is awaited."),
    Why.NOT_RECEIVED: _l("No money came in time."),
    Why.ORDER_ENDED: _l("The order ended, and no money had come."),
    Why.QUERY_SAYS_PAID: _l("Asked M-PESA: paid."),
    Why.QUERY_SAYS_FAILED: _l("Asked M-PESA: not paid."),
    Why.QUERY_ONLY_RECORDED: _l("Asked M-PESA: not paid. This is only noted."),
    Why.QUERY_TOLD_NOTHING: _l("Asked M-PESA: no result yet."),
    Why.QUERY_PAID_UNNAMED: _l("Asked M-PESA: paid, but it did not name this payment."),
    Why.QUERY_AGAINST_THE_AMOUNT: _l("Asked M-PESA: paid, but a report gave another amount."),
    Why.QUERY_PAID_RECEIPT_TAKEN: _l(
        "Asked M-PESA: paid, but the receipt belongs to another payment."
    ),
    Why.CLAIM_NOT_PROVEN: _l(
        "A report that was not believed said paid, and M-PESA does not say so when asked."
    ),
    Why.WAIT_OVER: _l("No answer in time: still checking."),
    Why.WAIT_OVER_LATE: _l("The wait ended after the result."),
    Why.PROMPT_OVER: _l("Request expired on the phone."),
    Why.SILENT_TOO_LONG: _l("Nothing was heard, and only a person can find out."),
    Why.RECEIPT_NEVER_CAME: _l("The receipt never came."),
    Why.CLOCK_STEPPED: _l(
        "The server's clock stepped, and the times were put right. Step and beginning before:"
        " %(about)s."
    ),
    Why.CLOCK_WAS_AHEAD: _l(
        "The server's clock was ahead, and the times were put right. Beginning before: %(about)s."
    ),
    Why.TIMES_PUT_RIGHT_BEFORE: _l("The times were put right before."),
    Why.CODE_TYPED: _l("The shopper typed a code from an SMS, and M-PESA is asked."),
    Why.OPERATOR_FOUND_MONEY: _l("An operator found the money."),
    Why.OPERATOR_FOUND_NONE: _l("An operator found no money."),
    Why.OPERATOR_NAMES_OTHER_RECEIPT: _l("The operator names another receipt."),
    Why.OPERATOR_ASKS: _l("An operator wants M-PESA to be asked."),
    Why.OPERATOR_LOOKED: _l("An operator looked at the number."),
    Why.PAID_STAYS_PAID: _l("A payment that succeeded stays paid."),
    Why.REVIEW_SETTLED: _l("An operator settled the review."),
    Why.MONEY_TWICE: _l("The order was paid already."),
    Why.MONEY_FOR_CLOSED_ORDER: _l("The order was closed already."),
    Why.FORGOTTEN_BY_AGE: _l(
        "Number, ids and raw messages were blanked: older than %(about)s days."
    ),
    Why.FORGOTTEN_ON_REQUEST: _l("Number, ids and raw messages were blanked on request."),
}
# The sentences for a person who has to decide; a word that is not here uses its sentence above.
DOUBTS: dict[Why, Any] = {
    Why.PUSH_NAMES_OTHER_IDS: _l(
        "M-PESA's answer to the request names another payment than this one."
    ),
    Why.CALLBACK_UNREADABLE: _l(
        "A report came that can't be read: either M-PESA can't be asked about this payment,"
        " or the report seems to give another amount."
    ),
    Why.CLAIM_NOT_PROVEN: _l(
        "A faulty report said paid, and M-PESA does not say so when asked. Only your"
        " statement can tell."
    ),
    Why.CALLBACK_SAYS_OTHERWISE: _l(
        "A faulty report said paid, and a later one says that the payment failed. Only your"
        " statement can tell."
    ),
    Why.CALLBACK_LACKS_CHECKOUT_ID: _l(
        "A report came to this payment's address, and doesn't say which payment it means."
    ),
    Why.QUERY_AGAINST_THE_AMOUNT: _l(
        "M-PESA says paid, but its report gave another amount than was asked for. Only your"
        " statement can tell what came."
    ),
    Why.QUERY_PAID_UNNAMED: _l(
        "M-PESA was asked about this payment and said paid, but it named another payment, or none."
    ),
    Why.CALLBACK_NOT_LISTED: _l(
        "A report came from an address that is not on your list, so it was not believed."
    ),
    Why.CALLBACK_NAMES_OTHER_IDS: _l(
        "A report came to this payment's address, but it names another payment."
    ),
    Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT: _l(
        "M-PESA reported paid, but gave no amount or no receipt."
    ),
    Why.CALLBACK_NAMES_OTHER_AMOUNT: _l(
        "M-PESA reported paid, but another amount than was asked for."
    ),
    Why.RECEIPT_TAKEN: _l("The receipt that was named already belongs to another payment."),
    Why.QUERY_PAID_RECEIPT_TAKEN: _l(
        "M-PESA says paid, but the receipt that it named already belongs to another payment."
    ),
    Why.RECEIPT_CLAIMED: _l(
        "An operator named this receipt, and now M-PESA names it for another payment. One of"
        " the two may not be paid."
    ),
    Why.RECEIPT_FOUND: _l(
        "Its receipt may be another order's money, or may have to be given back."
    ),
    Why.RECEIPT_DIFFERS: _l(
        "M-PESA reported paid, and the receipt that it names is known with another amount."
    ),
    Why.RECEIPT_RETURNED: _l(
        "The statement says that its money, or some of it, went back to the payer, and no"
        " refund of yours had asked for it."
    ),
    Why.SECOND_RECEIPT: _l(
        "A second receipt came for a payment that has one: it may have been paid twice."
    ),
    Why.OPERATOR_NAMES_OTHER_RECEIPT: _l(
        "An operator named another receipt than the one that is known."
    ),
    Why.FAILED_AFTER_PAID: _l("M-PESA said paid, and later that it failed."),
    Why.SILENT_TOO_LONG: _l(
        "Nothing was heard of this payment for so long that only your statement can tell."
    ),
    Why.RECEIPT_NEVER_CAME: _l(
        "M-PESA says it is paid, but its receipt did not come within a day."
    ),
    Why.CODE_TYPED: _l(
        "The shopper typed a code from an SMS, and M-PESA can't be asked about this payment."
    ),
    Why.OPERATOR_ASKS: _l("M-PESA can't be asked about this payment: no id of it is known."),
    Why.CALLBACK_OF_UNKNOWN_CODE: _l("M-PESA answered with an unknown code."),
    Why.MONEY_TWICE: _l("Paid twice: the order was paid already. Give one of the two back."),
    Why.MONEY_FOR_CLOSED_ORDER: _l(
        "Money came for an order that was closed: deliver it after all, or give the money back."
    ),
}
# Also in the prose of old rows; an id has 22 characters (`ids.new_id`).
_OTHER_PAYMENT = re.compile(r": ([A-Za-z0-9_-]{22})(?:,|$)")


def doubt(text: str) -> str:
    """One sentence on what is contradictory, made from the reason that a decision's row holds."""
    read = words_of(text)
    if read is None:
        return text
    (first, *_), about = read
    if first is Why.RECEIPT_CLAIMED and find_receipt(about) == about:
        return str(_l("The reports about its receipt contradict each other. Look at the receipt."))
    return str(DOUBTS.get(first, SENTENCES[first]))


@console.app_template_filter("other_payment")
def other_payment(text: str) -> str | None:
    """The id of the other transaction that a decision is about, if any."""
    named = _OTHER_PAYMENT.search(text)
    return named[1] if named else None


def headline(text: str) -> str:
    """What was decided, as a heading; the reason of a failure stands below it."""
    read = words_of(text)
    if read is None:
        return why(text)
    words, about = read
    told = " ".join(str(SENTENCES[each]) % {"about": about} for each in reversed(words))
    return told.removesuffix(".")


@console.app_template_filter("why")
def why(text: str) -> str:
    """Why something was decided, in the reader's language; prose of old rows stays English."""
    read = words_of(text)
    if read is None:
        return Markup('<span lang="en">{}</span>').format(text)
    words, about = read
    sentence = " ".join(str(SENTENCES[each]) % {"about": about} for each in reversed(words))
    return f"{sentence} ({wording.reason_word(about)})" if about in set(Reason) else sentence
