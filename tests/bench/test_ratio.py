import pytest

from tests.bench.ratio import Row, bounded, compare, table
from tests.bench.scale import Scale
from tests.bench.scene import Figures


def figures(waiting, settle, **more):
    return Figures(waiting, settle=settle, join=0.002, poll=0.001, memory=40_960.0, **more)


def rows_of(plain, ours):
    return {(row.name, row.against): row for row in compare(Scale(), plain, ours)}


def test_a_payment_is_compared_with_the_plain_servers():
    rows = rows_of({"small": figures(500, 0.004)}, {"small": figures(500, 0.003)})

    row = rows["CPU of a payment, 500 waiting", "plain"]
    assert (row.ours, row.other, row.bound) == (3, 4, 1.0)
    assert row.ratio == pytest.approx(0.75)


def test_with_many_waiting_a_payment_must_cost_much_less():
    both = figures(5000, 0.010)

    row = rows_of({"middle": both}, {"middle": both})["CPU of a payment, 5,000 waiting", "plain"]

    assert row.bound == 0.4
    assert not row.kept


def test_a_payment_is_compared_with_our_own_when_few_wait():
    ours = {"small": figures(500, 0.004), "large": figures(20_000, 0.005)}

    row = rows_of({}, ours)["CPU of a payment, 20,000 waiting", "ours, 500"]

    assert (row.ratio, row.bound, row.kept) == (1.25, 1.3, True)


def test_what_the_plain_server_was_not_measured_with_is_not_compared():
    ours = {"small": figures(500, 0.004), "large": figures(20_000, 0.005)}

    rows = rows_of({"small": figures(500, 0.004)}, ours)

    assert not [name for name, against in rows if "20,000" in name and against == "plain"]


def test_a_figure_without_a_bound_is_only_told():
    row = bounded(Row("CPU of a join, up to 500", 9, "plain", 1), Scale())

    assert row.bound is None
    assert row.kept


def test_the_table_says_what_was_missed():
    kept, missed = table([Row("a", 1, "plain", 4, 0.5), Row("b", 3, "plain", 4, 0.5)]).splitlines()[
        1:
    ]

    assert kept.split() == ["a", "1.00", "4.00", "0.25", "0.50", "plain"]
    assert missed.split() == ["b", "3.00", "4.00", "0.75", "0.50", "plain", "missed"]
