"""The loops beside the requests: clock, outbox, hints, questions, pull, webhooks, what waits."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from mpesa import (
    claims,
    counters,
    deadlines,
    inbox,
    operators,
    outbox,
    pull,
    receipts,
    reconciler,
    refunds,
    status,
    webhooks,
    workers,
)
from mpesa.daraja import DarajaError
from mpesa.database import for_long_work, own_sessions
from mpesa.domain.statement_lines import StatementDefect
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.hints import LISTEN_AGAIN
from mpesa.models import db
from mpesa.statements import importing
from mpesa.statements.reading import ReaderBusy
from mpesa.web.http.services import (
    Services,
    inbox_needs,
    pull_needs,
    receipt_needs,
    refund_sending,
    services,
    statement_needs,
    status_needs,
)

log = logging.getLogger(__name__)

# Seconds. A shopper who watches the countdown reach zero sees the next state within a second; a
# change that another process made is announced within two.
TICK = 1.0
# Seconds. While the server runs, a callback stays unjudged only if the database failed between
# storing and judging it.
LOOK_FOR_UNJUDGED = 5.0
# Seconds. A second worker runs for hours, so its discovery is not urgent.
LOOK_FOR_WORKERS = 5.0
# Seconds. Who uploads a statement waits for it, and most of the time there is none.
LOOK_FOR_STATEMENTS = 2.0
# Seconds of rest after each hundred lines of a statement, which take about 20 ms of the processor,
# or after one that changes an order: shoppers come first.
STATEMENT_REST = 0.02
# Seconds between two looks whether a pull is due.
LOOK_FOR_PULL = 30.0
# Seconds. Even with a large budget, the loop leaves the database some rest.
_SHORTEST = 0.05
# A merchant's server may hold up each of them for 15 s; the others go on. All workers together
# send no more at once than `webhooks` allows.
WEBHOOK_LOOPS = 4
# Seconds that each of them rests after a message: a worker sends at most 40 a second, so that a
# backlog leaves payments more than half of the processor (a message takes about 10 ms of it).
WEBHOOK_REST = 0.1
# A callback that arrived more recently is being judged by its own request.
_BEING_JUDGED = timedelta(seconds=5)
_FAILED_LATELY = timedelta(hours=1)
# How many of the callbacks that could not be judged are tried again in each round (of 5 s).
_JUDGED_AGAIN = 200
# Longer than any clock was ahead.
_EVER = timedelta(days=36_500)


def start(app: Flask, ours: Services) -> None:
    """Start the loops; they end with the process."""
    works: list[tuple[Callable[[Services], float | None], float]] = [
        (_clock, TICK),
        (_prompts_over(), TICK),
        (_outbox(), TICK),
        (_announcements, TICK),
        (_reconciler, TICK),
        (_unclaimed, TICK),
        (_unjudged(), LOOK_FOR_UNJUDGED),
        (_witnesses, TICK),
        (_statements, LOOK_FOR_STATEMENTS),
        (_workers(), LOOK_FOR_WORKERS),
    ]
    if ours.settings.daraja_status_initiator is not None:
        works += [(_status, TICK)]
    if ours.settings.daraja_refund_initiator is not None:
        works += [(_refunds, TICK)]
    if ours.settings.pull_nominated_number is not None:
        works += [(_pull(), LOOK_FOR_PULL)]
    if ours.hints is not None:
        works += [(_publish_hints, 0), (_listen_to_hints, LISTEN_AGAIN)]
    if ours.settings.webhook_url is not None:
        works += [(_webhooks(ours, ours.settings.webhook_url), TICK)] * WEBHOOK_LOOPS
        works += [(_put_off_webhooks(ours, ours.settings.webhook_url), TICK)]
    for work, pause in works:
        ours.socketio.start_background_task(_forever, app, work, pause)


def finish(app: Flask, ours: Services) -> None:
    """Store, in the background, the announcements that the ending process still has in memory."""
    ours.socketio.start_background_task(_try, app, _announcements)


def _clock(ours: Services) -> None:
    wait = timedelta(seconds=ours.settings.payment_wait_seconds)
    ours.watch.look(db.session(), ours.announce)
    operators.put_logins_back(db.session(), ours.now())
    deadlines.run_once(db.session(), ours.now, wait, ours.announce, ours.watch.stepped)


def _unclaimed(ours: Services) -> None:
    if not ours.watch.stepped():
        receipts.tell_unclaimed(db.session(), ours.now)


def _prompts_over() -> Callable[[Services], None]:
    """Tell this worker's rooms what time alone has changed, which no other worker's hint tells."""
    since: datetime | None = None

    def tell_again(ours: Services) -> None:
        nonlocal since
        now = ours.now()
        if since is not None:
            ours.tell_again(deadlines.shown_differently(db.session(), since, now))
        since = now

    return tell_again


def _outbox() -> Callable[[Services], None]:
    """Announce other processes' changes since the last success, even after a long failure."""
    since: datetime | None = None
    known: dict[str, int] = {}

    def announce_changes(ours: Services) -> None:
        nonlocal since, known
        now = ours.now()
        known = outbox.run_once(db.engine, since or now, ours.announce_here, known)
        since = now

    return announce_changes


def _announcements(ours: Services) -> None:
    while outbox.write_down(db.session(), ours.announced):
        ours.socketio.sleep(0)


def _publish_hints(ours: Services) -> None:
    while ours.hints is not None:
        ours.hints.publish_next()


def _listen_to_hints(ours: Services) -> None:
    if ours.hints is not None:
        ours.hints.listen(ours.socketio.sleep)


