#!/bin/sh
# Many chat streams at once through a real web server, and what they cost: memory per stream (PSS growth),
# worker CPU per delta, lateness of each delta; every answer is checked to the last delta and in SQLite.
#
#   STREAMS=1000 DELTAS=100 PACE_MS=50 RAMP_MS=2000   what is asked
#   WORKERS=2 FRONT=nginx|lighttpd                    who answers
#   PARLEY=build/parley                               the program
#   KEEP=1                                            leave the working directory
#
# Exit status: 0 = every answer complete, sent and stored; 1 = not; 2 = could not be measured. The bars below
# are shown, not enforced: a busy machine is not a defect.
set -u

STREAMS=${STREAMS:-1000} DELTAS=${DELTAS:-100} PACE_MS=${PACE_MS:-50} RAMP_MS=${RAMP_MS:-2000}
WORKERS=${WORKERS:-2} FRONT=${FRONT:-nginx}
BAR_PSS_KB=48 BAR_CPU_US=30
WARM=50

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
program=${PARLEY:-$root/build/parley}
tools=$root/build/bench
PATH=$PATH:/usr/sbin
pids=""

die()
{
    echo "bench: $*" >&2
    exit 2
}

# ---- what is needed ----

case "$program" in /*) ;; *) program=$(pwd)/$program ;; esac
[ -x "$program" ] || die "$program is not there: 'make' builds it."
for tool in cc sqlite3 "$FRONT"; do
    command -v "$tool" >/dev/null || die "$tool is not installed."
done

files=$((STREAMS * 2 + 500))
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$files" ]; then
    ulimit -n "$files" 2>/dev/null ||
        die "$STREAMS streams need $files open files, the limit is $(ulimit -H -n): raise it (limits.conf, LimitNOFILE) or set STREAMS lower."
fi
[ "$(cat /proc/sys/net/core/somaxconn)" -ge 1024 ] || echo "bench: net.core.somaxconn is below 1024, bursts may be refused" >&2

mkdir -p "$tools"
for tool in mock load; do
    if [ ! -x "$tools/$tool" ] || [ "$here/$tool.c" -nt "$tools/$tool" ]; then
        cc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$tools/$tool" "$here/$tool.c" || die "$tool.c does not compile."
    fi
done

# ---- start and stop ----

dir=$(mktemp -d) || die "no temporary directory"
stop_all()
{
    exec 8>&- # the mock ends with its stdin
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
    for pid in $pids; do wait "$pid" 2>/dev/null; done
    [ -n "${KEEP:-}" ] || rm -rf "$dir"
}
trap stop_all EXIT
trap 'exit 2' INT TERM

# wait_until WHAT COMMAND...: at most ten seconds
wait_until()
{
    what=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { tail -5 "$dir"/*.log "$dir"/*.err >&2 2>/dev/null; die "$what"; }
        sleep 0.05
    done
}

mkfifo "$dir/mock.in"
"$tools/mock" <"$dir/mock.in" >"$dir/mock.out" 2>"$dir/mock.err" &
exec 8>"$dir/mock.in"
wait_until "the mock provider did not start" grep -q '^port' "$dir/mock.out"
mock_port=$(sed -n 's/^port //p' "$dir/mock.out")

env -i PATH="$PATH" PARLEY_ENV=/dev/null DATABASE_URL="sqlite:$dir/parley.db" LOG_LEVEL=warn LOG_FILE="$dir/parley.log" \
    OPENAI_API_BASE="http://127.0.0.1:$mock_port/v1" OPENAI_API_KEY=sk-bench MAX_STREAMS=$((STREAMS + WARM)) \
    RATELIMIT_PER_MINUTE=0 RATELIMIT_PER_HOUR=0 RATELIMIT_PER_DAY=0 \
    ${PARLEY_SETTINGS:-} "$program" serve --listen "unix:$dir/s" --workers "$WORKERS" 2>"$dir/parley.err" &
parley=$!
pids="$parley"
wait_until "parley did not start" test -S "$dir/s"

nginx_conf()
{
    [ "$(id -u)" -ne 0 ] || echo "user root;"
    cat <<END
daemon off; worker_processes 1; worker_rlimit_nofile $files; pid $dir/nginx.pid; error_log $dir/nginx.err;
events { worker_connections $((STREAMS * 2 + 200)); }
http { access_log off; client_body_temp_path $dir/b; fastcgi_temp_path $dir/f; proxy_temp_path $dir/p; uwsgi_temp_path $dir/u; scgi_temp_path $dir/c;
server { listen 127.0.0.1:$1 backlog=4096; location / { include /etc/nginx/fastcgi_params; fastcgi_pass unix:$dir/s; fastcgi_read_timeout 300s; } } }
END
}

lighttpd_conf()
{
    cat <<END
server.modules = ("mod_fastcgi")
server.document-root = "$dir"
server.bind = "127.0.0.1"
server.port = $1
server.errorlog = "$dir/lighttpd.err"
server.stream-response-body = 1
server.max-fds = $files
server.max-connections = $((STREAMS + 100))
server.listen-backlog = 4096
fastcgi.server = ("/" => (("socket" => "$dir/s", "check-local" => "disable", "fix-root-scriptname" => "enable", "tcp-fin-propagate" => "enable")))
END
}

# A port that is free now: try some, the web server says when one is taken.
port=$((20000 + $$ % 10000))
for _ in 1 2 3 4 5; do
    port=$((port + 1))
    "${FRONT}_conf" "$port" >"$dir/web.conf"
    if [ "$FRONT" = nginx ]; then
        nginx -p "$dir" -e "$dir/nginx.err" -c "$dir/web.conf" 2>>"$dir/web.err" &
    else
        lighttpd -D -f "$dir/web.conf" 2>>"$dir/web.err" &
    fi
    web=$!
    sleep 0.3
    kill -0 "$web" 2>/dev/null && break
done
pids="$web $pids"
wait_until "no answer through $FRONT" curl -sf "http://127.0.0.1:$port/api/health"

# ---- measuring ----

processes()
{
    echo "$parley"
    cat "/proc/$parley/task/$parley/children"
}

pss_kb()
{
    for pid in $(processes); do sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup"; done | awk '{ sum += $1 } END { print sum }'
}

# utime + stime of all processes, in clock ticks (the name in field 2 has no spaces)
cpu_ticks()
{
    for pid in $(processes); do cat "/proc/$pid/stat"; done | awk '{ sum += $14 + $15 } END { print sum }'
}

value()
{
    sed -n "s/^$1 //p" "$dir/load.out"
}

"$tools/load" "$port" "$WARM" 20 10 100 >"$dir/warm.out" || die "the warm-up failed (see above)."

load_before=$(cut -d' ' -f1 /proc/loadavg)
sleep 1
pss_before=$(pss_kb)
ticks_before=$(cpu_ticks)
"$tools/load" "$port" "$STREAMS" "$DELTAS" "$PACE_MS" "$RAMP_MS" >"$dir/load.out" 2>"$dir/load.err" &
load=$!
pss_full=0
while kill -0 "$load" 2>/dev/null; do
    sleep 0.5
    if grep -q '^full' "$dir/load.out"; then
        pss=$(pss_kb)
        [ "$pss" -le "$pss_full" ] || pss_full=$pss
        threads=$(for pid in $(processes); do ls "/proc/$pid/task"; done | wc -l)
        count=$(processes | wc -w)
    fi
done
wait "$load"
load_status=$?
sleep 1 # the last commits
ticks_after=$(cpu_ticks)
cat "$dir/load.err" >&2
[ "$pss_full" -gt 0 ] || die "the streams were never all open at once: raise DELTAS or lower RAMP_MS."

rows=$(sqlite3 "$dir/parley.db" "SELECT count(*) FROM messages WHERE role = 'assistant' AND status = 'complete'
    AND length(content) - length(replace(content, '[', '')) = $DELTAS")
running=$(sqlite3 "$dir/parley.db" "SELECT count(*) FROM messages WHERE status = 'streaming'")

# ---- the table ----

hertz=$(getconf CLK_TCK)
row() { printf '  %-34s %12s   %s\n' "$1" "$2" "${3:-}"; }
per() { awk "BEGIN { printf \"%.1f\", $1 }"; }
bar() { awk "BEGIN { print ($1 <= $2) ? \"bar $2: met\" : \"bar $2: MISSED\" }"; }

pss=$(per "($pss_full - $pss_before) / $STREAMS")
cpu=$(per "($ticks_after - $ticks_before) * 1000000 / $hertz / $(value deltas)")
echo
echo "  $STREAMS streams x $DELTAS deltas at $PACE_MS ms, through $FRONT, $WORKERS workers; $(nproc) cores, load before: $load_before"
echo
row "answers complete" "$(value complete)"
row "failures" "$(value failed)"
row "answers whole in SQLite" "$rows"
row "rows that claim to be running" "$running"
row "processes / threads of parley" "$count / $threads"
row "PSS before / at full load, KB" "$pss_before / $pss_full"
row "PSS per stream, KB" "$pss" "$(bar "$pss" $BAR_PSS_KB)"
row "CPU per delta, µs" "$cpu" "$(bar "$cpu" $BAR_CPU_US)"
row "deltas per frame" "$(awk "BEGIN { printf \"%.2f\", $(value deltas) / $(value frames) }")" "above 1 where the machine was too busy to send each on its own"
row "first delta p50 / p99, ms" "$(per "$(value first_p50_us) / 1000") / $(per "$(value first_p99_us) / 1000")" "from connect, the pace included"
row "lateness p50 / p99 / max, ms" "$(per "$(value late_p50_us) / 1000") / $(per "$(value late_p99_us) / 1000") / $(per "$(value late_max_us) / 1000")" "provider to client"
row "wall, s" "$(per "$(value wall_ms) / 1000")"
echo
if [ -s "$dir/mock.err" ] || [ -s "$dir/parley.log" ]; then
    sort "$dir/mock.err" "$dir/parley.log" | head -5 >&2
fi
[ "$load_status" -eq 0 ] && [ "$rows" -eq "$STREAMS" ] && [ "$running" -eq 0 ]
