#!/usr/bin/env bash
# debian13.sh: run the fast half of the suite on Debian 13: its Python, PostgreSQL and Redis (3.13, 17
# and 8), where the rest of the checks run on Debian 12 (3.11, 15 and 7). The half is what
# `scripts/test.sh fast` runs: both databases, Redis, nginx's and Prometheus' files, PHP and Node.
#
# It makes a Debian of its own, in memory (up to 12 GB, most of it what tests leave): thrown away at the
# end, it need not go to a disk file by file first. It needs root, and a .venv with what the tests need.
# Debian's packages come from the mirror that this machine's apt uses, Python's from the index that its pip
# uses.
set -euo pipefail
cd "$(dirname "$0")/.."

# Mounts and processes of its own: whatever ends this script, the kernel takes both away with it.
if [ "${DEBIAN13_ALONE:-}" != yes ]; then
    exec env DEBIAN13_ALONE=yes unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

# shellcheck source=scripts/debian.sh
. scripts/debian.sh

quietly() { # quietly COMMAND...: what it says is shown where it fails
    "$@" >"$system/log" 2>&1 </dev/null || { cat "$system/log" >&2; return 1; }
}

# As in a clean login: what this machine's environment says is not Debian 13's.
inside() {
    chroot "$system" /usr/bin/env -i --chdir=/mpesa PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 CI=true "$@"
}

system=$(mktemp -d)
trap 'umount --recursive --lazy "$system"; rmdir "$system"' EXIT
trap 'exit 143' INT TERM # the first process of its own: without a handler it would hear neither
mount -t tmpfs -o mode=755,size=12G debian13 "$system"

echo "debootstrap trixie"
make_debian "$system" ca-certificates curl make python3 python3-venv systemd
mountpoint --quiet "$system/proc" || mount -t proc proc "$system/proc"

# What git knows of, as it lies here: no environment of this machine's, and no database.
mkdir "$system/mpesa" "$system/wheels"
# -c: in a container git finds that the folder is another user's.
git -c safe.directory="$PWD" ls-files -z | tar --create --null --files-from=- |
    tar --extract -C "$system/mpesa"
echo "apt-get install"
quietly inside http_proxy="$http_proxy" https_proxy="$https_proxy" \
    scripts/system_packages.sh postgres redis nginx promtool node php

python=$(inside python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')
# Fetched here rather than inside: this machine's pip knows where the packages are.
scripts/wheels.sh "$python" requirements-dev.txt "$system/wheels"
inside PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels make --no-print-directory setup-tests

inside sh -c '.venv/bin/python --version; /usr/lib/postgresql/*/bin/postgres --version
    redis-server --version | cut -d" " -f1-3'
inside scripts/test.sh fast </dev/null
