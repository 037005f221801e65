import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.daraja.plain_text import transaction_desc


@given(st.text())
def test_any_description_becomes_one_to_thirteen_plain_characters(description):
    desc = transaction_desc(description)

    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9 ]{0,11}[A-Za-z0-9])?", desc)


@given(st.text())
def test_a_plain_description_is_left_as_it_is(description):
    once = transaction_desc(description)

    assert transaction_desc(once) == once


@pytest.mark.parametrize(
    ("description", "desc"),
    [
        ("Two loaves", "Two loaves"),
        ("  Two   loaves ", "Two loaves"),
        ("Café crème", "Cafe creme"),
        ("Tea & milk #2", "Tea milk 2"),
        ("A dozen eggs, large", "A dozen eggs"),
        ("Twelve chars  x", "Twelve chars"),
        ("٣ ٤", "Payment"),
        ("茶", "Payment"),
        ("", "Payment"),
    ],
)
def test_a_description_is_folded_cleaned_and_cut(description, desc):
    assert transaction_desc(description) == desc
