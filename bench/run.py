#!/usr/bin/env python3
"""Runs the collector on large files and prints a table: cost against md5sum, lines per second, memory, completeness.

The cost of a case is the CPU time (user + system, of all threads) of the whole process, divided by that of md5sum on the
same file in the same run. Each case is repeated; the median counts. A case whose records are not all accounted for fails.
"""

import argparse
import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

import beats

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Cost against md5sum that is not to be exceeded.
BARS = {"null": 0.3, "nginx": 1.3, "docker": 1.0, "cri": 1.3, "file": 2.0, "es": 2.2, "es_disk": 2.64, "http_out": 2.2,
        "http_in": 2.0, "http_array": 2.0, "beats": 2.5, "kubernetes": 1.8, "forward_in": 1.0, "tcp_in": 1.0, "forward_out": 1.0, "kafka": 2.2}
PEAK_MIB = 32
IDLE_MIB = 5
BINARY_MIB = 7

SERVICE = "[SERVICE]\n    Flush 1\n    Log_Level info\n"
TAIL = "[INPUT]\n    Name tail\n    Path {file}\n    Read_from_Head on\n    Exit_On_Eof on\n"
NULL = "[OUTPUT]\n    Name null\n    Match *\n"
CRI = """[FILTER]
    Name grep
    Match *
    Exclude message /healthz
[FILTER]
    Name modify
    Match *
    Rename message log
    Remove logtag
    Set cluster bench
"""
ES = "[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {port}\n"
HTTP = ES.replace("Name es", "Name http") + "    URI /lines\n    Format json_lines\n"
KAFKA = "[OUTPUT]\n    Name kafka\n    Match *\n    Brokers 127.0.0.1:{port}\n    Topics bench\n"
CASES = [
    ("null", "tail → null", "nginx", TAIL + NULL),
    ("nginx", "tail, parser nginx → null", "nginx", TAIL + "    Parser nginx\n" + NULL),
    ("docker", "tail, parser docker → null", "docker", TAIL + "    Parser docker\n" + NULL),
    ("cri", "tail, parser cri, grep, modify → null", "cri", TAIL + "    Parser cri\n" + CRI + NULL),
    ("file", "tail, parser nginx → file (JSON lines)", "nginx",
     TAIL + "    Parser nginx\n[OUTPUT]\n    Name file\n    Match *\n    Path {dir}\n    File out\n    Format json_lines\n"),
    ("es", "tail, parser nginx → es (counting server)", "nginx", TAIL + "    Parser nginx\n" + ES),
    ("es_disk", "the same with storage.type filesystem", "nginx",
     "    storage.path chunks\n" + TAIL + "    Parser nginx\n    DB tail.db\n    storage.type filesystem\n" + ES),
    ("http_out", "tail, parser nginx → http (JSON lines, counting server)", "nginx", TAIL + "    Parser nginx\n" + HTTP),
    ("kafka", "tail, parser nginx → kafka (counting broker)", "nginx", TAIL + "    Parser nginx\n" + KAFKA),
]
# Those with the counting server.
SERVED = ("es", "es_disk", "http_out", "kafka")

# Metadata comes from a file: there is no cluster here. The text of each line is JSON.
CONTAINER = "0123456789abcdef" * 4
POD = {
    "metadata": {
        "uid": "7d0f4c1e-6a55-4c35-9d40-0d8e3d1f0a11",
        "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "web", "pod-template-hash": "6d4cf56db6", "team": "sales"},
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9102"},
    },
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "10.42.0.17", "containerStatuses": [{
        "name": "app", "image": "docker.io/library/shop:1.4", "imageID": "docker.io/library/shop@sha256:" + CONTAINER,
        "containerID": "containerd://" + CONTAINER}]},
}
KUBERNETES = "    Multiline.Parser cri\n    Tag kube.var.log.containers.web_shop_app-" + CONTAINER + """.log
[FILTER]
    Name kubernetes
    Match kube.*
    Merge_Log on
    Kube_Meta_Preload_Cache_Dir {dir}
"""
CASES += [("kubernetes", "tail (cri), kubernetes with Merge_Log → null", "cri_json", TAIL + KUBERNETES + NULL)]

