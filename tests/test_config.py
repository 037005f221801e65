"""Every setting: its default, good values, and the one line that refuses a bad one."""

import base64
import codecs
import dataclasses
import datetime
import ipaddress
import json
import os
import secrets
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpesa import config
from mpesa.config import (
    DEVELOPMENT_API_KEY,
    DEVELOPMENT_SECRET_KEY,
    SANDBOX_PASSKEY,
    SANDBOX_SHORT_CODE,
    AccountType,
    AsyncMode,
    C2BVersion,
    DarajaEnv,
    LogFormat,
    Rate,
    RefundRelease,
    Settings,
    SettingsError,
    is_guessable,
    is_loopback,
    parse_rate,
)
from tests.factories import make_settings

SANDBOX = {
    "DARAJA_ENV": "sandbox",
    "DARAJA_CONSUMER_KEY": "our-consumer-key",
    "DARAJA_CONSUMER_SECRET": "our-consumer-secret",
    "PUBLIC_URL": "https://pay.example.com",
    "SECRET_KEY": "our-secret-key",
    "API_KEYS": "our-api-key",
}
# As from the command that a refusal names; of this file, and of nothing else.
OURS = "our-Xq7c0VbR3yTzN5kJ1wLd8HsGf4uPaEo2"
OUR_TOKEN = "9c1f0b7a3e5d2846af90c7d1b35e8f62"
PRODUCTION = {
    **SANDBOX,
    "DARAJA_ENV": "production",
    "DARAJA_SHORTCODE": "600000",
    "DARAJA_PASSKEY": "our-passkey",
    "SECRET_KEY": OURS,
    "API_KEYS": OURS,
}


def whsec(size):
    return "whsec_" + base64.b64encode(b"k" * size).decode()


def sealed(size):
    """A credential of an initiator, of so many bytes."""
    return base64.b64encode(b"s" * size).decode()


TOKEN = "0123456789abcdef" * 2
OTHER_TOKEN = "fedcba9876543210" * 4


def refusal(**named):
    """The line that refuses these settings."""
    with pytest.raises(SettingsError) as refused:
        make_settings(**named)
    return str(refused.value)


# -- nothing set -------------------------------------------------------------------------------

DEFAULTS: dict[str, Any] = {
    "daraja_env": DarajaEnv.SIMULATOR,
    "daraja_base_url": "http://127.0.0.1:8000/simulator",
    "daraja_consumer_key": "simulator-key",
    "daraja_consumer_secret": "simulator-secret",
    "daraja_shortcode": SANDBOX_SHORT_CODE,
    "daraja_passkey": SANDBOX_PASSKEY,
    "daraja_account_type": AccountType.PAYBILL,
    "daraja_till": None,
    "daraja_max_amount": 250_000,
    "daraja_query_rate": Rate(5, 60),
    "simulator_public": False,
    "public_url": "http://127.0.0.1:8000",
    "allowed_hosts": ("127.0.0.1", "localhost", "[::1]"),
    "database_url": None,
    "redis_url": None,
    "secret_key": DEVELOPMENT_SECRET_KEY,
    "api_keys": (DEVELOPMENT_API_KEY,),
    "host": "127.0.0.1",
    "port": 8000,
    "demo_shop": True,
    "merchant_name": "Duka la Mfano",
    "merchant_colour": "#0b7a4b",
    "merchant_logo": None,
    "merchant_pattern": True,
    "return_url_hosts": (),
    "manual_payment": True,
    "payment_wait_seconds": 60,
    "trusted_proxies": 0,
    "stk_push_limit_per_phone": Rate(5, 600),
    "stk_push_limit_per_ip": Rate(300, 60),
    "callback_allowed_ips": (),
    "async_mode": AsyncMode.EVENTLET,
    "webhook_url": None,
    "webhook_secret": (),
    "metrics_token": None,
    "retention_days": 400,
    "log_format": LogFormat.CONSOLE,
    "mpesa_qr": False,
    "c2b_token": ("60bb01ef054db556b6a096f45be894cf41331043e729b413e5b1d8d6029bc060",),
    "c2b_shortcode": SANDBOX_SHORT_CODE,
    "c2b_version": C2BVersion.V2,
    "c2b_proof_from": None,
    "pull_nominated_number": None,
    "daraja_status_initiator": "status_api",
    "daraja_status_credential": None,
    "daraja_status_set_on": None,
    "daraja_refund_initiator": "refund_api",
    "daraja_refund_credential": None,
    "daraja_refund_set_on": None,
    "status_query_rate": Rate(10, 60),
    "refund_api_keys": (),
    "refund_release": RefundRelease.TWO_PEOPLE,
    "refund_daily_limit": 50_000,
}
NAMES = sorted(name.upper() for name in DEFAULTS)
LIMITS = ["STK_PUSH_LIMIT_PER_IP", "STK_PUSH_LIMIT_PER_PHONE"]


def test_nothing_set_is_a_simulator_on_this_machine():
    assert dataclasses.asdict(make_settings()) == {
        name: dataclasses.asdict(value) if isinstance(value, Rate) else value
        for name, value in DEFAULTS.items()
    }


