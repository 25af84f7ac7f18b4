#!/usr/bin/env python3
"""Measures the syslog input: cost over TCP against md5sum, loss over UDP at a rate, memory of idle connections.

    cargo build --release && python3 bench/syslog.py [--size MIB] [--rate MESSAGES] [--idle CONNECTIONS]

The sender runs beside the collector: on a machine with one core, or a busy one, the loss over UDP says nothing.
"""

import argparse
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MESSAGE = b'<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su 1234 ID47 [exampleSDID@32473 iut="3" eventSource="Application"] '
BAR, IDLE_MIB = 1.5, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "target/release/collector"))
    parser.add_argument("--size", type=int, default=512, help="MiB over TCP")
    parser.add_argument("--rate", type=int, default=120_000, help="messages of 200 bytes a second over UDP, for ten seconds")
    parser.add_argument("--idle", type=int, default=10_000, help="idle TCP connections")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        tcp(args, work)
        udp(args, work)
        idle(args, work)


def start(args, work, mode, keys=""):
    """The collector, listening; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = os.path.join(work, "collector.conf")
    with open(conf, "w") as f:
        f.write(f"[INPUT]\n    Name syslog\n    Mode {mode}\n    Listen 127.0.0.1\n    Port {port}\n{keys}"
                "[OUTPUT]\n    Name null\n    Match *\n")
    child = subprocess.Popen([args.binary, "-c", conf], stderr=open(os.path.join(work, "log"), "w"))
    while "listening on" not in said(work):
        time.sleep(0.02)
    return child, port


def said(work):
    with open(os.path.join(work, "log")) as f:
        return f.read()


def busy(child):
    """The CPU ticks it has used."""
    with open(f"/proc/{child.pid}/stat") as f:
        return sum(map(int, f.read().rpartition(")")[2].split()[11:13]))


def stop(child, work):
    """Its CPU seconds when it has nothing to do any more, and the number of records and of drops in its account."""
    before = -1
    while before != (before := busy(child)):
        time.sleep(0.3)
    child.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(child.pid, 0)
    account = re.search(r"input syslog\.0: (\d+) records.*", said(work))
    drops = re.search(r"(\d+) dropped by the kernel", account.group(0))
    return usage.ru_utime + usage.ru_stime, int(account.group(1)), int(drops.group(1)) if drops else 0


def tcp(args, work):
    path = os.path.join(work, "messages")
    line = MESSAGE + b"x" * (199 - len(MESSAGE)) + b"\n"
    lines = (args.size << 20) // len(line)
    with open(path, "wb") as f:
        for _ in range(lines // 1000):
            f.write(line * 1000)
    lines = lines // 1000 * 1000
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["md5sum", path], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    md5 = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    child, port = start(args, work, "tcp", "    Buffer_Chunk_Size 256K\n")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as peer, open(path, "rb") as f:
        peer.sendfile(f)
    cpu, records, _ = stop(child, work)
    wall = time.monotonic() - began
    ok = "complete" if records == lines else f"ONLY {records} OF {lines}"
    print(f"TCP: {args.size} MiB, {lines} messages: {cpu:.2f} CPU s, {cpu / md5:.2f} x md5sum (bar {BAR}), {wall:.1f} s, {ok}")


def udp(args, work):
    child, port = start(args, work, "udp", "    Receive_Buffer_Size 4M\n")
    message = MESSAGE + b"x" * (200 - len(MESSAGE))
    total, burst = args.rate * 10, max(args.rate // 2000, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", port))
        began, sent = time.monotonic(), 0
        while sent < total:
            for _ in range(burst):
                peer.send(message)
            sent += burst
            early = began + sent / args.rate - time.monotonic()
            if early > 0:
                time.sleep(early)
        wall = time.monotonic() - began
    cpu, records, drops = stop(child, work)
    print(f"UDP: {sent} messages in {wall:.1f} s ({sent / wall:,.0f}/s): {records} received, {sent - records} lost "
          f"({drops} known), {cpu:.2f} CPU s")


def idle(args, work):
    resource.setrlimit(resource.RLIMIT_NOFILE, (args.idle + 100, max(args.idle + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    child, port = start(args, work, "tcp")
    # One local address has ports for so many connections.
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(args.idle)]
    for peer in peers:
        peer.sendall(b"<13>one\n")
    time.sleep(3)
    with open(f"/proc/{child.pid}/status") as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024
    _, records, _ = stop(child, work)
    print(f"idle: {len(peers)} connections, {records} messages: {rss:.1f} MiB (bar {IDLE_MIB})")


if __name__ == "__main__":
    main()
