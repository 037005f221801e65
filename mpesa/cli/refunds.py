"""flask refunds: what was asked for, and the acts that give money back."""

import json

import click

from mpesa import refund_lists, refunds
from mpesa.cli.group import Group
from mpesa.cli.person import as_option, recognised, stepped_up
from mpesa.cli.times import in_nairobi
from mpesa.domain import refund_shown, refusals
from mpesa.domain.money import format_cents
from mpesa.domain.people_text import read_line
from mpesa.domain.roles import Act
from mpesa.ids import is_id
from mpesa.models import db
from mpesa.receipts import LONGEST_REASON, SHORTEST_REASON
from mpesa.web.http.services import refund_needs, services

refunds_group = Group("refunds", help="Money that goes back to its payer.")

_MOST = 200


@refunds_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Every field, for programs.")
def list_refunds(as_json: bool) -> None:
    """List the newest refunds, what waits for a release first."""
    waiting = refund_lists.waiting(db.session(), _MOST)
    ids = {each.id for each in waiting}
    newest = [e for e in refund_lists.newest(db.session(), _MOST) if e.id not in ids]
    if as_json:
        told = [refund_shown.draw(each) for each in (*waiting, *newest)]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for each in (*waiting, *newest):
        doubt = "  needs review" if each.needs_review else ""
        click.echo(
            f"{in_nairobi(each.updated_at)}  {each.id}  {each.receipt}"
            f"  {format_cents(each.amount):>14}  {each.status}{doubt}"
        )


@refunds_group.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("refund_id", metavar="ID")
def show_refund(refund_id: str) -> None:
    """Show one refund."""
    found = refunds.find(db.session(), refund_id) if is_id(refund_id) else None
    if found is None:
        raise click.ClickException("there is no such refund")
    click.echo(json.dumps(refund_shown.draw(found), indent=2, ensure_ascii=False))


@refunds_group.command("ask")
@click.argument("receipt")
@as_option
@click.option("--reason", required=True, help="2 to 100 characters; M-PESA gets none of them.")
@click.option("--returns-all", is_flag=True, help="Another receipt of its order goes back as well.")
def ask_for_refund(receipt: str, name: str, reason: str, returns_all: bool) -> None:
    """Ask for a refund of a receipt, in full; another person releases it within a day."""
    why = read_line(reason, LONGEST_REASON) or ""
    if len(why) < SHORTEST_REASON:
        raise click.BadParameter("2 to 100 characters on one line", param_hint="--reason")
    if services().settings.daraja_refund_initiator is None:
        raise click.ClickException("refunds are off: DARAJA_REFUND_INITIATOR is not set")
    by = recognised(name, Act.ASK_FOR_REFUND).name
    wanted = refunds.Wanted(receipt.upper(), why, by, returns_all)
    try:
        refund, _is_new = refunds.ask(db.session(), wanted, refund_needs())
    except refusals.RefundError as refusal:
        raise click.ClickException(_words(refusal)) from None
    click.echo(refund.id)


@refunds_group.command("release", context_settings={"ignore_unknown_options": True})
@click.argument("refund_id", metavar="ID")
@as_option
@click.option("--returns-all", is_flag=True, help="Another receipt of its order goes back as well.")
def release_refund(refund_id: str, name: str, returns_all: bool) -> None:
    """Release a refund, which is then sent at once: with a manager's password and code."""
    by = stepped_up(name, Act.RELEASE_REFUND).name
    try:
        refunds.release(db.session(), refund_id, by, refund_needs(), returns_all=returns_all)
    except refusals.RefundError as refusal:
        raise click.ClickException(_words(refusal)) from None
    click.echo(f"{refund_id} is released, and sent at once")


@refunds_group.command("refuse", context_settings={"ignore_unknown_options": True})
@click.argument("refund_id", metavar="ID")
@as_option
def refuse_refund(refund_id: str, name: str) -> None:
    """Refuse a refund that waits for its release."""
    by = recognised(name, Act.REFUSE_REFUND).name
    try:
        refunds.refuse(db.session(), refund_id, by, refund_needs())
    except refusals.RefundError as refusal:
        raise click.ClickException(_words(refusal)) from None
    click.echo(f"{refund_id} is refused")


def _words(refusal: refusals.RefundError) -> str:
    match refusal:
        case refusals.RefundExists(refund_id=refund_id):
            return f"a refund of this receipt was asked for: {refund_id}"
        case _:
            return _REFUSED[type(refusal)]


_REFUSED: dict[type[Exception], str] = {
    refusals.NoReceipt: "there is no such receipt",
    refusals.NoRefund: "there is no such refund",
    refusals.NotRefundable: (
        "M-PESA gives back whole shillings of a proven payment that is still here"
    ),
    refusals.OtherReturned: "another receipt of this order goes back as well: see --returns-all",
    refusals.NotYours: "you asked for it, so another person releases it",
    refusals.TooLate: "it does not wait for that, or no longer",
    refusals.DailyLimit: "the day's limit of refunds would be exceeded (REFUND_DAILY_LIMIT)",
}
