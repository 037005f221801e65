"""The receipt in what people type or paste."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.sms_code import find_receipt

CASES = json.loads((Path(__file__).parents[1] / "cases" / "sms_codes.json").read_text())


@pytest.mark.parametrize(("typed", "read"), [(each["typed"], each["read"]) for each in CASES])
def test_the_code_is_found_alone_and_in_the_whole_message(typed, read):
    assert find_receipt(typed) == read


@pytest.mark.parametrize("value", [None, 1234567890, True, ["UKO1ABCDEF"], {}])
def test_what_is_no_text_holds_no_code(value):
    assert find_receipt(value) is None


@given(st.text(st.characters(codec=None)) | st.text("UKO1 -.\u200b\u00a0", max_size=24))
def test_what_is_found_is_a_receipt_and_is_found_in_itself(typed):
    found = find_receipt(typed)

    assert found is None or re.fullmatch("[A-Z0-9]{10}", found)
    assert find_receipt(found) == found


def test_a_text_as_long_as_a_body_may_be_is_read_at_once():
    assert find_receipt("A" * 65_000) is None
    assert find_receipt("UKO1ABCDE " * 6_500 + "UKO1ABCDEF") == "UKO1ABCDEF"
