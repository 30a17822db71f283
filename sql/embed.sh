#!/bin/sh
# Embed the numbered migrations of a directory into a C source on stdout.
#
#   sql/embed.sh sql/sqlite > build/gen/migrations.c
#
# Files are NNNN_name.sql, numbered from 0001 without a gap; anything else is an error, because
# a migration that is skipped in silence shows only when somebody's database breaks. The text goes in as
# an array of bytes (a C string literal may not be long). Needs sh, od, sed and awk.
set -eu
LC_ALL=C
export LC_ALL

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }

files=
count=0
for file in "$1"/*.sql; do
    [ -f "$file" ] || { echo "$0: no migrations in $1" >&2; exit 1; }
    count=$((count + 1))
    name=${file##*/}
    case $name in
    "$(printf %04d "$count")"_?*.sql) ;;
    *) echo "$0: $name: expected $(printf %04d "$count")_<name>.sql" >&2; exit 1 ;;
    esac
    case $file in
    *[!A-Za-z0-9_./-]*) echo "$0: $file: odd characters in the name" >&2; exit 1 ;;
    esac
    files="$files $file"
done

echo "/* Made by sql/embed.sh from the numbered migrations; not to be edited. */"
echo '#include "common/store/migrations.h"'
for file in $files; do
    number=${file##*/}
    printf '\nstatic const char sql_%s[] = {\n' "${number%%_*}"
    od -An -v -tu1 "$file" | awk '
        { for (i = 1; i <= NF; i++) if ($i == 0 || $i > 126) exit bad = 1 }
        { gsub(/^ +| +$/, ""); gsub(/ +/, ", "); if ($0 != "") print "    " $0 "," }
        END { if (bad) exit 1; print "    0" }' ||
        { echo "$0: $file: only ASCII, please" >&2; exit 1; }
    echo "};"
done

printf '\nconst struct migration migrations[] = {\n'
number=0
for file in $files; do
    number=$((number + 1))
    name=$(printf '%s\n' "${file##*/}" | sed 's/^[0-9]*_//; s/\.sql$//')
    printf '    { %d, "%s", sql_%04d },\n' "$number" "$name" "$number"
done
echo "};"
echo "const size_t migrations_count = sizeof migrations / sizeof migrations[0];"
