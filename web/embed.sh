#!/bin/sh
# Turn the files of a directory into C: sh web/embed.sh build/web > build/gen/assets.c
#
# Writes the table that fcgi/http/assets.h declares: every file (dot files excepted) as bytes, and as gzip
# where that saves a tenth or more. The output depends on the content only, so builds are reproducible.
set -eu
export LC_ALL=C

[ $# -eq 1 ] && [ -f "$1/index.html" ] || {
    echo "usage: web/embed.sh DIR, where DIR/index.html is the page" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

type_of() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.jpg | *.jpeg) echo 'image/jpeg' ;;
    *.webp) echo 'image/webp' ;;
    *.ico) echo 'image/vnd.microsoft.icon' ;;
    *.json | *.map) echo 'application/json' ;;
    *.webmanifest) echo 'application/manifest+json' ;;
    *.woff2) echo 'font/woff2' ;;
    *.txt) echo 'text/plain; charset=utf-8' ;;
    *)
        echo "web/embed.sh: no content type is known for $1" >&2
        return 1
        ;;
    esac
}

# A hash is eight or more characters, all of base32 in capitals or all of lower-case hex: no ordinary word.
is_hashed() {
    printf '%s\n' "$1" | grep -Eq '^assets/[^/]*[-.]([A-Z0-9]{8,}|[0-9a-f]{8,})\.[a-z0-9]+$'
}

# An array may not be empty in ISO C; the length beside it is what counts.
bytes_of() {
    printf 'static const unsigned char %s[] = {\n' "$2"
    if [ -s "$1" ]; then
        od -An -v -tx1 "$1" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
    else
        echo '0'
    fi
    echo '};'
}

(cd "$1" && find . -type f ! -path '*/.*/*' ! -name '.*' | sed 's|^\./||' | sort) >"$work/files"

echo '/* Made by web/embed.sh from the built web page. */'
echo '#include "fcgi/http/assets.h"'
n=0
while IFS= read -r path; do
    case $path in
    *[!A-Za-z0-9._/-]*)
        echo "web/embed.sh: a file name may have letters, digits, dot, dash and underscore: $path" >&2
        exit 1
        ;;
    esac
    type=$(type_of "$path")
    etag=$(sha256sum <"$1/$path" | cut -c1-16)
    immutable=false
    is_hashed "$path" && immutable=true
    gzip -9nc <"$1/$path" >"$work/gz"
    len=$(wc -c <"$1/$path")
    gzip_len=$(wc -c <"$work/gz")
    gzip_name=NULL
    echo
    bytes_of "$1/$path" "file_$n"
    if [ $((gzip_len * 10)) -le $((len * 9)) ]; then
        gzip_name=gzip_$n
        bytes_of "$work/gz" "$gzip_name"
    else
        gzip_len=0
    fi
    cat >>"$work/table" <<EOF
    { .path = "$path",
      .content_type = "$type",
      .etag = "$etag",
      .bytes = file_$n,
      .len = $((len)),
      .gzip = $gzip_name,
      .gzip_len = $((gzip_len)),
      .immutable = $immutable },
EOF
    n=$((n + 1))
done <"$work/files"

echo
echo 'const struct asset assets[] = {'
cat "$work/table"
echo '};'
echo 'const size_t assets_count = sizeof(assets) / sizeof(assets[0]);'
