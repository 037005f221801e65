"""The benchmark itself works: a few shoppers, both servers."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import plots, ratio
from tests.bench.scale import Scale
from tests.servers import Postgres

SCALE = replace(Scale().quick(), small=20, middle=0, large=0, payments=30)


@pytest.mark.postgres
@pytest.mark.slow
def test_the_plain_server_and_ours_on_each_async_server_yield_every_figure(
    postgres: Postgres, tmp_path: Path
) -> None:
    plain, on = ratio.measure(SCALE, tmp_path, postgres)

    assert list(on) == ["eventlet", "gevent"]
    for figures in (plain["small"], *(ours["small"] for ours in on.values())):
        assert figures.waiting == SCALE.small
        assert min(figures.settle, figures.join, figures.poll, figures.pushed_p99) > 0
        assert figures.sockets[-1][0] == SCALE.small
    for ours in on.values():
        assert ours["small"].unchanged > 0
        names = {row.name for row in ratio.compare(SCALE, plain, ours)}
        assert "CPU of a payment, 20 waiting" in names


def test_what_a_run_yields_can_be_kept_and_drawn(tmp_path: Path) -> None:
    figures = {"waiting": 20, "settle": 0.004, "sockets": [[0, 1000], [20, 5000]]}
    kept = plots.keep(tmp_path, "ratio", "a machine", {"ours": [figures], "plain": [figures]})

    assert {file.name for file in plots.draw(tmp_path, kept)} == {"payment.svg", "memory.svg"}
