# shellcheck shell=bash
# To be sourced. make_debian FOLDER PACKAGE...: make a Debian 13 in FOLDER with these packages, from the
# mirror that this machine's apt uses; `mirror` and both proxies are set afterwards. It needs root, and
# debootstrap, which it installs.

make_debian() {
    local folder=$1 packages said
    shift
    packages=$(IFS=, && echo "$*")
    apt-get update -qq </dev/null
    # shellcheck disable=SC2016 # apt-get fills it in
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Label: Debian' 'Component: main' | sed -n 1p)
    [ -n "$mirror" ] || { echo "This machine's apt knows no mirror of Debian." >&2; return 1; }
    # A proxy that apt's configuration names; debootstrap asks the environment alone.
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    export http_proxy=${http_proxy:-} https_proxy=${https_proxy:-}
    command -v debootstrap >/dev/null || install_packages debootstrap
    said=$(mktemp)
    debootstrap --variant=minbase --include="$packages" trixie "$folder" "$mirror" \
        >"$said" 2>&1 </dev/null || { tail "$said" >&2; rm "$said"; return 1; }
    rm "$said"
}

install_packages() { # install_packages PACKAGE...; another apt may be at work
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >/dev/null </dev/null
}
