#!/bin/sh
# The Debian package in a fresh minimal Debian: installed with apt, behind lighttpd, upgraded, removed, purged.
set -eu
cd "$(dirname "$0")/../.."
. tests/packages/root.sh
need_root

package=$(ls build/parley_*.deb)
new_root deb
trap 'rm -rf "$root"' EXIT
cp "$package" "$root/parley.deb"

cat >"$root/check.sh" <<'INSIDE'
set -eu
port=18080
apt-get -q update >/dev/null
apt-get -q install -y --no-install-recommends /parley.deb lighttpd curl >/install.log 2>&1 || { tail /install.log; exit 1; }
echo "user: $(getent passwd parley)"
echo "data: $(stat -c '%U:%G %a' /var/lib/parley)"
echo "settings: $(stat -c '%U:%G %a' /etc/parley/parley.env)"
echo "enabled: $(ls /etc/systemd/system/multi-user.target.wants | tr "\n" " ")"
echo "missing libraries: $(ldd /usr/bin/parley | grep -c 'not found' || true)"
echo "libcurl: $(ls /usr/lib/*/libcurl.so.4)"

# What systemd does with the unit.
unit=/lib/systemd/system/parley.service
install -d -o parley -g www-data -m 0750 /run/parley
start=$(sed -n 's/^ExecStart=//p' $unit)
cd /var/lib/parley
# shellcheck disable=SC2086 # a command line
setpriv --reuid parley --regid www-data --clear-groups env -i "$(sed -n 's/^Environment=//p' $unit)" $start 2>/parley.log &
parley=$!
cd /

# What the administrator types.
lighttpd-enable-mod parley >/dev/null
sed -i "s/^server.port .*/server.port = $port\nserver.bind = \"127.0.0.1\"/; /use-ipv6/d" /etc/lighttpd/lighttpd.conf
lighttpd -D -f /etc/lighttpd/lighttpd.conf &
web=$!
tries=0
until curl -sf -o /dev/null "http://127.0.0.1:$port/api/health"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat /parley.log /var/log/lighttpd/error.log; exit 1; }
    sleep 0.1
done
echo "health: $(curl -s "http://127.0.0.1:$port/api/health")"
echo "page: $(curl -s "http://127.0.0.1:$port/" | grep -o '<title>[^<]*')"
printf 'chat: %s\n' "$(curl -s -H 'Content-Type: application/json' -d '{"message":"Hello"}' "http://127.0.0.1:$port/api/chat")"
echo "database: $(stat -c '%U %a' /var/lib/parley/parley.db)"
kill -TERM $parley && wait $parley && echo "stopped: status 0"
kill -TERM $web && wait $web || true

echo '# edited' >>/etc/parley/parley.env
dpkg -i /parley.deb >/upgrade.log 2>&1 || { cat /upgrade.log; exit 1; }
echo "edit after the upgrade: $(tail -n 1 /etc/parley/parley.env) $(stat -c '%U:%G %a' /etc/parley/parley.env)"

apt-get -q remove -y parley >/remove.log 2>&1
echo "after removal: program $(test -e /usr/bin/parley && echo there || echo gone), settings $(test -e /etc/parley/parley.env && echo kept)," \
    "lighttpd $(lighttpd -tt -f /etc/lighttpd/lighttpd.conf && echo starts)"
apt-get -q purge -y parley >/purge.log 2>&1
echo "warnings: $(grep -ciE 'warning|error' /purge.log || true)"
echo "left: $(find / -xdev \( -iname '*parley*' -o -nouser \) -not -path '/proc/*' -not -path '/parley.*' -not -path '/var/log/*' -not -path '/var/cache/*' | tr '\n' ' ')"
echo "left user: $(getent passwd parley || true)"
INSIDE

said=$(inside sh /check.sh) || { printf '%s\n' "$said"; fail "a command inside the root"; }
expect 'it made the user' '^user: parley:.*/var/lib/parley' "$said"
expect 'the data is only the service'"'"'s' '^data: parley:www-data 700' "$said"
expect 'the settings are only the service'"'"'s' '^settings: parley:root 600' "$said"
expect 'the service is enabled' '^enabled: .*parley.service' "$said"
expect 'every library is there' '^missing libraries: 0' "$said"
expect 'libcurl, which is loaded later, is there' '^libcurl: /usr/lib/' "$said"
expect 'it answers behind lighttpd' '^health: .*healthy' "$said"
expect 'the site is the page' '^page: <title>.' "$said"
expect 'the demo answers' '^chat: .*"status": ?"success"' "$said"
expect 'the database is only the service'"'"'s' '^database: parley 600' "$said"
expect 'it stops with status 0' '^stopped: status 0' "$said"
expect 'an upgrade keeps edited settings' '^edit after the upgrade: # edited parley:root 600' "$said"
expect 'a removal keeps the settings and leaves lighttpd working' '^after removal: program gone, settings kept, lighttpd starts' "$said"
expect 'a purge leaves no file' '^left: *$' "$said"
expect 'a purge leaves no user' '^left user: *$' "$said"
