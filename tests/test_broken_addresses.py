"""A setting that holds a secret is refused in one line that shows no part of it."""

import logging

import pytest

from app import create_app
from mpesa.config import Settings, SettingsError, problems
from mpesa.models import db
from mpesa.runtime import database
from tests.servers import ROOT, free_port

ENCODE = "percent-encoded (@ is %40"
# Pieces of a password, none of which is a word that a line of ours would hold.
PIECES = ("zq1x", "wk2v", "jr3y", "4817")
AMBIGUOUS = [
    "zq1x@wk2v",
    "zq1x@wk2v#jr3y",
    "zq1x@wk2v/jr3y",
    "zq1x#wk2v",
    "zq1x?wk2v",
    "zq1x%wk2v",
    "zq1x%1",
    "zq1x@wk2v#jr3y/4817%1",
    "4817#zq1x",
    "4817?zq1x",
    "@",
    "#",
]
WEBHOOK = {"WEBHOOK_SECRET": f"whsec_{'c2Vj' * 10}"}


def refusal(**environ):
    """What a start says."""
    with pytest.raises(SettingsError) as raised:
        start(Settings.from_env(environ))
    return str(raised.value)


def start(settings):
    with create_app(settings).app_context():
        try:
            database.migrate()
        finally:
            db.engine.dispose()


def assert_says_nothing(line, name):
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    for piece in PIECES:
        assert piece not in line


@pytest.mark.parametrize("password", AMBIGUOUS)
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://app:{}@127.0.0.1/shop"),
        ("DATABASE_URL", "postgres://app:{}@/shop?host=/run/postgresql"),
        ("REDIS_URL", "redis://:{}@127.0.0.1:6379/0"),
        ("REDIS_URL", "rediss://app:{}@redis.example.com"),
        ("WEBHOOK_URL", "http://app:{}@127.0.0.1/hook"),
    ],
)
def test_a_password_that_may_be_taken_for_something_else_has_to_be_encoded(name, address, password):
    line = refusal(**WEBHOOK, **{name: address.format(password)})

    assert ENCODE in line
    assert_says_nothing(line, name)


def test_the_doctor_says_the_same():
    (line,) = problems({"DATABASE_URL": "postgresql://app:zq1x@wk2v@127.0.0.1/shop"})

    assert ENCODE in line
    assert_says_nothing(line, "DATABASE_URL")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://app:p%40ss%23w%2Frd%251@127.0.0.1/shop"),
        ("DATABASE_URL", "postgresql://app:pa:ss@127.0.0.1/shop"),
        ("DATABASE_URL", "postgresql://mpesa@/mpesa?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////tmp/a@b#c?d%e@f"),
        ("REDIS_URL", "unix://mpesa:password@/run/redis/redis-server.sock"),
        ("WEBHOOK_URL", "http://127.0.0.1/@shop/hook?mail=a@example.com#x"),
        ("WEBHOOK_URL", "http://app:p%40ss@127.0.0.1/hook"),
    ],
)
def test_what_is_encoded_or_stands_behind_the_host_is_taken(name, address):
    assert problems({**WEBHOOK, name: address}) == []


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://app:zq1x/shop",  # the host was forgotten
        "postgresql://app:4817/shop",
        "postgresql://app:p@zq1x/shop",
        "postgresql://app:p@zq1x.wk2v:4817/jr3y",
        "postgresql://app:p@127.0.0.1:zq1x/shop",
        "postgresql://app:p@127.0.0.1:481799/shop",
        "postgresql://app:p@[zq1x]/shop",
        "postgresql://app:zq1x/wk2v@127.0.0.1:1/jr3y",
        "postgresql://zq1x:wk2v@127.0.0.1:1/jr3y?sslmode=4817",
        "postgresql://app@127.0.0.1:1/shop?password=zq1x&connect_timeout=wk2v",
        "postgresql://app@/shop?host=zq1x,wk2v&port=1",
        "postgresql://app@/shop?host=/zq1x/wk2v",
    ],
)
def test_what_the_driver_says_is_shown_without_any_part_of_the_address(address):
    assert_says_nothing(refusal(DATABASE_URL=address), "DATABASE_URL")


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda url: url.replace("mpesa@", "zq1x:wk2v@"), 'role "…" does not exist'),
        (lambda url: url.rpartition("/")[0] + "/jr3y", 'database "…" does not exist'),
    ],
)
def test_what_the_server_says_still_tells_what_is_wrong(postgres, broken, told):
    line = refusal(DATABASE_URL=broken(postgres.new_database()))

    assert told in line
    assert_says_nothing(line, "DATABASE_URL")


def test_a_server_that_is_not_there_is_told():
    line = refusal(DATABASE_URL=f"postgresql://zq1x:wk2v@127.0.0.1:{free_port()}/jr3y")

    assert "Connection refused" in line
    assert_says_nothing(line, "DATABASE_URL")


@pytest.mark.parametrize(
    "address",
    [
        "redis://app:zq1x/0",
        "redis://127.0.0.1:zq1x/0",
        "redis://127.0.0.1:481799/0",
        "redis://127.0.0.1/0?socket_timeout=zq1x",
        "redis://127.0.0.1/0?zq1x=wk2v",
        "redis://[zq1x/0",
    ],
)
def test_a_redis_address_that_nobody_can_use_ends_the_start(address):
    assert_says_nothing(refusal(REDIS_URL=address), "REDIS_URL")


@pytest.mark.parametrize("address", ["http://app:zq1x", "http://[zq1x/wk2v", "http://h:zq1x/"])
def test_a_webhook_address_that_nobody_can_use_ends_the_start(address):
    assert_says_nothing(refusal(**WEBHOOK, WEBHOOK_URL=address), "WEBHOOK_URL")


def test_flask_db_upgrade_shows_no_part_either(caplog):
    caplog.set_level(logging.INFO)
    app = create_app(Settings.from_env({"DATABASE_URL": "postgresql://app:p@zq1x/wk2v"}))

    result = app.test_cli_runner().invoke(args=["db", "upgrade", "-d", str(ROOT / "migrations")])

    assert result.exit_code == 1
    shown = f"{result.output}{result.stderr}{caplog.text}{result.exception!r}"
    assert "could not translate host name" in shown
    assert "zq1x" not in shown
    assert "wk2v" not in shown
