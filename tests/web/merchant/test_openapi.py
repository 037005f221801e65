"""GET /openapi.json is true to the routes, and GET /docs/api shows it."""

import base64
import hmac
import itertools
import json
import re
import time
from datetime import UTC, datetime

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from mpesa import webhooks
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.webhook import TEST, MessageType
from mpesa.web.http.problems import MEANINGS, type_of
from mpesa.web.merchant.openapi import document
from mpesa.webhooks import Answered, Endpoint
from tests.factories import (
    API_KEY,
    RECEIPT,
    confirmation,
    failure_callback,
    make_settings,
    success_callback,
)
from tests.shop import Shop
from tests.web.merchant.story import refunded, unclaimed_and_returned
from tests.web.steps import call_back, pushed

DOCUMENT = document(make_settings())
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
# Pages, files and the console are for people; Prometheus has a format of its own.
NOT_JSON = re.compile(r"/$|/thanks$|/checkout/|/static|/simulator|/console|/metrics|/docs/")
EXAMPLES = 25
UNCLAIMED = "UKO2GHIJKL"


def schemas():
    """Every schema of the document, nested ones too."""
    found, waiting = [], [DOCUMENT]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found.append(each)
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return found


def every_operation():
    """Of routes and of webhooks."""
    both = (*DOCUMENT["paths"].values(), *DOCUMENT["webhooks"].values())
    return [each for methods in both for each in methods.values()]


# -- the document --------------------------------------------------------------------------------


def test_every_json_route_is_in_the_document_and_no_other(app):
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if not NOT_JSON.match(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert set(OPERATIONS) == served


def test_the_words_of_the_snapshot_are_the_domains_own():
    snapshot = DOCUMENT["components"]["schemas"]["Snapshot"]

    assert sorted(snapshot["properties"]) == sorted([*Snapshot.__annotations__, "message"])
    assert sorted(snapshot["required"]) == sorted(snapshot["properties"])
    assert snapshot["properties"]["reason"]["enum"] == [each.value for each in Reason]
    assert snapshot["properties"]["status"]["enum"] == [each.value for each in Status]


def test_the_most_that_may_be_paid_is_the_setting():
    fields = document(make_settings(DARAJA_MAX_AMOUNT="70000"))["paths"]["/api/orders"]["post"]
    schema = fields["requestBody"]["content"]["application/json"]["schema"]

    assert schema["properties"]["amount"]["maximum"] == 70000


def test_what_needs_a_key_says_so_and_nothing_else():
    keyed = {
        path for path, methods in DOCUMENT["paths"].items()
        if any(each["security"] for each in methods.values())
    }  # fmt: skip

    assert keyed == {
        "/api/orders",
        "/api/orders/{order_id}",
        "/api/orders/{order_id}/cancel",
        "/api/receipts",
        "/api/receipts/{receipt}",
        "/api/receipts/{receipt}/claim",
        "/api/refunds",
        "/api/refunds/{refund_id}",
    }


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does():
    names = [each["operationId"] for each in every_operation()]

    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)
    assert all(each["summary"] and each["description"] for each in every_operation())


def test_every_error_is_a_problem_with_the_words_of_its_status():
    for method, path in OPERATIONS:
        answers = DOCUMENT["paths"][path][method]["responses"]
        refused = {status: each for status, each in answers.items() if status[0] in "45"}
        assert {"400", "500"} <= set(refused)
        for status, answer in refused.items():
            general, narrowed = answer["content"]["application/problem+json"]["schema"]["allOf"]
            words = narrowed["properties"]
            assert general == {"$ref": "#/components/schemas/Problem"}
            assert words["status"]["const"] == int(status)
            assert words["type"]["enum"] == [type_of(code) for code in words["code"]["enum"]]
            assert all(f"`{code}`" in answer["description"] for code in words["code"]["enum"])


def test_the_words_of_a_problem_are_those_that_are_explained():
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == [*MEANINGS]


def test_every_reference_leads_somewhere():
    targets = {each["$ref"] for each in schemas() if isinstance(each.get("$ref"), str)}

    assert targets
    for target in targets:
        assert target.rsplit("/", 1)[1] in DOCUMENT["components"]["schemas"]


def test_the_document_may_be_kept_and_is_not_sent_twice(client):
    first = client.get("/openapi.json")

    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert first.get_json() == DOCUMENT
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert (again.status_code, again.data) == (304, b"")


# -- the webhooks --------------------------------------------------------------------------------


SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def posted(make_app, clock, daraja):
    """What a merchant's server gets of payments with each end, and of a test, by type."""
    got: dict[str, list[tuple[bytes, dict[str, str]]]] = {}

    def take(body, headers):
        got.setdefault(json.loads(body)["type"], []).append((body, dict(headers)))
        return Answered(204)

    url = "http://127.0.0.1:9/hook"
    shop = Shop(make_app(WEBHOOK_URL=url, WEBHOOK_SECRET=SECRET), clock, daraja)
    endpoint = Endpoint(url, (SECRET,), take, shop.now)
    for push, code in enumerate((0, 1032, 987654), start=1):
        shop.attempt(f"25470000000{push}")
        ids = (daraja.checkout_id(push), daraja.merchant_id(push))
        shop.callback(push, failure_callback(*ids, code) if code else success_callback(*ids))
    unclaimed_and_returned(shop, UNCLAIMED)
    refunded(shop, UNCLAIMED)
    with shop.sessions() as session:
        webhooks.run_until_idle(session, endpoint)
    webhooks.send_test(endpoint)
    return got


def described_message(kind):
    body = DOCUMENT["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]
    return jsonschema_rs.validator_for({**body["schema"], "components": DOCUMENT["components"]})


def test_every_message_is_in_the_document_and_no_other():
    assert [*DOCUMENT["webhooks"]] == [*MessageType, TEST]


@pytest.mark.parametrize("kind", [*MessageType, TEST])
def test_what_a_webhook_posts_is_what_the_document_says(posted, kind):
    described = described_message(kind)

    assert posted[kind]
    for body, headers in posted[kind]:
        described.validate(json.loads(body))
        assert headers["Content-Type"] == "application/json"
        for each in DOCUMENT["webhooks"][kind]["post"]["parameters"]:
            assert re.fullmatch(each["schema"]["pattern"], headers[each["name"]])
        # The recipe as the document words it.
        sent = f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
        signature = base64.b64encode(
            hmac.digest(b"k" * 32, sent.encode() + body, "sha256")
        ).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"


@pytest.mark.parametrize("kind", MessageType)
def test_a_test_message_cannot_be_taken_for_one_about_a_payment(posted, kind):
    [(body, _headers)] = posted[TEST]
    told = json.loads(body)

    assert described_message(TEST).is_valid(told)
    assert not described_message(kind).is_valid(told)
    assert not described_message(kind).is_valid({**told, "type": kind})


# -- the page ------------------------------------------------------------------------------------


def test_the_page_shows_every_route_and_every_field(client):
    page = client.get("/docs/api")

    assert page.status_code == 200
    for method, path in OPERATIONS:
        assert f"<b>{method.upper()}</b>" in page.text
        assert path.replace("{", "&#123;") in page.text or path in page.text
    for name in Snapshot.__annotations__:
        assert f"<code>{name}</code>" in page.text
    for kind in DOCUMENT["webhooks"]:
        assert f'id="{kind}"' in page.text


def test_every_link_of_the_page_to_itself_leads_somewhere_and_no_anchor_is_there_twice(client):
    page = client.get("/docs/api").text

    anchors = re.findall(r'\sid="([^"]+)"', page)

    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)


def test_the_pages_commands_and_answers_are_for_the_server_that_shows_it(client):
    page = client.get("/docs/api", base_url="http://127.0.0.1:8123").text
    page = page.partition("</aside>")[2]  # the band has the virtual phone's own address

    assert page.count("curl --fail-with-body -sS ") >= len(OPERATIONS)
    assert page.count("http://127.0.0.1:8123/checkout/")
    assert "127.0.0.1:8000" not in page
    assert "export API_KEY=development-api-key" in page


def test_a_simulator_that_others_may_use_shows_its_public_address(make_app):
    app = make_app(PUBLIC_URL="https://demo.example", SIMULATOR_PUBLIC="1")

    page = app.test_client().get("/docs/api", base_url="http://demo.example").text

    assert "curl --fail-with-body -sS https://demo.example/api/orders" in page
    assert "http://demo.example" not in page


def test_a_key_of_production_is_never_shown_and_its_address_is_the_public_one(make_app):
    secret = "a-key-of-a-shop-that-nobody-can-guess-1"
    app = make_app(
        DARAJA_ENV="sandbox",
        DARAJA_CONSUMER_KEY="k", DARAJA_CONSUMER_SECRET="s", DARAJA_SHORTCODE="174379",
        DARAJA_PASSKEY="p", PUBLIC_URL="https://pay.example", SECRET_KEY="s" * 43,
        ALLOWED_HOSTS="pay.example,10.0.0.1", API_KEYS=secret,
    )  # fmt: skip

    page = app.test_client().get("/docs/api", base_url="http://10.0.0.1").text

    assert "curl --fail-with-body -sS https://pay.example/api/orders" in page
    assert "export API_KEY=one-of-API_KEYS" in page
    assert "http://10.0.0.1" not in page
    assert secret not in page


