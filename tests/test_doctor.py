"""flask doctor: everything that is wrong at once, in the order in which one would mend it."""

import base64
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import func, select
from werkzeug.serving import make_server

from mpesa import config, initiators, operators, pull
from mpesa.cli import examination
from mpesa.config import DarajaEnv
from mpesa.domain.roles import Role
from mpesa.ids import hash_token
from mpesa.models import InitiatorState, Operator, WebhookEndpoint, Witness, db
from mpesa.web.http.proofs import proof
from mpesa.web.http.services import services
from tests.factories import make_settings
from tests.servers import free_port

SECRET = "whsec_" + "QUFB" * 8


def findings(app):
    with app.app_context():
        return {each.what: each for each in examination.examine(services())}


@pytest.fixture
def served(make_app):
    """Make an application that answers at a port of its own, where PUBLIC_URL may point."""
    servers = []

    def serve(port, **settings):
        app = make_app(PORT=str(port), **settings)
        server = make_server("127.0.0.1", port, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return app

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def answering():
    """Somebody's HTTP server that answers everything with one status; returns its address."""
    servers = []

    def answer(status):
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                self.end_headers()

            do_POST = do_HEAD

            def log_message(self, *_):
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/hooks"

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


# -- settings ------------------------------------------------------------------------------------


def test_all_wrong_settings_are_told_at_once():
    told = examination.examine_settings(
        {"DARAJA_ENV": "production", "PORT": "x", "REDIS_URL": "http://x", "SECRET_KEY": "s"}
    )

    names = [each.says.split(":")[0] for each in told]
    assert not any(each.well for each in told)
    assert names == [
        "PORT", "PUBLIC_URL", "DARAJA_CONSUMER_KEY", "DARAJA_CONSUMER_SECRET", "DARAJA_SHORTCODE",
        "DARAJA_PASSKEY", "REDIS_URL", "SECRET_KEY", "API_KEYS",
    ]  # fmt: skip


def test_one_wrong_setting_that_others_lean_on_is_told_once():
    (told,) = examination.examine_settings({"DARAJA_ENV": "nonsense"})

    assert told.says.startswith("DARAJA_ENV:")


def test_settings_that_are_right_have_nothing_to_tell():
    assert config.problems({}) == []


REAL = {
    "DARAJA_ENV": "sandbox",
    "PUBLIC_URL": "https://pay.example.com",
    "DARAJA_CONSUMER_KEY": "key",
    "DARAJA_CONSUMER_SECRET": "secret",
}


RANDOM = "Xq7c0VbR3yTzN5kJ1wLd8HsGf4uPaEo2-mi"


@pytest.mark.parametrize(
    ("secret_key", "api_keys", "named"),
    [
        (RANDOM, RANDOM, None),
        (RANDOM[:31], RANDOM, "SECRET_KEY can"),
        ("k" * 43, RANDOM, "SECRET_KEY can"),
        (RANDOM, f"{RANDOM},short", "API_KEYS can"),
        ("x", "y", "SECRET_KEY and API_KEYS can"),
    ],
)
def test_secrets_that_can_be_guessed_are_named_and_not_shown(secret_key, api_keys, named):
    finding = examination.own_secrets(
        make_settings(**REAL, SECRET_KEY=secret_key, API_KEYS=api_keys)
    )

    assert finding.well == (named is None)
    assert (named or "sandbox") in finding.says
    assert len(secret_key) < 4 or secret_key[:4] not in finding.says
    assert "short" not in finding.says


def test_a_metrics_token_that_can_be_guessed_is_named_too():
    named = {**REAL, "SECRET_KEY": RANDOM, "API_KEYS": RANDOM, "METRICS_TOKEN": "t"}

    finding = examination.own_secrets(make_settings(**named))

    assert finding.says.startswith("METRICS_TOKEN can be guessed")


def test_a_passkey_of_another_form_is_named(make_app):
    port = free_port()  # nobody is asked in the internet
    app = make_app(
        **{**REAL, "SECRET_KEY": RANDOM, "API_KEYS": RANDOM, "DARAJA_PASSKEY": "hunter2hunter2",
           "DARAJA_BASE_URL": f"http://127.0.0.1:{port}", "PUBLIC_URL": f"https://127.0.0.1:{port}"}
    )  # fmt: skip
    with app.app_context():
        found = examination.examine(services())

    (told,) = [each for each in found if each.says.startswith("DARAJA_PASSKEY is not 64 hex")]
    assert not told.well
    assert "hunter2" not in "".join(each.says for each in found)


@pytest.mark.parametrize(("mode", "told"), [("eventlet", 1), ("gevent", 0)])
def test_eventlet_in_production_is_told_in_one_line_and_calls_nothing_bad(make_app, mode, told):
    port = free_port()  # nobody is asked in the internet
    app = make_app(
        **{**REAL, "DARAJA_ENV": "production", "SECRET_KEY": RANDOM, "API_KEYS": RANDOM,
           "DARAJA_SHORTCODE": "600000", "DARAJA_PASSKEY": "0123456789abcdef" * 4,
           "DARAJA_BASE_URL": f"http://127.0.0.1:{port}", "PUBLIC_URL": f"https://127.0.0.1:{port}",
           "ASYNC_MODE": mode}
    )  # fmt: skip
    with app.app_context():
        found = [each for each in examination.examine(services()) if "ASYNC_MODE" in each.says]

    assert len(found) == told
    assert all(each.well and "ASYNC_MODE=gevent" in each.says for each in found)


def test_the_simulators_public_secrets_are_no_trouble():
    assert examination.own_secrets(make_settings()).well


# -- PUBLIC_URL ----------------------------------------------------------------------------------


def test_an_address_that_leads_here_is_well(served):
    app = served(free_port())

    assert findings(app)["PUBLIC_URL"].well


def test_an_address_that_leads_to_another_server_is_not(served, make_app):
    port = free_port()
    served(port, SECRET_KEY="another server's")
    ours = make_app(PORT=str(port))

    finding = findings(ours)["PUBLIC_URL"]

    assert not finding.well
    assert "another server" in finding.says


def test_nobody_learns_a_signature_of_anything_else_from_the_proof(app):
    client = app.test_client()

    answers = [client.get(f"/healthz?nonce={each}").get_json() for each in ("x", "", "g" * 32)]

    assert [sorted(each) for each in answers] == [["status", "version"]] * 3
    assert proof("secret", "0" * 32) != proof("other", "0" * 32)


# -- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("mpesa.example.com", "mpesa"),
        ("pay.M-PESA-shop.example", "m-pesa"),
        ("safaricomfan.example", "safaricom"),
        ("mysqlshop.example", "sql"),
        ("abc.ngrok.app", "ngrok"),
    ],
)
def test_a_word_in_the_address_that_daraja_refuses_is_named(host, word):
    settings = make_settings(
        DARAJA_ENV="sandbox", PUBLIC_URL=f"https://{host}", SECRET_KEY="s", API_KEYS="k",
        DARAJA_CONSUMER_KEY="k", DARAJA_CONSUMER_SECRET="s",
    )  # fmt: skip

    finding = examination.callback_address(settings)

    assert not finding.well
    assert word in finding.says


