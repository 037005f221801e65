"""One plain sentence for each reason, in the language asked for."""

import pytest

from mpesa.domain.result_codes import Reason
from mpesa.web.http import sentences


def said(app, reason, lang, view="failed", order_status="OPEN", status="FAILED", **more):
    told = {
        "reason": reason.value, "order_status": order_status, "status": status, "view": view,
        "money": "not_taken", "next": "retry", "final": True, "phone": "0712•••678", **more,
    }  # fmt: skip
    with app.test_request_context():
        return sentences.message_of(told, lang)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_in_both_languages(app, reason):
    english, swahili = said(app, reason, "en"), said(app, reason, "sw")

    assert english.endswith(".")
    assert swahili.endswith(".")
    assert english != swahili


@pytest.mark.parametrize("reason", list(Reason))
def test_no_sentence_shows_a_placeholder_or_the_machines_word(app, reason):
    for lang in sentences.LANGUAGES:
        sentence = said(app, reason, lang)
        assert "%" not in sentence
        assert "{" not in sentence
        assert "_" not in sentence


def test_an_attempt_of_an_order_that_was_paid_otherwise_says_so(app):
    failed = said(app, Reason.CANCELLED, "en", "paid", "PAID")
    paid = said(app, Reason.PAID, "en", "paid", "PAID", "SUCCESS")

    assert failed == "Already paid. If a prompt is still on your phone, cancel it."
    assert paid == "Payment received, thank you."


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("CANCELLED", "This order was cancelled. It can no longer be paid."),
        ("EXPIRED", "The time to pay this order has run out."),
    ],
)
def test_the_end_of_an_order_is_told_rather_than_that_of_its_attempt(app, status, sentence):
    assert said(app, Reason.WRONG_PIN, "en", "closed", status) == sentence


@pytest.mark.parametrize(
    ("reason", "more", "sentence"),
    [
        (Reason.WRONG_PIN, {}, "The M-PESA PIN was wrong. No money was taken."),
        (
            Reason.CANCELLED,
            {"final": False},
            "The request was cancelled or closed on your phone."
            " M-PESA says that no money was taken.",
        ),
        (
            Reason.UNKNOWN_CODE,
            {"money": "unknown", "final": False},
            "M-PESA gave no clear answer. We are still checking whether money was taken.",
        ),
        (Reason.NOT_RECEIVED, {}, "You chose to pay by hand, and no payment has come."),
    ],
)
def test_a_failure_is_told_with_what_is_known_of_the_money(app, reason, more, sentence):
    assert said(app, reason, "en", **more) == sentence


@pytest.mark.parametrize(
    ("phone", "network"), [("0733•••456", "an Airtel"), ("0770•••456", "a Telkom")]
)
def test_where_a_phone_was_not_reached_a_number_of_another_network_is_remarked_upon(
    app, phone, network
):
    elsewhere = said(app, Reason.UNREACHABLE, "en", phone=phone)

    assert elsewhere.endswith(f"like {network} number; M-PESA needs a Safaricom line.")
    assert "Safaricom" not in said(app, Reason.UNREACHABLE, "en")
    assert "Safaricom" not in said(app, Reason.UNREACHABLE, "en", phone="")
    assert "Safaricom" not in said(app, Reason.WRONG_PIN, "en", phone=phone)


@pytest.mark.parametrize(("seconds", "told"), [(1, 1), (60, 1), (61, 2), (594, 10)])
def test_a_wait_is_told_in_minutes_and_never_too_short(seconds, told):
    assert sentences.minutes(seconds) == told


@pytest.mark.parametrize("asked", [None, "", "xx", 1, ["sw"], {"lang": "sw"}, "swa", "-sw"])
def test_a_language_that_is_not_one_of_ours_leaves_the_choice_to_the_browser(app, asked):
    with app.test_request_context(headers={"Accept-Language": "sw"}):
        assert sentences.chosen(asked) == "sw"


@pytest.mark.parametrize("asked", ["sw", "SW", "sw-KE", "sw_KE", "Sw-Latn-TZ"])
def test_a_language_is_known_by_its_first_part(app, asked):
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert sentences.chosen(asked) == "sw"


def test_the_language_asked_for_wins(app):
    with app.test_request_context(headers={"Accept-Language": "sw"}):
        assert sentences.chosen("en") == "en"
