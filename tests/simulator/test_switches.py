import json
import queue
import time
from random import Random

import pytest

from mpesa.simulator.script import SILENT_LINE
from mpesa.simulator.simulator import Timing
from tests.simulator.shop import CALLBACK_URL, PAYER, SECOND_PAYER, Shop, password

SOON = Timing(prompt_life=0.05, push_hold=0.05, callback_hold=2, acknowledgement=0.02)


@pytest.fixture
def hurried_shop():
    """A shop at whose payers' phones a prompt lives for a moment only."""
    return Shop(timing=SOON)


def wait_for(is_so):
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.02)


def is_silent(shop):
    with pytest.raises(queue.Empty):
        shop.callbacks.get(timeout=0.3)
    return True


@pytest.mark.parametrize(
    ("answer", "code"), [("pay", 0), ("cancel", 1032), ("wrong_pin", 2001), ("unreachable", 1037)]
)
def test_a_scripted_payer_answers_by_himself(shop, answer, code):
    shop.script(answer=answer)

    shop.push()

    assert shop.next_callback()["ResultCode"] == code


def test_a_payer_without_the_money_fails_with_1(shop):
    shop.script(answer="pay", balance=149)

    shop.push()

    assert shop.next_callback()["ResultCode"] == 1
    assert shop.get("/ledger") == []


@pytest.mark.parametrize("answer", ["manual", "ignore"])
def test_a_prompt_left_alone_ends_as_1037(hurried_shop, answer):
    hurried_shop.script(answer=answer)

    payment = hurried_shop.asked_to_pay()

    assert hurried_shop.next_callback()["ResultCode"] == 1037
    assert hurried_shop.query(payment).json["ResultCode"] == "1037"


def test_after_is_how_long_the_payer_takes(shop):
    shop.script(answer="pay", after=30)

    payment = shop.asked_to_pay()

    assert is_silent(shop)
    assert [prompt["id"] for prompt in shop.get("/prompts")] == [payment]


def test_an_unreachable_phone_shows_no_prompt(shop):
    shop.script(answer="unreachable", after=30)

    payment = shop.asked_to_pay()

    assert shop.get("/prompts") == []
    assert shop.answer(payment, pin="1234").status_code == 404


def test_a_busy_line_cannot_be_locked(shop):
    shop.script(answer="busy")

    answer = shop.push()

    assert answer.status_code == 500
    assert "Unable to lock subscriber" in answer.json["errorMessage"]
    assert shop.get("/prompts") == []


def test_a_callback_goes_where_the_push_said(shop):
    shop.script(answer="cancel")
    shop.push()

    url, _, shortcode = shop.callbacks.get(timeout=5)

    assert (url, shortcode) == (CALLBACK_URL, "174379")


def test_twice_is_the_same_callback_again(shop):
    shop.script(answer="pay", callback="twice")
    shop.push()

    first, second = shop.next_callback(), shop.next_callback()

    assert first == second
    assert len(shop.get("/ledger")) == 1


def test_never_moves_the_money_in_silence(shop):
    shop.script(callback="never")
    payment = shop.asked_to_pay()

    shop.answer(payment, pin="1234")

    assert is_silent(shop)
    assert len(shop.get("/ledger")) == 1


def test_garbled_is_no_json(shop):
    shop.script(answer="pay", callback="garbled")
    shop.push()

    _, body, _ = shop.callbacks.get(timeout=5)

    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize("after", [0, 0.1])
def test_before_response_sends_the_callback_first(shop, after):
    shop.script(answer="pay", callback="before_response", after=after)

    answer = shop.push()

    _, body, _ = shop.callbacks.get_nowait()
    assert answer.json["CheckoutRequestID"] in body.decode()


def test_before_response_does_not_wait_for_ever_for_a_person():
    shop = Shop(timing=Timing(callback_hold=0.1))
    shop.script(callback="before_response")

    answer = shop.push()

    assert answer.status_code == 200
    assert shop.callbacks.empty()


def test_callback_after_parts_the_end_from_its_callback(shop):
    shop.script(callback_after=30)
    payment = shop.asked_to_pay()

    shop.answer(payment, pin="1234")

    assert is_silent(shop)
    assert shop.query(payment).json["ResultCode"] == "0"


def test_a_push_that_times_out_delivers_its_prompt(hurried_shop):
    hurried_shop.script(push="timeout", answer="pay")

    hurried_shop.push()

    assert hurried_shop.next_callback()["ResultCode"] == 0


