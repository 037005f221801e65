"""What a library of HTTP likes to do by itself, and must not do with a push."""

import gzip
import threading
from datetime import UTC, datetime, timedelta

import pytest

from mpesa import counters
from mpesa.daraja import UnknownOutcome
from mpesa.daraja.http import LARGEST_ANSWER, MOST_IDLE
from tests.daraja.fake_daraja import (
    ACCEPTED,
    OAUTH,
    PUSH,
    Handler,
    raw,
    reply,
    token_number,
)


def with_header(name, value, step):
    def answer(handler):
        handler.extra_headers = {name: value}
        step(handler)

    return answer


@pytest.mark.parametrize("status", [413, 429, 503])
def test_an_invitation_to_retry_is_not_followed(fake, daraja, push, status):
    fake.script[PUSH] = [with_header("Retry-After", "0", reply(status))]

    with pytest.raises(UnknownOutcome):
        daraja.push(push)

    assert len(fake.to(PUSH)) == 1


@pytest.mark.parametrize("location", ["/elsewhere", "http://[::1", "//", "gopher://x"])
def test_a_redirect_is_an_answer_that_is_not_clear(fake, daraja, push, location):
    fake.script[PUSH] = [with_header("Location", location, reply(302, b"moved"))]

    with pytest.raises(UnknownOutcome) as unknown:
        daraja.push(push)

    assert unknown.value.body == b"moved"
    assert len(fake.to(PUSH)) == 1


def test_a_cookie_is_not_kept(fake, daraja, push):
    token = reply(200, token_number(1))
    fake.script[OAUTH] = [with_header("Set-Cookie", "visid=1; Path=/", token)]

    daraja.push(push)

    assert "Cookie" not in fake.to(PUSH)[0].headers


def test_proxies_and_passwords_of_the_environment_are_not_taken(
    fake,
    make_daraja,
    push,
    closed_port,
    tmp_path,
    monkeypatch,
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password other")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")

    make_daraja(base_url=fake.base_url.replace("//", "//root:other@")).push(push)

    assert fake.to(PUSH)[0].headers["Authorization"].startswith("Bearer token-number")


def test_no_packed_answer_is_asked_for(fake, daraja, push):
    daraja.push(push)

    assert fake.to(PUSH)[0].headers["Accept-Encoding"] == "identity"


def test_a_packed_answer_counts_as_large_as_it_unpacks(fake, daraja, push):
    packed = gzip.compress(b" " * (LARGEST_ANSWER + 1))
    fake.script[PUSH] = [with_header("Content-Encoding", "gzip", reply(200, packed))]

    with pytest.raises(UnknownOutcome, match="too large"):
        daraja.push(push)


def test_an_answer_that_is_cut_short_leaves_what_came_as_evidence(fake, daraja, push):
    fake.script[PUSH] = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html", reset=False)]

    with pytest.raises(UnknownOutcome) as unknown:
        daraja.push(push)

    assert unknown.value.body == b"<html"


def test_ten_connections_are_kept(fake, daraja, push):
    at_once = MOST_IDLE + 2
    together = threading.Barrier(at_once)
    fake.script[PUSH] = [lambda handler: (together.wait(10), reply(200, ACCEPTED)(handler))]
    daraja.check_credentials()

    for _ in range(2):
        threads = [threading.Thread(target=daraja.push, args=(push,)) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert len(fake.to(PUSH)) == 2 * at_once
    assert len({asked.connection for asked in fake.asked}) == at_once + 2


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_every_answer_tells_how_far_our_clock_is_off(make_daraja, push, hours, monkeypatch):
    monkeypatch.setattr(counters, "_marks", {})
    ahead = timedelta(hours=hours)
    daraja = make_daraja(now=lambda: datetime.now(UTC) + ahead)

    daraja.push(push)

    ((labels, skew),) = counters.marks("daraja_clock_skew_seconds")
    assert labels == {}
    assert skew == pytest.approx(ahead.total_seconds(), abs=2.5)


@pytest.mark.parametrize("date", ["yesterday", "", "Tue, 24 Nov 2026 09:00:00"])
def test_a_date_that_says_nothing_is_passed_over(fake, daraja, push, date, monkeypatch):
    monkeypatch.setattr(counters, "_marks", {})
    monkeypatch.setattr(Handler, "date_time_string", lambda *_: date)

    daraja.push(push)

    assert counters.marks("daraja_clock_skew_seconds") == []
