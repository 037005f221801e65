"""The checks of `flask doctor`, in the order in which to fix what they find."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from mpesa import config, pull, second_factor, vitals, webhooks, workers
from mpesa import initiators as api_users
from mpesa.cli.times import in_nairobi
from mpesa.config import DarajaEnv, RefundRelease, Settings
from mpesa.daraja import DarajaError
from mpesa.daraja.c2b import forbidden_words
from mpesa.domain.confirmation import TEST_FIELD
from mpesa.domain.result_codes import Reason
from mpesa.domain.roles import Role
from mpesa.domain.steps import MOST_SKEW, skew
from mpesa.domain.wire_words import NAIROBI
from mpesa.initiators import Name
from mpesa.models import Operator, db
from mpesa.web.http.proofs import Purpose, proof
from mpesa.web.http.services import Services

# Seconds; PUBLIC_URL may go through a proxy and a tunnel.
_PATIENCE = 10
# Days that an API user's password lives (Daraja docs, Getting Started), and how many of them are
# needed to find who may set another.
_PASSWORD_DAYS = 90
_WARNED_DAYS = 15


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: what was checked.
        well: whether it is right.
        says: the facts, or how to fix it.
    """

    what: str
    well: bool
    says: str


def examine_settings(environ: Mapping[str, str]) -> list[Finding]:
    """A finding for every wrong setting; empty if an application can be created from them."""
    return [Finding("settings", False, line) for line in config.problems(environ)]


def examine(ours: Services) -> list[Finding]:
    """Check everything but the settings, which were checked before the application was created."""
    settings, database = ours.settings, vitals.database(db.engine)
    trouble = vitals.ADVICE.get(database)
    return [
        own_secrets(settings),
        *(Finding("settings", False, each) for each in config.doubts(settings)),
        *(Finding("settings", True, each) for each in config.advice(settings)),
        Finding("database", trouble is None, trouble or "answers, is migrated, can be written"),
        _redis(ours),
        _daraja(ours, database),
        _clock(settings),
        callback_address(settings),
        money_by_hand(settings),
        *confirmations_arrive(settings),
        *initiators(settings, ours.now()),
        *asked_of_m_pesa(ours),
        _public_url(settings),
        *_webhooks(settings),
        _operators(settings),
        *releasing(settings),
    ]


def own_secrets(settings: Settings) -> Finding:
    """Whether a secret that signs logins, creates orders or reads the metrics can be guessed.

    Production does not start with such secrets; a sandbox does, and this finding tells it.
    """
    ours = {
        "SECRET_KEY": (settings.secret_key,),
        "API_KEYS": settings.api_keys,
        "METRICS_TOKEN": tuple(filter(None, [settings.metrics_token])),
    }
    guessable = [name for name, each in ours.items() if any(map(config.is_guessable, each))]
    if guessable and not settings.simulated:
        says = f"{' and '.join(guessable)} can be guessed: use {config.MAKE_A_SECRET}"
        return Finding("settings", False, says)
    return Finding("settings", True, f"DARAJA_ENV={settings.daraja_env.value}")


def _redis(ours: Services) -> Finding:
    try:
        running = workers.count(db.session())
    except SQLAlchemyError:
        running = 0  # the database has a finding of its own
    finally:
        _end_transaction()
    url = ours.settings.redis_url
    if url is None:
        says = f"REDIS_URL is not set, and {running} workers share the database: give all the same"
        alone = "not configured; set REDIS_URL for more than one worker"
        return Finding("redis", running < 2, alone if running < 2 else says)
    found = vitals.redis(url)
    if not found.answers:
        wrong = vitals.REDIS_ADVICE
    elif found.listening is None:
        wrong = "Redis answers, but not to PUBSUB: check the rights of its user."
    elif found.listening < running:
        wrong = (
            f"{running} workers run, and {found.listening} listen here:"
            " give all the same REDIS_URL."
        )
    else:
        return Finding("redis", True, "answers")
    return Finding("redis", False, wrong)


