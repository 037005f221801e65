"""Money as an operator looks it up: the list of receipts, one of them, and whose it is."""

import hashlib
import json
import re
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select, update

from mpesa import receipts
from mpesa.domain.roles import Role
from mpesa.models import EvidenceRow, Order, Receipt, Transaction, Witness, db
from mpesa.web.http.services import receipt_needs
from tests.conftest import on_both
from tests.factories import PAYER, PAYER_MSISDN, RECEIPT, confirmation, raw
from tests.web.console.steps import NAME, hidden, logged_in, send, with_technical_details
from tests.web.steps import call_back, pushed, status_of

LIST = "/console/receipts"
SECOND = "UKO2GHIJKL"


def tell(app, account="JANE", proof_from=None, **changed):
    """Let M-PESA tell of money that was sent by hand."""
    with app.app_context():
        needs = replace(receipt_needs(), proof_from=proof_from)
        body = raw(confirmation(account, **changed))
        receipts.receive(db.session(), body, "196.201.212.69", needs)


@pytest.fixture
def confirm(app):
    return partial(tell, app)


def shown(page):
    """The receipts of a list, in its order."""
    return re.findall(r'<tr data-receipt="([^"]+)"', page.text)


def said(page):
    """What the frame tells after an act."""
    return " ".join(re.findall(r'<p class="flash [^"]*" role="status">([^<]*)</p>', page.text))


def followed(browser, answer):
    assert answer.status_code == 303, answer.text
    return browser.get(answer.headers["Location"])


def typed(browser, what):
    return followed(browser, send(browser, LIST, q=what))


def receipt_row(app, number=RECEIPT):
    with app.app_context():
        db.session.rollback()
        return db.session.scalars(select(Receipt).where(Receipt.receipt == number)).one()


def order_status(app, order_id):
    with app.app_context():
        db.session.rollback()
        return db.session.get_one(Order, order_id).status


def form_for(browser, order, act="claim", number=RECEIPT):
    """The first form of a claim."""
    page = browser.get(f"{LIST}/{number}/{act}", query_string={"order": order})
    while page.status_code == 303:
        page = browser.get(page.headers["Location"])
    return page


def confirmed(browser, page, reason="She sent the SMS"):
    """Fill in the form of an act on a receipt, and the page that asks again; returns the latter."""
    action = re.search(r'<form class="sheet" method="post" action="([^"]+)"', page.text)[1]
    return browser.post(action, data={**hidden(page.text), "reason": reason})


def give(browser, order, act="claim", number=RECEIPT):
    """Claim a receipt for an order, asked twice; returns where it led to."""
    again = confirmed(browser, form_for(browser, order, act, number))
    assert again.status_code == 200, again.text
    return confirmed(browser, again)


# -- the list ------------------------------------------------------------------------------------


def test_an_empty_list_says_so(operator):
    assert "No money yet" in operator.get(LIST).text
    assert "All money has its order" in operator.get(f"{LIST}?state=unclaimed").text
    assert "Nothing was given back" in operator.get(f"{LIST}?state=returned").text


@on_both
def test_the_newest_receipt_is_first_and_a_state_narrows(app, operator, confirm, clock, make_order):
    make_order(reference="INV-1001")
    confirm("JANE")
    clock.pass_(seconds=1)
    confirm("INV-1001", receipt=SECOND)

    assert shown(operator.get(LIST)) == [SECOND, RECEIPT]
    assert shown(operator.get(f"{LIST}?state=unclaimed")) == [RECEIPT]
    assert shown(operator.get(f"{LIST}?state=unproven")) == []
    assert shown(operator.get(f"{LIST}?state=nonsense&amount=x&payer_of='&before=1")) == [
        SECOND, RECEIPT,
    ]  # fmt: skip


