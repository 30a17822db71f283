#!/bin/sh
# Sizes of files and functions. Reports the distribution; fails for a file over 600 lines and a function over 120.
set -u
FILE_MOST=600
FUNCTION_MOST=120

files=$(find common fcgi -name '*.c' | sort)
bad=0

# shellcheck disable=SC2086 -- a list of paths without spaces
wc -l $files | awk -v most=$FILE_MOST '
$2 != "total" && $1 > most { print $2 ": " $1 " lines, at most " most; bad = 1 }
END { exit bad }' || bad=1

report()
{
    sort -n | awk -v unit="$1" '
    { size[NR] = $1; name[NR] = $2 }
    END {
        if (NR == 0) { print "nothing was measured"; exit 1 }
        printf "%s: %d, lines median %d, p75 %d, p95 %d, most %d (%s)\n", unit, NR,
               size[int((NR + 1) / 2)], size[int(NR * 0.75 + 0.5)], size[int(NR * 0.95 + 0.5)], size[NR], name[NR]
    }'
}

# shellcheck disable=SC2086
wc -l $files | awk '$2 != "total" { print $1, $2 }' | report files || bad=1

# shellcheck disable=SC2086
functions=$(ctags -x --c-kinds=f --_xformat='%F %N %n %{end}' $files | awk '{ print $4 - $3 + 1, $2 "@" $1 }')
printf '%s\n' "$functions" | report functions || bad=1
printf '%s\n' "$functions" | awk -v most=$FUNCTION_MOST '
$1 > most { print $2 ": " $1 " lines, at most " most; bad = 1 }
$1 > 80 && $1 <= most { print "note: " $2 " has " $1 " lines" }
END { exit bad }' || bad=1
exit $bad
