"""flask receipts: list what came, show one, claim one for an order, export them."""

import json
from datetime import datetime

import click

from mpesa import export, receipt_lists, receipts
from mpesa.cli import exports
from mpesa.cli.group import Group
from mpesa.cli.json_lists import json_option, print_array
from mpesa.cli.person import as_option, recognised
from mpesa.cli.times import in_nairobi
from mpesa.domain import refusals
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import Direction, State
from mpesa.domain.refusals import OrderError, ReceiptError
from mpesa.domain.roles import Act
from mpesa.models import db
from mpesa.receipts import Claim
from mpesa.web.http.services import receipt_needs

receipts_group = Group(
    "receipts", help="List what came, show one, claim one for an order, export them."
)


@receipts_group.command("list")
@click.option("--unclaimed", is_flag=True, help="Only what no order has.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
def list_receipts(unclaimed: bool, limit: int, as_json: bool) -> None:
    """Print the receipts that were learned of last, one on each line."""
    connection = db.session().connection()
    found = receipt_lists.newest(connection, limit, State.UNCLAIMED if unclaimed else None)
    shown = receipt_lists.shown(connection, found)
    if as_json:
        print_array(dict(each) for each in shown)
        return
    for receipt, told in zip(found, shown, strict=True):
        state = told["state"] or told["direction"]
        click.echo(
            f"{receipt.receipt}  {in_nairobi(receipt.paid_at or receipt.learned_at)}"
            f"  {state:<9}  KES {receipt.amount / 100:>12,.2f}  {told['phone'] or '-':<12}"
            f"  {told['account'] or '-'}{'  needs review' if receipt.needs_review else ''}"
        )


@receipts_group.command("show")
@click.argument("receipt")
@click.option(
    "--direction",
    type=click.Choice([each.value for each in Direction]),
    default="in",
    show_default=True,
)
def show_receipt(receipt: str, direction: str) -> None:
    """Print one receipt, and who reported it."""
    connection = db.session().connection()
    found = receipt_lists.find(connection, receipt.upper(), Direction(direction))
    if found is None:
        raise click.ClickException(f"there is no receipt {receipt}")
    [told] = receipt_lists.shown(connection, [found])
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    for witness in receipt_lists.witnesses(connection, [found])[found.id]:
        click.echo(f"{in_nairobi(witness.received_at)}  {witness.kind}")


@receipts_group.command("export")
@exports.days
def export_receipts(from_: datetime | None, to: datetime | None, name: str | None) -> None:
    """Print a CSV of all receipts whose money moved in a period, by days in Nairobi."""
    period = exports.chosen(from_, to, name)
    exports.print_lines(
        "receipts",
        lambda session: export.count_receipts(session, period),
        lambda session: export.receipt_rows(session, period, sees_people=True),
    )


# One order's id in 64 begins with a hyphen, and must not be read as an option.
@receipts_group.command("claim", context_settings={"ignore_unknown_options": True})
@click.argument("receipt")
@click.argument("order_id", metavar="ORDER")
@as_option
@click.option("--accept-amount", is_flag=True, help="The order is paid by it, whatever came.")
@click.option("--reason", default="", help="Kept as evidence; needed with --accept-amount.")
def claim_receipt(receipt: str, order_id: str, name: str, accept_amount: bool, reason: str) -> None:
    """Give an unclaimed receipt to an order, which is paid by it; this is never undone."""
    why = read_line(reason, receipts.LONGEST_REASON) or ""
    if (reason or accept_amount) and len(why) < receipts.SHORTEST_REASON:
        raise click.BadParameter("2 to 100 characters on one line", param_hint="--reason")
    by = recognised(name, Act.ACCEPT_AMOUNT if accept_amount else Act.CLAIM).name
    wanted = Claim(receipt.upper(), order_id, by, accept_amount, why)
    try:
        receipts.claim(db.session(), wanted, receipt_needs())
    except (ReceiptError, OrderError) as refusal:
        raise click.ClickException(_REFUSED[type(refusal)]) from None
    click.echo(f"{wanted.receipt} is the money of order {order_id}")


_REFUSED: dict[type[Exception], str] = {
    refusals.ReceiptNotFound: "there is no such receipt",
    refusals.OrderNotFound: "there is no such order",
    refusals.OrderPaid: "the order is paid already: this money came twice",
    refusals.AlreadyClaimed: "the receipt is another order's: a refund puts a wrong claim right",
    refusals.NotProven: "nothing proves yet that this money came",
    refusals.AlreadyReturned: "this money went back to its payer",
    refusals.OnItsWayBack: "a refund of this receipt was asked for",
    refusals.AmountDiffers: "the amount is not the order's: see --accept-amount and --reason",
}
