#!/bin/sh
# The steps of deploy/docker/Dockerfile without an engine: each stage is a fresh minimal Debian, RUN and COPY are done
# there as written; then both images run their CMD beside each other, the run volume of compose.yaml between them.
# Needs the network, and some minutes: the build stage installs a compiler and node.
set -eu
cd "$(dirname "$0")/../.."
. tests/packages/root.sh
need_root

file=deploy/docker/Dockerfile
ignore=deploy/docker/Dockerfile.dockerignore
left=""
trap 'for each in $left; do rm -rf "$each"; done' EXIT

# The Dockerfile with continued lines joined and comments gone.
steps=$(sed '/^#/d; /^$/d' $file | sed -e ':more' -e '/\\$/N; s/\\\n *//; t more')

as=root
directory=/
# What the engine sets for RUN: working directory and user.
run()
{
    inside sh -ec "mkdir -p '$directory' && cd '$directory' && $1" >"$root.log" 2>&1 || { tail -n 20 "$root.log"; fail "RUN $1"; }
}

copy()
{
    case "$1" in
    --from=*)
        from=$PWD/$roots/docker-${1#--from=}
        cp -a "$from$2" "$root$3"
        ;;
    .)
        mkdir -p "$root$directory"
        tar --exclude-from="$ignore" -cf - . | tar -xf - -C "$root$directory"
        ;;
    *)
        mkdir -p "$(dirname "$root$2")"
        cp "$1" "$root$2"
        ;;
    esac
}

printf '%s\n' "$steps" >build/docker-steps
while read -r word rest; do
    case "$word" in
    FROM)
        stage=${rest##* }
        new_root "docker-$stage"
        left="$left $root $root.log"
        as=root
        directory=/
        echo "stage $stage"
        ;;
    RUN) run "$rest" </dev/null ;;
    COPY)
        # shellcheck disable=SC2086 # words of the Dockerfile
        copy $rest </dev/null
        ;;
    WORKDIR) directory=$rest ;;
    USER) as=$rest ;;
    ENV) echo "$rest" >>"$root/image.env" ;;
    CMD)
        echo "$rest" | sed 's/^\[//; s/\]$//; s/", "/ /g; s/"//g' >"$root/image.cmd"
        echo "$as $directory" >"$root/image.user"
        ;;
    EXPOSE | VOLUME | STOPSIGNAL) ;;
    *) fail "the check does not know $word" ;;
    esac
done <build/docker-steps

# ---- as compose.yaml starts them ----

parley=$PWD/$roots/docker-parley
web=$PWD/$roots/docker-web
port=18081
read -r as directory <"$parley/image.user"
expect 'the program is not root' '^parley$' "$as"
sed -i "s/^server.port .*/server.port = $port\nserver.bind = \"127.0.0.1\"/; /use-ipv6/d" "$web/etc/lighttpd/lighttpd.conf"
cat >"$parley/start.sh" <<INSIDE
cd $directory
exec setpriv --reuid $as --regid www-data --clear-groups env $(cat "$parley/image.env") $(cat "$parley/image.cmd")
INSIDE

root=$parley
inside sh /start.sh 2>"$parley.log" &
parley_pid=$!
tries=0
until [ -S "$parley/run/parley/parley.sock" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$parley.log"; fail "parley does not start"; }
    sleep 0.1
done
expect 'the socket is the web server'"'"'s group'"'"'s' '^33 660$' "$(stat -c '%g %a' "$parley/run/parley/parley.sock")"

# The volume: the same directory in both.
root=$web
mkdir -p "$web/run/parley"
# shellcheck disable=SC2016
unshare --mount --pid --fork --kill-child sh -c 'mount --bind "$1/run/parley" "$0/run/parley" && mount -t proc proc "$0/proc" &&
    mount --bind /dev "$0/dev" && exec chroot "$0" $(cat "$0/image.cmd")' "$web" "$parley" 2>"$web.log" &
web_pid=$!
tries=0
until curl -sf -o /dev/null "http://127.0.0.1:$port/api/health"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$web.log" "$parley.log" "$web/var/log/lighttpd/error.log"; fail "no answer"; }
    sleep 0.1
done
expect 'it answers through the other image' '"status": ?"success"' \
    "$(curl -s -H 'Content-Type: application/json' -d '{"message":"Hello"}' "http://127.0.0.1:$port/api/chat" | tr '\n' ' ')"
expect 'there is no compiler in the image' '^gone$' "$(test -e "$parley/usr/bin/cc" && echo there || echo gone)"

# The profile redis: the same user on both sides of the socket.
redis=$PWD/$roots/docker-redis
read -r as directory <"$redis/image.user"
cat >"$redis/start.sh" <<INSIDE
cd $directory
setpriv --reuid $as --regid www-data --clear-groups $(cat "$redis/image.cmd") >/redis.log &
tries=0
until said=\$(redis-cli -s /run/redis/redis.sock ping 2>&1); do
    tries=\$((tries + 1))
    [ \$tries -lt 100 ] || break
    sleep 0.1
done
echo "\$said \$(stat -c '%u %a' /run/redis/redis.sock)"
INSIDE
root=$redis
expect 'redis answers at its socket, which is Parley'"'"'s only' '^PONG 990 700$' "$(inside sh /start.sh)"
expect 'the directory of that socket is there for Parley' '^990 33 750$' "$(stat -c '%u %g %a' "$parley/run/redis")"

# stop PID NAME: SIGTERM to the first process below PID that is NAME; the engine sends it to process 1 of the container.
stop()
{
    below=$1
    while [ "$(cat "/proc/$below/comm")" != "$2" ]; do
        below=$(cut -d' ' -f1 "/proc/$below/task/$below/children")
    done
    kill -TERM "$below"
    wait "$1"
}
stop $web_pid lighttpd || true
status=0
stop $parley_pid parley || status=$?
expect 'it stops with status 0' '^0$' "$status"
echo "sizes: parley $(du -sm "$parley" | cut -f1) MB, web $(du -sm "$web" | cut -f1) MB"
