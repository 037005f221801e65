"""flask operators: add, list and remove the operators of the console."""

import sys

import click

from mpesa import operators
from mpesa.cli.group import Group
from mpesa.cli.json_lists import json_option, print_array
from mpesa.cli.times import in_nairobi
from mpesa.domain.snapshot import utc_text
from mpesa.models import Operator, db
from mpesa.web.http.services import services

operators_group = Group("operators", help="Add, list and remove the operators of the console.")


@operators_group.command("add")
@click.argument("name")
def add_operator(name: str) -> None:
    """Add an operator, or set a new password, which ends that operator's logins.

    The password is asked for twice, or read from standard input if that is not a terminal.
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        new = operators.add(db.session(), name, password, services().now())
    except operators.NotAccepted as problem:
        raise click.ClickException(str(problem)) from None
    name = operators.clean_name(name)
    click.echo(f"added {name}" if new else f"{name} has a new password; earlier logins have ended")


@operators_group.command("list")
@json_option
def list_operators(as_json: bool) -> None:
    """Print the operators, one on each line, with their last login."""
    found = db.session.query(Operator).order_by(Operator.name).all()
    if as_json:
        print_array(
            {
                "name": each.name,
                "created_at": utc_text(each.created_at),
                "last_login_at": utc_text(each.last_login_at) if each.last_login_at else None,
            }
            for each in found
        )
        return
    for each in found:
        login = in_nairobi(each.last_login_at) if each.last_login_at else "never"
        click.echo(f"{each.name}  added {in_nairobi(each.created_at)}  last login {login}")


@operators_group.command("remove")
@click.argument("name")
def remove_operator(name: str) -> None:
    """Remove an operator and end their logins; their acts stay in the evidence."""
    if not operators.remove(db.session(), name):
        raise click.ClickException(f"there is no operator {operators.clean_name(name)}")
    click.echo(f"removed {operators.clean_name(name)}")
