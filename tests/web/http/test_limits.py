"""The limits go on while Redis is away, and nobody waits long for it or is refused over it."""

import socket
import time
from collections.abc import Callable

import pytest
import redis
from flask import Flask
from flask_babel import Babel

from mpesa.web.http.errors import Problem
from mpesa.web.http.limits import PushLimits, Tally
from tests.factories import make_settings
from tests.servers import free_port, redis_server, wait_until
from tests.shop import at_once

# Twice what may be waited for, since machines that run tests are slow.
SOON = 2.0


def pushing(url, limit="3/minute"):
    """A client of an application that only counts pushes: POST / is 200, or 429."""
    app = Flask(__name__)
    Babel(app)
    limited = {"STK_PUSH_LIMIT_PER_IP": limit, "STK_PUSH_LIMIT_PER_PHONE": ""}
    settings = make_settings(REDIS_URL=url, **limited)
    limits = PushLimits(Tally(settings), settings)
    app.register_error_handler(Problem, lambda problem: ("", problem.status))

    @app.post("/")
    def push():
        limits.check("254712345678")
        return ""

    return app.test_client()


def test_an_ipv6_network_is_one_address():
    client = pushing("", "2/minute")

    def from_(address):
        return client.post("/", environ_base={"REMOTE_ADDR": address}).status_code

    assert [from_(f"2001:db8:0:1::{last}") for last in range(1, 4)] == [200, 200, 429]
    assert from_("2001:db8:0:2::1") == 200
    assert [from_("::ffff:41.90.1.1"), from_("41.90.1.1"), from_("41.90.1.1")] == [200, 200, 429]


@pytest.fixture
def black_hole():
    """Takes connections and never answers, as a Redis that was stopped does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.fixture
def refused():
    return f"redis://127.0.0.1:{free_port()}/0"


@pytest.mark.parametrize("gone", ["refused", "black_hole"])
def test_without_redis_pushes_are_counted_in_memory(gone, request):
    client = pushing(request.getfixturevalue(gone))

    assert [client.post("/").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_redis_that_never_answers_is_not_waited_for_by_every_push(black_hole):
    client = pushing(black_hole, "1000/minute")
    begin = time.monotonic()

    for _ in range(100):
        client.post("/")

    # Forty seconds where each of them waited.
    assert time.monotonic() - begin < SOON


@pytest.mark.parametrize("gone", ["refused", "black_hole"])
def test_pushes_that_find_redis_gone_together_are_all_taken_and_counted(gone, request):
    app = pushing(request.getfixturevalue(gone), "10/minute").application
    posts: list[Callable[[], int]] = [lambda: app.test_client().post("/").status_code] * 10

    first = at_once(posts)

    assert first == [200] * 10
    assert app.test_client().post("/").status_code == 429


@pytest.mark.redis
def test_once_redis_is_back_it_counts_again(tmp_path):
    port = free_port()
    client = pushing(f"redis://127.0.0.1:{port}/0", "1000/minute")
    client.post("/")

    with redis_server(tmp_path, port) as url:
        store = redis.Redis.from_url(url)
        wait_until(lambda: client.post("/").status_code == 200 and store.keys("*"), lambda: "")
