"""The flask commands."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from mpesa import ledger, reconciler
from mpesa.config import SettingsError
from mpesa.domain.phone import mask_msisdn
from mpesa.models import Transaction, db
from mpesa.web import doctor, qr
from mpesa.web.api import make_order, parse_order
from mpesa.web.errors import Problem
from mpesa.web.services import services


class _Group(AppGroup):
    """Commands that end with one line, rather than a traceback, where the database fails."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SQLAlchemyError:
            raise click.ClickException(
                "the database does not answer, or is not migrated: check DATABASE_URL, run"
                " `flask db upgrade`; `flask doctor` says more"
            ) from None


orders_group = _Group("orders", help="Make orders.")
transactions_group = _Group("transactions", help="Look at transactions.")


def register(app: Flask) -> None:
    """Add the commands to an application."""
    app.cli.add_command(orders_group)
    app.cli.add_command(transactions_group)
    app.cli.add_command(doctor_command)


@contextmanager
def one_line_for_wrong_settings() -> Iterator[None]:
    """Let a `flask` command end with the line that names the setting, rather than a traceback."""
    try:
        yield
    except SettingsError as problem:
        if click.get_current_context(silent=True) is None:
            raise
        sys.exit(f"mpesa: {problem}")


@orders_group.command("create")
@click.option("--amount", type=int, required=True, help="Whole shillings.")
@click.option("--reference", required=True, help="Yours; the payer sees it. 12 characters.")
@click.option("--description", required=True, help="What is paid for, 200 characters.")
@click.option("--return-url", help="Where the shopper goes afterwards.")
@click.option("--expires-at", help="ISO 8601 with its zone; no push is taken afterwards.")
@click.option("--qr", "with_code", is_flag=True, help="Print it as a QR code too.")
def create_order(with_code: bool, **fields: Any) -> None:
    """Make an order and print its checkout address, alone on the first line."""
    ours = services()
    try:
        with current_app.test_request_context():
            new = parse_order(fields, ours.settings)
            order = make_order(new)
    except Problem as problem:
        option = (problem.field or "").replace("_", "-")
        raise click.BadParameter(problem.detail, param_hint=f"--{option}") from None
    address = f"{ours.settings.public_url}/checkout/{order.id}"
    click.echo(address)
    if with_code:
        click.echo(qr.terminal(address))


@transactions_group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def list_transactions(limit: int) -> None:
    """Print the newest transactions, one a line."""
    newest = select(Transaction).order_by(Transaction.created_at.desc()).limit(limit)
    for each in db.session.scalars(newest):
        click.echo(
            f"{each.id}  {each.created_at:%Y-%m-%dT%H:%M:%SZ}  {each.status:<7}"
            f"  {each.reason:<18}  KES {each.amount:>7,}  {_masked(each)}"
            f"  {each.receipt or '-':<10}  {each.order.reference}"
            f"{'  needs review' if each.needs_review else ''}"
        )


# One id in 64 begins with a hyphen, and is no option.
@transactions_group.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("transaction_id")
def show_transaction(transaction_id: str) -> None:
    """Print one transaction: its snapshot, and its evidence with what was decided."""
    session = db.session()
    snapshot = ledger.snapshot_of(session, transaction_id, services().now())
    if snapshot is None:
        raise click.ClickException(f"there is no transaction {transaction_id}")
    click.echo(json.dumps(snapshot, indent=2, ensure_ascii=False))
    for evidence in session.get_one(Transaction, transaction_id).evidence:
        click.echo(
            f"\n{evidence.received_at:%Y-%m-%dT%H:%M:%SZ}  {evidence.kind}"
            f"  from {evidence.source or 'ourselves'}, {len(evidence.body)} bytes"
        )
        for decision in evidence.decisions:
            click.echo(
                f"  -> {decision.status} {decision.reason}, seq {decision.seq}:"
                f" {decision.why}{' (needs review)' if decision.needs_review else ''}"
            )


@transactions_group.command("reconcile")
def reconcile() -> None:
    """Ask Daraja now about what is silent, as far as the query budget goes."""
    asked = reconciler.run_until_idle(db.session(), services().line, lambda _changed: None)
    click.echo(f"asked about {asked} of the transactions that are due")


@click.command("doctor")
@with_appcontext
def doctor_command() -> None:
    """Check settings, database, Redis, Daraja and PUBLIC_URL, and say what to mend."""
    findings = doctor.examine(services())
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<12} {finding.says}")
    if not all(finding.well for finding in findings):
        raise click.exceptions.Exit(1)


def _masked(transaction: Transaction) -> str:
    return mask_msisdn(transaction.msisdn) if transaction.msisdn else "-"
