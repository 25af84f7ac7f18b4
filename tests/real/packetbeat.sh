#!/usr/bin/env bash
# A real Packetbeat 7.17.29 (some five minutes and 100 MB), for the tests: prints the path of the program.
set -euo pipefail
. "$(dirname "$0")/go.sh"
go_program packetbeat beats ./packetbeat
