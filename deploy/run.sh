#!/bin/sh
# `make run`: Parley behind lighttpd at http://127.0.0.1:PORT until Ctrl-C. The data lies in var/ of the
# working directory; lighttpd.conf is used as it is, but for the port.
#
#   PORT    default 8080
#   PARLEY  the program, default build/parley
set -u

home=$(cd "$(dirname "$0")/.." && pwd)
program=${PARLEY:-$home/build/parley}
port=${PORT:-8080}
url=http://127.0.0.1:$port
socket=var/parley.sock
lighttpd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v lighttpd) || {
    echo "lighttpd is not installed: 'make deps' installs it." >&2
    exit 1
}

parley_pid=""
web_pid=""
stopping=0

die()
{
    echo "$*" >&2
    exit 1
}

alive()
{
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

# The web server takes nothing new (SIGINT), Parley finishes what runs, and then the web server may go.
stop_all()
{
    trap '' EXIT
    [ -z "$web_pid" ] || kill -INT "$web_pid" 2>/dev/null
    [ -z "$parley_pid" ] || kill -TERM "$parley_pid" 2>/dev/null
    while alive "$parley_pid"; do
        sleep 0.1
    done
    [ -z "$web_pid" ] || kill -TERM "$web_pid" 2>/dev/null
    while alive "$web_pid"; do
        sleep 0.1
    done
    rm -f "$settings"
}

# Children run in sessions of their own, so Ctrl-C comes here alone. The second one is passed on.
on_interrupt()
{
    stopping=$((stopping + 1))
    if [ "$stopping" -eq 1 ]; then
        echo
        echo "Stopping. Running answers are finished first; Ctrl-C again breaks them off."
    elif alive "$parley_pid"; then
        kill -TERM "$parley_pid" 2>/dev/null
    fi
}

case "$port" in
'' | *[!0-9]*) die "PORT=$port is not a port: write a number from 1 to 65535." ;;
esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] || die "PORT=$port is not a port: write a number from 1 to 65535."
[ -x "$program" ] || die "$program is not there: 'make' builds it."

# A demo on one's own machine: whoever can reach it may use any user_id, unless the settings say otherwise.
if "$program" check-config | grep -q '^USER_ID_ACCESS=.*\[default\]$'; then
    export USER_ID_ACCESS=open
fi

summary=$("$program" check-config) || {
    printf '%s\n' "$summary" >&2
    die "The configuration is wrong (see above), so Parley was not started."
}
provider=$(printf '%s\n' "$summary" | sed -n 's/^Answers come from: //p')
data=$(printf '%s\n' "$summary" | sed -n 's/^Data is in: //p')

# Somebody who answers here now is not us.
if curl -s -o /dev/null --max-time 2 "$url/"; then
    die "Port $port is taken: another program answers at $url. Choose another one: make run PORT=8081"
fi

mkdir -p var || die "The directory var/ cannot be made here."
settings=$(mktemp) || exit 1
trap stop_all EXIT
trap on_interrupt INT TERM HUP

setsid "$program" serve --listen "unix:$socket" &
parley_pid=$!
tries=0
while :; do
    sleep 0.2 # a socket may lie here from before, or belong to another one that is running
    alive "$parley_pid" || die "Parley did not start; the last line above says why."
    if [ -S "$socket" ] || [ "$stopping" -gt 0 ]; then break; fi
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || die "Parley did not open $socket within ten seconds."
done

printf 'include "%s/lighttpd.conf"\nserver.port := %s\n' "$home" "$port" >"$settings"
setsid "$lighttpd" -D -f "$settings" &
web_pid=$!
tries=0
until curl -sf -o /dev/null --max-time 2 "$url/api/health" || [ "$stopping" -gt 0 ]; do
    alive "$parley_pid" || die "Parley has ended; the last line above says why."
    alive "$web_pid" || die "lighttpd could not use port $port (see above). Choose another one: make run PORT=8081"
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || die "Parley does not answer at $url."
    sleep 0.1
done

if [ "$stopping" -eq 0 ]; then
    echo
    echo "  Parley is at      $url"
    echo "  Answers come from $provider"
    echo "  Data is in        $data"
    echo "  Ctrl-C stops it."
    echo
fi

status=0
while [ "$stopping" -eq 0 ]; do
    alive "$parley_pid" || { echo "Parley has ended." >&2; status=1; break; }
    alive "$web_pid" || { echo "lighttpd has ended." >&2; status=1; break; }
    sleep 0.5 &
    wait $!
done
stop_all
exit $status