SEALED = base64.b64encode(b"s" * 256).decode()


def real_settings(**named):
    return make_settings(**{**REAL, "SECRET_KEY": RANDOM, "API_KEYS": RANDOM, **named})


@pytest.mark.parametrize(
    ("named", "well", "says"),
    [
        ({}, True, "not configured; set C2B_TOKEN"),
        ({"MANUAL_PAYMENT": "on"}, True, "does not see what is paid by hand"),
        ({"C2B_TOKEN": "9c1f0b7a" * 4}, True, "one token is heard, of 32 or more"),
        ({"C2B_TOKEN": f"{'9c1f0b7a' * 8} {'9c1f0b7a' * 5}"}, True, "two tokens are heard, of 40"),
        (
            {"C2B_TOKEN": "9c1f0b7a" * 4, "PUBLIC_URL": "https://mpesa.example.com"},
            False,
            "holds mpesa",
        ),
    ],
)
def test_whether_money_by_hand_would_be_heard_of_is_told(named, well, says):
    finding = examination.money_by_hand(real_settings(**named))

    assert finding.well is well
    assert says in finding.says
    assert "9c1f0b7a" not in finding.says


def confirmations(app, **changed):
    with app.app_context():
        settings = replace(services().settings, **changed)
        return list(examination.confirmations_arrive(settings))


