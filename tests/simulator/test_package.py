"""The package `mpesa-simulator`: its wheel, installed where nothing of the checkout is, and run."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions, version
from pathlib import Path
from sysconfig import get_path

import pytest
import requests
import websocket
from packaging.requirements import Requirement

from mpesa import __version__
from scripts.simulator_package import build
from tests.servers import PATIENCE, ROOT, free_port, listens, wait_until

SOURCE = ROOT / "packages" / "simulator"
README = (SOURCE / "README.md").read_text()
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
PAYER, SECOND_PAYER = "254712345678", "254722000111"
TILL = {"short_code": "5174380", "account": ""}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build(folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The command in an environment that has the package, and what it needs from the checkout's."""
    venv = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--no-config", "--offline", "--no-deps"]
    subprocess.run([*install, "--python", venv / "bin" / "python", wheel], check=True)
    return venv / "bin" / "mpesa-simulator"


def environment(**more):
    return {"PATH": os.environ["PATH"], "PYTHONPATH": get_path("purelib"), **more}


@pytest.fixture(scope="module")
def served(installed, tmp_path_factory):
    """The address of the command while it runs, in a folder where nothing is."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed, "--port", str(port), "--business", "Duka la Jirani"],
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)
    # No path of a request, since ids of payments are in them; no warning of a library.
    assert set(log.read_text().splitlines()) <= {
        f"The virtual phone: http://127.0.0.1:{port}/ (no real money moves)",
        "a callback was not delivered: ConnectionError",
    }


@pytest.fixture
def address(served):
    post(f"{served}/reset")
    return served


def get(url):
    return requests.get(url, timeout=PATIENCE)


def post(url, **body):
    return requests.post(url, json=body, timeout=PATIENCE)


def ledger(address):
    return get(f"{address}/ledger").json()


def example(language):
    """The package's example in this language."""
    fences = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (found,) = (each for each in fences if "BASE" in each)
    return found


def run_example(command, address, folder):
    """Run an example as a reader does; returns what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(BASE=address),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- what is in it -------------------------------------------------------------------------------


def modules_in(wheel):
    """The source of each module, by its name in the wheel."""
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist() if ".py" in name}


def imported_by(source):
    """The packages that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nothing_of_the_checkout_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as packed:
        tops = {name.partition("/")[0] for name in packed.namelist()}

    assert len(tops) == 2
    assert all(re.fullmatch(r"mpesa_simulator(-[0-9.]+\.dist-info)?", top) for top in tops)


def test_no_module_of_it_knows_one_of_the_checkouts(wheel):
    for name, source in modules_in(wheel).items():
        assert not re.search(r"\bmpesa\.[a-z_]", source), name
        assert "mpesa" not in imported_by(source), name


def test_it_asks_for_what_its_code_imports_and_for_nothing_else(wheel):
    packages = {each for source in modules_in(wheel).values() for each in imported_by(source)}
    foreign = packages - sys.stdlib_module_names - {"mpesa_simulator"}
    imported = {packages_distributions()[package][0].lower() for package in foreign}

    asked = {Requirement(each).name.lower() for each in PROJECT["dependencies"]}

    # python-engineio imports it where it is there, and has no WebSocket on threads without it.
    assert asked == imported | {"simple-websocket"}


def test_it_asks_for_releases_that_the_checkout_is_tested_with():
    for each in map(Requirement, PROJECT["dependencies"]):
        assert each.specifier.contains(version(each.name)), each


def test_it_has_the_checkouts_version():
    assert PROJECT["version"] == __version__


# -- how it runs ---------------------------------------------------------------------------------


def test_the_phone_and_every_script_of_it_are_served(address):
    seen, wanted = {}, [f"{address}/"]
    while wanted:
        url = wanted.pop()
        if url not in seen:
            answer = get(url)
            seen[url] = answer.status_code
            found = re.findall(
                r'(?:src|href|data-socket-client)="(/[^"]+)"|from "(\./[^"]+)"', answer.text
            )
            wanted += [requests.compat.urljoin(url, absolute or near) for absolute, near in found]

    assert set(seen.values()) == {200}
    names = {url.rpartition("/")[2] for url in seen}
    assert {path.name for path in (ROOT / "static" / "simulator").iterdir()} <= names
    assert any(name.startswith("socket.io") for name in names)


def test_an_open_phone_is_told_of_a_payment_by_hand(address):
    url = f"ws{address.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
    phone = websocket.create_connection(url, timeout=PATIENCE)
    phone.recv()
    phone.send("40/simulator,")
    phone.recv()

    paid = post(f"{address}/payments", msisdn=PAYER, amount=150, **TILL)
    heard = phone.recv()
    phone.close()

    assert paid.status_code == 201
    assert heard == f'42/simulator,["changed",{{"msisdn":"{PAYER}"}}]'
    assert [entry["receipt"] for entry in ledger(address)] == [paid.json()["receipt"]]


def test_payers_who_pay_at_once_each_have_a_receipt(address):
    lines = [f"2547220001{number:02d}" for number in range(20)]

    def pay(line):
        return post(f"{address}/payments", msisdn=line, amount=150, **TILL).json()["receipt"]

    with ThreadPoolExecutor(len(lines)) as payers:
        receipts = list(payers.map(pay, lines))

    assert sorted(receipts) == sorted(entry["receipt"] for entry in ledger(address))
    assert len(set(receipts)) == len(lines)


def test_a_port_that_is_taken_is_refused_in_words(installed, served, tmp_path):
    port = served.rpartition(":")[2]

    refused = subprocess.run(
        [installed, "--port", port],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert refused.returncode == 1
    assert f"Port {port} is in use" in refused.stderr


# -- its README's examples -----------------------------------------------------------------------


def test_the_example_in_curl_pushes_and_pays(address, tmp_path):
    run_example(["sh", "-c", example("sh")], address, tmp_path)

    (paid,) = ledger(address)
    assert (paid["msisdn"], paid["channel"], paid["amount"]) == (PAYER, "push", 150)


def test_the_example_in_python_tells_the_receipt(address, tmp_path):
    said = run_example([sys.executable, "-c", example("python")], address, tmp_path)

    (paid,) = ledger(address)
    assert (paid["msisdn"], paid["channel"]) == (SECOND_PAYER, "push")
    assert f"{paid['receipt']} 150\n" in said


@pytest.mark.node
def test_the_example_in_javascript_pays_by_hand(address, tmp_path):
    file = tmp_path / "pay.mjs"
    file.write_text(example("js"))

    said = run_example(["node", file], address, tmp_path)

    (paid,) = ledger(address)
    assert (paid["channel"], paid["short_code"]) == ("hand", "600999")
    assert paid["receipt"] in said
    assert "ResponseDescription" in said
