"""What the APIs of API users share, tried with Transaction Status."""

import json
import queue
import re
from base64 import b64decode, b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256

from mpesa.simulator.simulator import Timing
from tests.simulator.shop import RESULT_URL, TIMEOUT_URL, Shop, parameters_of


@pytest.fixture
def quick(shop):
    """A shop that gets results at once, with the receipt of a payment."""
    shop.organise(result_after=0)
    shop.receipt = shop.pay().json["receipt"]
    return shop


def is_silent(shop):
    with pytest.raises(queue.Empty):
        shop.callbacks.get(timeout=0.2)
    return True


def said(answer):
    return answer.status_code, answer.json["errorCode"], answer.json["errorMessage"]


def asked(shop, **changes):
    """The result's code, once a status was asked for."""
    assert shop.ask_status(shop.receipt, **changes).status_code == 200
    return shop.next_result()["ResultCode"]


# -- the acknowledgement and the result ----------------------------------------------------------


def test_a_request_is_acknowledged_in_strings_and_the_result_has_its_ids(quick):
    told = quick.ask_status(quick.receipt).json

    result = quick.next_result()
    assert re.fullmatch(r"AG_20[0-9]{6}_[a-z0-9]{20}", told["ConversationID"])
    assert told == {
        "OriginatorConversationID": result["OriginatorConversationID"],
        "ConversationID": result["ConversationID"],
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }


@pytest.mark.parametrize(
    ("mode", "times"), [("once", 1), ("twice", 2), ("never", 0), ("before_ack", 1)]
)
def test_a_result_comes_as_often_as_it_is_told_to(quick, mode, times):
    quick.organise(result=mode)

    quick.ask_status(quick.receipt)

    results = [quick.next_result() for _ in range(times)]
    assert is_silent(quick)
    assert all(result == results[0] for result in results)


def test_a_result_may_overtake_the_acknowledgement(quick):
    quick.organise(result="before_ack")

    quick.ask_status(quick.receipt)

    assert quick.told[-1] == RESULT_URL
    assert not quick.callbacks.empty()


def test_a_result_waits_as_long_as_it_is_told_to(quick):
    quick.organise(result_after=0.3)

    quick.ask_status(quick.receipt)

    assert is_silent(quick)
    assert quick.next_result()["ResultCode"] == 0


def test_a_late_result_waits_longer():
    shop = Shop(timing=Timing(late=0.3, acknowledgement=0.02))
    shop.organise(result="late", result_after=0)
    shop.ask_status(shop.pay().json["receipt"])

    assert is_silent(shop)
    assert shop.next_result()["ResultCode"] == 0


def test_the_gateway_may_fail_although_the_request_ran(quick):
    quick.organise(result="error_500_after")

    answer = quick.ask_status(quick.receipt)

    assert said(answer)[:2] == (500, "500.003.1001")
    assert quick.next_result()["ResultCode"] == 0


def test_a_request_may_end_at_the_timeout_address(quick):
    quick.organise(result="timeout")

    told = quick.ask_status(quick.receipt).json

    url, body, _ = quick.callbacks.get(timeout=5)
    result = json.loads(body)["Result"]
    assert url == TIMEOUT_URL
    assert (result["ResultType"], result["ResultCode"]) == (1, "1")
    assert result["ConversationID"] == told["ConversationID"]
    assert is_silent(quick)


def test_odd_timeouts_have_any_body(quick):
    quick.organise(result="timeout", shapes="odd")
    for _ in range(30):
        quick.ask_status(quick.receipt)

    bodies = {quick.callbacks.get(timeout=5)[1][:6] for _ in range(30)}

    assert bodies == {b"", b'{"Orig', b"<html>"}


# -- API users -----------------------------------------------------------------------------------


def test_the_certificate_is_the_same_in_each_process_and_has_a_key_of_2048_bits(shop):
    first, second = (each.http.get("/certificate.cer") for each in (shop, Shop()))

    found = x509.load_pem_x509_certificate(first.data)
    assert first.data == second.data
    assert found.public_key().key_size == 2048
    assert len(shop.sealed()) == 344


def test_one_credential_is_good_for_many_requests(quick):
    credential = quick.sealed()

    assert [asked(quick, credential=credential) for _ in range(4)] == [0] * 4


def unsealed(_):
    return b64encode(b"Simulator#1").decode()


