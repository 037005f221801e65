"""Who runs a command that moves money or gives it to an order: a name, and its password."""

import sys

import click

from mpesa import operators
from mpesa.models import db

as_option = click.option(
    "--as",
    "name",
    required=True,
    help="Your name in the console; your password is asked for, or read from standard input.",
)


def recognised(name: str) -> str:
    """The operator's name, once the password is right; it is a line of a standard input in a pipe.

    Raises:
        ClickException: it is wrong, or there is no such operator.
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    found = operators.recognise(db.session(), name, password)
    if found is None:
        raise click.ClickException("the password is wrong, or there is no such operator")
    return found
