import json

import pytest

from tests.bench.comparison import CALLBACK, Bound, Row, compare, table
from tests.bench.scene import Figures, best


def figures(waiting, settle, **more):
    parts = {"order": 0.001, "push": 0.002, "join": 0.001, "poll": 0.001, "memory": 40_960.0}
    return Figures(waiting, settle=settle, **{**parts, **more})


def rows_of(plain, fast, ours, mode="eventlet"):
    measured = {"plain": plain, "fast": fast, mode: ours}
    return {(row.name, row.waiting): row for row in compare(measured, mode)}


def bounds_of(row):
    return {(each.against, str(each)): row.keeps(each) for each in row.bounds}


def test_a_whole_payment_is_its_order_its_push_its_join_and_its_settling():
    assert figures(500, 0.004).whole == pytest.approx(0.008)


def test_a_whole_payment_is_compared_with_both_others():
    rows = rows_of(
        {"small": figures(500, 0.016)},
        {"small": figures(500, 0.001)},
        {"small": figures(500, 0.004)},
    )

    row = rows["CPU of a whole payment", 500]
    assert (row.ours, dict(row.others)) == (
        pytest.approx(8),
        {"plain": pytest.approx(20), "fast": pytest.approx(5)},
    )
    assert bounds_of(row) == {("plain", "<= 0.8"): True, ("fast", "<= 1.3"): False}
    assert not row.kept


def test_with_many_waiting_a_whole_payment_must_cost_much_less():
    both = {"middle": figures(5000, 0.010)}

    row = rows_of(both, both, both)["CPU of a whole payment", 5000]

    assert bounds_of(row) == {("plain", "<= 0.5"): False, ("fast", "<= 0.7"): False}


def test_a_whole_payment_is_compared_with_our_own_when_few_wait():
    ours = {"small": figures(500, 0.004), "large": figures(19_500, 0.0052)}

    row = rows_of({}, {}, ours)["CPU of a whole payment", 19_500]

    assert bounds_of(row) == {("ours, few", "<= 1.2"): True}
    assert row.value(row.bounds[0]) == pytest.approx(9.2 / 8)


def test_what_waiting_costs_is_taken_off_where_it_was_measured():
    small = figures(500, 0.004)
    large = figures(19_500, 0.006, idle=0.1, seconds=0.02)

    rows = rows_of({}, {}, {"small": small, "large": large})

    row = rows["… without what waiting costs", 19_500]
    assert (row.ours, row.others["ours, few"]) == (pytest.approx(8), pytest.approx(8))
    assert ("… without what waiting costs", 500) not in rows


def test_what_was_measured_of_no_other_is_only_told():
    rows = rows_of({"small": figures(500, 0.004)}, {}, {"small": figures(500, 0.004)})

    row = rows["CPU of a whole payment", 500]
    assert (set(row.others), bounds_of(row)) == ({"plain"}, {("plain", "<= 0.8"): False})


def test_callbacks_settled_a_second_have_a_lower_bound():
    fast = {"small": figures(500, 0.001, settled_a_second=400.0)}
    ours = {"small": figures(500, 0.004, settled_a_second=190.0)}

    row = rows_of({}, fast, ours)["callbacks settled a second, 8 in flight", 500]

    assert bounds_of(row) == {("fast", ">= 0.5"): False}


@pytest.mark.parametrize(("seconds", "kept"), [(0.060, True), (0.061, False)])
def test_a_push_is_bounded_as_it_is(seconds, kept):
    ours = {"middle": figures(5000, 0.004, push_over=seconds)}

    row = rows_of({}, {}, ours)["POST /stk-push over Daraja's time, p99", 5000]

    assert bounds_of(row) == {("", "<= 60"): kept}


@pytest.mark.parametrize(("mode", "bound"), [("eventlet", "<= 0.8"), ("gevent", "<= 0.7")])
def test_a_waiting_shoppers_memory_has_a_bound_for_each_async_server(mode, bound):
    both = {"small": figures(500, 0.004)}

    row = rows_of({}, both, both, mode)["memory of a shopper", 500]

    assert bounds_of(row) == {("fast", bound): False}


def test_a_poll_that_learns_nothing_new_is_compared_with_a_poll():
    plain = {"small": figures(500, 0.004, poll=0.002)}
    ours = {"small": figures(500, 0.004, unchanged=0.001)}

    row = rows_of(plain, {}, ours)["CPU of a 304 (the others: a poll)", 500]

    assert row.value(row.bounds[0]) == pytest.approx(0.5)


def test_the_better_round_counts_for_each_figure():
    first = figures(500, 0.004, push_over=0.050, settled_a_second=200.0)
    second = figures(500, 0.006, push_over=0.040, settled_a_second=180.0)

    both = best(first, second)

    assert (both.waiting, both.settle, both.push_over) == (500, 0.004, 0.040)
    assert both.settled_a_second == 200.0


def test_the_table_says_what_was_missed():
    rows = [
        Row("a", 500, 1, {"plain": 4, "fast": 2}, [Bound("plain", 0.5)]),
        Row("b", 500, 3, {"plain": 4}, [Bound("plain", 0.5), Bound("", 2)]),
    ]

    head, size, kept, missed = (" ".join(line.split()) for line in table(rows).splitlines())

    assert head == "ms, KiB, a second ours plain fast"
    assert size == "-- 500 waiting"
    assert kept == "a 1.00 4.00 2.00 0.25 x plain <= 0.5 0.50 x fast"
    assert missed == "b 3.00 4.00 0.75 x plain <= 0.5 missed <= 2 missed"


def test_a_confirmation_stands_beside_a_callback():
    rows = [Row("a", 0, 3, {CALLBACK: 2}, [Bound(CALLBACK, 1.3)])]

    head, missed = (
        " ".join(line.split()) for line in table(rows, "milliseconds", [CALLBACK]).splitlines()
    )

    assert head == "milliseconds ours a callback"
    assert missed == "a 3.00 2.00 1.50 x a callback <= 1.3 missed"


def test_a_row_can_be_kept_as_json():
    row = Row("a", 500, 1, {"fast": 2}, [Bound("fast", at_least=0.6), Bound("", 2)])

    told = json.loads(json.dumps(row.told(), allow_nan=False))

    assert (told["others"], told["bounds"], told["kept"]) == (
        {"fast": 2},
        [">= 0.6 fast", "<= 2"],
        False,
    )
