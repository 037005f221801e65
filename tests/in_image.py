"""`python -m tests.in_image ROOT INSPECTED FOLDER`: pay in the container image, without an engine.

Starts the server in the image's file system at ROOT by what the image says of itself (INSPECTED,
which `buildah inspect` wrote): user, environment, folder, volumes, command. It is the first process
there, as with an engine. Needs root, and a network and mounts that nobody else sees (`unshare`),
since the server listens at 0.0.0.0 and FOLDER gets mounts; scripts/image.sh gives it all that.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.steps import (
    ledger,
    new_line,
    new_order,
    phone,
    push,
    read_order,
    status_of,
    watching,
)
from tests.servers import PATIENCE, Server, loopback_up, wait_until

# What the program consists of; `instance` is its volume.
CONTENT = {"app.py", "__pycache__", "instance", "migrations", "mpesa", "static", "templates"}
# What the worker never needs, and an intruder would like to find.
PROGRAMS = {"pip", "pip3", "gcc", "cc", "g++", "make", "git", "curl", "wget"}
PACKAGES = {"pip", "ensurepip", "setuptools", "pytest", "_pytest", "tests"}
# What an engine puts into /dev, and Python could ask for.
DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True)
class Image:
    """What the image says of itself, and where its file system lies."""

    root: Path
    says: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """What every process gets."""
        return dict(each.split("=", 1) for each in self.says["Env"])

    @property
    def user(self) -> tuple[int, int]:
        """Numbers of the user and the group; never root's."""
        user, group = map(int, self.says["User"].split(":"))
        assert user > 0
        assert group > 0
        return user, group

    @property
    def version(self) -> str:
        """As the label has it."""
        return str(self.says["Labels"]["org.opencontainers.image.version"])

    def inside(self, path: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / path.lstrip("/")


class Container(Server):
    """The image's server, the first of its processes.

    Args:
        image: what to start.
        folder: for its mounts and its log.
        read_only: as `docker run --read-only`.
        volumes: whether its volumes are there.
        settings: as `docker run --env`.
    """

    def __init__(
        self, image: Image, folder: Path, *, read_only: bool, volumes: bool = True, **settings: str
    ) -> None:
        folder.mkdir()
        super().__init__(folder, PORT=image.environment["PORT"])
        self.environment = image.environment | settings
        self.image, self.root = image, folder / "root"
        self._person = [f"--setuid={image.user[0]}", f"--setgid={image.user[1]}"]
        self._mount(read_only, list(image.says["Volumes"]) if volumes else [])

    def _mount(self, read_only: bool, volumes: list[str]) -> None:
        self.root.mkdir()
        mount("--bind", self.image.root, self.root)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", self.root / "dev")
        for name in DEVICES:
            (self.root / "dev" / name).touch()
            mount("--bind", f"/dev/{name}", self.root / "dev" / name)
        for volume in volumes:
            # An engine's new volume is as the folder that it covers.
            place = self.root / volume.lstrip("/")
            was = place.stat()
            as_it_was = f"uid={was.st_uid},gid={was.st_gid},mode={was.st_mode & 0o777:o}"
            mount("-t", "tmpfs", "-o", as_it_was, "tmpfs", place)
        if read_only:
            mount("-o", "remount,bind,ro", self.root)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and do not wait."""
        says = self.image.says
        command = [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            f"--root={self.root}", f"--wd={says['WorkingDir']}", *self._person, "--",
            *(says["Entrypoint"] or []), *says["Cmd"],
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self.process

    def start(self) -> "Container":
        """Start it and wait until it answers."""
        self.launch()
        wait_until(self.answers, self.why)
        return self

    def execute(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as `docker exec`."""
        return subprocess.run(
            ["nsenter", f"--target={self._first()}", "--mount", "--pid", "--root", "--wd",
             *self._person, "--", *command],
            env=self.environment | settings, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip

    def stop(self, number: int = 15) -> int:
        """Send its first process a signal, wait, and return the exit status."""
        assert self.process is not None
        os.kill(self._first(), number)
        return self.process.wait(PATIENCE)

    def _first(self) -> int:
        """The server itself; `unshare` waits for it, and ends as it ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.why()
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def mount(*arguments: str | Path) -> None:
    """mount(8)."""
    subprocess.run(["mount", *arguments], check=True, timeout=PATIENCE)


def holds_no_more_than_it_needs(image: Image, _folder: Path) -> None:
    """No installer, compiler, test or language too many, and nothing that it could write over."""
    owned = set()
    for folder, folders, files in os.walk(image.root):
        place = Path(folder)
        if place.name in ("bin", "sbin"):
            assert not PROGRAMS & {*folders, *files}, place
        if place.name == "site-packages" or place.name.startswith("python3."):
            assert not PACKAGES & set(folders), place
        paths = [place / name for name in (*folders, *files)]
        owned |= {each for each in paths if each.lstat().st_uid == image.user[0]}
    assert owned == {image.inside(volume) for volume in image.says["Volumes"]}, owned
    content = {each.name for each in image.inside(image.says["WorkingDir"]).iterdir()}
    assert content == CONTENT, content
    locales = {each.stem for each in image.root.glob("opt/venv/**/babel/locale-data/*.dat")}
    assert {name.split("_")[0] for name in locales} == {"root", "en", "sw"}, locales


def pay(server: Server) -> None:
    """A shopper pays by the virtual phone; the page hears of it, and every page is there."""
    line, order = new_line(), new_order(server, amount=150)
    transaction = push(server, order, line)["transaction_id"]
    with watching(server, transaction) as page:
        phone(server, line).answer(pin="1234")
        snapshot = page.snapshot_with(status="SUCCESS")
    assert snapshot["receipt"] == ledger(server)[line]["receipt"]
    assert read_order(server, order)["status"] == "PAID"
    messages = {status_of(server, transaction, lang)["message"] for lang in ("en", "sw")}
    assert len(messages) == 2, messages

    for address in ("/", f"/checkout/{order}", "/simulator/", "/console/login", "/openapi.json"):
        answer = server.get(address)
        assert answer.status_code == 200, address
        for named in set(re.findall(r'(?:src|href)="(/static/[^"]+)', answer.text)):
            assert server.get(named).status_code == 200, named


def is_healthy(container: Container, **settings: str) -> bool:
    """What the image's own check says."""
    kind, *command = container.image.says["Healthcheck"]["Test"]
    assert kind == "CMD"
    return container.execute(*command, **settings).returncode == 0


def takes_a_payment(image: Image, folder: Path) -> None:
    """With a read-only root it is healthy, is paid in, and ends well when it is asked to."""
    container = Container(image, folder, read_only=True, SIMULATOR_PUBLIC="on").start()
    assert is_healthy(container), container.why()
    assert not is_healthy(container, PORT="9")  # where nobody listens
    assert container.execute("flask", "version").stdout.split()[1] == image.version
    pay(container)
    assert container.stop() == 0, container.why()


def takes_one_with_the_other_server(image: Image, folder: Path) -> None:
    """It is paid in on the other async server too, and an unreadable .env is told in one line."""
    other = {"gevent": "eventlet", "eventlet": "gevent"}[image.environment["ASYNC_MODE"]]
    settings = {"SIMULATOR_PUBLIC": "on", "ASYNC_MODE": other}
    container = Container(image, folder, read_only=False, **settings).start()
    pay(container)
    unreadable = image.inside(image.says["WorkingDir"]) / ".env"
    unreadable.write_bytes(b"\xff")
    said = container.execute("flask", "version").stderr
    unreadable.unlink()
    assert said.startswith("mpesa: .env: "), said
    assert container.stop() == 0, container.why()


def says_what_is_wrong(image: Image, folder: Path) -> None:
    """Its last line says that it may not write, or that its simulator would be open to all."""
    folder.mkdir()
    nowhere = Container(
        image, folder / "nowhere", read_only=True, volumes=False, SIMULATOR_PUBLIC="on"
    )
    simulated = Container(image, folder / "simulated", read_only=True)
    for container, names in ((nowhere, "DATABASE_URL"), (simulated, "HOST")):
        assert container.launch().wait(PATIENCE) == 1
        *before, line = container.why().splitlines()
        assert line.startswith(f"mpesa: {names}"), line
        assert not any("Traceback" in each for each in before), before


STEPS = (
    holds_no_more_than_it_needs,
    takes_a_payment,
    takes_one_with_the_other_server,
    says_what_is_wrong,
)


def main(root: Path, inspected: Path, folder: Path) -> None:
    """Each step, and how long it took."""
    loopback_up()
    image = Image(root, json.loads(inspected.read_text())["Docker"]["config"])
    for step in STEPS:
        begin = time.monotonic()
        step(image, folder / step.__name__)
        print(f"{step.__doc__} ({time.monotonic() - begin:.0f} s)", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
