#!/usr/bin/env bash
# Run every suite, whatever became of the one before, and say at the end what was left out.
set -uo pipefail

failed=0
left_out=$(scripts/system_packages.sh)

if [ -n "$left_out" ]; then
    echo "Not installed, so its tests are left out: $left_out" >&2
    if [ "${CI:-}" = true ]; then
        echo "CI=true leaves nothing out" >&2
        exit 1
    fi
fi

is_left_out() { [[ " $left_out " == *" $1 "* ]]; }

selection=""
for marker in postgres redis nginx promtool browser; do
    if is_left_out "$marker"; then selection+="${selection:+ and }not $marker"; fi
done

run() {
    echo "== $*"
    "$@" || failed=1
}

# The browser suite runs beside the others, in a process of its own anyway: Playwright's loop and the
# async server's patches do not share one. What it says is shown afterwards.
browser=()
if ! is_left_out browser; then
    said=$(mktemp)
    .venv/bin/python -m pytest -m "$selection" tests/browser >"$said" 2>&1 </dev/null &
    browser=("$!" "$said")
    trap 'kill "${browser[0]}" 2>/dev/null; rm -f "${browser[1]}"' EXIT
fi

run .venv/bin/python -m pytest -m "$selection" --ignore=tests/browser

if [ ${#browser[@]} -gt 0 ]; then
    echo "== tests/browser, beside the above"
    wait "${browser[0]}" || failed=1
    cat "${browser[1]}"
fi

scripts=(tests/js/*.*js)
if [ -e "${scripts[0]}" ] && ! is_left_out node; then
    run node --test "${scripts[@]}"
fi

if [ -n "$left_out" ]; then echo "Left out, for want of: $left_out" >&2; fi
exit "$failed"
