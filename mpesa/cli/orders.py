"""flask orders: create orders."""

from typing import Any

import click
from flask import current_app

from mpesa.cli.group import Group
from mpesa.web.http import qr
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services
from mpesa.web.merchant.orders import make_order, parse_order

orders_group = Group("orders", help="Create orders.")


@orders_group.command("create")
@click.option("--amount", type=int, required=True, help="Whole shillings.")
@click.option(
    "--reference", required=True, help="Your reference, 64 characters; the payer sees the last 12."
)
@click.option("--description", required=True, help="What is paid for, 200 characters.")
@click.option("--return-url", help="Where the shopper goes afterwards.")
@click.option("--expires-at", help="ISO 8601 with its zone; no push is taken afterwards.")
@click.option("--qr", "with_code", is_flag=True, help="Print the address as a QR code too.")
def create_order(with_code: bool, **fields: Any) -> None:
    """Create an order and print its checkout address, alone on the first line."""
    ours = services()
    try:
        with current_app.test_request_context():
            new = parse_order(fields, ours.settings)
            order = make_order(new).order
    except Problem as problem:
        option = (problem.field or "").replace("_", "-")
        raise click.BadParameter(problem.detail, param_hint=f"--{option}") from None
    address = f"{ours.settings.public_url}/checkout/{order.id}"
    click.echo(address)
    if with_code:
        click.echo(qr.terminal(address))
