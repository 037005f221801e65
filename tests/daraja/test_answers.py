"""Every answer that is known of Daraja, and what it means."""

import json

import pytest

from mpesa.daraja import NoAnswer, NotSent, Refused, UnknownOutcome
from mpesa.daraja.answers import (
    Answer,
    read_push,
    read_query,
    read_token,
    says_token_is_dead,
)
from mpesa.domain.result_codes import Reason
from tests.daraja.fake_daraja import ACCEPTED, PAID, refusal

FIREWALL = b"<html><body>Request unsuccessful. Incapsula incident ID: 1-2</body></html>"
SPIKE_ARREST = {
    "fault": {
        "faultstring": "Spike arrest violation. Allowed rate : MessageRate{capacity=5}",
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
}


def answer(status, body):
    return Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())


# What the payer gave, as Daraja and its gateways have written it.
PAYERS = (
    "Bad Request - Invalid PhoneNumber",
    "Bad Request - Invalid PartyA",
    "BAD REQUEST - INVALID PHONENUMBER",
    "Bad Request - Invalid Phone Number",
    "Invalid phone number",
    "invalid phone_number format",
    "Invalid MSISDN",
    "Invalid phone",
    "The PhoneNumber is required",
    "Phone number invalid. Try again",
)
# What comes from the merchant's settings, or from us.
MERCHANTS = (
    *(
        f"Bad Request - Invalid {name}"
        for name in (
            "BusinessShortCode",
            "Timestamp",
            "Password",
            "TransactionType",
            "Amount",
            "PartyB",
            "CallBackURL",
            "AccountReference",
            "Remarks",
            "TransactionDesc",
            "Initiator",
        )
    ),
    "bad request - invalid callbackurl",
    "Invalid Call Back URL",
    "Invalid Business Short Code",
    "Invalid Access Token",
    "Invalid ShortCode for this PhoneNumber",
    "CallBackURL is required",
    "Invalid OrgSettings",
)
NO_FIELD = (
    "Bad Request",
    "Bad Request - Invalid",
    "Invalid Request",
    "Invalid Request Payload",
    "Missing ICCID value in request",
    "",
)
INVALID_FIELDS = [
    (400, refusal("400.002.02", text), reason)
    for texts, reason in (
        (PAYERS, Reason.PUSH_REFUSED),
        (MERCHANTS, Reason.MISCONFIGURED),
        (NO_FIELD, Reason.PUSH_REFUSED),
    )
    for text in texts
]
REFUSALS = [
    *INVALID_FIELDS,
    (400, refusal("400.002.05", "Invalid Request Payload"), Reason.PUSH_REFUSED),
    (400, {"message": "no"}, Reason.PUSH_REFUSED),
    (400, {"errorCode": "400.002.02", "errorMessage": None}, Reason.PUSH_REFUSED),
    (400, refusal("400.003.01", "Invalid Access Token"), Reason.MISCONFIGURED),
    (404, refusal("404.001.03", "Invalid Access Token"), Reason.MISCONFIGURED),
    (
        401,
        refusal("401.003.01", "Error Occurred - Invalid Access Token - Invalid API call"),
        Reason.MISCONFIGURED,
    ),
    (404, refusal("404.001.01", "Resource not found"), Reason.MISCONFIGURED),
    (404, refusal("404.003.01", "Resource not found"), Reason.MISCONFIGURED),
    (404, refusal("404.001.04", "Invalid Authentication Header"), Reason.MISCONFIGURED),
    (405, refusal("405.001", "Method Not Allowed"), Reason.MISCONFIGURED),
    (401, {"message": "no"}, Reason.MISCONFIGURED),
    (403, {"message": "no"}, Reason.MISCONFIGURED),
    (500, refusal("500.001.1001", "Wrong credentials"), Reason.MISCONFIGURED),
    (
        500,
        refusal("500.001.1001", "[MerchantValidate] - Wrong credentials"),
        Reason.MISCONFIGURED,
    ),
    (500, refusal("500.001.1001", "Merchant does not exist"), Reason.MISCONFIGURED),
    (
        400,
        refusal("400.002.02", "Merchant not allowed to carry out transaction type X"),
        Reason.MISCONFIGURED,
    ),
    (
        500,
        refusal(
            "500.001.1001",
            "Unable to lock subscriber, a transaction is already in process",
        ),
        Reason.LINE_BUSY,
    ),
    (500, refusal("500.001.1001", "DUPLICATED MSISDN"), Reason.LINE_BUSY),
    (500, refusal("500.001.1001", "There is an existing USSD Session"), Reason.LINE_BUSY),
    (500, refusal("500.003.02", "System is busy. Please try again."), Reason.SYSTEM_BUSY),
    (
        500,
        refusal("500.003.02", "Error Occurred: Spike Arrest Violation"),
        Reason.SYSTEM_BUSY,
    ),
    (500, refusal("500.003.03", "Quota Violation"), Reason.SYSTEM_BUSY),
    (429, SPIKE_ARREST, Reason.SYSTEM_BUSY),
]
UNCLEAR = [
    (500, refusal("500.003.1001", "Internal Server Error")),
    (500, refusal("500.001.1001", "Internal Server Error")),
    (500, refusal("500.001.1001", "The transaction is being processed")),
    (500, refusal("404.001.03", "Invalid Access Token")),
    (500, SPIKE_ARREST),
    (500, b""),
    (502, b"Bad Gateway"),
    (503, FIREWALL),
    (503, {"message": "unavailable"}),
    (400, FIREWALL),
    (400, b""),
    (401, FIREWALL),
    (403, FIREWALL),
    (404, FIREWALL),
    (405, b"Method Not Allowed"),
    (429, FIREWALL),
    (429, b'["spike arrest"]'),
    (400, json.dumps(refusal("400.002.02", "Bad Request"))[:-5].encode()),
    (400, b"[" * 60_000),
    (408, {"message": "request timeout"}),
    (201, ACCEPTED),
    (302, {"message": "moved"}),
    (200, FIREWALL),
    (200, b""),
    (200, {}),
    (200, refusal("500.001.1001", "Unable to lock subscriber")),
    (200, {**ACCEPTED, "ResponseCode": "1"}),
    (200, {**ACCEPTED, "ResponseCode": ""}),
    (200, {**ACCEPTED, "ResponseCode": None}),
    (200, {**ACCEPTED, "ResponseCode": False}),
    (200, {**ACCEPTED, "ResponseCode": 0.0}),
    (200, {**ACCEPTED, "CheckoutRequestID": ""}),
    (200, {**ACCEPTED, "CheckoutRequestID": None}),
    (200, {**ACCEPTED, "CheckoutRequestID": "x" * 200}),
    (200, {**ACCEPTED, "MerchantRequestID": 5}),
]


