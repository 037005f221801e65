import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODES = ["eventlet", "gevent"]

PATCHED = """
from mpesa import serving
import sys, pytest
here, itself = sys.argv[1:]
sys.exit(pytest.main([here, "--ignore", itself, "-q", "-x", "-p", "no:cacheprovider"]))
"""


@pytest.fixture(scope="module")
def runs():
    """The tests beside this one in processes patched by each server: side by side, as most wait."""
    started = {
        mode: subprocess.Popen(
            [sys.executable, "-c", PATCHED, str(HERE), __file__],
            cwd=HERE.parent.parent,
            env=os.environ | {"ASYNC_MODE": mode},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for mode in MODES
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mode", MODES)
def test_all_of_it_holds_in_a_process_patched_by_the_async_server(mode, runs):
    said, _ = runs[mode].communicate(timeout=240)

    assert runs[mode].returncode == 0, said[-6000:]
