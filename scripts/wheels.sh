#!/usr/bin/env bash
# wheels.sh PYTHON LIST FOLDER: fetch, each by its hash, every wheel of a list that this version of Python
# would install. Nothing of them runs, so the version need not be on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 list=$2 folder=$3
mkdir -p "$folder"

fitting=$(mktemp)
trap 'rm -f "$fitting"' EXIT
# pip would judge `python_version < "3.14"` by the Python that runs it, uv by the one that is asked for.
.venv/bin/uv pip compile --quiet --no-config --no-deps --python-version "$python" --generate-hashes \
    --no-annotate --no-header "$list" -o "$fitting" >/dev/null
# pip rather than uv: it has been told where this machine's packages come from.
.venv/bin/python -m pip download -qq --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --python-version "$python" --dest "$folder" -r "$fitting"
files=("$folder"/*.whl)
echo "${#files[@]} wheels for Python $python from $list"
