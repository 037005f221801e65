"""The files in deploy/: nginx in front of two workers, one PostgreSQL and one Redis."""

import os
import re
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
import redis
import requests

from tests.integration.steps import Phone, new_order, read_order, started, status_of, watching
from tests.servers import (
    PATIENCE,
    ROOT,
    Server,
    free_port,
    listens,
    running,
    wait_until,
)

pytestmark = [pytest.mark.nginx, pytest.mark.postgres, pytest.mark.redis]

FILES = ROOT / "deploy" / "nginx"
ACL = ROOT / "deploy" / "redis" / "users.acl"
TOKEN = "5ec7e7" * 10 + "0123"
# What another machine has elsewhere: nginx's own folders for what it sets aside.
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """nginx on the files of deploy/nginx.

    Args:
        folder: for its files and logs.
        swapped: what is written in those files, and what stands in its place here.
    """

    def __init__(self, folder, swapped):
        self.folder = folder
        places = {"/var/log/nginx": f"{folder}/log", "/var/cache/nginx": f"{folder}/cache"}
        temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY)
        for each in ("log", "cache"):
            (folder / each).mkdir()
        for file in FILES.glob("*.conf"):
            text = file.read_text().replace("http {\n", "http {\n" + temporary)
            for written, ours in {**places, **swapped}.items():
                text = text.replace(written, ours)
            (folder / file.name).write_text(text)
        (folder / "main.conf").write_text(
            f"events {{}}\nhttp {{\n{temporary}include mpesa.conf;\n}}\n"
        )

    def command(self, main, *arguments):
        own = f"daemon off; pid {self.folder}/{main}.pid;"
        if os.geteuid() == 0:
            own += " user root;"  # the folder of a test is its user's alone
        log = str(self.folder / "log" / "start.log")
        return [
            "nginx",
            "-p",
            self.folder,
            "-c",
            self.folder / main,
            "-e",
            log,
            "-g",
            own,
            *arguments,
        ]

    @contextmanager
    def running(self, main):
        """Serve until the end of the block."""
        with (self.folder / "log" / "out.log").open("ab") as log:
            process = subprocess.Popen(self.command(main), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def logs(self):
        """Everything that it wrote."""
        return "".join(file.read_text() for file in (self.folder / "log").iterdir())


@pytest.fixture(scope="module")
def house(tmp_path_factory, postgres):
    """Everything of deploy/, started; `address` is what shoppers see."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o755)
    plain, phone, secure, redirecting = (free_port() for _ in range(4))
    with ExitStack() as stack:
        simulator = stack.enter_context(_simulator(folder))
        workers = stack.enter_context(_workers(folder, postgres, simulator, plain))
        nginx = Nginx(
            folder,
            {
                "127.0.0.1:5001": f"127.0.0.1:{workers[0].port}",
                "127.0.0.1:5002": f"127.0.0.1:{workers[1].port}",
                "127.0.0.1:5003": f"127.0.0.1:{simulator.port}",
                "8080": str(plain),
                "listen 8081": f"listen {phone}",
                "$host:5003": f"$host:{phone}",  # what compose.yaml publishes it as
                "listen 443": f"listen {secure}",
                "listen 80;": f"listen {redirecting};",
                "/dev/stdout": f"{folder}/log/compose.log",
                **_certificate(folder),
            },
        )
        for main, port in (("compose.conf", plain), ("main.conf", secure)):
            stack.enter_context(nginx.running(main))
            wait_until(lambda port=port: listens(port), nginx.logs)
        yield SimpleNamespace(
            nginx=nginx, workers=workers, simulator=simulator, folder=folder,
            redis_url=workers[0].environment["REDIS_URL"],
            shop=_Front(plain), phone=_Front(phone), secure=secure, redirecting=redirecting,
        )  # fmt: skip


class _Front(Server):
    """A server that somebody else started."""

    def __init__(self, port):
        self.port, self.address = port, f"http://127.0.0.1:{port}"


def _simulator(folder):
    port = str(free_port())
    return running(folder, ("-m", "mpesa.simulator", "--port", port), PORT=port)


@contextmanager
def _workers(folder, postgres, simulator, port):
    shared = {
        "DATABASE_URL": postgres.new_database(),
        "DARAJA_BASE_URL": simulator.address,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TRUSTED_PROXIES": "1",
        "STK_PUSH_LIMIT_PER_IP": "1000/minute",
        # What the unit says.
        "ASYNC_MODE": os.environ.get("ASYNC_MODE") or "gevent",
    }
    with _redis(folder) as redis_url, ExitStack() as stack:
        shared["REDIS_URL"] = redis_url
        yield [stack.enter_context(running(folder, **shared)) for _ in "AB"]


@contextmanager
def _redis(folder):
    """A Redis on a Unix socket, with the rights of deploy/redis/users.acl."""
    path = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", path, "--aclfile", ACL, "--save", ""]
    process = subprocess.Popen(
        ["redis-server", *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        wait_until(path.exists)
        yield f"unix://mpesa:change-this-password@{path}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _certificate(folder):
    """A certificate for localhost; returns what mpesa.conf names and what stands for it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    live = "/etc/letsencrypt/live/pay.example.com"
    return {f"{live}/fullchain.pem": str(certificate), f"{live}/privkey.pem": str(key)}


def paid(house):
    """Pay an order through nginx; returns what the page saw and the order's id."""
    msisdn, transaction_id = started(house.shop, amount=150)
    with watching(house.shop, transaction_id) as page:
        Phone(house.simulator.address, msisdn).answer(pin="1234")
        return page.snapshot_with(status="SUCCESS")


def test_a_payment_through_nginx_reaches_the_page(house):
    seen = [paid(house) for _ in range(4)]

    orders = [read_order(house.shop, each["order_id"]) for each in seen]
    assert {each["status"] for each in orders} == {"PAID"}
    assert len({each["receipt"] for each in seen}) == 4


@pytest.mark.parametrize("main", ["main.conf", "compose.conf"])
def test_nginx_has_nothing_to_say_about_the_files(house, main):
    done = subprocess.run(
        house.nginx.command(main, "-t"), capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0
    assert "[warn]" not in done.stderr
    assert "test is successful" in done.stderr


def test_a_page_listens_over_tls(house):
    trusted = {"ca_certs": str(house.folder / "certificate.pem")}
    _, transaction_id = started(house.shop)
    front = _Front(house.secure)
    front.address = f"https://localhost:{house.secure}"

    with watching(front, transaction_id, sslopt=trusted) as page:
        assert page.first["transaction_id"] == transaction_id


def test_plain_http_is_sent_to_tls(house):
    answer = requests.get(
        f"http://localhost:{house.redirecting}/checkout/x", allow_redirects=False, timeout=PATIENCE
    )

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://localhost/checkout/x"


def test_no_log_has_a_callback_token_or_an_address_that_opens_a_payment(house):
    snapshot = paid(house)
    house.shop.get(f"/checkout/{snapshot['order_id']}")
    status_of(house.shop, snapshot["transaction_id"])
    house.shop.post(f"/c2b/{TOKEN}/validation", json={})
    house.shop.post(f"/callback/{TOKEN}", data=b"x" * 200_000)

    # nginx writes a line after the answer was sent.
    wait_until(lambda: "POST /callback/- 413" in house.nginx.logs(), house.nginx.logs)
    wrote = house.nginx.logs()
    assert "POST /callback/- 200" in wrote
    assert "POST /c2b/- 200" in wrote
    assert "GET /checkout/- 200" in wrote
    assert "GET /check-status 200" in wrote
    for secret in (TOKEN, snapshot["order_id"], snapshot["transaction_id"]):
        assert secret not in wrote
    assert not re.search("/callback/[0-9a-f]", wrote)


def test_one_id_stands_in_the_answer_in_nginxs_log_and_in_the_workers(house):
    order_id = new_order(house.shop)
    pushed = house.shop.post(
        "/stk-push", json={"order_id": order_id, "phone": "0712345679"},
        headers={"X-Request-ID": "a-shoppers-own"},
    )  # fmt: skip

    request_id = pushed.headers["X-Request-ID"]  # one: two would be joined by a comma
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    wait_until(lambda: f"request_id={request_id}" in house.nginx.logs(), house.nginx.logs)
    told = [
        line for worker in house.workers for line in worker.log.read_text().splitlines()
        if request_id in line
    ]  # fmt: skip
    assert any("a push is sent" in line and f"order_id={order_id} " in line for line in told)
    assert "a-shoppers-own" not in house.nginx.logs() + "".join(told)


def test_an_answer_from_nginxs_cache_has_an_id_of_its_own(house):
    script = re.search(
        r'src="(/static/[^"]+)"', house.shop.get(f"/checkout/{new_order(house.shop)}").text
    )[1]

    ids = {house.shop.get(script).headers["X-Request-ID"] for _ in range(3)}

    assert len(ids) == 3


def test_a_body_far_above_the_limit_does_not_reach_a_worker(house):
    answer = house.shop.post("/stk-push", data=b"x" * 200_000)

    assert answer.status_code == 413
    assert "nginx" in answer.text


def test_a_body_just_above_the_limit_is_refused_in_words(house):
    answer = house.shop.post("/stk-push", json={"order_id": "x" * 70_000})

    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"


def test_cookies_of_the_whole_domain_keep_no_page_from_its_result(house):
    """An analytics script and a shop beside us can set more than a header line of 8 KB."""
    order_id = new_order(house.shop, amount=150)
    cookies = {"Cookie": "_ga=" + "x" * 9000 + "; cart=" + "y" * 9000}

    page = house.shop.get(f"/checkout/{order_id}", headers=cookies)
    poll = house.shop.get("/check-status?tx_id=unknown", headers=cookies)
    socket = house.shop.get("/socket.io/?EIO=4&transport=websocket", headers=cookies)

    assert (page.status_code, poll.json()["code"]) == (200, "transaction_not_found")
    # What is no upgrade is refused by our own code, and not for its length.
    assert socket.status_code == 400
    assert socket.content


@pytest.mark.parametrize("before", ["", "a=1; ", "notconsole=1;", "_ga=" + "x" * 9000 + "; "])
def test_the_consoles_cookie_reaches_the_workers_among_others(house, before):
    login = house.shop.get("/console/login")
    (name, value), *_ = login.cookies.items()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', login.text)[1]

    sent = requests.post(
        house.shop.url("/console/login"),
        data={"name": "nobody", "password": "wrong", "csrf_token": token},
        headers={"Cookie": f"{before}{name}={value}; z=1"},
        timeout=PATIENCE,
    )

    assert sent.status_code == 403  # without its cookie the form would be a forged one: 400


def test_metrics_are_not_for_the_outside(house):
    assert house.shop.get("/metrics").status_code == 404
    assert "nginx" in house.shop.get("/metrics").text


def test_a_shopper_cannot_choose_the_address_that_is_believed(house):
    """Two addresses of the shopper's choice are one to the limits: that of the connection."""
    order_id = new_order(house.shop)
    said = [
        house.shop.post(
            "/stk-push",
            json={"order_id": order_id, "phone": "0712345678"},
            headers={"X-Forwarded-For": f"10.1.1.{last}", "X-Forwarded-Host": "evil.example"},
        ).status_code
        for last in (1, 2)
    ]

    # Another host name than ours would be refused.
    assert said == [202, 200]


def test_the_virtual_phone_of_both_workers_is_one(house):
    sent = house.shop.get("/simulator/", allow_redirects=False)

    assert sent.headers["Location"] == f"{house.phone.address}/"
    assert "Virtual phone" in house.phone.get("/").text


def test_the_rights_on_redis_suffice_for_limits_and_hints(house):
    """The workers count pushes there and hear each other."""
    started(house.shop)

    with redis.Redis.from_url(house.redis_url) as client:
        assert dict(client.pubsub_numsub("mpesa:changed")) == {b"mpesa:changed": 2}
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.keys("*")
    for worker in house.workers:
        assert "Redis" not in worker.log.read_text()
        assert worker.get("/readyz").status_code == 200


def test_workers_restart_one_by_one_without_a_failed_request(house):
    """While shoppers ask, and while one of them waits for a result."""
    msisdn, transaction_id = started(house.shop)
    failed, over = [], threading.Event()

    def keep_asking():
        while not over.is_set():
            asked = house.shop.get("/check-status", params={"tx_id": transaction_id}).status_code
            called = house.shop.post(f"/callback/{TOKEN}", json={}).status_code
            if (asked, called) != (200, 404):  # a worker answered: it knows no such token
                failed.append((asked, called))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        for worker in house.workers:
            assert worker.stop() == 0
            worker.start()
    finally:
        over.set()
        asking.join(PATIENCE)
    with watching(house.shop, transaction_id) as page:
        Phone(house.simulator.address, msisdn).answer(pin="1234")
        page.snapshot_with(status="SUCCESS")

    assert failed == []


def test_without_workers_nginx_says_so_and_keeps_quiet_about_secrets(house):
    """The last of this file, since it stops the workers."""
    page = house.shop.get("/").text
    script = re.search(r'/static/[^"]+\.js', page)[0]
    house.shop.get(script)
    for worker in house.workers:
        worker.stop()

    refused = house.shop.post(f"/callback/{TOKEN}", json={})
    kept = house.shop.get(script)

    for worker in house.workers:
        worker.start()
    assert refused.status_code == 502
    assert kept.status_code == 200
    assert TOKEN not in house.nginx.logs()