def _workers() -> Callable[[Services], None]:
    """Warn once if workers share a database but no Redis."""
    name, warned = workers.new_name(), False

    def look_for_other_workers(ours: Services) -> None:
        nonlocal warned
        workers.introduce(db.session(), name)
        running = workers.count(db.session())
        if running > 1 and ours.settings.redis_url is None and not warned:
            warned = True
            log.warning("REDIS_URL is not set, and %d workers share this database.", running)

    return look_for_other_workers


def _reconciler(ours: Services) -> float | None:
    if ours.watch.stepped():
        return None  # an answer is judged by the payment's age, which the tick corrects first
    if not reconciler.run_until_idle(db.session(), ours.access, ours.announce):
        return None
    # More may be due, and the budget allows it after that time. Idle, it looks once a tick.
    return max(_SHORTEST, min(TICK, ours.access.budget.pause.total_seconds()))


def _witnesses(ours: Services) -> None:
    needs = receipt_needs()
    receipts.judge_waiting(db.session(), needs)
    receipts.judge_again(db.session(), needs)
    claims.leave_to_a_person(db.session(), needs)


def _status(ours: Services) -> None:
    needs = status_needs()
    status.judge_waiting(db.session(), needs)
    status.run_once(db.session(), needs)


def _refunds(_ours: Services) -> None:
    sending = refund_sending()
    refunds.judge_waiting(db.session(), sending)
    refunds.run_deadlines(db.session(), sending)
    refunds.send_next(db.session(), sending)


def _statements(ours: Services) -> None:
    importing.drop_looked_at(db.session(), ours.now())
    needs = statement_needs(rest=lambda: ours.socketio.sleep(STATEMENT_REST))
    try:
        while importing.carry_on(db.session(), needs):
            _note_success(_statements)
    except (StatementDefect, ReaderBusy) as error:
        log.warning("a statement is not imported yet: %s", error)


def _pull() -> Callable[[Services], None]:
    """Pull every hour, and soon after a start that follows a pause."""
    pause = pull.PAUSE

    def pull_what_was_paid(ours: Services) -> None:
        nonlocal pause
        needs = pull_needs(rest=lambda: ours.socketio.sleep(0))
        try:
            pull.run_once(db.session(), needs, pause)
        except DarajaError as error:
            log.warning("Pull: %s", type(error).__name__)
        else:
            pause = pull.EVERY

    return pull_what_was_paid


def _webhooks(ours: Services, url: str) -> Callable[[Services], None]:
    endpoint = webhooks.Endpoint.at(url, ours.settings.webhook_secret, ours.now)

    def send_webhooks(ours: Services) -> None:
        def rest() -> None:
            _note_success(send_webhooks)  # a loop that works off a long backlog is not stuck
            ours.socketio.sleep(WEBHOOK_REST)

        webhooks.run_until_idle(db.session(), endpoint, rest)

    return send_webhooks


def _put_off_webhooks(ours: Services, url: str) -> Callable[[Services], None]:
    """Correct the times of waiting webhooks at the start and after each step back of the clock.

    A loop of its own, so that no failure here keeps a message from being sent.
    """
    endpoint = webhooks.Endpoint.at(url, ours.settings.webhook_secret, ours.now)
    steps_handled: int | None = None

    def put_webhooks_back(ours: Services) -> None:
        nonlocal steps_handled
        steps = ours.watch.steps_back
        if steps_handled != steps:
            webhooks.put_back(db.session(), endpoint, lambda: ours.socketio.sleep(0))
        steps_handled = steps

    return put_webhooks_back


def _unjudged() -> Callable[[Services], None]:
    """Judge callbacks that were stored but not judged: all of them once, later the recent ones.

    The first round reads all, since the last process may have died at any time. "Recent" begins an
    hour before the last round that succeeded, so it covers any failure of the database. Times in
    the future were stored before the clock was put back. A callback that could not be judged (for
    example because its order was locked) is tried again at any age.
    """
    since: datetime | None = None
    left: list[int] = []

    def judge_what_was_left(ours: Services) -> None:
        nonlocal since, left
        now = ours.now()
        if since is None:  # reads the whole table
            with for_long_work(db.engine) as engine, own_sessions(engine)() as session:
                left = list(inbox.judge_waiting(session, inbox_needs()).left)
        else:
            recent = (since, now - _BEING_JUDGED)
            ahead = (now + CLOCKS_DIFFER, now + _EVER)
            tried = {
                each
                for arrived in (recent, ahead)
                for each in inbox.judge_waiting(db.session(), inbox_needs(), arrived=arrived).left
            }
            older = [each for each in left if each not in tried]
            again = inbox.judge_waiting(db.session(), inbox_needs(), only=older[:_JUDGED_AGAIN])
            left = [*older[_JUDGED_AGAIN:], *tried, *again.left]
        since = now - _FAILED_LATELY

    return judge_what_was_left


def _forever(app: Flask, work: Callable[[Services], float | None], pause: float) -> None:
    """Run a work again and again, and rest between two rounds.

    Args:
        pause: seconds of rest where a round does not say how many it needs.
    """
    with app.app_context():
        socketio = services().socketio
    while True:
        rest = _try(app, work)
        socketio.sleep(pause if rest is None else rest)


def _note_success(work: Callable[[Services], object]) -> None:
    counters.mark("loop_last_success_timestamp_seconds", time.time(), loop=work.__name__)


def _try(app: Flask, work: Callable[[Services], float | None]) -> float | None:
    """Run one round; a failure is logged, and the next round tries again.

    The end of the context is inside too: giving back a connection that broke can fail as well.
    """
    try:
        with app.app_context():
            rest = work(services())
        _note_success(work)
        return rest
    except SQLAlchemyError as error:
        log.error("%s: the database failed (%s)", work.__name__, type(error).__name__)
    except Exception:
        log.exception("%s failed", work.__name__)
    return None
