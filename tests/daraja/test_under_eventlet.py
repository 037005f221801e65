import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

UNDER_EVENTLET = """
import eventlet
eventlet.monkey_patch()
import sys, pytest
here, itself = sys.argv[1:]
sys.exit(pytest.main([here, "--ignore", itself, "-q", "-x", "-p", "no:cacheprovider"]))
"""


def test_all_of_it_holds_in_a_process_patched_by_eventlet() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_EVENTLET, str(HERE), __file__],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
