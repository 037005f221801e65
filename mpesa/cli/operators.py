"""flask operators: who may use the console, what each may do, and with which second factor."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from mpesa import operators, second_factor
from mpesa.cli.group import Group
from mpesa.cli.json_lists import json_option, print_array
from mpesa.cli.person import typed_secret
from mpesa.cli.times import in_nairobi
from mpesa.domain.roles import Role
from mpesa.domain.snapshot import utc_text
from mpesa.models import Operator, db
from mpesa.web.http import qr
from mpesa.web.http.services import services

operators_group = Group(
    "operators", help="Add, list and remove the operators of the console, and give them roles."
)
_ROLES = click.Choice([role.value for role in Role])


@operators_group.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, help="Without it: the first is a manager, others are viewers.")
def add_operator(name: str, role: str | None) -> None:
    """Add an operator, or set a new password, which ends that operator's logins.

    The password is asked for twice, or read from standard input if that is not a terminal.
    """
    session, now = db.session(), services().now()
    password = typed_secret(
        f"Password ({operators.SHORTEST_PASSWORD} characters or more)", twice=True
    )
    with _one_line():
        new = operators.add(session, name, password, now, Role(role) if role else None)
    added = session.get_one(Operator, operators.clean_name(name))
    click.echo(
        f"added {added.name}, a {added.role}"
        if new
        else f"{added.name}, a {added.role}, has a new password; earlier logins have ended"
    )


@operators_group.command("list")
@json_option
def list_operators(as_json: bool) -> None:
    """Print the operators, one on each line, with role, second factor and last login."""
    found = db.session.query(Operator).order_by(Operator.name).all()
    if as_json:
        print_array(
            {
                "name": each.name,
                "role": each.role,
                "second_factor": each.totp_sealed is not None,
                "created_at": utc_text(each.created_at),
                "last_login_at": utc_text(each.last_login_at) if each.last_login_at else None,
            }
            for each in found
        )
        return
    for each in found:
        login = in_nairobi(each.last_login_at) if each.last_login_at else "never"
        factor = "yes" if each.totp_sealed else "no"
        click.echo(
            f"{each.name}  {each.role:<7}  second factor {factor:<3}"
            f"  added {in_nairobi(each.created_at)}  last login {login}"
        )


@operators_group.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
def give_role(name: str, role: str) -> None:
    """Say what an operator may do from now on; open pages follow with the next click."""
    with _one_line():
        known = operators.give_role(db.session(), name, Role(role))
    if not known:
        raise _no_such(name)
    click.echo(f"{operators.clean_name(name)} is a {role}")


@operators_group.command("totp")
@click.argument("name")
def enrol_operator(name: str) -> None:
    """Give an operator a second factor for an authenticator app, shown here and now only.

    It replaces an earlier one, and ends that operator's logins.
    """
    settings = services().settings
    secret = operators.enrol(db.session(), name, settings.secret_key)
    if secret is None:
        raise _no_such(name)
    name = operators.clean_name(name)
    click.echo(f"The second factor of {name}; no one can show it again. Scan it with an app:")
    click.echo(qr.terminal(second_factor.address(secret, name, settings.merchant_name)))
    click.echo(f"or type the key: {' '.join(re.findall('.{1,4}', secret))}")


@operators_group.command("remove")
@click.argument("name")
def remove_operator(name: str) -> None:
    """Remove an operator and end their logins; their acts stay in the evidence."""
    with _one_line():
        known = operators.remove(db.session(), name)
    if not known:
        raise _no_such(name)
    click.echo(f"removed {operators.clean_name(name)}")


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except operators.NotAccepted as problem:
        raise click.ClickException(str(problem)) from None


def _no_such(name: str) -> click.ClickException:
    return click.ClickException(f"there is no operator {operators.clean_name(name)}")
