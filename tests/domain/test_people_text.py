"""Which characters the texts that people write may hold."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.people_text import is_sound, read_line

CASES = json.loads((Path(__file__).parents[1] / "cases" / "texts.json").read_text())


@pytest.mark.parametrize(
    ("text", "read"), [(each["text"], each["read"]) for each in CASES], ids=range(len(CASES))
)
def test_a_line_is_kept_as_it_was_written_or_refused(text, read):
    assert read_line(text, 200) == read


@pytest.mark.parametrize("value", [None, 1, True, ["tea"], {}])
def test_what_is_no_text_is_no_line(value):
    assert read_line(value, 200) is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=50))
def test_text_of_any_script_is_sound(text):
    assert is_sound(text)
    text.encode()  # whatever is taken can be stored and sent


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "two\n\nlines"])
def test_a_field_of_several_lines_may_break(text):
    assert is_sound(text, may_break=True)
    assert not is_sound(text)


@pytest.mark.parametrize("text", ["a\0", "\x1b[31m", "a\x85b", "\ud800", "a\rb", "a\x0bb"])
def test_a_field_of_several_lines_holds_no_other_control_character(text):
    assert not is_sound(text, may_break=True)
