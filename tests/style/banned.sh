#!/bin/sh
# Calls that have no place in this program, and what to use instead. Comments and strings do not count.
set -eu

find common fcgi \( -name '*.c' -o -name '*.h' \) | sort | while read -r file; do
    awk -v file="$file" '
    {
        line = $0
        gsub(/\\./, "", line)
        gsub(/"[^"]*"/, "\"\"", line)
        if (inside) { if (!sub(/^.*\*\//, "", line)) next; inside = 0 }
        gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
        if (sub(/\/\*.*$/, "", line)) inside = 1
        sub(/\/\/.*$/, "", line)
        print file ":" NR ":" line
    }' "$file"
done | awk '
BEGIN {
    use["strcpy"] = use["strcat"] = use["strncpy"] = use["strncat"] = "text_copy or buf"
    use["sprintf"] = use["vsprintf"] = "snprintf or buf_putf"
    use["gets"] = "fgets"
    use["strtok"] = "strtok_r"
    use["atoi"] = use["atol"] = use["atoll"] = use["atof"] = "strtol and its kin, which can say no"
    use["system"] = use["popen"] = "nothing: no shell"
    use["mktemp"] = use["tmpnam"] = use["tempnam"] = "mkstemp"
    use["alloca"] = "the heap, with a cap"
    use["rand"] = use["srand"] = use["random"] = "id_random"
    use["gmtime"] = use["localtime"] = use["ctime"] = use["asctime"] = "the _r form, or clock"
    use["select"] = "poll: descriptors go beyond 1023"
    use["FCGX_OpenSocket"] = "listen_open: that one exits the process"
    use["setjmp"] = use["longjmp"] = "a result"
}
{
    rest = $0
    sub(/^[^:]*:[0-9]*:/, "", rest)
    where = substr($0, 1, length($0) - length(rest))
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        name = substr(rest, RSTART, RLENGTH - 1)
        before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : ""
        sub(/[ \t]+$/, "", name)
        if (name in use && before != "." && before != ">") {
            print where " " name "() is banned; use " use[name]
            bad = 1
        }
        rest = substr(rest, RSTART + RLENGTH)
    }
    lines++
}
END {
    if (lines == 0) { print "no code was found"; exit 1 }
    if (bad) exit 1
    print lines " lines without a banned call"
}'