def test_an_internal_error_delivers_its_prompt(shop):
    shop.script(push="error_500")

    answer = shop.push()

    assert (answer.status_code, answer.json["errorCode"]) == (500, "500.003.1001")
    assert len(shop.get("/prompts")) == 1


def test_the_firewalls_page_delivers_nothing(shop):
    shop.script(push="html_503")

    answer = shop.push()

    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "Incapsula incident ID" in answer.text
    assert shop.get("/prompts") == []


def test_a_refused_push_delivers_nothing(shop):
    shop.script(push="refused")

    answer = shop.push()

    assert (answer.status_code, answer.json["errorCode"]) == (400, "400.002.02")
    assert shop.get("/prompts") == []


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("busy_500", 500, "500.003.02"),
        ("quota", 500, "500.003.03"),
        ("dead_token", 401, "401.003.01"),
    ],
)
def test_a_push_that_daraja_turns_down_delivers_nothing(shop, mode, status, code):
    shop.script(push=mode, answer="pay")

    answer = shop.push()

    assert (answer.status_code, answer.json["errorCode"]) == (status, code)
    assert is_silent(shop)
    assert shop.get("/prompts") == shop.get("/ledger") == []


def test_a_push_that_is_one_too_many_answers_in_apigees_shape(shop):
    shop.script(push="rate_429")

    answer = shop.push()

    assert answer.status_code == 429
    detail = answer.json["fault"]["detail"]
    assert detail["errorcode"] == "policies.ratelimit.SpikeArrestViolation"
    assert shop.get("/prompts") == []


@pytest.mark.parametrize(
    ("mode", "status", "code", "text"),
    [
        ("pending_500", 500, "500.001.1001", "The transaction is being processed"),
        ("too_early", 400, "400.002.02", "Bad Request - Invalid CheckoutRequestID"),
    ],
)
def test_a_query_may_say_in_other_ways_that_it_knows_nothing(shop, mode, status, code, text):
    shop.script(query=mode)
    payment = shop.asked_to_pay()

    answer = shop.query(payment)

    assert answer.status_code == status
    assert (answer.json["errorCode"], answer.json["errorMessage"]) == (code, text)


@pytest.mark.parametrize("code", [17, 26, 1019, 1025, 2029, 8006, "SFC_IC0003", "E3008"])
def test_a_line_ends_with_the_result_that_it_was_scripted_to(shop, code):
    shop.script(answer=f"code:{code}")

    payment = shop.asked_to_pay()

    assert shop.next_callback()["ResultCode"] == code
    assert shop.query(payment).json["ResultCode"] == str(code)
    assert shop.get("/ledger") == []


def test_a_result_that_no_payer_brings_about_shows_no_prompt(shop):
    shop.script(answer="code:1025", after=30)

    payment = shop.asked_to_pay()

    assert shop.get("/prompts") == []
    assert shop.answer(payment, pin="1234").status_code == 404
    assert shop.query(payment).json["ResultCode"] == "4999"


def test_the_form_of_a_success_is_the_lines(shop):
    shop.script(answer="pay", metadata="no_balance")

    shop.push()

    items = shop.next_callback()["CallbackMetadata"]["Item"]
    assert "Balance" not in [item["Name"] for item in items]


def test_the_same_sum_again_ends_as_17_where_a_line_has_that_rule(shop):
    shop.script(answer="pay", again="rule_17")

    shop.push()
    first = shop.next_callback()
    shop.push()
    second = shop.next_callback()

    assert (first["ResultCode"], second["ResultCode"]) == (0, 17)
    assert len(shop.get("/ledger")) == 1


def test_a_payer_whom_nobody_gave_a_time_takes_two_seconds(shop):
    shop.http.put(f"/lines/{PAYER}", json={"answer": "pay"})
    begun = time.monotonic()

    shop.push()
    shop.next_callback()

    assert 1.9 < time.monotonic() - begun < 4


def test_the_published_number_is_queried_as_unreachable_well_before_its_callback():
    shop = Shop(timing=Timing(silent_life=0.1, acknowledgement=0.02))

    payment = shop.asked_to_pay(SILENT_LINE)

    wait_for(lambda: shop.query(payment).json["ResultCode"] == "1037")
    assert is_silent(shop)
    assert Timing().silent_life == 14
    assert shop.get(f"/lines/{SILENT_LINE}")["callback_after"] == 12


