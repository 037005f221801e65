"""flask receipts: what it prints, refuses and keeps to itself."""

import json

import pytest

from mpesa import operators
from mpesa.domain.roles import Role
from tests.factories import RECEIPT

SECOND = "UKO2GHIJKL"
PASSWORD = "correct horse battery"


@pytest.fixture
def flask(app, shop):
    """Run a command in the application; `typed` is its standard input."""
    with shop.sessions() as session:
        operators.add(session, "Wanjiku", PASSWORD, shop.now())

    def run(*arguments, typed=f"{PASSWORD}\n"):
        return app.test_cli_runner().invoke(args=["receipts", *arguments], input=typed)

    return run


def claim(flask, order, *more, **how):
    return flask("claim", RECEIPT, order, "--as", "wanjiku", *more, **how)


def test_the_list_has_a_line_for_each_receipt(shop, flask):
    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code)
    shop.now.pass_(seconds=1)
    shop.confirm("JANE", receipt=SECOND, amount="1149.50")

    newest, older = flask("list").output.splitlines()

    assert newest == (
        "UKO2GHIJKL  2026-11-24 12:00:10 EAT  unclaimed  KES     1,149.50  2547•••••678  JANE"
    )
    assert older.startswith(f"{RECEIPT}  ")
    assert "claimed" in older


def test_only_what_is_nobodys_is_listed_on_demand(shop, flask):
    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code)
    shop.confirm("JANE", receipt=SECOND)

    [line] = flask("list", "--unclaimed").output.splitlines()

    assert line.startswith(SECOND)


def test_the_list_as_json_is_the_apis(shop, flask):
    shop.confirm("0712345678")

    [told] = json.loads(flask("list", "--json").output)

    assert (told["receipt"], told["account"], told["state"]) == (RECEIPT, "0712•••678", "unclaimed")
    assert "witnesses" not in told
    assert json.loads(flask("list", "--json", "--limit", "1").output) == [told]


def test_a_shop_without_receipts_has_an_empty_list(flask):
    assert flask("list").output == ""
    assert json.loads(flask("list", "--json").output) == []


def test_show_prints_the_receipt_and_who_told_of_it(shop, flask):
    shop.confirm("JANE")

    result = flask("show", RECEIPT.lower())

    assert result.exit_code == 0
    told, _, witness = result.output.partition("}\n")
    assert json.loads(told + "}")["state"] == "unclaimed"
    assert witness == "2026-11-24 12:00:00 EAT  confirmation\n"


def test_an_unknown_receipt_is_said_in_one_line(flask):
    result = flask("show", SECOND)

    assert (result.exit_code, result.output) == (1, f"Error: there is no receipt {SECOND}\n")


def test_a_claim_pays_the_order_and_keeps_who_said_so(shop, flask):
    order = shop.order()
    shop.confirm("JANE")

    result = claim(flask, order, "--reason", "She sent the SMS.")

    assert (result.exit_code, result.output) == (
        0, f"{RECEIPT} is the money of order {order}\n",
    )  # fmt: skip
    assert shop.order_row(order).status == "PAID"
    [evidence] = shop.evidence(shop.transactions()[0].id)
    assert (evidence.kind, evidence.source) == ("operator", "wanjiku")
    assert json.loads(evidence.body)["reason"] == "She sent the SMS."
    assert PASSWORD not in result.output


@pytest.mark.parametrize("typed", ["another password\n", "\n", ""])
def test_without_the_right_password_nothing_is_claimed(shop, flask, typed):
    order = shop.order()
    shop.confirm("JANE")

    result = claim(flask, order, typed=typed)

    assert (result.exit_code, result.output) == (
        1, "Error: the password is wrong, or there is no such operator\n",
    )  # fmt: skip
    assert shop.receipt().state == "unclaimed"


def test_a_claim_needs_a_name(shop, flask):
    assert flask("claim", RECEIPT, shop.order()).exit_code == 2


def test_a_stranger_claims_nothing(shop, flask):
    shop.confirm("JANE")

    assert flask("claim", RECEIPT, shop.order(), "--as", "njeri").exit_code == 1
    assert shop.receipt().state == "unclaimed"


def test_a_viewer_claims_nothing(shop, flask):
    shop.confirm("JANE")
    with shop.sessions() as session:
        operators.add(session, "amina", PASSWORD, shop.now(), Role.VIEWER)

    result = flask("claim", RECEIPT, shop.order(), "--as", "amina")

    assert (result.exit_code, result.output) == (
        1, "Error: amina is a viewer, and this takes a clerk; nothing was done\n",
    )  # fmt: skip
    assert shop.receipt().state == "unclaimed"


def test_another_amount_is_taken_with_a_reason_only(shop, flask):
    order = shop.order()
    shop.confirm("JANE", amount="149.00")

    refused = claim(flask, order)
    without = claim(flask, order, "--accept-amount")
    taken = claim(flask, order, "--accept-amount", "--reason", "A discount.")

    assert refused.output == (
        "Error: the amount is not the order's: see --accept-amount and --reason\n"
    )
    assert without.exit_code == 2
    assert taken.exit_code == 0
    assert shop.transactions()[0].receipt_amount == 14_900


@pytest.mark.parametrize(("receipt", "order"), [(SECOND, None), (RECEIPT, "no-such-order-here")])
def test_what_is_not_there_is_said(shop, flask, receipt, order):
    shop.confirm("JANE")

    result = flask("claim", receipt, order or shop.order(), "--as", "wanjiku")

    assert result.exit_code == 1
    assert result.output.startswith("Error: there is no such")


def test_a_paid_order_takes_no_other_receipt(shop, flask):
    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code, receipt=SECOND)
    shop.confirm("JANE")

    result = claim(flask, order)

    assert result.output == "Error: the order is paid already: this money came twice\n"
