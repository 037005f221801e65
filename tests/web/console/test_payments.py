"""The list of payments, and the story of one, as an operator reads them."""

import json
import re
from collections import deque
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from mpesa import ledger, outbox
from mpesa.domain import settlement
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.payment_search import Parts
from mpesa.domain.roles import Role
from mpesa.models import EvidenceRow, Order, Transaction, begins_with, db
from mpesa.outbox import Announced
from mpesa.web.console import payments, raw_bodies, sealed
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import (
    PAYER,
    PAYER_MSISDN,
    RECEIPT,
    SECOND_PAYER,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
    success_callback,
)
from tests.web.console.steps import NAME, logged_in, send, with_technical_details
from tests.web.steps import call_back, fail, pushed, status_of

LIST = "/console/transactions"


def shown(page):
    """The payments of a list, in its order."""
    return re.findall(r'<tr data-transaction="([^"]+)"', page.text)


def followed(client, answer):
    assert answer.status_code == 303
    return client.get(answer.headers["Location"])


def link(page, word):
    """Where the link with this word leads; None where it leads nowhere."""
    found = re.search(rf'<a class="button quiet small" href="([^"]+)"[^>]*>{word}<', page.text)
    return found and found[1].replace("&amp;", "&")


@pytest.fixture
def three(client, daraja, clock, make_order):
    """A paid, a failed and a pending payment, a minute apart; their ids, oldest first."""
    made = []
    for number, phone in enumerate((PAYER, SECOND_PAYER, "0733000222"), 1):
        order = make_order(reference=f"INV-{number}")
        made.append(pushed(client, order, phone)["transaction_id"])
        clock.pass_(seconds=30)
    call_back(client, daraja, 1)
    fail(client, daraja, 1032, 2)
    return made


# -- the list ------------------------------------------------------------------------------------


def test_the_newest_payment_is_first(operator, three):
    assert shown(operator.get(LIST)) == three[::-1]


def test_an_empty_list_says_so(operator):
    assert "No payments yet" in operator.get(LIST).text


NARROWED = {
    "status=SUCCESS": [0],
    "status=FAILED": [1],
    "status=PENDING": [2],
    "reason=cancelled": [1],
    "reason=paid": [0],
    "status=FAILED&reason=cancelled": [1],
    "status=SUCCESS&reason=cancelled": [],
    "day=2026-11-24": [2, 1, 0],
    "period=today": [2, 1, 0],
    "period=yesterday": [],
    "from=2026-11-01&to=2026-11-30": [2, 1, 0],
    "from=2026-11-25": [],
    "period=7days&status=PENDING": [2],
    "day=2026-11-25": [],
    "day=2026-11-24&status=FAILED": [1],
    "reference=INV-3": [2],
    "reference=INV-9": [],
    "status=NONSENSE&reason=&before=x&after=9.y&order=%00&line_of='": [2, 1, 0],
}


@on_both
def test_a_list_is_narrowed_by_state_reason_day_and_reference(operator, three):
    for query, numbers in NARROWED.items():
        page = operator.get(f"{LIST}?{query}")

        assert page.status_code == 200
        assert shown(page) == [three[number] for number in numbers], query


def test_a_day_is_one_of_nairobi(app, client, clock, make_order):
    clock.pass_(hours=11, minutes=59)  # 23:59 in Nairobi
    before = pushed(client, make_order())["transaction_id"]
    clock.pass_(minutes=2)
    after = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    operator = logged_in(app)

    assert shown(operator.get(f"{LIST}?day=2026-11-24")) == [before]
    assert shown(operator.get(f"{LIST}?day=2026-11-25")) == [after]


@on_both
def test_every_payment_is_on_one_page_and_one_only_both_ways(
    operator, client, clock, make_order, monkeypatch
):
    monkeypatch.setattr("mpesa.web.console.payments.PAGE", 2)
    made = []
    for number in range(5):
        # Two at the same moment: the id parts them.
        clock.pass_(seconds=number % 2)
        phone = f"07120000{number:02d}"
        made.append(pushed(client, make_order(), phone)["transaction_id"])

    forth = [page := operator.get(LIST)]
    while link(page, "Older"):
        forth.append(page := operator.get(link(page, "Older")))
    back = [page]
    while link(page, "Newer"):
        back.append(page := operator.get(link(page, "Newer")))

    there = [each for page in forth for each in shown(page)]
    assert sorted(there) == sorted(made)
    assert [shown(page) for page in back] == [shown(page) for page in forth][::-1]


