"""A connection that rested is asked before it is used, and one that broke is replaced."""

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from mpesa.models import db
from mpesa.web import database
from tests.conftest import BOTH_DATABASES

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)


class Rest:
    """The time that connections rest by, moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def rest(monkeypatch):
    made = Rest()
    monkeypatch.setattr(database, "time", made)
    return made


@pytest.fixture
def engine(app, rest):
    """The application's engine; its pool is empty."""
    with app.app_context():
        db.engine.dispose()
        yield db.engine


@pytest.fixture
def asked(engine, monkeypatch):
    """The connections that were asked whether they stand."""
    made, ask = [], engine.dialect.do_ping

    def noting(connection):
        made.append(connection)
        return ask(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", noting)
    return made


def use(engine, count=1):
    """Use so many connections at once; they rest afterwards."""
    connections = [engine.connect() for _ in range(count)]
    try:
        return [each.scalar(text("SELECT 1")) for each in connections]
    finally:
        for each in connections:
            each.close()


def break_all(engine):
    """End every connection to the engine's database, at the server."""
    other = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        ended = connection.scalars(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
    other.dispose()
    assert ended
    assert all(ended)


@on_both
@pytest.mark.parametrize(("seconds", "times"), [(0, 0), (0.4, 0), (0.6, 1), (3600, 1)])
def test_only_a_connection_that_rested_for_longer_is_asked(engine, rest, asked, seconds, times):
    use(engine)
    rest.seconds += seconds

    assert use(engine) == [1]
    assert len(asked) == times


def test_a_new_connection_is_not_asked(engine, asked):
    use(engine)

    assert asked == []


def test_each_rest_counts_by_itself(engine, rest, asked):
    for _ in range(5):
        use(engine)
        rest.seconds += 0.4

    assert asked == []


@on_postgresql
def test_a_connection_that_broke_while_it_rested_is_replaced_unnoticed(engine, rest, asked):
    use(engine)
    break_all(engine)
    rest.seconds += 1

    assert use(engine) == [1]
    assert len(asked) == 1


@on_postgresql
def test_after_one_broken_connection_the_whole_pool_is_made_anew(engine, rest):
    use(engine, 3)
    break_all(engine)
    opened = []
    event.listen(engine, "connect", lambda *_: opened.append(1))
    rest.seconds += 1

    assert use(engine, 3) == [1, 1, 1]
    assert len(opened) == 3


@on_postgresql
def test_one_that_broke_without_a_rest_is_found_by_its_user(engine):
    use(engine)
    break_all(engine)

    with pytest.raises(OperationalError):
        use(engine)

    assert use(engine) == [1]
