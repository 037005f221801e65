"""flask transactions: list, show, reconcile, export and forget transactions."""

import getpass
import json
from datetime import datetime, timedelta

import click
from sqlalchemy import select

from mpesa import export, ledger, orders, reconciler, retention
from mpesa.cli import exports
from mpesa.cli.group import Group
from mpesa.cli.json_lists import json_option, print_array
from mpesa.cli.times import in_nairobi
from mpesa.database import for_long_work, own_sessions
from mpesa.domain import snapshot
from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.models import Transaction, db
from mpesa.web.http.services import receipt_needs, services

transactions_group = Group(
    "transactions", help="List, show, reconcile, export and forget transactions."
)


@transactions_group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
def list_transactions(limit: int, as_json: bool) -> None:
    """Print the newest transactions, one on each line."""
    newest = select(Transaction).order_by(Transaction.created_at.desc()).limit(limit)
    session = db.session()
    found = session.scalars(newest).all()
    if as_json:
        now = services().now()
        accounts = [orders.account(session, each.order_id) for each in found]
        print_array(
            # As the webhooks tell it, and what the list says besides.
            {
                **snapshot.draw(account, account.attempt(each.id), now),
                "reference": each.order.reference,
                "needs_review": each.needs_review,
            }
            for each, account in zip(found, accounts, strict=True)
        )
        return
    for each in found:
        phone = mask_msisdn(each.msisdn) if each.msisdn else "-"
        click.echo(
            f"{each.id}  {in_nairobi(each.created_at)}  {each.status:<7}"
            f"  {each.reason:<18}  KES {each.amount:>7,}  {phone}"
            f"  {each.receipt or '-':<10}  {each.order.reference}"
            f"{'  needs review' if each.needs_review else ''}"
        )


# One id in 64 begins with a hyphen, and must not be read as an option.
@transactions_group.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("transaction_id")
def show_transaction(transaction_id: str) -> None:
    """Print one transaction: its snapshot, its evidence, and the decisions on that evidence."""
    session = db.session()
    shown = ledger.snapshot_of(db.engine, transaction_id, services().now())
    if shown is None:
        raise click.ClickException(f"there is no transaction {transaction_id}")
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    for evidence in session.get_one(Transaction, transaction_id).evidence:
        click.echo(
            f"\n{in_nairobi(evidence.received_at)}  {evidence.kind}"
            f"  from {evidence.source or 'ourselves'}, {len(evidence.body)} bytes"
        )
        for decision in evidence.decisions:
            click.echo(
                f"  -> {decision.status} {decision.reason}, seq {decision.seq}:"
                f" {decision.why}{' (needs review)' if decision.needs_review else ''}"
            )


@transactions_group.command("reconcile")
def reconcile() -> None:
    """Ask Daraja now about transactions without an answer, as far as the query budget allows."""
    asked = reconciler.run_until_idle(db.session(), services().access, lambda _changed: None)
    click.echo(f"asked about {asked} of the transactions that are due")


@transactions_group.command("export")
@exports.days
@click.option("--full-phone", is_flag=True, help="Whole numbers, not 0712•••678.")
def export_transactions(
    from_: datetime | None, to: datetime | None, name: str | None, full_phone: bool
) -> None:
    """Print a CSV of all payments that were begun in a period, by days in Nairobi."""
    period = exports.chosen(from_, to, name)
    exports.print_lines(
        "payments",
        lambda session: export.count(session, period),
        lambda session: export.rows(session, period, full_phone=full_phone),
    )


@transactions_group.command("forget")
@click.option("--phone", help="Forget this line's payments, whatever their age, on request.")
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
def forget(phone: str | None, dry_run: bool) -> None:
    """Blank numbers and raw messages older than RETENTION_DAYS; sums, receipts and states stay."""
    ours = services()
    by = f"flask, {getpass.getuser()}"
    try:
        msisdn = parse_msisdn(phone) if phone is not None else None
    except InvalidPhone:
        raise click.BadParameter("not a Kenyan mobile number", param_hint="--phone") from None
    with for_long_work(db.engine) as engine, own_sessions(engine)() as session:
        if msisdn is None:
            age = timedelta(days=ours.settings.retention_days)
            done = retention.by_age(session, ours.now(), age, by, dry_run=dry_run)
        else:
            try:
                mark = receipt_needs().mark_of(msisdn)
                done = retention.by_line(session, msisdn, mark, ours.now(), by, dry_run=dry_run)
            except retention.UnsettledLine as refusal:
                raise click.ClickException(
                    "nothing was forgotten: these payments of that line may still change, or wait"
                    " for a person: " + ", ".join(refusal.transaction_ids)
                ) from None
    verb = "would forget" if dry_run else "forgot"
    click.echo(
        f"{verb} the payer of {done.transactions} transactions and {done.receipts} receipts,"
        f" and {done.messages} raw messages"
    )
    if done.left:
        click.echo(f"{done.left} older ones stay: they may still change, or wait for a person")
