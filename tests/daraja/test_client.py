import base64
import json
import threading
from datetime import UTC, datetime

import pytest

from mpesa.daraja import NoAnswer, NotSent, Push, Refused, UnknownOutcome
from mpesa.daraja.http import LARGEST_ANSWER, LONGEST_IDLE
from mpesa.domain.result_codes import Reason
from tests.daraja.fake_daraja import (
    ACCEPTED,
    OAUTH,
    PAID,
    PUSH,
    QUERY,
    raw,
    refusal,
    reply,
    token_number,
)
from tests.daraja.shared_token import SharedToken

DEAD = [
    (404, refusal("404.001.03", "Invalid Access Token")),
    (401, refusal("401.003.01", "Error Occurred - Invalid Access Token")),
    (400, refusal("400.003.01", "Invalid Access Token")),
]
TOO_LARGE = json.dumps(ACCEPTED).encode() + b" " * LARGEST_ANSWER
BUSY = reply(500, refusal("500.001.1001", "Internal Server Error"))


def test_an_accepted_push_gives_its_ids(daraja, push):
    accepted = daraja.push(push)

    assert accepted.checkout_request_id == ACCEPTED["CheckoutRequestID"]
    assert b"ResponseCode" in accepted.body


def test_a_push_is_json_with_a_bearer_token(fake, daraja, push):
    daraja.push(push)

    (asked,) = fake.to(PUSH)
    assert asked.method == "POST"
    assert asked.headers["Authorization"] == f"Bearer {token_number(1)['access_token']}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.fields["PartyA"] == "254712345678"


def test_the_token_is_asked_for_with_basic_credentials(fake, daraja):
    daraja.query("ws_CO_1")

    (asked,) = fake.to(OAUTH)
    scheme, credentials = asked.headers["Authorization"].split(" ")
    assert (asked.method, scheme) == ("GET", "Basic")
    assert base64.b64decode(credentials) == b"the-consumer-key:the-consumer-secret"
    assert asked.path.endswith("?grant_type=client_credentials")


def test_the_clock_is_the_one_that_was_given(fake, make_daraja, push):
    make_daraja(now=lambda: datetime(2026, 1, 1, 22, 0, tzinfo=UTC)).push(push)

    assert fake.to(PUSH)[0].fields["Timestamp"] == "20260102010000"


def test_the_path_of_the_base_url_is_put_before_every_path(fake, make_daraja):
    fake.script["/simulator" + OAUTH] = [reply(200, token_number(1))]
    fake.script["/simulator" + QUERY] = [reply(200, PAID)]

    answer = make_daraja(base_url=fake.base_url + "/simulator/").query("ws_CO_1")

    assert answer.result_code == "0"


def test_a_reference_that_daraja_might_not_take_is_never_sent(fake, daraja):
    with pytest.raises(ValueError, match="reference"):
        daraja.push(Push("254712345678", 1, "one too long 1", "x", "https://shop.example/c"))

    assert fake.asked == []


def test_a_clear_no_is_a_refusal(fake, daraja, push):
    fake.script[PUSH] = [reply(500, refusal("500.001.1001", "Unable to lock subscriber"))]

    with pytest.raises(Refused) as refused:
        daraja.push(push)

    assert refused.value.reason is Reason.LINE_BUSY


@pytest.mark.parametrize(("status", "body"), DEAD)
def test_a_push_whose_token_was_dead_is_sent_once_more_with_a_new_one(
    fake, daraja, push, status, body
):
    fake.script[PUSH] = [reply(status, body), reply(200, ACCEPTED)]

    accepted = daraja.push(push)

    assert accepted.checkout_request_id == ACCEPTED["CheckoutRequestID"]
    tokens = [asked.headers["Authorization"] for asked in fake.to(PUSH)]
    assert tokens == [f"Bearer {token_number(n)['access_token']}" for n in (1, 2)]


@pytest.mark.parametrize(("status", "body"), DEAD)
def test_a_token_that_is_dead_twice_ends_the_push(fake, daraja, push, status, body):
    fake.script[PUSH] = [reply(status, body)]

    with pytest.raises(Refused) as refused:
        daraja.push(push)

    assert refused.value.reason is Reason.MISCONFIGURED
    assert len(fake.to(PUSH)) == 2


def test_a_push_that_did_not_run_and_gets_no_new_token_was_not_sent(fake, daraja, push):
    fake.script[OAUTH] = [reply(200, token_number(1)), reply(503, b"<html>")]
    fake.script[PUSH] = [reply(*DEAD[0])]

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push)

    assert not_sent.value.reason is Reason.SYSTEM_BUSY


def test_a_query_whose_token_was_dead_is_repeated_once(fake, daraja):
    fake.script[QUERY] = [reply(*DEAD[0]), reply(200, PAID)]

    assert daraja.query("ws_CO_1").result_code == "0"


