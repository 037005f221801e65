#!/usr/bin/env bash
# test.sh [fast]: run every suite, whatever became of the one before, and say at the end what was left
# out. `fast`: only the half that needs no browser and no server of ours as a process. Other people's
# clients (tests/clients) are tried by .ci/weekly.
set -uo pipefail

failed=0
programs=(postgres redis nginx promtool node php)
beyond_fast=(browser npm)
case ${1:-} in
    "") programs+=("${beyond_fast[@]}") ;;
    fast) ;;
    *) echo "test.sh takes nothing, or fast" >&2; exit 2 ;;
esac
left_out=$(scripts/system_packages.sh "${programs[@]}")

if [ -n "$left_out" ]; then
    echo "Not installed, so its tests are left out: $left_out" >&2
    if [ "${CI:-}" = true ]; then
        echo "CI=true leaves nothing out" >&2
        exit 1
    fi
fi

is_left_out() { [[ " $left_out " == *" $1 "* ]]; }

without=$left_out
if [ "${1:-}" = fast ]; then without+=" ${beyond_fast[*]}"; fi
selection=""
for marker in $without; do selection+="${selection:+ and }not $marker"; done

run() {
    echo "== $*"
    "$@" || failed=1
}

# Rows beside each other, so that no core is idle towards the end: browsers, three folders and then
# servers and what mostly waits for them, crashes and then four folders, pages and API, half of the
# files beside all folders, the scripts of pages, and the rest. What the others say is shown
# afterwards. The browser suite has a process of its own: Playwright's loop and the async server's
# patches do not share one.
small=(tests/live tests/runtime tests/statements)
servers=(tests/integration)
crashes=(tests/crash tests/openapi)
folders=(tests/bench tests/daraja tests/domain tests/simulator)
pages=(tests/web tests/test_money_machine.py)
half=(tests/test_[p-z]*.py)

with_browsers() {
    if ! is_left_out browser; then run .venv/bin/python -m pytest -m "$selection" tests/browser; fi
    exit "$failed"
}

with_servers() {
    run .venv/bin/python -m pytest -m "$selection" "${small[@]}" "${servers[@]}"
    exit "$failed"
}

with_crashes() {
    if ! is_left_out npm; then run make --no-print-directory openapi-tools; fi
    run .venv/bin/python -m pytest -m "$selection" "${crashes[@]}"
    with_folders
}

with_folders() {
    run .venv/bin/python -m pytest -m "$selection" "${folders[@]}"
    exit "$failed"
}

with_pages() {
    run .venv/bin/python -m pytest -m "$selection" "${pages[@]}"
    exit "$failed"
}

with_half() {
    run .venv/bin/python -m pytest -m "$selection" "${half[@]}"
    exit "$failed"
}

with_scripts() {
    local scripts=(tests/js/*.*js)
    if [ -e "${scripts[0]}" ] && ! is_left_out node; then run node --test "${scripts[@]}"; fi
    exit "$failed"
}

declare -A said=()

# beside ROW: a process group of its own, so that all of it ends with this script.
beside() {
    local output
    output=$(mktemp)
    set -m
    ("$1") >"$output" 2>&1 </dev/null &
    said[$!]=$output
    set +m
}

end_rows() {
    for row in "${!said[@]}"; do
        kill -- "-$row" 2>/dev/null
        rm -f "${said[$row]}"
    done
}

trap end_rows EXIT
if [ "${1:-}" = fast ]; then
    folders+=("${small[@]}")
    beside with_folders
else
    beside with_browsers
    beside with_servers
    beside with_crashes
fi
beside with_pages
beside with_half
beside with_scripts

run .venv/bin/python -m pytest -m "$selection" --ignore=tests/browser \
    --ignore=tests/clients "${servers[@]/#/--ignore=}" "${crashes[@]/#/--ignore=}" \
    "${small[@]/#/--ignore=}" "${folders[@]/#/--ignore=}" "${pages[@]/#/--ignore=}" "${half[@]/#/--ignore=}"

for row in "${!said[@]}"; do
    wait "$row" || failed=1
    echo "== beside the above"
    cat "${said[$row]}"
done

if [ -n "$left_out" ]; then echo "Left out, for want of: $left_out" >&2; fi
exit "$failed"