@pytest.mark.parametrize(
    "period", ["period=month", "from=2026-11-24&to=2026-11-30"], ids=["named", "days"]
)
def test_a_page_keeps_what_it_is_narrowed_to(operator, three, monkeypatch, period):
    monkeypatch.setattr("mpesa.web.console.payments.PAGE", 1)

    page = operator.get(f"{LIST}?{period}&channel=push")
    older = link(page, "Older")

    assert period in older
    assert "channel=push" in older
    assert shown(operator.get(older)) == [three[1]]
    assert f'href="{LIST}.csv?{period}"'.replace("&", "&amp;") in page.text
    assert f'href="{LIST}?channel=push&amp;period=yesterday"' in page.text
    for each in period.split("&"):
        name, value = each.split("=")
        assert f'<input type="hidden" name="{name}" value="{value}">' in page.text


@pytest.mark.parametrize(("most", "shown"), [(3, "(3)"), (2, "(2+)")])
def test_the_lines_of_an_export_are_counted_no_further_than_a_page_has_time_for(
    operator, three, monkeypatch, most, shown
):
    for room in ("export", "payments"):
        monkeypatch.setattr(f"mpesa.web.console.{room}.MOST_COUNTED", most)

    assert f"Export 24 Nov {shown}" in operator.get(LIST).text


def test_the_export_button_says_what_it_gives(operator, three):
    october = operator.get(f"{LIST}?period=last_month").text

    assert "Export 24 Nov (3)" in operator.get(LIST).text
    assert (
        "Export 1\N{EN DASH}30 Nov (3)"
        in operator.get(f"{LIST}?from=2026-11-01&to=2026-11-30").text
    )
    assert "Export 1\N{EN DASH}31 Oct (0)" in october


# -- search --------------------------------------------------------------------------------------


def found_by(operator, typed):
    return followed(operator, send(operator, LIST, q=typed))


@pytest.mark.parametrize(
    "typed",
    [
        RECEIPT,
        RECEIPT.lower(),
        f"  {RECEIPT} ",
        f"\u202a{RECEIPT}\u202c",
        f"{RECEIPT} Confirmed. Ksh150.00 sent to DUKA LA MFANO on 24/11/26 at 12:00 PM.",
    ],
)
def test_a_receipt_leads_to_its_payment(operator, three, typed):
    assert RECEIPT in found_by(operator, typed).text


def test_a_transactions_id_leads_to_it(operator, three):
    answer = send(operator, LIST, q=three[1])

    assert answer.headers["Location"] == f"{LIST}/{three[1]}"


def test_an_orders_id_leads_to_its_payments(operator, client, three):
    order = status_of(client, three[1])["order_id"]

    assert shown(found_by(operator, order)) == [three[1]]


def test_a_reference_leads_to_its_payments(operator, three):
    assert shown(found_by(operator, "INV-2")) == [three[1]]


@on_both
def test_a_long_reference_leads_to_its_payments(operator, client, make_order):
    reference = "ORD-2026-000123" + "/x" * 24
    paid = pushed(client, make_order(reference=reference))["transaction_id"]
    pushed(client, make_order(reference=reference[:-1] + "y"), SECOND_PAYER)

    page = found_by(operator, reference)

    assert shown(page) == [paid]
    assert reference in page.text


def test_a_long_references_payment_says_what_the_prompt_showed_of_it(operator, client, make_order):
    long = pushed(client, make_order(reference="ORD-2026-000123"))["transaction_id"]
    short = pushed(client, make_order(reference="INV-1"), SECOND_PAYER)["transaction_id"]

    assert "-2026-000123</dd>" in operator.get(f"{LIST}/{long}").text
    assert "Shown to the payer" not in operator.get(f"{LIST}/{short}").text


@on_both
@pytest.mark.parametrize("typed", ["a\0b", "\0" * 22, "A" * 65, "\u202e", "x" * 5000, "UKO1\0"])
def test_what_cannot_be_anything_is_looked_for_nowhere(operator, three, typed):
    page = found_by(operator, typed)

    assert "No payment fits" in page.text
    assert shown(page) == []


