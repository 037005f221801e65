"""The flask commands, as an operator types them: what they print, refuse and keep to themselves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from sysconfig import get_path
from typing import Any

import pytest
from click.testing import Result

from app import create_app
from mpesa.config import SettingsError
from mpesa.daraja import NotSent
from mpesa.domain.result_codes import Reason
from tests import forks
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    make_settings,
    success_callback,
)
from tests.servers import PATIENCE, ROOT, free_port

Flask_ = Callable[..., Result]
GOOD = {"amount": "150", "reference": "INV-1", "description": "Two coffees"}


@pytest.fixture
def flask(app):
    """Run a command in the application."""
    return lambda *arguments: app.test_cli_runner().invoke(args=arguments)


def create(flask, **changed):
    options = {**GOOD, **changed}
    return flask("orders", "create", *(f"--{name}={value}" for name, value in options.items()))


def pay(shop, push=1):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids))


# -- flask orders create -------------------------------------------------------------------------


def test_creating_an_order_prints_its_checkout_address(shop, flask):
    result = create(flask)

    address = result.output.strip()
    order = shop.order_row(address.rsplit("/", 1)[1])
    assert result.exit_code == 0
    assert address == f"http://127.0.0.1:8000/checkout/{order.id}"
    assert (order.amount, order.reference, order.description) == (150, "INV-1", "Two coffees")


def test_the_printed_address_shows_the_checkout_page(app, flask):
    address = create(flask).output.strip()

    page = app.test_client().get(address)

    assert page.status_code == 200
    assert "150" in page.text


def test_an_order_may_have_an_end_and_a_way_back(shop, flask, clock):
    until = clock() + timedelta(hours=1)

    result = create(
        flask, **{"expires-at": until.isoformat(), "return-url": "https://shop.example/back"}
    )

    order = shop.order_row(result.output.strip().rsplit("/", 1)[1])
    assert (order.expires_at, order.return_url) == (until, "https://shop.example/back")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("amount", "0"),
        ("amount", "-1"),
        ("amount", "1.5"),
        ("amount", "250001"),
        ("amount", "many"),
        ("reference", "with space"),
        ("reference", "r" * 65),
        ("reference", ""),
        ("description", " "),
        ("description", "x" * 201),
        ("return-url", "http://shop.example/"),
        ("return-url", "javascript:alert(1)"),
        ("expires-at", "yesterday"),
        ("expires-at", "2020-01-01T00:00:00Z"),
        ("expires-at", "2030-01-01T00:00:00"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_option(flask, option, value):
    result = create(flask, **{option: value})

    assert result.exit_code == 2
    assert f"--{option}" in result.output
    assert "Traceback" not in result.output


def test_a_missing_option_is_named(flask):
    result = flask("orders", "create", "--amount=1", "--reference=A")

    assert result.exit_code == 2
    assert "--description" in result.output


# -- flask transactions list | show --------------------------------------------------------------


def test_the_list_shows_the_newest_first(shop, flask, clock):
    first = shop.attempt(reference="INV-1")
    clock.pass_(seconds=1)
    second = shop.attempt(SECOND_PAYER_MSISDN, reference="INV-2", amount=1500)
    pay(shop, 1)

    newer, older = flask("transactions", "list").output.splitlines()

    assert newer.startswith(f"{second}  2026-11-24 12:00:01 EAT  ")
    assert "awaiting_pin" in newer
    assert "KES   1,500" in newer
    assert newer.endswith("INV-2")
    assert older.startswith(first)
    assert "SUCCESS" in older
    assert RECEIPT in older


def test_the_list_as_json_has_the_snapshots_as_the_api_tells_them(shop, flask, app, clock):
    first = shop.attempt(reference="INV-1")
    clock.pass_(seconds=1)
    shop.attempt(SECOND_PAYER_MSISDN, reference="INV-2")
    pay(shop, 1)

    newer, older = json.loads(flask("transactions", "list", "--json").output)

    told = app.test_client().get(f"/check-status?tx_id={first}").get_json()
    del told["message"]
    assert older == {**told, "reference": "INV-1", "needs_review": False}
    assert (older["status"], older["receipt"]) == ("SUCCESS", RECEIPT)
    assert (newer["status"], newer["reference"]) == ("PENDING", "INV-2")


def test_an_empty_list_as_json_is_an_empty_array(flask):
    for group in ("transactions", "webhooks", "operators"):
        assert json.loads(flask(group, "list", "--json").stdout) == []


def test_the_list_says_what_a_person_must_look_at(shop, flask):
    shop.attempt()
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*ids, "NEW_CODE"))

    assert "needs review" in flask("transactions", "list").output


def test_the_list_is_as_long_as_asked(shop, flask):
    for number in range(3):
        shop.attempt(f"25470000000{number}")

    output = flask("transactions", "list", "--limit", "2").output

    assert len(output.splitlines()) == 2


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_senseless_limit_is_refused(flask, limit):
    assert flask("transactions", "list", "--limit", limit).exit_code == 2


def test_a_transaction_is_shown_with_its_evidence_and_why(shop, flask):
    transaction = shop.attempt()
    pay(shop)

    output = flask("transactions", "show", transaction).output

    assert '"status": "SUCCESS"' in output
    assert "2026-11-24 12:00:00 EAT  push_answer" in output
    assert "callback" in output
    assert "196.201.212.69" in output
    for decision in shop.decisions(transaction):
        assert decision.why in output


def test_an_id_that_begins_with_a_hyphen_is_no_option(flask):
    answer = flask("transactions", "show", "-4nobody")

    assert answer.output == "Error: there is no transaction -4nobody\n"


def test_an_unknown_transaction_is_one_clear_line(flask):
    result = flask("transactions", "show", "nobody")

    assert result.exit_code == 1
    assert result.output == "Error: there is no transaction nobody\n"


def test_neither_number_nor_id_nor_token_is_printed(shop, flask):
    transaction = shop.attempt()
    pay(shop)

    printed = "".join(
        flask("transactions", *arguments).output
        for arguments in (["list"], ["list", "--json"], ["show", transaction])
    )

    assert "0712•••678" in printed
    assert r"0712\u2022\u2022\u2022678" in printed
    assert "712345678" not in printed
    assert "ws_CO" not in printed
    assert shop.daraja.token_of(1) not in printed
    assert shop.transaction(transaction).callback_token_hash not in printed


def test_a_transaction_whose_number_was_forgotten_is_still_listed(shop, flask):
    transaction = shop.attempt()
    pay(shop)
    with shop.sessions() as session:
        session.get_one(type(shop.transaction(transaction)), transaction).msisdn = None
        session.commit()

    results = [flask("transactions", "list"), flask("transactions", "show", transaction)]

    assert [result.exit_code for result in results] == [0, 0]
    assert all(RECEIPT in result.output for result in results)


# -- flask transactions reconcile ----------------------------------------------------------------


def test_reconciling_asks_about_what_is_silent(shop, flask, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    shop.daraja.query_answers.append("0")

    result = flask("transactions", "reconcile")

    assert result.output == "asked about 1 of the transactions that are due\n"
    assert shop.transaction(transaction).status == "SUCCESS"


# -- flask doctor --------------------------------------------------------------------------------


def of(result, what):
    """The doctor's line about one thing."""
    (line,) = [line for line in result.output.splitlines() if line[5:].startswith(what)]
    return line


