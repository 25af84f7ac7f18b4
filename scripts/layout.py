#!/usr/bin/env python3
"""Writes link/startup.ld: the functions that a quiet program runs, so that the linker puts them side by side.

The system maps a program's pages sixteen at a time. Functions that are run once at the start, strewn over all of the program,
would hold most of it in memory for good. Run this on x86-64 after the way from the start to the first record has changed much;
names that are no longer there do no harm. Needs nm. Builds the program with its symbols first (make layout).
"""

import collections
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TAIL = "[INPUT]\n    Name tail\n    Path in.log\n    Read_from_Head on\n"
CASES = [
    TAIL + "[OUTPUT]\n    Name stdout\n    Match *\n",
    TAIL + "[OUTPUT]\n    Name es\n    Host 127.0.0.1\n    Port 1\n    Match *\n",
]
# A program that has run nothing new for so long is quiet.
QUIET_SECONDS = 10
# A page that is touched brings its neighbours (/sys/kernel/debug/fault_around_bytes).
AROUND = 65536

TRACEME, CONT, GETREGS, SETREGS, SETOPTIONS = 0, 7, 12, 13, 0x4200
OPTIONS = 0x8 | 0x100000  # PTRACE_O_TRACECLONE, PTRACE_O_EXITKILL
WALL = 0x40000000
RIP = 16
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def main():
    binary = os.path.abspath(sys.argv[1])
    functions = symbols(binary)
    sizes, runs = collections.Counter(), collections.Counter()
    for name, size in functions.values():
        sizes[pattern(name)] += size
    order, seen, used = [], set(), collections.Counter()
    for conf in CASES:
        for at in trace(binary, functions, conf):
            if at in seen:
                continue
            seen.add(at)
            name, size = functions[at]
            name = pattern(name)
            if not runs[name]:
                order.append(name)
            runs[name] += 1
            used[name] += size
    # The compiler gives all instances of a generic function one name but for a hash: they come together or not at all,
    # and those with much beside what is run come last.
    extra = {name: sizes[name] - used[name] for name in order}
    kept = [name for name in order if extra[name] < AROUND * runs[name]]
    kept.sort(key=lambda name: extra[name] > 4096)
    write(kept)
    print(f"{len(kept)} of {len(order)} names, {sum(sizes[name] for name in kept)} bytes, of which {sum(used.values())} are run")


def symbols(binary):
    """Address of each function: its name and size."""
    told = subprocess.run(["nm", "-S", "--defined-only", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = (row.split() for row in told.splitlines())
    found = {int(row[0], 16): (row[3], int(row[1], 16)) for row in rows if len(row) == 4 and row[2] in "tTwW"}
    if len(found) < 1000:
        sys.exit("layout: the program has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
    return found


def pattern(name):
    """The name without what changes from build to build."""
    return re.sub(r"Cs[0-9A-Za-z]{9,}_", "Cs*_", re.sub(r"17h[0-9a-f]{16}E", "17h*E", name))


def trace(binary, functions, conf):
    """The functions that are run until the program is quiet, each once, in order: each begins with a breakpoint until it is met."""
    box = tempfile.mkdtemp()
    with open(os.path.join(box, "in.log"), "w") as log:
        log.write("one line\n")
    with open(os.path.join(box, "layout.conf"), "w") as out:
        out.write(conf)
    child = os.fork()
    if child == 0:
        os.chdir(box)
        quiet = os.open("/dev/null", os.O_RDWR)
        for fd in range(3):
            os.dup2(quiet, fd)
        libc.ptrace(TRACEME, 0, None, None)
        os.execv(binary, [binary, "-q", "-c", "layout.conf"])
    os.waitpid(child, 0)
    libc.ptrace(SETOPTIONS, child, None, OPTIONS)
    with open(f"/proc/{child}/maps") as maps:
        base = min(int(row.split("-")[0], 16) for row in maps if binary in row)
    memory = open(f"/proc/{child}/mem", "r+b", buffering=0)

    def put(at, byte):
        memory.seek(base + at)
        old = memory.read(1)
        memory.seek(base + at)
        memory.write(byte)
        return old

    saved = {at: put(at, b"\xcc") for at in functions}
    met = []
    registers = (ctypes.c_ulonglong * 27)()
    libc.ptrace(CONT, child, None, None)
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        thread, status = os.waitpid(-1, os.WNOHANG | WALL)
        if thread == 0:
            time.sleep(0.0005)
            continue
        if not os.WIFSTOPPED(status):
            continue
        sent = os.WSTOPSIG(status)
        if sent == signal.SIGTRAP and status >> 16 == 0:
            libc.ptrace(GETREGS, thread, None, ctypes.cast(registers, ctypes.c_void_p))
            at = registers[RIP] - 1 - base
            if at in functions:
                if at in saved:
                    put(at, saved.pop(at))
                    met.append(at)
                    end = time.monotonic() + QUIET_SECONDS
                registers[RIP] -= 1
                libc.ptrace(SETREGS, thread, None, ctypes.cast(registers, ctypes.c_void_p))
        passed = 0 if sent in (signal.SIGTRAP, signal.SIGSTOP) else sent
        libc.ptrace(CONT, thread, None, ctypes.c_void_p(passed))
    os.kill(child, signal.SIGKILL)
    while is_child_left():
        pass
    memory.close()
    shutil.rmtree(box)
    return met


def is_child_left():
    """Takes the end of one thread; the first one's is told after those of all others."""
    try:
        return bool(os.waitpid(-1, WALL))
    except ChildProcessError:
        return False


def write(names):
    with open(os.path.join(ROOT, "link/startup.ld"), "w") as out:
        out.write("/* Functions that a quiet program runs, side by side. Written by scripts/layout.py (make layout). */\n")
        out.write("SECTIONS\n{\n  .text.start :\n  {\n")
        # Cold functions, such as those that let a vector grow, have sections of their own.
        out.writelines(f"    *(.text.{name} .text.unlikely.{name})\n" for name in names)
        out.write("  }\n}\nINSERT BEFORE .text;\n")


main()
