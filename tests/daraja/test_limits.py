"""The hard limit of a call, and its end when the process ends, on plain TCP and on TLS."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mpesa.bounded_http import Call, Calls, OutOfTime
from mpesa.daraja import (
    Daraja,
    DarajaError,
    NoAnswer,
    NotSent,
    Timeouts,
    UnknownOutcome,
)
from mpesa.daraja.http import DEFAULT_TIMEOUTS, Request, Transport
from mpesa.domain.result_codes import Reason
from tests.daraja.conftest import MERCHANT
from tests.daraja.fake_daraja import (
    ACCEPTED,
    OAUTH,
    PUSH,
    QUERY,
    refusal,
    reply,
    running_daraja,
    token_number,
)
from tests.daraja.shared_token import SharedToken

SHORT = 0.3
# Far above SHORT, far below the 15 s of the time-outs: enough to tell one from the other.
LONG_BEFORE_THE_TIMEOUTS = 8.0


@pytest.fixture
def no_waiting():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LONG_BEFORE_THE_TIMEOUTS


@pytest.fixture
def mute():
    """Accepts connections, by its backlog, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def in_background(call):
    errors: list[DarajaError] = []

    def work():
        try:
            call()
        except DarajaError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, errors


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("manner", ["silence", "drip"])
def test_a_push_that_gets_no_answer_in_time_is_unknown(peer, push, manner):
    fake, daraja = peer
    daraja.check_credentials()
    fake.script[PUSH] = [getattr(fake, manner)]

    with pytest.raises(UnknownOutcome):
        daraja.push(push, budget=SHORT)

    assert fake.arrived.wait(5)
    assert len(fake.to(PUSH)) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("manner", ["silence", "drip"])
def test_a_call_whose_time_is_over_hangs_up(peer, push, manner):
    fake, daraja = peer
    daraja.check_credentials()
    fake.script[PUSH] = [getattr(fake, manner)]

    with pytest.raises(UnknownOutcome):
        daraja.push(push, budget=SHORT)

    assert fake.left.wait(5)


@pytest.mark.usefixtures("no_waiting")
def test_a_call_whose_time_is_over_hangs_up_although_its_answer_closes_the_connection(peer, push):
    fake, daraja = peer
    daraja.check_credentials()

    def drip_without_a_length(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        fake.drip(handler)

    fake.script[PUSH] = [drip_without_a_length]
    with pytest.raises(UnknownOutcome):
        daraja.push(push, budget=SHORT)

    assert fake.left.wait(5)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("manner", ["silence", "drip"])
def test_a_push_whose_token_does_not_come_in_time_is_not_sent(peer, push, manner):
    fake, daraja = peer
    fake.script[OAUTH] = [getattr(fake, manner)]

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push, budget=SHORT)

    assert not_sent.value.reason is Reason.SYSTEM_BUSY
    assert fake.left.wait(5)
    assert fake.to(PUSH) == []


@pytest.mark.usefixtures("no_waiting")
def test_a_query_that_gets_no_answer_in_time_is_no_answer(
    peer,
):
    fake, daraja = peer
    daraja.check_credentials()
    fake.script[QUERY] = [fake.drip]

    with pytest.raises(NoAnswer):
        daraja.query("ws_CO_1", budget=SHORT)


@pytest.mark.usefixtures("no_waiting")
def test_a_push_that_did_not_run_and_then_waits_for_a_token_too_long_was_not_sent(peer, push):
    fake, daraja = peer
    fake.script[OAUTH] = [reply(200, token_number(1)), fake.silence]
    fake.script[PUSH] = [reply(404, refusal("404.001.03", "Invalid Access Token"))]

    with pytest.raises(NotSent):
        daraja.push(push, budget=1.0)

    assert len(fake.to(PUSH)) == 1


@pytest.mark.usefixtures("no_waiting")
def test_a_tls_handshake_that_never_ends_means_not_sent(mute, push):
    daraja = Daraja(MERCHANT, f"https://127.0.0.1:{mute.getsockname()[1]}", SharedToken())

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push, budget=SHORT)

    assert not_sent.value.reason is Reason.SYSTEM_BUSY


@pytest.mark.usefixtures("no_waiting")
def test_a_call_whose_time_is_over_hangs_up_in_the_tls_handshake(mute, push):
    base_url = f"https://127.0.0.1:{mute.getsockname()[1]}"
    daraja = Daraja(MERCHANT, base_url, SharedToken(), timeouts=Timeouts(connect=60.0))

    with pytest.raises(NotSent):
        daraja.push(push, budget=SHORT)
    connection, _ = mute.accept()
    connection.settimeout(LONG_BEFORE_THE_TIMEOUTS)

    with connection, suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


@pytest.mark.usefixtures("no_waiting")
def test_a_certificate_that_nobody_vouches_for_means_not_sent(certificate, push):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    with running_daraja(tls) as fake:
        daraja = Daraja(MERCHANT, fake.base_url, SharedToken())
        with pytest.raises(NotSent):
            daraja.push(push)

    assert fake.asked == []


def test_nobody_is_trusted_beyond_those_who_were_named(server, push):
    fake, tls = server
    trusted = tls and tls.cert_store_stats()

    Daraja(MERCHANT, fake.base_url, SharedToken(), tls=tls).push(push)

    assert (tls and tls.cert_store_stats()) == trusted


