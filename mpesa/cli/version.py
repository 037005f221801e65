"""flask version: the version of this program. Flask's own `--version` tells only Flask's."""

import platform
from importlib.metadata import version

import click

from mpesa import __version__


@click.command("version")
def version_command() -> None:
    """Print this program's version, and those of Python and Flask."""
    click.echo(f"mpesa-checkout {__version__}")
    click.echo(f"Python {platform.python_version()}")
    click.echo(f"Flask {version('flask')}")
