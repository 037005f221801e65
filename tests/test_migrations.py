"""Migrations: up, down and up again on both databases, and never apart from the models."""

from datetime import timedelta
from threading import Event, Thread
from time import sleep

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Column, Index, MetaData, String, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app import create_app
from mpesa.database import MIGRATIONS, missing_migrations
from mpesa.domain.pay_code import is_pay_code
from mpesa.domain.settlement import QueryAnswered, ReviewSettled
from mpesa.models import UTCDateTime, db
from mpesa.runtime import database
from tests.conftest import on_both
from tests.factories import (
    SECOND_PAYER_MSISDN,
    failure_callback,
    make_settings,
    success_callback,
)
from tests.shop import at_once

OURS = {table.name for table in db.metadata.sorted_tables}


@pytest.fixture
def bare_app(database_url):
    """An application whose database is empty."""
    app = create_app(make_settings(DATABASE_URL=database_url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def tables():
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def differences(connection, metadata=db.metadata):
    """What a migration would have to change, server defaults and types included."""
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return compare_metadata(context, metadata)


@on_both
def test_an_empty_database_gets_every_table(bare_app):
    assert tables() == set()

    database.migrate()

    assert tables() == OURS


@on_both
def test_migrations_and_models_agree(bare_app):
    database.migrate()

    with db.engine.connect() as connection:
        assert differences(connection) == []


@on_both
def test_a_model_that_parts_from_the_migrations_is_noticed(bare_app):
    database.migrate()
    changed = MetaData(naming_convention=db.metadata.naming_convention)
    for table in db.metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["orders"].append_column(Column("colour", String(7)))
    Index("ix_orders_colour", changed.tables["orders"].c.colour)

    with db.engine.connect() as connection:
        found = differences(connection, changed)

    assert {each[0] for each in found} == {"add_column", "add_index"}


@on_both
def test_checks_and_partial_indexes_are_the_models_own(bare_app):
    """Alembic compares neither checks nor the conditions of indexes, so they are compared here."""
    database.migrate()
    migrated = rules(db.engine)
    flask_migrate.downgrade(str(MIGRATIONS), revision="base")
    db.metadata.create_all(db.engine)

    assert migrated == rules(db.engine)
    assert any("is_open" in condition for condition in migrated.values())


def rules(engine):
    """Check constraints and indexes by name, as the database tells them."""
    found: dict[str, str] = {}
    engine.dispose()  # SQLite's PRAGMAs tell an old connection its old schema
    inspector = inspect(engine)
    for table in OURS:
        for check in inspector.get_check_constraints(table):
            found[f"{table}.{check['name']}"] = " ".join(str(check["sqltext"]).split())
        for index in inspector.get_indexes(table):
            where = {k: str(v) for k, v in index.get("dialect_options", {}).items() if "where" in k}
            found[f"{table}.{index['name']}"] = (
                f"{index['column_names']} {bool(index['unique'])} {where}"
            )
    return found


@on_both
def test_every_migration_can_be_taken_back_and_made_again(bare_app):
    database.migrate()
    flask_migrate.downgrade(str(MIGRATIONS), revision="base")
    after = tables()

    database.migrate()

    assert after == set()
    with db.engine.connect() as connection:
        assert differences(connection) == []


@on_both
def test_a_prompt_that_is_open_while_the_database_is_migrated_keeps_its_longest_life(
    shop,
):
    first, paid = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    shop.record(paid, QueryAnswered("0"))
    pushed_at = shop.transaction(first).created_at
    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0004")
        database.migrate()

    ends = [shop.transaction(each).prompt_ends_at for each in (first, paid)]

    assert ends == [pushed_at + timedelta(seconds=200), None]


@on_both
def test_another_amount_that_was_told_before_the_migration_is_still_in_doubt(shop):
    transaction = shop.attempt()
    callback = success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1), amount=1)
    shop.callback(1, callback)
    shop.record(transaction, ReviewSettled())
    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0005")
        database.migrate()

    shop.record(transaction, QueryAnswered("0"))

    row = shop.transaction(transaction)
    assert (row.status, row.amount_disputed, row.needs_review) == ("PENDING", True, True)


