"""Rows of a file: CSV, XLSX or XLS, recognised by its content. Whatever is wrong is named."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import MAXYEAR, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from python_calamine import CalamineWorkbook, PasswordError

from mpesa.domain.statement_lines import Cell, Row, StatementDefect

# Bytes, unpacked.
LONGEST = 200 * 1024 * 1024
# Excel's own limit; a file may claim a row far below it, with nothing in between.
_MOST_LINES = 1_048_576
_MOST_SHEETS = 10
_MOST_PARTS = 1000
_MOST_CELLS = 64
_LOOKED_AT = 64
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The header, as it begins a line.
_HEADER = re.compile(r'^"?Receipt No', re.IGNORECASE | re.MULTILINE)
_DELIMITERS = ",;\t"


def rows_of(raw: bytes) -> Iterator[Row]:
    """Yield the rows of a file, each with its line.

    Raises:
        StatementDefect: it is no file of these kinds, too long, broken, or has a formula in it.
    """
    if len(raw) > LONGEST:
        raise StatementDefect(_TOO_LONG)
    if raw.startswith(_ZIP):
        return _of_xlsx(raw)
    if raw.startswith(_OLE):
        return _of_xls(raw)
    return _of_csv(raw)


_TOO_LONG = "more than 200 MiB unpacked: export it in parts"
_BROKEN = "the file is broken, or no CSV, XLSX or XLS: export it again"


def _of_csv(raw: bytes) -> Iterator[Row]:
    text = _decoded(raw)
    if text and not text.endswith(("\n", "\r")):
        line = text.count("\n") + 1
        raise StatementDefect("the file ends in the middle of a line: export it again", line)
    header = _HEADER.search(text)
    first = text[header.start() :].partition("\n")[0] if header else ""
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise StatementDefect("a quotation mark or a cell that does not end", line) from None
        if cells is None:
            return
        if cells and _HEADER.match(cells[0]):
            width = len(cells)
        elif width and 0 < len(cells) < width:
            raise StatementDefect("the row is cut short", line)
        yield line, cells


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise StatementDefect(_BROKEN)


def _of_xlsx(raw: bytes) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            parts = packed.infolist()
    except (zipfile.BadZipFile, ValueError, OSError):
        raise StatementDefect(_BROKEN) from None
    # What is longer than it says is a fault to zipfile, which stops there.
    if len(parts) > _MOST_PARTS or sum(each.file_size for each in parts) > LONGEST:
        raise StatementDefect(_TOO_LONG)
    # Half of what a process costs that reads one statement, and most statements are CSV.
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, keep_links=False)
        sheets = [each for each in book.worksheets if hasattr(each, "reset_dimensions")]
        for sheet in sheets:
            sheet.reset_dimensions()  # what it says of itself may be anything
        yield from _with_header(_of_sheet(each.iter_rows()) for each in sheets[:_MOST_SHEETS])
    except (StatementDefect, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a broken workbook fails in a hundred ways
        raise StatementDefect(_BROKEN) from None


def _of_sheet(rows: Iterable[Sequence[Any]]) -> Iterator[Row]:
    for line, cells in enumerate(rows, start=1):
        if line > _MOST_LINES:
            raise StatementDefect(_TOO_LONG, line)
        cells = cells[:_MOST_CELLS]
        if any(each.data_type == "f" for each in cells):
            raise StatementDefect("a formula: the portal writes none, so it was changed", line)
        yield line, [_cell(each.value) for each in cells]


def _of_xls(raw: bytes) -> Iterator[Row]:
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        names = book.sheet_names[:_MOST_SHEETS]
        sheets = [book.get_sheet_by_name(each) for each in names]
        # Whole rows from the first line of the sheet on, so that lines are what Excel shows.
        found = [each.to_python(skip_empty_area=False) for each in sheets if each.height]
    except PasswordError:
        raise StatementDefect("the file has a password: save it without one") from None
    except MemoryError:
        raise
    except BaseException as error:  # a panic of the reader is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise StatementDefect(_BROKEN) from None
    rows = (
        (
            (line, [_cell(each) for each in cells[:_MOST_CELLS]])
            for line, cells in enumerate(sheet, 1)
        )
        for sheet in found
    )
    yield from _with_header(rows)


def _with_header(sheets: Iterable[Iterator[Row]]) -> Iterator[Row]:
    """The rows of the first sheet that has the header; none: of the first of all."""
    first: Iterator[Row] | None = None
    for sheet in sheets:
        above = list(islice(sheet, _LOOKED_AT))
        rows = chain(above, sheet)
        if any(cells and _HEADER.match(str(cells[0])) for _, cells in above):
            return rows
        first = first or rows
    return first or iter(())


def _cell(value: object) -> Cell:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return Decimal(repr(value))
    if isinstance(value, datetime) and value.year < MAXYEAR:
        # A spreadsheet counts days as binary fractions, so a second may be a little off.
        return (value + timedelta(milliseconds=500)).replace(microsecond=0, tzinfo=None)
    return None if value is None else str(value)
