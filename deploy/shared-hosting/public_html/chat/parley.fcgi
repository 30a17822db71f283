#!/bin/sh
# Starts Parley, which lies outside the web root (two directories up, in parley/) with its .env beside it. Edit the
# path if yours is elsewhere. This file must be executable: chmod 755.
umask 077
cd "$(dirname "$0")/../../parley" || exit 1
exec ./parley
