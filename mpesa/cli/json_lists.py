"""Lists as JSON, for jq and other programs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")


def print_array(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one array, empty where there is nothing; ASCII, whatever the locale of a pipe is."""
    click.echo(json.dumps(list(rows), indent=2))