def test_the_published_number_can_be_scripted_to_pay(shop):
    shop.script(SILENT_LINE, answer="pay", callback_after=0)

    shop.push(SILENT_LINE)

    assert shop.next_callback()["ResultCode"] == 0


def test_money_for_another_till_of_the_store_ends_as_2029(shop):
    shop.push(
        BusinessShortCode="174380",
        Password=password("174380"),
        TransactionType="CustomerBuyGoodsOnline",
        PartyB="5999999",
    )

    _, body, shortcode = shop.callbacks.get(timeout=5)

    assert json.loads(body)["Body"]["stkCallback"]["ResultCode"] == 2029
    assert shortcode == "174380"


def test_a_pending_query_stays_pending(shop):
    payment = shop.asked_to_pay()
    shop.answer(payment, pin="1234")

    shop.script(query="pending")

    assert shop.query(payment).json["ResultCode"] == "4999"


def test_a_wrong_query_says_failed_though_money_moved(shop):
    payment = shop.asked_to_pay()
    shop.script(query="wrong_failed")

    open_code = shop.query(payment).json["ResultCode"]
    shop.answer(payment, pin="1234")

    assert open_code == "4999"
    assert shop.query(payment).json["ResultCode"] == "1037"
    assert len(shop.get("/ledger")) == 1


def test_a_flaky_query_forgets_the_payment_now_and_then():
    shop = Shop(chance=Random(7))
    shop.script(query="flaky")
    payment = shop.asked_to_pay()

    answers = [shop.query(payment) for _ in range(30)]

    assert {answer.status_code for answer in answers} == {200, 500}
    refused = next(answer for answer in answers if answer.status_code == 500)
    assert refused.json["errorMessage"] == "The transaction does not Exist"


def test_a_rate_limited_query_answers_in_apigees_shape(shop):
    shop.script(query="rate_limited")
    payment = shop.asked_to_pay()

    answer = shop.query(payment)

    assert answer.status_code == 429
    detail = answer.json["fault"]["detail"]
    assert detail["errorcode"] == "policies.ratelimit.SpikeArrestViolation"


def test_a_late_success_follows_its_failure(shop):
    shop.script(answer="unreachable", late_success_after=0.05)
    payment = shop.asked_to_pay()

    failure, success = shop.next_callback(), shop.next_callback()

    assert (failure["ResultCode"], success["ResultCode"]) == (1037, 0)
    assert failure["CheckoutRequestID"] == success["CheckoutRequestID"]
    assert [entry["checkout_request_id"] for entry in shop.get("/ledger")] == [payment]
    assert shop.query(payment).json["ResultCode"] == "0"


def test_a_payment_that_worked_gets_no_late_success(shop):
    shop.script(answer="pay", late_success_after=0.05)

    shop.push()

    assert shop.next_callback()["ResultCode"] == 0
    assert is_silent(shop)
    assert len(shop.get("/ledger")) == 1


def test_no_late_success_without_the_money(shop):
    shop.script(answer="cancel", balance=10, late_success_after=0.05)

    shop.push()

    assert shop.next_callback()["ResultCode"] == 1032
    assert is_silent(shop)


def test_a_script_concerns_its_own_line_only(shop):
    shop.script(PAYER, push="refused")

    assert shop.push(SECOND_PAYER).status_code == 200


def test_a_paybill_payment_to_another_number_ends_with_a_string_code(shop):
    shop.push(PartyB="600000")

    assert shop.next_callback()["ResultCode"] == "SFC_IC0003"
    assert shop.get("/prompts") == []


def test_more_than_one_payment_may_hold_ends_with_3(shop):
    shop.push(Amount=250_001)

    assert shop.next_callback()["ResultCode"] == 3


def test_forgetting_ends_what_is_under_way(shop):
    shop.script(answer="pay", after=0.1)
    shop.push()

    shop.http.post("/reset")

    assert is_silent(shop)
    assert shop.get("/ledger") == []


def test_forgetting_drops_a_callback_that_is_on_its_way(shop):
    shop.script(callback_after=0.1)
    payment = shop.asked_to_pay()
    shop.answer(payment, cancel=True)

    shop.http.post("/reset")

    assert is_silent(shop)


def test_a_prompt_that_is_ignored_stays_for_its_whole_life_whatever_after_says(shop):
    shop.script(answer="ignore", after=0.01)

    payment = shop.asked_to_pay()

    assert is_silent(shop)
    assert shop.query(payment).json["ResultCode"] == "4999"
