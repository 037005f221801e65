"""Alert rules and dashboard in deploy/: they name what /metrics gives, and promtool takes them."""

import json
import re
import subprocess

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from mpesa import counters
from tests.servers import ROOT, free_port

RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
NAME = re.compile(r"\b(?:mpesa|process)_[a-z_]+\b")


@pytest.fixture
def given(make_app):
    """Every sample's name in a scrape of an application that has everything."""
    app: Flask = make_app(
        METRICS_TOKEN="t",
        PULL_NOMINATED_NUMBER="254722000000",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
    )
    counters.mark("daraja_clock_skew_seconds", 0.0)
    counters.mark("loop_last_success_timestamp_seconds", 1.0, loop="clock")
    page = app.test_client().get("/metrics", headers={"Authorization": "Bearer t"}).text
    return {
        sample.name for family in text_string_to_metric_families(page) for sample in family.samples
    }


def expressions():
    """Where an expression stands, and the expression."""
    found = {"alerts.yml": "\n".join(re.findall(r"expr: (?:>-\n)?((?:.|\n)+?)\n +(?:for|labels):",
                                                (RULES / "alerts.yml").read_text()))}  # fmt: skip
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        found[panel["title"]] = " ".join(target["expr"] for target in panel["targets"])
    return found


def test_everything_that_alerts_and_dashboard_name_is_in_the_metrics(given):
    for place, expression in expressions().items():
        named = set(NAME.findall(expression))

        assert named, place
        assert named <= given, place


def test_every_alert_says_what_it_is_and_what_to_do():
    alerts = (RULES / "alerts.yml").read_text().split("- alert: ")[1:]

    assert len(alerts) >= 12
    for alert in alerts:
        assert re.search(r"severity: (page|ticket)", alert)
        assert re.search(r"\n +summary: \S", alert)
        assert re.search(r"\n +description: \S", alert)


def test_panels_have_an_id_each_and_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(taken) == len(set(taken))
    assert max(x for x, _y in taken) < 24


@pytest.mark.promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"),
     ("check", "config", "--syntax-only", "prometheus.example.yml")],
    ids=" ".join,
)  # fmt: skip
def test_promtool_takes_the_rules(arguments):
    done = subprocess.run(
        ["promtool", *arguments], cwd=RULES, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