def _end_transaction() -> None:
    """Keep no transaction open while other servers are asked: PostgreSQL would end it meanwhile."""
    with suppress(SQLAlchemyError):
        db.session.rollback()


def _daraja(ours: Services, database: vitals.Database) -> Finding:
    if not database.can_be_written:  # the token and its lease are kept there
        return Finding("daraja", False, "not asked, since the database fails")
    try:
        ours.access.daraja.check_credentials()
    except DarajaError as error:
        refused = getattr(error, "reason", None) is Reason.MISCONFIGURED
        advice = (
            "refused the credentials: check DARAJA_CONSUMER_KEY, DARAJA_CONSUMER_SECRET and"
            " DARAJA_ENV"
            if refused
            else f"does not answer ({error}): {way_to_daraja(ours.settings)}"
        )
        return Finding("daraja", False, advice)
    return Finding("daraja", True, "took the credentials")


def way_to_daraja(settings: Settings) -> str:
    """What to check where Daraja does not answer: a simulator is another thing than Safaricom."""
    if settings.daraja_env is DarajaEnv.SIMULATOR:
        return "check DARAJA_BASE_URL, the network, and that the simulator runs"
    return f"check that this machine reaches {settings.daraja_base_url}"


def _clock(settings: Settings) -> Finding:
    """Compare this clock with the Date of Daraja's answers, of which its 404 for `/` is one."""
    sent_at = datetime.now(UTC)
    try:
        answer = requests.get(
            settings.daraja_base_url, timeout=_PATIENCE, allow_redirects=False, stream=True
        )
        theirs = parsedate_to_datetime(answer.headers["Date"])
        answer.close()
    except (requests.RequestException, KeyError, ValueError):
        return Finding("clock", True, "not compared: Daraja told no time")
    if theirs.tzinfo is None:
        return Finding("clock", True, "not compared: Daraja told a time without a zone")
    return clock_finding(skew(theirs, sent_at, datetime.now(UTC)))


def clock_finding(by: timedelta) -> Finding:
    """The finding for a skew against Daraja's clock; negative if this machine's is behind."""
    if abs(by) <= MOST_SKEW:
        return Finding("clock", True, "agrees with Daraja's")
    direction = "ahead of" if by > timedelta(0) else "behind"
    seconds = round(abs(by).total_seconds())
    advice = f"is {seconds} s {direction} Daraja's: keep it by NTP (timedatectl set-ntp true)"
    return Finding("clock", False, advice)


def callback_address(settings: Settings) -> Finding:
    """Whether our callback addresses contain a word that Safaricom's rules forbid.

    The path contains none, and the token is hexadecimal, so only the host can. Daraja refused
    pushes with such words to some merchants and took them from others, so an address without them
    is the safe choice.
    """
    found = forbidden_words(settings.public_url)
    if not found:
        return Finding("callbacks", True, "no word in their address that Safaricom forbids")
    advice = (
        f"PUBLIC_URL holds {', '.join(found)}, which Safaricom forbids in callback addresses:"
        " pushes may be refused as Invalid CallBackURL; use another host name"
    )
    return Finding("callbacks", settings.simulated, advice)


def money_by_hand(settings: Settings) -> Finding:
    """Whether money that no push asked for would be heard of."""
    if not settings.c2b_token:
        unseen = "MANUAL_PAYMENT is on, and this server does not see what is paid by hand"
        says = unseen if settings.manual_payment else "not configured"
        return Finding("c2b", True, f"{says}; set C2B_TOKEN to hear of payments")
    found = forbidden_words(settings.public_url)
    if found and not settings.simulated:
        advice = (
            f"PUBLIC_URL holds {', '.join(found)}: Safaricom registers no such address"
            " (flask c2b register)"
        )
        return Finding("c2b", False, advice)
    heard = "two tokens are" if len(settings.c2b_token) > 1 else "one token is"
    shortest = min(map(len, settings.c2b_token))
    return Finding("c2b", True, f"{heard} heard, of {shortest} or more characters")