@on_both
def test_what_a_query_alone_called_failed_before_the_migration_is_still_in_doubt(
    shop,
):
    by_query, by_callback = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    for each in (by_query, by_callback):
        shop.record(each, QueryAnswered("1032"))
    shop.callback(2, failure_callback(shop.daraja.checkout_id(2), shop.daraja.merchant_id(2), 1032))
    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0010")
        database.migrate()

    money = [shop.snapshot(each)["money"] for each in (by_query, by_callback)]

    assert money == ["unknown", "not_taken"]


@on_both
def test_what_was_open_or_paid_before_gets_its_pay_code_and_its_receipt(shop):
    paid, waiting = shop.attempt(), shop.order(reference="INV 0042")
    ended = shop.order()
    shop.callback(1, shop.paid())
    shop.cancel(ended)
    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0011")
        database.migrate()

    assert is_pay_code(shop.order_row(waiting).pay_code)
    assert shop.order_row(waiting).account_form == "42"
    assert shop.order_row(ended).pay_code is None
    receipt = shop.receipt()
    assert (receipt.organisation, receipt.amount, receipt.state) == ("174379", 15_000, "claimed")
    assert receipt.transaction_id == paid
    assert shop.transaction(paid).channel == "push"


@on_both
def test_money_that_was_told_of_twice_before_the_migration_counts_once(shop):
    shares = shop.attempt(reference="SHOES-1001")
    shop.callback(1, shop.failed(1, 2001))
    shop.confirm("SHOES-1001")
    shop.callback(1, shop.paid())
    with shop.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0023")
        assert shop.transaction(shares).receipt_amount is None
        database.migrate()

    assert shop.transaction(shares).receipt_amount == 0
    assert shop.transaction(shop.receipt().transaction_id).receipt_amount is None


@on_both
def test_migrating_again_changes_nothing(shop):
    order = shop.order()

    with shop.app.app_context():
        database.migrate()

    assert shop.order_row(order).reference == "INV-1"


@on_both
def test_a_database_that_was_not_migrated_is_noticed(bare_app):
    with db.engine.connect() as connection:
        before = missing_migrations(connection)
    database.migrate()
    with db.engine.connect() as connection:
        after = missing_migrations(connection)

    assert (before, after) == (True, False)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_that_start_at_once_migrate_once(database_url, make_bare):
    workers = [make_bare() for _ in range(4)]

    def migrate(app):
        with app.app_context():
            database.migrate()

    outcomes = at_once([lambda app=app: migrate(app) for app in workers])

    assert outcomes == [None] * 4
    with workers[0].app_context():
        assert tables() == OURS


def test_a_failed_migration_leaves_no_half_table_behind(bare_app, tmp_path):
    with db.engine.connect() as connection:
        connection.execute(text("CREATE TABLE evidence (id INTEGER)"))
        connection.commit()

    with pytest.raises(database.SettingsError):
        database.migrate()

    assert tables() == {"evidence"}


def test_migrations_name_plain_types(bare_app):
    written = [path.read_text() for path in (MIGRATIONS / "versions").glob("*.py")]

    assert written
    assert not [text for text in written if UTCDateTime.__name__ in text or "mpesa" in text]


@pytest.fixture
def make_bare(database_url):
    """Make applications on one empty database, as many workers would."""
    apps: list[Flask] = []

    def make():
        apps.append(create_app(make_settings(DATABASE_URL=database_url)))
        return apps[-1]

    yield make
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_that_lock_orders_before_transactions_meet_no_migration_crosswise(
    bare_app,
):
    flask_migrate.upgrade(str(MIGRATIONS), revision="0004")
    stop, errors, engine = Event(), list[str](), db.engine

    def work():
        while not stop.is_set():
            try:
                with engine.begin() as connection:
                    connection.execute(text("LOCK TABLE orders IN ROW SHARE MODE"))
                    sleep(0.001)
                    connection.execute(text("LOCK TABLE transactions IN ROW EXCLUSIVE MODE"))
            except SQLAlchemyError as error:
                errors.append(str(error))
            sleep(0.005)

    workers = [Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        database.migrate()
    finally:
        stop.set()
        for worker in workers:
            worker.join()

    assert errors == []
