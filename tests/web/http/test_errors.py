"""Errors are problem details for programs and pages for people, and never a 500."""

import html
import re
from typing import get_args
from urllib.parse import urljoin, urlsplit

import pytest

from mpesa.models import db
from mpesa.web.http.problems import MEANINGS, Code, type_of
from tests.web.steps import problem, push_form

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_an_address_with_nothing_behind_it_is_not_found(client):
    problem(client.get("/nothing"), 404, "not_found")


def test_a_wrong_method_is_told_with_the_right_ones(client):
    answer = client.get("/stk-push")

    problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/problem+json"])
def test_a_program_gets_a_problem(client, accept):
    headers = {"Accept": accept} if accept else {}

    problem(client.get("/nothing", headers=headers), 404, "not_found")


def test_a_browser_gets_a_page(client):
    answer = client.get("/nothing", headers=BROWSER)

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "There is nothing at this address." in answer.text


@pytest.mark.parametrize("path", ["/nothing", f"/checkout/{'A' * 22}"])
def test_who_is_lost_is_shown_the_one_way_on(make_app, path):
    with_a_shop = make_app().test_client().get(path, headers=BROWSER).text
    without = make_app(DEMO_SHOP="off").test_client().get(path, headers=BROWSER).text

    assert re.findall(r'<a class="button" href="([^"]*)"', with_a_shop) == ["/?lang=en"]
    assert "sk Duka la Mfano for" in without
    assert '<a class="button"' not in without


def test_without_a_shop_the_root_says_quietly_whose_payments_these_are(make_app):
    answer = make_app(DEMO_SHOP="off").test_client().get("/", headers=BROWSER)

    assert answer.status_code == 404
    assert "<h1>Payments of Duka la Mfano</h1>" in answer.text
    assert "Lost? Ask Duka la Mfano" in answer.text
    assert "There is nothing" not in answer.text
    assert '<body class="plain lone">' in answer.text


def test_a_browser_gets_the_page_in_its_language(client):
    answer = client.get("/nothing", headers=BROWSER | {"Accept-Language": "sw"})

    assert '<html lang="sw">' in answer.text
    assert "There is nothing at this address." not in answer.text


def test_a_problem_is_told_in_the_language_of_the_request(client):
    english = problem(client.get("/nothing"), 404, "not_found")
    swahili = problem(client.get("/nothing?lang=sw"), 404, "not_found")

    assert english["detail"] != swahili["detail"]
    assert english["code"] == swahili["code"]


def test_a_browsers_form_that_is_too_large_gets_a_page(client):
    answer = client.post("/stk-push", data={"phone": "0" * 70_000}, headers=BROWSER)

    assert (answer.status_code, answer.mimetype) == (413, "text/html")


def test_a_form_with_very_many_fields_is_refused(client, make_order):
    fields = {f"field{number}": "1" for number in range(1200)}

    answer = client.post("/stk-push", data=fields, content_type="multipart/form-data")

    problem(answer, 413, "payload_too_large")


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "127.0.0.1:99999999"])
def test_a_browser_at_a_wrong_host_gets_a_page(client, host):
    answer = client.get("/", headers=BROWSER | {"Host": host})

    assert (answer.status_code, answer.mimetype) == (400, "text/html")


def test_a_host_that_is_no_name_at_all_is_no_server_error(client):
    answer = client.get("/", headers=BROWSER | {"Host": "x" * 300})

    problem(answer, 400, "invalid_request")


def test_a_wrong_host_with_a_form_is_no_server_error(client, make_order):
    answer = push_form(client, make_order(), headers=BROWSER | {"Host": "evil.example"})

    assert answer.status_code == 400


def test_a_database_that_fails_is_503_with_a_time_to_come_back(client, app, make_order, caplog):
    order_id = make_order()
    with app.app_context():
        db.session.execute(db.text("DROP TABLE decisions"))
        db.session.execute(db.text("DROP TABLE evidence"))
        db.session.execute(db.text("ALTER TABLE transactions RENAME TO gone"))
        db.session.commit()

    answer = client.post("/stk-push", json={"order_id": order_id, "phone": "0712345678"})
    for_browser = client.get(f"/checkout/{order_id}", headers=BROWSER)

    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert (for_browser.status_code, for_browser.mimetype) == (503, "text/html")
    assert "254712345678" not in caplog.text


