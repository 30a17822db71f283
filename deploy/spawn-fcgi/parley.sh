#!/bin/sh
# Starts and stops Parley with spawn-fcgi: parley.sh start|stop|restart|status
#
# spawn-fcgi opens the socket and hands it to Parley, but does not watch it: if Parley dies, it stays dead. Where that
# matters use systemd or supervisord. As /etc/init.d/parley it works for systems without either:
#     install -m 755 parley.sh /etc/init.d/parley && update-rc.d parley defaults
#
### BEGIN INIT INFO
# Provides:          parley
# Required-Start:    $local_fs $remote_fs $network
# Required-Stop:     $local_fs $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Parley, AI-chat backend
### END INIT INFO
set -u

# ---- to edit ----
program=/usr/local/bin/parley
settings=/etc/parley/parley.env
run=/run/parley         # holds the socket and the pid file
data=/var/lib/parley    # the working directory; relative paths of the settings count from here
user=parley             # user and group count only when root starts this
group=www-data          # the web server's group, which may use the socket
workers=2               # 1 = a single process without a master
stop_seconds=40         # a little more than DRAIN_SECONDS, which running answers get
# -----------------

socket=$run/parley.sock
pid_file=$run/parley.pid

# The number may be another program's by now.
running()
{
    [ -s "$pid_file" ] || return 1
    pid=$(cat "$pid_file")
    kill -0 "$pid" 2>/dev/null && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | head -n 1 | grep -qxF "$program"
}

start()
{
    if running; then
        echo "Parley runs already (process $(cat "$pid_file"))."
        return 0
    fi
    mkdir -p "$run" || return 1
    as=""
    if [ "$(id -u)" -eq 0 ]; then
        chown "$user:$group" "$run"
        as="-u $user -g $group"
    fi
    # shellcheck disable=SC2086 # two options, or none
    PARLEY_ENV=$settings WORKERS=$workers spawn-fcgi -s "$socket" -M 0660 -b 1024 $as -d "$data" -P "$pid_file" -- \
        "$program" || return 1
    # A wrong setting ends it at once.
    sleep 0.3
    if ! running; then
        rm -f "$pid_file"
        echo "Parley did not stay up: '$program check-config' says what is wrong." >&2
        return 1
    fi
}

# Nothing new is taken; running answers are finished.
stop()
{
    if running; then
        pid=$(cat "$pid_file")
        kill -TERM "$pid"
        waited=0
        while kill -0 "$pid" 2>/dev/null; do
            if [ "$waited" -ge $((stop_seconds * 10)) ]; then
                kill -KILL "$pid"
                break
            fi
            sleep 0.1
            waited=$((waited + 1))
        done
    fi
    rm -f "$pid_file" "$socket"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
restart | force-reload) stop && start ;;
status)
    if running; then
        echo "Parley runs (process $(cat "$pid_file"))."
    else
        echo "Parley does not run."
        exit 3
    fi
    ;;
*)
    echo "usage: parley.sh start|stop|restart|status" >&2
    exit 2
    ;;
esac
