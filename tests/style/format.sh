#!/bin/sh
# clang-format has nothing to change (`make format` changes it).
set -eu
find common fcgi tests -name '*.[ch]' -print0 | sort -z | xargs -0 clang-format --dry-run -Werror
echo "clang-format: nothing to change"