@pytest.mark.parametrize("code", ["0", 0])
def test_an_accepted_push_has_its_ids(code):
    accepted = read_push(answer(200, {**ACCEPTED, "ResponseCode": code}))

    assert accepted.merchant_request_id == ACCEPTED["MerchantRequestID"]
    assert accepted.checkout_request_id == ACCEPTED["CheckoutRequestID"]


@pytest.mark.parametrize(("status", "body", "reason"), REFUSALS)
def test_a_clear_no_is_a_refusal(status, body, reason):
    with pytest.raises(Refused) as refused:
        read_push(answer(status, body))

    assert refused.value.reason is reason


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
def test_whatever_is_neither_yes_nor_no_leaves_the_push_unknown(status, body):
    with pytest.raises(UnknownOutcome):
        read_push(answer(status, body))


@pytest.mark.parametrize(
    ("status", "code", "dead"),
    [
        (404, "404.001.03", True),
        (401, "401.003.01", True),
        (400, "400.003.01", True),
        (404, "404.001.01", False),
        (500, "404.001.03", False),
        (200, "404.001.03", False),
    ],
)
def test_only_the_gateways_own_words_say_that_a_token_is_dead(status, code, dead):
    assert says_token_is_dead(answer(status, refusal(code, "Invalid Access Token"))) is dead


@pytest.mark.parametrize("code", ["0", "1032", "4999", "2029", "SFC_IC0003", 1037])
def test_a_query_passes_on_every_code_as_text(code):
    result = read_query(answer(200, {**PAID, "ResultCode": code}))

    assert result.result_code == str(code)
    assert result.checkout_request_id == PAID["CheckoutRequestID"]