@on_both
def test_every_receipt_is_on_one_page_and_one_only_both_ways(operator, confirm, clock, monkeypatch):
    monkeypatch.setattr("mpesa.web.console.receipts.PAGE", 2)
    made = [f"UKO{number:07d}" for number in range(5)]
    for number, each in enumerate(made):
        clock.pass_(seconds=number % 2)  # two at the same moment: the id parts them
        confirm(receipt=each)

    def link(page, word):
        found = re.search(rf'<a class="button quiet small" href="([^"]+)"[^>]*>{word}<', page.text)
        return found and found[1].replace("&amp;", "&")

    forth = [page := operator.get(f"{LIST}?state=unclaimed")]
    while link(page, "Older"):
        forth.append(page := operator.get(link(page, "Older")))
    back = [page]
    while link(page, "Newer"):
        back.append(page := operator.get(link(page, "Newer")))

    assert sorted(each for page in forth for each in shown(page)) == made
    assert [shown(page) for page in back] == [shown(page) for page in forth][::-1]


def test_the_frame_counts_unclaimed_money(operator, confirm):
    confirm()

    assert re.search(r'data-live="waiting-receipts">1<', operator.get(LIST).text)


# -- search --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sms", [RECEIPT, RECEIPT.lower(), f"{RECEIPT} Confirmed. Ksh150.00 sent to DUKA for JANE"]
)
def test_a_receipt_or_its_sms_leads_to_it(operator, confirm, sms):
    confirm()

    answer = send(operator, LIST, q=sms)

    assert answer.headers["Location"] == f"{LIST}/{RECEIPT}"


@on_both
def test_an_account_an_amount_and_a_number_lead_to_their_receipts(operator, confirm):
    whole = hashlib.sha256(PAYER_MSISDN.encode()).hexdigest()
    confirm("JANE 5", MSISDN=whole)
    confirm("OTHER", receipt=SECOND, amount="70.50")

    for what in ("JANE 5", "jane 5", "KES 150", "150.00", "150", PAYER, f"+{PAYER_MSISDN}"):
        assert shown(typed(operator, what)) == [RECEIPT], what
    assert shown(typed(operator, "70.50")) == [SECOND]


def test_a_number_leads_to_money_by_push_and_by_hand(
    app, client, daraja, operator, confirm, make_order
):
    pushed(client, make_order())
    call_back(client, daraja, 1)
    confirm(receipt=SECOND, MSISDN=hashlib.sha256(PAYER_MSISDN.encode()).hexdigest())

    assert sorted(shown(typed(operator, PAYER))) == [RECEIPT, SECOND]


def test_neither_number_nor_account_is_in_an_address(operator, confirm):
    confirm("JANE", MSISDN=hashlib.sha256(PAYER_MSISDN.encode()).hexdigest())

    for what in (PAYER, "JANE"):
        address = send(operator, LIST, q=what).headers["Location"]
        assert not re.search("JANE|712345678", address)


def test_what_is_not_there_is_not_found(operator, confirm):
    confirm()

    for what in ("nothing", "0799999999", "712", "' OR 1=1 --", "\0", "%", "x" * 5000, "-1", "nan"):
        page = typed(operator, what)
        assert "Nothing was found." in page.text
        assert shown(page) == [RECEIPT]


# -- one receipt ---------------------------------------------------------------------------------


def test_a_receipts_page_tells_what_is_known_and_who_told_it(operator, confirm):
    confirm()
    confirm()

    page = operator.get(f"{LIST}/{RECEIPT}").text

    for each in ("Unclaimed", "JANE", "WANJIKU", "174379", "confirmation", "reported 2 times"):
        assert each in page, each
    assert "No order nearly matches." in page


@pytest.mark.parametrize("number", ["NOTHINGNES", "x", "%00", "../etc", RECEIPT.lower()])
def test_a_receipt_that_is_not_there_is_not_found(operator, number):
    assert operator.get(f"{LIST}/{number}").status_code == 404


def test_no_number_is_whole_on_a_receipts_page_nor_its_hash(operator, confirm):
    whole = hashlib.sha256(PAYER_MSISDN.encode()).hexdigest()
    confirm(PAYER, MSISDN=whole)
    confirm(PAYER, receipt=SECOND, MSISDN=PAYER_MSISDN)

    for page in (f"{LIST}/{RECEIPT}", f"{LIST}/{SECOND}", LIST):
        text = operator.get(page).text
        assert whole not in text
        assert "712345678" not in text


