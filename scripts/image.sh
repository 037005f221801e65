#!/usr/bin/env bash
# image.sh: build the container image without Docker, start it as its own configuration says, pay an
# order in it, and stop it.
#
# buildah builds; tests/in_image.py does the rest in the image's file system. No registry of images has
# to be reached: a Debian 13 of our own, with its Python 3.13, stands in for the official image that the
# Dockerfile names. Its packages come from the mirror that this machine's apt uses, Python's from the
# index that its pip uses, and neither address gets into the image.
#
# It needs root, a .venv with what the tests need, and buildah, which it installs. What it makes lies in
# memory (0.6 GB at the end): thrown away there, it need not go to a disk file by file first.
set -euo pipefail
cd "$(dirname "$0")/.."

# Mounts and processes of its own: whatever ends this script, the kernel takes both away with it.
if [ "${IMAGE_ALONE:-}" != yes ]; then
    exec env IMAGE_ALONE=yes unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

# shellcheck source=scripts/debian.sh
. scripts/debian.sh

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

quietly() { # quietly COMMAND...: what it says is shown where it fails
    "$@" >"$place/log" 2>&1 </dev/null || { cat "$place/log" >&2; return 1; }
}

# vfs, and chroot below: they ask nothing of the kernel that this script itself does not.
buildah() {
    command buildah --root "$place/store" --runroot "$place/run" --storage-driver vfs "$@"
}

place=$(mktemp -d)
trap 'umount --recursive --lazy "$place"; rmdir "$place"' EXIT
trap 'exit 143' INT TERM # the first process of its own: without a handler it would hear neither
mount -t tmpfs -o mode=700,size=4G image "$place"

step "debootstrap trixie"
make_debian "$place/debian" ca-certificates python3 python3-venv
type -P buildah >/dev/null || install_packages buildah
# As official images are: without documents and translations; and without what is this machine's.
(
    umount --recursive "$place/debian/proc" 2>/dev/null || true # where debootstrap left it
    cd "$place/debian"
    rm -rf etc/apt/sources.list etc/resolv.conf etc/hostname var/lib/apt/lists/* var/cache/apt/* \
        var/log/* usr/share/doc usr/share/man usr/share/locale debootstrap
)
container=$(buildah from scratch)
quietly buildah copy "$container" "$place/debian" /
quietly buildah commit --rm "$container" localhost/debian13
rm -rf --one-file-system "$place/debian"

step "pip download"
# Here rather than inside: this machine's pip knows where the packages are.
quietly scripts/wheels.sh 3.13 requirements.txt "$place/wheels"
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$place/pip.conf"

step "buildah build"
# Docker's format: OCI's has no health check.
quietly buildah build --isolation chroot --format docker --pull-never \
    --build-arg BASE=localhost/debian13 --secret "id=pip.conf,src=$place/pip.conf" \
    --volume "$place/wheels:/wheels:ro" --tag localhost/mpesa-checkout .
rm -rf "$place/wheels"
container=$(buildah from --pull-never localhost/mpesa-checkout)
root=$(buildah mount "$container")
buildah inspect --type image localhost/mpesa-checkout >"$place/inspected.json"
size=$(du --summarize --apparent-size --block-size=MB "$root" | cut -f1)
if grep --recursive --files-with-matches --fixed-strings -e "$mirror" -e "$place" "$root"; then
    echo "These files of the image name where this machine gets its packages." >&2
    exit 1
fi

step "python -m tests.in_image, on an image of $size"
mkdir "$place/paid"
unshare --net --mount .venv/bin/python -m tests.in_image "$root" "$place/inspected.json" "$place/paid"
step "done"
