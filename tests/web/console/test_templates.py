"""What holds for all pages of the console, by their templates."""

import re

import pytest

from tests.servers import ROOT

TEMPLATES = {path.name: path.read_text() for path in (ROOT / "templates/console").glob("*.html")}


def test_each_page_with_technical_details_has_the_switch_for_them():
    pages = {name: text for name, text in TEMPLATES.items() if "{% extends" in text}
    asks = {name for name, text in pages.items() if re.search(r"\bif [^%]*\btechnical\b", text)}

    assert {"transaction.html", "receipt.html", "refund.html", "review.html"} <= asks
    assert {name for name in asks if "technical_switch()" not in pages[name]} == set()


@pytest.mark.parametrize(
    "name",
    [
        *("_decide.html", "act.html", "receipt.html", "receipt_act.html", "refund.html"),
        *("refund_ask.html", "review.html", "day.html", "day_close.html"),
    ],
)
def test_where_a_person_decides_the_guide_is_one_press_away(name):
    assert "url_for('console.guide')" in TEMPLATES[name]


def test_each_page_knows_which_tab_it_belongs_to():
    tabs = set(re.findall(r'\("(\w+)", "console\.', TEMPLATES["base.html"]))
    here = {
        name: re.findall(r"{% block here %}(\w+){% endblock %}", text)
        for name, text in TEMPLATES.items()
        if '{% extends "console/base.html" %}' in text and name != "problem.html"
    }

    assert {name: tab for name, tab in here.items() if len(tab) != 1 or tab[0] not in tabs} == {}