def confirmations_arrive(settings: Settings) -> Iterator[Finding]:
    """Whether a confirmation that is sent to the registered address arrives at this server.

    What is sent names neither receipt nor amount: it can be no money, and is kept nowhere. Whether
    Safaricom has just this address can't be asked for.
    """
    if not settings.c2b_token:
        return
    nonce = secrets.token_hex(16)
    address = f"{settings.public_url}/c2b/{settings.c2b_token[0]}/confirmation"
    shown = f"{settings.public_url}/c2b/<C2B_TOKEN>/confirmation"
    try:
        answer = requests.post(
            address, json={TEST_FIELD: nonce}, timeout=_PATIENCE, allow_redirects=False
        )
        fields = answer.json() if answer.status_code == 200 else None
    except (requests.RequestException, ValueError):
        fields = None
    told = fields.get("proof") if isinstance(fields, dict) else None
    if told != proof(settings.secret_key, nonce, Purpose.CONFIRMATION):
        advice = "does not take a confirmation in: do PUBLIC_URL and the proxy lead here by POST,"
        yield Finding("c2b", False, f"{shown} {advice} and has this server the same C2B_TOKEN?")
        return
    yield Finding(
        "c2b", True, f"{shown} takes confirmations in; whether it is registered shows a KES 1"
    )


def asked_of_m_pesa(ours: Services) -> Iterator[Finding]:
    """Whether the API users are at work, and how far back Pull reaches."""
    settings, now = ours.settings, ours.now()
    try:
        for each in Name:
            mark = api_users.mark_in(settings, each)
            if not mark:
                continue
            stands = api_users.standing(db.session(), each, mark)
            if stands.stopped_at is not None:
                advice = (
                    f"the {each} initiator is stopped ({stands.stopped_why}): on the organisation"
                    " portal see that it is active, flask initiator seal, then flask initiator go"
                    f" {each} --as NAME"
                )
                yield Finding("initiators", False, advice)
        if settings.pull_nominated_number is None:
            return
        row = pull.last(db.session(), settings.c2b_shortcode)
    except SQLAlchemyError:
        return  # the database has a finding of its own
    finally:
        _end_transaction()
    if row is None or row.begun_at is None or row.reaches_back_to is None:
        yield Finding("pull", settings.simulated, "no pull was complete yet: flask pull run")
    elif now - row.begun_at > pull.WINDOW:
        last = in_nairobi(row.begun_at)
        advice = f"the last complete one was {last}: what was paid since needs a statement"
        yield Finding("pull", False, advice)
    else:
        yield Finding("pull", True, f"without a gap since {in_nairobi(row.reaches_back_to)}")


