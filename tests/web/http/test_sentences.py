"""One plain sentence for each reason, in the language asked for."""

import pytest

from mpesa.domain.result_codes import Reason
from mpesa.web.http import sentences


def said(app, reason, lang, view="failed", order_status="OPEN", status="FAILED"):
    told = {
        "reason": reason.value, "order_status": order_status, "status": status, "view": view,
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