@pytest.mark.parametrize("value", ["", "  ", "\t"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LIMITS)))
def test_an_empty_value_is_the_default(name, value):
    assert make_settings(**{name: value}) == make_settings()


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("name", LIMITS)
def test_an_empty_limit_is_no_limit(name, value):
    settings = make_settings(**{name: value})

    assert getattr(settings, name.lower()) is None


def test_settings_cannot_be_changed_later():
    settings = make_settings()

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1


# -- good values -------------------------------------------------------------------------------

GOOD: list[tuple[str, str, Any]] = [
    ("DARAJA_ENV", "Simulator", DarajaEnv.SIMULATOR),
    ("DARAJA_BASE_URL", "https://proxy.example.com/daraja/", "https://proxy.example.com/daraja"),
    ("DARAJA_BASE_URL", "http://127.0.0.1:5001", "http://127.0.0.1:5001"),
    ("DARAJA_BASE_URL", "http://[::1]:5001", "http://[::1]:5001"),
    ("DARAJA_CONSUMER_KEY", " key ", "key"),
    ("DARAJA_CONSUMER_SECRET", "secret", "secret"),
    ("DARAJA_SHORTCODE", "12345", "12345"),
    ("DARAJA_SHORTCODE", "1234567", "1234567"),
    ("DARAJA_PASSKEY", "passkey", "passkey"),
    ("DARAJA_TILL", "500001", "500001"),
    ("DARAJA_MAX_AMOUNT", "1", 1),
    ("DARAJA_MAX_AMOUNT", "150000", 150_000),
    ("DARAJA_QUERY_RATE", "1/12seconds", Rate(1, 12)),
    ("PUBLIC_URL", "http://localhost:8080/", "http://localhost:8080"),
    ("PUBLIC_URL", "https://127.0.0.1", "https://127.0.0.1"),
    ("PUBLIC_URL", "http://[::1]:8000", "http://[::1]:8000"),
    ("ALLOWED_HOSTS", "a.example.com, b.example.com,", ("a.example.com", "b.example.com")),
    (
        "ALLOWED_HOSTS",
        "Web_1,10.0.0.1,[::1],2001:db8::1",
        ("Web_1", "10.0.0.1", "[::1]", "2001:db8::1"),
    ),
    ("ALLOWED_HOSTS", "pay.example.com.", ("pay.example.com.",)),
    ("DATABASE_URL", "sqlite:////tmp/x.sqlite", "sqlite:////tmp/x.sqlite"),
    ("DATABASE_URL", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("DATABASE_URL", "postgres://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("DATABASE_URL", "postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("DATABASE_URL", "postgres+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("REDIS_URL", "redis://localhost:6379/0", "redis://localhost:6379/0"),
    ("REDIS_URL", "rediss://:pw@redis.example.com", "rediss://:pw@redis.example.com"),
    ("REDIS_URL", "unix:///run/redis.sock", "unix:///run/redis.sock"),
    ("SECRET_KEY", "mine", "mine"),
    ("API_KEYS", "one, two", ("one", "two")),
    ("HOST", "localhost", "localhost"),
    ("HOST", "::1", "::1"),
    ("HOST", "[::1]", "::1"),
    ("HOST", "127.0.0.2", "127.0.0.2"),
    ("PORT", "1", 1),
    ("PORT", "65535", 65_535),
    ("DEMO_SHOP", "off", False),
    ("DEMO_SHOP", "0", False),
    ("MERCHANT_NAME", "Mama Njeri's", "Mama Njeri's"),
    (
        "MERCHANT_NAME",
        "Kio\u00adsk\u00a0\U0001f469\u200d\U0001f373",
        "Kio\u00adsk\u00a0\U0001f469\u200d\U0001f373",
    ),
    ("MERCHANT_COLOUR", "#ABCDEF", "#abcdef"),
    ("MERCHANT_LOGO", "https://cdn.example.com/l.svg", "https://cdn.example.com/l.svg"),
    ("MERCHANT_LOGO", "/static/img/logo.svg", "/static/img/logo.svg"),
    ("MERCHANT_PATTERN", "Off", False),
    ("MERCHANT_PATTERN", "no", False),
    ("MERCHANT_PATTERN", "1", True),
    ("RETURN_URL_HOSTS", "shop.example.com", ("shop.example.com",)),
    ("RETURN_URL_HOSTS", "localhost, xn--caf-dma.example", ("localhost", "xn--caf-dma.example")),
    ("MANUAL_PAYMENT", "OFF", False),
    ("MANUAL_PAYMENT", "0", False),
    ("PAYMENT_WAIT_SECONDS", "90", 90),
    ("TRUSTED_PROXIES", "2", 2),
    ("STK_PUSH_LIMIT_PER_PHONE", "1/day", Rate(1, 86_400)),
    ("STK_PUSH_LIMIT_PER_IP", "100 / 2 hours", Rate(100, 7200)),
    (
        "CALLBACK_ALLOWED_IPS",
        "196.201.214.0/24, 196.201.213.44, 2001:db8::/32",
        (
            ipaddress.ip_network("196.201.214.0/24"),
            ipaddress.ip_network("196.201.213.44/32"),
            ipaddress.ip_network("2001:db8::/32"),
        ),
    ),
    ("ASYNC_MODE", "gevent", AsyncMode.GEVENT),
    ("METRICS_TOKEN", "token", "token"),
    ("RETENTION_DAYS", "30", 30),
    ("LOG_FORMAT", "JSON", LogFormat.JSON),
    ("SIMULATOR_PUBLIC", "1", True),
    ("WEBHOOK_SECRET", whsec(24), (whsec(24),)),
    ("WEBHOOK_SECRET", f"{whsec(32)} {whsec(64)}", (whsec(32), whsec(64))),
    ("MPESA_QR", "on", True),
    ("C2B_TOKEN", TOKEN, (TOKEN,)),
    ("C2B_TOKEN", f"{TOKEN}  {OTHER_TOKEN}", (TOKEN, OTHER_TOKEN)),
    ("C2B_SHORTCODE", "600999", "600999"),
    ("C2B_VERSION", "V1", C2BVersion.V1),
    ("C2B_PROOF_FROM", "5000", 5000),
    ("PULL_NOMINATED_NUMBER", "0722 000 000", "254722000000"),
    ("DARAJA_STATUS_INITIATOR", "ask_api", "ask_api"),
    ("DARAJA_STATUS_CREDENTIAL", sealed(256), sealed(256)),
    ("DARAJA_STATUS_SET_ON", "2026-10-01", datetime.date(2026, 10, 1)),
    ("DARAJA_REFUND_INITIATOR", "give_api", "give_api"),
    ("DARAJA_REFUND_CREDENTIAL", sealed(256), sealed(256)),
    ("DARAJA_REFUND_SET_ON", "2026-02-28", datetime.date(2026, 2, 28)),
    ("STATUS_QUERY_RATE", "1/second", Rate(1, 1)),
    ("REFUND_API_KEYS", "one, two", ("one", "two")),
    ("REFUND_API_KEYS", DEVELOPMENT_API_KEY, (DEVELOPMENT_API_KEY,)),
    ("REFUND_RELEASE", "One_Person", RefundRelease.ONE_PERSON),
    ("REFUND_DAILY_LIMIT", "1", 1),
]


@pytest.mark.parametrize(("name", "value", "meant"), GOOD)
def test_a_good_value_is_taken(name, value, meant):
    assert getattr(make_settings(**{name: value}), name.lower()) == meant


def test_every_setting_is_tried_with_a_good_and_with_a_bad_value():
    tried = {name for name, _, _ in GOOD} | {"DARAJA_ACCOUNT_TYPE", "WEBHOOK_URL"}

    assert tried == set(NAMES)
    assert {name for name, _ in BAD} == set(NAMES)


# -- bad values --------------------------------------------------------------------------------

CREDENTIALS = (
    "DARAJA_CONSUMER_KEY", "DARAJA_CONSUMER_SECRET", "DARAJA_PASSKEY", "DARAJA_SHORTCODE",
    "DARAJA_TILL", "API_KEYS", "METRICS_TOKEN", "C2B_SHORTCODE", "DARAJA_STATUS_INITIATOR",
    "DARAJA_REFUND_INITIATOR", "REFUND_API_KEYS",
)  # fmt: skip
HOST_LISTS = ("ALLOWED_HOSTS", "RETURN_URL_HOSTS")
NO_HOSTS = (
    "https://shop.example", "http://x", "//shop.example", "a b", "a.example b.example",
    "a.example;b.example", "good.example, https://bad.example", "shop.example/", "shop.example/pay",
    "shop.example:8000", "127.0.0.1:8000", "[::1]:8000", "[::1", "::1]", "[shop.example]",
    "[127.0.0.1]", "fe80::1%eth0", "*.shop.example", "*", ".shop.example", "a..example",
    "me@shop.example", "caf\u00e9.example", "shop.example?x", "[]",
)  # fmt: skip
BAD: list[tuple[str, str]] = [
    # As `docker run --env-file` hands them on.
    *((name, quote + "174379" + quote) for name in NAMES for quote in "\"'"),
    ("DARAJA_ENV", "live"),
    ("DARAJA_ENV", "simulator,sandbox"),
    ("DARAJA_BASE_URL", "sandbox.safaricom.co.ke"),
    ("DARAJA_BASE_URL", "ftp://example.com"),
    ("DARAJA_BASE_URL", "http://proxy.example.com"),
    ("DARAJA_BASE_URL", "https://"),
    ("DARAJA_SHORTCODE", "1234"),
    ("DARAJA_SHORTCODE", "12345678"),
    ("DARAJA_SHORTCODE", "١٧٤٣٧٩"),
    ("DARAJA_ACCOUNT_TYPE", "buygoods"),
    ("DARAJA_TILL", "12a45"),
    ("DARAJA_MAX_AMOUNT", "0"),
    ("DARAJA_MAX_AMOUNT", "-1"),
    ("DARAJA_MAX_AMOUNT", "1e5"),
    ("DARAJA_MAX_AMOUNT", "150.5"),
    ("DARAJA_MAX_AMOUNT", "99999999999"),
    ("DARAJA_QUERY_RATE", "often"),
    ("DARAJA_QUERY_RATE", "0/minute"),
    ("SIMULATOR_PUBLIC", "maybe"),
    ("PUBLIC_URL", "127.0.0.1:8000"),
    ("PUBLIC_URL", "http://127.0.0.1/shop"),
    ("PUBLIC_URL", "http://127.0.0.1?x=1"),
    ("PUBLIC_URL", "http://127.0.0.1#x"),
    ("PUBLIC_URL", "http://me:pw@127.0.0.1"),
    ("PUBLIC_URL", "http://127.0.0.1:99999"),
    ("PUBLIC_URL", "http://[::1"),
    *((name, value) for name in HOST_LISTS for value in NO_HOSTS),
    ("DATABASE_URL", "mysql://u:p@h/d"),
    ("DATABASE_URL", "postgresql+psycopg://u:p@h/d"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "mpesa.sqlite"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://localhost"),
    ("HOST", "127.0.0.1:8000"),
    ("HOST", "http://127.0.0.1"),
    ("HOST", "local host"),
    ("HOST", "::1]:8000"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("PORT", "\u0665000"),
    ("DEMO_SHOP", "2"),
    ("MERCHANT_NAME", "Duka\nla Mfano"),
    ("MERCHANT_NAME", "Duka \x1b[31m"),
    ("MERCHANT_NAME", "Duka \udcff"),
    ("MERCHANT_COLOUR", "green"),
    ("MERCHANT_COLOUR", "#fff"),
    ("MERCHANT_COLOUR", "#0b7a4b;}"),
    ("MERCHANT_LOGO", "http://cdn.example.com/l.svg"),
    ("MERCHANT_LOGO", "javascript:alert(1)"),
    ("MERCHANT_PATTERN", "none"),
    ("MERCHANT_PATTERN", "2"),
    ("MANUAL_PAYMENT", "on please"),
    ("PAYMENT_WAIT_SECONDS", "0"),
    ("PAYMENT_WAIT_SECONDS", "60s"),
    ("TRUSTED_PROXIES", "-1"),
    ("TRUSTED_PROXIES", "11"),
    ("STK_PUSH_LIMIT_PER_PHONE", "5"),
    ("STK_PUSH_LIMIT_PER_PHONE", "off"),
    ("STK_PUSH_LIMIT_PER_IP", "30/0minutes"),
    ("STK_PUSH_LIMIT_PER_IP", "30/fortnight"),
    ("CALLBACK_ALLOWED_IPS", "196.201.214"),
    ("CALLBACK_ALLOWED_IPS", "196.201.214.1/24"),
    ("CALLBACK_ALLOWED_IPS", "196.201.214.0/24 196.201.213.0/24"),
    ("CALLBACK_ALLOWED_IPS", "safaricom.co.ke"),
    ("ASYNC_MODE", "threading"),
    ("WEBHOOK_URL", "example.com/hook"),
    ("WEBHOOK_SECRET", "a-secret"),
    ("WEBHOOK_SECRET", base64.b64encode(b"k" * 32).decode()),
    ("WEBHOOK_SECRET", whsec(23)),
    ("WEBHOOK_SECRET", whsec(65)),
    ("WEBHOOK_SECRET", "whsec_" + "!" * 32),
    ("WEBHOOK_SECRET", f"{whsec(32)},{whsec(32)}"),
    ("WEBHOOK_SECRET", f"{whsec(32)} short"),
    ("RETENTION_DAYS", "0"),
    ("RETENTION_DAYS", "for ever"),
    ("LOG_FORMAT", "xml"),
    ("MPESA_QR", "png"),
    ("C2B_TOKEN", TOKEN[:31]),
    ("C2B_TOKEN", OTHER_TOKEN + "0"),
    ("C2B_TOKEN", TOKEN.upper()),
    ("C2B_TOKEN", f"{TOKEN},{OTHER_TOKEN}"),
    ("C2B_TOKEN", f"{TOKEN} {OTHER_TOKEN} {TOKEN}"),
    ("C2B_SHORTCODE", "1234"),
    ("C2B_VERSION", "v3"),
    ("C2B_PROOF_FROM", "0"),
    ("C2B_PROOF_FROM", "500.00"),
    ("PULL_NOMINATED_NUMBER", "12345"),
    ("PULL_NOMINATED_NUMBER", "+44 20 7183 8750"),
    ("DARAJA_STATUS_INITIATOR", "status api"),
    ("DARAJA_STATUS_CREDENTIAL", sealed(255)),
    ("DARAJA_STATUS_CREDENTIAL", "Safaricom999#"),
    ("DARAJA_STATUS_SET_ON", "01-10-2026"),
    ("DARAJA_STATUS_SET_ON", "2026-02-30"),
    ("DARAJA_STATUS_SET_ON", "20261001"),
    ("DARAJA_REFUND_INITIATOR", "status_api"),
    ("DARAJA_REFUND_INITIATOR", "Status_API"),
    ("DARAJA_REFUND_CREDENTIAL", sealed(257)),
    ("DARAJA_REFUND_CREDENTIAL", "!" * 344),
    ("DARAJA_REFUND_SET_ON", "today"),
    ("STATUS_QUERY_RATE", "always"),
    ("REFUND_API_KEYS", ","),
    ("REFUND_RELEASE", "nobody"),
    ("REFUND_DAILY_LIMIT", "0"),
    ("REFUND_DAILY_LIMIT", "none"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_with_one_line_that_names_it(name, value):
    line = refusal(**{name: value})

    assert line.startswith(f"{name}: expected ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://shop:hunter2@db/shop"),
        ("REDIS_URL", "http://:hunter2@redis"),
        ("WEBHOOK_SECRET", "hunter2"),
        ("WEBHOOK_URL", "ftp://hunter2.example.com"),
        ("DARAJA_BASE_URL", "http://me:hunter2@proxy.example.com"),
        ("PUBLIC_URL", "http://me:hunter2@127.0.0.1"),
        ("DARAJA_SHORTCODE", "hunter2"),
        ("DARAJA_STATUS_CREDENTIAL", "hunter2"),
        ("DARAJA_REFUND_CREDENTIAL", "hunter2#"),
        ("REFUND_API_KEYS", "hunter2 hunter2"),
        ("C2B_TOKEN", "hunter2"),
        ("PULL_NOMINATED_NUMBER", "hunter2"),
    ],
)
def test_a_refusal_never_shows_the_value(name, value):
    assert "hunter2" not in refusal(**{name: value})


urls = st.text("[]:@#?/%.0123ab\\ ", max_size=24).map("http://".__add__)


# What copying, editors and word processors put into a credential.
UNSEEN = [
    '"', "'", "`", " ", "\t", "\n", "\x0b", "\x1b", "\x7f", "\x85", "\xa0", "\u1680", "\u2003",
    "\u200b", "\u200e", "\u2028", "\u202f", "\u2060", "\u3000", "\ufeff", "\u2019", "\u201c", "é",
    "\uff11", "\u0661",
]  # fmt: skip


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
@pytest.mark.parametrize("name", CREDENTIALS)
def test_what_nobody_sees_in_a_credential_is_refused(name, unseen):
    good = "174379"
    assert refusal_if_any(**{name: good}) is None
    # Around it ASCII's own blanks are no part of it, as everywhere.
    around = [] if unseen in " \t\n" else [unseen + good, good + unseen, unseen + good + unseen]

    for value in (good[:3] + unseen + good[3:], *around):
        line = refusal(**{name: value})
        assert line.startswith(f"{name}: expected ")
        assert "quotes" in line
        assert "\n" not in line


@pytest.mark.parametrize("second", ['"key"', "k ey", "k\u00a0ey", "\u200bkey"])
def test_every_key_of_the_list_is_looked_at(second):
    assert "quotes" in refusal(API_KEYS=f"first, {second}")


# -- nothing of a secret is shown ----------------------------------------------------------------

# Letters that no refusal is written with, and what is special in URLs, lists and encodings.
SECRETS = st.text("QXZJKW7%@:/#?&=+[]\"'\\\u00e9 ", min_size=8, max_size=40)
PLACES = (
    "{}", "{} {}", "postgresql://shop:{}@db/shop", "postgresql+psycopg2://{}", "mysql://me:{}@db",
    "redis://:{}@redis", "http://me:{}@127.0.0.1", "https://{}@host:{}/", "https://[{}", "whsec_{}",
    "sqlite:///{}", "5/{}", "/static/{}", '"{}"', "first,{}", "196.201.214.0/24,{}",
)  # fmt: skip


@given(
    st.sampled_from(NAMES), st.sampled_from(PLACES), SECRETS,
    st.sampled_from([{}, SANDBOX, PRODUCTION]),
)  # fmt: skip
@settings(deadline=None)
def test_no_refusal_shows_a_piece_of_what_was_set(name, place, secret, around):
    named = {**around, name: place.format(secret, secret)}

    lines = [refusal_if_any(**named) or "", *config.problems(named)]

    pieces = {secret[at : at + 4] for at in range(len(secret) - 3)}
    telling = {piece for piece in pieces if any(each in "QXZJKW7" for each in piece)}
    assert [piece for piece in telling if any(piece in line for line in lines)] == []


# -- secrets that can be guessed -----------------------------------------------------------------

GUESSABLE = [
    "x", "short-Xq7c0VbR3yTzN5k", "k" * 43, "ab" * 20, "abcdefg1" * 5, "12345678901234567890" * 2,
    "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", "password" * 5,
    "qwertyuiopasdfghjklzxcvbnm1234567890", "1qaz2wsx3edc4rfv5tgb6yhn7ujm1qaz2wsx",
    "abcdefghijklmnopqrstuvwxyz123456", "changeme-changeme-changeme-changeme",
    "change-this-long-secret-in-production-2026", "CHANGE_ME_CHANGE_ME_PLEASE_CHANGE_ME_NOW",
    "Mama Njeri's shop secret, Nairobi 2026", "thequickbrownfoxjumpsoverthelazydog",
    "P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd!", "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee",
    f"{DEVELOPMENT_SECRET_KEY}-Xq7c0VbR3yTz", SANDBOX_PASSKEY,
]  # fmt: skip
GENERATED = {
    "token_urlsafe": lambda: secrets.token_urlsafe(32),
    "token_hex": lambda: secrets.token_hex(16),
    "openssl rand -base64 24": lambda: base64.b64encode(secrets.token_bytes(24)).decode(),
}


@pytest.mark.parametrize("guessable", GUESSABLE)
def test_a_secret_that_can_be_guessed_is_known(guessable):
    assert is_guessable(guessable)


@pytest.mark.parametrize("make", GENERATED.values(), ids=GENERATED)
def test_what_a_generator_makes_is_taken(make):
    assert [each for each in (make() for _ in range(200)) if is_guessable(each)] == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEYS", "METRICS_TOKEN"])
@pytest.mark.parametrize("guessable", ["hunter2", "hunter2-hunter2-hunter2-hunter2-hunter2"])
def test_production_does_not_start_with_a_secret_that_can_be_guessed(name, guessable):
    line = refusal(**{**PRODUCTION, name: guessable})

    assert line.startswith(f"{name}: expected 32 or more random characters")
    assert 'python -c "import secrets; print(secrets.token_urlsafe(32))"' in line
    assert "hunt" not in line
    assert "\n" not in line


def test_each_key_of_the_list_has_to_be_random():
    assert refusal(**{**PRODUCTION, "API_KEYS": f"{OURS},weak"}).startswith("API_KEYS: ")
    assert make_settings(**{**PRODUCTION, "API_KEYS": f"{OURS},{OURS[::-1]}"}).api_keys


@pytest.mark.parametrize("env", ["sandbox", "simulator"])
def test_where_no_money_moves_a_weak_secret_will_do(env):
    named = {**SANDBOX, "DARAJA_ENV": env, "PUBLIC_URL": "https://127.0.0.1", "METRICS_TOKEN": "t"}

    assert make_settings(**named).metrics_token == "t"


# -- what starts and is doubtful -----------------------------------------------------------------


@pytest.mark.parametrize("passkey", ["our-passkey", "f" * 63, "f" * 65, "g" * 64, "f" * 32])
def test_a_passkey_of_another_form_is_doubted_and_not_shown(passkey):
    (doubt,) = config.doubts(make_settings(**{**PRODUCTION, "DARAJA_PASSKEY": passkey}))

    assert doubt.startswith("DARAJA_PASSKEY ")
    assert passkey[:4] not in doubt


@pytest.mark.parametrize(
    "named", [SANDBOX, {**PRODUCTION, "DARAJA_PASSKEY": "0aF9" * 16}, {"DARAJA_PASSKEY": "any"}]
)
def test_other_settings_are_not_doubted(named):
    assert config.doubts(make_settings(**named)) == []


# -- .env, however it was saved ------------------------------------------------------------------

WRITTEN = "# Duka la Njerĩ\r\nMERCHANT_NAME=Duka la Njerĩ\r\nDARAJA_TILL=500001\r\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_settings_file_is_read_by_its_mark(tmp_path, mark, encoding):
    file = tmp_path / ".env"
    file.write_bytes(mark + WRITTEN.encode(encoding))

    read = config.environment(file)

    assert (read["MERCHANT_NAME"], read["DARAJA_TILL"]) == ("Duka la Njerĩ", "500001")


@pytest.mark.parametrize(
    "written",
    [
        "MERCHANT_NAME=Café Njeri".encode("cp1252"),
        "METRICS_TOKEN=hunter2".encode("utf-16-le"),
        "METRICS_TOKEN=hunter2".encode("utf-16-be"),
        codecs.BOM_UTF16_LE + b"odd",
        codecs.BOM_UTF8 + b"\xff\xfe",
        bytes(range(256)),
    ],
)
def test_a_settings_file_in_another_encoding_is_refused_in_one_line(tmp_path, written):
    file = tmp_path / ".env"
    file.write_bytes(written)

    with pytest.raises(SettingsError) as refused:
        config.environment(file)

    assert str(refused.value) == ".env: it cannot be read as text. Save .env as UTF-8."


def test_a_settings_file_that_is_a_folder_is_refused_in_one_line(tmp_path):
    with pytest.raises(SettingsError, match=r"\.env: it cannot be read \(Is a directory\)\.$"):
        config.environment(tmp_path)


def test_without_a_settings_file_the_environment_is_all(tmp_path):
    assert config.environment(tmp_path / ".env") == dict(os.environ)


@given(
    st.sampled_from(NAMES), st.text(max_size=40) | st.text("[]:@#?/%.0123ab", max_size=24) | urls
)
@settings(deadline=None)  # a busy machine is slow now and then
def test_whatever_is_set_is_taken_or_refused_by_name(name, value):
    line = refusal_if_any(**{name: value})

    assert line is None or line.partition(":")[0] in NAMES
    assert line is None or "\n" not in line


def refusal_if_any(**named):
    try:
        make_settings(**named)
    except SettingsError as refused:
        return str(refused)
    return None


def test_settings_written_out_show_no_secret():
    named = {
        **PRODUCTION,
        "DATABASE_URL": "postgresql://shop:our-db-password@db/shop",
        "REDIS_URL": "redis://:our-redis-password@redis",
        "METRICS_TOKEN": OURS,
        "WEBHOOK_URL": "https://shop.example.com/hook",
        "WEBHOOK_SECRET": whsec(32),
        "C2B_TOKEN": OUR_TOKEN,
        "PULL_NOMINATED_NUMBER": "254722000000",
        "DARAJA_STATUS_INITIATOR": "ask_api",
        "DARAJA_STATUS_CREDENTIAL": sealed(256),
        "DARAJA_REFUND_INITIATOR": "give_api",
        "DARAJA_REFUND_CREDENTIAL": sealed(256),
        "REFUND_API_KEYS": OURS,
    }

    written = repr(make_settings(**named))

    hidden = ["our-", whsec(32), OUR_TOKEN, "254722000000", sealed(256)]
    assert [each for each in hidden if each in written] == []


# -- the simulator -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "shop.example.com"])  # noqa: S104
def test_a_simulator_listens_on_loopback_only(host):
    line = refusal(HOST=host)

    assert line.startswith("HOST: ")
    assert "SIMULATOR_PUBLIC" in line


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example.com",
        "http://0.0.0.0:8000",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://2130706433",
    ],
)
def test_a_simulator_is_reached_on_loopback_only(address):
    line = refusal(PUBLIC_URL=address)

    assert line.startswith("PUBLIC_URL: ")
    assert "SIMULATOR_PUBLIC" in line


def test_a_simulator_is_public_where_somebody_says_so():
    settings = make_settings(
        SIMULATOR_PUBLIC="1",
        HOST="0.0.0.0",  # noqa: S104
        PUBLIC_URL="https://demo.example.com",
    )

    assert settings.simulator_public
    assert settings.allowed_hosts[0] == "demo.example.com"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
    ],
)
def test_the_own_address_follows_host_and_port(host, own):
    settings = make_settings(HOST=host, PORT="8000")

    assert settings.public_url == own
    assert settings.daraja_base_url == f"{own}/simulator"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_an_address_that_means_every_one_is_no_destination(host):
    settings = make_settings(HOST=host, SIMULATOR_PUBLIC="1")

    assert settings.public_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.0.0.1", "::", "local", "127.1", "localhost.x"])  # noqa: S104
def test_what_is_no_loopback_is_known_too(host):
    assert not is_loopback(host)


# -- sandbox and production --------------------------------------------------------------------


@pytest.mark.parametrize(("named", "simulated"), [({}, True), (SANDBOX, False)])
def test_only_the_simulator_moves_no_money(named, simulated):
    assert make_settings(**named).simulated is simulated


def test_the_sandbox_has_a_shortcode_and_a_passkey_of_its_own():
    settings = make_settings(**SANDBOX)

    assert settings.daraja_base_url == "https://sandbox.safaricom.co.ke"
    assert settings.daraja_shortcode == SANDBOX_SHORT_CODE
    assert settings.daraja_passkey == SANDBOX_PASSKEY


def test_production_speaks_to_safaricom():
    settings = make_settings(**PRODUCTION)

    assert settings.daraja_base_url == "https://api.safaricom.co.ke"
    assert settings.allowed_hosts == ("pay.example.com",)
    assert settings.demo_shop is False


@pytest.mark.parametrize("name", sorted(set(SANDBOX) - {"DARAJA_ENV"}))
@pytest.mark.parametrize("value", ["", " ", None])
def test_the_sandbox_refuses_to_start_without(name, value):
    named = {**SANDBOX, name: value or ""}
    if value is None:
        del named[name]

    assert refusal(**named).startswith(f"{name}: ")


@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"DARAJA_ENV"}))
@pytest.mark.parametrize("value", ["", " ", None])
def test_production_refuses_to_start_without(name, value):
    named = {**PRODUCTION, name: value or ""}
    if value is None:
        del named[name]

    assert refusal(**named).startswith(f"{name}: ")


