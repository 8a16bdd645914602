"""fcgi: a FastCGI client over a unix socket that can misbehave.

The tests play nginx with it, and worse. Nothing is checked on the way out: any record can be
forged, cut, split and sent late. What comes back is read strictly.

	c = Connection(socket_of("read"))
	a = c.ask("GET", "/healthz")
	assert a.status == 200 and c.is_open()

Every wait has an end; one that is reached raises TimeoutError, and an answer that the worker's
hanging up cut off raises Closed.
"""
import fcntl
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, GET_VALUES_RESULT, UNKNOWN = range(1, 12)
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
PATIENCE_S = 10


class Closed(Exception):
    """The worker hung up before the end of its answer."""


def record(kind, content=b"", id=1, version=1, length=None, padding=b""):
    """One record; `length` is what its head claims, if not the truth."""
    claimed = len(content) if length is None else length
    return struct.pack(">BBHHBx", version, kind, id, claimed, len(padding)) + content + padding


def stream(kind, content, id=1, piece=65528):
    """The content in records, and the empty record that ends it."""
    cut = [content[i:i + piece] for i in range(0, len(content), piece)]
    return b"".join(record(kind, c, id) for c in cut) + record(kind, b"", id)


def begin(id=1, role=RESPONDER, keep=True):
    return record(BEGIN, struct.pack(">HB5x", role, keep), id)


def size(n, wide=False):
    return struct.pack(">I", n | 1 << 31) if wide or n > 127 else bytes([n])


def pair(name, value):
    name, value = name.encode(), value.encode()
    return size(len(name)) + size(len(value)) + name + value


def parameters(method, uri, body=b"", length=None, token=None, attempt=None, **more):
    """What nginx would send; `more` are further parameters, None takes one away."""
    given = {
        "REQUEST_METHOD": method, "REQUEST_URI": uri, "QUERY_STRING": uri.partition("?")[2],
        "CONTENT_TYPE": "application/json" if body else "",
        "CONTENT_LENGTH": str(len(body)) if length is None and body else str(length or ""),
        "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
        "SERVER_NAME": "_", "SERVER_PORT": "80",
        "USHER_REQUEST_ID": attempt or "%032x" % random.getrandbits(128),
    }
    if token:
        given["HTTP_AUTHORIZATION"] = "Bearer " + token
    given.update(more)
    return b"".join(pair(k, v) for k, v in given.items() if v is not None)


def request(method, uri, body=b"", keep=True, id=1, **more):
    """The bytes of a whole request."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    return (begin(id, keep=keep) + stream(PARAMS, parameters(method, uri, body, **more), id) +
            stream(STDIN, body, id))


class Answer:
    def __init__(self, stdout, stderr, app_status, protocol_status):
        head, _, self.body = stdout.partition(b"\r\n\r\n")
        self.stderr, self.app_status, self.protocol_status = stderr, app_status, protocol_status
        self.headers = {}
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.status = int(self.headers.get("status", "0").split()[0])

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.headers.get("x-request-id")

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.headers, self.body[:300])


class Connection:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(path)
        self.seen = b""

    def send(self, data):
        """False when the worker has hung up meanwhile."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def drip(self, data, piece=1, pause_s=0.0):
        for i in range(0, len(data), piece):
            if not self.send(data[i:i + piece]):
                return False
            if pause_s:
                select.select([], [], [], pause_s)
        return True

    def read(self, until):
        while len(self.seen) < 1:
            self.sock.settimeout(max(0.001, until - time.monotonic()))
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            except socket.timeout:
                raise TimeoutError("nothing came in time") from None
            if not more:
                raise Closed()
            self.seen += more

    def take(self, n, until):
        taken = b""
        while len(taken) < n:
            self.read(until)
            taken, self.seen = taken + self.seen[:n - len(taken)], self.seen[n - len(taken):]
        return taken

    def record(self, within=PATIENCE_S):
        """The next record: its kind, its request, its content."""
        until = time.monotonic() + within
        version, kind, id, length, padding = struct.unpack(">BBHHBx", self.take(8, until))
        assert version == 1, "a record of version %d" % version
        content = self.take(length + padding, until)[:length]
        return kind, id, content

    def answer(self, id=1, within=PATIENCE_S):
        """The answer to request `id`; None: to whichever comes."""
        until = time.monotonic() + within
        out = {STDOUT: b"", STDERR: b""}
        while True:
            kind, of, content = self.record(until - time.monotonic())
            if of == 0:
                continue  # management
            assert id in (of, None), "a record of request %d" % of
            if kind == END:
                app, protocol = struct.unpack(">IB3x", content)
                return Answer(out[STDOUT], out[STDERR], app, protocol)
            out[kind] += content

    def ask(self, method, uri, body=b"", within=PATIENCE_S, **more):
        self.send(request(method, uri, body, **more))
        return self.answer(within=within)

    def answers(self, within=PATIENCE_S):
        """All that still comes, until the worker hangs up or is silent for so long."""
        got = []
        try:
            while True:
                got.append(self.answer(None, within))
        except (Closed, TimeoutError):
            return got

    def is_open(self):
        """Alive, and silent: a further request is answered, and nothing came before."""
        try:
            return self.ask("GET", "/healthz", HTTP_X_REQUEST_ID="still-there").request_id == "still-there"
        except Closed:
            return False

    def hung_up(self, within=PATIENCE_S):
        """Did the worker hang up, and send nothing more before?"""
        try:
            self.read(time.monotonic() + within)
            return False
        except Closed:
            return True
        except TimeoutError:
            return False

    def unread(self):
        """How many bytes wait to be read."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, bytes(4)))[0]

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def socket_of(pool):
    return os.path.join(os.environ["USHER_RUN"], pool + ".sock")


def workers(pool="read"):
    """Process ids of its workers."""
    out = subprocess.run([os.environ["USHER_DEV"], "pids", pool], check=True, stdout=subprocess.PIPE)
    return sorted(int(p) for p in out.stdout.split())


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def wait_for(what, within=PATIENCE_S):
    """Until what() is true; whether it became so."""
    until = time.monotonic() + within
    while not what():
        if time.monotonic() > until:
            return False
        select.select([], [], [], 0.01)
    return True


def took(what):
    """Seconds, and what it returned."""
    start = time.monotonic()
    got = what()
    return time.monotonic() - start, got


class Watch:
    """The workers of a pool, before and after: the same ones, with as many files open, no larger.

    Their connections to the two stores may come and go. Under the address sanitizer memory that
    was freed is kept for a while, so size says nothing.
    """

    def __init__(self, pool="read"):
        self.pool = pool
        self.before = {p: (descriptors(p), resident_kib(p)) for p in workers(pool)}

    def unharmed(self, growth_kib=2048):
        now = workers(self.pool)
        assert now == sorted(self.before), "workers %s became %s" % (sorted(self.before), now)
        for pid, (files, kib) in self.before.items():
            assert wait_for(lambda: descriptors(pid) <= files + 2), \
                "worker %d had %d files open, has %d" % (pid, files, descriptors(pid))
            grown = resident_kib(pid) - kib
            assert grown <= growth_kib or "USHER_SANITIZED" in os.environ, \
                "worker %d has grown by %d KiB" % (pid, grown)
        return True
