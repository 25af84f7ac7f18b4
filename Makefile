# Thin: each target calls cargo or one script.
#   make run      build the program, then run it on the shipped sample until Ctrl-C
#   make test     all tests
#   make features builds with none, each and all of the cargo features: some half an hour
#   make faults   kills, rotations, broken destinations at full scale: some 15 minutes; FAULTS=rename,kill runs a part
#   make live     packets at 50,000 a second and at the highest rate there is, between two network namespaces; as root
#   make beats    a real Filebeat and a real Packetbeat send to the beats input: builds both with Go, some ten minutes at first
#   make chart    the Helm chart against the plain manifests: builds Helm with Go where there is none, some five minutes at first
#   make kubernetes   a real kube-apiserver, etcd and Elasticsearch around a node's logs: builds the former two with Go, some ten
#                     minutes at first, then some twenty; KUBERNETES_PODS=20 KUBERNETES_MB=1 makes it small; as root
#   make layout   writes link/startup.ld anew: which functions stand side by side
#   make bench    speed and memory; SIZE=8 makes a small, quick check of completeness
#   make instructions  what a record costs in instructions, against bench/instructions.tsv; BLESS=--bless writes that
#   make cross    static programs for other processors, with packages to install, in target/dist; TARGET=aarch64-unknown-linux-musl
#                 builds one, SET=tiny the smallest program
#   make packages tries the packages out: what was built for this machine is installed, upgraded, removed; as root
#   make boards   all tests on the programs of target/dist, under emulators, and a board that installs the package of aarch64 and loses its power:
#                 some ten minutes a program; TARGET=armv7-unknown-linux-musleabihf, limits or boot is a part of it; KERNEL=linux-image-6.12-arm64-16k
#                 boots another kernel; as root
#   make image    the container image of them all, and its tests; PROCESSORS="amd64 arm64" takes some

SIZE ?= 512
REPEATS ?= 3
PROFILE ?= release
PROCESSORS ?= amd64 arm64 armv7 armv6

.PHONY: run test features faults live beats layout bench instructions cross boards image docs bless fuzz clean chart kubernetes packages

run:
	scripts/setup.sh build
	cargo build --release
	cp -f "$${CARGO_TARGET_DIR:-target}/release/collector" ./collector
	./collector -c fluent-bit.conf

test:
	scripts/setup.sh test
	cargo test

features:
	scripts/features.sh

# Writes docs/faults.md.
faults:
	scripts/setup.sh test
	cargo build --release
	COLLECTOR_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}/release/collector")" \
	    cargo test --test it -- --ignored --exact --nocapture faults::at_full_scale

live:
	scripts/setup.sh test
	cargo build --release
	COLLECTOR_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}/release/collector")" \
	    cargo test --test it -- --ignored --exact --nocapture live::rates::at_full_rate

beats:
	scripts/setup.sh test
	cargo test --test it -- --ignored --nocapture beats::real::

chart:
	command -v helm >/dev/null || tests/real/helm.sh
	cargo test --test it -- --nocapture k8s::chart::
kubernetes:
	scripts/setup.sh test
	cargo build --release
	COLLECTOR_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}/release/collector")" \
	    cargo test --test it -- --ignored --nocapture --test-threads 1 kube::real::

layout:
	scripts/setup.sh bench
	CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --bin collector
	python3 scripts/layout.py "$${CARGO_TARGET_DIR:-target}/release/collector"

bench:
	scripts/setup.sh bench
	cargo build --profile $(PROFILE) --bin collector --examples
	python3 bench/run.py --size $(SIZE) --repeats $(REPEATS) --profile $(PROFILE)

instructions:
	scripts/setup.sh bench
	python3 bench/instructions.py $(BLESS)

cross:
	CROSS_SET="$(SET)" cross/build.sh $(TARGET)

packages:
	COLLECTOR_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}"/dist/collector-*[0-9]-x86_64-unknown-linux-musl)" \
	    cargo test --test it -- --nocapture packages::

boards:
	scripts/setup.sh test
	cross/boards.sh $(TARGET)

image:
	cross/image.sh $(PROCESSORS)

# Rewrites what tests compare with: golden files and docs/plugins.md.
bless:
	BLESS=1 cargo test --test it

# One fuzz target for a minute: make fuzz TARGET=ini
fuzz:
	cargo +nightly fuzz run $(TARGET) -- -max_total_time=60

clean:
	cargo clean
	rm -rf collector data
