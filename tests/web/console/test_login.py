"""Who gets into the console, how, and how that ends."""

import re

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from mpesa import operators
from mpesa.domain.roles import Role
from mpesa.models import Operator, OperatorSession, db
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.web.console.steps import (
    NAME,
    PASSWORD,
    hire,
    logged_in,
    send,
    token_on,
    try_login,
)
from tests.web.shopper.test_pages import SANDBOX
from tests.web.steps import push

LIST = "/console/transactions"


def is_sent_to_login(answer):
    return answer.status_code == 303 and answer.headers["Location"].startswith("/console/login")


# -- guests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/",
        LIST,
        f"{LIST}/nothing",
        f"{LIST}/nothing/paid",
        f"{LIST}/nothing/reveal",
        "/console/review",
        "/console/logout",
        "/console/no/such/page",
        "/console//transactions",
        "/console/../console/review",
    ],
)
def test_a_guest_is_sent_to_the_login_whatever_the_path_and_the_method(client, path):
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        assert is_sent_to_login(client.open(path, method=method))


def test_a_guest_comes_back_to_the_page_that_was_wanted(app, client):
    hire(app)
    address = client.get(f"{LIST}?status=FAILED").headers["Location"]

    form = client.get(address)
    answer = try_login(client, next=f"{LIST}?status=FAILED")

    assert f'name="next" value="{LIST}?status=FAILED"' in form.text
    assert answer.headers["Location"] == f"{LIST}?status=FAILED"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/console",
        "/\\evil.example",
        "/console/../../evil",
        "/console/..",
        "/console//evil.example",
        "/console\\@evil.example",
        "/console@evil.example",
        "/consolex",
        "/checkout/x",
        "javascript:alert(1)",
        "/console/\n/evil.example",
        "/console/%0d%0aSet-Cookie:x",
        "/console/#@evil.example",
        " /console/",
        "",
    ],
)
def test_a_login_leads_nowhere_but_into_the_console(app, client, elsewhere):
    hire(app)

    answer = try_login(client, next=elsewhere)

    assert answer.headers["Location"] in ("/console/", LIST)


# -- the cookie ----------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_and_no_script(app, client):
    hire(app)

    cookie = try_login(client).headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_where_public_url_is_https(make_app):
    client = make_app(**SANDBOX).test_client()

    answer = client.get("/console/login", headers={"Host": "pay.example.com"})

    assert answer.headers["Set-Cookie"].startswith("__Host-console=")
    assert "; Secure" in answer.headers["Set-Cookie"]


def test_a_form_over_https_needs_no_referer(make_app):
    app = make_app(**SANDBOX, TRUSTED_PROXIES="1")
    hire(app)
    client = app.test_client()
    over = {"base_url": "https://pay.example.com", "headers": {"X-Forwarded-Proto": "https"}}

    token = token_on(client.get("/console/login", **over).text)
    fields = {"name": NAME, "password": PASSWORD, "csrf_token": token}
    answer = client.post("/console/login", data=fields, **over)

    assert answer.status_code == 303


def test_a_shoppers_route_neither_opens_nor_sets_a_session(app, make_order):
    client = logged_in(app)
    order_id = make_order()
    opened = []
    own = app.session_interface.open_session

    def noted(app, request):
        session = own(app, request)
        if session is not None:
            opened.append(request.path)
        return session

    app.session_interface.open_session = noted
    answers = [
        client.get("/"),
        client.get(f"/checkout/{order_id}?lang=sw"),
        push(client, order_id),
        client.get("/check-status?tx_id=nothing"),
        client.get("/api/orders"),
        client.get("/healthz"),
        client.get("/nothing"),
        client.get("/console-of-another-kind"),
    ]

    assert opened == []
    assert not any("Set-Cookie" in each.headers for each in answers)
    client.get(LIST)
    assert opened == [LIST]


def test_nothing_is_kept_of_the_session_before_the_login(app, client):
    hire(app)
    before = token_on(client.get("/console/login").text)
    with client.session_transaction(path="/console/login") as session:
        session["planted"] = "by a stranger"

    try_login(client)

    with client.session_transaction(path="/console/login") as session:
        assert "planted" not in session
    answer = client.post("/console/logout", data={"csrf_token": before})
    assert answer.status_code == 400


# -- how it ends ---------------------------------------------------------------------------------


