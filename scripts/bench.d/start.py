"""How long a worker takes from its exec to its first answer over FastCGI, in ms: the median.

    start.py TIMES PATH TOKEN PROGRAM [ARG...]

As spawn-fcgi does it, the listening socket is there first, so a request waits in its backlog while
the worker starts. The answer must be a 200.
"""
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

BEGIN, PARAMS, STDIN, STDOUT, END = 1, 4, 5, 6, 3


def record(kind, content=b""):
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def pair(name, value):
    name, value = name.encode(), value.encode()
    return b"".join(struct.pack("!I", len(x) | 1 << 31) for x in (name, value)) + name + value


def request(path, token):
    params = {"REQUEST_METHOD": "GET", "REQUEST_URI": path, "SERVER_PROTOCOL": "HTTP/1.1",
              "REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": "Bearer " + token}
    return (record(BEGIN, struct.pack("!HB5x", 1, 0)) +
            record(PARAMS, b"".join(pair(*p) for p in params.items())) +
            record(PARAMS) + record(STDIN))


def answer(file):
    text = b""
    while True:
        head = file.read(8)
        if len(head) < 8:
            sys.exit("start.py: the worker hung up after %r" % text)
        _, kind, _, length, padding = struct.unpack("!BBHHBx", head)
        content = file.read(length + padding)[:length]
        if kind == STDOUT:
            text += content
        if kind == END:
            return text


def once(place, sent, program):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place)
    listening.listen(16)
    began = time.monotonic()
    worker = subprocess.Popen(program, stdin=listening)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(place)
    client.sendall(sent)
    got = answer(client.makefile("rb"))
    took = (time.monotonic() - began) * 1000
    client.close()
    worker.send_signal(signal.SIGTERM)
    worker.wait(10)
    listening.close()
    os.unlink(place)
    if not got.startswith(b"Status: 200"):
        sys.exit("start.py: the worker answered %r" % got[:200])
    return took


def main():
    times, path, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory(prefix="usher.") as folder:
        place = os.path.join(folder, "worker.sock")
        print("%.2f" % statistics.median(once(place, request(path, token), sys.argv[4:])
                                         for _ in range(times)))


main()