LISTS = ("API_KEYS", "REFUND_API_KEYS", "ALLOWED_HOSTS", "RETURN_URL_HOSTS", "CALLBACK_ALLOWED_IPS")


@pytest.mark.parametrize("named", [{}, SANDBOX, PRODUCTION], ids=["simulator", "sandbox", "live"])
@pytest.mark.parametrize("value", [",", " , ,, "])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_separators_alone_is_refused(name, value, named):
    assert refusal(**{**named, name: value}).startswith(f"{name}: expected ")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_blanks_alone_is_empty(name):
    assert getattr(make_settings(**{name: " \t"}), name.lower()) == getattr(
        make_settings(), name.lower()
    )


@pytest.mark.parametrize("named", [SANDBOX, PRODUCTION])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "http://pay.example.com"),
        ("PUBLIC_URL", "http://127.0.0.1:8000"),
        ("SECRET_KEY", DEVELOPMENT_SECRET_KEY),
        ("API_KEYS", DEVELOPMENT_API_KEY),
        ("API_KEYS", f"our-api-key,{DEVELOPMENT_API_KEY}"),
        ("API_KEYS", ","),
        ("REFUND_API_KEYS", DEVELOPMENT_API_KEY),
        ("WEBHOOK_URL", "http://shop.example.com/hook"),
    ],
)
def test_what_will_do_for_development_is_refused_elsewhere(named, name, value):
    line = refusal(**{**named, name: value})

    assert line.startswith(f"{name}: ")
    assert DEVELOPMENT_API_KEY not in line
    assert DEVELOPMENT_SECRET_KEY not in line


