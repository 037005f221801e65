"""Whose act a command is: `--as NAME`, proven by that person's password, and a code for money."""

import sys

import click

from mpesa import operators
from mpesa.domain import roles
from mpesa.domain.roles import Act
from mpesa.models import db
from mpesa.operators import Person
from mpesa.web.http.services import services

as_option = click.option(
    "--as",
    "name",
    required=True,
    help="Your name in the console; your password is asked for, or read from standard input.",
)


def typed_secret(prompt: str, *, twice: bool = False) -> str:
    """Ask for a secret without showing it, or read a line where nobody sits at a terminal.

    Never an argument: all who are on the machine can read those.

    Args:
        prompt: what is asked for; on standard error, so that a pipe gets the command's answer only.
        twice: whether a terminal asks again, since a slip would be stored.
    """
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def recognised(name: str, act: Act) -> Person:
    """The operator who runs the command, once the password is right and the role is enough.

    Args:
        act: what the command does.

    Raises:
        ClickException: the password is wrong, there is no such operator, or the role is less.
    """
    person = operators.recognise(db.session(), name, typed_secret("Password"))
    if person is None:
        raise click.ClickException("the password is wrong, or there is no such operator")
    return _with_the_role(person, act)


def stepped_up(name: str, act: Act) -> Person:
    """Like `recognised`, and by a code of the authenticator app as well: for what moves money.

    The password and the code are a line each of a standard input that is no terminal.
    """
    ours, session = services(), db.session()
    password, code = typed_secret("Password"), typed_secret("Code of the authenticator app")
    try:
        operators.step_up(
            session, name, password, code, ours.now(), secret_key=ours.settings.secret_key
        )
    except operators.WrongPasswordOrCode:
        refused = "the password or the code is wrong, or the code was used before"
    except operators.NoSecondFactor:
        refused = (
            "there is no second factor, or SECRET_KEY is another since, and without one this may"
            f" not be done: flask operators totp {operators.clean_name(name)}"
        )
    except operators.TooManyWrong as refusal:
        refused = f"too much was wrong: nothing is looked at for {refusal.seconds} s"
    else:
        return _with_the_role(operators.find(session, name), act)
    raise click.ClickException(refused)


def _with_the_role(person: Person, act: Act) -> Person:
    if not roles.may(person.role, act):
        least = roles.LEAST[act]
        raise click.ClickException(
            f"{person.name} is a {person.role}, and this takes a {least}; nothing was done"
        )
    return person
