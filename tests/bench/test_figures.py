from tests.bench.figures import percentile, table


def test_a_percentile_is_a_value_that_was_measured():
    milliseconds = [float(each) for each in range(1, 201)]

    assert percentile(milliseconds, 0.5) == 100
    assert percentile(milliseconds, 0.99) == 198


def test_the_order_of_measuring_does_not_matter():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_one_value_is_all_of_its_percentiles():
    assert percentile([7.0], 0.99) == percentile([7.0], 0.5) == 7.0


def test_a_table_shows_milliseconds():
    shown = table("milliseconds", {"a step": [0.001, 0.002, 0.003]})

    assert shown.splitlines()[1].split() == ["a", "step", "2.0", "3.0", "3.0"]
