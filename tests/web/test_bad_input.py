"""Whatever is sent, and wherever: an answer in the 400s that says what is wrong, never a 500.

Hypothesis makes up the input. Nothing is stored, except what arrives at a callback's address.
"""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import create_app
from mpesa.models import db
from mpesa.runtime import database
from tests.factories import API_KEY, PAYER, make_settings, order_fields
from tests.fakes import Clock, FakeDaraja
from tests.web.steps import pushed, rows

EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KNOWN_CODES = {
    "invalid_phone",
    "invalid_request",
    "order_not_found",
    "transaction_not_found",
    "not_found",
    "method_not_allowed",
    "unsupported_media_type",
    "payload_too_large",
    "unauthorized",
}
NUL = "a\x00b"
ARABIC_DIGITS = "".join(chr(0x660 + int(digit)) for digit in "0712345678")
FULL_WIDTH_DIGITS = "".join(chr(0xFF10 + int(digit)) for digit in "0712345678")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One application for all examples: none of them may leave a trace."""
    folder = tmp_path_factory.mktemp("bad-input")
    daraja = FakeDaraja()
    app = create_app(
        make_settings(
            DATABASE_URL=f"sqlite:///{folder}/mpesa.sqlite",
            STK_PUSH_LIMIT_PER_PHONE="",
            STK_PUSH_LIMIT_PER_IP="",
        ),
        daraja=daraja,
        now=Clock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC)),
    )
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        database.migrate()
    client = app.test_client()
    order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    open_order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    pushed(client, open_order["order_id"])
    yield World(app, client, order["order_id"], daraja)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


class World:
    """An application with an order that nobody pays, and another with an open attempt."""

    def __init__(self, app, client, order_id, daraja):
        self.app, self.client, self.order_id = app, client, order_id
        self.callback = f"/callback/{daraja.token_of(1)}"

    def refuses(self, method, path, field=None, **more):
        """Send it, and see that it is refused as it has to be and leaves nothing behind."""
        before = rows(self.app)
        answer = self.client.open(path, method=method, **more)
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
        assert answer.content_type == "application/problem+json", answer.text
        body = answer.get_json()
        assert body["code"] in KNOWN_CODES
        assert body["detail"]
        assert body["status"] == answer.status_code
        if field is not None:
            assert (answer.status_code, body.get("field")) == (400, field), answer.text
        assert rows(self.app) == before
        return answer


json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        [NUL, ARABIC_DIGITS, FULL_WIDTH_DIGITS, "x" * 5000, "\ud800", 10**400, -(10**30)]
    )
)
json_values = st.recursive(
    json_scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
not_text = json_values.filter(lambda value: not isinstance(value, str))
header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


def deep(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


# -- fields ------------------------------------------------------------------------------------


@EXAMPLES
@given(phone=json_values.filter(lambda v: not (isinstance(v, str) and v.strip()[-8:].isdigit())))
def test_any_other_phone_is_refused_at_its_field(world, phone):
    answer = world.refuses(
        "POST", "/stk-push", "phone", json={"order_id": world.order_id, "phone": phone}
    )

    assert answer.get_json()["code"] == "invalid_phone"


@EXAMPLES
@given(order_id=json_values)
def test_any_other_order_id_is_refused(world, order_id):
    answer = world.refuses("POST", "/stk-push", json={"order_id": order_id, "phone": PAYER})

    unknown = isinstance(order_id, str) and order_id
    assert answer.get_json()["code"] == ("order_not_found" if unknown else "invalid_request")


@EXAMPLES
@given(order_id=st.text(max_size=60), phone=st.text(max_size=30))
def test_any_other_form_is_refused(world, order_id, phone):
    fields = {
        "order_id": order_id.encode("utf-8", "replace"),
        "phone": phone.encode("utf-8", "replace"),
    }

    world.refuses("POST", "/stk-push", data=fields)


FIELDS = {
    "amount": json_values.filter(lambda v: type(v) is not int or not 1 <= v <= 250_000),
    "reference": not_text | st.sampled_from(["", NUL, ARABIC_DIGITS, "A" * 65, "INV 1", "INV\n"]),
    "description": not_text
    | st.sampled_from(["", "   ", NUL, "x" * 201, "a\nb", "\ud800", "\u2028"]),
    "return_url": not_text.filter(lambda v: v is not None) | st.text(max_size=40),
    "expires_at": not_text.filter(lambda v: v is not None) | st.text(max_size=40),
}


@EXAMPLES
@given(wrong=st.sampled_from(sorted(FIELDS)).flatmap(lambda f: st.tuples(st.just(f), FIELDS[f])))
def test_any_other_field_of_an_order_is_refused_at_its_field(world, wrong):
    field, value = wrong

    world.refuses(
        "POST", "/api/orders", field, json=order_fields(**{field: value}), headers=API_KEY
    )


@pytest.mark.parametrize("missing", ["amount", "reference", "description"])
def test_a_field_of_an_order_that_is_missing_is_named(world, missing):
    fields = order_fields()
    del fields[missing]

    world.refuses("POST", "/api/orders", missing, json=fields, headers=API_KEY)


@pytest.mark.parametrize(("missing", "left"), [("order_id", "phone"), ("phone", "order_id")])
def test_a_field_of_a_push_that_is_missing_is_named(world, missing, left):
    fields = {"order_id": world.order_id, "phone": PAYER}

    world.refuses("POST", "/stk-push", missing, json={left: fields[left]})


# -- bodies ------------------------------------------------------------------------------------

BODY_ROUTES = ["/stk-push", "/api/orders", "/sms-code"]
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=50).map(lambda text: text.encode("utf-16")),
    json_values.filter(lambda v: not isinstance(v, dict)).map(lambda v: json.dumps(v).encode()),
    st.sampled_from(
        [
            json.dumps(deep(900)).encode(),
            b"[" * 60_000,
            b'{"a":' * 10_000,
            b'{"phone": "0712345678", "phone": "0722000111"}',
            b'{"amount": 1, "amount": 1}',
            b'{"amount": NaN}',
            b"\xef\xbb\xbf{}",
            b"{" + b" " * 60_000,
            b"x" * 1_000_000,
        ]
    ),
)


@EXAMPLES
@given(path=st.sampled_from(BODY_ROUTES), body=BODIES)
def test_any_other_json_is_refused(world, path, body):
    world.refuses("POST", path, data=body, content_type="application/json", headers=API_KEY)


CONTENT_TYPES = st.sampled_from(
    [
        "",
        "text/plain",
        "application/xml",
        "application/jsonx",
        "application/json/",
        "json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=x",
        "application/x-www-form-urlencoded; charset=nonsense",
        "application/json; charset=utf-16",
        ";;;",
        "\xff",
    ]
)


@EXAMPLES
@given(path=st.sampled_from(BODY_ROUTES), content_type=CONTENT_TYPES, body=BODIES)
def test_any_other_content_type_is_refused(world, path, content_type, body):
    world.refuses("POST", path, data=body, headers=API_KEY | {"Content-Type": content_type})


@pytest.mark.parametrize("path", [*BODY_ROUTES, "/"])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_of_a_megabyte_is_refused(world, path, content_type):
    world.refuses("POST", path, data=b"a=" * 500_000, content_type=content_type, headers=API_KEY)


# -- query strings, paths, headers -------------------------------------------------------------


@EXAMPLES
@given(tx_id=st.text(max_size=80), more=st.dictionaries(st.text(max_size=5), st.text(max_size=9)))
def test_any_other_transaction_id_is_refused(world, tx_id, more):
    query = {**_encodable(more), "tx_id": tx_id.encode("utf-8", "replace")}

    world.refuses("GET", "/check-status", query_string=query)


@EXAMPLES
@given(query=st.binary(max_size=60))
def test_any_raw_query_string_is_refused(world, query):
    raw = query.decode("latin-1").replace("#", "")

    world.refuses("GET", "/check-status", query_string=raw)


@EXAMPLES
@given(reference=st.text(max_size=40).filter(lambda text: not text.isascii() or len(text) > 12))
def test_any_other_reference_is_refused_at_its_field(world, reference):
    query = {"reference": reference.encode("utf-8", "replace")}

    world.refuses("GET", "/api/orders", "reference", query_string=query, headers=API_KEY)


ID_ROUTES = [
    ("GET", "/checkout/{}"),
    ("GET", "/api/orders/{}"),
    ("POST", "/api/orders/{}/cancel"),
    ("POST", "/callback/{}"),
]


@EXAMPLES
@given(route=st.sampled_from(ID_ROUTES), segment=st.text(min_size=1, max_size=80))
def test_any_other_id_in_an_address_is_refused(world, route, segment):
    method, path = route

    world.refuses(method, path.format(_quoted(segment)), headers=API_KEY)


@EXAMPLES
@given(tx_id=json_values, code=json_values)
def test_any_other_sms_code_is_refused(world, tx_id, code):
    world.refuses("POST", "/sms-code", json={"tx_id": tx_id, "code": code})


@EXAMPLES
@given(key=header_text.filter(lambda t: not t.isascii() or not t.strip()) | st.just("k" * 256))
@pytest.mark.parametrize("path", ["/stk-push", "/api/orders"])
def test_any_other_idempotency_key_is_refused(world, path, key):
    fields = order_fields() | {"order_id": world.order_id, "phone": "0733000111"}

    world.refuses(
        "POST", path, "Idempotency-Key", json=fields, headers=API_KEY | {"Idempotency-Key": key}
    )


ODD_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Accept-Language",
            "Accept-Encoding",
            "Authorization",
            "Content-Length",
            "Cookie",
            "Forwarded",
            "If-Modified-Since",
            "If-None-Match",
            "Origin",
            "Range",
            "Referer",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-HTTP-Method-Override",
        ]
    ),
    header_text.filter(lambda text: "html" not in text),
)


@EXAMPLES
@given(
    headers=ODD_HEADERS,
    route=st.sampled_from(
        [
            ("GET", "/check-status?tx_id=x"),
            ("POST", "/stk-push"),
            ("POST", "/api/orders"),
            ("POST", "/sms-code"),
            ("GET", "/api/orders"),
            ("GET", f"/checkout/{'A' * 22}"),
            ("POST", f"/callback/{'0' * 64}"),
            ("GET", "/nothing"),
        ]
    ),
)
def test_odd_headers_change_no_refusal_into_a_server_error(world, headers, route):
    world.refuses(*route, headers=headers)


# -- callbacks: everything is kept -------------------------------------------------------------


@EXAMPLES
@given(body=st.binary(max_size=300) | BODIES.filter(lambda body: len(body) <= 65_536))
def test_a_callback_of_any_kind_is_kept_and_accepted(world, body):
    before = rows(world.app)

    answer = world.client.post(world.callback, data=body)

    assert (answer.status_code, answer.get_json()["ResultCode"]) == (200, 0)
    # One more piece of evidence; no order, transaction or key.
    orders, transactions, evidence, keys = before
    assert rows(world.app) == (orders, transactions, evidence + 1, keys)


@EXAMPLES
@given(
    result=st.fixed_dictionaries(
        {},
        optional={
            "ResultCode": json_values,
            "CheckoutRequestID": json_values,
            "MerchantRequestID": json_values,
            "ResultDesc": json_values,
            "CallbackMetadata": json_values
            | st.fixed_dictionaries(
                {
                    "Item": st.lists(
                        json_values
                        | st.fixed_dictionaries(
                            {
                                "Name": st.sampled_from(["Amount", "MpesaReceiptNumber"])
                                | json_values
                            },
                            optional={"Value": json_values},
                        ),
                        max_size=4,
                    )
                }
            ),
        },
    )
)
def test_a_result_with_any_fields_is_kept_and_pays_nothing(world, result):
    before = rows(world.app)
    body = json.dumps({"Body": {"stkCallback": result}}).encode()

    answer = world.client.post(world.callback, data=body, content_type="application/json")

    assert answer.status_code == 200
    assert rows(world.app)[2] == before[2] + 1
    found = world.client.get("/api/orders?reference=INV-1", headers=API_KEY).get_json()["orders"]
    assert {order["status"] for order in found} == {"OPEN"}


def _encodable(fields):
    return {
        name.encode("utf-8", "replace"): value.encode("utf-8", "replace")
        for name, value in fields.items()
        if name != "tx_id"
    }


def _quoted(segment):
    """As one path segment; what would be read as another path is left out."""
    escaped = "".join(f"%{byte:02x}" for byte in segment.encode("utf-8", "replace"))
    return escaped.replace("%2f", "x").replace("%2e", "x")