def test_the_page_needs_no_script_and_nothing_from_elsewhere(client):
    page = client.get("/docs/api").text

    # One copies what is shown; with the simulator one opens the virtual phone beside the page.
    assert page.count("<script") == 1 + page.count("shared/virtual_phone.js")
    assert "<button" not in page
    assert re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(?!/)([^"]*)', page) == []


# -- the routes, as the document says them -------------------------------------------------------


def later():
    """Times in the future, within ten years, as RFC 3339 writes them."""
    seconds = st.integers(
        int(datetime(2031, 1, 1, tzinfo=UTC).timestamp()),
        int(datetime(2036, 11, 1, tzinfo=UTC).timestamp()),
    )
    return seconds.map(lambda each: datetime.fromtimestamp(each, UTC).isoformat())


NUMBERS = itertools.count()
LINE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=199)
for name, strategy in {
    "one-line": LINE.map(lambda text: f"x{text}"),
    "kenyan-mobile": st.from_regex(r"07[0-2][0-9]{7}", fullmatch=True, alphabet="0123456789"),
    "receipt": st.from_regex(r"[A-Z0-9]{10}", fullmatch=True),
    "cursor": st.integers(0, 10**15).map(lambda moment: f"{moment}.fPXIkVzsACg7ZCB7oJ3rbA"),
    "reason": LINE.map(lambda text: f"xx{text[:98]}"),
    "uri": st.from_regex(r"https://[a-z]{1,20}\.example/[a-z]{0,20}", fullmatch=True),
    "date-time": later(),
}.items():
    schemathesis.openapi.format(name, strategy)


@pytest.fixture
def app(make_app):
    """One whose key may ask for refunds, too."""
    return make_app(REFUND_API_KEYS="development-api-key")


@pytest.fixture
def api(app, client, daraja, make_order):
    """The document with the application behind it, and ids that lead somewhere."""
    paid = make_order()
    paid_by = pushed(client, paid)["transaction_id"]
    call_back(client, daraja)
    to_be_paid = make_order()
    [token] = app.extensions["mpesa"].settings.c2b_token
    told = client.post(f"/c2b/{token}/confirmation", json=confirmation("JANE", receipt=UNCLAIMED))
    assert told.status_code == 200
    by_hand = client.post("/pay-by-hand", json={"order_id": to_be_paid}).get_json()
    asked = client.post(
        "/api/refunds", json={"receipt": RECEIPT, "reason": "Sent back."}, headers=API_KEY
    )
    assert asked.status_code == 201, asked.text
    known = {
        "order_id": [paid, to_be_paid, make_order()],
        "receipt": [RECEIPT, UNCLAIMED],
        "refund_id": [asked.get_json()["refund_id"]],
        "tx_id": [paid_by, by_hand["transaction_id"]],
    }
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    # It would import every module of ours to look for constants, the async servers too.
    schema.config.analysis.constants.enabled = False
    return schema, known


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids="{}".format)
def test_the_routes_do_what_the_document_says(api, method, path):
    schema, known = api
    operation = schema[path][method.upper()]
    keyed = bool(DOCUMENT["paths"][path][method]["security"])
    started = time.monotonic()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=both_kinds(operation), chosen=st.integers(0, 3))
    def try_it(case, chosen):
        if case.meta.generation.mode is GenerationMode.POSITIVE:
            lead_somewhere(case, known, chosen)
        case.call_and_validate(headers=API_KEY if keyed else None)

    try_it()
    assert time.monotonic() - started < 30


def both_kinds(operation):
    """Requests that the document allows, and some that it does not."""
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.body or operation.query or operation.path_parameters):
        return good
    return good | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def lead_somewhere(case, known, chosen):
    """Put a known id where an example would lead nowhere, three times of four."""
    if isinstance(case.body, dict) and isinstance(case.body.get("amount"), float):
        case.body["amount"] = int(case.body["amount"])  # JSON Schema calls 150.0 an integer
    if case.headers and "Idempotency-Key" in case.headers:
        # One that came before with other fields is 422, which no schema can say.
        key = case.headers["Idempotency-Key"]
        case.headers["Idempotency-Key"] = f"{key[:200]}{next(NUMBERS)}"
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            for name, ids in known.items():
                if name in place and chosen:
                    place[name] = ids[chosen % len(ids)]
