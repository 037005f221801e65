"""`python -m scripts.simulator_package FOLDER`: build the wheel of `mpesa-simulator` into a folder.

The package has one source, the checkout's: its code is `mpesa/simulator`, whose modules are called
`mpesa_simulator` on the way, and its pages are those of the checkout. Needs uv, and no network.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

_ROOT = Path(__file__).resolve().parents[1]
_UV = Path(sys.executable).with_name("uv")

# The virtual phone, and the one library that its scripts load.
_PAGES = ("templates/simulator", "static/simulator", "static/vendor")
_OURS = re.compile(r"\bmpesa\.simulator\b")


def lay_out(project: Path) -> None:
    """Put together what the package is built from.

    Args:
        project: an empty folder.
    """
    for file in ("packages/simulator/pyproject.toml", "packages/simulator/README.md", "LICENSE"):
        shutil.copy(_ROOT / file, project)
    package = project / "src" / "mpesa_simulator"
    no_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_ROOT / "mpesa" / "simulator", package, ignore=no_bytecode)
    for pages in _PAGES:
        shutil.copytree(_ROOT / pages, package / pages)
    # The checkout's own __main__ serves on its async server, which is not in the package.
    (package / "on_threads.py").replace(package / "__main__.py")
    for module in package.rglob("*.py"):
        module.write_text(_OURS.sub("mpesa_simulator", module.read_text("utf-8")), "utf-8")


def build(folder: Path) -> None:
    """Build the wheel into a folder.

    Raises:
        subprocess.CalledProcessError: uv could not, and said why.
    """
    with TemporaryDirectory() as project:
        lay_out(Path(project))
        command = [_UV, "build", "--quiet", "--offline", "--no-config", "--wheel"]
        subprocess.run([*command, "--out-dir", folder.resolve(), project], check=True)  # noqa: S603 - all ours


if __name__ == "__main__":
    build(Path(sys.argv[1]))
