#!/usr/bin/env bash
# A real Elasticsearch 7.10.2 on 127.0.0.1 for the tests.
#   tests/real/elasticsearch.sh HOME PORT
# HOME is a new folder for its data, PORT a free one. The distribution is fetched once, into target/real. Prints READY when
# it answers and then stays: it ends with this script's standard input. The word "kill" there kills it at once, "start" starts it
# again on the same data. Exit code 77 with a line when it cannot be had.
set -euo pipefail

home=$1 port=$2 name=Elasticsearch
# shellcheck source=tests/real/common.sh
. "$(dirname "$0")/common.sh"
fetch elasticsearch
server=$real/elasticsearch-7.10.2

cp -r "$server/config" "$home/config"
mkdir -p "$home/data" "$home/logs" "$home/tmp"
cat >>"$home/config/elasticsearch.yml" <<CONF
discovery.type: single-node
http.host: 127.0.0.1
transport.host: 127.0.0.1
http.port: $port
transport.port: 0
path.data: $home/data
path.logs: $home/logs
cluster.routing.allocation.disk.threshold_enabled: false
CONF
# Lines about files under the server's own folder, which is shared.
sed -i -E '/gc\.log|HeapDumpPath|ErrorFile/d' "$home/config/jvm.options"

# It refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod -R a+rX "$server"
    chown -R 65534:65534 "$home"
    if ! "${as[@]}" test -r "$server/bin/elasticsearch" || ! "${as[@]}" test -w "$home/data"; then
        skip "the user nobody cannot reach $server or $home"
    fi
fi

java_home=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
cd "$home"
launch() {
    "${as[@]}" env -i PATH="$PATH" HOME="$home" JAVA_HOME="$java_home" ES_PATH_CONF="$home/config" ES_TMPDIR="$home/tmp" \
        ES_JAVA_OPTS="-Xms512m -Xmx512m" "$server/bin/elasticsearch" >>"$home/out.log" 2>&1 </dev/null &
    pid=$!
}

stay
