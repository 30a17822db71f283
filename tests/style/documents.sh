#!/bin/sh
# The generated documents are what the program prints, and links between documents lead somewhere.
set -u
bad=0
program=build/parley

same()
{
    if ! "$program" "$1" | cmp -s - "$2"; then
        echo "$2 is not what '$program $1' prints: run 'make docs'"
        bad=1
    fi
}
same print-config-docs docs/CONFIGURATION.md
same print-env-example .env.example

for page in README.md docs/*.md; do
    for target in $(grep -oE '\]\([^)#:]+[)#]' "$page" | sed -E 's/^\]\(//; s/[)#]$//'); do
        if [ ! -e "$(dirname "$page")/$target" ]; then
            echo "$page: the link to $target leads nowhere"
            bad=1
        fi
    done
done

[ $bad -eq 0 ] && echo "documents are up to date"
exit $bad
