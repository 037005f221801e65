import pytest

from mpesa.simulator.script import (
    RESULTS,
    SILENT_LINE,
    Answer,
    Script,
    as_json,
    changed,
    first_script,
)
from mpesa.simulator.wishes import InvalidField


def test_what_is_left_out_stays_as_it_was():
    script = changed(Script(), {"answer": "pay", "after": 2})

    again = changed(script, {"balance": 10})

    assert again == Script(answer=Answer.PAY, after=2, balance=10)


def test_an_unscripted_line_answers_by_hand_and_has_money():
    script = first_script("254712345678")

    assert (script.answer, script.balance, script.pin) == ("manual", 50_000, "1234")


def test_safaricoms_test_number_never_answers():
    assert first_script(SILENT_LINE).answer is Answer.IGNORE


def test_a_scripted_payer_takes_two_seconds_unless_told_otherwise():
    assert changed(Script(), {"answer": "pay"}).after == 2


def test_an_answer_may_be_any_result_that_daraja_documents_but_success():
    codes = {str(each.code) for each in RESULTS.values()}

    assert {"17", "26", "1019", "1025", "2029", "8006", "SFC_IC0003", "E3008"} <= codes
    assert "0" not in codes
    assert all(changed(Script(), {"answer": f"code:{code}"}).result for code in codes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance", -1),
        ("balance", "100"),
        ("balance", True),
        ("balance", 1.5),
        ("balance", None),
        ("pin", 1234),
        ("pin", "123"),
        ("pin", "١٢٣٤"),
        ("answer", "Pay"),
        ("answer", None),
        ("answer", ["pay"]),
        ("answer", "code:0"),
        ("answer", "code:4999"),
        ("answer", 1019),
        ("after", -1),
        ("after", "2"),
        ("after", False),
        ("after", float("nan")),
        ("after", float("inf")),
        ("callback", "thrice"),
        ("callback_after", None),
        ("push", "slow"),
        ("query", ""),
        ("late_success_after", -5),
        ("metadata", "none"),
        ("again", "never"),
        ("blance", 5),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(InvalidField) as refused:
        changed(Script(), {"pin": "4321", name: value})

    assert refused.value.field == name


@pytest.mark.parametrize("off", [None, 0])
def test_null_and_zero_turn_the_late_success_off(off):
    script = changed(Script(late_success_after=5), {"late_success_after": off})

    assert script.late_success_after is None


def test_a_script_can_be_sent_back_as_it_was_read():
    script = Script(answer="code:1019", after=0.5, late_success_after=3)

    assert changed(Script(), as_json(script)) == script
