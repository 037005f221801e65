"""A file that somebody uploads is read or refused, whatever is in it, in a process of its own."""

import sys
import zipfile
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mpesa.domain.statement_lines import Asked, StatementDefect
from mpesa.domain.statement_lines import read as prove
from mpesa.statements import reading, sheets
from mpesa.statements.sheets import rows_of
from tests.statements.files import NAME_OF_B, NEXT_MORNING, Entry, Made, charge, reversal

ASKED = Asked(frozenset({"174379"}), NEXT_MORNING, NAME_OF_B)
ENTRIES = (
    Entry("UKO1A2B3C4", 500, account="0712 =1+1"),
    charge("UKO1A2B3C4", 2.75),
    Entry("UKO2A2B3C4", 150, account='ORD "17", blue'),
    reversal("UKO3A2B3C4", 150, "UKO2A2B3C4"),
)
FORMS = {
    "CSV": Made.as_csv,
    "CSV with a byte order mark": lambda made: made.as_csv("utf-8-sig"),
    "CSV of Windows": lambda made: made.as_csv("cp1252"),
    "CSV with semicolons": lambda made: made.as_csv(delimiter=";"),
    "CSV with tabs": lambda made: made.as_csv(delimiter="\t"),
    "XLSX": Made.as_xlsx,
    "XLSX whose first sheet is another": lambda made: made.as_xlsx(sheets_before=["Cover"]),
    "XLS": Made.as_xls,
}


def lines_of(raw):
    return prove(rows_of(raw), ASKED).lines


def refused(raw):
    with pytest.raises(StatementDefect) as defect:
        lines_of(raw)
    return str(defect.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", "ab")
def test_every_form_of_file_tells_the_same(form, family):
    made = Made(*ENTRIES, family=family)

    lines = lines_of(FORMS[form](made))

    assert [(each.receipt, each.amount) for each in lines] == [
        ("UKO1A2B3C4", 50_000),
        ("UKO1A2B3C4", -275),
        ("UKO2A2B3C4", 15_000),
        ("UKO3A2B3C4", -15_000),
    ]
    assert lines[0].account == "0712 =1+1"
    assert lines[2].account == 'ORD "17", blue'


def test_a_name_in_the_letters_of_windows_is_read():
    made = Made(Entry("UKO1A2B3C4", 5, account="Café"))

    [line] = lines_of(made.as_csv("cp1252"))

    assert line.account == "Café"


def test_a_formula_is_refused():
    book = Made(*ENTRIES).as_xlsx()
    with zipfile.ZipFile(BytesIO(book)) as packed:
        parts = {each: packed.read(each) for each in packed.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    assert b"<v>1500</v>" in sheet
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(
        b"<v>1500</v>", b"<f>1000+500</f><v>1500</v>", 1
    )

    assert refused(_zipped(parts)).startswith("line 11: a formula")


def test_a_csv_that_ends_in_the_midst_of_a_line_is_refused():
    raw = Made(*ENTRIES).as_csv()

    for end in range(len(raw) - 2, raw.index(b"UKO3"), -1):
        if raw[:end].endswith(b"\r"):
            continue
        assert "line" in refused(raw[:end])


@pytest.mark.parametrize("form", ["XLSX", "XLS"])
def test_a_workbook_that_was_cut_is_refused_or_has_lost_nothing(form):
    raw = FORMS[form](Made(*ENTRIES))
    whole = lines_of(raw)

    for end in range(10, len(raw), 211):
        try:
            lines = lines_of(raw[:end])
        except StatementDefect:
            continue
        assert lines == whole


def test_a_zip_that_unpacks_to_too_much_is_refused():
    parts = {"xl/workbook.xml": b"<x/>", "bomb": b"\0" * (sheets.LONGEST + 1)}
    assert "200 MiB" in refused(_zipped(parts))


def test_what_is_no_statement_is_refused():
    for raw in (
        b"",
        b"hello",
        b"<html>",
        b"\0" * 999,
        b"%PDF-1.7",
        _zipped({"a": b"b"}),
        b"\xff\x81\n",
    ):
        refused(raw)


def _zipped(parts):
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in parts.items():
            packed.writestr(name, body)
    return file.getvalue()


# Broken bytes of an XLS may make its reader run for ever, see below.
SOUND = {form: FORMS[form](Made(*ENTRIES)) for form in ("CSV", "XLSX")}


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(raw):
    for magic in (b"", b"PK\x03\x04", b"Receipt No.,"):
        with suppress(StatementDefect):
            lines_of(magic + raw)


@pytest.mark.parametrize("form", SOUND)
@given(places=st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=4)), max_size=4))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(places=[])
def test_a_file_with_changed_bytes_is_refused_or_its_amounts_still_add_up(form, places):
    raw = bytearray(SOUND[form])
    for place, piece in places:
        place %= len(raw)
        raw[place : place + len(piece)] = piece
    try:
        statement = prove(rows_of(bytes(raw)), ASKED)
    except StatementDefect:
        return
    balance = None
    for each in statement.lines:
        assert balance is None or balance + each.amount == each.balance
        balance = each.balance


CELLS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["Receipt No.", "Completed", "1,000.00", "-2.75", "24-11-2026 12:00:00", ""]),
    st.decimals(),
    st.datetimes(),
    st.none(),
)


@given(changes=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 14), CELLS), max_size=3))
@settings(max_examples=300, deadline=None)
def test_rows_with_any_cells_are_read_or_refused(changes):
    rows = [list(each) for each in Made(*ENTRIES).rows]
    for y, x, cell in changes:
        row = rows[y % len(rows)]
        row[x % len(row)] = cell
    with suppress(StatementDefect):
        prove(enumerate(rows, start=1), ASKED)


# -- the process of its own ----------------------------------------------------------------------


def test_a_statement_is_read_in_another_process():
    with reading.read(SOUND["CSV"], ASKED) as statement:
        assert statement.rows == 4
        assert statement.head.short_code == "174379"
        assert list(statement.lines()) == list(lines_of(SOUND["CSV"]))
        assert list(statement.lines()) == list(lines_of(SOUND["CSV"]))


def test_what_is_wrong_comes_back_with_its_line():
    cut = SOUND["CSV"][:-5]

    with pytest.raises(StatementDefect) as defect, reading.read(cut, ASKED):
        pass

    assert defect.value.line == 11


def test_a_reader_that_crashes_refuses_the_file(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(StatementDefect, match="cannot be read"), reading.read(b"", ASKED):
        pass


def test_a_file_that_takes_its_reader_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(reading, "CPU", 1)
    made = Made(Entry("UKO1A2B3C4", 500, status="Failed"))
    row = made.as_csv().splitlines(keepends=True)[-1]

    with (
        pytest.raises(StatementDefect, match="cannot be read"),
        reading.read(made.as_csv() + row * 150_000, ASKED),
    ):
        pass


def test_workbooks_with_changed_bytes_are_read_or_refused_in_another_process(monkeypatch):
    monkeypatch.setattr(reading, "CPU", 1)
    sound = FORMS["XLS"](Made(*ENTRIES))
    for place in range(30, len(sound), len(sound) // 12):
        raw = bytearray(sound)
        raw[place : place + 4] = b"\xff\xff\xff\x7f"
        with suppress(StatementDefect), reading.read(bytes(raw), ASKED) as statement:
            assert list(statement.lines()) == list(lines_of(sound))
