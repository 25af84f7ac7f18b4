#!/usr/bin/env bash
# A real Kafka 3.9.1 broker (KRaft) on 127.0.0.1 for the tests.
#   tests/real/kafka.sh HOME PORT
# HOME is a folder for its data, PORT and PORT+1 (the controller's) are free. HOME/extra.properties, when it is there, is
# added to the broker's properties, HOME/scram holds arguments for the storage tool, a line each. The jar files are fetched once,
# into target/real. Prints "READY" when it listens and then stays: it ends with this script's standard input. The word "kill"
# there kills it at once, "start" starts it again on the same data; "tool CLASS ARGS…" runs one of Kafka's command line tools, its
# output goes to HOME/tool.out. Exit code 77 with a line when it cannot be had.
set -euo pipefail

home=$1 port=$2 name=Kafka
# shellcheck source=tests/real/common.sh
. "$(dirname "$0")/common.sh"
fetch kafka

cat >"$home/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$home/log
num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
CONF
[ ! -e "$home/extra.properties" ] || cat "$home/extra.properties" >>"$home/server.properties"
scram=()
[ ! -e "$home/scram" ] || mapfile -t scram <"$home/scram"

jvm=(java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$real/kafka/*")
"${jvm[@]}" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$home/server.properties" "${scram[@]}" >"$home/format.log" 2>&1 || {
    echo "Kafka's folder could not be made: $(grep -m 3 -v "^log4j\|SLF4J" "$home/format.log")"
    exit 1
}

launch() {
    "${jvm[@]}" kafka.Kafka "$home/server.properties" >>"$home/out.log" 2>&1 </dev/null &
    pid=$!
}

obey() {
    [ "$1" = tool ] || return 0
    # shellcheck disable=SC2086  # words are separated by spaces
    if "${jvm[@]}" $2 >"$home/tool.out" 2>"$home/tool.err" </dev/null; then echo DONE; else echo FAILED; fi
}

stay
