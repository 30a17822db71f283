#!/bin/sh
# `make style`: every check, each by its own script; says at the end which failed.
set -u
cd "$(dirname "$0")/../.."

failed=""
for check in layers lengths banned format cppcheck hygiene documents; do
    echo "--- style: $check"
    sh "tests/style/$check.sh" || failed="$failed $check"
done

if [ -n "$failed" ]; then
    echo "style FAILED:$failed" >&2
    exit 1
fi
echo "style: every check passed"
