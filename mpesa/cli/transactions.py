"""flask transactions: look at transactions."""

import json

import click
from sqlalchemy import select

from mpesa import ledger, reconciler
from mpesa.cli.group import Group
from mpesa.domain.phone import mask_msisdn
from mpesa.models import Transaction, db
from mpesa.web.services import services

transactions_group = Group("transactions", help="Look at transactions.")


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


def _masked(transaction: Transaction) -> str:
    return mask_msisdn(transaction.msisdn) if transaction.msisdn else "-"