def copy_of(app, client):
    """Another browser with the same cookie."""
    other = app.test_client()
    other.set_cookie("console", client.get_cookie("console").value)
    return other


@on_both
def test_a_logged_out_cookie_works_nowhere(app):
    client = logged_in(app)
    copied = copy_of(app, client)
    assert copied.get(LIST).status_code == 200

    send(client, "/console/logout")

    assert is_sent_to_login(client.get(LIST))
    assert is_sent_to_login(copied.get(LIST))


def test_logging_out_ends_no_other_login_of_the_operator(app):
    client = logged_in(app)
    other = app.test_client()
    try_login(other)

    send(client, "/console/logout")

    assert other.get(LIST).status_code == 200


@on_both
def test_a_removed_operators_session_ends(app):
    client = logged_in(app)
    hire(app, "otieno")

    with app.app_context():
        operators.remove(db.session(), NAME)

    assert is_sent_to_login(client.get(LIST))
    assert try_login(app.test_client()).status_code == 403


def test_who_comes_back_under_a_removed_name_gets_no_old_session(app):
    client = logged_in(app)
    hire(app, "otieno")
    with app.app_context():
        operators.remove(db.session(), NAME)

    hire(app, password="another password")

    assert is_sent_to_login(client.get(LIST))


def test_a_new_password_ends_the_sessions_of_the_old_one(app):
    client = logged_in(app)

    hire(app, password="another password")

    assert is_sent_to_login(client.get(LIST))
    assert try_login(app.test_client()).status_code == 403
    assert try_login(app.test_client(), password="another password").status_code == 303


def test_a_session_ends_after_twelve_hours(app, clock):
    client = logged_in(app)

    clock.pass_(hours=11, minutes=59)
    assert client.get(LIST).status_code == 200
    clock.pass_(minutes=1)

    assert is_sent_to_login(client.get(LIST))


def test_old_logins_do_not_pile_up(app, clock):
    logged_in(app)
    clock.pass_(hours=12)

    try_login(app.test_client())

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(OperatorSession)) == 1


def test_a_cookie_signed_by_another_key_opens_nothing(app, make_app):
    forger = make_app(SECRET_KEY="z" * 43)
    cookie = forger.session_interface.get_signing_serializer(forger).dumps({"_user_id": "guess"})
    client = app.test_client()
    client.set_cookie("console", cookie)

    assert is_sent_to_login(client.get(LIST))


def test_the_database_holds_no_cookie_and_no_password(app):
    client = logged_in(app)

    with client.session_transaction(path="/console/login") as session:
        token = session["_user_id"]
    with app.app_context():
        assert db.session.scalar(select(OperatorSession.id)) != token
        assert db.session.scalar(select(Operator.password_hash)).startswith("$argon2id$")


# -- wrong tries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (NAME, "wrong password!"),
        ("nobody", PASSWORD),
        ("", ""),
        (NAME, ""),
        ("x" * 500, "y" * 5000),
    ],
)
def test_a_wrong_name_or_password_is_refused_in_the_same_words(app, client, name, password):
    hire(app)

    answer = try_login(client, name, password)

    assert answer.status_code == 403
    assert "Wrong name or password." in answer.text
    assert is_sent_to_login(client.get(LIST))


def test_an_unknown_name_is_checked_with_as_much_work_as_a_known_one(app):
    hire(app)

    with app.app_context():
        known = db.session.scalar(select(Operator.password_hash))

    # Algorithm, version and parameters; salt and hash follow.
    assert operators._unknown_name_hash().split("$")[:4] == known.split("$")[:4]


def test_a_name_is_the_same_in_capitals(app, client):
    hire(app)

    assert try_login(client, " Wanjiku ").status_code == 303


def test_a_hash_of_older_parameters_is_made_anew_at_the_login(app, client):
    hire(app)
    weaker = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with app.app_context():
        db.session.get_one(Operator, NAME).password_hash = weaker
        db.session.commit()

    assert try_login(client).status_code == 303

    with app.app_context():
        stored = db.session.scalar(select(Operator.password_hash))
    assert operators._HASHER.check_needs_rehash(weaker)
    assert not operators._HASHER.check_needs_rehash(stored)


# -- limits --------------------------------------------------------------------------------------


def from_address(app, address):
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    return client


def try_login_again(client, *typed):
    if client.get_cookie("console"):
        send(client, "/console/logout")
    return try_login(client, *typed)


