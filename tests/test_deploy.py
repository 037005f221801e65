"""The files in deploy/, Dockerfile and compose.yaml, as far as they can be held without a host."""

import re
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "deploy" / "systemd"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_has_nothing_to_say_about_the_units(tmp_path):
    for unit in UNITS.iterdir():
        # The program stands elsewhere on this machine, and is not looked at.
        text = re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    names = ["mpesa@5001.service", "mpesa@5001.socket", "mpesa.target"]

    done = subprocess.run(
        ["systemd-analyze", "verify", *names],
        cwd=tmp_path, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_starts_after_the_machines_clock_was_set():
    unit = (UNITS / "mpesa@.service").read_text()

    for kind in ("After", "Wants"):
        assert "time-sync.target" in re.search(rf"(?m)^{kind}=(.*)$", unit)[1].split()


def test_the_unit_starts_the_program_that_make_setup_makes():
    start = re.search(r"(?m)^ExecStart=(\S+) (\S+)$", (UNITS / "mpesa@.service").read_text())

    assert start[1].endswith("/.venv/bin/python")
    assert (ROOT / start[2]).is_file()


def test_gevent_serves_what_is_deployed():
    """Eventlet's authors plan its retirement; `make run` alone still begins with it."""
    unit = (UNITS / "mpesa@.service").read_text()
    operator = (ROOT / "docs" / "merchant.md").read_text()

    assert "ASYNC_MODE=gevent" in re.search(r"(?m)^Environment=(.*)$", unit)[1].split()
    # What the unit says holds for `flask doctor` too, and the environment's file has the last word.
    assert "set -a; ASYNC_MODE=gevent; . /etc/mpesa/environment;" in operator
    final_image = DOCKERFILE.rpartition("\nFROM ")[2].replace("\\\n", "")
    assert "ASYNC_MODE=gevent" in re.search(r"(?m)^ENV (.*)$", final_image)[1].split()
    assert re.search(r"(?m)^  ASYNC_MODE: gevent$", (ROOT / "compose.yaml").read_text())


def test_everything_that_the_image_copies_is_here_and_reaches_the_builder():
    let_in = set(re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text()))
    copied = re.findall(r"(?m)^COPY ([^-\s]\S*) ", DOCKERFILE)

    assert copied
    for path in copied:
        assert (ROOT / path).exists()
        assert path.split("/")[0] in let_in


def test_everything_that_compose_mounts_is_here():
    mounted = re.findall(r"- (\./\S+?):/", (ROOT / "compose.yaml").read_text())

    assert mounted
    for path in mounted:
        assert (ROOT / path).is_file()


def test_compose_and_nginx_agree_on_the_workers_ports():
    workers = (ROOT / "deploy" / "nginx" / "mpesa-workers.conf").read_text()
    compose = (ROOT / "compose.yaml").read_text()

    ports = set(re.findall(r"server 127\.0\.0\.1:([0-9]+)", workers))
    assert ports == set(re.findall(r"\*settings, PORT: ([0-9]+)", compose))


def test_the_image_has_no_test_runner():
    """Nor what pytest alone needs; what anything else needs stays."""
    (uninstall,) = re.findall(r" uninstall (.*?) +&& ", DOCKERFILE.replace("\\\n", ""))
    gone = {word for word in uninstall.split() if not word.startswith("-")}

    # requirements.txt lists what other systems need too, which is not installed here.
    listed = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.txt").read_text())
    needed_by: dict[str, set[str]] = {}
    for each in distributions():
        for line in each.requires or [] if canonicalize_name(each.name) in listed else []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                needed_by.setdefault(canonicalize_name(needed.name), set()).add(each.name)
    assert gone == {"pytest"} | {name for name in needed_by if needed_by[name] == {"pytest"}}


def test_the_image_runs_as_a_number():
    """Kubernetes refuses a name where it is told `runAsNonRoot`."""
    assert re.findall(r"(?m)^USER (.*)$", DOCKERFILE) == ["10001:10001"]


def test_flasks_command_leaves_dotenv_to_us_in_the_image_too():
    """install.sh writes a .pth to the same end, which the image does not have."""
    assert "FLASK_SKIP_DOTENV" in (ROOT / "scripts" / "install.sh").read_text()
    assert re.search(r"\bFLASK_SKIP_DOTENV=1\b", DOCKERFILE)


def test_no_engine_kills_a_worker_before_it_had_its_time_to_end():
    """Docker waits for 10 s where nothing else is said, which is all that a worker may take."""
    worker = (ROOT / "compose.yaml").read_text().partition("\nx-settings")[0]
    documented = (ROOT / "docs" / "deployment.md").read_text()

    for seconds in (
        re.search(r"stop_grace_period: ([0-9]+)s", worker),
        re.search(r"--stop-timeout ([0-9]+)", documented),
    ):
        assert int(seconds[1]) > 10
