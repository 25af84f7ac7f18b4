#!/usr/bin/env bash
# Helm 3.18 (some five minutes and 110 MB), for the tests of the chart: prints the path of the program.
set -euo pipefail
. "$(dirname "$0")/go.sh"
go_program helm helm helm.sh/helm/v3/cmd/helm
