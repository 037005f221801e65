"""Lists as JSON, for jq and other programs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")


def print_array(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one array, which may be empty; in ASCII, so that a pipe's locale does not matter."""
    click.echo(json.dumps(list(rows), indent=2))
