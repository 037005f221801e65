"""Charts that are right at the edges: nothing, one, and more than there is room for."""

import re
import xml.etree.ElementTree as ET

import pytest

from mpesa.web.console import charts
from mpesa.web.console.charts import Column, Share, Span

KINDS = ("paid", "failed")


def stacked(*columns):
    return charts.stacked("hours", "By hour", "Payments", KINDS, columns, 200)


def parse(svg):
    return ET.fromstring(str(svg))  # noqa: S314 - our own markup


def rects(svg, kind):
    return [each for each in parse(svg).iter("rect") if each.get("class") == kind]


def test_a_chart_without_a_payment_is_a_scale_and_no_column():
    svg = stacked(Column("0", (0, 0), "nothing"), Column("1", (0, 0), "nothing"))

    assert rects(svg, "paid") == rects(svg, "failed") == []
    assert {"0", "2", "4"} <= {each.text for each in parse(svg).iter("text")}


def test_a_chart_of_no_columns_at_all_is_still_a_drawing():
    assert parse(stacked()).tag == "svg"


def test_one_payment_is_seen_beside_a_thousand():
    svg = stacked(Column("0", (1000, 1), "many"))

    assert float(rects(svg, "failed")[0].get("height")) >= 1


def test_the_parts_of_a_column_stand_on_each_other():
    svg = stacked(Column("0", (30, 10), "forty"))

    lower, upper = rects(svg, "paid")[0], rects(svg, "failed")[0]
    assert float(upper.get("y")) + float(upper.get("height")) == pytest.approx(
        float(lower.get("y")), abs=0.02
    )


@pytest.mark.parametrize("count", [1, 7, 999, 123_456])
def test_no_column_leaves_the_drawing(count):
    svg = stacked(Column("0", (count, count), "many"))

    assert all(float(each.get("y")) >= 0 for each in parse(svg).iter("rect") if each.get("y"))


@pytest.mark.parametrize(
    ("most", "top"), [(0, 4), (4, 4), (5, 10), (31, 40), (101, 120), (501, 600)]
)
def test_a_scale_ends_at_a_round_number(most, top):
    assert charts.nice_top(most) == top


def test_a_column_that_stands_out_has_a_band_and_its_sentence():
    svg = stacked(Column("14", (3, 30), "14:00: 3 paid, 30 failed", marked=True))

    assert len(rects(svg, "bad-band")) == 1
    assert "14:00: 3 paid, 30 failed" in [each.text for each in parse(svg).iter("title")]


def test_whoever_does_not_see_a_chart_is_told_what_it_shows():
    root = parse(stacked(Column("0", (1, 0), "one")))

    named = {each.get("id"): each.text for each in root.iter() if each.get("id")}
    assert root.get("role") == "img"
    assert [named[each] for each in root.get("aria-labelledby").split()] == ["By hour", "Payments"]


def test_hostile_words_stay_words():
    hostile = '<script>alert(1)</script>" onload="x'

    svg = charts.stacked(
        "x", hostile, hostile, KINDS, [Column(hostile, (1, 0), hostile, marked=True)], 200
    )

    assert not list(parse(svg).iter("script"))
    assert not [each for each in parse(svg).iter() if each.get("onload")]


def test_an_hour_without_a_result_breaks_the_line_of_the_rate():
    each = [Share(0.9, ""), Share(0.8, ""), Share(None, ""), Share(0.7, "")]

    root = parse(charts.shares("rate", "Rate", "By hour", each, 0.85, 90))

    lines = [line for line in root.iter("line") if line.get("class") == "rate"]
    assert (len(lines), len(list(root.iter("circle")))) == (1, 3)


def test_an_hour_in_which_nothing_was_measured_has_no_bar():
    each = [Span("0", None, None, ""), Span("1", 12, 40, "usual 12 s")]

    root = parse(charts.spans("waits", "Waits", "By hour", " s", each, 120))

    assert len(list(root.iter("circle"))) == 1


def test_a_bar_never_leaves_its_rail():
    assert re.findall(r'width="([0-9.]+)%" height="8" rx="4"', charts.bar(7.5, "failed")) == [
        "100",
        "100",
    ]


def test_colours_come_from_the_style_sheet_alone():
    svg = stacked(Column("0", (1, 1), "two", marked=True))

    assert not re.search(r"#[0-9a-f]{3}|style=|fill=", svg)