def test_any_host_may_be_listened_on_outside_the_simulator():
    assert make_settings(**SANDBOX, HOST="0.0.0.0").host == "0.0.0.0"  # noqa: S104


# -- settings that belong together -------------------------------------------------------------


def test_a_till_needs_its_number():
    assert refusal(DARAJA_ACCOUNT_TYPE="till").startswith("DARAJA_TILL: ")

    settings = make_settings(DARAJA_ACCOUNT_TYPE="TILL", DARAJA_TILL="500001")

    assert settings.daraja_account_type is AccountType.TILL
    assert settings.daraja_till == "500001"


def test_webhooks_need_a_secret():
    line = refusal(WEBHOOK_URL="http://127.0.0.1:9000/hook")

    assert line.startswith("WEBHOOK_SECRET: ")


def test_webhooks_go_to_plain_http_with_the_simulator_only():
    settings = make_settings(WEBHOOK_URL="http://127.0.0.1:9/hook", WEBHOOK_SECRET=whsec(24))

    assert settings.webhook_url == "http://127.0.0.1:9/hook"


def test_a_secret_may_be_set_before_the_webhooks_are():
    assert make_settings(WEBHOOK_SECRET=whsec(24)).webhook_url is None


def test_the_simulators_token_is_the_same_for_all_workers_and_another_for_another_secret():
    one, same, other = (make_settings(SECRET_KEY=each).c2b_token for each in ("a", "a", "b"))

    assert one == same
    assert one != other


