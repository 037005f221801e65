"""The server kills itself at a named point, comes back, and no shilling and no word is lost.

What happens after a step and before the next one leaves the same behind, so each is named once.
"""

import signal
import time

import pytest

from tests.crash.world import SOON
from tests.factories import PAYER_MSISDN

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

# The first question to Daraja comes this long after the push (seconds).
FIRST_QUESTION = 16
UNANSWERED = 26
PROMPT_OVER = 181
WITHOUT_ID_TOO_LONG = 3601


def named(points):
    """Parametrise by point; its readable name is the key."""
    return pytest.mark.parametrize("point", points.values(), ids=points.keys())


# -- POST /stk-push ------------------------------------------------------------------------------


def started(world, **script):
    """An order that is pushed and answered; returns its id and the transaction's."""
    world.line(PAYER_MSISDN, **script)
    order_id = world.order("CRASH-1")
    answer = world.push(order_id, PAYER_MSISDN, "first")
    assert answer is not None
    return order_id, answer.json()["transaction_id"]


def pushed_into_death(world, point, **script):
    """An order whose push ends the server; returns the order's id."""
    world.line(PAYER_MSISDN, **script)
    order_id = world.order("CRASH-1")
    world.arm(point)
    assert world.push(order_id, PAYER_MSISDN, "first") is None
    world.wait_for_death()
    return order_id


def test_a_push_that_left_no_row_goes_out_when_it_is_asked_for_again(world):
    order_id = pushed_into_death(world, "before the row")

    world.come_back()
    again = world.push(order_id, PAYER_MSISDN, "first")

    assert again is not None
    assert again.status_code == 202
    world.pay(PAYER_MSISDN)
    world.watch(again.json()["transaction_id"]).wait_for("SUCCESS")
    assert world.pushes().total() == 1
    world.check_promises()


@named(
    {
        "row committed, lease of the token not taken": "before the lease of the token",
        "lease of the token taken, token not asked for": "before asking for a token",
        "token given, not kept": "before the token",
        "token kept, push not sent": "before asking for a push",
    }
)
def test_a_row_whose_push_never_went_out_blocks_its_order_for_no_longer_than_a_prompt(world, point):
    order_id = pushed_into_death(world, point)

    world.come_back()
    joined = world.push(order_id, PAYER_MSISDN, "first")
    assert joined is not None
    page = world.watch(joined.json()["transaction_id"])
    world.time_passes(UNANSWERED)
    page.wait_for("push_unconfirmed")
    assert world.pushes().total() == 0
    world.time_passes(PROMPT_OVER)
    again = world.push(order_id, PAYER_MSISDN, "second")

    assert again is not None
    assert again.status_code == 202, again.text
    world.pay(PAYER_MSISDN)
    world.watch(again.json()["transaction_id"]).wait_for("SUCCESS")
    assert world.pushes().total() == 1
    world.check_promises()


PUSH_SENT = {
    "push answered, answer not recorded": "before the judgement of a push_answer",
    "answer recorded, page not answered": "before answering the page",
}


@named(PUSH_SENT)
def test_a_prompt_that_outlived_the_server_can_still_be_paid(world, point):
    order_id = pushed_into_death(world, point)

    world.come_back()
    joined = world.push(order_id, PAYER_MSISDN, "first")
    assert joined is not None
    page = world.watch(joined.json()["transaction_id"])
    page.wait_for("PENDING")
    world.pay(PAYER_MSISDN)

    page.wait_for("SUCCESS")
    assert world.pushes().total() == 1
    world.check_promises()


def test_a_push_without_a_recorded_answer_is_called_unconfirmed(world):
    order_id = pushed_into_death(world, PUSH_SENT["push answered, answer not recorded"])

    world.come_back()
    world.time_passes(UNANSWERED)

    world.wait_for(order_id, lambda row: row["reason"] == "push_unconfirmed")
    assert world.pushes().total() == 1


def test_money_that_moved_unseen_for_a_row_without_ids_is_for_a_person_to_find(
    world,
):
    point = PUSH_SENT["push answered, answer not recorded"]
    order_id = pushed_into_death(world, point)
    world.pay(PAYER_MSISDN)
    world.come_back()

    world.time_passes(WITHOUT_ID_TOO_LONG)

    world.wait_for(order_id, lambda row: row["needs_review"])
    assert world.ledger()
    world.check_promises()


def test_money_that_moved_while_the_server_was_down_is_asked_for(world):
    point = PUSH_SENT["answer recorded, page not answered"]
    order_id = pushed_into_death(world, point)
    world.pay(PAYER_MSISDN)
    world.come_back()

    world.time_passes(FIRST_QUESTION)

    world.wait_for(order_id, lambda row: row["status"] == "SUCCESS")
    world.check_promises()


