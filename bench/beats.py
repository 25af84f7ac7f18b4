"""Sends the lines of a file, each the JSON of an event, to a listening beats input: windows of 2,048, two on the way."""

import itertools
import socket
import struct
import time

WINDOW = 2048


def send(path, port):
    """Ends when everything is acknowledged."""
    end = time.monotonic() + 10
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    with connection:
        windows(connection, path)


def windows(connection, path):
    waiting = []
    with open(path, "rb") as file:
        while lines := list(itertools.islice(file, WINDOW)):
            frames = [b"2W" + struct.pack(">I", len(lines))]
            for seq, line in enumerate(lines, 1):
                event = line.rstrip(b"\n")
                frames.append(b"2J" + struct.pack(">II", seq, len(event)))
                frames.append(event)
            connection.sendall(b"".join(frames))
            waiting.append(len(lines))
            if len(waiting) == 2:
                acknowledged(connection, waiting.pop(0))
    for count in waiting:
        acknowledged(connection, count)


def acknowledged(connection, count):
    seq = 0
    while seq < count:
        frame = b""
        while len(frame) < 6:
            part = connection.recv(6 - len(frame))
            if not part:
                raise SystemExit("bench: the collector closed the connection")
            frame += part
        seq = struct.unpack(">I", frame[2:])[0]
