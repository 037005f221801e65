import json
from xml.etree import ElementTree

import pytest

from tests.bench import plots
from tests.bench.drawing import ceiling, chart

RATES = {"rates": [{"rate": 10, "p50": 0.01, "p99": 0.02}, {"rate": 50, "p50": 0.02, "p99": 0.4}]}


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.03, 0.05), (1, 1), (13, 20), (21, 25), (26, 50), (20_000, 20_000)]
)
def test_an_axis_ends_at_a_round_number(value, top):
    assert ceiling(value) == pytest.approx(top)


def elements(svg):
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314 - we drew it


def test_a_chart_is_well_formed_and_names_its_lines():
    svg = chart("Cost <of a payment>", "waiting", "ms", {"ours": [(500, 3)], "plain": [(500, 4)]})

    texts = {each.text for each in elements(svg) if each.tag.endswith("text")}
    assert {"Cost <of a payment>", "waiting", "ms", "ours", "plain"} <= texts


def test_higher_figures_are_drawn_higher():
    svg = chart("Cost", "waiting", "ms", {"ours": [(500, 3), (5000, 9)]})

    first, second = (float(each.get("cy")) for each in elements(svg) if "cy" in each.attrib)
    assert second < first


def test_a_section_measured_alone_keeps_the_figures_of_the_others(tmp_path):
    plots.keep(tmp_path, "rates", "a machine", RATES)
    plots.keep(tmp_path, "workers", "a machine", {"ratio": 1.5})

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["rates"]["rates"] == RATES["rates"]
    assert figures["workers"] == {"machine": "a machine", "ratio": 1.5}


def test_only_what_was_measured_is_drawn(tmp_path):
    drawn = plots.draw(tmp_path, {"rates": RATES})

    assert [file.name for file in drawn] == ["latency.svg"]
    assert drawn[0].read_text().startswith("<svg")


def test_figures_of_an_earlier_benchmark_are_left_as_they_were_drawn(tmp_path):
    earlier = {"plain": [{"waiting": 500, "settle": 0.004}], "ours": []}

    assert plots.draw(tmp_path, {"ratio": earlier}) == []
