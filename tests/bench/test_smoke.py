"""The benchmark itself works: a few shoppers, all servers."""

from dataclasses import replace

import pytest

from tests.bench import answering, confirming, plots, ratio, scene, steps
from tests.bench.comparison import compare
from tests.bench.daraja import stand_in
from tests.bench.scale import Scale
from tests.bench.scene import Scene
from tests.bench.subjects import Rival

SCALE = replace(Scale().quick(), small=20, middle=0, large=0, payments=30)
PARTS = ("whole", "push", "join", "settle", "settled_a_second", "pushed_p99", "paged_p99")


@pytest.mark.postgres
@pytest.mark.slow
def test_both_other_servers_and_ours_on_each_async_server_yield_every_figure(postgres, tmp_path):
    measured = ratio.measure(SCALE, tmp_path, postgres)

    assert list(measured) == ["plain", "fast", "eventlet", "gevent"]
    for by_size in measured.values():
        figures = by_size["small"]
        assert min(getattr(figures, part) for part in PARTS) > 0
        assert figures.sockets[-1][0] == SCALE.small
    for mode in SCALE.modes:
        assert measured[mode]["small"].unchanged > 0
        rows = {row.name: row for row in compare(measured, mode)}
        assert set(rows["CPU of a whole payment"].others) == {"plain", "fast"}
        assert "PIN to page over HTTP, p99" in rows


@pytest.mark.postgres
@pytest.mark.slow
def test_a_push_is_told_without_the_time_that_daraja_takes(postgres, tmp_path):
    subject = Rival("fast", postgres.new_database())

    with stand_in(tmp_path) as daraja:
        stages = [Scene.pushes, Scene.idle]
        figures = scene.play(subject, daraja, tmp_path, SCALE, SCALE.small, stages)

    assert figures.push_over > 0


@pytest.mark.slow
def test_callbacks_are_timed_over_http_and_taken_apart_in_process(tmp_path):
    address = f"sqlite:///{tmp_path}/bench.sqlite"

    answered = answering.measure(tmp_path, address, callbacks=3, per_second=20)
    apart = steps.measure(f"{address}-apart", callbacks=3)

    assert [len(each.answers) for each in answered.values()] == [3, 3]
    assert {len(seconds) for seconds in apart.values()} == {3}


@pytest.mark.slow
def test_confirmations_are_measured_beside_callbacks(tmp_path):
    costs = confirming.measure(tmp_path, f"sqlite:///{tmp_path}/bench.sqlite", 3)

    assert {kind: len(each.answers) for kind, each in costs.items()} == {
        "a callback": 3,
        "by hand": 3,
        "of a paid push": 3,
    }
    assert {row.bounds[0].against for row in confirming.rows(costs)} == {"a callback"}


def test_what_a_run_yields_can_be_kept_and_drawn(tmp_path):
    figures = {"waiting": 20, "whole": 0.004, "sockets": [[0, 1000], [20, 5000]]}
    measured = {name: [figures] for name in ("ours", "plain", "fast")}
    kept = plots.keep(tmp_path, "ratio", "a machine", measured)

    assert {file.name for file in plots.draw(tmp_path, kept)} == {"payment.svg", "memory.svg"}
