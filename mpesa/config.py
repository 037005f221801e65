"""Settings from the environment: frozen, typed, and refused at the start if they are wrong."""

import base64
import codecs
import hashlib
import hmac
import io
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dotenv import dotenv_values

from mpesa.domain.people_text import is_sound
from mpesa.domain.phone import InvalidPhone, parse_msisdn

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DOTENV = Path(__file__).resolve().parents[1] / ".env"
# Published in Safaricom's documentation; these two open the sandbox only.
SANDBOX_SHORT_CODE = "174379"
SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
# Every reader of this line knows these two, so production refuses to start with them.
DEVELOPMENT_SECRET_KEY = "development-only-secret-key"
DEVELOPMENT_API_KEY = "development-api-key"
# The simulator's API users, whose password it publishes: each may do one thing.
SIMULATOR_STATUS_INITIATOR = "status_api"
SIMULATOR_REFUND_INITIATOR = "refund_api"


class SettingsError(ValueError):
    """A setting is wrong or missing; the message is one line: its name and what is expected."""


class DarajaEnv(StrEnum):
    """The Daraja that is used."""

    SIMULATOR = "simulator"
    SANDBOX = "sandbox"
    PRODUCTION = "production"


class AccountType(StrEnum):
    """The kind of account that the shopper pays into."""

    PAYBILL = "paybill"
    TILL = "till"


class C2BVersion(StrEnum):
    """The version of Customer To Business that the Daraja app has as a product."""

    V1 = "v1"
    V2 = "v2"


class RefundRelease(StrEnum):
    """How many people a refund needs before it is sent."""

    TWO_PEOPLE = "two_people"
    ONE_PERSON = "one_person"


class AsyncMode(StrEnum):
    """The async server."""

    EVENTLET = "eventlet"
    GEVENT = "gevent"


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


BASE_URLS = {
    DarajaEnv.SANDBOX: "https://sandbox.safaricom.co.ke",
    DarajaEnv.PRODUCTION: "https://api.safaricom.co.ke",
}


@dataclass(frozen=True)
class Rate:
    """At most `count` in `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True)
class Settings:
    """All settings, checked. docs/settings.md says what each of them means."""

    daraja_env: DarajaEnv
    daraja_base_url: str
    daraja_consumer_key: str = field(repr=False)
    daraja_consumer_secret: str = field(repr=False)
    daraja_shortcode: str
    daraja_passkey: str = field(repr=False)
    daraja_account_type: AccountType
    daraja_till: str | None
    daraja_max_amount: int
    daraja_query_rate: Rate
    simulator_public: bool
    public_url: str
    allowed_hosts: tuple[str, ...]
    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    secret_key: str = field(repr=False)
    api_keys: tuple[str, ...] = field(repr=False)
    host: str
    port: int
    demo_shop: bool
    merchant_name: str
    merchant_colour: str
    merchant_logo: str | None
    merchant_pattern: bool
    return_url_hosts: tuple[str, ...]
    manual_payment: bool
    payment_wait_seconds: int
    trusted_proxies: int
    stk_push_limit_per_phone: Rate | None
    stk_push_limit_per_ip: Rate | None
    callback_allowed_ips: tuple[IPNetwork, ...]
    async_mode: AsyncMode
    webhook_url: str | None
    webhook_secret: tuple[str, ...] = field(repr=False)
    metrics_token: str | None = field(repr=False)
    retention_days: int
    log_format: LogFormat
    mpesa_qr: bool
    c2b_token: tuple[str, ...] = field(repr=False)
    c2b_shortcode: str
    c2b_version: C2BVersion
    c2b_proof_from: int | None
    pull_nominated_number: str | None = field(repr=False)
    daraja_status_initiator: str | None
    daraja_status_credential: str | None = field(repr=False)
    daraja_status_set_on: date | None
    daraja_refund_initiator: str | None
    daraja_refund_credential: str | None = field(repr=False)
    daraja_refund_set_on: date | None
    status_query_rate: Rate
    refund_api_keys: tuple[str, ...] = field(repr=False)
    refund_release: RefundRelease
    refund_daily_limit: int

    @property
    def simulated(self) -> bool:
        """Whether the simulator stands in for Daraja, so that no real money moves."""
        return self.daraja_env is DarajaEnv.SIMULATOR

    @property
    def asks_its_own_simulator(self) -> bool:
        """Whether pushes go to the simulator in this process, whose virtual phone shows them."""
        own = f"{_own_address(self.host, self.port)}/simulator"
        return self.simulated and self.daraja_base_url == own

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read and check every setting.

        Args:
            environ: values by name; an empty value is the default, except for the limits.

        Raises:
            SettingsError: one line that names the setting and says what is expected.
        """
        return cls(**{name: read() for name, read in _Reader(environ).reads().items()})