@pytest.mark.parametrize(
    "typed",
    [
        PAYER,
        f"+{PAYER_MSISDN}",
        "0712 345 678",
        "\u202a+254 712 345 678\u202c",
        "0712\u00a0345\u00a0678",
        f"tel:+{PAYER_MSISDN}",
    ],
)
def test_a_whole_number_leads_to_the_payments_of_its_line(operator, three, typed):
    answer = send(operator, LIST, q=typed)
    page = followed(operator, answer)

    assert shown(page) == [three[0]]
    assert "0712•••678" in page.text
    assert "712345678" not in answer.headers["Location"]  # which every proxy logs
    assert "712345678" not in page.text


def test_what_is_not_there_is_not_found(operator, three):
    for typed in ("nothing", "0799999999", "712", "' OR 1=1 --", "\0", "%", "x" * 5000, "🦒"):
        page = found_by(operator, typed)

        assert "No payment fits" in page.text
        assert "an amount, such as 1,500" in page.text
        assert shown(page) == []
        assert "0799999999" not in page.text


@pytest.fixture
def several(client, daraja, clock, make_order):
    """Four payments of one payer each, a minute apart, the first paid; their ids, oldest first."""
    made = []
    for reference, description, amount, phone in (
        ("SO-1050", "Kiondo basket, large", 1500, "0712345678"),
        ("so-1051", "Chai", 450, "0722000678"),
        ("INV_10", "Two kiondos and a 1500 W kettle", 20, "0733123456"),
        ("UKO1A", "Chai na mandazi", 20, "0110999111"),
    ):
        order = make_order(reference=reference, description=description, amount=amount)
        made.append(pushed(client, order, phone)["transaction_id"])
        clock.pass_(seconds=60)
    ids = (daraja.checkout_id(1), daraja.merchant_id(1))
    call_back(client, daraja, 1, raw(success_callback(*ids, amount=1500)))
    return made


PARTS = {
    "so-10": [1, 0],
    "SO-1050": [0],  # a whole reference, as ever
    "so-1050": [0],
    "SO-10_": [],
    "inv_": [2],
    "uko1a": [3, 0],
    RECEIPT[:6].lower(): [0],
    "678": [1, 0],
    "5678": [0],
    "345678": [0],
    "345 678": [0],
    "111": [3],
    "1500": [2, 0],
    "1,500": [0],
    "KES 20": [3, 2],
    "kiondo": [2, 0],
    "KIONDO BASKET": [0],
    "chai mand": [3],
    "basket chai": [],
}


@on_both
def test_a_part_finds_what_it_may_be_a_part_of(operator, several):
    for typed, numbers in PARTS.items():
        page = found_by(operator, typed)

        assert shown(page) == [several[each] for each in numbers], typed


def test_what_was_typed_stays_in_the_box_and_out_of_the_address(operator, several):
    answer = send(operator, LIST, q="345 678")
    page = followed(operator, answer)

    assert 'name="q" value="345 678"' in page.text
    assert "345" not in answer.headers["Location"]
    filtered = re.search(r'<input type="hidden" name="q" value="([^"]+)">', page.text)[1]
    assert shown(operator.get(f"{LIST}?q={filtered}&status=FAILED")) == []
    assert shown(operator.get(f"{LIST}?q={filtered}&status=SUCCESS")) == [several[0]]


def test_a_search_is_paged_both_ways(operator, several, monkeypatch):
    monkeypatch.setattr("mpesa.web.console.payments.PAGE", 1)

    first = found_by(operator, "so-10")
    second = operator.get(link(first, "Older"))

    assert (shown(first), shown(second)) == ([several[1]], [several[0]])
    assert shown(operator.get(link(second, "Newer"))) == [several[1]]


@on_both
def test_many_that_fit_are_read_in_the_order_of_time(operator, several, monkeypatch):
    monkeypatch.setattr("mpesa.web.console.payments._FEW", 0)

    assert shown(found_by(operator, "so-10")) == [several[1], several[0]]
    assert shown(found_by(operator, "kiondo")) == [several[2], several[0]]
    assert shown(found_by(operator, RECEIPT[:6])) == [several[0]]


