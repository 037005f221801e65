"""The codes of an authenticator app, and how their secret is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from mpesa import second_factor

SECRET_KEY = "a secret key of this test"
# RFC 6238, appendix B, SHA1: its secret in base32, and the last six of its eight digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
A_STEP = timedelta(seconds=30)


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES.items())
def test_the_codes_of_the_rfc_are_those_of_their_step(seconds, code):
    now = datetime.fromtimestamp(seconds, UTC)

    assert second_factor.step_of(RFC_SECRET, code, now) == seconds // 30


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_phones_clock_may_be_one_step_off(off):
    now = datetime.fromtimestamp(1234567890, UTC)

    assert second_factor.step_of(RFC_SECRET, "005924", now + off * A_STEP) == 1234567890 // 30


@pytest.mark.parametrize("off", [-2, 2])
def test_a_code_of_two_steps_away_is_none(off):
    now = datetime.fromtimestamp(1234567890, UTC)

    assert second_factor.step_of(RFC_SECRET, "005924", now + off * A_STEP) is None


@pytest.mark.parametrize("code", ["", "5924", "0059245", "00592x", "٠٠٥٩٢٤", "x" * 10_000, "\0"])
def test_what_is_no_code_is_of_no_step(code):
    assert second_factor.step_of(RFC_SECRET, code, datetime.fromtimestamp(1234567890, UTC)) is None


def test_a_code_may_be_typed_with_the_space_that_apps_show():
    now = datetime.fromtimestamp(1234567890, UTC)

    assert second_factor.step_of(RFC_SECRET, " 005 924\n", now) is not None


def test_a_sealed_secret_opens_with_the_same_key_and_for_the_same_operator_only():
    secret = second_factor.new_secret()

    sealed = second_factor.seal(secret, "wanjiku", SECRET_KEY)

    assert second_factor.unseal(sealed, "wanjiku", SECRET_KEY) == secret
    assert second_factor.unseal(sealed, "otieno", SECRET_KEY) is None
    assert second_factor.unseal(sealed, "wanjiku", SECRET_KEY + "x") is None


@pytest.mark.parametrize("sealed", ["", "x", "AAAA", "A" * 80])
def test_what_was_not_sealed_here_opens_for_nobody(sealed):
    assert second_factor.unseal(sealed, "wanjiku", SECRET_KEY) is None


def test_what_is_sealed_shows_nothing_and_is_another_each_time():
    secret = second_factor.new_secret()

    sealed = {second_factor.seal(secret, "wanjiku", SECRET_KEY) for _ in range(2)}

    assert len(sealed) == 2
    assert not any(secret in each for each in sealed)


def test_the_address_for_an_app_names_operator_and_shop():
    written = second_factor.address(RFC_SECRET, "wanjiku", "Duka la Mfano")

    assert written.startswith("otpauth://totp/Duka%20la%20Mfano:wanjiku?secret=")
