#!/bin/sh
# What must not be in the repository: unfinished work, paths of the machine it was written on, hosts of a
# package registry in lock files, skipped tests, shell scripts that do not parse, packages without exact version.
set -u
bad=0

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    files=$(git ls-files --cached --others --exclude-standard | sort -u)
else
    files=$(find . -type f -not -path './build/*' -not -path './node_modules/*' -not -path './var/*' | sed 's|^\./||')
fi
files=$(for file in $files; do [ ! -f "$file" ] || echo "$file"; done)
sources=$(printf '%s\n' "$files" | grep -vE '^(package-lock\.json|tests/style/)')

complain()
{
    if [ -n "$2" ]; then
        echo "$1:"
        printf '%s\n' "$2" | cut -c1-160 | head -n 20
        bad=1
    fi
}

# shellcheck disable=SC2086 -- a list of paths without spaces
{
    complain "words of unfinished work" \
        "$(grep -nEI '\b(TODO|FIXME|HACK)\b' $sources)"
    complain "paths of this machine" \
        "$(grep -nFI -e "$PWD/" -e '/root/' -e '/Users/' $sources)"
    complain "a package registry in a lock file" \
        "$(grep -nE '"resolved": *"http' package-lock.json 2>/dev/null)"
    complain "packages without an exact version" \
        "$(sed -n '/[dD]ependencies"/,/}/p' package.json | grep -nE ': *"[^0-9"]')"
    complain "tests that are skipped or assert nothing" \
        "$(printf '%s\n' "$sources" | grep '^tests/' |
            xargs grep -nEI '\b(it|test|describe)\.(skip|todo|only)\(|[^_]skip\(\)|assert\(true\)|assert_true\(1\)')"
}

for script in $(printf '%s\n' "$files" | grep -E '\.sh$|^\.ci/run$'); do
    sh -n "$script" || bad=1
done

[ $bad -eq 0 ] && echo "$(printf '%s\n' "$files" | wc -l) files are clean"
exit $bad