def test_a_query_may_leave_out_the_ids():
    result = read_query(answer(200, {"ResponseCode": "0", "ResultCode": "1032"}))

    assert (result.merchant_request_id, result.checkout_request_id) == (None, None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, refusal("500.001.1001", "The transaction is being processed")),
        (400, refusal("400.002.02", "Bad Request - Invalid CheckoutRequestID")),
        (500, refusal("500.001.1001", "The transaction does not Exist")),
        (500, refusal("500.001.1001", "Wrong credentials")),
        (404, refusal("404.001.03", "Invalid Access Token")),
        (429, SPIKE_ARREST),
        (503, FIREWALL),
        (403, FIREWALL),
        (400, b""),
        (200, FIREWALL),
        (200, {**PAID, "ResponseCode": "1"}),
        (200, {**PAID, "ResultCode": None}),
        (200, {**PAID, "ResultCode": False}),
        (200, {**PAID, "ResultCode": ""}),
        (200, {**PAID, "ResultCode": 0.0}),
        (500, PAID),
    ],
)
def test_a_query_without_a_result_is_no_answer(status, body):
    with pytest.raises(NoAnswer):
        read_query(answer(status, body))


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        ("3599", 3599),
        (3599, 3599),
        (120, 120),
        *((unreadable, 3599) for unreadable in ("soon", None, 0, -5, True, "٣٥", 35.5)),
    ],
)
def test_a_lifetime_is_a_number_or_text_or_the_usual_one(expires_in, seconds):
    token = read_token(answer(200, {"access_token": "abc", "expires_in": expires_in}))

    assert (token.value, token.expires_in) == ("abc", seconds)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b"", Reason.MISCONFIGURED),
        (400, refusal("400.008.01", "Invalid Authentication passed"), Reason.MISCONFIGURED),
        (400, refusal("400.008.02", "Invalid grant type passed"), Reason.MISCONFIGURED),
        (401, b"", Reason.MISCONFIGURED),
        (403, {"message": "no"}, Reason.MISCONFIGURED),
        (403, FIREWALL, Reason.SYSTEM_BUSY),
        (503, FIREWALL, Reason.SYSTEM_BUSY),
        (400, FIREWALL, Reason.SYSTEM_BUSY),
        (500, refusal("500.003.1001", "Internal Server Error"), Reason.SYSTEM_BUSY),
        (429, SPIKE_ARREST, Reason.SYSTEM_BUSY),
        (302, b"", Reason.SYSTEM_BUSY),
        (200, FIREWALL, Reason.SYSTEM_BUSY),
        (200, {"access_token": ""}, Reason.SYSTEM_BUSY),
        (200, {"access_token": 5}, Reason.SYSTEM_BUSY),
        (200, {"access_token": "a\r\nX: y"}, Reason.SYSTEM_BUSY),
    ],
)
def test_no_token_means_not_sent(status, body, reason):
    with pytest.raises(NotSent) as not_sent:
        read_token(answer(status, body))

    assert not_sent.value.reason is reason


def test_an_error_keeps_the_first_500_bytes_without_the_token():
    body = b'{"access_token": "very-secret", "x": "' + b"y" * 1000

    with pytest.raises(NotSent) as not_sent:
        read_token(answer(200, body))

    assert not_sent.value.body.startswith(b'{"access_token": "[token]"')
    assert len(not_sent.value.body) == 500


def test_an_error_text_has_the_code_but_nothing_that_the_answer_says():
    with pytest.raises(Refused) as refused:
        read_push(answer(400, refusal("400.002.02", "Invalid PhoneNumber 254712345678")))

    told = "push refused: Daraja answered HTTP 400 with 400.002.02 (PhoneNumber)"
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("invalid call back url https://shop.example/abc123", "(CallBackURL)"),
        ("Invalid bfb279f9aa9bdbcf", "(a field that we do not know)"),
    ],
)
def test_an_error_text_names_the_field_in_our_own_words(text, named):
    with pytest.raises(Refused) as refused:
        read_push(answer(400, refusal("400.002.02", text)))

    assert str(refused.value).endswith(f"400.002.02 {named}")


def test_an_error_code_that_is_none_is_not_repeated():
    with pytest.raises(Refused) as refused:
        read_push(answer(400, refusal("254712345678", "no")))

    assert "2547" not in str(refused.value)


def test_an_id_with_the_payers_number_is_not_shown_by_repr():
    shown = repr((read_push(answer(200, ACCEPTED)), read_query(answer(200, PAID))))

    assert "ws_CO" not in shown
