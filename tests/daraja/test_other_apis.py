"""The APIs beside push and query: their requests, over real connections, and their answers."""

import base64
import json
import struct
import zlib
from datetime import UTC, datetime

import pytest

from mpesa.config import AccountType, C2BVersion
from mpesa.daraja import Initiator, NoAnswer, NotSent, Refused, UnknownOutcome
from mpesa.daraja.c2b import Addresses, Registered, forbidden_words, register_c2b
from mpesa.daraja.pull import PullQuestion, pull, register_pull
from mpesa.daraja.qr import QrOrder, draw_qr, is_png
from mpesa.daraja.reversal import ReversalOrder, reverse
from mpesa.daraja.status import StatusQuestion, ask_status
from tests.daraja.fake_daraja import FakeDaraja, refusal, reply
from tests.daraja.test_acceptance import ACKNOWLEDGED
from tests.domain.bodies import pull_answer, pull_row
from tests.factories import PAYER_MSISDN, RECEIPT

ASKS = Initiator("status_api", "the-sealed-password")
URLS = ("https://pay.example/result/aa", "https://pay.example/timeout/aa")
QUESTION = StatusQuestion(RECEIPT, "600999", *URLS)
ORDER = ReversalOrder(RECEIPT, 500, "600999", "Refund 0123abcd", *URLS)
ADDRESSES = Addresses(
    "https://pay.example/c2b/aa/confirmation", "https://pay.example/c2b/aa/validation"
)
TWO_DAYS = PullQuestion(
    "600999", datetime(2026, 11, 22, 9, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC), 100
)
QR = QrOrder("Duka la Mfano", "234567890", 500, AccountType.PAYBILL, "600999")


def answers(fake: FakeDaraja, path: str, status: int, body: object) -> None:
    fake.script[path] = [reply(status, body)]


def sent(fake: FakeDaraja) -> tuple[str, dict[str, object]]:
    """Path and fields of the last request."""
    last = fake.asked[-1]
    return last.path, last.fields


# -- Transaction Status and Reversal -----------------------------------------------------------


def test_a_question_about_a_receipt_is_asked_in_the_initiators_name(fake, daraja):
    path = "/mpesa/transactionstatus/v1/query"
    answers(fake, path, 200, ACKNOWLEDGED)

    accepted = ask_status(daraja, ASKS, QUESTION)

    assert accepted.conversation_id == ACKNOWLEDGED["ConversationID"]
    assert sent(fake) == (
        path,
        {
            "Initiator": "status_api",
            "SecurityCredential": "the-sealed-password",
            "CommandID": "TransactionStatusQuery",
            "TransactionID": RECEIPT,
            "PartyA": "600999",
            "IdentifierType": "4",
            "ResultURL": URLS[0],
            "QueueTimeOutURL": URLS[1],
            "Remarks": "Status",
        },
    )


def test_a_reversal_is_of_the_whole_amount_and_spelt_as_daraja_spells_it(fake, daraja):
    path = "/mpesa/reversal/v1/request"
    answers(fake, path, 200, ACKNOWLEDGED)

    reverse(daraja, Initiator("refund_api", "sealed"), ORDER)

    assert sent(fake) == (
        path,
        {
            "Initiator": "refund_api",
            "SecurityCredential": "sealed",
            "CommandID": "TransactionReversal",
            "TransactionID": RECEIPT,
            "Amount": "500",
            "ReceiverParty": "600999",
            "RecieverIdentifierType": "11",
            "ResultURL": URLS[0],
            "QueueTimeOutURL": URLS[1],
            "Remarks": "Refund 0123abcd",
        },
    )


@pytest.mark.parametrize(
    ("amount", "remarks"), [(0, "Refund"), (-1, "Refund"), (1, "R"), (1, "R" * 101)]
)
def test_what_is_no_reversal_is_never_sent(fake, daraja, amount, remarks):
    with pytest.raises(ValueError, match=r"money|remarks"):
        reverse(daraja, ASKS, ReversalOrder(RECEIPT, amount, "600999", remarks, *URLS))

    assert fake.asked == []


def test_a_reversal_that_may_have_run_is_sent_once(fake, daraja):
    path = "/mpesa/reversal/v1/request"
    answers(fake, path, 500, refusal("500.001.1001", "System internal error."))

    with pytest.raises(UnknownOutcome):
        reverse(daraja, ASKS, ORDER)

    assert len(fake.to(path)) == 1


