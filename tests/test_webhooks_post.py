"""One request to a merchant's server that fails in every way: an outcome within its time."""

import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from mpesa.webhooks import Answered, Failure, Post, Unanswered
from tests import receiver as merchant
from tests.receiver import receiving
from tests.servers import free_port

# Seconds; long enough for an answer on a busy machine, short enough to wait for.
LIMIT = 0.5
# How much longer than its limit a request may take on a machine that is shared.
SLACK = 1.5


@pytest.fixture
def receiver():
    with receiving() as started:
        yield started


def post(url, limit=LIMIT, tls=None):
    return Post(url, limit, tls)(b'{"a":1}', {"webhook-id": "msg_1"})


def test_body_and_headers_arrive_as_they_are(receiver):
    outcome = post(receiver.url)

    (got,) = receiver.got
    assert outcome == Answered(204)
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/hook", b'{"a":1}', "msg_1")


def test_a_query_and_a_slash_in_the_address_are_kept(receiver):
    post(f"{receiver.url}/deep/?key=1")

    assert receiver.got[0].path == "/hook/deep/?key=1"


def test_a_password_in_the_address_becomes_basic_authentication(receiver):
    post(receiver.url.replace("http://", "http://shop:hunter2@"))

    assert receiver.got[0].headers["authorization"] == "Basic c2hvcDpodW50ZXIy"


@pytest.mark.parametrize("status", [200, 201, 299, 400, 404, 410, 429, 500, 503])
def test_the_status_is_the_outcome(receiver, status):
    receiver.usual = merchant.reply(status, b"<h1>so it is</h1>", Content_Type="text/html")

    assert post(receiver.url) == Answered(status)


def test_the_pause_that_is_asked_for_is_handed_on(receiver):
    receiver.usual = merchant.reply(429, Retry_After="120")

    assert post(receiver.url) == Answered(429, "120")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, status):
    receiver.usual = merchant.reply(status, Location=receiver.url)

    outcome = post(receiver.url)

    assert outcome == Answered(status)
    assert (len(receiver.got), receiver.followed) == (1, [])


@pytest.mark.parametrize("answer", [merchant.hang, merchant.drip])
def test_an_answer_that_never_comes_ends_with_the_time(receiver, answer):
    receiver.usual = answer
    started = time.monotonic()

    outcome = post(receiver.url)

    assert outcome == Unanswered(Failure.TIMED_OUT)
    assert LIMIT <= time.monotonic() - started < LIMIT + SLACK


def test_what_dripped_for_ever_leaves_no_thread_behind(receiver):
    receiver.usual = merchant.drip
    before = set(threading.enumerate())

    post(receiver.url)

    ours = [each for each in set(threading.enumerate()) - before if "_run" in each.name]
    for thread in ours:
        thread.join(SLACK)
    assert not [each for each in ours if each.is_alive()]


@pytest.mark.parametrize("answer", [merchant.drip_body, merchant.flood])
def test_a_body_without_end_is_not_waited_for(receiver, answer):
    receiver.usual = answer

    assert post(receiver.url, limit=10) == Answered(200)


@pytest.mark.parametrize("answer", [merchant.reset, merchant.babble])
def test_a_connection_that_breaks_is_named(receiver, answer):
    receiver.usual = answer

    assert post(receiver.url) == Unanswered(Failure.BROKEN)


def test_a_server_that_is_not_there_is_named():
    assert post(f"http://127.0.0.1:{free_port()}/hook") == Unanswered(Failure.UNREACHABLE)


def test_a_host_that_has_no_address_is_named():
    assert post("http://shop.invalid/hook", 5) == Unanswered(Failure.UNREACHABLE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that no authority signed, with its key."""
    pem = tmp_path_factory.mktemp("tls") / "merchant.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {pem} -out {pem}.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem


@pytest.fixture
def https(certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with receiving(tls) as started:
        yield started


def test_https_goes_to_whom_the_authorities_vouch_for(https, certificate):
    trusted = ssl.create_default_context(cafile=str(certificate))
    address = https.url.replace("http:", "https:")

    assert post(address, 5, trusted) == Answered(204)


def test_a_certificate_of_nobody_is_refused(https):
    address = https.url.replace("http:", "https:")

    assert post(address, 5) == Unanswered(Failure.TLS_FAILED)
    assert https.got == []


def test_https_to_a_server_without_it_is_refused(receiver):
    address = receiver.url.replace("http:", "https:")

    assert post(address, 5) == Unanswered(Failure.TLS_FAILED)


def test_proxies_and_passwords_of_the_environment_are_left_alone(receiver, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login us password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert post(receiver.url) == Answered(204)
    assert "authorization" not in receiver.got[0].headers
