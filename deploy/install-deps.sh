#!/bin/sh
# Install the Debian packages that are missing: sh deploy/install-deps.sh GROUP...
#
#   build   compiler, libraries, and node with npm for the page
#   run     lighttpd and curl, for `make run`
#   test    what `make test` needs on top
#   bench-php, bench-python    what `make bench` compares Parley with
#
# Says what it installs and why. Does nothing, quickly and without root, when all is there. Services that a
# package would start by itself (lighttpd, nginx and Apache on port 80) are kept from starting.
set -eu

packages_build="gcc:compiles_Parley make:runs_the_build pkg-config:finds_the_libraries libc6-dev:C_headers \
libfcgi-dev:FastCGI libcurl4-openssl-dev:talks_to_model_providers libjson-c-dev:JSON \
libsqlite3-dev:the_store libuv1-dev:the_event_loop libsodium-dev:random_ids_and_signatures \
libhiredis-dev:limits_that_machines_share \
ca-certificates:TLS_to_providers_and_npm"

packages_run="lighttpd:the_web_server_of_make_run curl:checks_that_it_answers"

packages_test="libcmocka-dev:unit_tests clang:second_compiler clang-format:style cppcheck:style \
universal-ctags:function_lengths valgrind:memory_checks nginx-light:system_tests spawn-fcgi:system_tests \
lighttpd:system_tests apache2:system_tests libapache2-mod-fcgid:system_tests caddy:system_tests supervisor:system_tests \
systemd:socket_activation curl:system_tests sqlite3:looks_into_stores redis-server:system_tests poppler-utils:PDF_in_system_tests python3-yaml:reads_compose.yaml chromium:browser_tests"

packages_bench_php="php-fpm:bench php-curl:bench php-sqlite3:bench"
packages_bench_python="python3-fastapi:bench python3-uvicorn:bench python3-httpx:bench python3-uvloop:bench python3-httptools:bench \
python3-flask:bench gunicorn:bench python3-requests:bench"

NODE_LEAST=18

has_package()
{
    state=$(dpkg-query -W -f='${db:Status-Status} ' "$1" 2>/dev/null) || return 1
    # "not-installed" is what a package is that another one has mentioned.
    case " $state" in *" installed "*) return 0 ;; *) return 1 ;; esac
}

# A program or file that came from elsewhere than Debian's package is as good.
is_there()
{
    has_package "$1" && return 0
    case "$1" in
    pkg-config) has_package pkgconf ;;
    nginx-light) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ;;
    lighttpd | apache2) [ -x "/usr/sbin/$1" ] ;;
    supervisor) command -v supervisord >/dev/null 2>&1 ;;
    systemd) command -v systemd-socket-activate >/dev/null 2>&1 ;;
    python3-yaml) python3 -c 'import yaml' >/dev/null 2>&1 ;;
    poppler-utils) command -v pdftotext >/dev/null 2>&1 ;;
    universal-ctags) ctags --version 2>/dev/null | grep -q 'Universal' ;;
    gcc | make | curl | clang | caddy | chromium | cppcheck | redis-server | sqlite3 | spawn-fcgi | valgrind | clang-format)
        command -v "$1" >/dev/null 2>&1 ;;
    *) return 1 ;;
    esac
}

# node may come from elsewhere, and then Debian's npm would conflict with it: ask the programs.
node_is_there()
{
    command -v npm >/dev/null 2>&1 || return 1
    major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
    [ "${major:-0}" -ge "$NODE_LEAST" ]
}

missing=""
need()
{
    package=${1%%:*}
    is_there "$package" && return 0
    case " $missing " in *" $package "*) return 0 ;; esac
    missing="$missing $package"
    echo "  $package ($(echo "${1#*:}" | tr _ ' '))"
}

[ $# -gt 0 ] || { echo "usage: install-deps.sh build|run|test|bench-php|bench-python ..." >&2; exit 2; }

list=""
for group in "$@"; do
    case "$group" in
    build) list="$list $packages_build" ;;
    run) list="$list $packages_run" ;;
    test) list="$list $packages_test" ;;
    bench-php) list="$list $packages_bench_php" ;;
    bench-python) list="$list $packages_bench_python" ;;
    *) echo "install-deps.sh: unknown group $group" >&2; exit 2 ;;
    esac
done

command -v dpkg-query >/dev/null 2>&1 || {
    echo "This is no Debian system, so nothing was installed. Needed: a C17 compiler, make, pkg-config, node and" >&2
    echo "npm, and the development files of libfcgi, libcurl, json-c, SQLite, libuv and libsodium." >&2
    exit 0
}

report=$(mktemp)
trap 'rm -f "$report"' EXIT
for entry in $list; do
    need "$entry" >>"$report"
done
case " $* " in *" build "*)
    if ! node_is_there; then
        missing="$missing nodejs npm"
        echo "  nodejs, npm (bundle the page; at least node $NODE_LEAST)" >>"$report"
    fi
    ;;
esac
[ -n "$missing" ] || exit 0

echo "Parley needs these Debian packages, which are not installed yet:"
cat "$report"

root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "Installing needs root, and there is no sudo. As root: apt-get install$missing" >&2
        exit 1
    }
    root="sudo"
fi

# invoke-rc.d asks this policy before it starts a service. One that is there already is not ours to replace.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$report"; $root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
    $root chmod 755 "$policy"
fi

$root apt-get update
# shellcheck disable=SC2086 -- a list of package names
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
