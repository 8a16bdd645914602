#!/usr/bin/env python3
"""cache_check: proves that no read is stale and no acknowledged write is lost.

	eval "$(USHER_VAR=var/test scripts/dev env)"
	t/lib/cache_check.py [--seconds 40] [--seed N] [--users 12] [--clients 8] [--quiet]

Clients read and change a few users at random, synchronously and written behind, and delete some;
meanwhile workers, the daemon, Redis and PostgreSQL are killed, Redis hangs, and its keys are taken
away. What each client asked and was told, and when, is the history. Afterwards, user by user:

  - a read shows no write that was overwritten: where write A had ended before write B began, and B
    had been acknowledged before the read began, the read does not show A;
  - the state (version, and pending changes) never goes back, and one state has one content;
  - a user that was deleted is not read again;
  - in the end, with nothing waiting, the same holds for what PostgreSQL has, and
    "usherctl events verify" finds Redis, PostgreSQL and the replayed events agreeing.

An answer that did not come, or was 5xx, is an unknown: the write may have happened, then or later.
Three things are promised less strictly, and the first two counted apart. While Redis is dead, reads come from
PostgreSQL and do not show what waits in Redis. And where a worker could not reach a Redis that others
still could (it hung, or the worker logged cache.not_updated), an old page may be read until the
daemon's role "cache" has marked it: how long that took is printed, and bounded by REPAIR_S. And what is
committed, but not yet answered, is told by PostgreSQL before Redis has it: where a page is missing just
then, one reader may see it SETTLE_S before the next does.

The seed makes the same choices again; the times are the machine's own. Exit status 1: it is not true.
"""
import argparse
import collections
import glob
import http.client
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
import uuid
from datetime import datetime

REPAIR_S = 6.0   # the longest that an old page may live after a hang
RECOVER_S = 3.0  # until every worker has found a Redis that is back
SETTLE_S = 0.1   # from a commit until Redis has it
TOKEN_S = 600    # then it is time for another
FIELDS = ("nickname", "phone")
HOST = os.environ["BASE_URL"].split("//")[1]
DEV = os.environ.get("USHER_DEV") or os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "dev")

Write = collections.namedtuple("Write", "user field value begin end behind")   # end None: unknown
Seen = collections.namedtuple("Seen", "user state values begin end read")      # what an answer showed
Gone = collections.namedtuple("Gone", "user begin end")


def now():
    return time.monotonic()


class Caller:
    """One kept connection; an answer is (status, ETag, body), or None where it did not come."""

    def __init__(self, token=None):
        self.token, self.conn = token, None

    def ask(self, method, path, body=None, **headers):
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            if self.conn is None:
                self.conn = http.client.HTTPConnection(HOST, timeout=30)
            self.conn.request(method, "/api/v1" + path, body, headers)
            answer = self.conn.getresponse()
            text = answer.read()
            return answer.status, answer.headers.get("ETag"), text
        except (OSError, http.client.HTTPException):
            if self.conn:
                self.conn.close()
            self.conn = None
            return None


def state_of(etag):
    version, _, pending = etag.strip('"').partition(".")
    return int(version), int(pending or 0)


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.writes, self.seen, self.gone = [], [], []
        self.count = collections.Counter()

    def note(self, kind, row):
        with self.lock:
            getattr(self, kind).append(row)

    def counted(self, what):
        with self.lock:
            self.count[what] += 1


class Users:
    """The users that clients play with; a deleted one makes room for a new one."""

    def __init__(self, n):
        self.lock, self.ids, self.least = threading.Lock(), [], n // 2
        self.caller = Caller()
        for _ in range(n):
            self.add()
        if len(self.ids) < n:
            raise SystemExit("cache_check: no users could be made")
        self.first = min(self.ids)

    def add(self):
        answer = self.caller.ask("POST", "/users/", {
            "name": "Check", "email": "c%s@example.com" % uuid.uuid4().hex, "password": uuid.uuid4().hex})
        if answer and answer[0] == 201:
            self.ids.append(json.loads(answer[2])["id"])

    def any(self, dice):
        with self.lock:
            return dice.choice(self.ids)

    def take(self, dice):
        """One to delete; None where there would be too few left."""
        with self.lock:
            if len(self.ids) <= self.least:
                self.add()
                return None
            return self.ids.pop(dice.randrange(len(self.ids)))


