#!/bin/sh
# The tarball in a fresh minimal Debian, without libcurl, a compiler or any -dev package: unpacked as INSTALL.txt says, run by an
# ordinary user as a CGI through the wrapper that is shipped, and as a service. Then without its lib/, on the host's libcurl.
set -eu
cd "$(dirname "$0")/../.."
. tests/packages/root.sh
need_root

tarball=$(ls build/parley-*-linux-*.tar.gz)
new_root dist
trap 'rm -rf "$root"' EXIT
cp "$tarball" "$root/parley.tar.gz"

cat >"$root/check.sh" <<'INSIDE'
set -eu
useradd -m customer
home=/home/customer
mkdir $home/public_html
tar -xzf /parley.tar.gz -C /tmp
cp -R /tmp/parley-*/parley $home/parley
cp -R /tmp/parley-*/public_html/chat $home/public_html/chat
cp $home/parley/env.example $home/parley/.env
chmod 600 $home/parley/.env
chown -R customer: $home
echo "foreign packages: $(dpkg-query -W -f '${Package}\n' | grep -cE -- '-dev$|^libcurl4|^libsqlite3|^libuv1|^gcc-[0-9]*$' || true)"

customer="setpriv --reuid customer --regid customer --clear-groups env -i PATH=/usr/bin:/bin"
cgi()
{
    # method, path, body; as mod_cgid calls it: the script's directory is the working directory
    cd $home/public_html/chat
    printf '%s' "$3" | $customer GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD="$1" SCRIPT_NAME=/chat/parley.cgi PATH_INFO="$2" \
        CONTENT_LENGTH=${#3} CONTENT_TYPE=application/json SERVER_PROTOCOL=HTTP/1.1 REMOTE_ADDR=192.0.2.1 \
        $home/public_html/chat/parley.cgi | tr -d '\r' | tr '\n' ' '
    cd /
}
echo "check: $(cd $home/parley && $customer ./parley check-config | grep '^Answers come from')"
printf 'health: %s\n' "$(cgi GET /api/health '')"
printf 'chat: %s\n' "$(cgi POST /api/chat '{"message":"Hello"}')"
echo "data: $(cd $home/parley && ls -l parley.db parley.log | awk '{ print $1, $3, $NF }' | tr '\n' ' ')"
echo "libraries of the system: $(ldd $home/parley/parley | grep -vE '/home/customer|vdso' | awk '{ print $1 }' | tr '\n' ' ')"

cd $home/parley
$customer ./parley serve --listen unix:$home/s --workers 1 &
until [ -S $home/s ]; do sleep 0.05; done
kill -TERM $! && wait $! && echo "service: status 0"
cd /

rm -r $home/parley/lib
apt-get -q update >/dev/null
apt-get -q install -y --no-install-recommends libcurl4 >/install.log 2>&1
echo "without lib/: $(cgi GET /api/health '')"
INSIDE

said=$(inside sh /check.sh) || { printf '%s\n' "$said"; fail "a command inside the root"; }
expect 'the root has nothing that the program could lean on' '^foreign packages: 0' "$said"
expect 'check-config runs beside the settings' '^check: Answers come from: demo' "$said"
expect 'it answers as a CGI' '^health: Status: 200.*healthy' "$said"
expect 'the demo answers' '^chat: .*"status": ?"success"' "$said"
expect 'the data is only the customer'"'"'s' '^data: -rw------- customer parley.db -rw------- customer parley.log' "$said"
expect 'of the system it takes only the C library' \
    '^libraries of the system: ((libc|libm|libresolv)\.so[.0-9]* |/lib64/ld-linux[^ ]* )*$' "$said"
expect 'it stops with status 0' '^service: status 0' "$said"
expect 'without lib/ it runs on the libcurl of the host' '^without lib/: Status: 200.*healthy' "$said"
