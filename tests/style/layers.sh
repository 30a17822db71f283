#!/bin/sh
# Who includes whom. A file may include what stands in its own or a lower layer; some headers of libraries
# have only a few files that may know them. To add a layer: one line in layer_of().
set -eu

find common fcgi \( -name '*.c' -o -name '*.h' \) -print | sort |
xargs grep -HnE '^[[:space:]]*#[[:space:]]*include' |
awk '
function layer_of(path) {
    if (path ~ /^common\/base\//)      return 1
    if (path ~ /^common\/config/)      return 2
    if (path ~ /^common\/chat\//)      return 3
    if (path ~ /^common\/dialects\//)  return 4
    if (path ~ /^common\/providers\//) return 5
    if (path ~ /^common\/(relay|breaker)/) return 6
    if (path ~ /^common\/store\//)     return 7
    if (path ~ /^common\/limits\//)    return 8
    if (path ~ /^common\/memory\//)    return 9
    if (path ~ /^common\/tools\//)     return 9.3
    if (path ~ /^common\/responses\//) return 9.6
    if (path ~ /^common\/(answers|models)/) return 10
    if (path ~ /^fcgi\/(app|version)\.h$/) return 11
    if (path ~ /^fcgi\/process\//)     return 12
    if (path ~ /^fcgi\/http\//)        return 13
    if (path ~ /^fcgi\/endpoints\//)   return 14
    if (path ~ /^fcgi\/[a-z_]+\.[ch]$/) return 15
    return 0
}
function breach(why) {
    printf "%s:%s: includes %s: %s\n", file, line, what, why
    bad = 1
}
function only(header, files, why) {
    if (what == header && file !~ files)
        breach(why)
}
{
    split($0, part, ":")
    file = part[1]; line = part[2]
    if (!match($0, /[<"][^>"]+[>"]/))
        next
    what = substr($0, RSTART + 1, RLENGTH - 2)
    ours = substr($0, RSTART, 1) == "\""
    from = layer_of(file)
    if (from == 0) {
        printf "%s: belongs to no layer\n", file
        bad = 1
    }
    only("curl/curl.h", "^common/relay", "only the relay knows curl")
    only("sqlite3.h", "^common/store/", "only the store knows SQLite")
    only("hiredis/hiredis.h", "^common/limits/", "only the limits know Redis")
    only("fcgiapp.h", "^fcgi/http/(transport_fcgi|server)", "only the FastCGI transport knows libfcgi")
    if (what == "uv.h" && from < 6)
        breach("this layer does no I/O")
    if (!ours)
        next
    seen++
    to = layer_of(what)
    if (to == 0)
        breach("no such layer; write the path from the root of the repository")
    else if (file == "fcgi/http/routes.c" && to == 14)
        next # the table of endpoints
    else if (from == 5 && to == 4)
        breach("providers and dialects meet only in chat/stream.h")
    else if (from == 13 && to == 12)
        breach("HTTP knows nothing of processes")
    else if (to > from)
        breach("a lower layer includes a higher one")
}
END {
    if (seen == 0) { print "no includes were found"; exit 1 }
    if (bad) exit 1
    printf "%d includes, all downwards\n", seen
}'
