# What the scripts of real servers share; sourced after HOME and PORT are set as home and port, and NAME as name.

root=$(cd "$(dirname "$0")/../.." && pwd)
real=${CARGO_TARGET_DIR:-$root/target}/real

skip() {
    echo "skipped: $1"
    exit 77
}

# fetch FILE: has Maven unpack into target/real, once, what tests/real/FILE.pom.xml names.
fetch() {
    command -v java >/dev/null || skip "no JDK: scripts/setup.sh test installs one"
    mkdir -p "$real" "$home"
    (
        # Two tests may come at once.
        flock 9
        if [ ! -e "$real/$1.ready" ]; then
            command -v mvn >/dev/null || skip "no Maven: scripts/setup.sh test installs it"
            mvn -q -B -f "$root/tests/real/$1.pom.xml" -Dreal.dir="$real" package >"$real/$1.log" 2>&1 ||
                skip "$name could not be fetched: $(tail -n 1 "$real/$1.log")"
            touch "$real/$1.ready"
        fi
    ) 9>"$real/lock" || exit $?
}

# Waits until the server, which launch made process $pid, listens.
ready() {
    for _ in $(seq 1 1200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo READY
            return
        fi
        kill -0 "$pid" 2>/dev/null || { echo "$name died: $(tail -n 3 "$home/out.log")"; exit 1; }
        sleep 0.25
    done
    echo "$name did not start in five minutes"
    exit 1
}

# Runs the server (by launch) until the test lets go of the standard input; other words than "kill" and "start" go to
# obey; leave is called at the end.
stay() {
    launch
    trap 'kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; leave; rm -rf "$home"' EXIT
    ready
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
            *) obey "$word" "$rest" ;;
        esac
    done
}

obey() {
    :
}

leave() {
    :
}
