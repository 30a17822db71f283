# Sourced by the checks of this directory: roots of a minimal Debian to try packages in. Needs root, debootstrap and, the
# first time, the network. A root is a copy of build/roots/minbase; programs in it see their own processes only, and
# end with the command that started them.

roots=build/roots

need_root()
{
    [ "$(id -u)" -eq 0 ] || { echo "This check makes a root of its own with debootstrap and chroot: run it as root." >&2; exit 1; }
    command -v debootstrap >/dev/null 2>&1 || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
}

# new_root NAME: sets $root
new_root()
{
    root=$PWD/$roots/$1
    if [ ! -e "$roots/minbase/.made" ]; then
        mkdir -p "$roots"
        echo "making $roots/minbase with debootstrap"
        rm -rf "$roots/minbase"
        debootstrap --variant=minbase bookworm "$roots/minbase" >"$roots/debootstrap.log" 2>&1 ||
            { tail -n 5 "$roots/debootstrap.log" >&2; exit 1; }
        # Where this machine gets its packages and updates from.
        rm -f "$roots/minbase/etc/apt/sources.list"
        for place in sources.list sources.list.d apt.conf.d; do
            [ ! -e "/etc/apt/$place" ] || cp -R "/etc/apt/$place" "$roots/minbase/etc/apt/"
        done
        printf '#!/bin/sh\nexit 101\n' >"$roots/minbase/usr/sbin/policy-rc.d"
        chmod 755 "$roots/minbase/usr/sbin/policy-rc.d"
        touch "$roots/minbase/.made"
    fi
    rm -rf "$root"
    cp -a "$roots/minbase" "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    # Behind a proxy that ends TLS the machine trusts more than Debian does; npm in the root has to, too.
    cp /etc/ssl/certs/ca-certificates.crt "$root/machine-ca.crt"
}

# inside COMMAND...: runs it in $root, as its root
inside()
{
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" &&
        exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C NODE_EXTRA_CA_CERTS=/machine-ca.crt DEBIAN_FRONTEND=noninteractive "$@"' \
        "$root" "$@"
}

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# expect WHAT PATTERN TEXT
expect()
{
    printf '%s\n' "$3" | grep -qE -- "$2" || fail "$1: expected $2, got: $3"
    echo "ok: $1"
}
