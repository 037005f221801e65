"""One token and one budget for all workers, kept in the database."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mpesa.config import Rate
from mpesa.daraja import NotSent
from mpesa.daraja_access import DatabaseToken, QueryBudget
from mpesa.database import own_sessions
from mpesa.domain.result_codes import Reason
from mpesa.ids import hash_token
from mpesa.models import DarajaAccess, db
from tests.conftest import on_both
from tests.fakes import CountingFetch
from tests.shop import at_once

CROWD = 20
KEY = "https://daraja.example consumer-key"
Sessions = Callable[[], Session]


@pytest.fixture
def sessions(app):
    with app.app_context():
        return own_sessions(db.engine)


@pytest.fixture
def tokens(sessions, clock):
    return DatabaseToken(sessions, KEY, clock)


@pytest.fixture
def fetch():
    return CountingFetch()


def leave_a_lease(sessions, until):
    """As a process that died while it fetched."""
    with sessions() as session:
        session.merge(DarajaAccess(id=hash_token(KEY), fetching_until=until))
        session.commit()


def row(sessions):
    with sessions() as session:
        return session.get_one(DarajaAccess, hash_token(KEY))


# -- the token -----------------------------------------------------------------------------------


@on_both
def test_twenty_who_ask_at_once_cause_one_fetch(tokens, fetch):
    got = at_once([lambda: tokens.token(fetch)] * CROWD)

    assert got == ["token-1"] * CROWD
    assert fetch.count == 1


@on_both
def test_two_processes_that_ask_at_once_cause_one_fetch(sessions, clock, fetch):
    processes = [DatabaseToken(sessions, KEY, clock) for _ in range(10)]

    got = at_once([lambda each=each: each.token(fetch) for each in processes])

    assert got == ["token-1"] * 10
    assert fetch.count == 1


@on_both
def test_a_process_waits_for_the_fetch_of_another(sessions, clock, fetch):
    asked, answer = threading.Event(), threading.Event()

    def slow():
        asked.set()
        assert answer.wait(30)
        return fetch()

    def second():
        assert asked.wait(30)
        threading.Timer(0.1, answer.set).start()
        return DatabaseToken(sessions, KEY, clock).token(fetch)

    got = at_once([lambda: DatabaseToken(sessions, KEY, clock).token(slow), second])

    assert got == ["token-1", "token-1"]
    assert fetch.count == 1


@on_both
def test_nothing_is_locked_while_a_token_is_fetched(sessions, tokens, clock, fetch):
    budget = QueryBudget(sessions, KEY, clock, Rate(5, 60))
    taken = []

    def look():
        taken.append(budget.take())
        return fetch()

    tokens.token(look)

    assert taken == [True]


def test_a_token_is_kept_for_those_who_ask_later(sessions, tokens, clock, fetch):
    first = tokens.token(fetch)

    later = DatabaseToken(sessions, KEY, clock).token(fetch)

    assert (first, later, fetch.count) == ("token-1", "token-1", 1)


def test_a_token_is_read_once_until_daraja_calls_it_dead(tokens, sessions, fetch, clock):
    first = tokens.token(fetch)
    assert tokens.token(fetch) == first
    other_process = DatabaseToken(sessions, KEY, clock)
    second = other_process.token(fetch, dead=first)

    assert tokens.token(fetch) == first  # not read again: the row has another one by now
    assert tokens.token(fetch, dead=first) == second
    assert tokens.token(fetch) == second
    assert fetch.count == 2


def test_a_token_is_renewed_a_minute_before_its_end(tokens, clock, fetch):
    tokens.token(fetch)
    clock.pass_(seconds=3599 - 61)
    before = tokens.token(fetch)
    clock.pass_(seconds=1)

    after = tokens.token(fetch)

    assert (before, after, fetch.count) == ("token-1", "token-2", 2)


def test_a_token_that_daraja_calls_dead_is_replaced(tokens, fetch):
    tokens.token(fetch)

    assert tokens.token(fetch, dead="token-1") == "token-2"
    assert tokens.token(fetch) == "token-2"


def test_those_who_are_late_to_call_a_token_dead_get_the_new_one(tokens, fetch):
    tokens.token(fetch)
    tokens.token(fetch, dead="token-1")

    assert tokens.token(fetch, dead="token-1") == "token-2"
    assert fetch.count == 2


@on_both
def test_twenty_who_call_a_token_dead_at_once_cause_one_fetch(tokens, fetch):
    tokens.token(fetch)

    got = at_once([lambda: tokens.token(fetch, dead="token-1")] * CROWD)

    assert got == ["token-2"] * CROWD
    assert fetch.count == 2


@on_both
def test_the_lease_of_a_dead_process_runs_out(sessions, tokens, clock, fetch):
    leave_a_lease(sessions, clock() + timedelta(seconds=21))
    clock.pass_(seconds=21)

    assert tokens.token(fetch) == "token-1"


def test_a_lease_is_waited_for_until_it_runs_out(sessions, clock, fetch):
    leave_a_lease(sessions, clock() + timedelta(seconds=21))
    looked_at = []

    def ticking():
        clock.pass_(seconds=5)
        looked_at.append(clock())
        return clock()

    token = DatabaseToken(sessions, KEY, ticking).token(fetch)

    assert (token, fetch.count) == ("token-1", 1)
    assert len(looked_at) > 4


@on_both
def test_a_fetch_that_failed_is_told_and_frees_the_lease(sessions, tokens, fetch):
    def fails():
        raise NotSent(Reason.SYSTEM_BUSY)

    with pytest.raises(NotSent):
        tokens.token(fails)

    assert row(sessions).fetching_until is None
    assert tokens.token(fetch) == "token-1"


def test_a_database_that_fails_means_that_nothing_was_sent(app, sessions, tokens, fetch):
    with sessions() as session:
        session.execute(text("DROP TABLE daraja_access"))
        session.commit()

    with pytest.raises(NotSent) as failure:
        tokens.token(fetch)

    assert failure.value.reason is Reason.SYSTEM_BUSY
    assert fetch.count == 0


def test_another_consumer_key_has_another_token(sessions, tokens, clock, fetch):
    tokens.token(fetch)

    assert DatabaseToken(sessions, "another key", clock).token(fetch) == "token-2"


def test_the_key_itself_is_not_stored(sessions, tokens, fetch):
    tokens.token(fetch)

    with sessions() as session:
        (stored,) = session.query(DarajaAccess).all()
    assert "consumer-key" not in stored.id


# -- the budget of queries -----------------------------------------------------------------------


@on_both
def test_of_twenty_who_take_from_the_budget_at_once_one_may_ask(sessions, clock):
    budgets = [QueryBudget(sessions, KEY, clock, Rate(5, 60)) for _ in range(CROWD)]

    taken = at_once([budget.take for budget in budgets])

    assert sorted(taken) == [False] * 19 + [True]


def test_five_a_minute_is_one_every_twelve_seconds(sessions, clock):
    budget = QueryBudget(sessions, KEY, clock, Rate(5, 60))
    taken = []
    for _second in range(60):
        taken.append(budget.take())
        clock.pass_(seconds=1)

    assert [second for second, took in enumerate(taken) if took] == [0, 12, 24, 36, 48]


def test_a_budget_and_a_token_share_a_row_in_peace(sessions, tokens, clock, fetch):
    budget = QueryBudget(sessions, KEY, clock, Rate(5, 60))

    results = (budget.take(), tokens.token(fetch), budget.take())

    assert results == (True, "token-1", False)


# -- a clock that was ahead, and is put back -------------------------------------------------------


@on_both
def test_a_lease_of_a_clock_that_was_ahead_holds_nobody_up(tokens, fetch, sessions, clock):
    leave_a_lease(sessions, clock() + timedelta(seconds=8))
    clock.step(hours=-3)

    assert tokens.token(fetch) == "token-1"


@on_both
def test_a_token_of_a_clock_that_was_ahead_is_not_trusted_for_longer_than_tokens_live(
    tokens, fetch, clock
):
    tokens.token(fetch)
    clock.step(hours=-3)
    second = tokens.token(fetch)
    clock.pass_(minutes=58)
    third = tokens.token(fetch)
    clock.pass_(minutes=2)

    assert (second, third, tokens.token(fetch)) == ("token-2", "token-2", "token-3")


@on_both
def test_a_token_that_claims_a_longer_life_is_kept_for_an_hour(tokens, clock):
    fetch = CountingFetch(expires_in=86_400)
    tokens.token(fetch)
    clock.pass_(minutes=58)
    within = tokens.token(fetch)
    clock.pass_(minutes=2)

    assert (within, tokens.token(fetch)) == ("token-1", "token-2")
