"""GET /metrics: what Prometheus reads."""

import ast
import subprocess
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from mpesa import counters, initiators, pull
from mpesa.models import InitiatorState, db
from mpesa.web.http.services import services
from mpesa.web.monitor import metrics
from tests.conftest import on_both
from tests.factories import confirmation
from tests.servers import ROOT, free_port
from tests.web.steps import call_back, fail, pushed

TOKEN = "scrape-me"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def app(make_app):
    """An application whose metrics are open to who has the token."""
    return make_app(METRICS_TOKEN=TOKEN)


def scrape(client):
    """Every sample: (name, label values) to value."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


class Difference:
    """How much samples grew since this was made: counters belong to the whole process."""

    def __init__(self, client):
        self._client = client
        self._before = scrape(client)

    def of(self, name, *labels):
        return scrape(self._client)[name, labels] - self._before[name, labels]


# -- who may read them ---------------------------------------------------------------------------


def test_without_a_token_set_there_is_nothing_at_this_address(make_app):
    answer = make_app().test_client().get("/metrics", headers=BEARER)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer scrape-mE"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer ünlesbar"},
    ],
)
def test_without_the_token_nothing_is_shown(client, headers):
    answer = client.get("/metrics", headers=headers)

    assert answer.status_code == 401
    assert "mpesa_" not in answer.text


def test_the_answer_is_the_text_format(client):
    answer = client.get("/metrics", headers=BEARER)

    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


# -- what is counted -----------------------------------------------------------------------------


@on_both
def test_a_payment_is_counted_from_push_to_result(client, daraja, clock, make_order):
    grown = Difference(client)

    pushed(client, make_order())
    clock.pass_(seconds=12)
    call_back(client, daraja)

    assert grown.of("mpesa_pushes_total", "accepted") == 1
    assert grown.of("mpesa_callbacks_total", "settled") == 1
    assert grown.of("mpesa_results_total", "paid") == 1
    assert grown.of("mpesa_push_to_result_seconds_bucket", "10.0") == 0
    assert grown.of("mpesa_push_to_result_seconds_bucket", "15.0") == 1
    assert grown.of("mpesa_push_to_result_seconds_sum") == 12
    assert grown.of("mpesa_callback_to_announced_seconds_count") == 1


@on_both
def test_confirmations_and_the_payments_that_no_order_has_are_counted(app, client, clock):
    grown = Difference(client)
    [token] = app.extensions["mpesa"].settings.c2b_token
    for body in (confirmation("JANE"), confirmation("JANE", FirstName="NJERI"), {}):
        client.post(f"/c2b/{token}/confirmation", json=body)
    client.post("/c2b/another/confirmation", json=confirmation("JANE"))
    clock.pass_(seconds=90)

    for verdict, times in {"unclaimed": 2, "unreadable": 1, "unknown_token": 1}.items():
        assert grown.of("mpesa_confirmations_total", verdict) == times
    assert grown.of("mpesa_receipts", "unclaimed") == 1
    assert grown.of("mpesa_receipts", "unproven") == 0
    assert grown.of("mpesa_receipts_unclaimed_oldest_age_seconds") == 90


def test_a_repeated_callback_is_no_second_result(client, daraja, make_order):
    grown = Difference(client)
    pushed(client, make_order())

    call_back(client, daraja)
    call_back(client, daraja)

    assert grown.of("mpesa_callbacks_total", "settled") == 1
    assert grown.of("mpesa_callbacks_total", "unchanged") == 1
    assert grown.of("mpesa_results_total", "paid") == 1


def test_money_after_a_failure_is_a_result_of_its_own(client, daraja, make_order):
    grown = Difference(client)
    pushed(client, make_order())

    fail(client, daraja, 1032)
    call_back(client, daraja)

    assert grown.of("mpesa_results_total", "cancelled") == 1
    assert grown.of("mpesa_results_total", "paid_late") == 1


def test_a_payment_tells_of_no_result_of_the_orders_other_attempts(client, daraja, make_order):
    order = make_order()
    pushed(client, order)
    fail(client, daraja, 1032)
    pushed(client, order)
    grown = Difference(client)

    call_back(client, daraja, 2)

    assert grown.of("mpesa_results_total", "cancelled") == 0


@pytest.mark.parametrize(("body", "verdict"), [(b"nonsense", "unreadable"), (b"{}", "unreadable")])
def test_an_odd_callback_has_its_own_verdict(client, daraja, make_order, body, verdict):
    pushed(client, make_order())
    grown = Difference(client)

    call_back(client, daraja, body=body)

    assert grown.of("mpesa_callbacks_total", verdict) == 1


def test_a_callback_under_no_token_is_counted(client):
    grown = Difference(client)

    client.post(f"/callback/{'0' * 64}", data=b"{}")

    assert grown.of("mpesa_callbacks_total", "unknown_token") == 1


# -- what is looked up ---------------------------------------------------------------------------


@on_both
def test_what_waits_is_told_with_its_age(client, daraja, clock, make_order):
    pushed(client, make_order())
    clock.pass_(seconds=30)

    seen = scrape(client)

    assert seen["mpesa_transactions_pending", ("awaiting_pin",)] == 1
    assert seen["mpesa_transactions_pending_oldest_age_seconds", ("awaiting_pin",)] == 30
    assert seen["mpesa_transactions_pending", ("overdue",)] == 0
    assert seen["mpesa_queries_due", ()] == 1
    assert seen["mpesa_queries_due_oldest_age_seconds", ()] == 15
    assert seen["mpesa_query_budget_interval_seconds", ()] == 12
    assert seen["mpesa_query_budget_wait_seconds", ()] == 0
    assert seen["mpesa_webhooks_waiting", ()] == 0
    assert seen["mpesa_callbacks_unjudged", ()] == 0
    assert seen["mpesa_database_up", ()] == 1


def test_what_a_person_must_decide_is_told_with_its_age(client, daraja, clock, make_order):
    pushed(client, make_order())
    fail(client, daraja, "NEW_CODE")
    clock.pass_(minutes=5)

    seen = scrape(client)

    assert seen["mpesa_transactions_needing_review", ()] == 1
    assert seen["mpesa_transactions_needing_review_oldest_age_seconds", ()] == 300


def test_a_used_budget_says_when_the_next_query_may_go(app, client, clock):
    app.extensions["mpesa"].access.budget.take()
    clock.pass_(seconds=5)

    assert scrape(client)["mpesa_query_budget_wait_seconds", ()] == 7


def test_a_broken_database_is_told_beside_what_is_in_memory(client, app):
    with app.app_context():
        db.session.execute(text("DROP TABLE decisions"))
        db.session.commit()

    seen = scrape(client)

    assert seen["mpesa_database_up", ()] == 0
    assert ("mpesa_pushes_total", ("accepted",)) in seen
    assert ("mpesa_transactions_pending", ("overdue",)) not in seen


def test_redis_is_told_of_where_it_is_configured(make_app):
    app = make_app(METRICS_TOKEN=TOKEN, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")

    assert scrape(app.test_client())["mpesa_redis_up", ()] == 0


def test_without_redis_nothing_is_said_of_it(client):
    assert ("mpesa_redis_up", ()) not in scrape(client)


def test_how_far_pull_reaches_is_told(make_app, clock):
    app = make_app(METRICS_TOKEN=TOKEN, PULL_NOMINATED_NUMBER="254722000000")
    client = app.test_client()
    assert scrape(client)["mpesa_pull_last_complete_timestamp_seconds", ()] == 0
    with app.app_context():
        for hours in (0, 50):
            clock.pass_(hours=hours)
            pull._claim(db.session(), "174379", clock(), timedelta(0))
            pull._note_complete(db.session(), "174379", clock())

    found, now = scrape(client), clock().timestamp()

    assert found["mpesa_pull_last_complete_timestamp_seconds", ()] == now
    assert found["mpesa_pull_reaches_back_to_timestamp_seconds", ()] == now - 48 * 3600
    assert found["mpesa_pull_gap_ends_timestamp_seconds", ()] == now - 48 * 3600


def test_without_pull_nothing_is_said_of_it(client):
    assert not [name for name, _ in scrape(client) if name.startswith("mpesa_pull_")]


def test_a_stopped_initiator_is_told(app, client, clock):
    assert scrape(client)["mpesa_initiator_stopped", ("status",)] == 0
    with app.app_context():
        mark = initiators.mark_in(services().settings, initiators.Name.STATUS)
        db.session.add(
            InitiatorState(
                id="status", credential_hash=mark, since=clock(), stopped_at=clock(),
                stopped_why="8006",
            )
        )  # fmt: skip
        db.session.commit()

    found = scrape(client)

    assert found["mpesa_initiator_stopped", ("status",)] == 1
    assert found["mpesa_initiator_stopped", ("refund",)] == 0


def test_every_counter_is_there_before_anything_happened(client):
    seen = scrape(client)

    for each in metrics.COUNTED:
        for words in [(word,) for word in each.words] or [()]:
            assert (f"mpesa_{each.event}_total", words) in seen


# -- what holds them together --------------------------------------------------------------------


def calls_of(name):
    for path in sorted((ROOT / "mpesa").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"counters.{name}":
                yield node


def test_everything_that_is_counted_is_shown():
    counted = {(call.args[0].value, *(k.arg for k in call.keywords)) for call in calls_of("count")}

    assert counted == {
        (each.event, each.label) if each.label else (each.event,) for each in metrics.COUNTED
    }


def test_every_word_that_is_counted_was_declared():
    declared = {each.event: each.words for each in metrics.COUNTED}
    said = [
        (call.args[0].value, keyword.value.value)
        for call in calls_of("count")
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    ]

    assert said
    assert [each for each in said if each[1] not in declared[each[0]]] == []


def test_no_label_names_a_person_or_a_transaction(client, daraja, make_order):
    order = make_order()
    snapshot = pushed(client, order)
    call_back(client, daraja)

    page = client.get("/metrics", headers=BEARER).text

    for secret in (order, snapshot["transaction_id"], "712345678", "ws_CO", "UKO1ABCDEF", "INV-1"):
        assert secret not in page


def test_each_application_has_a_registry_of_its_own(make_app):
    first, second = make_app(METRICS_TOKEN=TOKEN), make_app(METRICS_TOKEN=TOKEN)

    assert scrape(first.test_client())
    assert scrape(second.test_client())


def test_counting_is_exact():
    before = counters.counted("pushes", outcome="accepted")

    for _ in range(3):
        counters.count("pushes", outcome="accepted")

    assert counters.counted("pushes", outcome="accepted") == before + 3


@pytest.mark.promtool
def test_promtool_has_nothing_to_say(client):
    page = client.get("/metrics", headers=BEARER).get_data()
    ours = b"".join(line for line in page.splitlines(keepends=True) if b"mpesa_" in line)

    done = subprocess.run(
        ["promtool", "check", "metrics"], input=ours, capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr + done.stdout) == (0, b"")