def test_outside_the_simulator_money_by_hand_and_refunds_are_off():
    settings = make_settings(**PRODUCTION)

    assert settings.c2b_token == settings.refund_api_keys == ()
    assert settings.daraja_status_initiator is settings.daraja_refund_initiator is None
    assert settings.manual_payment is False
    assert settings.c2b_shortcode == settings.daraja_shortcode


@pytest.mark.parametrize("which", ["STATUS", "REFUND"])
def test_an_initiator_needs_its_credential_and_a_credential_its_initiator(which):
    name, credential = f"DARAJA_{which}_INITIATOR", f"DARAJA_{which}_CREDENTIAL"

    assert refusal(**SANDBOX, **{name: "an_api"}).startswith(f"{credential}: ")
    assert refusal(**SANDBOX, **{credential: sealed(256)}).startswith(f"{name}: ")
    assert make_settings(**SANDBOX, **{name: "an_api", credential: sealed(256)})


def test_who_asks_and_who_gives_back_are_two_api_users():
    names = {"DARAJA_STATUS_INITIATOR": "one_api", "DARAJA_REFUND_INITIATOR": "ONE_api"}
    credentials = dict.fromkeys(
        ("DARAJA_STATUS_CREDENTIAL", "DARAJA_REFUND_CREDENTIAL"), sealed(256)
    )

    line = refusal(**PRODUCTION, **names, **credentials)

    assert line.startswith("DARAJA_REFUND_INITIATOR: expected another API user")


