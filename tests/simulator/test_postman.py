import logging

import pytest

from mpesa.simulator.postman import ask_merchant, post_callback


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://" + "a" * 70 + ".example", "http://.", "http://[::1"]
)
def test_a_merchant_who_cannot_be_reached_is_let_go_without_telling_his_secret(address, caplog):
    caplog.set_level(logging.DEBUG, "mpesa")

    post_callback(f"{address}/callback/5ec2e7", b"{}", "174379")

    (record,) = [record for record in caplog.records if record.name == "mpesa.simulator.postman"]
    assert "not delivered" in record.getMessage()
    assert "5ec2e7" not in record.getMessage()


def test_a_callback_arrives_as_it_was_written(merchant):
    address, taken = merchant

    post_callback(f"{address}/callback/1?order=2", b'{"Value":1.00}', "174379")

    path, _, body = taken.get(timeout=5)
    assert (path, body) == ("/callback/1?order=2", b'{"Value":1.00}')


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://."])
def test_a_merchant_who_cannot_be_asked_has_not_answered(address):
    assert ask_merchant(f"{address}/c2b/5ec2e7/validation", b"{}", "174379") is None


def test_a_merchant_who_answers_an_error_has_not_answered(merchant):
    address, taken = merchant  # this one always answers 500

    assert ask_merchant(f"{address}/validation", b"{}", "174379") is None
    assert taken.get(timeout=5)[0] == "/validation"
