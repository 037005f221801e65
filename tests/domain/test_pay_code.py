"""Pay codes: the check digit finds every wrong digit and every swap."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain import pay_code
from mpesa.domain.matching import normalised, one_slip_apart
from mpesa.domain.phone import InvalidPhone, parse_msisdn

codes = st.randoms(use_true_random=False).map(lambda chance: pay_code.draw(chance.randrange))


@given(codes)
def test_a_code_is_nine_digits_with_its_check_digit(code):
    assert len(code) == pay_code.LENGTH
    assert code[0] in pay_code.FIRST_DIGITS
    assert pay_code.is_pay_code(code)


@given(codes, st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_is_no_code(code, place, by):
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]

    assert not pay_code.is_pay_code(wrong)


@given(codes, st.integers(0, 7))
def test_two_neighbours_that_changed_places_are_no_code(code, place):
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]

    assert swapped == code or not pay_code.is_pay_code(swapped)


@given(codes, st.integers(0, 8), st.integers(1, 9))
def test_what_was_meant_is_among_the_near_ones(code, place, by):
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]

    assert code in pay_code.near(wrong)


@given(codes, st.integers(0, 7))
def test_so_it_is_after_a_swap(code, place):
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]

    assert swapped == code or code in pay_code.near(swapped)


@given(st.text("0123456789", min_size=9, max_size=9))
def test_near_ones_are_codes_one_slip_away(typed):
    for each in pay_code.near(typed):
        assert pay_code.is_pay_code(each)
        assert one_slip_apart(each, typed)


@given(codes)
def test_a_code_is_no_phone_number(code):
    with pytest.raises(InvalidPhone):
        parse_msisdn(code)


@given(codes)
def test_a_code_is_compared_as_it_is_however_it_is_grouped(code):
    assert normalised(pay_code.grouped(code)) == normalised(code) == code
    assert pay_code.grouped(code).replace(" ", "") == code


@pytest.mark.parametrize(
    "text", ["", "23456789", "234567891", "٢٣٤٥٦٧٨٩٠", "2345 67890", "0" * 9, "23456789O", "1" * 9]
)
def test_what_is_no_code(text):
    assert not pay_code.is_pay_code(text)


def test_codes_are_spread_over_all_that_there_are():
    chance = random.Random(7)
    drawn = {pay_code.draw(chance.randrange) for _ in range(2000)}

    assert len(drawn) > 1990
    assert {each[0] for each in drawn} == set(pay_code.FIRST_DIGITS)


def test_the_table_is_damms():
    assert pay_code._check_digit("572") == "4"  # the example of the method's descriptions