def other_padding(shop):
    return shop.sealed(scheme=OAEP(MGF1(SHA256()), SHA256(), None))


def cut_short(shop):
    return b64encode(b64decode(shop.sealed())[:-1]).decode()


@pytest.mark.parametrize(
    "credential",
    [unsealed, other_padding, cut_short, lambda _: "?", lambda shop: shop.sealed("simulator#1")],
)
def test_a_wrong_password_or_padding_fails_and_the_third_locks(quick, credential):
    wrong = credential(quick)

    codes = [asked(quick, credential=wrong) for _ in range(3)]

    assert codes == [2001, 2001, 8006]
    assert asked(quick) == 8006


def test_a_right_password_forgets_the_wrong_ones(quick):
    wrong = quick.sealed("wrong")

    codes = [asked(quick, credential=each) for each in (wrong, wrong, None, wrong, wrong)]

    assert codes == [2001, 2001, 0, 2001, 2001]


def test_an_administrator_unlocks(quick):
    for _ in range(3):
        asked(quick, credential=quick.sealed("wrong"))

    quick.organise(initiator="valid")

    assert asked(quick) == 0


def test_one_api_users_lock_leaves_the_other_alone(quick):
    for _ in range(3):
        asked(quick, credential=quick.sealed("wrong"), initiator="refund_api")

    assert asked(quick) == 0


def test_nobody_knows_another_name(quick):
    assert asked(quick, initiator="testapi") == 2001


def test_the_user_who_gives_back_may_not_ask(quick):
    assert asked(quick, initiator="refund_api") == 21


@pytest.mark.parametrize(
    ("initiator", "code"), [("wrong", 2001), ("locked", 8006), ("no_role", 21)]
)
def test_api_users_may_be_made_to_fail(quick, initiator, code):
    quick.organise(initiator=initiator)

    assert asked(quick) == code


def test_the_same_lack_of_a_role_has_two_codes(quick):
    quick.organise(shapes="odd")

    assert asked(quick, initiator="refund_api") == "TP40153"


# -- shapes --------------------------------------------------------------------------------------


def test_a_failure_has_a_placeholder_for_a_receipt_and_no_parameters(quick):
    quick.organise(initiator="wrong")
    quick.ask_status(quick.receipt)

    result = quick.next_result()

    assert "ResultParameters" not in result
    assert result["TransactionID"] == f"{quick.receipt[:3]}0000000"
    assert (result["ResultType"], result["ReferenceData"]["ReferenceItem"]["Key"]) == (
        *(0, "QueueTimeoutURL"),
    )


def test_odd_results_have_strings_lists_and_a_lone_object(quick):
    quick.organise(shapes="odd")
    quick.ask_status(quick.receipt)
    success = quick.next_result()
    quick.ask_status("UKO0000000")
    failure = quick.next_result()

    names = [item["Key"] for item in success["ResultParameters"]["ResultParameter"]]
    assert (success["ResultCode"], failure["ResultCode"]) == ("0", "2032")
    assert names.count("DebitPartyName") == 2
    assert parameters_of(success)["Amount"] == "500.00"
    assert isinstance(success["ReferenceData"]["ReferenceItem"], list)
    assert failure["ResultParameters"]["ResultParameter"]["Key"] == "BOCompletedTime"


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"initiator": ""}, "InitiatorName"),
        ({"credential": " "}, "SecurityCredential"),
        ({"CommandID": "TransactionStatus"}, "CommandID"),
        ({"TransactionID": ""}, "TransactionID"),
        ({"PartyA": "shop"}, "PartyA"),
        ({"IdentifierType": "11"}, "IdentifierType"),
        ({"ResultURL": "shop"}, "ResultURL"),
        ({"QueueTimeOutURL": None}, "QueueTimeOutURL"),
        ({"Remarks": ""}, "Remarks"),
        ({"Remarks": "a" * 101}, "Remarks"),
    ],
)
def test_a_wrong_field_is_named(quick, changes, field):
    refused = quick.ask_status(quick.receipt, **changes)

    assert said(refused) == (400, "400.002.02", f"Bad Request - Invalid {field}")


def test_another_content_type_is_blamed_on_the_initiator(quick):
    refused = quick.http.post(
        "/mpesa/transactionstatus/v1/query", data="{}", headers=quick.bearer()
    )

    assert said(refused)[2] == "Bad Request - Invalid InitiatorName"