def test_a_viewer_sees_no_name_and_no_raw_message_and_finds_nobody(app, confirm):
    viewer = with_technical_details(logged_in(app, role=Role.VIEWER))
    confirm("JANE", MSISDN=hashlib.sha256(PAYER_MSISDN.encode()).hexdigest())

    seen = viewer.get(LIST).text + viewer.get(f"{LIST}/{RECEIPT}").text

    assert not re.search("JANE|WANJIKU|Raw body|Give it to", seen)
    for what in (PAYER, "JANE"):
        assert "Nothing was found." in typed(viewer, what).text


def test_a_receipt_of_a_push_leads_to_its_payment(client, daraja, operator, make_order):
    payment = pushed(client, make_order())["transaction_id"]
    call_back(client, daraja, 1)

    page = with_technical_details(operator).get(f"{LIST}/{RECEIPT}").text

    assert f"/console/transactions/{payment}" in page
    assert "report on a payment request" in page
    assert "Raw body" in page  # which the push has as its evidence


# -- giving it to an order -----------------------------------------------------------------------


@on_both
def test_a_receipt_is_given_to_a_suggested_order(app, operator, confirm, make_order):
    order = make_order(reference="INV-1001")
    make_order(reference="INV-1001")
    confirm("INV-1001")
    page = operator.get(f"{LIST}/{RECEIPT}").text
    assert page.count("Give it to this order…") == 2

    answer = give(operator, order)

    assert answer.headers["Location"] == f"{LIST}/{RECEIPT}"
    page = operator.get(f"{LIST}/{RECEIPT}")
    assert said(page) == "The receipt is given to the order, which is paid."
    assert order_status(app, order) == "PAID"
    payment = receipt_row(app).transaction_id
    with app.app_context():
        kept = select(EvidenceRow).where(EvidenceRow.transaction_id == payment)
        [evidence] = db.session.scalars(kept)
    assert evidence.source == NAME
    assert json.loads(evidence.body)["reason"] == "She sent the SMS"


@pytest.mark.parametrize("by", ["id", "reference", "pay_code", "grouped"])
def test_an_order_is_named_by_id_reference_or_pay_code(app, operator, confirm, make_order, by):
    order = make_order(reference="INV-1001")
    confirm()
    with app.app_context():
        code = db.session.get_one(Order, order).pay_code
    named = {
        "id": order, "reference": "inv 1001", "pay_code": code,
        "grouped": f" {code[:3]} {code[3:6]} {code[6:]}",
    }[by]  # fmt: skip

    give(operator, named)

    assert order_status(app, order) == "PAID"


def test_of_several_orders_with_one_reference_one_is_chosen(operator, confirm, make_order):
    orders = [make_order(reference="INV-1001") for _ in range(2)]
    confirm()

    page = form_for(operator, "INV-1001").text

    assert "Which order?" in page
    assert all(each in page for each in orders)


@pytest.mark.parametrize("named", ["nothing", "", "x" * 300, "\0", "222222222"])
def test_an_order_that_is_not_there_is_said_so(operator, confirm, named):
    confirm()

    assert said(form_for(operator, named)) == "No order has that id, reference or pay code."


@on_both
def test_another_amount_is_accepted_with_a_reason_and_not_by_a_claim(
    app, operator, confirm, make_order
):
    order = make_order()
    confirm(amount="149.50")
    page = form_for(operator, order)
    assert "Accept this amount" in page.text

    confirmed(operator, confirmed(operator, page, reason="Fifty cents less"))

    row = receipt_row(app)
    with app.app_context():
        payment = db.session.get_one(Transaction, row.transaction_id)
    assert (payment.status, payment.receipt_amount) == ("SUCCESS", 14950)
    assert order_status(app, order) == "PAID"
    assert "KES 149.50" in operator.get(f"/console/transactions/{payment.id}").text


def test_a_form_of_a_claim_accepts_no_other_amount(app, operator, confirm, make_order):
    order = make_order()
    confirm(amount="149.50")
    page = form_for(operator, order)
    fields = {**hidden(page.text), "reason": "Sent as a claim"}

    answer = operator.post(f"{LIST}/{RECEIPT}/claim/confirm", data=fields)

    assert "has changed meanwhile" in said(followed(operator, answer))
    assert order_status(app, order) == "OPEN"


