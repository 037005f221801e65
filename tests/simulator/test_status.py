import queue
import re

import pytest

from tests.simulator.shop import PAYER, parameters_of


@pytest.fixture
def quick(shop):
    shop.organise(result_after=0)
    return shop


def test_a_receipt_is_told_with_payer_payee_amount_and_times_but_no_account(quick):
    receipt = quick.pay().json["receipt"]

    quick.ask_status(receipt)

    result = quick.next_result()
    told = parameters_of(result)
    assert result["TransactionID"] == f"{receipt[:3]}0000000"
    assert (told["ReceiptNo"], told["Amount"]) == (receipt, 500.0)
    assert (told["TransactionStatus"], told["ReasonType"]) == ("Completed", "Pay Utility")
    assert re.fullmatch(rf"{PAYER} - [A-Z ]+", told["DebitPartyName"])
    assert told["CreditPartyName"] == "174379 - DUKA LA MFANO   "
    assert re.fullmatch("20[0-9]{12}", str(told["FinalisedTime"]))
    assert told["OriginatorConversationID"] is None
    assert "234567890" not in str(told)


def test_a_pushs_receipt_is_told_as_well(quick):
    quick.script(answer="pay")
    quick.push()
    quick.next_callback()

    quick.ask_status(quick.get("/ledger")[0]["receipt"])

    assert parameters_of(quick.next_result())["Amount"] == 150.0


def test_a_payment_to_a_till_names_the_till(quick):
    receipt = quick.pay(short_code="5174380", account=None).json["receipt"]

    quick.ask_status(receipt)

    told = parameters_of(quick.next_result())
    assert told["CreditPartyName"].startswith("5174380 - ")
    assert told["ReasonType"] == "Pay Merchant"


def test_somebody_elses_receipt_is_told_too(quick):
    receipt = quick.pay(short_code="247247").json["receipt"]

    quick.ask_status(receipt)

    assert parameters_of(quick.next_result())["CreditPartyName"] == "247247 - DUKA JINGINE   "


@pytest.mark.parametrize(
    "asked", [{}, {"TransactionID": "", "OriginalConversationID": "4d1c-47ab"}]
)
def test_an_unknown_receipt_is_2032(quick, asked):
    quick.ask_status("UKO1ABCDEF", **asked)

    assert quick.next_result()["ResultCode"] == 2032


def test_an_organisation_that_is_not_ours_may_not_ask(quick):
    quick.ask_status("UKO1ABCDEF", PartyA="247247")

    assert quick.next_result()["ResultCode"] == "SFC_IC0003"


def test_a_receipt_may_be_found_at_the_second_question_only(quick):
    quick.organise(status="not_found_first")
    receipt = quick.pay().json["receipt"]

    codes = []
    for _ in range(2):
        quick.ask_status(receipt)
        codes.append(quick.next_result()["ResultCode"])

    assert codes == [2032, 0]


def test_status_may_stay_silent(quick):
    quick.organise(status="silent")

    assert quick.ask_status(quick.pay().json["receipt"]).status_code == 200

    with pytest.raises(queue.Empty):
        quick.callbacks.get(timeout=0.2)


def test_status_may_name_another_merchant(quick):
    quick.organise(status="foreign_party")

    quick.ask_status(quick.pay().json["receipt"])

    assert parameters_of(quick.next_result())["CreditPartyName"].startswith("247247 - ")


def test_what_did_not_go_back_is_completed_even_where_status_tells_of_reversals(quick):
    quick.organise(status="reversed")

    quick.ask_status(quick.pay().json["receipt"])

    assert parameters_of(quick.next_result())["TransactionStatus"] == "Completed"