@pytest.mark.usefixtures("no_waiting")
def test_a_token_source_that_hangs_means_not_sent(fake, push):
    released = threading.Event()

    class Hanging:
        def token(self, fetch, *, dead=None):
            released.wait(30)
            return "too-late"

    daraja = Daraja(MERCHANT, fake.base_url, Hanging())
    with pytest.raises(NotSent):
        daraja.push(push, budget=SHORT)
    released.set()
    daraja.cut()

    assert fake.asked == []


@pytest.mark.usefixtures("no_waiting")
def test_a_push_that_did_not_run_counts_as_not_sent_while_others_fetch_its_token(fake, push):
    class RenewedByOthers:
        def token(self, fetch, *, dead=None):
            if dead:
                fake.release.wait(30)
            return "a-token-of-twenty-eight-char"

    fake.script[PUSH] = [reply(404, refusal("404.001.03", "Invalid Access Token"))]

    with pytest.raises(NotSent):
        Daraja(MERCHANT, fake.base_url, RenewedByOthers()).push(push, budget=1.0)

    assert len(fake.to(PUSH)) == 1


@pytest.mark.usefixtures("no_waiting")
def test_the_end_of_a_call_spares_a_connection_that_it_no_longer_uses(fake, push):
    fetched, ended = threading.Event(), threading.Event()

    class SlowToShare:
        def token(self, fetch, *, dead=None):
            if not fetched.is_set():
                fetch()
                fetched.set()
                fake.release.wait(30)
            return "a-token-of-twenty-eight-char"

    daraja = Daraja(MERCHANT, fake.base_url, SlowToShare())
    fake.script[PUSH] = [lambda handler: (ended.wait(5), reply(200, ACCEPTED)(handler))]
    thread, errors = in_background(lambda: daraja.push(push, budget=1.0))
    assert fetched.wait(5)
    other, others_errors = in_background(lambda: daraja.push(push))
    thread.join(10)
    ended.set()
    other.join(10)

    assert [type(error) for error in errors] == [NotSent]
    assert others_errors == []
    assert len({asked.connection for asked in fake.asked}) == 1


def test_nothing_leaves_before_it_is_announced(
    server,
):
    class TooLate(Call[None]):
        def about_to_send(self, *, counts):
            raise OutOfTime

    fake, tls = server
    transport = Transport(fake.base_url, DEFAULT_TIMEOUTS, time.monotonic, tls)

    with pytest.raises(OutOfTime):
        transport.exchange(TooLate(), Request("POST", PUSH, "Bearer x", b"{}"))

    assert fake.hung_up.wait(5)
    assert fake.asked == []


def test_a_connection_is_let_go_of_before_another_call_can_have_it(
    server,
):
    fake, tls = server
    transport = Transport(fake.base_url, DEFAULT_TIMEOUTS, time.monotonic, tls)
    request = Request("POST", PUSH, "Bearer x", b"{}")

    class SlowToLetGo(Call[None]):
        def let_go(self):
            if len(fake.asked) == 1:
                Calls(time.monotonic).run(lambda call: transport.exchange(call, request), 5)
            super().let_go()

    transport.exchange(SlowToLetGo(), request)

    first, second = fake.asked
    assert first.connection != second.connection


def test_without_any_time_left_nothing_is_sent(fake, daraja, push):
    with pytest.raises(NotSent):
        daraja.push(push, budget=0)

    assert fake.asked == []


def test_a_connection_is_used_again(peer, push):
    fake, daraja = peer

    daraja.push(push)
    daraja.push(push)

    assert len({asked.connection for asked in fake.asked}) == 1


def test_one_whose_time_is_over_leaves_the_others_alone(peer, push):
    fake, daraja = peer
    daraja.check_credentials()
    fake.script[PUSH] = [fake.silence, reply(200, ACCEPTED)]
    thread, errors = in_background(lambda: daraja.push(push, budget=SHORT))
    assert fake.arrived.wait(5)

    for _ in range(5):
        daraja.push(push)
    thread.join(10)
    daraja.push(push)

    assert [type(error) for error in errors] == [UnknownOutcome]


@pytest.mark.usefixtures("no_waiting")
def test_a_cut_ends_a_sent_push_at_once_as_unknown(peer, push):
    fake, daraja = peer
    fake.script[PUSH] = [fake.silence]
    thread, errors = in_background(lambda: daraja.push(push))
    assert fake.arrived.wait(5)

    daraja.cut()
    thread.join(5)

    assert [type(error) for error in errors] == [UnknownOutcome]


@pytest.mark.usefixtures("no_waiting")
def test_a_cut_ends_a_call_that_waits_for_a_token_as_not_sent(fake, daraja, push):
    asked = threading.Event()
    fake.script[OAUTH] = [lambda handler: (asked.set(), fake.silence(handler))]
    thread, errors = in_background(lambda: daraja.push(push))
    assert asked.wait(5)

    daraja.cut()
    thread.join(5)

    assert [type(error) for error in errors] == [NotSent]
    assert fake.to(PUSH) == []


def test_after_a_cut_nothing_is_sent(fake, daraja, push):
    daraja.cut()

    with pytest.raises(NotSent):
        daraja.push(push)

    assert fake.asked == []


def test_a_cut_hangs_up_idle_connections(fake, daraja, push):
    daraja.push(push)
    assert not fake.hung_up.is_set()

    daraja.cut()

    assert fake.hung_up.wait(5)


def test_no_connection_is_left_open_by_broken_calls(fake, daraja, push):
    daraja.check_credentials()
    fake.script[PUSH] = [reply(200, b"x" * 100_000)]
    before = open_files()

    for _ in range(20):
        with pytest.raises(UnknownOutcome):
            daraja.push(push)

    # The server's own ends may still be closing.
    assert open_files() < before + 10