def test_a_proof_needs_a_way_to_prove():
    named = {**PRODUCTION, "C2B_PROOF_FROM": "5000"}

    assert refusal(**named).startswith("C2B_PROOF_FROM: ")
    assert make_settings(**named, PULL_NOMINATED_NUMBER="254722000000").c2b_proof_from == 5000


@pytest.mark.parametrize("name", ["C2B_TOKEN", "REFUND_API_KEYS"])
def test_production_takes_no_guessable_way_in(name):
    assert refusal(**PRODUCTION, **{name: "0123456789abcdef" * 2}).startswith(f"{name}: ")
    assert make_settings(**SANDBOX, **{name: "0123456789abcdef" * 2})


@pytest.mark.parametrize("name", HOST_LISTS)
def test_a_url_among_the_hosts_is_told_what_to_leave_out(name):
    line = refusal(**{name: "https://shop.example"})

    assert "host names, without https://, port or path" in line


def test_allowed_hosts_replace_the_default():
    assert make_settings(ALLOWED_HOSTS="shop.test").allowed_hosts == ("shop.test",)


# -- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/second", Rate(5, 1)),
        ("5/minute", Rate(5, 60)),
        ("5/10minutes", Rate(5, 600)),
        ("5/10minute", Rate(5, 600)),
        ("5 / 10 minutes", Rate(5, 600)),
        ("1/hour", Rate(1, 3600)),
        ("1/2days", Rate(1, 172_800)),
    ],
)
def test_a_rate_is_so_many_in_such_a_time(text, rate):
    assert parse_rate("ANY", text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "/", "5", "5/", "/minute", "-5/minute", "5.5/minute", "5/1.5minutes", "\u0665/minute"],
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(SettingsError, match="ANY"):
        parse_rate("ANY", text)


def test_settings_are_read_from_what_is_given_alone(monkeypatch):
    monkeypatch.setenv("PORT", "6000")

    assert Settings.from_env({}).port == 8000
    assert json.dumps(Settings.from_env({"PORT": "7000"}).port) == "7000"