@pytest.mark.parametrize(
    "step",
    [
        BUSY,
        reply(503, b"<html>Incapsula</html>", kind="text/html"),
        reply(429, b"<html>slow down</html>", kind="text/html"),
        reply(400, b""),
        raw(b""),
        raw(b"", reset=False),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", reset=False),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", reset=False),
        raw(b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
        raw(b"SSH-2.0-OpenSSH\r\n", reset=False),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", reset=False),
        reply(200, TOO_LARGE),
        raw(b"HTTP/1.1 200 OK\r\n\r\n" + TOO_LARGE, reset=False),
    ],
)
def test_a_push_without_a_clear_answer_is_unknown_and_never_sent_again(fake, daraja, push, step):
    fake.script[PUSH] = [step]

    with pytest.raises(UnknownOutcome):
        daraja.push(push)

    assert len(fake.to(PUSH)) == 1
    assert len(fake.asked) == 2


@pytest.mark.parametrize("step", [BUSY, raw(b""), raw(b"HTTP/1.1 200 OK\r\n\r\n{", reset=False)])
def test_a_query_that_breaks_is_no_answer_and_not_repeated(fake, daraja, step):
    fake.script[QUERY] = [step]

    with pytest.raises(NoAnswer):
        daraja.query("ws_CO_1")

    assert len(fake.to(QUERY)) == 1


@pytest.mark.parametrize("step", [raw(b""), reply(503, b"<html>"), reply(302, b"")])
def test_without_a_token_nothing_is_sent(fake, daraja, push, step):
    fake.script[OAUTH] = [step]

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push)

    assert not_sent.value.reason is Reason.SYSTEM_BUSY
    assert fake.to(PUSH) == []
    assert len(fake.to(OAUTH)) == 1


def test_refused_credentials_are_our_fault(fake, daraja, push):
    fake.script[OAUTH] = [reply(400, b"")]

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push)

    assert not_sent.value.reason is Reason.MISCONFIGURED


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_port_means_not_sent(make_daraja, push, closed_port, scheme):
    daraja = make_daraja(base_url=f"{scheme}://127.0.0.1:{closed_port}")

    with pytest.raises(NotSent) as not_sent:
        daraja.push(push)

    assert not_sent.value.reason is Reason.SYSTEM_BUSY


def test_a_name_that_cannot_be_found_means_not_sent(make_daraja, push):
    with pytest.raises(NotSent):
        make_daraja(base_url="http://no-such-host.invalid").push(push)


def test_a_peer_without_tls_means_not_sent(fake, make_daraja, push):
    with pytest.raises(NotSent):
        make_daraja(base_url=fake.base_url.replace("http:", "https:")).push(push)


def test_a_token_that_an_answer_repeats_is_blanked(fake, daraja, push):
    secret = str(token_number(1)["access_token"])
    fake.script[PUSH] = [reply(502, f"<html>{secret}</html>".encode())]

    with pytest.raises(UnknownOutcome) as unknown:
        daraja.push(push)

    assert unknown.value.body == b"<html>[secret]</html>"
    assert secret not in str(unknown.value)


def test_a_connection_that_was_closed_while_idle_is_replaced(fake, daraja, push):
    fake.script[PUSH] = [reply(200, ACCEPTED, close=True), reply(200, ACCEPTED)]
    daraja.push(push)
    assert fake.hung_up.wait(5)

    accepted = daraja.push(push)

    assert accepted.checkout_request_id == ACCEPTED["CheckoutRequestID"]
    assert len(fake.to(PUSH)) == 2


def test_a_push_on_a_connection_that_dies_under_it_is_unknown_and_not_sent_again(
    fake, daraja, push
):
    fake.script[PUSH] = [reply(200, ACCEPTED), raw(b"")]
    daraja.push(push)

    with pytest.raises(UnknownOutcome):
        daraja.push(push)

    assert len({asked.connection for asked in fake.asked}) == 1
    assert len(fake.to(PUSH)) == 2


def test_a_connection_that_was_idle_for_long_is_not_trusted(fake, make_daraja, push):
    clock = [0.0]
    daraja = make_daraja(monotonic=lambda: clock[0])
    daraja.push(push)

    clock[0] += LONGEST_IDLE
    daraja.push(push)

    assert fake.to(PUSH)[0].connection != fake.to(PUSH)[1].connection


def test_many_pushes_at_once_share_one_token_and_are_each_sent_once(fake, daraja, push):
    accepted = []
    threads = [
        threading.Thread(target=lambda: accepted.append(daraja.push(push))) for _ in range(20)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(accepted) == 20
    assert (len(fake.to(OAUTH)), len(fake.to(PUSH))) == (1, 20)


def test_good_credentials_pass_the_check(daraja):
    daraja.check_credentials()


def test_credentials_are_checked_although_a_token_is_at_hand(fake, make_daraja):
    daraja = make_daraja()
    daraja.check_credentials()
    fake.script[OAUTH] = [reply(400, b"")]

    with pytest.raises(NotSent) as not_sent:
        daraja.check_credentials()

    assert not_sent.value.reason is Reason.MISCONFIGURED


def test_the_token_of_a_check_is_shared(fake, make_daraja, push):
    tokens = SharedToken()
    make_daraja(tokens=tokens).check_credentials()

    make_daraja(tokens=tokens).push(push)

    assert len(fake.to(OAUTH)) == 1


@pytest.mark.parametrize("base_url", ["ftp://daraja.example", "daraja.example", "https://"])
def test_a_base_url_that_is_none_is_refused(make_daraja, base_url):
    with pytest.raises(ValueError, match="base URL"):
        make_daraja(base_url=base_url)
