"""What a part of something may be a part of."""

import pytest

from mpesa.domain.payment_search import LONGEST, Parts, read


def told(typed, *, sees_people=True):
    found = read(typed, sees_people=sees_people)
    return {name: each for name in Parts.__slots__ if (each := getattr(found, name))}


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("so-10", {"reference": "SO-10", "words": ("so", "10")}),
        (" uko7 ", {"reference": "UKO7", "receipt": "UKO7", "words": ("uko7",)}),
        ("Kiondo basket", {"words": ("kiondo", "basket")}),
        ("1,500", {"amount": 1500}),
        ("KES 1,500.00", {"amount": 1500}),
        ("ksh 20/=", {"amount": 20}),
        ("1500.50", {"reference": "1500.50", "words": ("1500", "50")}),
        ("Chai, 250 g", {"words": ("chai", "250")}),
        ("\N{FULLWIDTH DIGIT SIX}\N{FULLWIDTH DIGIT SEVEN}\N{FULLWIDTH DIGIT EIGHT}",
         {"amount": 678, "last_digits": "678", "reference": "678", "receipt": "678",
          "words": ("678",)}),
        ("345 678", {"last_digits": "345678", "words": ("345", "678")}),
        ("x", {}),
        ("", {}),
        ("%", {}),
        ("'", {}),
        ("a\0b", {}),
        ("x" * (LONGEST + 1), {}),
    ],
)  # fmt: skip
def test_a_text_is_taken_for_all_that_it_may_be(typed, parts):
    assert told(typed) == parts


@pytest.mark.parametrize(
    ("digits", "found"), [("12", 0), ("123", 1), ("123456", 1), ("1234567", 0)]
)
def test_three_to_six_digits_may_be_the_end_of_a_number(digits, found):
    assert ("last_digits" in told(digits)) == bool(found)


@pytest.mark.parametrize(("digits", "found"), [("678", True), ("5678", False), ("345678", False)])
def test_who_sees_masked_numbers_finds_by_the_digits_that_these_show(digits, found):
    assert ("last_digits" in told(digits, sees_people=False)) == found


def test_words_are_few():
    assert len(told("a1 b2 c3 d4 e5 f6 g7 h8")["words"]) == 6
