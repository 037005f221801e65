"""Clients that other people wrote and publish pay through the simulator, with nothing changed."""

import json
import subprocess
import sys

import pytest

from tests.clients.inside import CLIENTS, INSTALLED
from tests.servers import ROOT

# openssl, which makes the throw-away certificate, comes with nginx.
pytestmark = [getattr(pytest.mark, each) for each in ("namespaces", "nginx", "node", "npm")]

# Everything starts at once on a machine that may have two cores; this only bounds a failure.
ALL_DONE = 150

# A network of its own, which needs no rights beyond those of a user where the kernel allows it, and
# which takes every process in it along when it ends.
ALONE = ("unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What every client said, and what the simulator knows of it."""
    installed = (INSTALLED / "venv" / ".ready", INSTALLED / "node_modules" / ".ready")
    missing = [str(stamp.relative_to(ROOT)) for stamp in installed if not stamp.exists()]
    assert not missing, f"the clients are not installed: make {' '.join(missing)}"
    folder = tmp_path_factory.mktemp("clients")
    run = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.clients.inside", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=ALL_DONE,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_others_takes_a_payment_and_reads_its_callback(told, client):
    story = told["stories"][client]
    assert not story["trouble"], story["trouble"]

    (paid,) = [entry for entry in told["ledger"] if entry["msisdn"] == story["line"]]

    assert story["id"] == story["pushed"] == paid["checkout_request_id"]
    assert str(story["code"]) == "0"
    assert (story["receipt"], float(story["amount"])) == (paid["receipt"], 150.0)


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "django-daraja"])
def test_a_client_of_others_sees_the_payment_pending_and_then_paid(told, client):
    story = told["stories"][client]
    assert not story["trouble"], story["trouble"]

    assert (str(story["before"]), str(story["after"])) == ("4999", "0")
