#!/usr/bin/env bash
# A real Kafka 3.9.1 broker (KRaft) on 127.0.0.1 for the tests.
#   tests/real/kafka.sh HOME PORT
# HOME is a folder for its data, PORT and PORT+1 (the controller's) are free. HOME/extra.properties, when it is there, is
# added to the broker's properties, HOME/scram holds arguments for the storage tool, a line each. The jar files are fetched once,
# into target/real. Prints "READY" when it listens and then stays: it ends with this script's standard input. The word "kill"
# there kills it at once, "start" starts it again on the same data; "tool CLASS ARGS…" runs one of Kafka's command line tools, its
# output goes to HOME/tool.out. Exit code 77 with a line when it cannot be had.
set -euo pipefail

home=$1 port=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
real=${CARGO_TARGET_DIR:-$root/target}/real

skip() {
    echo "skipped: $1"
    exit 77
}

command -v java >/dev/null || skip "no JDK: scripts/setup.sh test installs one"
mkdir -p "$real" "$home"
(
    # Two tests may come at once.
    flock 9
    if [ ! -e "$real/kafka.ready" ]; then
        command -v mvn >/dev/null || skip "no Maven: scripts/setup.sh test installs it"
        mvn -q -B -f "$root/tests/real/kafka.pom.xml" -Dreal.dir="$real" package >"$real/kafka.log" 2>&1 ||
            skip "Kafka could not be fetched: $(tail -n 1 "$real/kafka.log")"
        touch "$real/kafka.ready"
    fi
) 9>"$real/lock" || exit $?

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

ready() {
    for _ in $(seq 1 480); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo READY
            return
        fi
        kill -0 "$pid" 2>/dev/null || { echo "Kafka died: $(tail -n 3 "$home/out.log")"; exit 1; }
        sleep 0.25
    done
    echo "Kafka did not start in two minutes"
    exit 1
}

launch
trap 'kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$home"' EXIT
ready
# Until the test lets go.
while read -r word rest; do
    case $word in
        kill)
            kill -9 "$pid"
            wait "$pid" 2>/dev/null || true
            echo DEAD
            ;;
        start)
            launch
            ready
            ;;
        tool)
            # shellcheck disable=SC2086  # words are separated by spaces
            if "${jvm[@]}" $rest >"$home/tool.out" 2>"$home/tool.err" </dev/null; then echo DONE; else echo FAILED; fi
            ;;
    esac
done