# Bodies that are posted by this program, as long as Buffer_Max_Size allows; its own time does not count.
HTTP_IN = "[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n" + NULL
CASES += [
    ("http_in", "http (4 MB bodies of JSON lines) → null", "docker", HTTP_IN),
    ("http_array", "http (4 MB arrays) → null", "docker", HTTP_IN),
    ("beats", "beats (windows of 2,048, not packed) → null", "docker", HTTP_IN.replace("http", "beats")),
]
DRIVEN = ("http_in", "http_array", "beats")
LISTEN = "[INPUT]\n    Name {name}\n    Listen 127.0.0.1\n    Port {port}\n"
NET_CASES = [
    ("forward_in", "forward (PackedForward) → null", LISTEN + NULL),
    ("tcp_in", "tcp (the same lines) → null", LISTEN + "    Format none\n" + NULL),
    ("forward_out", "tail → forward (Forward)", TAIL + "[OUTPUT]\n    Name forward\n    Match *\n    Host 127.0.0.1\n    Port {port}\n"),
]

# Captures: packets a CPU second that are to be reached. 100,000 flows at once are to fit into PACKET_PEAK_MIB.
PACKET_BARS = {"http": 1_100_000, "dns": 500_000, "mix": 500_000, "flows": None}
PACKET_PEAK_MIB = {"flows": 64}
PACKET_CASES = [
    ("http", "web traffic"),
    ("dns", "DNS"),
    ("flows", "100,000 connections at once"),
    ("mix", "the sample captures, again and again"),
]
PCAP = "[INPUT]\n    Name pcap\n    Tag <protocol>\n    File {file}\n"
PACKET_NULLS = "".join(f"[OUTPUT]\n    Name null\n    Match {tag}\n" for tag in ("http", "dns", "flow"))


def main():
    args = arguments()
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    built = os.path.join(target, "debug" if args.profile == "dev" else args.profile)
    binary = os.path.abspath(args.binary or os.path.join(built, "collector"))
    work = os.path.join(target, "bench")
    os.makedirs(work, exist_ok=True)
    gen, sink = (os.path.join(built, "examples", name) for name in ("bench-gen", "bench-sink"))
    rows, failed = [], False
    for case, title, shape, conf in CASES:
        if args.case and case not in args.case:
            continue
        facts = generate(gen, shape, args.size, work)
        row = measure(case, conf, facts, binary, sink, work, args.repeats)
        failed |= bool(row["wrong"])
        rows.append((case, title, row))
    for case, title, conf in NET_CASES:
        if args.case and case not in args.case:
            continue
        facts = generate(gen, "nginx", args.size, work)
        row = measure_net(case, conf, facts, binary, work, args.repeats)
        failed |= bool(row["wrong"])
        rows.append((case, title, row))
    packet_rows = []
    for case, title in PACKET_CASES:
        if args.case and case not in args.case:
            continue
        if case == "mix" and not os.path.isdir(os.path.join(ROOT, "../shared/data/pcap")):
            print("mix is left out: there are no sample captures beside the project")
            continue
        facts = generate(gen, case, args.packet_size, work)
        row = measure_packets(case, facts, binary, work, args.repeats)
        failed |= bool(row["wrong"])
        packet_rows.append((case, title, row))
    if rows:
        print_table(rows, args, binary)
    if packet_rows:
        print_packets(packet_rows, args)
    idle(binary, work)
    return 1 if failed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="size of each file in MiB")
    parser.add_argument("--packet-size", type=int, help="size of each capture in MiB; that of the files, 256 at most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", default="release", help="the cargo profile that was built")
    parser.add_argument("--binary", help="another program than that of the profile")
    parser.add_argument("--case", action="append", help="only this case; may be repeated: " + ", ".join([*BARS, *PACKET_BARS]))
    args = parser.parse_args()
    args.packet_size = args.packet_size or min(args.size, 256)
    return args


