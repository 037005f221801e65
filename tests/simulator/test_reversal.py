"""Money that goes back: by Reversal, at the portal, and what a sweep leaves for it."""

import re

import pytest

from tests.simulator.shop import PAYER, parameters_of


@pytest.fixture
def shop(shop):
    shop.organise(result_after=0)
    shop.receipt = shop.pay().json["receipt"]
    return shop


def code_of(shop, receipt=None, **changes):
    """The result's code, once a reversal was asked for."""
    assert shop.reverse(receipt or shop.receipt, **changes).status_code == 200
    return shop.next_result()["ResultCode"]


def said(answer):
    return answer.status_code, answer.json["errorCode"], answer.json["errorMessage"]


# -- Reversal ------------------------------------------------------------------------------------


def test_a_reversal_gives_the_payer_his_money_and_has_a_receipt_of_its_own(shop):
    shop.reverse(shop.receipt)

    result = shop.next_result()
    paid, back = shop.get("/ledger")
    assert (result["ResultCode"], result["TransactionID"]) == (0, back["receipt"])
    assert paid["returned_by"] == back["receipt"]
    assert (back["direction"], back["channel"], back["reverses"]) == ("out", "api", shop.receipt)
    assert back["receipt"] != shop.receipt
    assert shop.get(f"/lines/{PAYER}")["balance"] == 50_000


def test_the_result_tells_amount_original_and_both_parties(shop):
    shop.reverse(shop.receipt)

    told = parameters_of(shop.next_result())

    assert (told["OriginalTransactionID"], told["Amount"]) == (shop.receipt, 500.0)
    assert told["DebitAccountBalance"] == "Utility Account|KES|9997.25|9997.25|0.00|0.00"
    assert re.fullmatch(rf"{PAYER} - [A-Z ]+", told["CreditPartyPublicName"])
    assert told["DebitPartyPublicName"] == "174379 - DUKA LA MFANO"


def test_the_payer_gets_an_sms(shop):
    shop.reverse(shop.receipt)
    shop.next_result()

    text = shop.get(f"/lines/{PAYER}")["messages"][-1]["text"]

    assert f"Transaction {shop.receipt} has been reversed" in text
    assert "New M-PESA balance is Ksh50,000.00" in text


def test_a_pushs_money_goes_back_as_well(shop):
    shop.script(answer="pay")
    shop.push()
    shop.next_callback()

    assert code_of(shop, shop.get("/ledger")[-1]["receipt"], amount=150) == 0


def test_money_goes_back_from_a_tills_own_account(shop):
    receipt = shop.pay(short_code="5174380", account=None).json["receipt"]

    shop.reverse(receipt, ReceiverParty="174380")

    told = parameters_of(shop.next_result())
    assert told["DebitAccountBalance"].startswith("Merchant Account|KES|9997.25")


def test_a_payment_goes_back_once(shop):
    assert [code_of(shop) for _ in range(2)] == [0, "R000001"]
    assert len(shop.get("/ledger")) == 2


@pytest.mark.parametrize(("amount", "code"), [(499, 2), (501, 3)])
def test_another_amount_is_refused(shop, amount, code):
    assert code_of(shop, amount=amount) == code
    assert len(shop.get("/ledger")) == 1


def test_an_unknown_receipt_is_refused(shop):
    assert code_of(shop, "UKO1ABCDEF") == "R000002"


def test_a_reversal_is_not_reversed(shop):
    code_of(shop)

    assert code_of(shop, shop.get("/ledger")[1]["receipt"]) == "R000002"


@pytest.mark.parametrize("number", ["247247", "600999"])
def test_what_somebody_else_was_paid_is_not_ours_to_give_back(shop, number):
    receipt = shop.pay(short_code=number).json["receipt"]

    assert code_of(shop, receipt) == "R000002"


def test_a_swept_account_has_too_little(shop):
    shop.http.post("/sweep")

    assert code_of(shop) == 1
    shop.organise(float=500)
    assert code_of(shop) == 0


def test_the_user_who_only_asks_moves_nothing(shop):
    assert code_of(shop, initiator="status_api") == 21
    assert len(shop.get("/ledger")) == 1


