import sys
from pathlib import Path

import pytest

from mpesa.runtime import welcome
from mpesa.web.http.commands import add_an_operator
from tests.factories import make_settings


def said(capsys, **environ):
    welcome.say(make_settings(**environ))
    return capsys.readouterr().out


def test_the_virtual_phone_is_offered_where_it_is(capsys):
    words = said(capsys, PORT="8123")

    assert "Virtual phone   http://127.0.0.1:8123/simulator/ " in words


def test_that_other_devices_cannot_come_here_is_said_to_the_developer(
    capsys,
):
    here = said(capsys)
    public = said(capsys, PUBLIC_URL="http://192.0.2.7:8000", SIMULATOR_PUBLIC="1")

    assert "PUBLIC_URL is a loopback address" in here
    assert "loopback" not in public


@pytest.mark.parametrize(
    "elsewhere", ["http://127.0.0.1:5001", "http://127.0.0.1:8123/simulator", "https://a.example"]
)
def test_no_virtual_phone_is_promised_at_a_simulator_of_somebody_else(capsys, elsewhere):
    words = said(capsys, PORT="8000", DARAJA_BASE_URL=elsewhere)

    assert "  Shop " in words
    assert "Virtual phone" not in words
    assert elsewhere not in words


def test_shop_console_and_api_are_named_with_the_port_in_use_and_how_to_get_in(capsys):
    words = said(capsys, PORT="8123")

    assert "  Shop            http://127.0.0.1:8123/\n" in words
    assert "  Console         http://127.0.0.1:8123/console\n" in words
    assert f"    to get in     {add_an_operator()}\n" in words
    assert "  API             http://127.0.0.1:8123/docs/api\n" in words
    assert "8000" not in words


def test_the_command_to_paste_is_loud_where_it_fails(capsys):
    words = said(capsys)

    assert "curl -fsS http://127.0.0.1:8000/api/orders" in words


def test_a_command_is_told_as_it_is_typed_in_the_folder_of_the_project(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))

    assert add_an_operator() == ".venv/bin/flask operators add your-name"


def test_no_command_tells_where_the_files_of_a_server_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(Path("/srv/mpesa/venv/bin/python")))

    assert add_an_operator() == "flask operators add your-name"
