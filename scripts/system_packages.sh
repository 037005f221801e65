#!/usr/bin/env bash
# system_packages.sh [NAME...]: install the programs of the system that the tests use, where that is
# possible (root, apt-get); without a name, all of them. Standard output: the names that are still
# missing, on one line.
set -euo pipefail

programs=("$@")
if [ $# = 0 ]; then
    programs=(postgres redis nginx promtool browser node php npm namespaces)
fi

has() { command -v "$1" >/dev/null 2>&1; }

is_there() {
    case $1 in
        postgres) has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
        redis) has redis-server ;;
        nginx) has nginx && has openssl ;;
        promtool) has promtool ;;
        browser) has chromium || has google-chrome ;;
        node) has node ;;
        npm) has npm ;;
        # Not a program but a right, which some kernels and containers do not give.
        namespaces) unshare --map-root-user --net --mount --pid --fork \
            mount --bind /etc/hosts /etc/hosts 2>/dev/null ;;
        php) has php && php -r 'exit(extension_loaded("pdo_sqlite") ? 0 : 1);' ;;
    esac
}

# The same Chromium without windows: nearly every test runs in it, for a third of the processor's
# time. Nothing where the package is not known.
headless_shell() {
    apt-cache search --names-only '^chromium-headless-shell$' | cut -d ' ' -f 1
}

is_slow() {
    [[ " ${programs[*]} " == *" browser "* ]] && ! has chromium-headless-shell &&
        has apt-cache && [ -n "$(headless_shell)" ]
}

missing() {
    for program in "${programs[@]}"; do
        is_there "$program" || echo "$program"
    done
}

package_of() {
    case $1 in
        postgres)
            # Debian 12 has 15; another release has its own, which serves as well.
            if [ -n "$(apt-cache search --names-only '^postgresql-15$')" ]; then
                echo postgresql-15
            else
                echo postgresql
            fi ;;
        redis) echo redis-server ;;
        nginx) echo nginx-light openssl ;;
        promtool) echo prometheus ;;
        # Without a font Chromium measures boxes instead of text.
        browser) echo chromium "$(headless_shell)" fonts-liberation ;;
        node) echo nodejs ;;
        npm) echo npm ;;
        namespaces) echo util-linux ;;
        php) echo php-cli php-sqlite3 ;;
    esac
}

install() {
    local packages=()
    apt-get update -qq
    for program in "$@"; do
        read -ra names < <(package_of "$program")
        packages+=("${names[@]}")
    done
    echo "apt-get install ${packages[*]}"
    # RUNLEVEL=1: the packages start no service of their own; the tests start what they need.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
}

mapfile -t wanted < <(missing)
if is_slow; then wanted+=(browser); fi
if [ "${#wanted[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && has apt-get; then
    install "${wanted[@]}" </dev/null >&2 || echo "apt-get could not install everything" >&2
fi
missing | paste -sd ' ' -
