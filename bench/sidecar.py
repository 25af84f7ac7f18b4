#!/usr/bin/env python3
"""The sidecars of conf/k8s/sidecar as they are shipped, without a cluster: does the collector live within its limits?

The collector runs as an unprivileged user without capabilities, in a control group with the memory and the CPU of the
manifest's limits (version 1 or 2; needs root), beside a writer of RATE lines a second. Afterwards every line must have arrived.

    cargo build --release && python3 bench/sidecar.py --rate 100 --seconds 60
"""

import argparse
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
USER = 65532
TICKS = os.sysconf("SC_CLK_TCK")
LINE = (
    '{"level":"info","message":"order taken","customer":"c-%06d","items":3,"total":41.97,"currency":"EUR",'
    '"path":"/api/v1/orders","took_ms":12.5,"trace":"7d1f0c5ea94b4d2c","n":%d}\n'
)


class Sink(http.server.BaseHTTPRequestHandler):
    """Elasticsearch's bulk API: stores everything and counts."""

    protocol_version = "HTTP/1.1"
    seen = set()
    came = 0

    def do_POST(self):
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()[1::2]
        for line in lines:
            Sink.came += 1
            Sink.seen.add(json.loads(line)["n"])
        item = '{"create":{"_index":"i","_id":"1","status":201}}'
        body = ('{"took":1,"errors":false,"items":[' + ",".join([item] * len(lines)) + "]}").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Group:
    """A control group with the limits, of whichever version there is; without one only the process is measured."""

    def __init__(self, cpu, memory):
        self.paths = []
        name, base = f"collector-sidecar-{os.getpid()}", pathlib.Path("/sys/fs/cgroup")
        try:
            if (base / "cgroup.controllers").exists():
                (base / "cgroup.subtree_control").write_text("+cpu +memory")
                self.make(base / name, {"cpu.max": f"{cpu * 100} 100000", "memory.max": memory, "memory.swap.max": 0})
                self.memory, self.cpu = self.paths[0], self.paths[0]
                self.peak = "memory.peak"
            else:
                self.make(base / "memory" / name, {"memory.limit_in_bytes": memory})
                self.make(base / "cpu" / name, {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": cpu * 100})
                self.memory, self.cpu = self.paths
                self.peak = "memory.max_usage_in_bytes"
        except OSError as e:
            print(f"no control group ({e}): limits are not enforced, only measured")
            self.close()
            self.memory = None

    def make(self, path, files):
        path.mkdir()
        self.paths.append(path)
        for name, value in files.items():
            try:
                (path / name).write_text(str(value))
            except FileNotFoundError:
                # No swap is counted here.
                pass

    def enter(self):
        for path in self.paths:
            (path / "cgroup.procs").write_text(str(os.getpid()))

    def read(self):
        if not self.memory:
            return {}
        stat = dict(line.split() for line in (self.cpu / "cpu.stat").read_text().splitlines())
        events = self.memory / "memory.events"
        if events.exists():
            killed = dict(line.split() for line in events.read_text().splitlines())["oom_kill"]
        else:
            killed = dict(l.split() for l in (self.memory / "memory.oom_control").read_text().splitlines())["oom_kill"]
        return {
            "peak": int((self.memory / self.peak).read_text()),
            "periods": int(stat["nr_periods"]),
            "throttled": int(stat["nr_throttled"]),
            "killed": int(killed),
        }

    def close(self):
        for path in self.paths:
            for _ in range(100):
                try:
                    path.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)
        self.paths = []


def manifest(variant):
    """The configuration, the limits and the mounts, read as text: no YAML library is needed."""
    text = (ROOT / "conf/k8s/sidecar" / f"{variant}.yaml").read_text()
    block = re.search(r"^  fluent-bit\.conf: \|\n((?:    .*\n|\n)+)", text, re.M).group(1)
    conf = re.sub(r"^    ", "", block, flags=re.M)
    sidecar = text[text.index("restartPolicy: Always"):]
    limits = re.search(r"limits:\n +cpu: (\d+)m\n +memory: (\d+)Mi", sidecar)
    return conf, int(limits.group(1)), int(limits.group(2)) << 20


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def write(variant, folder, rate, seconds):
    """The application: one write a line. It comes to the pipe both ways, as the manifest's does."""
    how = os.O_RDWR if variant == "pipe" else os.O_WRONLY | os.O_CREAT | os.O_APPEND
    to = os.open(folder / ("app" if variant == "pipe" else "app.log"), how, 0o644)
    begin, n = time.monotonic(), 0
    while n < rate * seconds:
        n += 1
        os.write(to, (LINE % (n % 1000, n)).encode())
        time.sleep(max(0, begin + n / rate - time.monotonic()))
    return n


def measure(variant, program, args):
    Sink.seen, Sink.came = set(), 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    conf, cpu, memory = manifest(variant)
    root = args.user and os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        logs, state = folder / "logs", folder / "state"
        logs.mkdir()
        state.mkdir()
        shutil.copy(program, folder / "collector")
        # Its pages are to be counted where they are used, not where they were copied.
        with open(folder / "collector", "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if variant == "pipe":
            os.mkfifo(logs / "app", 0o660)
        if root:
            for path in [logs, state, *logs.iterdir()]:
                os.chown(path, USER, USER)
        conf = conf.replace("/var/lib/collector", str(state)).replace("/var/log/app", str(logs)).replace("/run/log", str(logs))
        conf = re.sub(r"HTTP_Port +2020", f"HTTP_Port {server.server_port + 1}", conf)
        (folder / "fluent-bit.conf").write_text(conf)
        env = {
            "ELASTICSEARCH_HOST": "127.0.0.1",
            "ELASTICSEARCH_PORT": str(server.server_port),
            "POD_NAME": "shop-5d9c-x2x8z",
            "POD_NAMESPACE": "shop",
            "NODE_NAME": "node-1",
        }
        group = Group(cpu, memory)
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
        command = (words if root else []) + [str(folder / "collector"), "-c", str(folder / "fluent-bit.conf")]
        log = open(folder / "log", "w")
        run = subprocess.Popen(command, env=env, cwd=folder, stderr=log, stdout=log, preexec_fn=group.enter)
        try:
            time.sleep(2)
            idle_from, begin = cpu_seconds(run.pid), time.monotonic()
            written = write(variant, logs, args.rate, args.seconds)
            busy = cpu_seconds(run.pid) - idle_from
            took = time.monotonic() - begin
            peak, now = status(run.pid, "VmHWM"), status(run.pid, "VmRSS")
            anonymous = status(run.pid, "RssAnon")
            stopping = time.monotonic()
            run.send_signal(signal.SIGTERM)
            code = run.wait(60)
            stopped = time.monotonic() - stopping
            counted = group.read()
        finally:
            run.kill()
            run.wait()
            log.close()
            group.close()
            server.shutdown()
        said = (folder / "log").read_text()
    lost = written - len(Sink.seen)
    print(f"{variant}: limits {cpu}m, {memory >> 20}Mi; {args.rate} lines/s for {took:.0f} s, {len(LINE % (1, 1))} bytes each")
    print(f"  CPU {1000 * busy / took:.1f}m   RSS {now / 1024:.1f} MiB, at most {peak / 1024:.1f}, {anonymous / 1024:.1f} of them its own")
    if counted:
        print(
            f"  control group: at most {counted['peak'] / 1048576:.1f} MiB with page cache, {counted['killed']} kills, "
            f"{counted['throttled']} of {counted['periods']} periods throttled"
        )
    print(f"  lines {written}, stored {len(Sink.seen)}, sent twice {Sink.came - len(Sink.seen)}, lost {lost}; stop {stopped:.2f} s, exit {code}")
    if lost or code or " error]" in said or "[error]" in said:
        print(said)
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100, help="lines a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--variant", action="append", choices=["directory", "pipe"])
    parser.add_argument("--program", default=str(ROOT / "target/release/collector"))
    parser.add_argument("--same-user", dest="user", action="store_false", help="do not change the user")
    args = parser.parse_args()
    good = [measure(variant, args.program, args) for variant in args.variant or ["directory", "pipe"]]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
