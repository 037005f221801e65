"""Log lines for a person at a console, and for a collector."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from mpesa import logs
from mpesa.config import LogFormat


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """set_up() changes the whole process; the next test finds it as before."""
    loggers = [logging.getLogger(name) for name in (None, "mpesa", "urllib3")]
    levels, handlers = [each.level for each in loggers], loggers[0].handlers[:]
    # set_up() replaces and closes the handlers that it finds; pytest's own must stay.
    loggers[0].handlers = []
    yield
    loggers[0].handlers = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


def only_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    [line] = written(capsys)
    members: dict[str, Any] = json.loads(line)
    return members


def test_a_json_line_names_time_level_logger_and_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa.inbox").info("stored, transaction=%s", "abc")

    line = only_line(capsys)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "logger": "mpesa.inbox", "message": "stored, transaction=abc"}


def test_a_json_entry_stays_one_line_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa").warning('two\nlines, "quoted", \u2028 and Kiswahili: ndiyo\ud800')

    assert only_line(capsys)["message"].startswith("two\nlines")


def test_a_json_line_carries_the_exception(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(LogFormat.JSON)

    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("mpesa").exception("it failed")

    assert "ValueError: no such thing" in only_line(capsys)["exception"]


def test_a_console_line_can_be_read_by_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(LogFormat.CONSOLE)

    logging.getLogger("mpesa.clock").error("late by %d s", 3)

    [line] = written(capsys)
    assert line.endswith("ERROR   mpesa.clock  late by 3 s")


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_libraries_speak_only_when_something_is_wrong(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(log_format)

    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    logging.getLogger("sqlalchemy.engine").warning("connection lost")

    assert len(written(capsys)) == 1


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_the_http_library_never_writes_an_address_with_a_token(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(log_format)

    logging.getLogger("urllib3.connectionpool").debug("POST /callback/token")
    logging.getLogger("urllib3.connectionpool").warning("Retrying /callback/token")

    assert written(capsys) == []


def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(LogFormat.CONSOLE)
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa").info("once")

    assert only_line(capsys)["message"] == "once"