def test_a_viewer_finds_by_the_digits_that_are_shown_and_by_no_more(app, several):
    viewer = logged_in(app, "viewer", role=Role.VIEWER)

    assert shown(found_by(viewer, "678")) == [several[1], several[0]]
    assert shown(found_by(viewer, "5678")) == []
    assert shown(found_by(viewer, "0712345678")) == []


def test_a_search_of_another_key_is_none(operator, several):
    other = sealed.seal("so-10", "another key, which is long enough for it")

    assert shown(operator.get(f"{LIST}?q={other}")) == several[::-1]
    assert shown(operator.get(f"{LIST}?q=nonsense")) == several[::-1]


@pytest.mark.parametrize(
    ("parts", "index"),
    [
        (Parts(amount=1500), "ix_transactions_amount"),
        (Parts(last_digits="678"), "ix_transactions_last_digits"),
        (Parts(last_digits="345678"), "ix_transactions_last_digits"),
        (Parts(receipt="UKO1"), "receipt>? AND receipt<?"),
    ],
)
def test_sqlite_finds_a_part_by_an_index_of_its_own(app, parts, index):
    with app.app_context():
        wanted = payments.statement(payments.Wanted(parts=parts))
        assert index in plan_on_sqlite(wanted)


def test_sqlite_finds_how_a_reference_begins_by_an_index(app):
    with app.app_context():
        wanted = select(Order.id).where(begins_with("sqlite", "SO-10"))
        assert "ix_orders_begins" in plan_on_sqlite(wanted)


def plan_on_sqlite(wanted):
    sql = wanted.compile(db.engine, compile_kwargs={"literal_binds": True})
    rows = db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}")).all()
    return " ".join(row.detail for row in rows)


# -- how a list looks ----------------------------------------------------------------------------


def test_a_list_is_grouped_by_day(app, client, clock, make_order):
    pushed(client, make_order())
    clock.pass_(hours=24)
    pushed(client, make_order(), SECOND_PAYER)

    page = logged_in(app).get(LIST).text

    days = re.findall(r'<th scope="rowgroup" colspan="6">([^<]+)</th>', page)
    assert days == ["Today, Wednesday 25 Nov", "Yesterday, Tuesday 24 Nov"]


def test_a_reason_is_told_only_where_it_says_something(operator, three):
    page = operator.get(LIST).text

    assert "in time" not in page.split("<tbody>", 1)[1]
    assert "cancelled" in page.split("<tbody>", 1)[1]


# -- one payment ---------------------------------------------------------------------------------


def page_of(operator, transaction_id):
    answer = operator.get(f"{LIST}/{transaction_id}")
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("transaction_id", ["nothing", "x" * 22, "%00", "../../etc"])
def test_a_payment_that_is_not_there_is_not_found(operator, transaction_id):
    assert operator.get(f"{LIST}/{transaction_id}").status_code == 404


def test_a_payments_page_tells_its_story_in_order(operator, three):
    text = page_of(operator, three[0])

    story = ["Payment request sent", "M-PESA accepted the request", "M-PESA confirmed: paid"]
    places = [text.index(each) for each in story]
    assert places == sorted(places)
    assert "24 Nov 2026, 12:01:30" in text
    assert RECEIPT in text


WORDS_OF_DEVELOPERS = re.compile(
    r"Raw body|127\.0\.0\.1|09:01:30\.000Z|[0-9]{2}\.[0-9]{3}<|Daraja|push"
)


def test_a_payments_page_speaks_of_a_shop_until_technical_details_are_wanted(operator, three):
    def main():
        # The tokens of its forms have the second in them.
        page = re.sub('name="csrf_token" value="[^"]*"', "", page_of(operator, three[0]))
        return page.split("<main", 1)[1]

    plain = main()
    switched = operator.get(f"{LIST}/{three[0]}?technical=on")
    technical = main()
    operator.get(f"{LIST}?technical=off&lang=en")

    assert not WORDS_OF_DEVELOPERS.search(plain)
    assert switched.headers["Location"] == f"{LIST}/{three[0]}"
    for each in ("Raw body", "from 127.0.0.1", "2026-11-24 09:01:30.000Z", "12:01:30.000<"):
        assert each in technical
    assert main() == plain


