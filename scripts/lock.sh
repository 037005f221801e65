#!/usr/bin/env bash
# lock.sh [--check]: work out each list that is installed (requirements.txt and the like) from what its
# source names (requirements.in): one list for every Python and system, each file by its hash. A version
# that still fits stays as it is. `--check` writes nothing, fails where a list is not what its source
# says, and asks for every supported Python whether all of it can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

SUPPORTED=(3.11 3.12 3.13 3.14)
LISTS=(
    requirements.txt requirements-dev.txt requirements-sbom.txt tests/clients/requirements.txt
)
uv=$(realpath "${UV:-.venv/bin/uv}")

compile() { # compile LIST [OPTION...], in the folder where it stands
    local list=$1
    shift
    UV_CUSTOM_COMPILE_COMMAND="make lock" "$uv" pip compile --quiet --no-config --universal \
        --python-version "${SUPPORTED[0]}" --generate-hashes --no-annotate --no-strip-extras \
        "${list%.txt}.in" -o "$list" "$@"
}

compile_all() {
    compile requirements.txt
    compile requirements-dev.txt --constraints requirements.txt
    compile requirements-sbom.txt
    compile tests/clients/requirements.txt
}

if [ "${1:-}" != --check ]; then
    compile_all
    exit
fi

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
cp --parents "${LISTS[@]}" "${LISTS[@]/%.txt/.in}" "$fresh"
(cd "$fresh" && compile_all)
for list in "${LISTS[@]}"; do
    diff -u "$list" "$fresh/$list" || {
        echo "$list is not what ${list%.txt}.in says: make lock" >&2
        exit 1
    }
done
for version in "${SUPPORTED[@]}"; do
    "$uv" pip install --quiet --no-config --dry-run --target "$fresh/none" --no-deps \
        --only-binary :all: --require-hashes --python-version "$version" -r requirements-dev.txt
    echo "Everything in requirements-dev.txt can be had for Python $version"
done
