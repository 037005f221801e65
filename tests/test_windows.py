"""Moving windows count what was lately, forget what is over, and give back what was taken back."""

import sys

import pytest
import redis

from mpesa.config import Rate
from mpesa.windows import Full, InMemory, InRedis

THREE_A_MINUTE = Rate(3, 60)


class Seconds:
    """A clock that never steps back by itself."""

    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def memory(seconds):
    return InMemory(seconds)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def windows(request):
    if request.param == "memory":
        yield InMemory()
    else:
        yield InRedis(request.getfixturevalue("redis_url"))


def calls_during(work):
    """How many functions are called, those written in C among them."""
    calls = 0

    def note(_frame, event, _argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_what_is_over_is_forgotten_however_many_lines_were_ever_seen(memory, seconds):
    most = 0
    for number in range(200_000):
        memory.count(f"line {number}", Rate(5, 600))
        seconds.time += 1
        most = max(most, len(memory))

    seconds.time += 600
    for _ in range(200):
        memory.count("another", Rate(1000, 600))

    assert most <= 601
    assert len(memory) == 1


def test_a_count_does_as_much_beside_all_the_keys_that_fit_as_beside_none(memory, seconds):
    alone = calls_during(lambda: memory.count("a line", Rate(5, 60)))
    for address in range(50_000):
        memory.count(f"address {address}", Rate(30, 60))
    seconds.time += 61

    beside = calls_during(lambda: memory.count("another line", Rate(5, 60)))

    # Each of the few keys that go with it costs about six calls.
    assert beside < alone + 40


def test_counts_of_one_rate_are_forgotten_while_only_another_is_counted(memory, seconds):
    for number in range(100):
        memory.count(f"name {number}", Rate(50, 3600))
    seconds.time += 3600

    for _ in range(25):
        memory.count("a line", Rate(1000, 60))

    assert len(memory) == 1


def test_more_keys_than_fit_push_out_the_one_that_was_counted_longest_ago(
    memory,
):
    for _ in range(3):
        memory.count("early", THREE_A_MINUTE)
    for number in range(60_000):
        memory.count(f"key {number}", THREE_A_MINUTE)
        if number % 1000 == 0:
            memory.count("often", Rate(1000, 60))
            memory.count("late", Rate(1000, 60))

    assert len(memory) <= 50_000 + 2
    memory.count("early", THREE_A_MINUTE)


def test_a_window_moves(memory, seconds):
    for _ in range(3):
        memory.count("line", THREE_A_MINUTE)
        seconds.time += 10

    with pytest.raises(Full) as full:
        memory.count("line", THREE_A_MINUTE)
    seconds.time += full.value.seconds
    memory.count("line", THREE_A_MINUTE)

    assert full.value.seconds == 30
    with pytest.raises(Full):
        memory.count("line", THREE_A_MINUTE)


def test_what_was_refused_makes_nobody_wait_longer(memory, seconds):
    for _ in range(3):
        memory.count("line", THREE_A_MINUTE)
    for _ in range(59):
        seconds.time += 1
        with pytest.raises(Full):
            memory.count("line", THREE_A_MINUTE)
    seconds.time += 1

    memory.count("line", THREE_A_MINUTE)


def test_so_many_are_counted_and_no_more(windows):
    for _ in range(3):
        windows.count("line", THREE_A_MINUTE)

    with pytest.raises(Full) as full:
        windows.count("line", THREE_A_MINUTE)

    assert 55 < full.value.seconds <= 60
    windows.count("another line", THREE_A_MINUTE)


def test_what_is_taken_back_was_never_counted(windows):
    windows.count("name", THREE_A_MINUTE)
    for _ in range(10):
        windows.count("name", THREE_A_MINUTE)()

    windows.count("name", THREE_A_MINUTE)
    windows.count("name", THREE_A_MINUTE)
    with pytest.raises(Full):
        windows.count("name", THREE_A_MINUTE)


def test_taking_back_twice_takes_back_once(windows):
    windows.count("name", Rate(1, 60))()
    take_back = windows.count("name", Rate(1, 60))
    take_back()
    windows.count("name", Rate(1, 60))

    take_back()

    with pytest.raises(Full):
        windows.count("name", Rate(1, 60))


def test_what_is_counted_in_memory_and_taken_back_leaves_nothing(memory):
    memory.count("name", THREE_A_MINUTE)()

    assert len(memory) == 0


@pytest.mark.redis
def test_redis_forgets_a_key_with_its_window(redis_url):
    store = redis.Redis.from_url(redis_url)

    InRedis(redis_url).count("line", THREE_A_MINUTE)

    [key] = store.keys("*")
    assert 0 < store.pttl(key) <= 60_000


@pytest.mark.redis
def test_what_was_counted_by_a_clock_that_was_ahead_stops_nobody(redis_url):
    store = redis.Redis.from_url(redis_url)
    windows = InRedis(redis_url)
    for _ in range(3):
        windows.count("line", THREE_A_MINUTE)
    [key] = store.keys("*")
    three_hours = 3 * 3600 * 1000
    for mark in store.zrange(key, 0, -1):
        store.zincrby(key, three_hours, mark)

    for _ in range(3):
        windows.count("line", THREE_A_MINUTE)

    with pytest.raises(Full) as full:
        windows.count("line", THREE_A_MINUTE)
    assert full.value.seconds <= 60
