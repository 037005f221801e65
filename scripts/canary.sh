#!/usr/bin/env bash
# canary.sh: run the tests of tests/seams.py with the newest releases of the libraries that have seams,
# in an environment of its own (.setup/canary). What it finds breaks nobody yet: the pins in
# requirements.in hold until somebody moves them.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.setup/canary
scripts/system_packages.sh postgres redis promtool
scripts/install.sh requirements-dev.txt "$venv"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --upgrade --only-binary :all: \
    eventlet gevent python-engineio python-socketio requests SQLAlchemy urllib3

"$venv/bin/python" - <<'EOF'
import re
from importlib.metadata import version
from pathlib import Path

pinned = dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", Path("requirements.txt").read_text()))
tried = ("eventlet", "gevent", "python-engineio", "python-socketio", "requests", "sqlalchemy", "urllib3")
for name in tried:
    print(f"{name} {version(name)} (pinned: {pinned[name]})")
EOF
mapfile -t files < <("$venv/bin/python" -m tests.seams)
"$venv/bin/python" -m pytest "${files[@]}"
