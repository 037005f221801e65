import logging

import pytest

from mpesa.simulator.postman import post_callback


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
