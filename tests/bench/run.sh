#!/bin/sh
# `make bench`: all figures that are looked at by hand.
set -u
exec sh "$(dirname "$0")/streams.sh"
