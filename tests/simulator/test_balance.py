import pytest

from tests.simulator.shop import RESULT_URL, TIMEOUT_URL, parameters_of


def ask(shop, initiator="status_api", credential=None, **changes):
    body = {
        "Initiator": initiator,
        "SecurityCredential": credential or shop.sealed(),
        "CommandID": "AccountBalance",
        "PartyA": "174379",
        "IdentifierType": "4",
        "Remarks": "Look",
        "QueueTimeOutURL": TIMEOUT_URL,
        "ResultURL": RESULT_URL,
    }
    shop.organise(result_after=0)
    shop.call("/mpesa/accountbalance/v1/query", body | changes)
    return shop.next_result()


def accounts(shop, **changes):
    told = parameters_of(ask(shop, **changes))["AccountBalance"]
    rows = [account.split("|") for account in told.split("&")]
    assert {len(row) for row in rows} == {6}
    return {row[0]: row[2] for row in rows}


def test_every_account_is_told_with_its_money(shop):
    assert accounts(shop) == {
        "Working Account": "0.00",
        "Utility Account": "10000.00",
        "Charges Paid Account": "0.00",
        "Merchant Account": "10000.00",
        "Organization Settlement Account": "0.00",
    }


def test_a_payment_raises_the_account_that_takes_it_less_its_charge(shop):
    shop.pay(amount=500)
    shop.pay(amount=200, short_code="5174380", account=None)

    assert accounts(shop)["Utility Account"] == "10497.25"
    assert accounts(shop, PartyA="174380")["Merchant Account"] == "10200.00"


def test_what_an_account_holds_can_be_set_and_the_rest_goes_to_settlement(shop):
    shop.pay(amount=200)

    shop.organise(float=100)

    held = accounts(shop)
    assert (held["Utility Account"], held["Organization Settlement Account"]) == (
        *("100.00", "10100.00"),
    )


def test_the_code_is_a_string(shop):
    assert ask(shop)["ResultCode"] == "0"


@pytest.mark.parametrize("initiator", ["status_api", "refund_api"])
def test_both_api_users_may_look(shop, initiator):
    assert ask(shop, initiator=initiator)["ResultCode"] == "0"


def test_a_locked_user_is_told_so_in_parameters_that_end_with_a_blank(shop):
    shop.organise(initiator="locked")

    result = ask(shop)

    assert result["ResultCode"] == 8006
    assert parameters_of(result)["ErrorMsg"].endswith("locked. ")


def test_a_stranger_may_not_look(shop):
    assert ask(shop, PartyA="247247")["ResultCode"] == "SFC_IC0003"
