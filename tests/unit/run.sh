#!/bin/sh
# Run unit-test programs one after the other; say at the end which failed. cmocka prints its own result lines.
set -u
[ $# -gt 0 ] || { echo "no unit tests were given" >&2; exit 1; }

export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

failed=""
for program in "$@"; do
    echo "--- $program"
    timeout 120 "$program" 2>&1
    status=$?
    [ $status -eq 0 ] || failed="$failed $program(exit $status)"
done

if [ -n "$failed" ]; then
    echo "unit tests FAILED:$failed" >&2
    exit 1
fi
echo "unit tests: $# programs passed"
