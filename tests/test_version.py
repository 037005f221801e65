"""One version, told the same everywhere that names one."""

import platform
import re
import tomllib

from mpesa import __version__
from mpesa.web.merchant.openapi import document
from tests.factories import make_settings
from tests.servers import ROOT, running, wait_until


def test_the_package_list_names_the_programs_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == __version__


def test_the_changelogs_newest_section_is_its_own_and_shops_get_its_fixes():
    numbered = re.findall(r"(?m)^## \[([0-9.]+)\]", (ROOT / "CHANGELOG.md").read_text())
    supported = re.findall(r"(?m)^\| ([0-9.]+) \| yes \|$", (ROOT / "SECURITY.md").read_text())

    assert numbered[0] == __version__
    assert __version__.rpartition(".")[0] in supported


def test_the_images_label_names_it():
    label = f'org.opencontainers.image.version="{__version__}"'

    assert label in (ROOT / "Dockerfile").read_text()


def test_the_openapi_document_names_it():
    assert document(make_settings())["info"]["version"] == __version__


def test_the_health_answer_names_it(app):
    assert app.test_client().get("/healthz").get_json()["version"] == __version__


def test_the_metrics_name_it_beside_pythons(make_app):
    client = make_app(METRICS_TOKEN="scrape-me").test_client()

    lines = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"}).text.splitlines()

    [built] = [line for line in lines if line.startswith("mpesa_build_info{")]
    assert f'version="{__version__}"' in built
    assert f'python="{platform.python_version()}"' in built
    assert built.endswith("} 1.0")


def test_the_command_prints_it_first(app):
    printed = app.test_cli_runner().invoke(args=["version"]).output

    assert printed.splitlines()[0] == f"mpesa-checkout {__version__}"
    assert f"Python {platform.python_version()}" in printed


def test_a_servers_log_begins_with_it(tmp_path):
    with running(tmp_path) as server:
        wait_until(lambda: "\n" in server.log.read_text())
        first = first_line_of(server)

    assert f"version {__version__} starts" in first


def first_line_of(server):
    return server.log.read_text().splitlines()[0]
