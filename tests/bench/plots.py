"""The figures of a run: kept as JSON, and drawn."""

import json
from pathlib import Path
from typing import Any

from tests.bench.drawing import chart

_FILE = "figures.json"
_SERVERS = ("ours", "plain", "fast")


def keep(folder: Path, section: str, machine: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Put a section's figures beside those of the others; returns all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _FILE
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    figures[section] = {"machine": machine, **measured}
    file.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def draw(folder: Path, figures: dict[str, Any]) -> list[Path]:
    """Draw what there are figures for; returns the files."""
    drawn: dict[str, str] = {}
    # An older benchmark knew no fast server, and no whole payment.
    if "fast" in figures.get("ratio", {}):
        drawn["payment"] = _payment(figures["ratio"])
        drawn["memory"] = _memory(figures["ratio"])
    if "rates" in figures:
        drawn["latency"] = _latency(figures["rates"]["rates"])
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg)
    return [folder / f"{name}.svg" for name in drawn]


def _payment(ratio: dict[str, Any]) -> str:
    lines = {
        name: [(each["waiting"], 1000 * each["whole"]) for each in ratio[name]] for name in _SERVERS
    }
    return chart("What a whole payment costs", "shoppers who wait", "ms of CPU", lines)


def _memory(ratio: dict[str, Any]) -> str:
    lines = {
        name: [(n, size / 1024**2) for n, size in ratio[name][-1]["sockets"]] for name in _SERVERS
    }
    return chart("Memory of one worker", "shoppers who wait", "MiB", lines)


def _latency(rates: list[dict[str, float]]) -> str:
    lines = {
        share: [(each["rate"], 1000 * each[share]) for each in rates] for share in ("p50", "p99")
    }
    return chart("From a callback to the push", "callbacks a second", "ms", lines)
