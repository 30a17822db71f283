#!/bin/sh
# `make dist`: a tarball for shared hosts, where nothing can be installed. libfcgi, json-c, SQLite, libuv, libsodium and hiredis
# are inside the program; libcurl, which Debian does not offer for that, lies beside it in lib/ with what it needs.
# The directories in the tarball are those of deploy/shared-hosting.
#
#   OUT  where the objects of the build are (build)      CC  the compiler (cc)
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
out=${OUT:-build}
cd "$top"

version=$(sed -n 's/^#define PARLEY_VERSION "\(.*\)"/\1/p' fcgi/version.h)
name=parley-$version-linux-$(uname -m)
tree=$out/dist/$name
rm -rf "$tree"
mkdir -p "$tree/parley/lib" "$tree/licenses" "$tree/docs"

# An old-style RPATH, because it counts for what the program loads and for the libraries of lib/ among themselves, too.
# shellcheck disable=SC2016 # $ORIGIN is for the loader
${CC:-cc} -pie -Wl,-z,relro,-z,now -Wl,--disable-new-dtags,-rpath,'$ORIGIN/lib' -static-libgcc \
    -o "$tree/parley/parley" "$out/obj/fcgi/main.o" "$out/libparley.a" \
    -Wl,-Bstatic -lfcgi -ljson-c -lsqlite3 -luv_a -lsodium -lhiredis -Wl,-Bdynamic -lm -lpthread -ldl
strip --strip-unneeded "$tree/parley/parley"

# The C library is the host's: it must fit the host's kernel, names and locales.
curl=$(${CC:-cc} -print-file-name="$(strings "$tree/parley/parley" | grep -x 'libcurl\.so\.[0-9]*')")
libraries=$({ echo "$curl"; ldd "$tree/parley/parley" "$curl" | awk '$3 ~ /^\// { print $3 }'; } | sort -u |
    grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so')
for library in $libraries; do
    cp -L "$library" "$tree/parley/lib/"
done
chmod 644 "$tree"/parley/lib/*

# What is inside has licenses that want to be passed on.
archives=$(for lib in fcgi json-c sqlite3 uv_a sodium hiredis; do "${CC:-cc}" -print-file-name=lib$lib.a; done)
# shellcheck disable=SC2086 # lists of paths
files=$(readlink -f $libraries $archives)
# dpkg knows some files by /lib that are in /usr/lib now, so it does not know every name given here.
# shellcheck disable=SC2046,SC2086
packages=$({ dpkg -S $files $(echo "$files" | sed 's|^/usr||') 2>/dev/null || true; } | sed 's/:.*//' | sort -u)
for package in $packages; do
    cp "/usr/share/doc/$package/copyright" "$tree/licenses/$package"
done
cp LICENSE "$tree/licenses/parley"

cp -R deploy/shared-hosting/public_html "$tree/"
cp deploy/shared-hosting/parley/env.example "$tree/parley/env.example"
cp README.md "$tree/"
cp docs/*.md "$tree/docs/"

# The newest symbol versions of the C library say how old a host may be.
glibc()
{
    objdump -T "$@" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 | sed 's/_/ /'
}
program_needs=$(glibc "$tree/parley/parley")
libraries_need=$(glibc "$tree"/parley/lib/*)
cat >"$tree/INSTALL.txt" <<TEXT
Parley $version for a shared host ($(uname -m); the program needs $program_needs, the libraries in lib/ $libraries_need).

1. Copy the directory parley/ beside your public_html, not into it. Copy public_html/chat/ into public_html. If you do that with
   FTP: parley/parley, chat/parley.cgi and chat/parley.fcgi need the rights 755.
2. In parley/: cp env.example .env; chmod 600 .env; put your key into .env (without one the demo answers).
3. Open https://your.site/chat/

If it shows an error 500 or the text of a script: write parley.cgi for parley.fcgi in public_html/chat/.htaccess.
What is wrong with the settings: ./parley check-config in parley/. What happened: parley/parley.log.

If the host has libcurl itself (almost every host with PHP has), parley/lib/ may be deleted: then the host's is used and
kept up to date by the host. More in docs/DEPLOYMENT.md, "Shared hosting".
TEXT

tar --sort=name --owner=0 --group=0 --numeric-owner -C "$out/dist" -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz ($(du -k "$out/$name.tar.gz" | cut -f1) KB): parley needs $program_needs and" \
    "$(readelf -d "$tree/parley/parley" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')"
