"""GET /metrics: the metrics of this worker, for Prometheus.

Names follow Prometheus' own advice (prometheus.io/docs/practices/naming): base units, and `_total`
for counters. Every combination of labels is there from the start, since Prometheus computes no rate
for a counter that does not exist yet. No label names a person or a transaction.
"""

import hmac
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, Flask, Response, current_app, request
from flask_babel import gettext as _
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from werkzeug.exceptions import NotFound

from mpesa import __version__, counters, initiators, pull, vitals, webhooks
from mpesa.domain.receipt import Direction, State
from mpesa.domain.refund import RefundStatus
from mpesa.domain.result_codes import FAILED_REASONS, PENDING_REASONS, SUCCESS_REASONS, Status
from mpesa.ids import hash_token
from mpesa.ledger import Change
from mpesa.models import (
    Receipt,
    Transaction,
    WebhookEndpoint,
    db,
)
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import Services, services

metrics = Blueprint("metrics", __name__)

# A slow database must not cost Prometheus, which waits ten seconds, the other metrics as well.
_PATIENCE = "SET LOCAL statement_timeout = '2s'"
_LATELY = timedelta(hours=1)


@dataclass(frozen=True)
class Counted:
    """A counter of `mpesa.counters`, and the values that its label may have."""

    event: str
    help: str
    label: str | None = None
    words: tuple[str, ...] = ()


_SETTLED = tuple(sorted(each.value for each in SUCCESS_REASONS | FAILED_REASONS))
COUNTED = (
    Counted(
        "pushes",
        "STK pushes, by what came of sending them.",
        "outcome",
        ("accepted", "refused", "not_sent", "unconfirmed"),
    ),
    Counted(
        "results",
        "Transactions whose status changed to SUCCESS or FAILED, by reason.",
        "reason",
        _SETTLED,
    ),
    Counted(
        "callbacks",
        "Callbacks of Daraja, by what became of them.",
        "verdict",
        ("settled", "changed", "unchanged", "unlisted", "unreadable", "unknown_token"),
    ),
    Counted(
        "confirmations",
        "Confirmations of money to the short code, by what became of them.",
        "verdict",
        (
            "claimed",
            "unclaimed",
            "unproven",
            "known",
            "differs",
            "unreadable",
            "foreign",
            "stored",
            "unknown_token",
        ),
    ),
    Counted(
        "delayed_results",
        "Results and time-outs of what Daraja was asked a while before.",
        "verdict",
        ("heard", "timed_out", "unknown_token"),
    ),
    Counted(
        "status_questions",
        "Questions about a receipt (Transaction Status), by whether Daraja took them.",
        "outcome",
        ("asked", "not_asked", "uncertain"),
    ),
    Counted(
        "pulls",
        "Pulls of what was paid, by how they ended.",
        "outcome",
        ("complete", "incomplete", "failed"),
    ),
    Counted(
        "refunds",
        "Changes of a refund's status, by the new one.",
        "status",
        tuple(each.value for each in RefundStatus),
    ),
    Counted(
        "initiators_stopped",
        "API users that were stopped until a person says go.",
        "initiator",
        ("status", "refund"),
    ),
    Counted("judgement_failures", "Callbacks that were stored and could not be judged at once."),
    Counted(
        "queries",
        "Status queries to Daraja, by what they told.",
        "outcome",
        ("paid", "not_paid", "under_way", "no_answer"),
    ),
    Counted(
        "token_fetches", "Fetches of an OAuth token from Daraja.", "outcome", ("fetched", "failed")
    ),
    Counted(
        "hint_failures",
        "Hints between workers that could not be sent, or told nothing true.",
        "kind",
        ("not_sent", "untrue"),
    ),
    Counted(
        "logins", "Tries to log in to the console.", "outcome", ("taken", "refused", "limited")
    ),
    Counted("webhook_delivered", "Webhooks that the merchant's server took."),
    Counted("webhook_failed", "Tries of a webhook that failed."),
    Counted("webhook_given_up", "Webhooks that were given up after their last try."),
    Counted("webhook_endpoint_stopped", "Endpoints that answered 410."),
    Counted(
        "errors", "Requests that ended in an error of ours.", "kind", ("database", "unexpected")
    ),
)
_DISTRIBUTIONS = {
    "push_to_result_seconds": "From a push to its result, late results included.",
    "callback_to_announced_seconds": "From a callback's arrival until its pages were told.",
}


def register(app: Flask, ours: Services) -> None:
    """Give the application its registry of metrics, and the route."""
    registry = CollectorRegistry()
    for standard in (ProcessCollector, PlatformCollector, GCCollector):
        standard(registry=registry)
    registry.register(_WorkerMetrics(ours))
    app.extensions["mpesa.metrics"] = registry
    app.register_blueprint(metrics)


