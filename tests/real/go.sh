# For the scripts beside it: builds a Go program once, into target/real, and prints its path. Exit code 77 with a line when it
# cannot be built.
#   go_program NAME FOLDER PACKAGE

skip() {
    echo "skipped: $1"
    exit 77
}

go_program() {
    local name=$1 folder=$2 package=$3
    local root real
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    real=${CARGO_TARGET_DIR:-$root/target}/real
    mkdir -p "$real"
    command -v go >/dev/null || skip "no Go, which builds $name: install Go 1.25 or newer"
    (
        # Two tests may come at once.
        flock 9
        if [ ! -x "$real/$name" ] || [ -n "$(find "$root/tests/real/$folder" -newer "$real/$name" -type f)" ]; then
            rm -rf "$real/$name.src"
            cp -r "$root/tests/real/$folder" "$real/$name.src"
            # Sums that are not kept beside it come with the modules.
            (cd "$real/$name.src" && { [ -e go.sum ] || go mod tidy; } && go build -trimpath -ldflags='-s -w' -o "$real/$name" "$package") \
                >"$real/$name.log" 2>&1 || skip "$name could not be built: $(tail -n 1 "$real/$name.log")"
        fi
    ) 9>"$real/$name.lock" || exit $?
    echo "$real/$name"
}