def initiators(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether the passwords of the API users end soon: M-PESA lets each live for 90 days.

    Args:
        now: aware.
    """
    today = now.astimezone(NAIROBI).date()
    ours = (
        ("DARAJA_STATUS", settings.daraja_status_initiator, settings.daraja_status_set_on),
        ("DARAJA_REFUND", settings.daraja_refund_initiator, settings.daraja_refund_set_on),
    )
    for name, initiator, set_on in ours:
        if initiator is None:
            continue
        if set_on is None:
            unknown = f"{name}_SET_ON is not set, so that nobody is warned before its password ends"
            says = f"{name}_INITIATOR is the simulator's" if settings.simulated else unknown
            yield Finding("initiators", True, says)
            continue
        left = _PASSWORD_DAYS - (today - set_on).days
        advice = (
            "set a new password on the organisation portal, flask initiator seal, and"
            f" {name}_CREDENTIAL and {name}_SET_ON again"
        )
        if set_on > today:
            yield Finding("initiators", False, f"{name}_SET_ON lies in the future")
        elif left <= 0:
            yield Finding("initiators", False, f"the password of {name}_INITIATOR ended: {advice}")
        elif left <= _WARNED_DAYS:
            ends = f"the password of {name}_INITIATOR ends in {left} days"
            yield Finding("initiators", False, f"{ends}: {advice}")
        else:
            yield Finding(
                "initiators", True, f"the password of {name}_INITIATOR lives for {left} days more"
            )


def _public_url(settings: Settings) -> Finding:
    url, nonce = settings.public_url, secrets.token_hex(16)
    try:
        answer = requests.get(
            f"{url}/healthz",
            params={"nonce": nonce},
            timeout=_PATIENCE,
            allow_redirects=False,
        )
        fields = answer.json() if answer.status_code == 200 else None
    except (requests.RequestException, ValueError):
        fields = None
    if not isinstance(fields, dict) or fields.get("status") != "ok":
        advice = "does not reach this server: is it started, and DNS, proxy and TLS set up?"
        return Finding("PUBLIC_URL", False, f"{url} {advice}")
    if fields.get("proof") != proof(settings.secret_key, nonce):
        advice = "leads to another server, or one with another SECRET_KEY: check the proxy"
        return Finding("PUBLIC_URL", False, f"{url} {advice}")
    return Finding("PUBLIC_URL", True, f"{url} reaches this server")


def _webhooks(settings: Settings) -> Iterator[Finding]:
    """Whether WEBHOOK_URL answers; nothing signed is sent, since that would be a message."""
    url = settings.webhook_url
    if url is None:
        yield Finding("webhooks", True, "not configured; set WEBHOOK_URL to hear of results")
        return
    try:
        stopped = webhooks.endpoint_state(db.session(), url).stopped_at is not None
    except SQLAlchemyError:
        stopped = False  # the database has a finding of its own
    finally:
        _end_transaction()
    if stopped:
        advice = "the endpoint answered 410 and is stopped: fix it, then flask webhooks retry"
        yield Finding("webhooks", False, advice)
    try:
        answer = requests.head(url, timeout=_PATIENCE, allow_redirects=False)
    except requests.RequestException as error:
        advice = f"WEBHOOK_URL does not answer ({type(error).__name__}): check address, DNS and TLS"
        yield Finding("webhooks", False, advice)
        return
    status = answer.status_code
    if 300 <= status < 400 or status in (404, 410):
        advice = f"WEBHOOK_URL answers {status}: it needs an address that takes POST by itself"
        yield Finding("webhooks", False, advice)
    else:
        yield Finding("webhooks", True, f"WEBHOOK_URL answers ({status} to an empty HEAD)")


def _operators(settings: Settings) -> Finding:
    """Whether an operator can log in and decide what waits for a person."""
    try:
        without = db.session.scalar(
            select(func.count()).select_from(Operator).where(Operator.password_hash == "")
        )
        number = db.session.scalar(select(func.count()).select_from(Operator))
    except SQLAlchemyError:
        return Finding("operators", False, "cannot be counted: fix the database first")
    if without:
        advice = f"{without} have no password: flask operators remove NAME, then add NAME"
        return Finding("operators", False, advice)
    if not number:
        advice = "none, so /console cannot be opened: flask operators add NAME"
        return Finding("operators", settings.simulated, advice)
    return Finding("operators", True, f"{number} may open /console")


def releasing(settings: Settings) -> Iterator[Finding]:
    """Whether somebody can release a refund: a manager with a second factor, who did not ask."""
    if settings.daraja_refund_initiator is None:
        return
    of_managers = select(Operator).where(Operator.role == Role.MANAGER.value)
    try:
        managers = db.session.scalars(of_managers.order_by(Operator.name)).all()
    except SQLAlchemyError:
        return  # the operators' finding says so
    key = settings.secret_key
    able = [
        each
        for each in managers
        if each.totp_sealed is not None
        and second_factor.unseal(each.totp_sealed, each.name, key) is not None
    ]
    if not able:
        advice = "no manager has a second factor, so nobody can release one: flask operators totp"
        yield Finding("refunds", settings.simulated, f"{advice} NAME")
    if len(managers) == 1 and settings.refund_release is RefundRelease.TWO_PEOPLE:
        alone = f"{managers[0].name} is the only manager, and releases only what others asked for"
        yield Finding("refunds", True, f"{alone}: flask operators role NAME manager")
    elif able:
        names = " and ".join(each.name for each in able)
        yield Finding("refunds", True, f"may be released by {names}")