@pytest.mark.parametrize("reason", ["", "x", "x" * 101, "two\nlines"])
def test_a_claim_wants_a_reason(app, operator, confirm, make_order, reason):
    order = make_order()
    confirm()

    answer = confirmed(operator, form_for(operator, order), reason)

    assert answer.status_code == 400
    assert "Say why, in 2 to 100 characters" in answer.text
    assert order_status(app, order) == "OPEN"


@on_both
def test_a_claim_that_is_sent_twice_acts_once(app, operator, confirm, make_order):
    confirm()
    again = confirmed(operator, form_for(operator, make_order()))
    confirmed(operator, again)

    answer = confirmed(operator, again)

    assert said(followed(operator, answer)).endswith("nothing was done twice.")
    with app.app_context():
        assert len(db.session.scalars(select(Transaction)).all()) == 1


def test_a_claim_for_an_order_that_was_closed_meanwhile_does_nothing(
    app, client, operator, confirm, make_order, clock
):
    order = make_order()
    confirm()
    again = confirmed(operator, form_for(operator, order))
    with app.app_context():
        db.session.execute(update(Order).values(status="CANCELLED"))
        db.session.commit()

    answer = confirmed(operator, again)

    assert "has changed meanwhile" in said(followed(operator, answer))
    assert receipt_row(app).state == "unclaimed"
    assert "needs a review" in form_for(operator, order).text  # which is said before


def test_an_order_that_is_paid_gets_no_second_receipt(
    client, daraja, operator, confirm, make_order
):
    order = make_order()
    pushed(client, order)
    call_back(client, daraja, 1)
    confirm(receipt=SECOND)

    assert "this money came twice" in said(form_for(operator, order, number=SECOND))


def test_two_operators_give_one_receipt_to_one_order_only(app, operator, confirm, make_order):
    first, second = make_order(), make_order(reference="INV-2")
    other = logged_in(app, "otieno")
    confirm()
    theirs = confirmed(other, form_for(other, second))
    give(operator, first)

    answer = confirmed(other, theirs)

    assert "belongs to another order by now" in said(followed(other, answer)).replace("&#39;", "'")
    assert order_status(app, second) == "OPEN"


@pytest.mark.parametrize(
    ("role", "amount", "offered"),
    [
        (Role.CLERK, "150.00", True),
        (Role.VIEWER, "150.00", False),
        (Role.CLERK, "150.50", False),
    ],
)
def test_a_receipts_page_offers_to_give_the_money_back(app, confirm, role, amount, offered):
    confirm(amount=amount)

    page = logged_in(app, role=role).get(f"{LIST}/{RECEIPT}").text

    assert (f"{LIST}/{RECEIPT}/refund" in page) is offered


# -- its own review ------------------------------------------------------------------------------


@pytest.fixture
def contradicted(confirm):
    """A receipt of which two amounts were told."""
    confirm()
    confirm(amount="15.00")


def test_a_contradiction_shows_both_bodies_side_by_side(operator, contradicted):
    page = operator.get(f"{LIST}/{RECEIPT}").text

    sides = re.search(r'<div class="sides">(.*?)</div></section>', page, re.DOTALL)[1]
    assert "150.00" in sides
    assert "15.00" in sides
    assert f"{LIST}/{RECEIPT}" in operator.get("/console/review").text


def settle(browser, page=None):
    return confirmed(browser, page or confirmed(browser, browser.get(f"{LIST}/{RECEIPT}/settle")))


@on_both
def test_a_receipts_review_is_settled_and_who_did_it_stays(app, operator, contradicted):
    answer = settle(operator)

    assert said(followed(operator, answer)) == ("The review is settled. Nothing is left in Review.")
    assert receipt_row(app).needs_review is False
    page = operator.get(f"{LIST}/{RECEIPT}").text
    assert "wanjiku: Settle the review" in page
    assert "She sent the SMS" in page
    assert "Nothing to decide" in operator.get("/console/review").text


