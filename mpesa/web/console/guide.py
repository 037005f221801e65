"""The operator's guide in short, where it is needed: beside the work."""

from collections.abc import Sequence
from typing import Any

from flask import render_template

from mpesa.domain.why import Why
from mpesa.web.console import decisions
from mpesa.web.console.advice import ADVICE, Advice
from mpesa.web.console.blueprint import console


@console.get("/guide")
def guide() -> str:
    """Show how a day goes, how to find a payment, and how to decide what only a person can."""
    return render_template("console/guide.html", advice=advice_table())


def advice_table() -> Sequence[tuple[Sequence[Any], Advice]]:
    """Each advice with the sentences that it is about, in the order of the table."""
    table: dict[Advice, list[Any]] = {}
    for why, advice in ADVICE.items():
        table.setdefault(advice, []).append(_sentence_of(why))
    return [(sentences, advice) for advice, sentences in table.items()]


def _sentence_of(why: Why) -> Any:
    return decisions.DOUBTS.get(why, decisions.SENTENCES[why])
