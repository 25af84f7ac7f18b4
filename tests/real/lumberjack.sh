#!/usr/bin/env bash
# The server and clients of go-lumber, for the tests: prints the path of the program.
set -euo pipefail
. "$(dirname "$0")/go.sh"
go_program lumberjack lumberjack .