def note_results(changes: Sequence[Change]) -> None:
    """Count the transactions that committed changes settled."""
    for each in changes:
        if each.settled_after is not None and each.snapshot is not None:
            counters.count("results", reason=each.snapshot["reason"])
            counters.observe("push_to_result_seconds", each.settled_after.total_seconds())


@metrics.get("/metrics")
def show_metrics() -> Response:
    """Answer with this worker's metrics as text, if the request sends METRICS_TOKEN.

    Raises:
        NotFound: METRICS_TOKEN is not set.
        Problem: 401 for another token or none.
    """
    token = services().settings.metrics_token
    if token is None:
        raise NotFound
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(hash_token(given.strip()), hash_token(token))
    if scheme.lower() != "bearer" or not right:
        raise Problem(401, "unauthorized", _("Send Authorization: Bearer and METRICS_TOKEN."))
    registry: CollectorRegistry = current_app.extensions["mpesa.metrics"]
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


class _WorkerMetrics(Collector):
    """Reads counters, sockets, database and Redis each time that Prometheus asks."""

    def __init__(self, ours: Services) -> None:
        self._ours = ours

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: else registration would collect once, before there is a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, those in memory first."""
        yield from _from_counters()
        running = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("mpesa_build", "What runs: ours, and Python's version.", running)
        sockets = len(self._ours.socketio.server.eio.sockets)
        yield _gauge("sockets_open", "Open sockets of waiting pages at this worker.", sockets)
        pool = db.engine.pool
        if isinstance(pool, QueuePool):
            in_use, most = pool.checkedout(), pool.size() + pool._max_overflow
            yield _gauge("database_pool_in_use", "Connections of the pool in use.", in_use)
            yield _gauge("database_pool_size", "Connections that the pool may have at most.", most)
        pause = self._ours.access.budget.pause.total_seconds()
        yield _gauge(
            "query_budget_interval_seconds", "One status query may be sent in this.", pause
        )
        redis_url = self._ours.settings.redis_url
        if redis_url is not None:
            answers = vitals.redis(redis_url).answers
            yield _gauge("redis_up", "Whether Redis answered this scrape.", answers)
        yield from _from_database(self._ours)


def _from_counters() -> Iterator[Metric]:
    for each in COUNTED:
        family = CounterMetricFamily(
            f"mpesa_{each.event}", each.help, labels=[each.label] if each.label else []
        )
        for word in each.words:
            family.add_metric([word], counters.counted(each.event, **{str(each.label): word}))
        if not each.label:
            family.add_metric([], counters.counted(each.event))
        yield family
    for event, help_text in _DISTRIBUTIONS.items():
        seen = counters.distribution(event)
        buckets, so_far = [], 0
        for bound, times in zip((*map(str, seen.bounds), "+Inf"), seen.counts, strict=True):
            so_far += times
            buckets.append((bound, so_far))
        yield HistogramMetricFamily(
            f"mpesa_{event}", help_text, buckets=buckets, sum_value=seen.total
        )
    loops = GaugeMetricFamily(
        "mpesa_loop_last_success_timestamp_seconds",
        "When a background loop last went through without an error.",
        labels=["loop"],
    )
    for labels, value in counters.marks("loop_last_success_timestamp_seconds"):
        loops.add_metric([labels["loop"]], value)
    yield loops
    skew = GaugeMetricFamily(
        "mpesa_daraja_clock_skew_seconds",
        "How far this machine's clock is ahead of Daraja's, by its last answer; negative: behind.",
    )
    for _no_labels, value in counters.marks("daraja_clock_skew_seconds"):
        skew.add_metric([], value)
    yield skew


def _from_database(ours: Services) -> Iterator[Metric]:
    """The metrics that the database holds; whether it answers is one of them."""
    state, found = vitals.database(db.engine), list[Metric]()
    try:
        if state.answers:
            found = list(_from_tables(db.session(), ours))
    except SQLAlchemyError:
        counters.count("errors", kind="database")
    yield _gauge("database_up", "Whether the database answered this scrape.", bool(found))
    yield from found
    if found:
        help_text = "Whether the database can be written, so that payments can be taken."
        yield _gauge("database_writable", help_text, state.can_be_written)


def _from_tables(session: Session, ours: Services) -> Iterator[Metric]:
    now = ours.now()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(_PATIENCE))
    yield from _pending(session, now)

    in_review = select(func.count(), func.min(Transaction.updated_at))
    reviews, oldest_review = session.execute(in_review.where(Transaction.needs_review)).one()
    yield _gauge("transactions_needing_review", "Transactions that wait for a person.", reviews)
    yield _gauge(
        "transactions_needing_review_oldest_age_seconds",
        "Since the last change of the one that waits longest for a person.",
        _age(oldest_review, now),
    )

    due = select(func.count(), func.min(Transaction.next_ask_at)).where(
        Transaction.next_ask_at <= now,
        Transaction.checkout_request_id.is_not(None),
        Transaction.status != Status.SUCCESS.value,
    )
    asks, oldest_ask = session.execute(due).one()
    yield _gauge("queries_due", "Transactions that Daraja is to be asked about now.", asks)
    yield _gauge(
        "queries_due_oldest_age_seconds", "How late the latest of those is.", _age(oldest_ask, now)
    )
    wait = ours.access.budget.wait().total_seconds()
    yield _gauge(
        "query_budget_wait_seconds", "Until the budget allows the next status query.", wait
    )

    yield from _receipts(session, now)

    unjudged = vitals.unjudged(session, now, _LATELY)
    yield _gauge("callbacks_unjudged", "Callbacks of the last hour without a decision.", unjudged)

    backlog = webhooks.backlog(session, now)
    age = backlog.age.total_seconds() if backlog.age else 0.0
    yield _gauge("webhooks_waiting", "Webhooks that are still to be taken.", backlog.count)
    yield _gauge("webhooks_oldest_age_seconds", "Age of the oldest of those.", age)
    yield _gauge("webhooks_given_up", "Webhooks that an operator may send again.", backlog.given_up)
    stopped = select(func.count()).where(WebhookEndpoint.stopped_at.is_not(None))
    yield _gauge(
        "webhook_endpoints_stopped",
        "Endpoints that answered 410, and wait for an operator.",
        session.scalar(stopped) or 0,
    )
    yield from _asked_of_m_pesa(session, ours)
    session.rollback()


def _asked_of_m_pesa(session: Session, ours: Services) -> Iterator[Metric]:
    """How far Pull reaches back, and whether the API users are at work."""
    settings = ours.settings
    if settings.pull_nominated_number is not None:
        row = pull.last(session, settings.c2b_shortcode)
        times = {
            "pull_last_complete_timestamp_seconds": (
                "When the last complete pull was begun; 0: none was.",
                row.begun_at if row else None,
            ),
            "pull_reaches_back_to_timestamp_seconds": (
                "Since when the pulls cover everything without a gap; 0: no pull was complete.",
                row.reaches_back_to if row else None,
            ),
            "pull_gap_ends_timestamp_seconds": (
                "The end of the newest stretch that no pull has seen; 0: there is none.",
                row.gap_until if row else None,
            ),
        }
        for name, (help_text, moment) in times.items():
            yield _gauge(name, help_text, moment.timestamp() if moment else 0)
    stopped = GaugeMetricFamily(
        "mpesa_initiator_stopped",
        "Whether nothing is asked in the name of an API user until a person says go.",
        labels=["initiator"],
    )
    for each in initiators.Name:
        if mark := initiators.mark_in(settings, each):
            stands = initiators.standing(session, each, mark)
            stopped.add_metric([each.value], float(stands.stopped_at is not None))
    yield stopped


def _pending(session: Session, now: datetime) -> Iterator[Metric]:
    found = vitals.pending(session)
    family = GaugeMetricFamily(
        "mpesa_transactions_pending", "Transactions without a result, by reason.", labels=["reason"]
    )
    ages = GaugeMetricFamily(
        "mpesa_transactions_pending_oldest_age_seconds",
        "Age of the oldest transaction without a result, by reason.",
        labels=["reason"],
    )
    for reason in sorted(PENDING_REASONS):
        these = found.get(reason, vitals.Pending())
        family.add_metric([reason.value], these.count)
        ages.add_metric([reason.value], _age(these.oldest, now))
    yield family
    yield ages


def _receipts(session: Session, now: datetime) -> Iterator[Metric]:
    # Not the claimed ones: they are nearly all, and to count them would read them all.
    told = (State.UNPROVEN, State.UNCLAIMED, State.RETURNED)
    query = (
        select(Receipt.state, func.count(), func.min(Receipt.learned_at))
        .where(
            Receipt.state.in_([each.value for each in told]),
            Receipt.direction == Direction.IN.value,
        )
        .group_by(Receipt.state)
    )
    found = {state: (count, oldest) for state, count, oldest in session.execute(query)}
    family = GaugeMetricFamily(
        "mpesa_receipts",
        "Payments that no order has, or that went back, by state.",
        labels=["state"],
    )
    for state in told:
        count, _ = found.get(state.value, (0, None))
        family.add_metric([state.value], count)
    yield family
    _, oldest = found.get(State.UNCLAIMED.value, (0, None))
    yield _gauge(
        "receipts_unclaimed_oldest_age_seconds",
        "Since the oldest payment was heard of that nobody has claimed.",
        _age(oldest, now),
    )


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mpesa_{name}", help_text, value=float(value))


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