def test_a_name_that_is_tried_too_often_from_one_address_has_to_wait(app):
    hire(app)
    client = from_address(app, "192.0.2.1")
    for _ in range(5):
        assert try_login(client, password="wrong password!").status_code == 403

    answer = try_login(client)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Too many tries." in answer.text


def test_a_stranger_elsewhere_locks_nobody_out(app):
    hire(app)
    stranger = from_address(app, "192.0.2.1")
    for _ in range(6):
        try_login(stranger, password="wrong password!")

    assert try_login(from_address(app, "192.0.2.2")).status_code == 303


def test_strangers_everywhere_keep_an_operator_out_at_no_known_address(app):
    hire(app)
    home = from_address(app, "198.51.100.7")
    assert try_login(home).status_code == 303
    for number in range(50):
        elsewhere = {"REMOTE_ADDR": f"192.0.2.{number}"}
        with app.test_request_context("/console/login", environ_base=elsewhere):
            services().logins.check(NAME, known=False)

    assert try_login(from_address(app, "203.0.113.9")).status_code == 429
    assert try_login(from_address(app, "198.51.100.7")).status_code == 303


@pytest.mark.parametrize("cookies", ["kept", "gone"])
def test_right_logins_lock_nobody_however_many(app, cookies):
    hire(app)
    client = from_address(app, "192.0.2.1")
    for _ in range(12):
        if cookies == "gone":
            client = from_address(app, "192.0.2.1")
        assert try_login_again(client).status_code == 303

    wrong = [
        try_login(from_address(app, "192.0.2.1"), "nobody", "wrong password!").status_code
        for _ in range(5)
    ]
    assert wrong == [403] * 5


def test_a_right_login_takes_nobody_elses_wrong_tries_back(app):
    hire(app)
    hire(app, "otieno")
    client = from_address(app, "192.0.2.1")
    for _ in range(4):
        try_login(client, "otieno", "wrong password!")
    assert try_login(client).status_code == 303

    fifth = try_login_again(client, "otieno", "wrong password!").status_code

    assert (fifth, try_login(client, "otieno").status_code) == (403, 429)


def test_who_shares_the_address_of_the_last_login_keeps_no_operator_out(app):
    hire(app)
    browser = from_address(app, "198.51.100.7")
    assert try_login(browser).status_code == 303
    tries = [
        try_login(from_address(app, "198.51.100.7"), *guess).status_code
        for guess in [(f"name-{number}", "wrong password!") for number in range(31)]
        + [(NAME, "wrong password!")] * 8
    ]

    other_browser = try_login(from_address(app, "198.51.100.7"))

    assert tries == [403] * 30 + [429] + [403] * 8
    assert other_browser.status_code == 303
    assert try_login_again(browser).status_code == 303


def test_tries_at_the_address_of_the_last_login_are_bounded_all_the_same(app):
    hire(app)
    browser = from_address(app, "198.51.100.7")
    assert try_login(browser).status_code == 303
    for _ in range(50):
        with app.test_request_context(environ_base={"REMOTE_ADDR": "198.51.100.7"}):
            services().logins.check(NAME, known=True)

    neighbour = try_login(from_address(app, "198.51.100.7"), password="wrong password!")

    assert neighbour.status_code == 429
    assert try_login_again(browser).status_code == 303


def test_a_browser_that_logged_in_before_has_five_wrong_tries(app):
    hire(app)
    browser = from_address(app, "198.51.100.7")
    assert try_login(browser).status_code == 303
    send(browser, "/console/logout")

    tries = [try_login(browser, password="wrong password!").status_code for _ in range(6)]

    assert tries == [403] * 5 + [429]


@pytest.mark.parametrize("made_up", ["x", "", '["wanjiku","x"]', "WyJ3YW5qaWt1IiwieCJd.forged"])
def test_a_made_up_cookie_makes_no_browser_known(app, made_up):
    hire(app)
    client = from_address(app, "192.0.2.1")
    client.set_cookie("console-browser", made_up, path="/console/login")

    tries = [try_login(client, password="wrong password!").status_code for _ in range(6)]

    assert tries == [403] * 5 + [429]


def test_a_browser_is_known_for_the_operator_who_logged_in_there_only(app):
    hire(app)
    hire(app, "otieno")
    browser = from_address(app, "198.51.100.7")
    try_login(browser)
    send(browser, "/console/logout")

    tries = [try_login(browser, "otieno", "wrong password!").status_code for _ in range(6)]

    assert tries == [403] * 5 + [429]
    assert try_login(browser).status_code == 303