def test_a_reversal_with_a_dead_token_is_sent_once_more_and_never_a_third_time(fake, daraja):
    path = "/mpesa/reversal/v1/request"
    answers(fake, path, 404, refusal("404.001.03", "Invalid Access Token"))

    with pytest.raises(Refused):
        reverse(daraja, ASKS, ORDER)

    assert len(fake.to(path)) == 2


def test_a_reversal_without_an_answer_is_unknown(fake, daraja):
    fake.script["/mpesa/reversal/v1/request"] = [fake.silence]

    with pytest.raises(UnknownOutcome):
        reverse(daraja, ASKS, ORDER, budget=0.5)


def test_nothing_secret_is_in_what_is_shown_of_an_initiator_or_an_order():
    shown = repr((ASKS, QUESTION, ORDER, ADDRESSES))

    assert "sealed" not in shown
    assert "/aa" not in shown


# -- C2B ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", C2BVersion)
def test_addresses_are_registered_with_the_version_of_the_app(fake, daraja, version):
    path = f"/mpesa/c2b/{version.value}/registerurl"
    answers(fake, path, 200, {"OriginatorCoversationID": "7619-1", "ResponseCode": "0"})

    assert register_c2b(daraja, version, "600999", ADDRESSES) is Registered.NOW
    assert sent(fake)[1] == {
        "ShortCode": "600999",
        "ResponseType": "Completed",
        "ConfirmationURL": ADDRESSES.confirmation_url,
        "ValidationURL": ADDRESSES.validation_url,
    }


def test_what_was_registered_before_is_known_by_its_words(fake, daraja):
    path = "/mpesa/c2b/v2/registerurl"
    answers(fake, path, 500, refusal("500.003.1001", "Urls are already registered"))

    assert register_c2b(daraja, C2BVersion.V2, "600999", ADDRESSES) is Registered.ALREADY


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, refusal("500.003.1001", "System internal error."), UnknownOutcome),
        (200, {"OriginatorCoversationID": "", "ResponseCode": "0"}, UnknownOutcome),
        (401, refusal("401.002.01", "no apiproduct match found"), Refused),
        (400, refusal("400.003.02", "Invalid ValidationURL - URL has the word MPESA"), Refused),
    ],
)
def test_what_was_not_registered_is_an_error(fake, daraja, status, body, error):
    answers(fake, "/mpesa/c2b/v2/registerurl", status, body)

    with pytest.raises(error):
        register_c2b(daraja, C2BVersion.V2, "600999", ADDRESSES)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://pay.example.com/c2b/00ff/confirmation", []),
        ("https://lipa-na-M-PESA.example.com/", ["m-pesa"]),
        ("https://Mpesa.example.com/?q=SQL", ["mpesa", "sql"]),
    ],
)
def test_words_that_safaricom_forbids_are_found_in_any_letter_case(url, words):
    assert forbidden_words(url) == words


# -- Pull --------------------------------------------------------------------------------------


def test_a_page_is_asked_for_in_nairobis_time(fake, daraja):
    path = "/pulltransactions/v1/query"
    answers(fake, path, 200, pull_answer(pull_row()))

    pulled = pull(daraja, TWO_DAYS)

    assert [each.receipt for each in pulled.page.told] == [RECEIPT]
    assert sent(fake) == (
        path,
        {
            "ShortCode": "600999",
            "StartDate": "2026-11-22 12:00:00",
            "EndDate": "2026-11-24 12:00:00",
            "OffSetValue": "100",
        },
    )


def test_a_page_of_a_thousand_payments_is_no_too_large_answer(fake, daraja):
    rows = [pull_row(transactionId=f"UKO{number:07}") for number in range(1, 1001)]
    answers(fake, "/pulltransactions/v1/query", 200, pull_answer(*rows))

    assert len(pull(daraja, TWO_DAYS).page.told) == 1000


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, refusal("401.002.01", "Invalid Access Token"), Refused),
        (500, refusal("500.003.02", "Spike Arrest Violation"), Refused),
        (500, refusal("500.001.1001", "System internal error."), NoAnswer),
        (200, b"<html>", NoAnswer),
        (200, {"msisdn": PAYER_MSISDN}, NoAnswer),
    ],
)
def test_what_is_no_page_is_an_error_without_people(fake, daraja, status, body, error):
    answers(fake, "/pulltransactions/v1/query", status, body)

    with pytest.raises(error) as raised:
        pull(daraja, TWO_DAYS)

    assert PAYER_MSISDN.encode() not in raised.value.body


