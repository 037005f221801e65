"""scripts/install.sh: what uv cannot fetch, pip does, which may know of an index of its own."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from tests.servers import PATIENCE, ROOT

INFO = "kahawa-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: kahawa\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def wheels(tmp_path):
    """A folder with the only package there is, as pip's settings may name one."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "kahawa-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("kahawa.py", "")
        wheel.writestr(f"{INFO}/METADATA", METADATA)
        wheel.writestr(f"{INFO}/WHEEL", WHEEL)
        wheel.writestr(f"{INFO}/RECORD", f"kahawa.py,,\n{INFO}/METADATA,,\n{INFO}/WHEEL,,\n")
    return folder


def test_where_uv_reaches_no_index_pip_installs_from_its_own(tmp_path, wheels):
    (wheel,) = wheels.iterdir()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "list.txt").write_text(f"kahawa==1.0 --hash=sha256:{digest}\n")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\ntouch asked\necho 'no route to the index' >&2\nexit 2\n")
    uv.chmod(0o755)

    done = subprocess.run(
        [ROOT / "scripts" / "install.sh", "list.txt"],
        cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE,
        env={
            "PATH": f"{uv.parent}:{os.environ['PATH']}", "HOME": str(tmp_path),
            "PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels),
        },
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").exists()
    assert list(tmp_path.glob(".venv/lib/python*/site-packages/kahawa.py"))
    assert "no route" not in done.stderr