def test_a_confirmation_that_would_be_taken_in_is_tried_without_any_money(served):
    port = free_port()
    app = served(port, PUBLIC_URL=f"http://127.0.0.1:{port}", C2B_TOKEN="9c1f0b7a" * 4)

    (finding,) = confirmations(app)

    assert finding.well
    assert "takes confirmations in" in finding.says
    assert "9c1f0b7a" not in finding.says
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Witness)) == 0


@pytest.mark.parametrize(
    "changed",
    [{"c2b_token": ("0123abcd" * 4,)}, {"secret_key": "another"}],
    ids=["token", "server"],
)
def test_a_confirmation_that_would_be_taken_in_elsewhere_is_told(served, changed):
    port = free_port()
    app = served(port, PUBLIC_URL=f"http://127.0.0.1:{port}", C2B_TOKEN="9c1f0b7a" * 4)

    (finding,) = confirmations(app, **changed)

    assert not finding.well
    assert "has this server the same C2B_TOKEN?" in finding.says
    assert "0123abcd" not in finding.says


@pytest.mark.parametrize("status", [200, 404, 500, 302])
def test_so_is_one_that_somebody_else_answers(make_app, answering, status):
    (finding,) = confirmations(make_app(C2B_TOKEN="9c1f0b7a" * 4), public_url=answering(status))

    assert not finding.well


def test_without_a_token_no_confirmation_is_tried(make_app):
    assert confirmations(make_app(), c2b_token=()) == []


def of_m_pesa(app):
    with app.app_context():
        return [(each.well, each.says) for each in examination.asked_of_m_pesa(services())]


def test_a_stopped_initiator_is_told_with_what_to_do(app):
    with app.app_context():
        ours = services()
        mark = initiators.mark_in(ours.settings, initiators.Name.STATUS)
        db.session.add(
            InitiatorState(
                id="status", credential_hash=mark, since=ours.now(), stopped_at=ours.now(),
                stopped_why="8006",
            )
        )  # fmt: skip
        db.session.commit()

    ((well, says),) = of_m_pesa(app)

    assert not well
    assert "the status initiator is stopped (8006)" in says
    assert "flask initiator go status --as NAME" in says


def test_how_far_pull_reaches_is_told(make_app, clock):
    app = make_app(PULL_NOMINATED_NUMBER="254722000000")
    assert of_m_pesa(app) == [(True, "no pull was complete yet: flask pull run")]
    with app.app_context():
        pull._claim(db.session(), "174379", clock(), timedelta(0))
        pull._note_complete(db.session(), "174379", clock())

    assert of_m_pesa(app) == [(True, "without a gap since 2026-11-22 12:00:00 EAT")]
    clock.pass_(hours=49)
    ((well, says),) = of_m_pesa(app)
    assert (well, "needs a statement" in says) == (False, True)


@pytest.mark.parametrize(
    ("set_on", "well", "says"),
    [
        ("2026-11-24", True, "lives for 90 days more"),
        ("2026-09-11", True, "lives for 16 days more"),
        ("2026-09-10", False, "ends in 15 days"),
        ("2026-08-26", False, "ended"),
        ("2026-11-25", False, "lies in the future"),
        ("", True, "DARAJA_STATUS_SET_ON is not set"),
    ],
)
def test_the_end_of_an_api_users_password_is_told_beforehand(clock, set_on, well, says):
    settings = real_settings(
        DARAJA_STATUS_INITIATOR="asks",
        DARAJA_STATUS_CREDENTIAL=SEALED,
        DARAJA_STATUS_SET_ON=set_on,
    )

    (finding,) = examination.initiators(settings, clock())

    assert finding.well is well
    assert says in finding.says
    assert SEALED not in finding.says


def test_the_simulators_api_users_need_no_day(clock):
    assert all(each.well for each in examination.initiators(make_settings(), clock()))


def test_the_sandbox_out_of_reach_leads_to_no_simulator():
    address = "https://sandbox.safaricom.co.ke"
    sandbox = replace(make_settings(), daraja_env=DarajaEnv.SANDBOX, daraja_base_url=address)

    assert examination.way_to_daraja(sandbox) == f"check that this machine reaches {address}"
    assert "simulator runs" in examination.way_to_daraja(make_settings())


@pytest.mark.parametrize(
    ("seconds", "well", "says"),
    [(2, True, "agrees"), (-29, True, "agrees"), (95, False, "ahead"), (-95, False, "behind")],
)
def test_a_clock_that_differs_from_darajas_is_told(seconds, well, says):
    finding = examination.clock_finding(timedelta(seconds=seconds))

    assert finding.well is well
    assert says in finding.says