def test_a_page_without_an_answer_is_none(fake, daraja):
    fake.script["/pulltransactions/v1/query"] = [fake.silence]

    with pytest.raises(NoAnswer):
        pull(daraja, TWO_DAYS, budget=0.5)


@pytest.mark.parametrize(
    "body",
    [
        {"ResponseRefID": "18633", "ResponseStatus": "1000", "ShortCode": "600999"},
        {"Response Status": "1001", "Response Description": "ShortCode already Registered"},
        {"ResponseCode": 0},
    ],
)
def test_pull_may_be_registered_again_and_in_every_spelling(fake, daraja, body):
    answers(fake, "/pulltransactions/v1/register", 200, body)

    register_pull(daraja, "600999", "254722000000", "https://pay.example/c2b/pull/validation")

    assert sent(fake)[1] == {
        "ShortCode": "600999",
        "RequestType": "Pull",
        "NominatedNumber": "254722000000",
        "CallBackURL": "https://pay.example/c2b/pull/validation",
    }


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, refusal("400.001", "Bad Request"), Refused),
        (200, {"ResponseStatus": "1002"}, UnknownOutcome),
        (500, b"", UnknownOutcome),
    ],
)
def test_what_does_not_register_pull_is_an_error(fake, daraja, status, body, error):
    answers(fake, "/pulltransactions/v1/register", status, body)

    with pytest.raises(error):
        register_pull(daraja, "600999", "254722000000", "https://pay.example/c2b/pull/validation")


# -- QR ----------------------------------------------------------------------------------------


def png(width: int = 300, height: int = 300) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    line = b"\0" + b"\xff" * ((width + 7) // 8)
    lines = zlib.compress(line * min(height, 4000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )


def drawn(picture: bytes, code: str = "00") -> dict[str, str]:
    return {
        "ResponseCode": code,
        "RequestID": "16738-27456357-1",
        "ResponseDescription": "QR Code Successfully Generated.",
        "QRCode": base64.b64encode(picture).decode(),
    }


@pytest.mark.parametrize("code", ["00", "AG_20191219_000043fdf61864fe9ff5"])
def test_a_code_is_drawn_for_account_and_amount(fake, daraja, code):
    path = "/mpesa/qrcode/v1/generate"
    answers(fake, path, 200, drawn(png(), code))

    assert draw_qr(daraja, QR) == png()
    assert sent(fake) == (
        path,
        {
            "MerchantName": "Duka la Mfano",
            "RefNo": "234567890",
            "Amount": 500,
            "TrxCode": "PB",
            "CPI": "600999",
            "Size": "300",
        },
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, drawn(b"<svg onload=alert(1)>")),
        (200, drawn(png()[:-1])),
        (200, drawn(png() + b"<script>")),
        (200, drawn(png().replace(b"IDAT", b"tEXt"))),
        (200, drawn(png(width=4000))),
        (200, drawn(b"\x89PNG\r\n\x1a\n" + b"\0" * 300_000 + b"IEND\xaeB`\x82")),
        (200, {**drawn(png()), "QRCode": "no base64"}),
        (200, {**drawn(png()), "QRCode": None}),
        (200, b"[]"),
        (500, drawn(png())),
        (400, refusal("400.002.05", "Invalid Request Payload")),
    ],
    ids=range(11),
)
def test_what_is_no_picture_is_never_taken_for_one(fake, daraja, status, body):
    answers(fake, "/mpesa/qrcode/v1/generate", status, body)

    with pytest.raises(NoAnswer):
        draw_qr(daraja, QR)


@pytest.mark.parametrize("length", [0, 8, 16, 20, 24])
def test_a_picture_that_is_cut_short_is_none(length):
    assert not is_png(png()[:length])
    assert not is_png(png()[:length] + b"IEND\xaeB`\x82")


# -- the certificate ---------------------------------------------------------------------------


def test_the_certificate_is_fetched_without_showing_who_asks(fake, daraja):
    fake.script["/certificate.cer"] = [reply(200, b"-----BEGIN CERTIFICATE-----")]

    assert daraja.certificate() == b"-----BEGIN CERTIFICATE-----"
    assert "Authorization" not in fake.asked[-1].headers


def test_without_a_certificate_nothing_was_sent(fake, daraja):
    fake.script["/certificate.cer"] = [reply(404, json.dumps({}).encode())]

    with pytest.raises(NotSent):
        daraja.certificate()