def test_equal_questions_in_a_row_are_one_line(app, operator, client, make_order, clock):
    payment = pushed(client, make_order())["transaction_id"]
    with app.app_context():
        for _ in range(4):
            clock.pass_(minutes=5)
            asked = settlement.QueryUnanswered(), Raw(Kind.QUERY, b"{}")
            ledger.record(db.session(), payment, *asked, services().now)

    folded = page_of(operator, payment)
    every = page_of(with_technical_details(operator), payment)

    assert folded.count("Asked M-PESA: no result yet") == 1
    assert "asked 4 times, last 12:20" in folded
    assert every.count("<h3>Asked M-PESA: no result yet") == 4


def test_the_story_says_when_open_pages_were_told_of_what(app, operator, three):
    with app.app_context():
        paid = db.session.get_one(Transaction, three[0])
        at = paid.settled_at + timedelta(milliseconds=40)
        told = Announced(paid.id, paid.seq, paid.status, paid.reason, "PAID", 2, at)
        outbox.write_down(db.session(), deque([told]))

    text = page_of(operator, three[0])

    before, after = text.split("page (2 open)")
    assert "M-PESA confirmed: paid" in before
    assert "12:01:30<" in after[:200]
    assert '<span class="state SUCCESS">Paid</span>' in after[:600]
    assert "open)" not in page_of(operator, three[1])


def test_every_piece_of_evidence_has_its_raw_body(operator, three):
    text = page_of(with_technical_details(operator), three[1])

    assert "&#34;ResultDesc&#34;: &#34;Request cancelled by user&#34;" in text
    assert "&#34;ResultCode&#34;: 1032" in text


@pytest.mark.parametrize("path", [LIST, "{}", "/console/review"])
def test_no_page_holds_a_whole_number_or_an_id_of_daraja(operator, client, daraja, three, path):
    call_back(client, daraja, 3, raw(success_callback("ws_CO_9", "1", receipt="UKO2ABCDEF")))

    text = with_technical_details(operator).get(path.format(f"{LIST}/{three[0]}")).text

    assert "712345678" not in text
    assert daraja.checkout_id(1) not in text
    assert daraja.token_of(1) not in text


HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>{{ 7*7 }}'


def test_hostile_text_of_a_callback_and_a_description_is_only_text(
    operator, client, daraja, make_order
):
    made = pushed(client, make_order(description=HOSTILE))["transaction_id"]
    document = failure_callback(daraja.checkout_id(1), daraja.merchant_id(1), 1032)
    document["Body"]["stkCallback"]["ResultDesc"] = HOSTILE
    call_back(client, daraja, 1, raw(document))
    with_technical_details(operator)

    for path in (LIST, f"{LIST}/{made}"):
        text = operator.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(" in text
        assert "49" not in text.split("{{ 7*7 }}")[0][-3:]


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00garbage",
        b"",
        b"null",
        b"[" * 5000,
        b'{"a": 1, "a": 2}',
        b"9" * 5000,
        "\u202e\u200b\u2066".encode(),
        b"<!--",
        b'{"once": 1}',
    ],
)
def test_a_body_of_any_kind_is_shown(operator, client, daraja, make_order, body):
    made = pushed(client, make_order())["transaction_id"]
    call_back(client, daraja, 1, body)

    text = page_of(with_technical_details(operator), made)

    assert not {"\u202e", "\u200b", "\u2066", "\0"} & set(text)


def test_a_long_body_is_cut_until_all_of_it_is_asked_for(operator, client, daraja, make_order):
    made = pushed(client, make_order())["transaction_id"]
    call_back(client, daraja, 1, b"a" * 5000 + b"the end")

    text = page_of(with_technical_details(operator), made)
    address = re.search(r'href="([^"]+)#e\d+">Show all of it', text)[1]

    assert "the end" not in text
    assert "the end" in operator.get(address.replace("&amp;", "&")).text


def test_a_flood_of_callbacks_is_read_in_pieces(operator, client, daraja, make_order):
    made = pushed(client, make_order())["transaction_id"]
    for number in range(101):
        call_back(client, daraja, 1, f"flood {number}.".encode())

    first = with_technical_details(operator).get(f"{LIST}/{made}")
    rest = operator.get(link(first, "What came later"))

    assert "flood 98." in first.text
    assert "flood 99." not in first.text
    assert "flood 100." in rest.text


