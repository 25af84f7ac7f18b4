"""The forward protocol with libraries that are not ours: fluent-logger and msgpack.

  forward.py send PORT     events through fluent-logger, plainly and from a thread, then messages packed with msgpack
  forward.py serve FILE    writes its port to FILE, prints each event as a line of JSON and acknowledges; ends with its peer
"""

import gzip
import json
import os
import socket
import sys

import msgpack


def send(port):
    from fluent import asyncsender, event, sender

    plain = sender.FluentSender("py", host="127.0.0.1", port=port, nanosecond_precision=True)
    assert plain.emit("plain", {"n": 1, "s": "é"}), plain.last_error
    assert plain.emit_with_time("plain", 1_600_000_000, {"n": 2, "deep": {"list": [1, None, True, 1.5]}}), plain.last_error
    plain.close()
    threaded = asyncsender.FluentSender("py", host="127.0.0.1", port=port)
    for n in range(100):
        threaded.emit("async", {"n": n})
    threaded.close()
    sender.setup("py", host="127.0.0.1", port=port)
    event.Event("event", {"from": "userA"})
    sender.get_global_sender().close()
    # What the library does not send itself: PackedForward, and the same compressed, with an id.
    events = b"".join(msgpack.packb([1_600_000_000 + n, {"n": n, "b": b"\x00\xff"}]) for n in range(50))
    for packed, options in ((events, {"chunk": "c1", "size": 50}),
                            (gzip.compress(events), {"chunk": "c2", "compressed": "gzip"})):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(msgpack.packb(["py.packed", packed, options]))
            got = msgpack.unpackb(peer.recv(1000))
            assert got == {"ack": options["chunk"]}, got


def serve(path):
    listener = socket.create_server(("127.0.0.1", 0))
    with open(path + ".new", "w") as out:
        out.write(str(listener.getsockname()[1]))
    os.rename(path + ".new", path)
    peer, _ = listener.accept()
    unpacker = msgpack.Unpacker(raw=False, ext_hook=stamp)
    while data := peer.recv(65536):
        unpacker.feed(data)
        for tag, events, *rest in unpacker:
            options = rest[0] if rest else {}
            if isinstance(events, bytes):
                if options.get("compressed") == "gzip":
                    events = gzip.decompress(events)
                events = unpack(events)
            assert options.get("size", len(events)) == len(events), options
            for when, record in events:
                print(json.dumps([tag, when, record], separators=(",", ":")), flush=True)
            if "chunk" in options:
                peer.sendall(msgpack.packb({"ack": options["chunk"]}))


def unpack(data):
    unpacker = msgpack.Unpacker(raw=False, ext_hook=stamp)
    unpacker.feed(data)
    return list(unpacker)


def stamp(code, data):
    assert code == 0 and len(data) == 8, (code, data)
    return [int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")]


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(int(sys.argv[2]))
    else:
        serve(sys.argv[2])