class Client(threading.Thread):
    """Asks until it is told to stop; all its choices come from its own seed."""

    def __init__(self, seed, number, who, users, history, stop):
        super().__init__()
        self.dice = random.Random("%d/%d" % (seed, number))
        self.caller, self.users, self.history, self.stop = Caller(), users, history, stop
        self.number, self.next, self.who, self.renew = number, 0, who, 0.0

    def run(self):
        while not self.stop.is_set():
            if now() > self.renew:
                token = log_in(*self.who)
                self.caller.token, self.renew = token or self.caller.token, now() + (TOKEN_S if token else 1)
            kind = self.dice.choices(("read", "sync", "behind", "delete"), (600, 150, 249, 1))[0]
            user = self.users.take(self.dice) if kind == "delete" else self.users.any(self.dice)
            if user is not None:
                getattr(self, kind)(user)

    def saw(self, user, answer, begin, read):
        body = json.loads(answer[2])
        self.history.note("seen", Seen(user, state_of(answer[1]), tuple(body[f] for f in FIELDS),
                                       begin, now(), read))

    def read(self, user):
        begin = now()
        answer = self.caller.ask("GET", "/users/%d" % user)
        if answer and answer[0] == 200:
            self.saw(user, answer, begin, True)
        elif answer and answer[0] == 404:
            self.history.note("gone", Gone(user, begin, None))
        self.history.counted("reads" if answer and answer[0] in (200, 404) else "reads unanswered")

    def change(self, user, behind):
        self.next += 1
        fields = [f for f in FIELDS if self.dice.random() < 0.6] or [self.dice.choice(FIELDS)]
        body = {f: "%d%07d" % (self.number + 1, self.next) for f in fields}
        begin = now()
        answer = self.caller.ask("PATCH", "/users/%d" % user, body, **({"Prefer": "respond-async"} if behind else {}))
        known = answer is not None and answer[0] < 500
        if known and answer[0] not in (200, 202):
            self.history.counted("refused %d" % answer[0])
            return
        end = now() if known else None
        for f in fields:
            self.history.note("writes", Write(user, f, body[f], begin, end, known and answer[0] == 202))
        if known:
            self.saw(user, answer, begin, False)
        self.history.counted("%s" % answer[0] if known else "writes unknown")

    def sync(self, user):
        self.change(user, False)

    def behind(self, user):
        self.change(user, True)

    def delete(self, user):
        begin = now()
        answer = self.caller.ask("DELETE", "/users/%d" % user)
        if answer and answer[0] == 204:
            self.history.note("gone", Gone(user, begin, now()))
            self.history.counted("deleted")


