"""A start that is stopped at any moment ends by itself, and leaves nothing.

Most of these starts are forked from a process that has imported and mapped everything; the moments
before that are met by a few true ones. `python -m scripts.stopped_starts` stops true ones at every
moment.
"""

from random import Random

import pytest

from tests.integration.stopped import fork_server, true_start
from tests.servers import Server

# 200 on both servers, so many at once that two cores are busy and none is kept waiting for long.
TOGETHER, TIMES = 10, 10
# So many times in a row a start finds the database that the one before it left; the next has none.
IN_A_ROW = 4


@pytest.mark.parametrize("seed", [Random().randrange(10**6)])
def test_a_start_that_is_stopped_at_any_moment_ends_with_status_0_and_leaves_nothing(
    tmp_path, async_mode, seed
):
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    chance, endings = Random(seed), []
    servers = [Server(tmp_path, ASYNC_MODE=async_mode) for _ in range(TOGETHER)]
    with fork_server(servers[0].environment) as forks:
        fresh, migrated = forks.served(servers), forks.served(servers)
        for time in range(TIMES):
            longest = migrated
            if time % IN_A_ROW == 0:
                longest = fresh
                servers = [Server(tmp_path, ASYNC_MODE=async_mode) for _ in range(TOGETHER)]
            moments = sorted(chance.uniform(0, longest) for _ in servers)
            endings += forks.stopped(servers, moments)
        forks.served(servers)  # on whatever they left

    assert len(endings) == TOGETHER * TIMES
    assert [each for each in endings if each.wrong or each.status != 0] == []
    # Enough of them were in the middle of it, or the moments were none.
    assert sum(not each.served for each in endings) > len(endings) / 4


@pytest.mark.parametrize("seed", [Random().randrange(10**6)])
def test_a_start_that_is_stopped_before_all_is_imported_ends_too(tmp_path, async_mode, seed):
    """Until there is a handler the system ends it, by the signal: nothing was begun by then."""
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    chance, server = Random(seed), Server(tmp_path, ASYNC_MODE=async_mode)

    # Seconds: the imports take one, or more.
    endings = [true_start(server, chance.uniform(0, 0.8)) for _ in range(4)]

    assert [each for each in endings if each.wrong] == []