@pytest.mark.parametrize(
    ("status", "well"), [(200, True), (401, True), (405, True), (302, False), (404, False)]
)
def test_the_webhooks_endpoint_is_asked_without_a_message(make_app, answering, status, well):
    app = make_app(WEBHOOK_URL=answering(status), WEBHOOK_SECRET=SECRET)

    finding = findings(app)["webhooks"]

    assert finding.well is well
    assert str(status) in finding.says


def test_an_endpoint_that_does_not_answer_is_told(make_app):
    url = f"http://127.0.0.1:{free_port()}/"
    app = make_app(WEBHOOK_URL=url, WEBHOOK_SECRET=SECRET)

    assert not findings(app)["webhooks"].well


def test_an_endpoint_that_was_stopped_is_told(make_app, answering, clock):
    url = answering(200)
    app = make_app(WEBHOOK_URL=url, WEBHOOK_SECRET=SECRET)
    with app.app_context():
        db.session.add(WebhookEndpoint(id=hash_token(url), failures=1, stopped_at=clock()))
        db.session.commit()
        told = [each for each in examination.examine(services()) if each.what == "webhooks"]

    assert [each.well for each in told] == [False, True]
    assert "flask webhooks retry" in told[0].says


def test_who_may_open_the_console_is_counted(app, clock):
    before = findings(app)["operators"]
    with app.app_context():
        db.session.add(Operator(name="amina", password_hash="$argon2id$", created_at=clock()))
        db.session.commit()

    after = findings(app)["operators"]

    assert "flask operators add" in before.says
    assert after == examination.Finding("operators", True, "1 may open /console")


def test_an_operator_without_a_password_is_told(app, clock):
    with app.app_context():
        db.session.add(Operator(name="amina", password_hash="", created_at=clock()))
        db.session.commit()

    assert not findings(app)["operators"].well


def refunds(app):
    with app.app_context():
        found = examination.examine(services())
    return [(each.well, each.says) for each in found if each.what == "refunds"]


def hire(app, name, role, *, enrolled=False, secret_key=None):
    with app.app_context():
        ours, session = services(), db.session()
        operators.add(session, name, "a long and quiet password", ours.now(), role)
        if enrolled:
            operators.enrol(session, name, secret_key or ours.settings.secret_key)


def test_it_is_told_where_nobody_could_release_a_refund(app):
    hire(app, "amina", Role.MANAGER)
    hire(app, "otieno", Role.CLERK, enrolled=True)
    hire(app, "wanjiku", Role.MANAGER, enrolled=True, secret_key="the one of before")

    [(well, says)] = refunds(app)

    assert well  # the simulator's money is nobody's
    assert says == (
        "no manager has a second factor, so nobody can release one: flask operators totp NAME"
    )


def test_outside_the_simulator_it_is_wrong_that_nobody_can_release_a_refund(app):
    settings = replace(make_settings(), daraja_env=DarajaEnv.SANDBOX)

    with app.app_context():
        [found] = examination.releasing(settings)

    assert not found.well


def test_it_is_told_that_the_only_manager_needs_somebody_who_asks(app, make_app):
    hire(app, "amina", Role.MANAGER, enrolled=True)
    hire(app, "otieno", Role.CLERK)

    assert refunds(app) == [
        (
            True,
            "amina is the only manager, and releases only what others asked for: flask operators"
            " role NAME manager",
        )
    ]
    assert refunds(make_app(REFUND_RELEASE="one_person")) == [(True, "may be released by amina")]


def test_two_managers_of_whom_one_has_a_second_factor_suffice(app):
    hire(app, "amina", Role.MANAGER, enrolled=True)
    hire(app, "otieno", Role.MANAGER)

    assert refunds(app) == [(True, "may be released by amina")]


def test_nothing_is_said_of_refunds_where_they_are_off(app):
    settings = replace(make_settings(), daraja_refund_initiator=None)

    with app.app_context():
        assert list(examination.releasing(settings)) == []


def test_things_are_told_in_the_order_in_which_one_would_mend_them(app):
    assert list(findings(app)) == [
        "settings", "database", "redis", "daraja", "clock", "callbacks", "c2b", "initiators",
        "PUBLIC_URL", "webhooks", "operators", "refunds",
    ]  # fmt: skip
