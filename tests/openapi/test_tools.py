"""What developers read /openapi.json with: Redocly finds nothing, a client made from it works.

openapi-typescript writes the client's types, openapi-fetch is the client, and TypeScript refuses to
compile tests/openapi/shop.mts where the document says less than it should.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT, running

pytestmark = [pytest.mark.node, pytest.mark.npm]

HERE = Path(__file__).parent
INSTALLED = ROOT / ".setup" / "openapi" / "node_modules"
# Each takes seconds, on a machine that may be busy; this only bounds a failure.
DONE = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    assert (INSTALLED / ".ready").exists(), "the tools are not installed: make openapi-tools"
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def folder(server, tmp_path):
    """A developer's folder: the tools, and the document as the server gives it."""
    (tmp_path / "node_modules").symlink_to(INSTALLED)
    (tmp_path / "openapi.json").write_bytes(server.get("/openapi.json").content)
    return tmp_path


def node(folder, script, *arguments):
    """Run a script of Node in that folder."""
    return subprocess.run(
        ["node", script, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=DONE,
        env={"PATH": os.environ["PATH"], "REDOCLY_TELEMETRY": "off",
             "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
    )  # fmt: skip


def lint(folder):
    cli = "node_modules/@redocly/cli/bin/cli.js"
    return node(folder, cli, "lint", "--config", str(HERE / "redocly.yaml"), "--format=json",
                "openapi.json")  # fmt: skip


def test_redocly_finds_nothing_in_the_document(folder):
    linted = lint(folder)

    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert json.loads(linted.stdout)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


def test_redocly_would_find_an_error_that_is_no_problem(folder):
    document = json.loads((folder / "openapi.json").read_text())
    answer = document["paths"]["/check-status"]["get"]["responses"]["404"]
    answer["content"] = {"application/json": {}}
    (folder / "openapi.json").write_text(json.dumps(document))

    linted = lint(folder)

    assert linted.returncode == 1
    assert "problem-details" in linted.stdout


def test_a_generated_client_makes_an_order_and_reads_it(folder, server):
    for each in ("shop.mts", "tsconfig.json"):
        shutil.copy(HERE / each, folder)
    for script, *arguments in (
        ("node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "api.d.ts"),
        ("node_modules/typescript/bin/tsc", "-p", "."),
    ):
        done = node(folder, script, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    shop = node(folder, "shop.mjs", server.address, "development-api-key", "INV-7")

    assert shop.returncode == 0, shop.stderr
    said = json.loads(shop.stdout)
    order_id = said["made"]["order_id"]
    assert (said["made"]["amount"], said["made"]["status"]) == (150, "OPEN")
    assert said["read"] == said["made"]
    assert said["found"] == [order_id]
    assert said["wrong"] == ["invalid_request", "/docs/api#invalid_request", "amount"]
    assert said["missing"] == ["order_not_found", "/docs/api#order_not_found", ""]
