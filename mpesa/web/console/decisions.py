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
    Why.PUSH_TAKEN: _l("Daraja took the push."),
    Why.PUSH_ANSWERED_LATE: _l("Daraja answered the push after its result."),
    Why.PUSH_NAMES_OTHER_IDS: _l("Daraja's answer to the push names other ids."),
    Why.PUSH_FAILED_LATE: _l("The push failed after its result was known."),
    Why.PUSH_NOT_RUN: _l("No prompt was sent."),
    Why.PUSH_UNCERTAIN: _l("It is not known whether the push ran."),
    Why.PUSH_ANSWER_NOT_NEEDED: _l("The answer to the push is no longer needed."),
    Why.CALLBACK_SAYS_PAID: _l("The callback says that it was paid."),
    Why.CALLBACK_SAYS_FAILED: _l("The callback says that it failed."),
    Why.CALLBACK_OF_UNKNOWN_CODE: _l("The callback has an unknown code."),
    Why.CALLBACK_SAYS_OTHERWISE: _l(
        "The callback says that it failed, and one before it said that it was paid."
    ),
    Why.CALLBACK_TELLS_NO_END: _l("The callback tells no result yet."),
    Why.CALLBACK_NOT_LISTED: _l("The callback came from an address that is not listed."),
    Why.CALLBACK_UNREADABLE: _l("The callback could not be read."),
    Why.CALLBACK_LACKS_MERCHANT_ID: _l("The callback names no MerchantRequestID."),
    Why.CALLBACK_LACKS_CHECKOUT_ID: _l("The callback names no CheckoutRequestID."),
    Why.CALLBACK_NAMES_OTHER_IDS: _l("The callback names other ids."),
    Why.CALLBACK_NAMES_OTHER_AMOUNT: _l("The callback says paid, with another amount."),
    Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT: _l("The callback says paid, without amount or receipt."),
    Why.CALLBACK_AFTER_FORGETTING: _l(
        "The payer was forgotten, and the callback tells nothing new."
    ),
    Why.FAILED_AFTER_PAID: _l("A failure came after the success."),
    Why.FAILED_AFTER_THE_END: _l("A failure came after a final failure."),
    Why.SECOND_RECEIPT: _l("A second receipt came for the same payment."),
    Why.RECEIPT_TAKEN: _l("The receipt belongs to another payment."),
    Why.RECEIPT_CLAIMED: _l("Another payment's callback names this receipt."),
    Why.RECEIPT_FOUND: _l("Its receipt was found."),
    Why.RECEIPT_DIFFERS: _l("Its receipt is known with another amount."),
    Why.RECEIPT_RETURNED: _l("M-PESA gave money back, and no refund of yours had asked for it."),
    Why.RECEIPT_OF_ITS_ORDER: _l("Its receipt is known, and is the order's already."),
    Why.CHOSEN_BY_HAND: _l("Its money is awaited."),
    Why.NOT_RECEIVED: _l("No money came in time."),
    Why.ORDER_ENDED: _l("The order ended, and no money had come."),
    Why.QUERY_SAYS_PAID: _l("Daraja says that it was paid."),
    Why.QUERY_SAYS_FAILED: _l("Daraja says that it failed."),
    Why.QUERY_ONLY_RECORDED: _l("Daraja says that it failed, which is only recorded."),
    Why.QUERY_TOLD_NOTHING: _l("Daraja gave no answer."),
    Why.QUERY_PAID_UNNAMED: _l("Daraja says paid, and does not name this payment."),
    Why.QUERY_AGAINST_THE_AMOUNT: _l(
        "Daraja says that it was paid, and a callback told another amount."
    ),
    Why.QUERY_PAID_RECEIPT_TAKEN: _l(
        "Daraja says that it was paid, and the receipt belongs to another payment."
    ),
    Why.CLAIM_NOT_PROVEN: _l(
        "A callback that was not believed said paid, and Daraja does not say so."
    ),
    Why.WAIT_OVER: _l("Nothing was heard in time."),
    Why.WAIT_OVER_LATE: _l("The wait ended after the result."),
    Why.PROMPT_OVER: _l("No prompt stays open this long."),
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
    Why.CODE_TYPED: _l("The shopper typed a code from an SMS, and Daraja is asked."),
    Why.OPERATOR_FOUND_MONEY: _l("An operator found the money."),
    Why.OPERATOR_FOUND_NONE: _l("An operator found no money."),
    Why.OPERATOR_NAMES_OTHER_RECEIPT: _l("The operator names another receipt."),
    Why.OPERATOR_ASKS: _l("An operator wants Daraja to be asked."),
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
    Why.PUSH_NAMES_OTHER_IDS: _l("Daraja's answer to the push names other ids than those we know."),
    Why.CALLBACK_UNREADABLE: _l(
        "A callback came that cannot be read: either there is no id to ask Daraja with, or it"
        " seems to name another amount."
    ),
    Why.CLAIM_NOT_PROVEN: _l(
        "A callback with a fault in it said paid, and M-PESA does not say so when it is asked. Only"
        " your statement can tell."
    ),
    Why.CALLBACK_SAYS_OTHERWISE: _l(
        "A callback with a fault in it said paid, and a later one says that the payment failed."
        " Only your statement can tell."
    ),
    Why.CALLBACK_LACKS_CHECKOUT_ID: _l(
        "A callback came under this payment's address, and does not say which payment it means."
    ),
    Why.QUERY_AGAINST_THE_AMOUNT: _l(
        "M-PESA says paid, but its callback told another amount than was asked for. Only your"
        " statement can tell what came."
    ),
    Why.QUERY_PAID_UNNAMED: _l(
        "M-PESA was asked about this payment and said paid, but it named another payment, or none."
    ),
    Why.CALLBACK_NOT_LISTED: _l(
        "A callback came from an address that is not on your list, so it was not believed."
    ),
    Why.CALLBACK_NAMES_OTHER_IDS: _l(
        "A callback came under this payment's address, but with another payment's ids."
    ),
    Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT: _l(
        "A callback says paid, but names no amount or no receipt."
    ),
    Why.CALLBACK_NAMES_OTHER_AMOUNT: _l(
        "A callback says paid, but another amount than was asked for."
    ),
    Why.RECEIPT_TAKEN: _l("The receipt that was named already belongs to another payment."),
    Why.QUERY_PAID_RECEIPT_TAKEN: _l(
        "M-PESA says paid, but the receipt that it named already belongs to another payment."
    ),
    Why.RECEIPT_CLAIMED: _l(
        "An operator named this receipt, and now M-PESA names it for another payment. One of the"
        " two may not be paid."
    ),
    Why.RECEIPT_FOUND: _l(
        "Its receipt may be another order's money, or may have to be given back."
    ),
    Why.RECEIPT_DIFFERS: _l(
        "The callback says paid, and the receipt that it names is known with another amount."
    ),
    Why.RECEIPT_RETURNED: _l(
        "The statement says that its money, or some of it, went back to the payer, and no refund of"
        " yours had asked for it."
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
        "It is paid by M-PESA's word, but its receipt did not come within a day."
    ),
    Why.CODE_TYPED: _l(
        "The shopper typed a code from an SMS, and there is no id to ask Daraja with."
    ),
    Why.OPERATOR_ASKS: _l("There is no id to ask Daraja with."),
    Why.CALLBACK_OF_UNKNOWN_CODE: _l("M-PESA answered with an unknown code."),
    Why.MONEY_TWICE: _l(
        "The order was paid already: this money came twice and has to be given back."
    ),
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
        return str(_l("What is told of its receipt contradicts itself. Look at the receipt."))
    return str(DOUBTS.get(first, SENTENCES[first]))


def other_payment(text: str) -> str | None:
    """The id of the other transaction that a decision is about, if any."""
    named = _OTHER_PAYMENT.search(text)
    return named[1] if named else None


@console.app_template_filter("why")
def why(text: str) -> str:
    """Why something was decided, in the reader's language; prose of old rows stays English."""
    read = words_of(text)
    if read is None:
        return Markup('<span lang="en">{}</span>').format(text)
    words, about = read
    sentence = " ".join(str(SENTENCES[each]) % {"about": about} for each in reversed(words))
    return f"{sentence} ({wording.reason_word(about)})" if about in set(Reason) else sentence
