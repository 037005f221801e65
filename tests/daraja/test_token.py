import threading

import pytest

from mpesa.bounded_http import OutOfTime
from mpesa.daraja import AccessToken, NotSent
from mpesa.domain.result_codes import Reason
from tests.daraja.shared_token import SharedToken


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Mint:
    """Gives token-1, token-2, …; the first waits for `open`, where it is told to."""

    def __init__(self, *, closed=False, lifetime=3599):
        self.minted = 0
        self.lifetime = lifetime
        self.asked = threading.Event()
        self.open = threading.Event()
        if not closed:
            self.open.set()

    def __call__(self):
        self.minted += 1
        number = self.minted
        self.asked.set()
        self.open.wait(10)
        return AccessToken(f"token-{number}", self.lifetime)


def in_threads(count, ask):
    outcomes: list[object] = []

    def work():
        try:
            outcomes.append(ask())
        except (NotSent, OutOfTime) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return outcomes, lambda: [thread.join(10) for thread in threads] and None


def test_twenty_who_ask_at_once_share_one_fetch():
    tokens, mint = SharedToken(), Mint(closed=True)

    outcomes, join = in_threads(20, lambda: tokens.token(mint))
    assert mint.asked.wait(10)
    mint.open.set()
    join()

    assert outcomes == ["token-1"] * 20
    assert mint.minted == 1


def test_a_token_is_renewed_a_minute_before_its_end():
    clock, mint = Clock(), Mint(lifetime=3599)
    tokens = SharedToken(clock)
    tokens.token(mint)

    clock.now += 3538
    before = tokens.token(mint)
    clock.now += 1
    after = tokens.token(mint)

    assert (before, after) == ("token-1", "token-2")


def test_a_dead_token_is_replaced():
    tokens, mint = SharedToken(), Mint()
    dead = tokens.token(mint)

    assert tokens.token(mint, dead=dead) == "token-2"
    assert tokens.token(mint) == "token-2"


def test_a_token_that_was_replaced_meanwhile_is_not_fetched_again():
    tokens, mint = SharedToken(), Mint()
    dead = tokens.token(mint)
    tokens.token(mint, dead=dead)

    assert tokens.token(mint, dead=dead) == "token-2"
    assert mint.minted == 2


def test_twenty_whose_token_died_share_one_fetch():
    tokens, mint = SharedToken(), Mint()
    dead = tokens.token(mint)

    outcomes, join = in_threads(20, lambda: tokens.token(mint, dead=dead))
    join()

    assert outcomes == ["token-2"] * 20


def test_a_failed_fetch_is_the_failure_of_all_who_waited_for_it():
    tokens, mint = SharedToken(), Mint(closed=True)

    def fetch():
        mint()
        raise NotSent(Reason.MISCONFIGURED)

    outcomes, join = in_threads(5, lambda: tokens.token(fetch))
    assert mint.asked.wait(10)
    mint.open.set()
    join()

    assert [type(outcome) for outcome in outcomes] == [NotSent] * 5


def test_a_failed_fetch_is_not_remembered():
    tokens, mint = SharedToken(), Mint()

    def fail():
        raise NotSent(Reason.SYSTEM_BUSY)

    with pytest.raises(NotSent):
        tokens.token(fail)

    assert tokens.token(mint) == "token-1"


def test_who_waited_for_one_that_ran_out_of_time_fetches_for_itself():
    tokens, hurried, patient = SharedToken(), Mint(closed=True), Mint()

    def run_out():
        hurried()
        raise OutOfTime

    first, join_first = in_threads(1, lambda: tokens.token(run_out))
    assert hurried.asked.wait(10)
    second, join_second = in_threads(3, lambda: tokens.token(patient))
    hurried.open.set()
    join_first()
    join_second()

    assert [type(outcome) for outcome in first] == [OutOfTime]
    assert second == ["token-1"] * 3
    assert patient.minted == 1