def test_the_doctor_says_what_is_well(flask):
    result = flask("doctor")

    assert of(result, "settings").startswith("ok")
    assert of(result, "database").startswith("ok")
    assert of(result, "daraja").startswith("ok")


def test_the_doctor_says_that_nobody_serves_at_the_public_address(
    make_app,
):
    app = make_app(PORT=str(free_port()))

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    assert of(result, "PUBLIC_URL").startswith("BAD")


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (NotSent(Reason.MISCONFIGURED), "DARAJA_CONSUMER_KEY"),
        (NotSent(Reason.SYSTEM_BUSY, "no connection"), "DARAJA_BASE_URL"),
    ],
)
def test_the_doctor_says_what_to_mend_about_daraja(flask, daraja, error, mend, monkeypatch):
    def refuse():
        raise error

    monkeypatch.setattr(daraja, "check_credentials", refuse)

    result = flask("doctor")

    assert result.exit_code == 1
    assert of(result, "daraja").startswith("BAD")
    assert mend in of(result, "daraja")


def test_the_doctor_says_that_redis_is_gone(make_app):
    app = make_app(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    assert "REDIS_URL" in of(result, "redis")


# -- as a process of its own, with an environment that is wrong ----------------------------------


@pytest.fixture
def shell(tmp_path):
    """Run `flask …` as a process, with only the settings that are named."""

    def run(*arguments, **settings):
        named: dict[str, Any] = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{tmp_path}/shell.sqlite",
            "PORT": str(free_port()),
            **settings,
        }
        return forks.run(named, ["-m", "flask", *arguments], PATIENCE)

    return run


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["transactions", "list"], {"DARAJA_ENV": "nonsense"}, "DARAJA_ENV"),
        (["orders", "create"], {"DARAJA_ENV": "production"}, "PUBLIC_URL"),
        (["transactions", "list"], {"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        (["db", "upgrade"], {"DATABASE_URL": "sqlite:////proc/no/such.sqlite"}, "DATABASE_URL"),
        (["--help"], {"PAYMENT_WAIT_SECONDS": "soon"}, "PAYMENT_WAIT_SECONDS"),
    ],
)
def test_a_wrong_setting_ends_a_command_with_the_one_line_that_names_it(
    shell, arguments, settings, named
):
    done = shell(*arguments, **settings)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(f"mpesa: {named}: ")


