"""Five times as much as the controller takes at once, over HTTP and RPC: what is too much is told so and counted, memory stays bounded, what is
vital, alerts and whoever comes later is served all the while, and afterwards all is as before. On loopback, without namespaces."""
import collections
import http.client
import json
import os
import re
import selectors
import socket
import struct
import sys
import threading
import time

from lab import Process, expect, wait
from meshes import full
from test_access import PORT, Controller

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(f"{HERE}/../chaos")
import wire  # noqa: E402

ALONE = True  # it uses ports of the host itself

REQUESTS, EACH = 128, 64  # bounds of the controller: requests at a time, connections of an address
CALLS = 32                # unanswered calls of a connection
SECONDS = 5
LATE = 5.0                # s; on a busy machine
GROWTH = 64 << 20         # of resident memory


def rss(c):
    with open(f"/proc/{c.process.popen.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def metrics(c):
    status, text, _ = c.request("GET", "/metrics")
    expect(status == 200, f"/metrics: {status}")
    return {m[0]: float(m[1]) for m in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}


def told(c, before, names):
    """What has been refused since, as counted. The page is made anew each few seconds."""
    return sum(v - before[k] for k, v in metrics(c).items() if k.startswith(names))


class Watch:
    """Asks for what is vital all the while, and notes memory and how long it took."""

    PATHS = [("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 200), ("GET", "/", 200), ("POST", "/api/v1/login", 400)]

    def __init__(self, c):
        self.c, self.worst, self.n, self.memory, self.wrong, self.over = c, 0.0, 0, 0, [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            for method, path, want in self.PATHS:
                since = time.monotonic()
                status, text, _ = self.c.request(method, path)
                self.worst, self.n = max(self.worst, time.monotonic() - since), self.n + 1
                if status != want:
                    self.wrong.append((method, path, status, text[:200]))
            self.memory = max(self.memory, rss(self.c))
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def judge(self, before):
        expect(not self.wrong, f"what is vital was not answered: {self.wrong[:3]}")
        expect(self.n >= len(self.PATHS) and self.worst < LATE, f"{self.n} vital requests, the slowest {self.worst:.2f} s")
        expect(self.memory - before < GROWTH, f"memory grew from {before >> 20} to {self.memory >> 20} MB")


class Client:
    """Of HTTP: asks, reads the answer, asks again."""

    ASK = b"GET /api/v1/report?from=-1h HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, address):
        self.s = socket.socket()
        self.s.bind((address, 0))
        self.s.connect(("127.0.0.1", PORT))
        self.got = b""

    def ask(self):
        self.got = b""
        self.s.sendall(self.ASK)

    def read(self):
        """(status, head) when all of it is there; 0: hung up."""
        data = self.s.recv(65536)
        if not data:
            return 0, ""
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.I)
        if not end or (length and len(body) < int(length[1])):
            return None
        return int(head.split()[1]), head.decode()


def load(addresses, each, seconds):
    """({status: how many}, those of 503 without Retry-After, requests/s that were served)."""
    sel, count, rude = selectors.DefaultSelector(), collections.Counter(), 0
    clients = [Client(a) for a in addresses for _ in range(each)]
    for client in clients:
        sel.register(client.s, selectors.EVENT_READ, client)
        client.ask()
    end, waiting = time.monotonic() + seconds, len(clients)
    while waiting:
        ready = sel.select(10)
        expect(ready, f"{waiting} requests have no answer after 10 s: {count}")
        for key, _ in ready:
            answer = key.data.read()
            if answer is None:
                continue
            count[answer[0]] += 1
            rude += answer[0] == 503 and "Retry-After: " not in answer[1]
            if answer[0] and time.monotonic() < end:
                key.data.ask()
            else:
                sel.unregister(key.data.s)
                waiting -= 1
    for client in clients:
        client.s.close()
    return count, rude, count[200] / seconds


def test_http(build):
    with Controller(build) as c:
        before, m = rss(c), metrics(c)
        alone, _, rate = load(["127.0.0.1"], 8, 2)
        expect(set(alone) == {200}, f"not even 8 at a time: {alone}")
        with Watch(c) as w:
            count, rude, served = load([f"127.0.1.{i}" for i in range(1, 1 + 5 * REQUESTS // EACH)], EACH, SECONDS)
        print(f"# 8 clients: {rate:.0f} reports/s; {5 * REQUESTS}: {served:.0f}/s ({served / rate:.2f}) and {count[503] / SECONDS:.0f}/s refused; "
              f"vital: {w.n}, the slowest {w.worst * 1000:.0f} ms; memory {before >> 20} to {w.memory >> 20} MB")
        expect(set(count) == {200, 503} and not rude, f"{dict(count)}, {rude} without Retry-After")
        w.judge(before)
        wait(f"{count[503]} refusals to be counted", lambda: told(c, m, ("twamp_http_busy_total{", "twamp_reader_refused_total")) == count[503])
        expect(metrics(c)["twamp_http_open_requests"] <= 2, "requests are left")
        found = [f for f in json.loads(c.ctl_run("doctor", "-o", "json")[1])["findings"] if f["id"] == "too-much-asked"]
        expect(len(found) == 1 and "HTTP requests" in found[0]["observed"], f"doctor does not tell that {count[503]} were refused: {found}")
        after, _, rate = load(["127.0.0.1"], 8, 1)
        expect(set(after) == {200}, f"afterwards: {after}")


def test_a_small_client_beside_a_large_one(build):
    """One address asks with as many connections as it may, another one question at a time: that one is never refused. (Whose turn it is: unit controller_reader.)"""
    with Controller(build) as c:
        many = []
        flood = threading.Thread(target=lambda: many.append(load(["127.0.1.1"], EACH, 3)))
        flood.start()
        time.sleep(0.3)
        count, _, rate = load(["127.0.1.2"], 1, 2)
        flood.join()
        print(f"# one address, {EACH} at a time: {many[0][2]:.0f} reports/s, {many[0][0][503] / 3:.0f}/s refused; another, one at a time: {rate:.0f}/s, none refused")
        expect(set(count) == {200}, f"a small client was refused: {count}")
        expect(many[0][0][503] > 0, "the large client was not even too much")
        expect(rate > 1 / LATE, f"{rate:.1f}/s beside {many[0][2]:.0f}/s of the large one")


class Operator:
    """A connection of the Admin service that asks without waiting."""

    def __init__(self, admin, method):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect(admin.removeprefix("ipc://"))
        self.buf, self.id, self.method = b"", 1, 3 << 8 | method
        expect(self.take()[1] == wire.HELLO, "no HELLO")
        hello = wire.number(1, 1) + wire.number(2, 2) + wire.octets(3, "flood") + wire.octets(4, "test 1")
        self.s.sendall(wire.frame(wire.HELLO, wire.octets(9, hello)))
        answer = self.take()
        expect(answer[1] == wire.HELLO_OK, f"not let in: {answer}")

    def take(self):
        while len(self.buf) < 4 or len(self.buf) < 4 + struct.unpack(">I", self.buf[:4])[0]:
            data = self.s.recv(65536)
            expect(data, "the connection was closed")
            self.buf += data
        n = 4 + struct.unpack(">I", self.buf[:4])[0]
        got, self.buf = wire.fields(self.buf[4:n]), self.buf[n:]
        if got[1] == wire.PING:
            self.s.sendall(wire.frame(wire.PONG))
            return self.take()
        return got

    def burst(self, n, count):
        """Asks n times, takes n answers; counts them by status and whether it may help to come again."""
        self.s.sendall(self.requests(n))
        for _ in range(n):
            got = self.take()
            expect(got[1] == wire.REPLY, f"{got}")
            count[got.get(4, 0), got.get(10, 0) > 0] += 1


    def requests(self, n):
        first, self.id = self.id, self.id + 2 * n
        return b"".join(wire.frame(wire.REQUEST, wire.number(2, first + 2 * i), wire.number(3, self.method), wire.number(6, 20000)) for i in range(n))

    def keep(self, n, seconds):
        """Has n calls unanswered all the while, since each answer is followed by another call: (served, refused). No faster than an interpreter
        can be, so what an answer says is not looked at further than to its status."""
        count, end = [0, 0], time.monotonic() + seconds
        self.s.sendall(self.requests(n))
        while time.monotonic() < end:
            self.buf += self.s.recv(1 << 18)
            at, answered = 0, 0
            while len(self.buf) - at >= 4 and len(self.buf) - at >= 4 + (size := int.from_bytes(self.buf[at:at + 4], "big")):
                p, at = at + 4, at + 4 + size
                if self.buf[p + 1] == wire.PING:
                    self.s.sendall(wire.frame(wire.PONG))
                    continue
                p += 3  # behind the kind, and the tag of the id
                while self.buf[p] & 0x80:
                    p += 1
                count[p + 1 < at and self.buf[p + 1] == 4 << 3] += 1
                answered += 1
            self.buf = self.buf[at:]
            self.s.sendall(self.requests(answered))
        return count


def method_number(name):
    with open(f"{HERE}/../../proto/admin.proto") as f:
        return re.findall(r"^ +rpc (\w+) *\(", f.read(), re.M).index(name)


def flood_calls(c, method, connections, burst, seconds):
    """({(status, again): how many}, calls/s that were served)."""
    counts, wrong = [collections.Counter() for _ in range(connections)], []

    def run(count):
        try:
            op, end = Operator(c.admin, method), time.monotonic() + seconds
            while time.monotonic() < end:
                op.burst(burst, count)
            op.s.close()
        except Exception as e:  # told below, by the test's own thread
            wrong.append(repr(e))

    threads = [threading.Thread(target=run, args=(count,)) for count in counts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not wrong, f"{wrong[:3]}")
    total = sum(counts, collections.Counter())
    return total, total[0, False] / seconds


def test_rpc(build):
    ok, busy = (0, False), (8, True)
    with Controller(build) as c:
        method, before, m = method_number("AuditList"), rss(c), metrics(c)
        alone, rate = flood_calls(c, method, 1, CALLS // 2, 2)
        expect(set(alone) == {ok}, f"not even {CALLS // 2} at a time: {alone}")
        asked = []
        with Watch(c) as w:
            flood = threading.Thread(target=lambda: asked.append(flood_calls(c, method, 10, 5 * CALLS, SECONDS)))
            flood.start()
            worst, n = 0.0, 0
            while flood.is_alive():
                since = time.monotonic()
                json.loads(c.ctl("status", "-o", "json"))
                worst, n = max(worst, time.monotonic() - since), n + 1
            flood.join()
        count, served = asked[0]
        print(f"# one connection: {rate:.0f} calls/s; ten with bursts of {5 * CALLS}: {served:.0f}/s ({served / rate:.2f}) and {count[busy] / SECONDS:.0f}/s refused; "
              f"twampctl status: {n}, the slowest {worst * 1000:.0f} ms; vital by HTTP: the slowest {w.worst * 1000:.0f} ms; memory {before >> 20} to {w.memory >> 20} MB")
        expect(set(count) == {ok, busy}, f"{dict(count)}")
        expect(n > 0 and worst < LATE, f"{n} calls of twampctl, the slowest {worst:.2f} s")
        w.judge(before)
        wait(f"{count[busy]} refusals to be counted", lambda: told(c, m, ("twamp_rpc_calls_refused_total{",)) >= count[busy])  # twampctl's own tries, too
        wait("all calls to be over", lambda: metrics(c)['twamp_rpc_calls_unanswered{listener="admin"}'] == 0)
        again, _ = flood_calls(c, method, 1, CALLS // 2, 1)
        expect(set(again) == {ok}, f"afterwards: {again}")


ALERTS = """
wait: 0s
rules:
  loss: { metric: loss, critical: { raise: 50%%, clear: 5%% }, for: 1s, clear_for: 1s }
correlate: { sites: false, agents: false }
receivers:
  hook: { webhook: "http://127.0.0.1:%s/hook", timeout: 5s }
"""


def start_agent(c, name):
    address = f"127.0.3.{name[1:]}"
    return Process([f"{c.build}/agent/twamp-agent", "--name", name, "--controller", f"ipc://{c.dir}/fleet.sock", "--data-dir", f"{c.dir}/{name}",
                    "--reflect", f"{address}:38862", "--advertise", address], f"{c.dir}/{name}.log")


def apply(c, what, text):
    with open(f"{c.dir}/{what}.yaml", "w") as f:
        f.write(text)
    c.ctl(what, "apply", "-f", f.name)


def hear(log, event, since):
    """Seconds from then until the receiver was told so."""
    def told():
        with open(log) as f:
            return [r["time"] for r in map(json.loads, f) if r["content"].get("event") == event]
    return wait(f"the receiver to hear of {event}", lambda: os.path.exists(log) and told(), 20)[0] - since


def test_alert(build):
    """A target goes and comes back while people ask for far too much: whoever is to hear of it does in time."""
    with Controller(build, "--auto-approve") as c:
        log, running = f"{c.dir}/hooks", {}
        try:
            running["hook"] = Process([sys.executable, f"{HERE}/../support/receiver.py", log, f"{c.dir}/mode"], f"{c.dir}/receiver.log")
            running.update({a: start_agent(c, a) for a in ("a1", "a2")})
            wait("the receiver to listen", lambda: running["hook"].said("port"))
            wait("the agents", lambda: len(json.loads(c.ctl("agent", "list", "-o", "json"))["agents"]) == 2)
            apply(c, "alert", ALERTS % running["hook"].tail().split()[1])
            apply(c, "schedule", full(["a1", "a2"], classes={"voice": "spacing: 50ms, size: 100"}))
            wait("results", lambda: len(json.loads(c.request("GET", "/api/v1/summaries?from=-1h")[1])["summaries"]) >= 4)
            under_load(c, running, log)
        finally:
            for p in running.values():
                p.kill()


def under_load(c, running, log):
    floods = [threading.Thread(target=load, args=([f"127.0.1.{i}" for i in range(1, 11)], EACH, 10)),
              threading.Thread(target=flood_calls, args=(c, method_number("AuditList"), 4, 5 * CALLS, 10))]
    for t in floods:
        t.start()
    time.sleep(0.5)
    since = time.time()
    running["a2"].kill()
    raised = hear(log, "firing", since)
    since = time.time()
    running["a2"] = start_agent(c, "a2")
    cleared = hear(log, "resolved", since)
    busy = all(t.is_alive() for t in floods)
    for t in floods:
        t.join()
    print(f"# heard of a target that was gone after {raised:.1f} s, of its return after {cleared:.1f} s")
    expect(busy, "the load ended before")
    expect(1.0 <= raised < 3.0 + LATE and cleared < 3.0 + LATE, f"{raised:.1f} s, {cleared:.1f} s")


def test_idle_connections_keep_nobody_out(build):
    """Whoever opens all connections that there may be, from many addresses, and says nothing."""
    with Controller(build) as c:
        held = []
        for i in range(1000):
            s = socket.socket()
            s.bind((f"127.0.2.{1 + i // 50}", 0))
            s.connect(("127.0.0.1", PORT))
            held.append(s)
        since = time.monotonic()
        for path in ("/healthz", "/api/v1/status", "/"):
            conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
            conn.request("GET", path)
            expect(conn.getresponse().status == 200, path)
            conn.close()
        expect(time.monotonic() - since < LATE, f"{time.monotonic() - since:.1f} s beside idle connections")
        wait("those that made room to be counted", lambda: metrics(c)["twamp_http_cut_off_total"] >= 1000 - 712)
        for s in held:
            s.close()
