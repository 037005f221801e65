import pytest

from mpesa.runtime import welcome
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

    assert "Demo shop" in words
    assert "Virtual phone" not in words
    assert elsewhere not in words