def test_who_comes_from_no_known_address_is_nowhere_at_home(make_app):
    app = make_app(TRUSTED_PROXIES="1")
    hire(app)

    def from_nowhere():
        client = app.test_client()
        client.environ_base["HTTP_X_FORWARDED_FOR"] = "nonsense"
        return client

    assert try_login(from_nowhere()).status_code == 303

    tries = [try_login(from_nowhere(), password="wrong password!").status_code for _ in range(6)]

    assert tries == [403] * 5 + [429]


def test_the_password_of_a_refused_try_is_not_looked_at(app, monkeypatch):
    hire(app)
    for _ in range(5):
        try_login(from_address(app, "192.0.2.1"), password="wrong password!")
    looked = []
    monkeypatch.setattr(operators, "log_in", lambda *_: looked.append(1))

    assert try_login(from_address(app, "192.0.2.1")).status_code == 429
    assert looked == []


def test_an_address_that_tries_many_names_has_to_wait(app):
    client = from_address(app, "192.0.2.1")
    statuses = [
        try_login(client, f"name-{number}", "wrong password!").status_code for number in range(31)
    ]

    assert statuses == [403] * 30 + [429]


# -- forged forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"csrf_token": "made up"}])
def test_a_forged_login_is_refused_on_a_plain_page(app, client, fields):
    hire(app)

    answer = client.post("/console/login", data={"name": NAME, "password": PASSWORD, **fields})

    assert answer.status_code == 400
    assert "That form was not ours" in answer.text
    assert answer.content_type.startswith("text/html")


def test_a_token_of_another_session_is_worth_nothing(app, client):
    theirs = token_on(app.test_client().get("/console/login").text)
    hire(app)
    client.get("/console/login")

    answer = client.post(
        "/console/login", data={"name": NAME, "password": PASSWORD, "csrf_token": theirs}
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/console/logout", LIST, f"{LIST}/x/reveal", f"{LIST}/x/paid", f"{LIST}/x/paid/confirm"],
)
def test_a_forged_form_does_nothing(app, path):
    client = logged_in(app)

    answer = client.post(path, data={"q": "x", "reason": "because"})

    assert answer.status_code == 400
    assert client.get(LIST).status_code == 200


def test_the_console_keeps_the_language_that_was_chosen(app):
    client = logged_in(app)

    client.get(f"{LIST}?lang=sw-KE")

    assert '<html lang="sw">' in client.get(LIST).text
    assert '<html lang="en">' in client.get("/").text


def test_no_page_of_the_console_has_what_the_policy_would_stop(app):
    client = logged_in(app)
    for page in (client.get(LIST).text, client.get("/console/review").text):
        assert " style=" not in page
        assert page.count("<style>") == 1
        assert page.count("<script") == page.count('<script type="module" src=')


def test_an_unknown_page_of_the_console_is_not_found_for_an_operator(app):
    html = {"Accept": "text/html"}

    answer = logged_in(app).get("/console/no/such/page", headers=html)

    assert answer.status_code == 404
    assert 'href="/console/"' in answer.text


LOST = ["/console/nothing", f"/console/transactions/{'A' * 22}", "/console/receipts/UKO0NOTHER"]


@pytest.mark.parametrize("path", LOST)
def test_who_is_lost_in_the_console_keeps_its_navigation(app, path):
    answer = logged_in(app).get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert '<nav class="ways"' in answer.text
    assert re.search(r'<main.*href="/console/transactions".*</main>', answer.text, re.DOTALL)


def test_a_page_that_is_not_for_the_role_keeps_the_navigation(app):
    answer = logged_in(app, "viola", Role.VIEWER).get("/console/health/initiators/status/go")

    assert answer.status_code == 403
    assert '<nav class="ways"' in answer.text


def test_a_form_that_is_refused_leads_back_to_what_it_was_about(app, shop):
    payment = shop.attempt()

    answer = logged_in(app).get(
        f"/console/transactions/{payment}/settle", headers={"Accept": "text/html"}
    )

    assert answer.status_code == 409
    assert re.search(rf'<main.*href="/console/transactions/{payment}"', answer.text, re.DOTALL)


def test_the_login_says_who_can_help(client):
    page = client.get("/console/login").text

    assert "flask operators add" in page
    assert 'data-shows="password"' in page
