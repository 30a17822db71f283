#!/bin/sh
# `make deb`: build/parley_VERSION_ARCH.deb from the program that is built, the files of deploy/ with Debian's paths
# in them, and the scripts beside this one. Needs dpkg-deb, which every Debian has; no root.
#
#   OUT  where the program is (build)
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
out=${OUT:-build}
here=$top/deploy/debian
cd "$top"

version=$(sed -n 's/^#define PARLEY_VERSION "\(.*\)"/\1/p' fcgi/version.h)
architecture=$(dpkg --print-architecture)
tree=$out/deb
package=$out/parley_${version}_$architecture.deb
rm -rf "$tree"
umask 022

install -D -m 755 "$out/parley" "$tree/usr/bin/parley"
strip --strip-unneeded "$tree/usr/bin/parley"

put()
{
    mkdir -p "$(dirname "$tree/$2")"
    sed 's|/usr/local/bin/parley|/usr/bin/parley|g; s|/etc/systemd/system|/lib/systemd/system|g' "$1" >"$tree/$2"
}
put deploy/systemd/parley.service lib/systemd/system/parley.service
put deploy/systemd/parley.socket lib/systemd/system/parley.socket
put deploy/lighttpd/socket.conf etc/lighttpd/conf-available/50-parley.conf
put deploy/nginx/below-a-path.conf etc/nginx/snippets/parley.conf
put "$here/parley.env" etc/parley/parley.env
chmod 600 "$tree/etc/parley/parley.env"

doc=usr/share/doc/parley
put LICENSE $doc/copyright
put README.md $doc/README.md
for page in docs/*.md; do
    put "$page" "$doc/$(basename "$page")"
done
for example in nginx.conf.example deploy/apache/proxy_fcgi.conf deploy/apache/fcgid.conf deploy/apache/cgi.conf \
    deploy/caddy/Caddyfile deploy/lighttpd/bin-path.conf deploy/lighttpd/cgi.conf deploy/supervisor/parley.conf \
    deploy/supervisor/parley-fcgi.conf deploy/spawn-fcgi/parley.sh; do
    put "$example" "$doc/examples/$(basename "$(dirname "$example")")-$(basename "$example")"
done
mv "$tree/$doc/examples/.-nginx.conf.example" "$tree/$doc/examples/nginx-site.conf"

# The packages of the libraries that the program itself names: linked, or, as libcurl, in a string for dlopen.
loaded=$(strings "$tree/usr/bin/parley" | grep -x 'libcurl\.so\.[0-9]*')
depends=$({ objdump -p "$tree/usr/bin/parley" | awk '$1 == "NEEDED" { print $2 }'; echo "$loaded"; } | while read -r library; do
    file=$(ldd "$tree/usr/bin/parley" | awk -v name="$library" '$1 == name { print $3 } $1 ~ name "$" { print $1 }' | head -n 1)
    [ -n "$file" ] || file=$(${CC:-cc} -print-file-name="$library")
    dpkg -S "$file" 2>/dev/null || dpkg -S "/usr$file" 2>/dev/null || dpkg -S "$(readlink -f "$file")"
done | sed 's/:.*//' | sort -u | while read -r name; do
    least=$(dpkg-query -W -f '${Version}' "$name" | head -n 1)
    # libfcgi with its security fix; of the others the version that was built with.
    [ "$name" = libfcgi0ldbl ] || least=$(echo "$least" | sed 's/[-+~].*//')
    echo "$name (>= $least)"
done | paste -sd, | sed 's/,/, /g')

mkdir -p "$tree/DEBIAN"
size=$(du -sk --exclude=DEBIAN "$tree" | cut -f1)
sed "s|@VERSION@|$version|; s|@ARCHITECTURE@|$architecture|; s|@SIZE@|$size|; s|@DEPENDS@|$depends|" "$here/control.in" \
    >"$tree/DEBIAN/control"
install -m 644 "$here/conffiles" "$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "$here/$script" "$tree/DEBIAN/$script"
done
(cd "$tree" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"

dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package ($(du -k "$package" | cut -f1) KB), depends on $depends"