def generate(gen, shape, size, work):
    """A file of this shape; kept for the next run, made anew when the generator is newer."""
    path = os.path.join(work, f"{shape}-{size}.log")
    facts = path + ".facts"
    if not os.path.exists(facts) or os.path.getmtime(facts) < os.path.getmtime(gen):
        told = subprocess.run([gen, shape, str(size), path], check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(facts, "w") as out:
            out.write(told)
    with open(facts) as told:
        lines, size_bytes, *rest = map(int, told.read().split())
    names = ("kept",) if len(rest) == 1 else ("transactions", "flows")
    return {"path": path, "lines": lines, "bytes": size_bytes, **dict(zip(names, rest))}


def measure(case, conf, facts, binary, sink, work, repeats):
    ratios, cpus, walls, peaks, wrong = [], [], [], [], ""
    for _ in range(repeats):
        box = os.path.join(work, "run")
        shutil.rmtree(box, ignore_errors=True)
        os.makedirs(box)
        # Both read from memory, not from the disk.
        warm(facts["path"])
        md5, _, _, _ = timed(["md5sum", facts["path"]], box)
        server, port = start_sink(sink, box) if case in SERVED else (None, 0)
        drive = None
        if case in DRIVEN:
            port = free_port()
            drive = threading.Thread(target=post, args=(facts["path"], port, case == "http_array"))
            if case == "beats":
                drive = threading.Thread(target=beats.send, args=(facts["path"], port))
        with open(os.path.join(box, "shop_web.meta"), "w") as out:
            json.dump(POD, out)
        text = SERVICE + conf.format(file=facts["path"], dir=box, port=port)
        with open(os.path.join(box, "bench.conf"), "w") as out:
            out.write(text)
        try:
            cpu, wall, peak, code = timed([binary, "-c", "bench.conf"], box, drive)
            wrong = wrong or check(case, facts, box, port, code)
        finally:
            if server:
                server.kill()
                server.wait()
        ratios.append(cpu / md5)
        cpus.append(cpu)
        walls.append(wall)
        peaks.append(peak)
    shutil.rmtree(box, ignore_errors=True)
    wall = statistics.median(walls)
    return {"ratio": statistics.median(ratios), "cpu": statistics.median(cpus), "rate": facts["lines"] / wall,
            "mib": facts["bytes"] / wall / 2**20, "peak": max(peaks), "lines": facts["lines"], "wrong": wrong}


def measure_net(case, conf, facts, binary, work, repeats):
    """Cases with a peer: a thread of this process, whose time is not counted."""
    ratios, cpus, walls, peaks, wrong = [], [], [], [], ""
    source = packed(facts, work) if case == "forward_in" else facts["path"]
    for _ in range(repeats):
        box = os.path.join(work, "run")
        shutil.rmtree(box, ignore_errors=True)
        os.makedirs(box)
        warm(source)
        md5, _, _, _ = timed(["md5sum", facts["path"]], box)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if case == "forward_out":
            peer = threading.Thread(target=discard, args=(listener,), daemon=True)
        else:
            listener.close()
            peer = threading.Thread(target=feed, args=(port, source, case == "forward_in"), daemon=True)
        with open(os.path.join(box, "bench.conf"), "w") as out:
            out.write(SERVICE + conf.format(name=case.split("_")[0], file=facts["path"], port=port))
        if case == "forward_out":
            peer.start()
        cpu, wall, peak, code = timed([binary, "-c", "bench.conf"], box, None if case == "forward_out" else peer)
        with open(os.path.join(box, "stderr")) as log:
            said = log.read()
        got = number(r"output (?:null|forward)\.0: (\d+) records", said)
        if code != 0 or got != facts["lines"]:
            wrong = wrong or f"exit code {code}, {got} of {facts['lines']} records\n{said}"
        ratios.append(cpu / md5)
        cpus.append(cpu)
        walls.append(wall)
        peaks.append(peak)
    wall = statistics.median(walls)
    return {"ratio": statistics.median(ratios), "cpu": statistics.median(cpus), "rate": facts["lines"] / wall,
            "mib": facts["bytes"] / wall / 2**20, "peak": max(peaks), "lines": facts["lines"], "wrong": wrong}


def packed(facts, work):
    """The lines as messages of half a megabyte in mode PackedForward; the last one asks to be acknowledged."""
    path = os.path.join(work, os.path.basename(facts["path"]) + ".forward")
    if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(facts["path"]):
        return path
    with open(facts["path"], "rb") as lines, open(path, "wb") as out:
        events = bytearray()
        for n, line in enumerate(lines):
            text = line.rstrip(b"\n")
            events += b"\x92\xd7\x00" + struct.pack(">II", 1_700_000_000 + n // 1000, n % 1000)
            events += b"\x81\xa3log\xda" + struct.pack(">H", len(text)) + text
            if len(events) > 1 << 19:
                out.write(b"\x92\xa5bench\xc6" + struct.pack(">I", len(events)) + events)
                events.clear()
        out.write(b"\x93\xa5bench\xc6" + struct.pack(">I", len(events)) + events + b"\x81\xa5chunk\xa4last")
    return path


def feed(port, path, acknowledged):
    end = time.monotonic() + 30
    while True:
        try:
            peer = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    with peer, open(path, "rb") as data:
        peer.sendfile(data)
        if acknowledged:
            peer.recv(100)
        else:
            peer.shutdown(socket.SHUT_WR)
            peer.recv(1)


def discard(listener):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=lambda: [None for _ in iter(lambda: peer.recv(1 << 20), b"")], daemon=True).start()


def measure_packets(case, facts, binary, work, repeats):
    cpus, walls, peaks, wrong, documents = [], [], [], "", 0
    for _ in range(repeats):
        box = os.path.join(work, "run")
        shutil.rmtree(box, ignore_errors=True)
        os.makedirs(box)
        warm(facts["path"])
        outputs = NULL if case == "mix" else PACKET_NULLS
        with open(os.path.join(box, "bench.conf"), "w") as out:
            out.write(SERVICE + PCAP.format(file=facts["path"]) + outputs)
        cpu, wall, peak, code = timed([binary, "-c", "bench.conf"], box)
        found, documents = check_packets(case, facts, box, code)
        wrong = wrong or found
        cpus.append(cpu)
        walls.append(wall)
        peaks.append(peak)
    shutil.rmtree(box, ignore_errors=True)
    cpu, wall = statistics.median(cpus), statistics.median(walls)
    return {"cpu": cpu, "rate": facts["lines"] / cpu, "mib": facts["bytes"] / wall / 2**20, "peak": max(peaks),
            "packets": facts["lines"], "documents": documents, "wrong": wrong}


def check_packets(case, facts, box, code):
    """What is missing, in words, and the number of documents."""
    with open(os.path.join(box, "stderr")) as log:
        said = log.read()
    if code != 0:
        return f"exit code {code}\n{said}", 0
    packets = number(r"was read: (\d+) packets", said)
    if packets != facts["lines"]:
        return f"{packets} of {facts['lines']} packets read\n{said}", 0
    http, dns, flow = (number(rf"output null\.{n}: (\d+) records", said) for n in range(3))
    if case == "mix":
        return "", http
    got = dns if case == "dns" else http
    if got != facts["transactions"]:
        return f"{got} of {facts['transactions']} transactions\n{said}", got
    # A connection that goes on has more than one record.
    if flow < facts["flows"]:
        return f"{flow} records of {facts['flows']} flows\n{said}", got
    return "", got + flow


def warm(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def post(path, port, as_array):
    """Posts a file of JSON lines; each body is taken before the next is sent."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.01)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json" if as_array else "application/x-ndjson"}
    with open(path, "rb") as file:
        while lines := file.readlines(4_000_000):
            body = b"[" + b",".join(lines) + b"]" if as_array else b"".join(lines)
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 201:
                raise SystemExit(f"bench: a body was answered with {answer.status}")


def timed(command, box, drive=None):
    """CPU seconds of the whole process, wall seconds, peak memory in MiB, exit code."""
    with open(os.path.join(box, "stderr"), "w") as err:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=box, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
    if drive:
        drive.start()
    # ru_maxrss would count what this process held when it was forked: the kernel's mark of the program itself is asked for.
    peak = 0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, memory(child.pid, "VmHWM"))
        if drive and not drive.is_alive():
            child.send_signal(signal.SIGTERM)
            drive = None
        time.sleep(0.02)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, wall, peak, child.returncode


def memory(pid, field):
    try:
        with open(f"/proc/{pid}/status") as status:
            found = re.search(rf"{field}:\s+(\d+) kB", status.read())
    except OSError:
        return 0
    return int(found.group(1)) / 1024 if found else 0


def start_sink(sink, box):
    path = os.path.join(box, "port")
    server = subprocess.Popen([sink, path])
    end = time.monotonic() + 10
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise SystemExit("bench: the counting server did not start")
        time.sleep(0.01)
    with open(path) as port:
        return server, int(port.read())


def check(case, facts, box, port, code):
    """What is missing, in words; empty when every record is accounted for."""
    with open(os.path.join(box, "stderr")) as log:
        said = log.read()
    if code != 0:
        return f"exit code {code}\n{said}"
    expected = facts["kept"] if case == "cri" else facts["lines"]
    read = number(r"input (?:tail|http|beats)\.0: (\d+) records", said)
    if read != facts["lines"]:
        return f"{read} of {facts['lines']} lines read\n{said}"
    if case == "file":
        with open(os.path.join(box, "out"), "rb") as out:
            got = sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))
    elif case in SERVED:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/count")
        got = int(connection.getresponse().read())
    else:
        got = number(r"output null\.0: (\d+) records", said)
    return "" if got == expected else f"{got} of {expected} records arrived\n{said}"


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else -1


def print_table(rows, args, binary):
    size = os.path.getsize(binary) / 2**20
    today = datetime.date.today().isoformat()
    print(f"\n{today}, files of {args.size} MiB, median of {args.repeats}, profile {args.profile}\n")
    print("| Case | CPU / md5sum | bar | CPU s | lines/s | MiB/s | peak RSS MiB | records |")
    print("|---|---|---|---|---|---|---|---|")
    for case, title, row in rows:
        complete = "all" if not row["wrong"] else "MISSING"
        print(f"| {title} | {row['ratio']:.2f} | {BARS[case]} | {row['cpu']:.2f} | {row['rate']:,.0f} | {row['mib']:.0f} "
              f"| {row['peak']:.1f} | {complete} ({row['lines']:,}) |")
    print(f"\nBinary: {size:.2f} MiB (bar {BINARY_MIB}). Peak RSS bar: {PEAK_MIB} MiB.")
    for _, title, row in rows:
        if row["wrong"]:
            print(f"\n{title}: {row['wrong']}", file=sys.stderr)


def print_packets(rows, args):
    print(f"\nCaptures of {args.packet_size} MiB, offline → null, flows on\n")
    print("| Case | packets/CPU s | bar | CPU s | MiB/s | peak RSS MiB | bar | packets | documents |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case, title, row in rows:
        bar, peak = PACKET_BARS[case], PACKET_PEAK_MIB.get(case, "")
        complete = "all" if not row["wrong"] else "MISSING"
        print(f"| {title} | {row['rate']:,.0f} | {f'{bar:,}' if bar else ''} | {row['cpu']:.2f} | {row['mib']:.0f} "
              f"| {row['peak']:.1f} | {peak} | {row['packets']:,} | {complete} ({row['documents']:,}) |")
    for _, title, row in rows:
        if row["wrong"]:
            print(f"\n{title}: {row['wrong']}", file=sys.stderr)


def idle(binary, work):
    """Memory, threads and wake-ups with one quiet file."""
    box = os.path.join(work, "idle")
    shutil.rmtree(box, ignore_errors=True)
    os.makedirs(box)
    with open(os.path.join(box, "quiet.log"), "w") as log:
        log.write("one line\n")
    with open(os.path.join(box, "idle.conf"), "w") as conf:
        conf.write("[INPUT]\n    Name tail\n    Path quiet.log\n    Read_from_Head on\n[OUTPUT]\n    Name stdout\n    Match *\n")
    with open(os.path.join(box, "stdout"), "w") as out:
        child = subprocess.Popen([binary, "-q", "-c", "idle.conf"], cwd=box, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.DEVNULL)
    try:
        time.sleep(3)
        before = switches(child.pid)
        time.sleep(5)
        wakes = switches(child.pid) - before
        threads = len(os.listdir(f"/proc/{child.pid}/task"))
        rss = memory(child.pid, "VmRSS")
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
    shutil.rmtree(box, ignore_errors=True)
    print(f"Idle (tail → stdout, one quiet file): {rss:.1f} MiB RSS (bar {IDLE_MIB}), {threads} thread(s), {wakes} wake-ups in 5 s.")


def switches(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M).group(1))


if __name__ == "__main__":
    sys.exit(main())