def problems(environ: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the settings, a line each; empty where they are right."""
    wrong: list[str] = []
    for read in _Reader(environ).reads().values():
        try:
            read()
        except SettingsError as problem:
            wrong.append(str(problem))
    return list(dict.fromkeys(wrong))  # settings that depend on a wrong one say so again


def doubts(settings: Settings) -> list[str]:
    """Settings that are accepted and probably wrong, a line each, without any part of a secret."""
    if settings.simulated or re.fullmatch(r"[0-9A-Fa-f]{64}", settings.daraja_passkey):
        return []
    return [
        "DARAJA_PASSKEY is not 64 hexadecimal digits, as those are that Safaricom mails:"
        " copy it again, whole; Daraja refuses every push with a wrong one"
    ]


def advice(settings: Settings) -> list[str]:
    """Settings that work and should be changed some day, a line each."""
    if settings.daraja_env is not DarajaEnv.PRODUCTION or settings.async_mode is AsyncMode.GEVENT:
        return []
    return [
        "ASYNC_MODE=eventlet serves production, and eventlet's authors plan its retirement:"
        " ASYNC_MODE=gevent keeps the same promises"
    ]


def environment(dotenv: Path = DOTENV) -> dict[str, str]:
    """Read the settings of this process: the environment, and `.env` below it.

    Args:
        dotenv: the file; it may be missing.

    Raises:
        SettingsError: the file is there and cannot be read.
    """
    try:
        written = dotenv.read_bytes()
    except FileNotFoundError:
        written = b""
    except OSError as error:
        raise SettingsError(f".env: it cannot be read ({error.strerror}).") from None
    encoding = next((name for mark, name in _MARKS if written.startswith(mark)), "utf-8")
    try:
        text = written.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 without its mark reads as UTF-8 full of these
        raise SettingsError(".env: it cannot be read as text. Save .env as UTF-8.")
    named = dotenv_values(stream=io.StringIO(text))
    return {**{name: value or "" for name, value in named.items()}, **os.environ}


# Editors on Windows and PowerShell write these marks, and only they tell the encodings apart.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def async_mode(environ: Mapping[str, str]) -> AsyncMode:
    """Read the async server alone: it is needed before other modules may be imported.

    Raises:
        SettingsError: there is no such server.
    """
    return AsyncMode(_Reader(environ).choice("ASYNC_MODE", AsyncMode, "eventlet"))


class _Reader:
    """Reads one environment; each method below knows one kind of value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def reads(self) -> dict[str, Callable[[], Any]]:
        """How each setting is read; settings that others depend on come first."""
        return {
            "daraja_env": self.env,
            "host": self.host,
            "port": self.port,
            "public_url": self.public_url,
            "daraja_base_url": self.base_url,
            "daraja_consumer_key": lambda: self.credential("DARAJA_CONSUMER_KEY", "simulator-key"),
            "daraja_consumer_secret": lambda: self.credential(
                "DARAJA_CONSUMER_SECRET", "simulator-secret"
            ),
            "daraja_shortcode": self.shortcode,
            "daraja_passkey": self.passkey,
            "daraja_account_type": self.account_type,
            "daraja_till": self.till,
            "daraja_max_amount": lambda: self.integer("DARAJA_MAX_AMOUNT", 250_000, 1, 10_000_000),
            "daraja_query_rate": lambda: self.required_rate("DARAJA_QUERY_RATE", "5/minute"),
            "simulator_public": self.simulator_public,
            "allowed_hosts": self.allowed_hosts,
            "database_url": self.database_url,
            "redis_url": lambda: self.url("REDIS_URL", ("redis", "rediss", "unix")),
            "secret_key": lambda: self.secret("SECRET_KEY", DEVELOPMENT_SECRET_KEY),
            "api_keys": self.api_keys,
            "demo_shop": lambda: self.switch("DEMO_SHOP", default=self.simulated()),
            "merchant_name": lambda: self.line("MERCHANT_NAME", "Duka la Mfano"),
            "merchant_colour": self.colour,
            "merchant_logo": self.logo,
            "merchant_pattern": lambda: self.switch("MERCHANT_PATTERN", default=True),
            "return_url_hosts": lambda: self.host_names("RETURN_URL_HOSTS"),
            "manual_payment": lambda: self.switch("MANUAL_PAYMENT", default=self.simulated()),
            "payment_wait_seconds": lambda: self.integer("PAYMENT_WAIT_SECONDS", 60, 1, 3600),
            "trusted_proxies": lambda: self.integer("TRUSTED_PROXIES", 0, 0, 10),
            "stk_push_limit_per_phone": lambda: self.rate(
                "STK_PUSH_LIMIT_PER_PHONE", "5/10minutes"
            ),
            "stk_push_limit_per_ip": lambda: self.rate("STK_PUSH_LIMIT_PER_IP", "300/minute"),
            "callback_allowed_ips": lambda: self.networks("CALLBACK_ALLOWED_IPS"),
            "async_mode": lambda: async_mode(self._environ),
            "webhook_url": lambda: self.outside_url("WEBHOOK_URL"),
            "webhook_secret": self.webhook_secret,
            "metrics_token": self.metrics_token,
            "retention_days": lambda: self.integer("RETENTION_DAYS", 400, 1, 36_500),
            "log_format": lambda: LogFormat(self.choice("LOG_FORMAT", LogFormat, "console")),
            **self.reads_of_other_money(),
        }

    def reads_of_other_money(self) -> dict[str, Callable[[], Any]]:
        """How the settings of money that no push asked for, and of refunds, are read."""
        return {
            "mpesa_qr": lambda: self.switch("MPESA_QR", default=False),
            "c2b_token": self.c2b_token,
            "c2b_shortcode": self.c2b_shortcode,
            "c2b_version": lambda: C2BVersion(self.choice("C2B_VERSION", C2BVersion, "v2")),
            "c2b_proof_from": self.c2b_proof_from,
            "pull_nominated_number": self.pull_nominated_number,
            "daraja_status_initiator": self.status_initiator,
            "daraja_status_credential": lambda: self.sealed(
                "DARAJA_STATUS_CREDENTIAL", self.status_initiator()
            ),
            "daraja_status_set_on": lambda: self.day("DARAJA_STATUS_SET_ON"),
            "daraja_refund_initiator": self.refund_initiator,
            "daraja_refund_credential": lambda: self.sealed(
                "DARAJA_REFUND_CREDENTIAL", self.refund_initiator()
            ),
            "daraja_refund_set_on": lambda: self.day("DARAJA_REFUND_SET_ON"),
            "status_query_rate": lambda: self.required_rate("STATUS_QUERY_RATE", "10/minute"),
            "refund_api_keys": self.refund_api_keys,
            "refund_release": lambda: RefundRelease(
                self.choice("REFUND_RELEASE", RefundRelease, "two_people")
            ),
            "refund_daily_limit": lambda: self.integer(
                "REFUND_DAILY_LIMIT", 50_000, 1, 100_000_000
            ),
        }

    # -- kinds of values ------------------------------------------------------------------

    def text(self, name: str, default: str) -> str:
        value = self._environ.get(name, "").strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            refuse(name, "a value without quotes around it (docker run --env-file keeps them)")
        return value or default

    def optional(self, name: str) -> str | None:
        return self.text(name, "") or None

    def credential_or_none(self, name: str) -> str | None:
        return _credential(name, self._environ.get(name, ""))

    def line(self, name: str, default: str) -> str:
        text = self.text(name, default)
        if not is_sound(text):
            refuse(name, "text on one line, in UTF-8, without control characters")
        return text

    def choice(self, name: str, words: type[StrEnum], default: str) -> str:
        value = self.text(name, default).lower()
        if value not in {word.value for word in words}:
            refuse(name, "one of " + ", ".join(word.value for word in words))
        return value

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            refuse(name, f"a whole number from {lowest} to {highest}")
        return int(text)

    def switch(self, name: str, *, default: bool) -> bool:
        text = self.text(name, "on" if default else "off").lower()
        if text not in _SWITCH:
            refuse(name, "on or off")
        return _SWITCH[text]

    def names(self, name: str, expected: str) -> tuple[str, ...]:
        """A list; refused where only commas are left, since an empty list often allows all."""
        text = self.text(name, "")
        names = tuple(part.strip() for part in text.split(",") if part.strip())
        if text and not names:
            refuse(name, expected)
        return names

    def host_names(self, name: str) -> tuple[str, ...]:
        """Names that are compared with a host alone, so that a port or a path would never match."""
        expected = (
            "host names, without https://, port or path, separated by commas, such as"
            " shop.example.com"
        )
        hosts = self.names(name, expected)
        if not all(map(_is_compared_host, hosts)):
            refuse(name, expected)
        return hosts

    def rate(self, name: str, default: str) -> Rate | None:
        if not self._environ.get(name, default).strip():
            return None  # set to nothing: no limit
        return self.required_rate(name, default)

    def required_rate(self, name: str, default: str) -> Rate:
        return parse_rate(name, self.text(name, default))

    def networks(self, name: str) -> tuple[IPNetwork, ...]:
        expected = "addresses or networks separated by commas, such as 196.201.214.0/24"
        try:
            return tuple(ipaddress.ip_network(part) for part in self.names(name, expected))
        except ValueError:
            refuse(name, expected)

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self.optional(name)
        if value is not None and is_ambiguous(value):
            refuse(name, ENCODED)
        try:
            parts = urlsplit(value or "")
            named = bool(parts.hostname) or parts.scheme == "unix"
            is_url = parts.scheme in schemes and named and (parts.port or 1) > 0
        except ValueError:
            is_url = False
        if value is not None and not is_url:
            refuse(name, "a URL that starts with " + " or ".join(f"{s}://" for s in schemes))
        return value

    def keys(self, name: str) -> tuple[str, ...]:
        """Secrets that others send to be let in, separated by commas."""
        text = self._environ.get(name, "")
        keys = tuple(filter(None, (_credential(name, part) for part in text.split(","))))
        if text.strip() and not keys:
            refuse(name, "keys, separated by commas")
        return keys

    def short_code(self, name: str, expected: str, default: str | None = None) -> str:
        value = self.credential_or_none(name) or default
        if value is None or not re.fullmatch(r"[0-9]{5,7}", value):
            refuse(name, expected)
        return value

    def day(self, name: str) -> date | None:
        value = self.optional(name)
        if value is None:
            return None
        try:
            return date.fromisoformat(value if re.fullmatch(r"[0-9-]{10}", value) else "")
        except ValueError:
            refuse(name, "a day, such as 2026-10-01")

    def sealed(self, name: str, initiator: str | None) -> str | None:
        """An initiator's credential: base64 of what RSA makes of a password with 2,048 bits.

        The simulator's own is sealed when it is first needed, since its key is its own.
        """
        value = self.credential_or_none(name)
        if value is None:
            if initiator and not self.simulated():
                refuse(name, f"the credential of that API user, {_SEALED}")
            return None
        if initiator is None:
            refuse(name.replace("CREDENTIAL", "INITIATOR"), f"a name, since {name} is set")
        try:
            size = len(base64.b64decode(value, validate=True))
        except ValueError:
            size = 0
        if size != _SEALED_BYTES:
            refuse(name, f"344 characters, {_SEALED}, never the password itself")
        return value

    # -- settings with rules of their own ---------------------------------------------------

    def secret(self, name: str, development: str) -> str:
        value = self.optional(name)
        if self.simulated():
            return value or development
        if value is None or value == development:
            refuse(name, f"a secret of your own where DARAJA_ENV={self.env().value}")
        self.refuse_guessable(name, value)
        return value

    def refuse_guessable(self, name: str, *values: str) -> None:
        """Refuse in production; in the sandbox, where no money moves, `flask doctor` says so."""
        if self.env() is DarajaEnv.PRODUCTION and any(map(is_guessable, values)):
            refuse(name, MAKE_A_SECRET)

    def credential(self, name: str, simulator: str) -> str:
        value = self.credential_or_none(name)
        if value is None and self.env() is not DarajaEnv.SIMULATOR:
            refuse(name, f"the value from your Daraja app where DARAJA_ENV={self.env().value}")
        return value or simulator

    def shortcode(self) -> str:
        public = SANDBOX_SHORT_CODE if self.env() is not DarajaEnv.PRODUCTION else None
        return self.short_code(
            "DARAJA_SHORTCODE", "your PayBill or store number, 5 to 7 digits", default=public
        )

    def passkey(self) -> str:
        public = SANDBOX_PASSKEY if self.env() is not DarajaEnv.PRODUCTION else None
        value = self.credential_or_none("DARAJA_PASSKEY") or public
        if value is None:
            refuse("DARAJA_PASSKEY", "the passkey that Safaricom mailed at go-live")
        return value

    def till(self) -> str | None:
        value = self.credential_or_none("DARAJA_TILL")
        needed = self.text("DARAJA_ACCOUNT_TYPE", "paybill").lower() == "till"
        if (needed or value) and not re.fullmatch(r"[0-9]{5,7}", value or ""):
            refuse("DARAJA_TILL", "the till number, 5 to 7 digits, where DARAJA_ACCOUNT_TYPE=till")
        return value

    def c2b_token(self) -> tuple[str, ...]:
        tokens = tuple(self.text("C2B_TOKEN", "").split())
        good = all(re.fullmatch(r"[0-9a-f]{32,64}", each) for each in tokens)
        if not good or len(tokens) > 2:
            refuse(
                "C2B_TOKEN",
                "one or two tokens of 32 to 64 of 0-9 and a-f, separated by a space, as from"
                " `openssl rand -hex 32`",
            )
        self.refuse_guessable("C2B_TOKEN", *tokens)
        if tokens or not self.simulated():
            return tokens
        # The same in every worker and after every restart, since it is registered once.
        key = self.secret("SECRET_KEY", DEVELOPMENT_SECRET_KEY).encode()
        return (hmac.new(key, b"C2B_TOKEN of the simulator", hashlib.sha256).hexdigest(),)

    def c2b_shortcode(self) -> str:
        expected = "the PayBill or store number that is paid by hand, 5 to 7 digits"
        return self.short_code("C2B_SHORTCODE", expected, default=self.shortcode())

    def c2b_proof_from(self) -> int | None:
        if not self.text("C2B_PROOF_FROM", ""):
            return None
        shillings = self.integer("C2B_PROOF_FROM", 0, 1, 10_000_000)
        if not (self.pull_nominated_number() or self.status_initiator()):
            refuse(
                "C2B_PROOF_FROM",
                "PULL_NOMINATED_NUMBER or DARAJA_STATUS_INITIATOR beside it, since nothing else"
                " can prove a payment",
            )
        return shillings

    def pull_nominated_number(self) -> str | None:
        value = self.optional("PULL_NOMINATED_NUMBER")
        try:
            return value and parse_msisdn(value)
        except InvalidPhone:
            refuse(
                "PULL_NOMINATED_NUMBER",
                "the organisation's Safaricom number, such as 254722000000",
            )

    def status_initiator(self) -> str | None:
        own = SIMULATOR_STATUS_INITIATOR if self.simulated() else None
        return self.credential_or_none("DARAJA_STATUS_INITIATOR") or own

    def refund_initiator(self) -> str | None:
        own = SIMULATOR_REFUND_INITIATOR if self.simulated() else None
        name = self.credential_or_none("DARAJA_REFUND_INITIATOR") or own
        asks = self.status_initiator()
        # The one that only asks must not be able to move money.
        if name and asks and name.lower() == asks.lower():
            refuse("DARAJA_REFUND_INITIATOR", "another API user than DARAJA_STATUS_INITIATOR")
        return name

    def refund_api_keys(self) -> tuple[str, ...]:
        keys = self.keys("REFUND_API_KEYS")
        if DEVELOPMENT_API_KEY in keys and not self.simulated():
            refuse("REFUND_API_KEYS", "keys of your own outside the simulator")
        self.refuse_guessable("REFUND_API_KEYS", *keys)
        return keys

    def simulated(self) -> bool:
        return self.env() is DarajaEnv.SIMULATOR

    def env(self) -> DarajaEnv:
        return DarajaEnv(self.choice("DARAJA_ENV", DarajaEnv, "simulator"))

    def port(self) -> int:
        return self.integer("PORT", 8000, 1, 65535)

    def account_type(self) -> AccountType:
        return AccountType(self.choice("DARAJA_ACCOUNT_TYPE", AccountType, "paybill"))

    def host(self) -> str:
        value = self.text("HOST", "127.0.0.1").removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(value)
        except ValueError:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
                refuse("HOST", "an address or a host name to listen on, such as 127.0.0.1")
        return value

    def base_url(self) -> str:
        value = self.url("DARAJA_BASE_URL", ("http", "https"))
        if value is not None:
            if urlsplit(value).scheme == "http" and not is_loopback(urlsplit(value).hostname or ""):
                refuse("DARAJA_BASE_URL", "an https:// address, or a loopback one")
            return value.rstrip("/")
        return BASE_URLS.get(self.env()) or f"{_own_address(self.host(), self.port())}/simulator"

    def public_url(self) -> str:
        value = self.url("PUBLIC_URL", ("http", "https"))
        if self.env() is not DarajaEnv.SIMULATOR and (value is None or value[:6] != "https:"):
            refuse("PUBLIC_URL", "the https:// address where Safaricom and shoppers reach you")
        parts = urlsplit(value or "")  # paths are put behind it
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            refuse("PUBLIC_URL", "an address without a path, such as https://pay.example.com")
        return (value or _own_address(self.host(), self.port())).rstrip("/")

    def simulator_public(self) -> bool:
        public = self.switch("SIMULATOR_PUBLIC", default=False)
        if self.env() is not DarajaEnv.SIMULATOR or public:
            return public
        public_host = urlsplit(self.public_url()).hostname or ""
        for name, where in (("HOST", self.host()), ("PUBLIC_URL", public_host)):
            if not is_loopback(where):
                refuse(
                    name, "a loopback address with DARAJA_ENV=simulator, or set SIMULATOR_PUBLIC=1"
                )
        return public

    def allowed_hosts(self) -> tuple[str, ...]:
        named = self.host_names("ALLOWED_HOSTS")
        if named:
            return named
        own = (urlsplit(self.public_url()).hostname or "",)
        loopback = ("127.0.0.1", "localhost", "[::1]") if self.simulated() else ()
        return tuple(dict.fromkeys(own + loopback))

    def database_url(self) -> str | None:
        value = self.optional("DATABASE_URL")
        if value is None:
            return None
        if not re.match(r"(postgres(ql)?(\+psycopg2)?://|sqlite:///)", value):
            refuse("DATABASE_URL", "postgresql://user:password@host/name or sqlite:///file")
        if value[:6] != "sqlite" and is_ambiguous(value):
            refuse("DATABASE_URL", ENCODED)
        # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3, which blocks the event loop.
        return re.sub(r"^postgres(ql)?(\+psycopg2)?://", "postgresql+psycopg2://", value)

    def api_keys(self) -> tuple[str, ...]:
        keys = self.keys("API_KEYS")
        if self.simulated():
            return keys or (DEVELOPMENT_API_KEY,)
        if not keys or DEVELOPMENT_API_KEY in keys:
            refuse("API_KEYS", "keys of your own, separated by commas, outside the simulator")
        self.refuse_guessable("API_KEYS", *keys)
        return keys

    def metrics_token(self) -> str | None:
        token = self.credential_or_none("METRICS_TOKEN")
        self.refuse_guessable("METRICS_TOKEN", *filter(None, [token]))
        return token

    def colour(self) -> str:
        value = self.text("MERCHANT_COLOUR", "#0b7a4b").lower()
        if not re.fullmatch(r"#[0-9a-f]{6}", value):
            refuse("MERCHANT_COLOUR", "a colour such as #0b7a4b")
        return value

    def logo(self) -> str | None:
        value = self.optional("MERCHANT_LOGO")
        if value is not None and not re.match(r"(https://|/static/)", value):
            refuse("MERCHANT_LOGO", "an https:// address, or a path below /static/")
        return value

    def outside_url(self, name: str) -> str | None:
        value = self.url(name, ("http", "https"))
        if value and value[:6] != "https:" and self.env() is not DarajaEnv.SIMULATOR:
            refuse(name, "an https:// address outside the simulator")
        return value

    def webhook_secret(self) -> tuple[str, ...]:
        secrets = tuple(self.text("WEBHOOK_SECRET", "").split())
        for each in secrets:
            try:
                raw = base64.b64decode(each.removeprefix("whsec_"), validate=True)
            except ValueError:
                raw = b""
            if not each.startswith("whsec_") or not 24 <= len(raw) <= 64:
                refuse("WEBHOOK_SECRET", "whsec_ and base64 of 24 to 64 bytes, separated by spaces")
        if self.optional("WEBHOOK_URL") and not secrets:
            refuse("WEBHOOK_SECRET", "a secret, since WEBHOOK_URL is set")
        return secrets


_SWITCH: dict[str, bool] = {
    **dict.fromkeys(("1", "on", "true", "yes"), True),
    **dict.fromkeys(("0", "off", "false", "no"), False),
}
# What a key of 2,048 bits makes (Daraja docs, Getting Started, "Security Credentials").
_SEALED_BYTES = 256
_SEALED = "as `flask initiator seal` prints it"
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _credential(name: str, text: str) -> str | None:
    """A credential; all of it is compared or sent, so an invisible character makes it wrong."""
    value = text.strip(" \t\r\n")
    if not all("!" <= each <= "~" and each not in "\"'`" for each in value):
        refuse(
            name,
            "no quotes, blanks, control characters or letters beyond ASCII in it (docker run"
            " --env-file keeps quotes, and copying can add invisible characters)",
        )
    return value or None


MAKE_A_SECRET = (
    "32 or more random characters that cannot be guessed, as from"
    ' `python -c "import secrets; print(secrets.token_urlsafe(32))"`'
)
# 32 hexadecimal digits are 128 bits; the command above makes 43 characters. Shorter secrets were
# made up by a person, as a rule.
_SHORTEST_SECRET = 32
# 32 random hexadecimal digits nearly always have at least this many different ones, and lose fewer
# than a dozen to runs.
_FEWEST_DIFFERENT = 8
_FEWEST_UNFORESEEN = 20
_PUBLISHED = (DEVELOPMENT_SECRET_KEY, DEVELOPMENT_API_KEY, SANDBOX_PASSKEY)
_KEYBOARD = (
    "0123456789", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl",
    "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)  # fmt: skip
_RUNS = " ".join(each for run in _KEYBOARD for each in (run * 2, (run * 2)[::-1]))
# A word as a person writes it: `change`, `Nairobi`, `SECRET`, `shop2026`. A generator mixes letters
# and digits further than that.
_WORD = re.compile(r"([A-Z]?[a-z]*|[A-Z]*)[0-9]*")


def is_guessable(secret: str) -> bool:
    """Whether a secret may well be guessed.

    It may if it is short, published, of few different characters, nothing but words and numbers, or
    made of keyboard runs and repetitions.
    """
    return (
        len(secret) < _SHORTEST_SECRET
        or any(each in secret for each in _PUBLISHED)
        or len(set(secret)) < _FEWEST_DIFFERENT
        or all(map(_WORD.fullmatch, re.split(r"[\W_]+", secret)))
        or _unforeseen(secret.lower()) < _FEWEST_UNFORESEEN
    )


def _unforeseen(secret: str) -> int:
    """Count the characters that are neither in a run nor in a repetition of an earlier piece."""
    seen, unforeseen = 0, 0
    while seen < len(secret):
        pieces = (secret[seen : seen + length] for length in range(16, 3, -1))
        known = next((each for each in pieces if each in _RUNS or each in secret[:seen]), "")
        unforeseen += not known
        seen += len(known) or 1
    return unforeseen


def parse_rate(name: str, text: str) -> Rate:
    """Read a rate such as `5/minute` or `5/10minutes`.

    Args:
        name: the setting's, for the error.

    Raises:
        SettingsError: the text is no rate.
    """
    match = re.fullmatch(r"([0-9]{1,6})\s*/\s*([0-9]{0,5})\s*(second|minute|hour|day)s?", text)
    if match is None or not int(match[1]) or (match[2] and not int(match[2])):
        refuse(name, "a rate such as 5/minute or 5/10minutes")
    return Rate(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse(name: str, expected: str) -> NoReturn:
    """Raise the line that names a setting and says what is expected, without its value."""
    raise SettingsError(f"{name}: expected {expected}. Set it in the environment or in .env.")


def _own_address(host: str, port: int) -> str:
    """The address at which this server reaches itself; "all addresses" is no destination."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


ENCODED = "an address whose password is percent-encoded (@ is %40, # is %23, ? is %3F, % is %25)"


def is_ambiguous(url: str) -> bool:
    """Whether part of a password may be taken for another part of the URL.

    Parsers differ: what one takes for the host, and names in an error, is the password to another.
    So a separator may stand before the host only in its encoded form.

    Args:
        url: any text. Behind the host of an http URL without a password, an `@` has no meaning.
    """
    scheme, _, address = url.partition("://")
    host, _, _ = address.partition("/")
    if scheme.lower() in ("http", "https") and "@" not in host:
        return False
    before_host = address.rpartition("@")[0]
    return re.search(r"[@#?]|%(?![0-9A-Fa-f]{2})", before_host) is not None


def _is_compared_host(text: str) -> bool:
    """Whether a text is an address, or a name as in a URL, with or without its last dot.

    Container networks give names with `_` in them, which clients ask for as they are.
    """
    try:
        ipaddress.IPv6Address(text[1:-1] if text[0] + text[-1] == "[]" else text)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", text) is not None
    return "%" not in text  # the zone of a link never leaves its machine