def test_a_review_is_settled_once_and_not_blindly(app, operator, confirm, contradicted):
    again = confirmed(operator, operator.get(f"{LIST}/{RECEIPT}/settle"))
    confirm(amount="16.00")
    blind = settle(operator, again)
    assert "has changed meanwhile" in said(followed(operator, blind))
    assert receipt_row(app).needs_review is True

    again = confirmed(operator, operator.get(f"{LIST}/{RECEIPT}/settle"))
    settle(operator, again)
    twice = settle(operator, again)

    assert said(followed(operator, twice)).endswith("nothing was done twice.")
    with app.app_context():
        by_operator = select(Witness).where(Witness.kind == "operator")
        assert len(db.session.scalars(by_operator).all()) == 1


def test_who_settled_a_review_proves_no_money(app, operator, confirm):
    """An operator's look at a contradiction is no second witness of the money."""
    for amount in ("150.00", "15.00"):
        confirm(amount=amount, proof_from=1)
    settle(operator)

    confirm(FirstName="AMINA", proof_from=1)

    assert receipt_row(app).state == "unproven"


# -- a payment by hand ---------------------------------------------------------------------------


def test_a_payment_by_hand_has_a_page_like_a_push(app, client, operator, confirm, make_order):
    order = make_order(reference="INV-1001")
    begun = client.post("/pay-by-hand", json={"order_id": order}).get_json()["transaction_id"]
    waiting = operator.get(f"/console/transactions/{begun}").text
    confirm("INV-1001", MSISDN=None)

    page = operator.get(f"/console/transactions/{begun}").text

    for each in ("The shopper chose to pay by hand", "by hand", "awaiting the money"):
        assert each in waiting, each
    assert not re.search("Ask M-PESA now|Mark as not paid|forgotten|Payment request sent", waiting)
    for each in ("A receipt was given to it", "confirmation", "Its receipt was found."):
        assert each in page, each
    assert f"{LIST}/{RECEIPT}" in page
    assert status_of(client, begun)["status"] == "SUCCESS"


def test_payments_are_narrowed_to_those_by_hand(client, operator, confirm, make_order):
    pushed(client, make_order())
    order = make_order(reference="INV-1001")
    by_hand = client.post("/pay-by-hand", json={"order_id": order}).get_json()["transaction_id"]

    lists = {
        channel: re.findall(
            r'<tr data-transaction="([^"]+)"',
            operator.get(f"/console/transactions?channel={channel}").text,
        )
        for channel in ("push", "hand", "nonsense")
    }

    assert lists["hand"] == [by_hand]
    assert len(lists["push"]) == 1
    assert len(lists["nonsense"]) == 2


@on_both
def test_today_tells_push_and_hand_apart_and_what_is_unclaimed_or_given_back(
    app, client, daraja, operator, confirm, make_order, clock
):
    pushed(client, make_order())
    call_back(client, daraja, 1)
    make_order(reference="INV-1001", amount=70)
    confirm("INV-1001", receipt=SECOND, amount="70.00")
    confirm("NOBODY", receipt="UKO3MNOPQR", amount="11.00")
    confirm("NOBODY", receipt="UKO4MNOPQR", amount="12.00")
    with app.app_context():
        gone = update(Receipt).where(Receipt.receipt == "UKO4MNOPQR")
        db.session.execute(gone.values(state="returned"))
        db.session.commit()

    page = operator.get("/console/").text

    def tile(name):
        return re.search(rf'id="tile-{name}">.*?tile-value">([^<]*)<.*?tile-note">([^<]*)<', page)

    assert tile("taken").groups() == (
        "KES 220", "by prompt KES 150, by hand KES 70; yesterday KES 0",
    )  # fmt: skip
    assert (tile("paid")[1], tile("hand")[1]) == ("1", "1")
    assert tile("unclaimed")[1] == "KES 11"
    assert tile("returned")[1] == "KES 12"
    clock.pass_(days=1)
    page = logged_in(app, "otieno").get("/console/").text
    assert (tile("taken")[1], tile("returned")[1]) == ("KES 0", "KES 0")
    assert tile("taken")[2].endswith("yesterday KES 220")