def test_the_other_attempts_of_the_order_are_named(operator, client, daraja, make_order, clock):
    order = make_order()
    first = pushed(client, order)["transaction_id"]
    fail(client, daraja, 1032)
    second = pushed(client, order)["transaction_id"]

    assert f'href="{LIST}/{first}"' in page_of(operator, second)


# -- the number ----------------------------------------------------------------------------------


@on_both
def test_the_number_is_shown_once_and_that_somebody_looked_is_kept(app, operator, three, client):
    path = f"{LIST}/{three[0]}"
    before = status_of(client, three[0])

    asked = send(operator, f"{path}/reveal", path)
    shown = operator.get(path).text

    assert (asked.status_code, asked.headers["Location"]) == (303, path)
    assert f"+{PAYER_MSISDN}" in shown
    again = operator.get(path).text
    assert "712345678" not in again
    assert f"{NAME}: looked at the number" in again
    assert status_of(client, three[0]) == before
    with app.app_context():
        kept = db.session.scalars(select(EvidenceRow).where(EvidenceRow.kind == "operator")).one()
        assert (kept.source, json.loads(kept.body)) == (NAME, {"act": "reveal"})


def test_the_number_of_another_payment_is_not_shown_instead(operator, three):
    send(operator, f"{LIST}/{three[0]}/reveal")

    assert f"+{PAYER_MSISDN}" not in page_of(operator, three[1])
    assert f"+{PAYER_MSISDN}" in page_of(operator, three[0])


def test_a_copied_cookie_shows_the_number_for_half_a_minute(operator, three, clock):
    path = f"{LIST}/{three[0]}"
    send(operator, f"{path}/reveal")
    clock.pass_(seconds=31)

    assert f"+{PAYER_MSISDN}" not in page_of(operator, three[0])


def test_the_number_is_in_no_answer_to_a_get(operator, three):
    assert operator.get(f"{LIST}/{three[0]}/reveal").status_code == 404


def test_a_number_that_was_forgotten_is_told_as_that(app, operator, three):
    with app.app_context():
        db.session.get_one(Transaction, three[0]).msisdn = None
        db.session.commit()

    assert "forgotten" in page_of(operator, three[0])
    assert send(operator, f"{LIST}/{three[0]}/reveal").status_code == 303
    assert "forgotten" in page_of(operator, three[0])


# -- raw bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"PhoneNumber": 254712345678}',
        '"+254712345678"',
        "0712345678",
        "+254 712 345 678",
        "712-345-678",
        "ws_CO_24112026120000001712345678",
        "ws_CO_DMZ_123_24112026120000001712345678",
        "x712345678x",
    ],
)
def test_a_number_is_masked_however_it_is_written(text):
    masked = raw_bodies.masked(text, PAYER_MSISDN)

    assert "345" not in masked
    assert "•••678" in masked


@pytest.mark.parametrize("msisdn", [None, SECOND_PAYER_MSISDN])
def test_a_number_of_somebody_else_is_masked_too(msisdn):
    assert "345" not in raw_bodies.masked('{"PhoneNumber": 254712345678}', msisdn)


@pytest.mark.parametrize("text", ['{"TransactionDate": 20261124120010}', RECEIPT, "1032", "150.0"])
def test_what_is_no_number_stays(text):
    assert raw_bodies.masked(text, PAYER_MSISDN) == text


def test_a_body_that_is_deep_and_wide_costs_no_more_than_what_is_shown():
    deep = b"[" * 900 + b",".join([b"1"] * 30_000) + b"]" * 900

    beginning = raw_bodies.readable(deep, raw_bodies.SHOWN)

    assert len(beginning) == raw_bodies.SHOWN
    assert len(raw_bodies.readable(deep)) < 60 * len(deep)


def test_json_is_written_in_lines_with_every_value_as_it_came():
    body = b'{"a":1.50,"a":[],"b":{"c":[1e400,"x,{y}"]},"d":{}}'

    assert raw_bodies.readable(body) == (
        '{\n  "a": 1.50,\n  "a": [],\n  "b": {\n    "c": [\n      1e400,\n      "x,{y}"\n    ]\n'
        '  },\n  "d": {}\n}'
    )
