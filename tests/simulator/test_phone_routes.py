import dataclasses
import re
import threading

import pytest

from mpesa.simulator.organisation import Organisation
from tests.simulator.shop import PAYER, SECOND_PAYER


def test_prompts_are_listed_for_one_line_or_all(shop):
    mine = shop.asked_to_pay(PAYER)
    other = shop.asked_to_pay(SECOND_PAYER)

    assert [prompt["id"] for prompt in shop.get(f"/prompts?msisdn={PAYER}")] == [mine]
    assert [prompt["id"] for prompt in shop.get("/prompts")] == [mine, other]


def test_a_prompt_tells_what_the_phone_shows(shop):
    payment = shop.asked_to_pay()

    (prompt,) = shop.get("/prompts")

    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", prompt.pop("created_at"))
    assert prompt == {
        "id": payment,
        "msisdn": PAYER,
        "amount": 150,
        "reference": "INV-1",
        "business": "Duka la Mfano",
    }


def test_the_right_pin_moves_the_money_once(shop):
    payment = shop.asked_to_pay()

    answer = shop.answer(payment, pin="1234").json

    (entry,) = shop.get("/ledger")
    assert (answer["result_code"], answer["receipt"]) == (0, entry["receipt"])
    assert entry.pop("paid_at")
    assert entry == {
        "receipt": answer["receipt"],
        "checkout_request_id": payment,
        "msisdn": PAYER,
        "amount": 150,
        "reference": "INV-1",
        "direction": "in",
        "channel": "push",
        "short_code": "174379",
        "account": "INV-1",
        "returned_by": None,
        "reverses": None,
    }
    assert shop.get(f"/lines/{PAYER}")["balance"] == 49_850


@pytest.mark.parametrize(("answer", "code"), [({"pin": "4321"}, 2001), ({"cancel": True}, 1032)])
def test_a_wrong_pin_and_a_cancel_move_nothing(shop, answer, code):
    payment = shop.asked_to_pay()

    result = shop.answer(payment, **answer).json

    assert (result["result_code"], result["receipt"]) == (code, None)
    assert shop.next_callback()["ResultCode"] == code
    assert shop.get("/ledger") == []


def test_a_prompt_is_answered_once(shop):
    payment = shop.asked_to_pay()
    shop.answer(payment, cancel=True)

    again = shop.answer(payment, pin="1234")

    assert (again.status_code, again.json["code"]) == (409, "prompt_closed")
    assert again.mimetype == "application/problem+json"


def test_of_many_answers_at_once_one_counts(shop):
    payment = shop.asked_to_pay()
    codes = []
    start = threading.Barrier(8)

    def answer():
        start.wait()
        client = shop.http.application.test_client()
        codes.append(client.post(f"/prompts/{payment}/answer", json={"pin": "1234"}).status_code)

    threads = [threading.Thread(target=answer) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(codes) == [200] + [409] * 7
    assert len(shop.get("/ledger")) == 1


def test_an_unknown_prompt_is_not_found(shop):
    answer = shop.answer("ws_CO_0", pin="1234")

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pin"),
        ({"pin": 1234}, "pin"),
        ({"pin": ""}, "pin"),
        ({"pin": "١٢٣٤"}, "pin"),
        ({"cancel": False}, "cancel"),
        ({"cancel": True, "pin": "1234"}, "cancel"),
    ],
)
def test_an_answer_that_says_nothing_clear_leaves_the_prompt_open(shop, body, field):
    payment = shop.asked_to_pay()

    answer = shop.answer(payment, **body)

    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert len(shop.get("/prompts")) == 1


def test_a_line_keeps_the_switches_that_were_left_out(shop):
    shop.script(answer="pay", after=2)

    line = shop.script(balance=10).json

    assert (line["msisdn"], line["answer"], line["after"], line["balance"]) == (PAYER, "pay", 2, 10)
    assert shop.get("/lines") == [line]


def test_a_bad_switch_is_a_problem_that_names_it(shop):
    answer = shop.script(answer="perhaps", balance=10)

    assert answer.status_code == 400
    assert (answer.json["code"], answer.json["field"]) == ("invalid_request", "answer")
    assert "manual, pay, cancel" in answer.json["detail"]
    assert shop.get("/lines") == []


@pytest.mark.parametrize("body", ["", "[]", "{"])
def test_a_script_must_be_an_object(shop, body):
    answer = shop.http.put(f"/lines/{PAYER}", data=body, content_type="application/json")

    assert answer.status_code == 400


@pytest.mark.parametrize("msisdn", ["0712345678", "254812345678", "25471234567٨", "254"])
def test_a_line_is_named_by_its_msisdn(shop, msisdn):
    answer = shop.script(msisdn, balance=1)

    assert (answer.status_code, answer.json["field"]) == (400, "msisdn")


def test_the_sms_is_kept_on_the_line(shop):
    payment = shop.asked_to_pay()
    receipt = shop.answer(payment, pin="1234").json["receipt"]

    (message,) = shop.get(f"/lines/{PAYER}")["messages"]

    assert message["is_receipt"]
    assert message["text"].startswith(f"{receipt} Confirmed.")


ORGANISATION = dataclasses.asdict(Organisation())


def test_the_merchants_switches_are_the_lenient_ones_but_for_tokens(shop):
    told = shop.get("/organisation")

    assert (told["tokens"], told["callback_words"]) == ("newest", "taken")
    assert told == ORGANISATION


def test_a_switch_of_the_merchant_leaves_the_others_as_they_were(shop):
    shop.organise(tokens="all")

    changed = shop.organise(callback_words="refused").json

    assert changed == shop.get("/organisation")
    assert changed == ORGANISATION | {"tokens": "all", "callback_words": "refused"}


@pytest.mark.parametrize(
    ("wishes", "field"),
    [({"tokens": "none"}, "tokens"), ({"callback_words": None}, "callback_words"), ({"a": 1}, "a")],
)
def test_a_bad_switch_of_the_merchant_is_named_and_changes_nothing(shop, wishes, field):
    answer = shop.organise(till_mismatch="refused", **wishes)

    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert shop.get("/organisation") == ORGANISATION


def test_the_merchants_switches_are_obeyed_by_the_push(shop):
    shop.organise(callback_words="refused", till_mismatch="refused")

    words = shop.push(CallBackURL="https://shop.example.com/mpesa/cb")
    till = shop.push(TransactionType="CustomerBuyGoodsOnline", PartyB="5123456")

    assert words.json["errorMessage"] == "Bad Request - Invalid CallBackURL"
    assert till.json["errorMessage"] == "Bad Request - Invalid TransactionType"


def test_reset_forgets_everything(shop):
    payment = shop.asked_to_pay()
    shop.answer(payment, pin="1234")
    shop.asked_to_pay()
    shop.organise(tokens="all")

    assert shop.http.post("/reset").status_code == 200

    assert [shop.get(path) for path in ("/lines", "/prompts", "/ledger")] == [[], [], []]
    assert shop.get("/organisation") == ORGANISATION
    assert shop.query(payment).status_code == 500
