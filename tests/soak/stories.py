"""`python -m tests.soak.stories`: play the world against the application, always another story."""
# ruff: noqa: T201 (print() is how it talks to the person who started it)

import argparse
import secrets
import time
from itertools import count

from tests.test_money_machine import tell_stories

# Of every run's stories the later ones vary the earlier ones: a few of those find what waits for
# two things to be the same, and more of them only repeat.
STORIES = 12


def main() -> None:
    """Play until the time is over or a promise is broken; every seed is printed.

    Raises:
        AssertionError: the broken promise, and the shortest story that was found to break it.
    """
    asked = _arguments()
    first = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    end = time.monotonic() + 60 * asked.minutes
    for seed in count(first):
        print(f"seed {seed}: ", end="", flush=True)
        try:
            tell_stories(seed, STORIES)
        except BaseException:
            print(f"broken; again with: python -m tests.soak.stories --seed {seed} --minutes 0")
            raise
        print(f"{STORIES} stories, every promise kept", flush=True)
        if time.monotonic() >= end:
            break
    print(f"{seed - first + 1} seeds from {first} on")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.stories", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="(%(default)s)")
    parser.add_argument("--seed", type=int, help="the first one; by chance where none is given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
