"""The server kills itself while it takes in money by hand, on both databases.

A confirmation comes once: what got its 200 is kept, and what did not is found by Pull.
"""

from datetime import datetime

import pytest

from mpesa.domain.wire_words import NAIROBI
from tests.conftest import BOTH_DATABASES
from tests.crash.world import a_world
from tests.factories import PAYER_MSISDN, confirmation, raw
from tests.servers import wait_until

pytestmark = pytest.mark.slow

TOKEN = "c2b0" * 8
# KES from which a confirmation alone proves nothing.
PROOF_FROM = 500
DARAJA = "/c2b/" + TOKEN + "/confirmation"


@pytest.fixture(scope="module", params=BOTH_DATABASES)
def standing_world(request, tmp_path_factory):
    """Kept between tests, since a start takes longer than a test."""
    by_postgres = request.param == "postgresql"
    cluster = request.getfixturevalue("postgres") if by_postgres else None
    settings = {
        "C2B_TOKEN": TOKEN,
        "C2B_PROOF_FROM": str(PROOF_FROM),
        "PULL_NOMINATED_NUMBER": "254722000000",
    }
    folder, program = tmp_path_factory.mktemp("by-hand"), ("-m", "tests.crash.doomed")
    with a_world(folder, cluster, program, **settings) as world:
        yield world


class Paid:
    """Money that was sent by hand for an order that waits for it.

    Attributes:
        receipt: M-PESA's number.
        page: that of the transaction by hand.
    """

    def __init__(self, world, *, amount=150, account=None):
        world.by_hand_is_not_confirmed()
        order = world.order("INV-1001", amount)
        answer = world.server.post("/pay-by-hand", json={"order_id": order})
        self.page = world.watch(answer.json()["transaction_id"])
        shown = self.page.wait_for("PENDING")
        self.account = shown["pay_by_hand"]["account"] if account is None else account
        sent = {"msisdn": PAYER_MSISDN, "short_code": "174379", "account": self.account}
        moved = world.simulator.post("/payments", json={**sent, "amount": amount}).json()
        self.world, self.order, self.amount = world, order, amount
        self.receipt, self.paid_at = moved["receipt"], datetime.fromisoformat(moved["paid_at"])

    def is_confirmed(self):
        """Whether its confirmation was answered with 200."""
        body = confirmation(
            self.account,
            receipt=self.receipt,
            amount=f"{self.amount}.00",
            TransTime=f"{self.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}",
        )
        return self.world.tell(DARAJA, raw(body)) == 200

    def rows(self):
        """The rows of its receipt; never more than one."""
        return self.world.rows("SELECT * FROM receipts WHERE receipt = :r", r=self.receipt)

    def state(self):
        rows = self.rows()
        return rows[0]["state"] if rows else None

    def becomes(self, state):
        """Wait until the receipt is so; claimed, it pays its order once, and unclaimed nothing."""
        wait_until(
            lambda: self.state() == state, lambda: f"{self.rows()} {self.world.server.why()}"
        )
        (row,) = self.rows()
        paid = [each for each in self.world.attempts(self.order) if each["status"] == "SUCCESS"]
        assert [each["receipt"] for each in paid] == [self.receipt] * (state == "claimed")
        assert [each["id"] for each in paid] == [row["transaction_id"]] * (state == "claimed")
        assert not any(each["needs_review"] for each in paid)
        told = self.world.rows("SELECT judged FROM witnesses WHERE receipt_id = :id", id=row["id"])
        assert told
        assert all(each["judged"] for each in told)


# The account and the amount that lead to a point, and what becomes of the money.
WAYS = {
    "the judgement of a receipt": ({}, "claimed"),
    "the receipt": ({"account": "HELLO"}, "unclaimed"),
    # Asked about at once, M-PESA proves it.
    "the sight of a confirmation": ({"amount": PROOF_FROM}, "claimed"),
}


@pytest.mark.parametrize("point", WAYS)
def test_a_confirmation_that_was_not_kept_was_not_answered_and_pull_finds_its_money(world, point):
    sent, becomes = WAYS[point]
    paid = Paid(world, **sent)
    world.arm(f"before {point}")
    assert not paid.is_confirmed()
    world.wait_for_death()
    assert paid.rows() == []

    world.pull_is_due()
    world.come_back()

    paid.becomes(becomes)


@pytest.mark.parametrize("point", WAYS)
def test_a_confirmation_that_was_kept_is_one_payment_though_it_is_told_again(world, point):
    sent, becomes = WAYS[point]
    paid = Paid(world, **sent)
    world.arm(f"after {point}")
    assert not paid.is_confirmed()
    world.wait_for_death()

    world.come_back()
    assert paid.is_confirmed()

    paid.becomes(becomes)


@pytest.mark.parametrize("point", ["before the emit", "after the emit", "before answering Daraja"])
def test_a_payment_by_hand_that_was_committed_is_on_the_page_that_comes_back(world, point):
    paid = Paid(world)
    world.arm(point)
    assert not paid.is_confirmed()
    world.wait_for_death()

    world.come_back()
    told = world.watch(paid.page.transaction_id).wait_for("SUCCESS")

    assert (told["receipt"], told["order_status"]) == (paid.receipt, "PAID")
    paid.becomes("claimed")


# On SQLite nobody can hold one order and let another row be written.
@pytest.mark.parametrize("standing_world", BOTH_DATABASES[1:], indirect=True)
def test_a_confirmation_whose_order_is_held_is_judged_when_the_server_is_back(world):
    paid = Paid(world)
    with world.holding(paid.order):
        world.arm("after the raw confirmation")
        assert not paid.is_confirmed()
        world.wait_for_death()
    assert (paid.state(), world.rows("SELECT judged FROM witnesses")) == (None, [{"judged": False}])

    world.come_back()

    paid.becomes("claimed")


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("after", 1)])
def test_what_cannot_be_read_is_kept_or_not_answered(world, when, kept):
    world.arm(f"{when} the raw confirmation")
    assert world.tell(DARAJA, b"{") != 200
    world.wait_for_death()

    world.come_back()

    assert len(world.rows("SELECT * FROM witnesses WHERE judged")) == kept
    assert world.tell(DARAJA, b"{") == 200
    (witness,) = world.rows("SELECT * FROM witnesses")
    assert (bytes(witness["body"]), witness["times"]) == (b"{", 1 + kept)