def test_a_problem_has_no_field_where_no_single_one_is_wrong(client):
    assert "field" not in client.get("/nothing").get_json()


def test_an_error_page_repeats_nothing_unescaped(client):
    answer = client.get("/<script>alert(1)</script>", headers=BROWSER)

    assert "<script>alert" not in answer.text


# -- what the words mean ---------------------------------------------------------------------------


def test_every_word_that_can_be_answered_is_explained_and_no_other():
    assert list(MEANINGS) == list(get_args(Code))


@pytest.mark.parametrize("code", MEANINGS)
def test_the_type_of_a_problem_leads_to_its_explanation(client, code):
    path, _, anchor = type_of(code).partition("#")

    page = client.get(path)
    [explained] = re.findall(rf'<article id="{anchor}">(.*?)</article>', page.text, re.DOTALL)

    assert page.status_code == 200
    words = html.unescape(re.sub(r"</?code>|<a [^>]*>|</a>", "", explained))
    meaning = MEANINGS[code]
    for text in (str(meaning.status), meaning.title, meaning.when, meaning.remedy):
        assert text.replace("`", "") in words


def test_the_type_of_a_problem_leads_there_from_the_address_that_answered(client):
    told = problem(client.get("/api/orders/nothing/here"), 404, "not_found")

    address = urljoin("https://pay.example.com/api/orders/nothing/here", told["type"])

    assert address == "https://pay.example.com/docs/api#not_found"


def test_a_mistake_of_ours_is_a_problem_like_any_other(app, client, monkeypatch):
    def fail(**_fields):
        raise ZeroDivisionError

    monkeypatch.setitem(app.view_functions, "probes.healthz", fail)

    answer = client.get("/healthz")

    problem(answer, 500, "unavailable")
    assert answer.headers["Retry-After"] == "5"


# -- where the links of an error page lead -----------------------------------------------------

TO_ANOTHER_HOST = (
    *("//", "///", "/\\", "/\\/", "/\t/", "/\n/", "/\r\n/", "/\t\\", "\\\\", "\t//", " //", "/ /"),
    *("/https://", "/javascript:", "/@", "//user@", "/.//", "/..//", "/%2f/"),
)
LEADS_AWAY = [
    start + "evil.example" + end
    for start in TO_ANOTHER_HOST
    for end in ("", "/pay", "/..;/pay", "?x=1", "#here", ":443/", "%2fpay", "/\u202e")
]


def host_of(link, base="http://127.0.0.1:8000/some/page"):
    """The host that a browser goes to, by the rules of the WHATWG's URL standard, 4.4."""
    link = re.sub("[\t\n\r]", "", link.strip("".join(map(chr, range(33)))))
    link = link.partition("#")[0].replace("\\", "/")
    return urlsplit(urljoin(base, re.sub("^/{2,}", "//", link))).hostname


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_link_of_an_error_page_leads_to_another_host(client, method):
    for path in LEADS_AWAY:
        as_wsgi_has_it = {"PATH_INFO": path.encode().decode("latin-1")}
        answer = client.open(method=method, headers=BROWSER, environ_overrides=as_wsgi_has_it)

        found = re.findall('(?:href|action|src)="([^"]*)"', answer.text)
        links = [html.unescape(each) for each in found]
        to_language = [each for each in links if "lang=" in each]
        assert [each for each in links if host_of(each) not in (None, "127.0.0.1")] == []
        assert answer.status_code == 308 or to_language
        assert "evil" not in "".join(to_language)
        assert host_of(answer.headers.get("Location", "/")) in ("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("//evil.example/", "evil.example"), ("/\\evil.example", "evil.example"),
        ("/\t/evil.example", "evil.example"), ("\\\\evil.example", "evil.example"),
        ("?lang=sw", "127.0.0.1"), ("/pay", "127.0.0.1"), ("https://a.example", "a.example"),
    ],
)  # fmt: skip
def test_the_rules_above_are_a_browsers(link, host):
    assert host_of(link) == host