def dev(*words):
    subprocess.run([DEV, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def pids(name):
    out = subprocess.run([DEV, "pids", name], capture_output=True, text=True, check=False).stdout
    return [int(p) for p in out.split()]


def redis(*words):
    return subprocess.run(["redis-cli", "-s", os.environ["REDIS_URL"].replace("unix://", "", 1), *words],
                          capture_output=True, text=True, check=False).stdout.strip()


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


class Faults(threading.Thread):
    """One after the other; `dead` and `hung` are the times when Redis was."""

    def __init__(self, seed, users, stop, say):
        super().__init__()
        self.dice = random.Random("%d/faults" % seed)
        self.users, self.stop, self.say = users, stop, say
        self.dead, self.brought_back, self.hung = [], [], []
        self.count = collections.Counter()

    def run(self):
        kinds = (self.worker, self.daemon, self.redis_dies, self.redis_hangs, self.postgres,
                 self.keys, self.keys, self.scripts)
        while not self.stop.wait(self.dice.uniform(0.5, 2.0)):
            kind = self.dice.choice(kinds)
            self.count[kind.__name__] += 1
            self.say("%.3f fault: %s" % (now(), kind.__name__))
            kind()

    def worker(self):
        for pid in pids("read")[:1]:
            kill(pid)

    def daemon(self):
        for pid in pids("eventd"):
            kill(pid)
        time.sleep(self.dice.uniform(0, 1))
        dev("start", "eventd")

    def redis_dies(self):
        begin = now()
        for pid in pids("redis"):
            kill(pid)
        time.sleep(self.dice.uniform(0, 1.5))
        self.brought_back.append((begin, now()))  # from now on others may reach it
        dev("start", "redis")
        self.dead.append((begin, now()))

    def redis_hangs(self):
        begin = now()
        for pid in pids("redis"):
            kill(pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.05, 1.2))
        for pid in pids("redis"):
            kill(pid, signal.SIGCONT)
        self.hung.append((begin, now()))

    def postgres(self):
        for pid in pids("postgres"):
            kill(pid, signal.SIGQUIT)
        time.sleep(self.dice.uniform(0, 1))
        dev("start", "postgres")

    def keys(self):
        subprocess.run(["usherctl", "cache", "flush"], capture_output=True, check=False)

    def scripts(self):
        redis("SCRIPT", "FLUSH")


def unsaid(since_wall, since_mono, dead):
    """When workers logged that they could not tell a Redis that lived of a change. A dead one is no
    excuse: what it brings back is not believed."""
    times = []
    for log in glob.glob(os.path.join(os.environ["USHER_VAR"], "log", "*.log")):
        with open(log, errors="replace") as f:
            for line in f:
                if '"cache.not_updated"' not in line:
                    continue
                at = re.search(r'"time":"([^"]+)Z"', line)
                wall = datetime.fromisoformat(at.group(1) + "+00:00").timestamp()
                if wall >= since_wall:
                    times.append(since_mono + wall - since_wall)
    return [(t - 2.0, t) for t in times if not any(b <= t <= e for b, e in dead)]


def meets(begin, end, windows, after):
    return any(begin <= w[1] + after and end >= w[0] for w in windows)


def told_for_good(seen):
    return seen.end + (SETTLE_S if seen.read else 0)


class Judge:
    def __init__(self, history, dead, hung):
        self.h, self.dead, self.hung = history, dead, hung
        self.wrong = []
        self.invisible = 0  # waited in a dead Redis
        self.late = []      # seconds after the hang
        self.by_field = collections.defaultdict(list)
        for w in history.writes:
            self.by_field[w.user, w.field].append(w)

    def blame(self, text):
        self.wrong.append(text)

    def excuse(self, seen, newer):
        """Is it one of the two that are promised less strictly?"""
        if newer.behind and meets(seen.begin, seen.end, self.dead + self.hung, RECOVER_S):
            self.invisible += 1
            return True
        for begin, end in self.hung:
            if newer.end >= begin - 1 and newer.begin <= end + RECOVER_S and seen.begin <= end + REPAIR_S:
                self.late.append(max(0.0, seen.end - end))
                return True
        return False

    def value(self, seen, field, value):
        """The write that it shows must be no overwritten one."""
        writes = self.by_field[seen.user, field]
        shown = next((w for w in writes if w.value == value), None)
        if value is not None and shown is None:
            return self.blame("user %d: %s has %s, which nobody wrote" % (seen.user, field, value))
        shown_end = -1.0 if shown is None else shown.end
        if shown is not None and shown.begin > seen.end:
            return self.blame("user %d: %s has %s before it was written" % (seen.user, field, value))
        if shown_end is None:
            return None
        for w in writes:
            if w.end is not None and w.end < seen.begin and w.begin > shown_end and not self.excuse(seen, w):
                return self.blame("user %d: %s is %s at %.3f..%.3f, but %s was acknowledged at %.3f (%s)" % (
                    seen.user, field, value, seen.begin, seen.end, w.value, w.end,
                    "behind" if w.behind else "at once"))
        return None

    def states(self, user, rows):
        """By the time each was asked for; against the greatest that had been told before."""
        content = {}
        told = sorted(rows, key=told_for_good)
        at, greatest = 0, None
        for s in sorted(rows, key=lambda s: s.begin):
            while at < len(told) and told_for_good(told[at]) < s.begin:
                if greatest is None or told[at].state > greatest.state:
                    greatest = told[at]
                at += 1
            if content.setdefault(s.state, s.values) != s.values:
                self.blame("user %d: %s is %s and %s" % (user, s.state, content[s.state], s.values))
            if greatest is None or s.state >= greatest.state:
                continue
            if meets(s.begin, s.end, self.dead, RECOVER_S) and s.state[0] >= greatest.state[0]:
                self.invisible += 1
            elif meets(s.begin, s.end, self.hung, REPAIR_S):
                self.late.append(min(max(0.0, s.end - w[1]) for w in self.hung if s.end >= w[0]))
            else:
                self.blame("user %d: %s at %.3f..%.3f after %s at %.3f" % (
                    user, s.state, s.begin, s.end, greatest.state, greatest.end))

    def deleted(self):
        done = {g.user: g.end for g in self.h.gone if g.end is not None}
        for s in self.h.seen:
            if s.user in done and s.begin > done[s.user] and not meets(s.begin, s.end, self.hung, REPAIR_S):
                self.blame("user %d: read at %.3f, deleted at %.3f" % (s.user, s.begin, done[s.user]))

    def all(self):
        rows = collections.defaultdict(list)
        for s in self.h.seen:
            rows[s.user].append(s)
            if s.read:
                for field, value in zip(FIELDS, s.values):
                    self.value(s, field, value)
        for user, seen in rows.items():
            self.states(user, seen)
        self.deleted()

    def end(self, user, values):
        for field, value in zip(FIELDS, values):
            writes = self.by_field[user, field]
            shown = next((w for w in writes if w.value == value), None)
            if value is not None and shown is None:
                self.blame("user %d: in the end %s is %s, which nobody wrote" % (user, field, value))
            shown_end = -1.0 if shown is None else shown.end
            for w in writes:
                if shown_end is not None and w.end is not None and w.begin > shown_end:
                    self.blame("user %d: in the end %s is %s: %s is lost (%s)" % (
                        user, field, value, w.value, "behind" if w.behind else "at once"))
                    break


def admin():
    email, password = "a%s@example.com" % uuid.uuid4().hex, uuid.uuid4().hex
    subprocess.run(["usherctl", "admin", "create", "--email", email, "--password-stdin"],
                   input=password, text=True, check=True, stdout=subprocess.DEVNULL)
    return email, password


def log_in(email, password):
    """A token; None where that can't be had just now."""
    answer = Caller().ask("POST", "/auth/login", {"email": email, "password": password})
    return json.loads(answer[2])["access_token"] if answer and answer[0] == 200 else None


def wait_for(what, seconds, why):
    until = now() + seconds
    while not what():
        if now() > until:
            raise SystemExit("cache_check: waited in vain: " + why)
        time.sleep(0.05)


def row(user):
    out = subprocess.run(["psql", "-XqAt", "-F", "\t", os.environ["DATABASE_URL"], "-c",
                          "SELECT %s FROM users WHERE id = %d" % (", ".join(FIELDS), user)],
                         capture_output=True, text=True, check=True).stdout.rstrip("\n")
    return tuple(v or None for v in out.split("\t")) if out else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=40)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--users", type=int, default=12)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--strict", action="store_true", help="nothing is excused but what waits in a dead Redis")
    p.add_argument("--quiet", action="store_true")
    o = p.parse_args()
    say = (lambda text: None) if o.quiet else (lambda text: print(text, flush=True))
    print("seed %d" % o.seed, flush=True)

    os.environ["REDIS_APPENDFSYNC"] = "always"  # what it is proved for; also for each restart
    redis("CONFIG", "SET", "appendfsync", "always")
    began_wall, began = time.time(), now()
    who, users, history, stop = admin(), Users(o.users), History(), threading.Event()
    faults = Faults(o.seed, users, stop, say)
    clients = [Client(o.seed, i, who, users, history, stop) for i in range(o.clients)]
    for t in [*clients, faults]:
        t.start()
    time.sleep(o.seconds)
    stop.set()
    for t in [*clients, faults]:
        t.join()

    dev("start")
    wait_for(lambda: redis("ZCARD", "dirty_users") == "0", 30, "changes still wait in Redis")
    judge = Judge(history, faults.dead, [] if o.strict else faults.hung + unsaid(began_wall, began, faults.brought_back))
    judge.all()
    for user in {w.user for w in history.writes}:
        values = row(user)
        if values is not None:
            judge.end(user, values)
    verified = subprocess.run(["usherctl", "events", "verify", "--from", str(users.first)], capture_output=True, text=True, check=False)
    if verified.returncode != 0:
        judge.blame("usherctl events verify: " + (verified.stdout + verified.stderr).strip())

    print("%s\nfaults: %s" % (dict(sorted(history.count.items())), dict(sorted(faults.count.items()))))
    print("not shown while Redis was away: %d; old pages read after a hang: %d, the latest %.2f s after its end" % (
        judge.invisible, len(judge.late), max(judge.late, default=0)))
    print(verified.stdout.strip())
    for text in judge.wrong[:20]:
        print("WRONG " + text)
    if judge.wrong:
        print("%d are wrong; seed %d" % (len(judge.wrong), o.seed))
    raise SystemExit(1 if judge.wrong else 0)


if __name__ == "__main__":
    main()
