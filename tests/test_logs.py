"""Log lines for a person at a console, and for a collector."""

import json
import logging
import re
import threading
import time
from contextvars import ContextVar, copy_context
from types import MappingProxyType
from typing import Any

import pytest

from mpesa import __version__, logs
from mpesa.bounded_http.calls import Calls
from mpesa.config import LogFormat


@pytest.fixture(autouse=True)
def _about_nothing(monkeypatch):
    """Other tests' requests were made in this very thread, and lines would be about the last."""
    monkeypatch.setattr(logs, "_about", ContextVar("about", default=MappingProxyType({})))


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """set_up() changes the whole process; the next test finds it as before."""
    loggers = [logging.getLogger(name) for name in (None, "mpesa", "urllib3")]
    levels, handlers = [each.level for each in loggers], loggers[0].handlers[:]
    # set_up() replaces and closes the handlers that it finds; pytest's own must stay.
    loggers[0].handlers = []
    yield
    loggers[0].handlers = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


def written(capsys):
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


def only_line(capsys):
    [line] = written(capsys)
    members: dict[str, Any] = json.loads(line)
    return members


def test_a_json_line_names_time_level_logger_and_message(
    capsys,
):
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa.inbox").info("stored %d", 3)

    line = only_line(capsys)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info", "logger": "mpesa.inbox", "message": "stored 3", "version": __version__,
    }  # fmt: skip


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_a_line_says_what_it_is_about(log_format, capsys):
    logs.set_up(log_format)
    log = logging.getLogger("mpesa")

    def request():
        logs.begin_request("r1")
        log.info("begun")
        logs.note(order_id="o1")
        with logs.about(transaction_id="t0"):
            log.info("within")
        logs.note(transaction_id="t1")
        log.info("after")
        logs.begin_request("r2")
        log.info("the next one")

    copy_context().run(request)

    found = [fields_of(line, log_format) for line in written(capsys)]
    assert found == [
        {"request_id": "r1"},
        {"request_id": "r1", "order_id": "o1", "transaction_id": "t0"},
        {"request_id": "r1", "order_id": "o1", "transaction_id": "t1"},
        {"request_id": "r2"},
    ]


def fields_of(line, log_format):
    """What a line is about; that it names the version is part of it."""
    if log_format is LogFormat.JSON:
        members = json.loads(line)
    else:
        members = dict(re.findall(r" (\w+)=(\S+)", line))
    assert members["version"] == __version__
    return {name: value for name, value in members.items() if name.endswith("_id")}


def test_what_one_request_is_about_no_other_thread_says(
    capsys,
):
    logs.set_up(LogFormat.JSON)

    with logs.about(transaction_id="t1"):
        beside = threading.Thread(target=logging.getLogger("mpesa").info, args=("beside",))
        beside.start()
        beside.join()

    assert "transaction_id" not in only_line(capsys)


def test_a_call_to_daraja_is_about_the_request_that_made_it(
    capsys,
):
    logs.set_up(LogFormat.JSON)

    with logs.about(transaction_id="t1"):
        Calls(time.monotonic).run(lambda _call: logging.getLogger("mpesa").info("asked"), budget=10)

    assert only_line(capsys)["transaction_id"] == "t1"


def test_a_json_entry_stays_one_line_whatever_it_says(capsys):
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa").warning('two\nlines, "quoted", \u2028 and Kiswahili: ndiyo\ud800')

    assert only_line(capsys)["message"].startswith("two\nlines")


def test_a_json_line_carries_the_exception(capsys):
    logs.set_up(LogFormat.JSON)

    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("mpesa").exception("it failed")

    assert "ValueError: no such thing" in only_line(capsys)["exception"]


def test_a_console_line_can_be_read_by_a_person(capsys):
    logs.set_up(LogFormat.CONSOLE)

    logging.getLogger("mpesa.deadlines").error("late by %d s", 3)

    [line] = written(capsys)
    assert line.endswith(f"ERROR   mpesa.deadlines  late by 3 s  version={__version__}")


def test_an_exception_stands_below_its_console_line(capsys):
    logs.set_up(LogFormat.CONSOLE)

    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("mpesa").exception("it failed")

    first, *_, last = written(capsys)
    assert first.endswith(f"it failed  version={__version__}")
    assert last == "ValueError: no such thing"


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_libraries_speak_only_when_something_is_wrong(log_format, capsys):
    logs.set_up(log_format)

    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    logging.getLogger("sqlalchemy.engine").warning("connection lost")

    assert len(written(capsys)) == 1


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_the_http_library_never_writes_an_address_with_a_token(log_format, capsys):
    logs.set_up(log_format)

    logging.getLogger("urllib3.connectionpool").debug("POST /callback/token")
    logging.getLogger("urllib3.connectionpool").warning("Retrying /callback/token")

    assert written(capsys) == []


def test_setting_up_twice_writes_each_line_once(capsys):
    logs.set_up(LogFormat.CONSOLE)
    logs.set_up(LogFormat.JSON)

    logging.getLogger("mpesa").info("once")

    assert only_line(capsys)["message"] == "once"
