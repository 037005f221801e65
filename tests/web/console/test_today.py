"""A day's payments, added up: what is counted where, and what makes an hour a bad one."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import event

from mpesa import vitals
from mpesa.domain.period import Period
from mpesa.domain.result_codes import Reason, Status
from mpesa.ids import hash_token, new_id
from mpesa.models import Order, Transaction, db
from mpesa.web.console import stats
from scripts.busy_days import fill
from tests.conftest import BOTH_DATABASES
from tests.web.console.steps import logged_in

# The clock of these tests stands at noon in Nairobi.
NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
SETTLED = {Status.SUCCESS, Status.FAILED}
both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)


def pay(session, at, reason=Reason.PAID, amount=100, waited=10, **more):
    """A payment as it stands in the database."""
    status = next(each for each in Status if _fits(reason, each))
    order = Order(
        id=new_id(), amount=amount, reference="INV-1", description="x", created_at=at, updated_at=at
    )
    ended = at + timedelta(seconds=waited) if status in SETTLED else None
    row = Transaction(
        id=new_id(), order_id=order.id, attempt=1, msisdn="254712345678", amount=amount,
        callback_token_hash=hash_token(order.id), checkout_request_id=order.id, status=status.value,
        reason=reason.value, is_open=False, seq=1, created_at=at, updated_at=at, settled_at=ended,
        **more,
    )  # fmt: skip
    session.add_all([order, row])
    session.commit()


def _fits(reason, status):
    from mpesa.domain.result_codes import PENDING_REASONS, SUCCESS_REASONS

    if reason in PENDING_REASONS:
        return status is Status.PENDING
    return status is (Status.SUCCESS if reason in SUCCESS_REASONS else Status.FAILED)


@both
def test_a_day_begins_and_ends_at_midnight_in_nairobi(session):
    pay(session, MIDNIGHT - timedelta(seconds=1), amount=1)
    pay(session, MIDNIGHT, amount=20)
    pay(session, MIDNIGHT + timedelta(hours=12), amount=300)

    day = stats.read_day(session, NOON)

    assert (day.total.taken, day.before.taken) == (32_000, 100)
    assert [hour for hour, tally in enumerate(day.parts) if tally.all] == [0, 12]


@both
def test_yesterday_is_compared_as_it_stood_at_this_time(session):
    pay(session, NOON - timedelta(days=1, hours=1), amount=5)
    pay(session, NOON - timedelta(days=1) + timedelta(hours=1), amount=7)

    day = stats.read_day(session, NOON)

    assert (day.before.taken, day.before_by_now.taken) == (1200, 500)


@both
def test_what_a_payer_ended_is_counted_apart_from_what_failed_at_mpesa(session):
    for reason in (Reason.PAID, Reason.PAID_LATE, Reason.CANCELLED, Reason.SYSTEM_BUSY):
        pay(session, NOON - timedelta(minutes=30), reason)
    pay(session, NOON - timedelta(minutes=30), Reason.OVERDUE)

    eleven = stats.read_day(session, NOON).parts[11]

    assert (eleven.paid, eleven.by_payer, eleven.at_mpesa, eleven.waiting) == (2, 1, 1, 1)
    assert eleven.rate == 0.5


@both
def test_the_time_to_a_result_is_read_to_the_second(session):
    for waited in (4, 6, 8, 10, 12, 14, 16, 18, 20, 90):
        pay(session, NOON - timedelta(minutes=30), waited=waited)

    day = stats.read_day(session, NOON)

    assert (day.waits[11].middle, day.waits[11].upper) == (12, 20)
    assert day.all_waits == day.waits[11]


def test_a_refusal_says_nothing_of_the_time_to_a_result(session):
    pay(session, NOON - timedelta(minutes=30), Reason.PUSH_REFUSED, waited=0)
    session.query(Transaction).update({"checkout_request_id": None})
    session.commit()

    assert stats.read_day(session, NOON).all_waits is None


@both
def test_pending_overdue_and_reviews_are_counted_whenever_they_began(session):
    pay(session, NOON - timedelta(days=40), Reason.OVERDUE)
    pay(session, NOON, Reason.AWAITING_PIN)
    pay(session, NOON - timedelta(days=3), Reason.UNKNOWN_CODE, needs_review=True)

    assert stats.read_open(session) == stats.Open(
        pending=2, overdue=vitals.Pending(1, NOON - timedelta(days=40)), needs_review=1
    )


@pytest.mark.parametrize(("minutes", "late"), [(5, False), (16, True)])
def test_overdue_stands_out_on_today_where_it_does_on_health_and_nowhere_else(app, minutes, late):
    client = logged_in(app)
    with app.app_context():
        for _each in range(5):
            pay(db.session(), NOON - timedelta(minutes=minutes), Reason.OVERDUE)

    today, health = client.get("/console/").text, client.get("/console/health").text

    tile = re.search(r'<li class="tile (\w*)"><a [^>]*id="tile-overdue"', today)[1]
    sign = re.search(r'<li class="is-(\w+)"[^>]*>.*?<h2>Payments that are overdue <b>5<', health)[1]
    assert (tile, sign) == (("warm", "warm") if late else ("", "good"))


def hour_of(session, at, **reasons):
    for name, count in reasons.items():
        for _ in range(count):
            pay(session, at, Reason(name))


def test_an_hour_is_bad_when_much_fails_at_mpesa(session):
    hour_of(session, NOON - timedelta(days=1), paid=9, cancelled=1)
    hour_of(session, NOON - timedelta(hours=2), paid=4, system_busy=6)

    assert stats.read_day(session, NOON).is_bad(10)


def test_an_hour_in_which_payers_change_their_minds_is_not_a_bad_one(session):
    hour_of(session, NOON - timedelta(days=1), paid=9, cancelled=1)
    hour_of(session, NOON - timedelta(hours=2), paid=4, cancelled=6)

    assert not stats.read_day(session, NOON).is_bad(10)


def test_a_few_failures_prove_nothing(session):
    hour_of(session, NOON - timedelta(hours=2), paid=2, system_busy=3)

    assert not stats.read_day(session, NOON).is_bad(10)


def test_a_shop_without_a_payment_reads_three_steps_instead_of_zeros(app):
    page = logged_in(app).get("/console/").text

    assert "Three steps to your first payment" in page
    assert "flask orders create --amount" in page
    assert "tile-value" not in page


def test_a_day_without_a_payment_says_so(app):
    client = logged_in(app)
    with app.app_context():
        pay(db.session(), NOON - timedelta(days=1))

    page = client.get("/console/").text

    assert "No payment yet today" in page
    assert "Three steps" not in page


def test_a_young_shop_sees_its_payments_instead_of_charts(app):
    client = logged_in(app)
    with app.app_context():
        for minute in range(19):
            pay(db.session(), NOON - timedelta(minutes=minute), amount=1000 + minute)

    young = client.get("/console/").text
    with app.app_context():
        pay(db.session(), NOON)
    older = client.get("/console/").text

    assert '<svg class="chart"' not in young
    assert [f"1,{minute:03}</td>" in young for minute in range(19)] == [True] * 19
    assert older.count('<svg class="chart"') == 3


def test_a_quiet_morning_after_a_busy_day_is_drawn(app):
    client = logged_in(app)
    with app.app_context():
        hour_of(db.session(), NOON - timedelta(days=1), paid=20)

    assert '<svg class="chart"' in client.get("/console/").text


def test_the_success_rate_says_of_how_many(app):
    client = logged_in(app)
    with app.app_context():
        hour_of(db.session(), NOON, paid=1, cancelled=2, overdue=1)

    assert re.search(r"Success rate</span>.*?33%.*?of 3 that ended", client.get("/console/").text)


def test_the_page_links_its_figures_to_the_payments_behind_them(app):
    client = logged_in(app)
    with app.app_context():
        pay(db.session(), NOON, Reason.OVERDUE, needs_review=True)

    page = client.get("/console/").text

    assert 'href="/console/transactions?status=PENDING&amp;reason=overdue"' in page
    assert 'href="/console/transactions?status=SUCCESS&amp;period=today"' in page


def test_a_bad_hour_is_named_with_its_reason(app):
    client = logged_in(app)
    with app.app_context():
        hour_of(db.session(), NOON - timedelta(days=1), paid=9)
        hour_of(db.session(), NOON - timedelta(hours=2), paid=3, cancelled=4, system_busy=3)

    page = client.get("/console/").text

    assert "10:00\N{EN DASH}11:00 was a bad hour" in page
    assert "Most often: M-PESA busy (3)" in page


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_two_busy_days_are_drawn(app, lang):
    client = logged_in(app)
    with app.app_context():
        fill(db.engine, NOON, 300)

    page = client.get(f"/console/?lang={lang}")

    assert page.status_code == 200
    assert page.text.count('<svg class="chart"') == 3


OCTOBER = Period(date(2026, 10, 1), date(2026, 10, 31))


@both
def test_the_days_of_a_period_are_added_up_each_by_itself(session):
    first, last = OCTOBER.begin, OCTOBER.end - timedelta(seconds=1)
    pay(session, first - timedelta(seconds=1), amount=1)
    pay(session, first, amount=20, receipt_amount=2150)
    pay(session, first + timedelta(hours=23), Reason.CANCELLED)
    pay(session, last, Reason.SYSTEM_BUSY)
    pay(session, last, Reason.OVERDUE)
    pay(session, last, amount=300, channel="hand")
    pay(session, OCTOBER.end, amount=4000)

    figures = stats.read_days(session, OCTOBER)

    assert (figures.total.taken, figures.hand.taken, figures.total.all) == (2150, 30_000, 4)
    assert len(figures.parts) == 31
    one, end = figures.parts[0], figures.parts[30]
    assert (one.paid, one.by_payer, one.taken) == (1, 1, 2150)
    assert (end.at_mpesa, end.waiting, end.paid) == (1, 1, 0)
    assert figures.total.reasons == {Reason.CANCELLED: 1, Reason.SYSTEM_BUSY: 1}
    assert figures.usual_rate == 1 / 3


def test_a_day_on_which_much_failed_at_mpesa_is_named(app):
    client = logged_in(app)
    with app.app_context():
        hour_of(db.session(), NOON - timedelta(days=3), paid=20)
        hour_of(db.session(), NOON - timedelta(days=2), paid=2, system_busy=6)

    page = client.get("/console/?period=7days").text

    assert "Sun 22 Nov was a bad day" in page
    assert 'reason=system_busy&amp;from=2026-11-22&amp;to=2026-11-22"' in page


@pytest.mark.parametrize(
    ("query", "heading", "part"),
    [
        ("", "Today", "Payments by hour"),
        ("?from=2026-11-24&to=2026-11-24", "Today", "Payments by hour"),
        ("?period=yesterday", "23 Nov", "Payments by hour"),
        ("?period=7days", "18\N{EN DASH}24 Nov", "Payments by day"),
        ("?period=last_month", "1\N{EN DASH}31 Oct", "Payments by day"),
        ("?from=2025-12-30&to=2026-01-02", "30 Dec 2025 \N{EN DASH} 2 Jan 2026", "by day"),
    ],
)
def test_the_page_shows_the_period_that_was_chosen(app, query, heading, part):
    client = logged_in(app)
    with app.app_context():
        hour_of(db.session(), NOON - timedelta(days=1), paid=20)

    page = client.get(f"/console/{query}")

    assert page.status_code == 200
    assert f"<h1>{heading}</h1>" in page.text
    assert part in page.text
    assert ("compared with yesterday" in page.text) == (heading == "Today")


@pytest.mark.parametrize(
    "path", ["/console/", "/console/transactions", "/console/receipts", "/console/refunds"]
)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=2026-11-24&to=2026-11-01", "The last day is before the first one."),
        ("from=24.11.2026&to=2026-11-24", "That is no day. Write it as 2026-11-24."),
        ("period=fortnight", "There is no such period."),
        ("to=2026-11-24", "Choose the first day too."),
    ],
)
def test_a_period_that_is_none_is_refused_beside_its_field(app, path, query, words):
    client = logged_in(app)
    with app.app_context():
        pay(db.session(), NOON)

    page = client.get(f"{path}?{query}")

    assert page.status_code == 400
    assert words in page.text
    assert 'aria-describedby="period-error"' in page.text
    assert "data-transaction" not in page.text


def test_the_figures_of_more_than_a_year_are_refused(app):
    page = logged_in(app).get("/console/?from=2025-11-24&to=2026-11-25")

    assert page.status_code == 400
    assert "a year at most" in page.text


def test_on_sqlite_the_figures_of_a_large_table_are_read_by_the_index(app):
    """On PostgreSQL tests/web/console/test_plans.py holds the same."""
    client, plans = logged_in(app), list[str]()

    def explain(_connection, cursor, statement, values, *_):
        if statement.startswith("SELECT") and "transactions.created_at >= ?" in statement:
            found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in found if "transactions" in row[3])

    with app.app_context():
        engine = db.engine
        fill(engine, NOON, 4000)
    event.listen(engine, "before_cursor_execute", explain)
    client.get("/console/")

    assert len(plans) == 2
    assert [each for each in plans if not each.startswith("SEARCH")] == []