@named(
    {
        "refusal recorded, not told": "before the emit",
        "refusal told, page not answered": "before answering the page",
    }
)
def test_a_refused_push_is_on_the_page_that_comes_back(world, point):
    world.line(PAYER_MSISDN, push="refused")
    order_id = world.order("CRASH-1")
    world.arm("before asking for a push", "hold")
    pushing = world.in_background(lambda: world.push(order_id, PAYER_MSISDN, "first"))
    world.wait_until_held()
    transaction_id = world.attempt(order_id)["id"]
    world.watch(transaction_id).wait_for("PENDING")
    world.arm(point)
    assert pushing.result() is None
    world.wait_for_death()

    world.come_back()

    told = world.watch(transaction_id).wait_for("push_refused")
    assert told["can_retry"]
    world.check_promises()


# -- POST /callback/<token> ------------------------------------------------------------------------


def called_back_into_death(world, point):
    """A payment whose callback ends the server; returns the ids of order and transaction."""
    order_id, transaction_id = started(world)
    world.watch(transaction_id).wait_for("PENDING")
    world.arm(point)
    world.pay(PAYER_MSISDN)
    world.wait_for_death()
    return order_id, transaction_id


def test_a_callback_that_was_not_stored_was_not_answered_and_its_money_is_asked_for(
    world,
):
    _, transaction_id = called_back_into_death(world, "before the judgement of a callback")

    world.come_back()
    page = world.watch(transaction_id)
    page.wait_for("awaiting_pin")
    world.time_passes(FIRST_QUESTION)

    page.wait_for("SUCCESS", 2 * SOON)
    assert not any(each.status == 200 for each in world.to_server.seen)
    world.check_promises()


def test_a_callback_that_was_stored_is_judged_when_the_server_is_back(world):
    """It is stored alone where somebody else holds its order; else with its judgement."""
    order_id, transaction_id = started(world)
    with world.holding(order_id):
        world.arm("after the raw callback")
        world.pay(PAYER_MSISDN)
        world.wait_for_death()
    assert world.attempt(order_id)["status"] == "PENDING"

    world.come_back()
    told = world.watch(transaction_id).wait_for("SUCCESS")

    assert told["receipt"] == world.ledger()[0]["receipt"]
    assert world.questions() == 0
    world.check_promises()


@named(
    {
        "result committed, not told": "before the emit",
        "result told, Daraja not answered": "before answering Daraja",
    }
)
def test_a_committed_result_is_on_the_page_that_comes_back(world, point):
    _, transaction_id = called_back_into_death(world, point)

    world.come_back()
    told = world.watch(transaction_id).wait_for("SUCCESS")

    assert told["final"]
    assert world.questions() == 0
    world.check_promises()


def test_no_page_hears_a_result_while_its_commit_is_under_way(world):
    _, transaction_id = started(world)
    world.watch(transaction_id).wait_for("PENDING")
    world.arm("before the judgement of a callback", "hold")
    world.in_background(lambda: world.pay(PAYER_MSISDN))
    world.wait_until_held()

    time.sleep(0.5)  # what was emitted too early would be sent by now
    world.server.stop(signal.SIGKILL)

    world.check_that_what_was_told_is_committed()


# -- the clock -------------------------------------------------------------------------------------


@named(
    {
        "wait over, not recorded": "before the judgement of a clock",
        "end of the wait recorded, not told": "before the emit",
        "end of the wait told": "after the emit",
    }
)
def test_a_wait_that_ended_in_a_crash_is_overdue_and_can_still_be_paid(world, point):
    # The payer is silent, and Daraja knows nothing new.
    _, transaction_id = started(world)
    world.watch(transaction_id).wait_for("PENDING")
    world.arm(point)
    world.time_passes(61)
    world.wait_for_death()

    world.come_back()
    page = world.watch(transaction_id)
    page.wait_for("overdue")
    world.pay(PAYER_MSISDN)

    page.wait_for("SUCCESS")
    world.check_promises()


# -- the reconciler --------------------------------------------------------------------------------


@named(
    {
        "budget not taken": "before the query budget",
        "budget taken, question not claimed": "before the claim of a question",
        "question claimed, not asked": "before asking what became of it",
        "question answered, answer not recorded": "before the judgement of a query",
        "answer recorded, not told": "before the emit",
        "answer told": "after the emit",
    }
)
def test_a_question_that_ended_in_a_crash_is_asked_again_at_most_once(world, point):
    _, transaction_id = started(world, callback="never")
    world.watch(transaction_id).wait_for("PENDING")
    world.pay(PAYER_MSISDN)
    world.arm(point)
    world.time_passes(FIRST_QUESTION)
    world.wait_for_death()

    world.come_back()
    page = world.watch(transaction_id)
    # The next question of the plan is due 35 s after the push.
    world.time_passes(20)

    page.wait_for("SUCCESS", 2 * SOON)
    assert 1 <= world.questions() <= 2
    world.check_promises()
