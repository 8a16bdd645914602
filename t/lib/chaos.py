"""chaos: many clients change users while parts of the stack are killed, in an order drawn from a seed.

	chaos.py SEED SECONDS CLIENTS >acknowledged

What was acknowledged goes to standard output, a line each: user id and the version that the answer
named. What was killed, and when, goes to standard error. Whoever is killed comes back by its
supervisor; Kafka and the stores' servers have none here, so Kafka is started again by us.
"""
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

DEV = os.environ["USHER_DEV"]
HOST = os.environ["BASE_URL"].removeprefix("http://")
JSON = {"Content-Type": "application/json"}
lock = threading.Lock()
acknowledged, unknown = [], 0


class Client(threading.Thread):
    """One after another: a user signs up, logs in, changes itself, and sometimes goes for good."""

    def __init__(self, seed, until):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.until = until
        self.connection = http.client.HTTPConnection(HOST, timeout=20)

    def ask(self, method, path, body=None, token=None):
        """Status, version and body; None for an answer that did not come."""
        global unknown
        head = dict(JSON, **({"Authorization": "Bearer " + token} if token else {}))
        try:
            self.connection.request(method, "/api/v1" + path, json.dumps(body) if body else None, head)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            answer = None
        if answer is None or answer.status >= 500:
            with lock:
                unknown += 1
            time.sleep(0.05)
            return None, None, None
        etag = (answer.getheader("ETag") or "").strip('"')
        return answer.status, etag, json.loads(text) if text else None

    def note(self, user, version):
        with lock:
            acknowledged.append((user, version))

    def run(self):
        while time.monotonic() < self.until:
            self.one_user()

    def one_user(self):
        email = "c%032x@example.com" % self.random.getrandbits(128)
        status, _, user = self.ask("POST", "/users/", {"name": "Kim", "email": email, "password": email})
        if status != 201:
            return
        uid = user["id"]
        self.note(uid, 1)
        status, _, grant = self.ask("POST", "/auth/login", {"email": email, "password": email})
        if status != 200:
            return
        for n in range(self.random.randint(5, 60)):
            if time.monotonic() >= self.until:
                return
            status, version, _ = self.ask("PATCH", "/users/%d" % uid, {"name": "N%d" % n, "age": n},
                                          grant["access_token"])
            if status == 200:
                self.note(uid, version)
        if self.random.random() < 0.3:
            self.ask("DELETE", "/users/%d" % uid, None, grant["access_token"])


def pids(name):
    words = subprocess.run([DEV, "pids", name], capture_output=True, text=True, check=False).stdout.split()
    return [int(w) for w in words]


def named(name, among):
    """Those whose process bears that name."""
    found = []
    for pid in among:
        try:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() == name:
                    found.append(pid)
        except OSError:
            pass
    return found


def kill(some):
    for pid in some:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def kill_kafka(_):
    kill(pids("kafka"))
    subprocess.run([DEV, "start", "kafka"], stdout=subprocess.DEVNULL, check=False)


VICTIMS = (  # what, how often, and how it dies
    ("usher-relay", 4, lambda draw: kill(named("usher-relay", pids("eventd")))),
    ("usher-consume", 4, lambda draw: kill(named("usher-consume", pids("eventd")))),
    ("usher-cache", 1, lambda draw: kill(named("usher-cache", pids("eventd")))),
    ("usher-eventd", 2, lambda draw: kill(named("usher-eventd", pids("eventd")))),
    ("the whole daemon", 2, lambda draw: kill(pids("eventd"))),
    ("a worker", 3, lambda draw: kill(draw.sample(pids("read") + pids("auth"), 1))),
    ("Kafka", 2, kill_kafka),
)


def main():
    seed, seconds, clients = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(seed)
    began = time.monotonic()
    crowd = [Client(draw.getrandbits(64), began + seconds) for _ in range(clients)]
    for c in crowd:
        c.start()
    order = [v for v in VICTIMS for _ in range(v[1])]
    draw.shuffle(order)
    while time.monotonic() < began + seconds:
        time.sleep(draw.uniform(0.3, 1.6))  # so that they die at any moment of their work
        name, _, how = order.pop()
        order = order or draw.sample([v for v in VICTIMS for _ in range(v[1])], 18)
        print("%.1f s: %s" % (time.monotonic() - began, name), file=sys.stderr)
        how(draw)
    for c in crowd:
        c.join(30)
    for user, version in acknowledged:
        print(user, version)
    print("%d acknowledged, %d of unknown outcome" % (len(acknowledged), unknown), file=sys.stderr)


main()
