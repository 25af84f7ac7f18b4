#!/usr/bin/env python3
"""Instructions that one record costs, counted by valgrind: the figure repeats where times do not.

  bench/instructions.py           prints a row for each pipeline; fails when one is more than a fiftieth off bench/instructions.tsv
  bench/instructions.py --bless   writes that file anew

Each figure is the difference of two runs with different numbers of lines, so that the start and the end are not in it. The program
is a release build that asks the C library for everything: valgrind does not know what the kernel hands to programs directly.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from run import ROOT, discard

WANT = os.path.join(ROOT, "bench", "instructions.tsv")
FEW, MANY = 20_000, 120_000
# A row may differ by so much from what is written down.
TOLERANCE = 0.02
# Name, further keys of the input, the output.
ROWS = [
    ("tail, parser nginx, tcp", "Parser nginx", "tcp"),
    ("tail, tcp", "", "tcp"),
    ("tail, null", "", "null"),
]


def build():
    with open(os.path.join(ROOT, ".cargo", "config.toml")) as text:
        line = next(line for line in text if line.startswith("rustflags = "))
    flags = json.loads(line.split("=", 1)[1]) + ["--cfg=rustix_use_libc"]
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "instructions")
    env = dict(os.environ, RUSTFLAGS=" ".join(flags), CARGO_TARGET_DIR=target)
    subprocess.run(["cargo", "build", "--release", "--bin", "collector"], cwd=ROOT, env=env, check=True)
    return os.path.join(target, "release", "collector")


def nginx(count):
    for i in range(count):
        yield (
            f"10.{i % 250}.{i % 199}.{i % 97} - - [10/Oct/2025:13:{i // 60 % 60:02}:{i % 60:02} +0000] "
            f'"GET /api/v1/items/{i}?page={i % 40} HTTP/1.1" 200 {i * 37 % 9000} "https://example.org/list" '
            '"Mozilla/5.0 (X11; Linux aarch64) AppleWebKit/537.36"\n'
        )


def count(program, box, lines, keys, output, port):
    with open(os.path.join(box, "in.log"), "w") as log:
        log.writelines(nginx(lines))
    with open(os.path.join(box, "c.conf"), "w") as conf:
        conf.write(
            "[SERVICE]\n    Flush 0.2\n    Parsers_File parsers.conf\n"
            f"[INPUT]\n    Name tail\n    Path in.log\n    Read_from_Head on\n    Exit_On_Eof on\n    {keys}\n"
            f"[OUTPUT]\n    Name {output}\n    Match *\n"
        )
        if output == "tcp":
            conf.write(f"    Host 127.0.0.1\n    Port {port}\n    Format json_lines\n")
    words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "-c", "c.conf"]
    done = subprocess.run(words, cwd=box, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or f" {lines} records" not in done.stderr:
        sys.exit(f"{' '.join(words)} exited with {done.returncode}:\n{done.stderr[-4000:]}")
    return int(found.group(1))


def main():
    if not shutil.which("valgrind"):
        sys.exit("no valgrind: install it (scripts/setup.sh bench does where it may)")
    program = build()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=discard, args=(listener,), daemon=True).start()
    port = listener.getsockname()[1]
    got, wrong = {}, []
    with tempfile.TemporaryDirectory() as box:
        shutil.copy(os.path.join(ROOT, "parsers.conf"), box)
        for name, keys, output in ROWS:
            few, many = (count(program, box, lines, keys, output, port) for lines in (FEW, MANY))
            got[name] = round((many - few) / (MANY - FEW))
            print(f"{name}\t{got[name]}", flush=True)
    if "--bless" in sys.argv:
        with open(WANT, "w") as text:
            text.writelines(f"{name}\t{figure}\n" for name, figure in got.items())
    else:
        with open(WANT) as text:
            before = {name: int(figure) for name, figure in (line.rstrip("\n").split("\t") for line in text)}
        for name, figure in got.items():
            if abs(figure - before.get(name, 0)) > TOLERANCE * before.get(name, 0):
                wrong.append(f"{name}: {figure} instructions a record, {before.get(name)} in {os.path.relpath(WANT, ROOT)}")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