@pytest.mark.parametrize("result", ["never", "timeout", "error_500_after"])
def test_money_goes_back_whether_or_not_the_result_is_told(shop, result):
    shop.organise(result=result)

    shop.reverse(shop.receipt)

    assert shop.get("/ledger")[0]["returned_by"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"TransactionID": ""}, "TransactionID"),
        ({"Amount": "1.5"}, "Amount"),
        ({"ReceiverParty": "shop"}, "ReceiverParty"),
        ({"RecieverIdentifierType": "1"}, "RecieverIdentifierType"),
        (
            {"RecieverIdentifierType": None, "ReceiverIdentifierType": "11"},
            "RecieverIdentifierType",
        ),
        ({"CommandID": "Reversal"}, "CommandID"),
        ({"QueueTimeOutURL": ""}, "QueueTimeOutURL"),
    ],
)
def test_a_wrong_field_is_named_and_the_right_spelling_is_wrong(shop, changes, field):
    refused = shop.reverse(shop.receipt, **changes)

    assert said(refused) == (400, "400.002.02", f"Bad Request - Invalid {field}")


# -- the portal ----------------------------------------------------------------------------------


def test_others_may_give_a_payment_back_and_nobody_is_told(shop):
    answer = shop.give_back(shop.receipt)

    paid, back = shop.get("/ledger")
    assert answer.status_code == 201
    assert answer.json == {"receipt": back["receipt"], "paid_at": back["paid_at"]}
    assert (back["channel"], paid["returned_by"]) == ("portal", back["receipt"])
    assert shop.told == []
    assert code_of(shop) == "R000001"


def test_a_part_may_go_back_at_the_portal_and_returns_the_payment_with_the_rest(shop):
    shop.give_back(shop.receipt, amount=200)
    after_a_part = shop.get("/ledger")[0]["returned_by"]
    rest = shop.give_back(shop.receipt).json["receipt"]

    paid, part, whole = shop.get("/ledger")
    assert (after_a_part, paid["returned_by"]) == (None, rest)
    assert (part["amount"], whole["amount"]) == (200, 300)


@pytest.mark.parametrize(
    ("wishes", "status", "code"),
    [
        ({"receipt": "UKO1ABCDEF"}, 404, "not_found"),
        ({"amount": 501}, 409, "too_much"),
        ({"amount": 0}, 400, "invalid_request"),
        ({"receipt": ""}, 400, "invalid_request"),
        ({"linked": "no"}, 400, "invalid_request"),
    ],
)
def test_the_portal_says_why_it_does_not(shop, wishes, status, code):
    answer = shop.give_back(**{"receipt": shop.receipt} | wishes)

    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_the_portal_has_no_money_either_after_a_sweep(shop):
    shop.http.post("/sweep")

    assert shop.give_back(shop.receipt).json["code"] == "insufficient_funds"


def test_a_payment_goes_back_once_at_the_portal_too(shop):
    shop.give_back(shop.receipt)

    assert shop.give_back(shop.receipt).json["code"] == "already_reversed"


def test_a_sweep_tells_what_each_organisation_sent_to_its_bank(shop):
    swept = shop.http.post("/sweep").json

    assert [(each["short_code"], each["amount"]) for each in swept] == [("174379", "10497.25")]
    assert shop.http.post("/sweep").json == []


# -- Transaction Status, afterwards --------------------------------------------------------------


@pytest.mark.parametrize(("status", "told"), [("normal", "Completed"), ("reversed", "Reversed")])
def test_status_may_say_that_a_payment_went_back(shop, status, told):
    shop.organise(status=status)
    shop.give_back(shop.receipt)

    shop.ask_status(shop.receipt)

    assert parameters_of(shop.next_result())["TransactionStatus"] == told


def test_status_tells_of_a_reversal_from_the_organisation_to_the_payer(shop):
    receipt = shop.give_back(shop.receipt).json["receipt"]

    shop.ask_status(receipt)

    told = parameters_of(shop.next_result())
    assert told["DebitPartyName"].startswith("174379 - ")
    assert told["CreditPartyName"].startswith(PAYER)
    assert told["ReasonType"] == "Pay Utility Reversal"
