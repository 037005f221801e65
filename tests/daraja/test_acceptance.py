"""What may have run is never taken for what did not, nor the other way about."""

import pytest

from mpesa.daraja import Refused, UnknownOutcome
from mpesa.daraja.acceptance import read_acceptance
from mpesa.domain.result_codes import Reason
from tests.daraja.fake_daraja import refusal
from tests.daraja.test_answers import FIREWALL, SPIKE_ARREST, answer

ACKNOWLEDGED = {
    "OriginatorConversationID": "4d1c-47ab-9e02-7b6f0a51c3de88121",
    "ConversationID": "AG_20261124_0100204kq7x0b3m9zr1t",
    "ResponseCode": "0",
    "ResponseDescription": "Accept the service request successfully.",
}
BUSY, MISCONFIGURED = Reason.SYSTEM_BUSY, Reason.MISCONFIGURED


def outcome(status, body):
    """The reason why it did not run, `None` for what may have run, else what was accepted."""
    try:
        return read_acceptance(answer(status, body))
    except Refused as refused:
        return refused.reason
    except UnknownOutcome:
        return None


def test_an_acknowledgement_is_read_with_its_ids():
    accepted = outcome(200, ACKNOWLEDGED)

    assert accepted.conversation_id == "AG_20261124_0100204kq7x0b3m9zr1t"
    assert accepted.originator_conversation_id == "4d1c-47ab-9e02-7b6f0a51c3de88121"


@pytest.mark.parametrize("code", ["0", 0, "00", "00000000"])
def test_noughts_alone_are_an_acknowledgement_even_without_ids(code):
    accepted = outcome(200, {"ResponseCode": code, "OriginatorCoversationID": "misspelt"})

    assert (accepted.conversation_id, accepted.originator_conversation_id) == (None, "misspelt")


# As the table of Daraja's refusals has them, in its order.
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, refusal("400.002.02", "Bad Request - Invalid InitiatorName"), MISCONFIGURED),
        (400, refusal("400.003.01", "Invalid Access Token"), MISCONFIGURED),
        (400, refusal("400.003.02", "Bad Request"), MISCONFIGURED),
        (400, refusal("400.002.05", "Invalid Request Payload"), MISCONFIGURED),
        (401, refusal("401.002.01", "Error Occurred - Invalid Access Token"), MISCONFIGURED),
        (401, refusal("401.003.01", "no apiproduct match found"), MISCONFIGURED),
        (403, refusal("403.002.1001", "You are not authorized"), MISCONFIGURED),
        (404, refusal("404.001.03", "Invalid Access Token"), MISCONFIGURED),
        (404, refusal("404.001.01", "Resource not found"), MISCONFIGURED),
        (405, refusal("405.001", "Method Not Allowed"), MISCONFIGURED),
        (500, refusal("500.003.02", "Error Occurred: Spike Arrest Violation"), BUSY),
        (500, refusal("500.003.03", "Error Occurred: Quota Violation"), BUSY),
        (429, refusal("500.003.02", "Error Occurred: Spike Arrest Violation"), BUSY),
        (429, SPIKE_ARREST, BUSY),
        (500, SPIKE_ARREST, BUSY),
    ],
)
def test_what_did_not_run_is_refused(status, body, reason):
    assert outcome(status, body) is reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, refusal("403.002.1001", "You are not authorized")),
        (500, refusal("500.002.1001", "Duplicate OriginatorConversationID.")),
        *((500, refusal(f"500.00{n}.1001", "System internal error.")) for n in (1, 2, 3)),
        (500, b"Service is temporarily unavailable. Please try again later"),
        (503, refusal("500.003.02", "Error Occurred: Spike Arrest Violation")),
        (502, refusal("400.002.02", "Bad Request - Invalid Amount")),
        (504, FIREWALL),
        (403, FIREWALL),
        (404, b""),
        (400, {"error": "of an unknown form"}),
        (409, refusal("409.001", "Conflict")),
        (200, FIREWALL),
        (200, b"[]"),
        (200, {}),
        (200, {**ACKNOWLEDGED, "ResponseCode": "1"}),
        (200, {**ACKNOWLEDGED, "ResponseCode": False}),
        (200, {**ACKNOWLEDGED, "ResponseCode": ""}),
        (200, refusal("400.002.02", "Bad Request - Invalid Amount")),
        (201, ACKNOWLEDGED),
        (302, ACKNOWLEDGED),
    ],
)
def test_what_may_have_run_is_unknown(status, body):
    assert outcome(status, body) is None


def test_a_refusal_names_the_field_and_repeats_nothing():
    body = refusal("400.002.02", "Bad Request - Invalid RecieverIdentifierType 254712345678")

    with pytest.raises(Refused) as refused:
        read_acceptance(answer(400, body))

    assert "RecieverIdentifierType" in str(refused.value)
    assert "254712345678" not in str(refused.value)