def test_the_doctor_names_all_wrong_settings_at_once(shell):
    done = shell("doctor", DATABASE_URL="mysql://x", PAYMENT_WAIT_SECONDS="soon")

    *wrong, last = done.stdout.splitlines()
    assert done.returncode == 1
    assert done.stderr == ""
    assert [line.split()[:3] for line in wrong] == [
        ["BAD", "settings", "DATABASE_URL:"],
        ["BAD", "settings", "PAYMENT_WAIT_SECONDS:"],
    ]
    assert last.startswith("The rest")


def test_the_doctor_names_a_file_that_cannot_be_written(shell):
    done = shell("doctor", DATABASE_URL="sqlite:////proc/no/such.sqlite")

    assert done.returncode == 1
    assert "BAD  settings     DATABASE_URL: /proc/no/such.sqlite" in done.stdout


def test_a_wrong_setting_is_still_an_error_to_a_program():
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        create_app(make_settings(DATABASE_URL="sqlite:////proc/no/such.sqlite"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["orders", "create", "--amount=1", "--reference=A", "--description=x"],
        ["transactions", "list"],
        ["transactions", "show", "x"],
    ],
    ids=" ".join,
)
def test_a_database_that_is_not_migrated_is_one_clear_line(shell, arguments):
    done = shell(*arguments)

    assert done.returncode == 1
    assert "flask db upgrade" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_doctor_says_what_to_mend_when_nothing_answers(shell):
    port = free_port()

    done = shell(
        "doctor",
        DATABASE_URL=f"postgresql://nobody:secret@127.0.0.1:{port}/none",
        DARAJA_BASE_URL=f"http://127.0.0.1:{port}",
    )

    assert done.returncode == 1
    assert "check DATABASE_URL" in done.stdout
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_the_doctor_says_that_daraja_cannot_be_reached(shell):
    assert shell("db", "upgrade").returncode == 0

    done = shell("doctor", DARAJA_BASE_URL=f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 1
    assert "ok   database" in done.stdout
    assert "check DARAJA_BASE_URL" in done.stdout


def test_an_order_is_made_from_a_shell(shell):
    assert shell("db", "upgrade").returncode == 0

    done = shell("orders", "create", "--amount=150", "--reference=INV-1", "--description=Kahawa")

    assert done.returncode == 0
    assert done.stdout.startswith("http://127.0.0.1:")
    assert "/checkout/" in done.stdout


# -- .env that cannot be read ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A copy of the program with a `.venv` as `make` sets it up, where `.env` may be anything."""
    folder = tmp_path_factory.mktemp("installation")
    for name in ("mpesa", "migrations", "templates", "static", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "app.py", folder)
    # The libraries are those of the tests, and so is pip.
    (folder / "requirements.txt").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (site_packages,) = folder.glob(".venv/lib/python*/site-packages")
    (site_packages / "tests.pth").write_text(get_path("purelib"))
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "HOME": str(folder)}
    subprocess.run(
        ["scripts/install.sh", "requirements.txt"], cwd=folder, env=environment, check=True,
        capture_output=True, timeout=4 * PATIENCE,
    )  # fmt: skip
    return folder


def save_for_windows(file):
    file.write_bytes("MERCHANT_NAME=Café".encode("cp1252"))


NO_TEXT = ".env: it cannot be read as text. Save .env as UTF-8."
NO_FILE = ".env: it cannot be read (Is a directory)."


@pytest.mark.parametrize(
    ("program", "spoil", "says"),
    [
        (["app.py"], save_for_windows, NO_TEXT),
        (["-m", "flask", "doctor"], save_for_windows, NO_TEXT),
        (["-m", "flask", "db", "upgrade"], save_for_windows, NO_TEXT),
        (["-m", "mpesa.simulator"], save_for_windows, NO_TEXT),
        (["app.py"], Path.mkdir, NO_FILE),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_one_line_from_every_program(
    installation, program, spoil, says
):
    file = installation / ".env"
    spoil(file)
    try:
        done = in_installation(installation, *program)
    finally:
        file.rmdir() if file.is_dir() else file.unlink()

    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1
    assert says in lines[0]
    # The doctor adds that it looks at the rest later.
    assert len(lines) == (2 if "doctor" in program else 1), lines


def test_a_command_reads_a_settings_file_that_windows_wrote(installation):
    file = installation / ".env"
    file.write_bytes("PAYMENT_WAIT_SECONDS=soon\r\n".encode("utf-16"))
    try:
        done = in_installation(installation, "-m", "flask", "transactions", "list")
    finally:
        file.unlink()

    assert done.stderr.startswith("mpesa: PAYMENT_WAIT_SECONDS: expected ")


def in_installation(folder, *program):
    return subprocess.run(
        [".venv/bin/python", *program], cwd=folder, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
