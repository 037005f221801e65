"""The loops beside the requests outlive whatever goes wrong in a round."""

import pytest
from sqlalchemy.exc import OperationalError

from mpesa.web import background


def broken(*_):
    raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))


@pytest.mark.parametrize("error", [broken, lambda *_: 1 / 0])
def test_a_round_that_fails_does_not_end_the_loop(app, error):
    background._try(app, error)


def test_a_connection_that_cannot_be_given_back_does_not_end_the_loop(app):
    failures = iter([broken])
    app.teardown_appcontext(lambda _error: next(failures, lambda: None)())

    background._try(app, lambda _services: None)

    assert next(failures, None) is None
