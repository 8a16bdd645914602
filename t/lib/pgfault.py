"""pgfault: stands between a worker and PostgreSQL, and makes a statement fail.

    python3 pgfault.py SERVER_SOCKET OWN_SOCKET MODE_FILE

MODE_FILE says what becomes of statements, and is read anew for each:

    (empty)   they pass
    SQLSTATE  the server never sees them; the worker is told that they failed so
    lost      what changes something is done, and the connection ends before the worker hears of it

A worker that connects may prepare its statements whatever the mode.
"""
import os
import re
import select
import socket
import struct
import sys
import threading

real, own, mode_file = sys.argv[1:]
CHANGES = re.compile(rb"\b(INSERT|UPDATE|DELETE|COMMIT)\b")


def mode():
    with open(mode_file) as f:
        return f.read().strip()


def cut(data):
    """The whole messages in data, and what is left."""
    messages = []
    while len(data) >= 5:
        end = 1 + struct.unpack("!I", data[1:5])[0]
        if len(data) < end:
            break
        messages.append(data[:end])
        data = data[end:]
    return messages, data


def error(state):
    fields = b"SFATAL\0VERROR\0C" + state.encode() + b"\0Mfailed by a test\0\0"
    return b"E" + struct.pack("!I", 4 + len(fields)) + fields + b"Z" + struct.pack("!I", 5) + b"I"


class Link:
    def __init__(self, client):
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(real)
        self.texts = {}  # of prepared statements
        self.asked, self.asks = b"", []  # from the client; the messages up to the next sync
        self.told, self.tells = b"", b""  # from the server; the same
        self.changes = False
        self.ready = False  # the server has let the client in

    def note(self, message):
        """What the message would have done: None, or a statement's text."""
        kind, parts = message[:1], message[5:].split(b"\0")
        if kind == b"P":
            self.texts[parts[0]] = parts[1]
        if kind == b"B":
            return self.texts[parts[1]]
        return parts[0] if kind == b"Q" and re.match(rb"BEGIN|COMMIT", parts[0]) else None

    def from_client(self, data):
        if not self.ready:
            self.server.sendall(data)
            return
        messages, self.asked = cut(self.asked + data)
        for m in messages:
            self.asks.append(m)
            if m[:1] not in (b"Q", b"S", b"X"):
                continue
            texts = [t for t in map(self.note, self.asks) if t is not None]
            self.changes = any(map(CHANGES.search, texts))
            if texts and re.fullmatch("[0-9A-Z]{5}", mode()):
                self.client.sendall(error(mode()))
            else:
                self.server.sendall(b"".join(self.asks))
            self.asks = []

    def from_server(self, data):
        messages, self.told = cut(self.told + data)
        for m in messages:
            self.tells += m
            if self.ready and m[:1] != b"Z":
                continue
            self.ready |= m[:1] == b"Z"
            if self.changes and m[5:] == b"I" and mode() == "lost":
                raise ConnectionError
            self.client.sendall(self.tells)
            self.tells = b""

    @staticmethod
    def take(side):
        data = side.recv(65536)
        if not data:
            raise ConnectionError
        return data

    def serve(self):
        try:
            while True:
                for side in select.select([self.client, self.server], [], [])[0]:
                    (self.from_client if side is self.client else self.from_server)(self.take(side))
        except ConnectionError:
            pass
        finally:
            self.client.close()
            self.server.close()


listener = socket.socket(socket.AF_UNIX)
listener.bind(own + ".new")
listener.listen(64)
os.rename(own + ".new", own)
while True:
    threading.Thread(target=Link(listener.accept()[0]).serve, daemon=True).start()
