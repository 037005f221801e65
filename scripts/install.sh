#!/bin/sh
# install.sh LIST [VENV]: make VENV (.venv if not given) if there is none that runs, and install that
# list into it, each file by its hash. The list is complete, so nothing is looked up beside it. uv does
# it in a tenth of pip's time: the one of the machine, else the one that requirements-dev.txt names,
# fetched into a folder of its own. Where there is none for the machine, or it does not reach what pip
# was told of (an index, a folder, a certificate of your own), pip does it.
set -eu
venv=${2:-.venv}

find_python() {
    # 3.11 first: it is what the pins were tested with. A pyenv shim may exist and still not run.
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or later was not found. Install it, or name it: PYTHON=/path/to/python make" >&2
    return 1
}

make_venv() {
    python=$(find_python) || return 1
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" && return
    echo "Could not make $venv. On Debian and Ubuntu: apt-get install python3-venv" >&2
    return 1
}

# Installers are silent while they unpack, and a silent minute looks like a hang. The loop ends with
# this script too, however that ends.
count_up() {
    all=$(grep -c '^[A-Za-z0-9]' "$1")
    seconds=0
    while sleep 4 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        seconds=$((seconds + 4))
        there=$(find "$venv"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l)
        echo "  $seconds s, $((there)) of $all packages"
    done
}

by_pip() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --require-hashes "$@"
}

find_uv() {
    command -v uv && return
    list=.setup/uv.txt
    mkdir -p .setup
    awk '/^uv==/ { ours = 1 } ours { print } ours && !/\\$/ { exit }' requirements-dev.txt >$list 2>/dev/null ||
        return
    if ! cmp -s "$list" .setup/uv/of.txt; then
        rm -rf .setup/uv
        by_pip --only-binary :all: --target .setup/uv -r "$list" >/dev/null 2>&1 || return
        cp "$list" .setup/uv/of.txt
    fi
    echo .setup/uv/bin/uv
}

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
echo "Installing $1 (only when it changed; a minute at most)"
count_up "$1" &
counter=$!
trap 'kill $counter 2>/dev/null || true' EXIT
by_uv() {
    uv=$(find_uv) || return
    "$uv" pip install --quiet --no-config --python "$venv/bin/python" --no-deps --require-hashes -r "$1"
}

by_uv "$1" 2>/dev/null || by_pip -r "$1"
# Flask's command would read .env too, before our code has its turn, and ends with a traceback where it
# is not UTF-8. mpesa/config.py reads it for every program, and says in one line what is wrong.
"$venv/bin/python" - <<'EOF'
from pathlib import Path
from sysconfig import get_path

line = 'import os; os.environ.setdefault("FLASK_SKIP_DOTENV", "1")\n'
Path(get_path("purelib"), "dotenv_is_read_by_mpesa.pth").write_text(line, encoding="utf-8")
EOF
