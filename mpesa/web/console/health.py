"""Whether everything that payments need works, from what is known already; Daraja is not asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flask import render_template
from flask_babel import format_timedelta
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from mpesa import counters, initiators, pull, vitals, webhooks, workers
from mpesa.config import Settings
from mpesa.daraja_access import access_key
from mpesa.domain.evidence import Kind
from mpesa.domain.result_codes import Reason
from mpesa.domain.steps import MOST_SKEW
from mpesa.domain.told import WitnessKind
from mpesa.ids import hash_token
from mpesa.initiators import Name
from mpesa.models import DarajaAccess, DecisionRow, EvidenceRow, Witness, db
from mpesa.web.console import stats
from mpesa.web.console.blueprint import console
from mpesa.web.console.wording import nairobi, reason_word
from mpesa.web.http.services import Services, services

# How far back Daraja's last answers are looked for, so that an index by time reads little.
_LATELY = timedelta(hours=24)
# How long Daraja's tokens last (Daraja docs, Authorization: expires_in).
_TOKEN_LASTS = timedelta(seconds=3599)
# How many of the last answers to pushes are looked at to tell whether Daraja takes them now.
_PUSHES = 20
# Complete pulls that may be missing, since one that was not sure is tried again.
_PULLS_MISSED = 2
# A statement of so long ago is rarely fetched.
_GAP_SHOWN_FOR = timedelta(days=30)
_BACKLOG_IS_OLD = timedelta(minutes=10)


class Sign(StrEnum):
    """The outcome of a check, which is also a class of the style sheet."""

    GOOD = "good"
    WARM = "warm"
    WRONG = "wrong"
    OFF = "off"


@dataclass(frozen=True)
class Check:
    """One line of the page.

    Attributes:
        word: the outcome in a word or two.
        detail: the facts behind it, or what to do.
        go: the API user that a manager may let be used again; None: none is stopped.
    """

    name: str
    sign: Sign
    word: str
    detail: str = ""
    go: Name | None = None


@console.get("/health")
def health() -> str:
    """Show every check, and the settings that explain them."""
    ours, checks = services(), list[Check]()
    for check in _CHECKS:
        try:
            checks.append(check(ours))
        except SQLAlchemyError as error:
            db.session.rollback()
            failure = type(error).__name__
            checks.append(Check(_("Database"), Sign.WRONG, _("does not answer"), failure))
    return render_template(
        "console/health.html",
        now=ours.now(),
        checks=checks,
        wrong=sum(each.sign is Sign.WRONG for each in checks),
        warm=sum(each.sign is Sign.WARM for each in checks),
        settings=settings_shown(ours.settings),
    )


def settings_shown(settings: Settings) -> list[tuple[str, str]]:
    """The settings by name; of a secret, only whether it is set."""
    shown: list[tuple[str, object]] = [
        ("DARAJA_ENV", settings.daraja_env.value),
        ("DARAJA_SHORTCODE", settings.daraja_shortcode),
        ("DARAJA_ACCOUNT_TYPE", settings.daraja_account_type.value),
        ("DARAJA_MAX_AMOUNT", f"{settings.daraja_max_amount:,}"),
        ("DARAJA_QUERY_RATE", _rate(settings.daraja_query_rate)),
        ("PUBLIC_URL", settings.public_url),
        ("PAYMENT_WAIT_SECONDS", settings.payment_wait_seconds),
        ("STK_PUSH_LIMIT_PER_PHONE", _rate(settings.stk_push_limit_per_phone)),
        ("STK_PUSH_LIMIT_PER_IP", _rate(settings.stk_push_limit_per_ip)),
        ("CALLBACK_ALLOWED_IPS", len(settings.callback_allowed_ips) or _("any address")),
        ("REDIS_URL", _is_set(settings.redis_url)),
        ("WEBHOOK_URL", _is_set(settings.webhook_url)),
        ("METRICS_TOKEN", _is_set(settings.metrics_token)),
        ("RETENTION_DAYS", settings.retention_days),
        ("ASYNC_MODE", settings.async_mode.value),
        ("MANUAL_PAYMENT", _("on") if settings.manual_payment else _("off")),
    ]
    return [(name, str(value)) for name, value in shown]


def _database(ours: Services) -> Check:
    kind, state = db.engine.dialect.name, vitals.database(db.engine)
    name = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(kind, kind)
    wrong = {
        vitals.Database.SILENT: (_("does not answer"), name),
        vitals.Database.UNMIGRATED: (_("not migrated"), _("Run: flask db upgrade")),
        vitals.Database.STANDBY: (_("cannot be written"), _("It is a standby: use the primary.")),
        vitals.Database.READ_ONLY: (
            _("cannot be written"),
            _("default_transaction_read_only is on: is its disk full?"),
        ),
        vitals.Database.FULL: (_("cannot be written"), _("Is its disk full?")),
    }.get(state)
    if wrong is None:
        return Check(_("Database"), Sign.GOOD, _("answers, migrated"), name)
    return Check(_("Database"), Sign.WRONG, *wrong)


def _redis(ours: Services) -> Check:
    url = ours.settings.redis_url
    if url is None:
        detail = _("Fine for one worker. With more, results take a second longer.")
        return Check("Redis", Sign.OFF, _("not used"), detail)
    found = vitals.redis(url)
    if not found.answers:
        detail = _("Results of other workers are looked up every second meanwhile.")
        return Check("Redis", Sign.WRONG, _("does not answer"), f"{found.failure}. {detail}")
    if found.listening is None:
        return Check(
            "Redis", Sign.WARM, _("answers"), _("It refuses PUBSUB: check the rights of its user.")
        )
    listen = _("%(count)d listen", count=found.listening)
    return Check("Redis", Sign.GOOD, _("answers"), listen)


def _workers(ours: Services) -> Check:
    running = workers.count(db.session())
    if not running:
        return Check(_("Workers"), Sign.OFF, _("one"), _("SQLite is for one worker."))
    alone = running > 1 and ours.settings.redis_url is None
    detail = _("They share no Redis: set REDIS_URL.") if alone else ""
    return Check(_("Workers"), Sign.WARM if alone else Sign.GOOD, f"{running:,}", detail)


def _daraja_token(ours: Services) -> Check:
    name, now = _("M-PESA: access token"), ours.now()
    row = db.session.get(DarajaAccess, hash_token(access_key(ours.settings)))
    if row is None or row.expires_at is None:
        return Check(name, Sign.OFF, _("none yet"), _("Fetched with the next payment request."))
    fetched = _("fetched at about %(time)s", time=nairobi(row.expires_at - _TOKEN_LASTS))
    if row.expires_at <= now:
        return Check(
            name,
            Sign.OFF,
            _("ran out"),
            f"{fetched}. {_('Fetched with the next payment request.')}",
        )
    word = _("good for %(time)s", time=_duration(row.expires_at - now))
    return Check(name, Sign.GOOD, word, fetched)


def _daraja_pushes(ours: Services) -> Check:
    name = _("Payment requests")
    answers = db.session.scalars(
        select(DecisionRow.reason)
        .join(EvidenceRow, EvidenceRow.id == DecisionRow.evidence_id)
        .where(EvidenceRow.received_at >= ours.now() - _LATELY)
        .where(EvidenceRow.kind == Kind.PUSH_ANSWER.value)
        .order_by(EvidenceRow.received_at.desc())
        .limit(_PUSHES)
    )
    reasons = [Reason(each) for each in answers]
    if not reasons:
        return Check(name, Sign.OFF, _("none in the last day"))
    refused = [each for each in reasons if each in stats.AT_MPESA]
    one, count = _("the last answer"), len(reasons)
    detail = one if count == 1 else _("the last %(count)d answers", count=count)
    if not refused:
        return Check(name, Sign.GOOD, _("accepted"), detail)
    most = reason_word(max(set(refused), key=refused.count))
    word = _(
        "%(count)d of %(all)d refused: %(reason)s",
        count=len(refused),
        all=len(reasons),
        reason=most,
    )
    much = len(refused) * 2 >= len(reasons)
    return Check(name, Sign.WRONG if much else Sign.WARM, word, detail)


def _daraja_queries(ours: Services) -> Check:
    asked = db.session.scalar(
        select(EvidenceRow.received_at)
        .where(
            EvidenceRow.received_at >= ours.now() - _LATELY, EvidenceRow.kind == Kind.QUERY.value
        )
        .order_by(EvidenceRow.received_at.desc())
        .limit(1)
    )
    wait = ours.access.budget.wait()
    free = _("The next may be sent now.")
    detail = free if not wait else _("The next may be sent in %(time)s.", time=_duration(wait))
    if asked is None:
        return Check(_("Status checks"), Sign.OFF, _("none in the last day"), detail)
    return Check(_("Status checks"), Sign.GOOD, _("last %(time)s", time=nairobi(asked)), detail)


def _overdue(ours: Services) -> Check:
    pending = vitals.pending(db.session())
    overdue = pending.get(Reason.OVERDUE, vitals.Pending())
    name, oldest = _("Payments that are overdue"), overdue.oldest
    if oldest is None:
        total = sum(each.count for each in pending.values())
        return Check(name, Sign.GOOD, _("none"), _("%(count)d pending", count=total))
    detail = _("the oldest since %(time)s", time=nairobi(oldest))
    sign = Sign.WARM if overdue.is_late(ours.now()) else Sign.GOOD
    return Check(name, sign, f"{overdue.count:,}", detail)


def _unjudged(ours: Services) -> Check:
    """Callbacks that were stored and not judged: the process or the database failed in between."""
    count = vitals.unjudged(db.session(), ours.now(), _LATELY)
    name = _("Results waiting to be processed")
    if not count:
        return Check(name, Sign.GOOD, _("none"))
    return Check(name, Sign.WRONG, f"{count:,}", _("They are processed again every few seconds."))


def _webhooks(ours: Services) -> Check:
    name, url = _("Webhooks"), ours.settings.webhook_url
    if url is None:
        return Check(name, Sign.OFF, _("not used"), _("WEBHOOK_URL is not set."))
    endpoint = webhooks.endpoint_state(db.session(), url)
    backlog = webhooks.backlog(db.session(), ours.now())
    if endpoint.stopped_at is not None:
        return Check(
            name, Sign.WRONG, _("stopped"), _("It answered 410. Resend one to switch it on again.")
        )
    detail = _(
        "%(count)d waiting, %(given_up)d given up", count=backlog.count, given_up=backlog.given_up
    )
    if backlog.age is not None and backlog.age > _BACKLOG_IS_OLD:
        return Check(name, Sign.WARM, _("behind by %(time)s", time=_duration(backlog.age)), detail)
    if endpoint.failures:
        return Check(
            name, Sign.WARM, _("failed %(count)d times in a row", count=endpoint.failures), detail
        )
    return Check(name, Sign.GOOD, _("delivered"), detail)


def _clock(ours: Services) -> Check:
    """How far this clock is from Daraja's, by Daraja's last answer to this worker."""
    name, found = _("Clock"), counters.marks("daraja_clock_skew_seconds")
    if not found:
        return Check(
            name, Sign.OFF, _("not compared yet"), _("M-PESA's next answer tells the time.")
        )
    by = timedelta(seconds=found[0][1])
    if abs(by) <= MOST_SKEW:
        return Check(name, Sign.GOOD, _("agrees with M-PESA's"))
    word = (
        _("ahead by %(time)s", time=_duration(by))
        if by > timedelta(0)
        else _("behind by %(time)s", time=_duration(-by))
    )
    return Check(name, Sign.WRONG, word, _("Keep it by NTP: timedatectl set-ntp true"))


def _confirmations(ours: Services) -> Check:
    """Confirmations that told of no payment to us, and those that knew no token of ours."""
    name = _("Confirmations of money by hand")
    if not ours.settings.c2b_token:
        unseen = _("C2B_TOKEN is not set: such money is not seen.")
        sign = Sign.WARM if ours.settings.manual_payment else Sign.OFF
        return Check(name, sign, _("not heard"), unseen)
    lately = Witness.received_at >= ours.now() - _LATELY
    told = select(func.count()).where(lately, Witness.kind == WitnessKind.CONFIRMATION.value)
    last = db.session.scalar(
        select(func.max(Witness.told_last_at)).where(
            lately, Witness.kind == WitnessKind.CONFIRMATION.value
        )
    )
    odd = db.session.scalar(told.where(Witness.receipt_id.is_(None), Witness.judged)) or 0
    strangers = int(counters.counted("confirmations", verdict="unknown_token"))
    if odd or strangers:
        detail = _(
            "%(odd)d in the last day that were about no payment to you, %(strangers)d under a token"
            " that is not yours since this worker started: is another address registered, or does"
            " somebody try?",
            odd=odd,
            strangers=strangers,
        )
        return Check(name, Sign.WARM, _("not all understood"), detail)
    if last is None:
        advice = _("Not registered yet? Run flask c2b register, then pay KES 1 by hand.")
        return Check(name, Sign.OFF, _("none in the last day"), advice)
    return Check(name, Sign.GOOD, _("last %(time)s", time=nairobi(last)))


def _pull(ours: Services) -> Check:
    """How far back the last complete pull reaches, and what no pull has seen."""
    name, settings = _("Pull: what was paid"), ours.settings
    if settings.pull_nominated_number is None:
        return Check(name, Sign.OFF, _("not used"), _("PULL_NOMINATED_NUMBER is not set."))
    row, now = pull.last(db.session(), settings.c2b_shortcode), ours.now()
    if row is None or row.begun_at is None or row.reaches_back_to is None:
        return Check(name, Sign.WARM, _("never complete yet"), _("flask pull run says why."))
    detail = _("It reaches back to %(time)s.", time=nairobi(row.reaches_back_to))
    word = _("last %(time)s", time=nairobi(row.begun_at))
    if now - row.begun_at > pull.WINDOW:
        lost = _("Pull can no longer see what was paid since then: import a statement.")
        return Check(name, Sign.WRONG, word, f"{detail} {lost}")
    if row.gap_from and row.gap_until and now - row.gap_until < _GAP_SHOWN_FOR:
        gap = _(
            "No pull has seen what was paid from %(begin)s to %(end)s: import a statement.",
            begin=nairobi(row.gap_from),
            end=nairobi(row.gap_until),
        )
        return Check(name, Sign.WARM, word, f"{detail} {gap}")
    late = now - row.begun_at > _PULLS_MISSED * pull.EVERY
    return Check(name, Sign.WARM if late else Sign.GOOD, word, detail)


def _status_initiator(ours: Services) -> Check:
    return _initiator(ours, Name.STATUS, _("API user that asks about receipts"))


def _refund_initiator(ours: Services) -> Check:
    return _initiator(ours, Name.REFUND, _("API user that gives money back"))


def _initiator(ours: Services, which: Name, name: str) -> Check:
    mark = initiators.mark_in(ours.settings, which)
    if mark is None:
        return Check(name, Sign.OFF, _("not used"))
    stands = initiators.standing(db.session(), which, mark)
    if stands.stopped_at is None:
        word = _("answers") if stands.answered else _("not tried yet")
        return Check(name, Sign.GOOD if stands.answered else Sign.OFF, word)
    why = {
        initiators.SILENT: _("Two requests stayed without an answer for ten minutes."),
        "8006": _("M-PESA has locked it."),
    }.get(str(stands.stopped_why), _("M-PESA called its password wrong."))
    advice = _(
        "On the organisation portal, see that it is active and unlock it; seal its password again"
        " (flask initiator seal); then say go."
    )
    word = _("stopped since %(time)s", time=nairobi(stands.stopped_at))
    return Check(name, Sign.WRONG, word, f"{why} {advice}", go=which)


_CHECKS: tuple[Callable[[Services], Check], ...] = (
    _database, _redis, _workers, _clock, _daraja_token, _daraja_pushes, _daraja_queries, _overdue,
    _unjudged, _confirmations, _pull, _status_initiator, _refund_initiator, _webhooks,
)  # fmt: skip


def _duration(time: timedelta) -> str:
    return str(format_timedelta(time, threshold=1.2))


def _is_set(value: object) -> str:
    return str(_("set") if value else _("not set"))


def _rate(rate: Any) -> str:
    if rate is None:
        return str(_("off"))
    return str(_("%(count)d in %(seconds)d s", count=rate.count, seconds=rate.seconds))
