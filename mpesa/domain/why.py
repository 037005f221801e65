"""The reasons for decisions: words in their rows, which the console shows as sentences."""

from enum import StrEnum


class Why(StrEnum):
    """The reason for a decision.

    A row has the word, and after a colon its subject: an id, a reason, a time. Older rows have
    English prose, and are shown as they are.
    """

    PUSH_TAKEN = "push_taken"
    PUSH_ANSWERED_LATE = "push_answered_late"
    PUSH_NAMES_OTHER_IDS = "push_names_other_ids"
    PUSH_FAILED_LATE = "push_failed_late"
    PUSH_NOT_RUN = "push_not_run"
    PUSH_UNCERTAIN = "push_uncertain"
    PUSH_ANSWER_NOT_NEEDED = "push_answer_not_needed"

    CALLBACK_SAYS_PAID = "callback_says_paid"
    CALLBACK_SAYS_FAILED = "callback_says_failed"
    CALLBACK_OF_UNKNOWN_CODE = "callback_of_unknown_code"
    CALLBACK_SAYS_OTHERWISE = "callback_says_otherwise"
    CALLBACK_TELLS_NO_END = "callback_tells_no_end"
    CALLBACK_NOT_LISTED = "callback_not_listed"
    CALLBACK_UNREADABLE = "callback_unreadable"
    CALLBACK_LACKS_MERCHANT_ID = "callback_lacks_merchant_id"
    CALLBACK_LACKS_CHECKOUT_ID = "callback_lacks_checkout_id"
    CALLBACK_NAMES_OTHER_IDS = "callback_names_other_ids"
    CALLBACK_NAMES_OTHER_AMOUNT = "callback_names_other_amount"
    CALLBACK_LACKS_AMOUNT_OR_RECEIPT = "callback_lacks_amount_or_receipt"
    CALLBACK_AFTER_FORGETTING = "callback_after_forgetting"
    FAILED_AFTER_PAID = "failed_after_paid"
    FAILED_AFTER_THE_END = "failed_after_the_end"
    SECOND_RECEIPT = "second_receipt"
    RECEIPT_TAKEN = "receipt_taken"
    RECEIPT_CLAIMED = "receipt_claimed"
    RECEIPT_FOUND = "receipt_found"
    RECEIPT_DIFFERS = "receipt_differs"
    RECEIPT_RETURNED = "receipt_returned"
    RECEIPT_OF_ITS_ORDER = "receipt_of_its_order"
    CHOSEN_BY_HAND = "chosen_by_hand"
    NOT_RECEIVED = "not_received"
    ORDER_ENDED = "order_ended"

    QUERY_SAYS_PAID = "query_says_paid"
    QUERY_SAYS_FAILED = "query_says_failed"
    QUERY_ONLY_RECORDED = "query_only_recorded"
    QUERY_TOLD_NOTHING = "query_told_nothing"
    QUERY_PAID_UNNAMED = "query_paid_unnamed"
    QUERY_AGAINST_THE_AMOUNT = "query_against_the_amount"
    QUERY_PAID_RECEIPT_TAKEN = "query_paid_receipt_taken"
    CLAIM_NOT_PROVEN = "claim_not_proven"

    WAIT_OVER = "wait_over"
    WAIT_OVER_LATE = "wait_over_late"
    PROMPT_OVER = "prompt_over"
    SILENT_TOO_LONG = "silent_too_long"
    RECEIPT_NEVER_CAME = "receipt_never_came"
    CLOCK_STEPPED = "clock_stepped"
    CLOCK_WAS_AHEAD = "clock_was_ahead"
    TIMES_PUT_RIGHT_BEFORE = "times_put_right_before"

    CODE_TYPED = "code_typed"
    OPERATOR_FOUND_MONEY = "operator_found_money"
    OPERATOR_FOUND_NONE = "operator_found_none"
    OPERATOR_NAMES_OTHER_RECEIPT = "operator_names_other_receipt"
    OPERATOR_ASKS = "operator_asks"
    OPERATOR_LOOKED = "operator_looked"
    PAID_STAYS_PAID = "paid_stays_paid"
    REVIEW_SETTLED = "review_settled"

    # These two stand before the reason that would have been given otherwise.
    MONEY_TWICE = "money_twice"
    MONEY_FOR_CLOSED_ORDER = "money_for_closed_order"

    FORGOTTEN_BY_AGE = "forgotten_by_age"
    FORGOTTEN_ON_REQUEST = "forgotten_on_request"


# The prose of older rows for these two.
PROSE = {
    Why.CALLBACK_UNREADABLE: "the callback could not be read",
    Why.CALLBACK_LACKS_MERCHANT_ID: "the callback names no MerchantRequestID",
}


def words_of(text: str) -> tuple[list[Why], str] | None:
    """Read the text of a row: its words, in their order, and the subject of the last one.

    Returns:
        None for prose.
    """
    words: list[Why] = []
    *parts, last = text.split(": ")
    for place, part in enumerate([*parts, last]):
        if part not in set(Why):
            return (words, ": ".join([*parts, last][place:])) if words else None
        words.append(Why(part))
    return words, ""
