"""Five times as many results as the controller's disk can take, for as long as that is offered: memory is bounded, what people ask for is
answered, an alert is raised in time, fresh results are stored soon, and nothing is lost or stored twice. On loopback, without namespaces.

The disk is made slow by the shim of tests/chaos, so that what is sustainable is known and small on any machine; it is measured first."""
import collections
import contextlib
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time

from lab import Process, expect, wait
from meshes import full
from test_access import Controller
from test_life import ENDS_IN, end
from test_overload import ALERTS, HERE, apply, hear, rss, start_agent

sys.path.append(f"{HERE}/../chaos")
from rig import SQLITE, Shim  # noqa: E402

ALONE = True  # it uses ports of the host itself

AGENTS, DEGREE, RUDE = 8, 7, 2
KEEP = 8000               # under way while what is sustained is measured
QUEUE, EACH = 32768, 4096 # summaries that the writer's queue may have; of one agent
FSYNC_S = 0.5             # each; a commit of 1,000 summaries needs one, and so does a slice of the roll-up behind it
TIMES = 5                 # of what is sustainable
MEASURE_S, OVERLOAD_S = 4, 6
CONTROL_S = 3.0           # everything that people ask for, on a busy machine; commits in between take 2 * FSYNC_S
FRESH_S = 12.0            # what a real agent has measured is stored
ALERT_S = 20.0            # an alert is heard of
GROWTH = 96 << 20


class Slow(Controller):
    """With a disk that is slow when it is told to be."""

    def __init__(self, build):
        super().__init__(build, "--auto-approve")
        self.shim = Shim(f"{self.dir}/shim", 1)
        self.env = {"LD_PRELOAD": f"{os.path.abspath(build)}/tests/chaos/chaos_shim.so", "CHAOS_CONTROL": self.shim.path}

    def slow(self):
        self.shim.fail(["fsync"], 1.0, delay=FSYNC_S, parties=SQLITE)

    @property
    def database(self):
        return f"{self.dir}/data/controller.db"


class Load:
    """tests/soak/overload_agents.c"""

    def __init__(self, c, agents=AGENTS, degree=DEGREE, rude=RUDE):
        self.ledger, self.document = f"{c.dir}/ledger", f"{c.dir}/bench.yaml"
        os.mkdir(f"{c.dir}/agents")
        self.p = subprocess.Popen([f"{c.build}/tests/soak/overload_agents", f"ipc://{c.dir}/fleet.sock", f"{c.dir}/agents", str(agents), str(degree), str(rude),
                                   self.document, self.ledger], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.now = {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait("the document of the simulated agents", lambda: os.path.exists(self.document), 30)
        c.ctl("schedule", "apply", "-f", self.document, "--force")
        wait("all to be connected", lambda: self.now.get("connected") == agents)

    def read(self):
        for line in self.p.stdout:
            self.now = json.loads(line)

    def tell(self, text):
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()

    def pace(self, seconds):
        """Acknowledged in each second."""
        begun, before = time.monotonic(), self.now["acked"]
        time.sleep(seconds)
        return (self.now["acked"] - before) / (time.monotonic() - begun)

    def drained(self):
        expect(self.p.poll() is None, "the simulated agents have ended")
        return self.now["acked"] == self.now["offered"]

    def end(self):
        self.p.stdin.close()
        self.p.wait(10)


class Control:
    """What people do, again and again, and how long it took; meanwhile memory, and how old a real agent's newest result is."""

    def __init__(self, c):
        self.c, self.times, self.wrong, self.memory, self.age, self.over = c, collections.defaultdict(list), [], 0, 0.0, False
        self.threads = [threading.Thread(target=run) for run in (self.people, self.watch)]

    def do(self, what, fn):
        since = time.monotonic()
        try:
            fn()
        except Exception as e:  # told below, by the test's own thread
            self.wrong.append((what, repr(e)[:300]))
        self.times[what].append(time.monotonic() - since)

    def people(self):
        turn = 0
        while not self.over:
            turn += 1
            apply_turn = full(["a1", "a2"], classes={"voice": f"spacing: {50 + turn % 2}ms, size: 100"})
            self.do("schedule apply", lambda text=apply_turn: apply(self.c, "schedule", text))
            self.do("agent show", lambda: self.c.ctl("agent", "show", "a1"))
            self.do("status", lambda: self.c.ctl("status"))
            self.do("test, stopped", self.stop_a_test)

    def stop_a_test(self):
        """It is stopped by a signal soon after its start; how long that takes counts."""
        p = subprocess.Popen([f"{self.c.build}/controller/cli/twampctl", "--controller", self.c.admin, "test", "a1", "a2", "--duration", "60s"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        said = p.communicate(timeout=30)[1]
        expect(p.returncode in (0, 1, 130), f"twampctl test ended with {p.returncode}: {said}")

    def watch(self):
        while not self.over:
            for path in ("/healthz", "/metrics", "/readyz"):
                self.do(path, lambda path=path: expect(self.c.request("GET", path)[0] == 200, path))
            self.memory = max(self.memory, rss(self.c))
            self.age = max(self.age, newest_age(self.c))
            time.sleep(0.1)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for t in self.threads:
            t.join()

    def text(self):
        return ", ".join(f"{what} {len(v)}: {max(v):.2f} s" for what, v in self.times.items())


def newest_age(c):
    """How old the newest summary of the real agent a1 is."""
    with contextlib.closing(sqlite3.connect(f"file:{c.database}?mode=ro", uri=True, timeout=20)) as con:
        return time.time() - con.execute("select max(start_ns) + 1000000000 from latest join pair on pair.id = pair_id where source = 'a1'").fetchone()[0] / 1e9


def metric(c, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", c.request("GET", "/metrics")[1], re.M)[1])


def stored_of(c, ledger):
    """Compares what was offered with what is stored: nothing lost, doubled, altered."""
    with open(ledger, "rb") as f:
        offered = collections.Counter(struct.iter_unpack("=qq", f.read()))
    con = sqlite3.connect(f"file:{c.database}?mode=ro", uri=True, timeout=20)
    con.execute("begin")
    bench = {r[0] for r in con.execute("select id from pair where mesh = 'bench'")}
    stored, altered = collections.Counter(), 0
    for (t,) in con.execute("select name from sqlite_schema where type = 'table' and name glob 'summary_[0-9]*'").fetchall():
        for pair, end_ns, start_ns, sent, received in con.execute(f"select pair_id, end_ns, start_ns, sent, received from {t}"):
            if pair in bench:
                stored[pair, end_ns] += 1
                altered += (sent, received, end_ns - start_ns) != (100, 100, 10_000_000_000)
    gaps = con.execute("select count(*) from gap").fetchone()[0]
    con.close()
    lost, more = offered - stored, stored - offered
    expect(not lost and not more and not altered and not gaps,
           f"{sum(offered.values())} offered, {sum(stored.values())} stored; {sum(lost.values())} lost, {sum(more.values())} too many, {altered} altered, {gaps} gaps")
    return sum(stored.values())


def start_fleet(c, running):
    """Two real agents and a receiver of alerts beside the simulated ones."""
    log = f"{c.dir}/hooks"
    running["hook"] = Process([sys.executable, f"{HERE}/../support/receiver.py", log, f"{c.dir}/mode"], f"{c.dir}/receiver.log")
    running.update({a: start_agent(c, a) for a in ("a1", "a2")})
    wait("the receiver to listen", lambda: running["hook"].said("port"))
    wait("the agents", lambda: len(json.loads(c.ctl("agent", "list", "-o", "json"))["agents"]) == 2)
    apply(c, "alert", ALERTS % running["hook"].tail().split()[1])
    apply(c, "schedule", full(["a1", "a2"], classes={"voice": "spacing: 50ms, size: 100"}))
    wait("results", lambda: len(json.loads(c.request("GET", "/api/v1/summaries?from=-1h")[1])["summaries"]) >= 4)
    return log


def test_ingest(build):
    with Slow(build) as c:
        running, load = {}, None
        try:
            log = start_fleet(c, running)
            load = Load(c)
            under_pressure(c, running, load, log)
        finally:
            if load:
                load.end()
            for p in running.values():
                p.kill()


def under_pressure(c, running, load, log):
    c.slow()
    load.tell(f"keep {KEEP}")
    time.sleep(2)
    sustained = load.pace(MEASURE_S)
    load.tell("rate 0")
    c.shim.off()
    wait("what was offered to be stored", load.drained, 30)
    before = rss(c)
    c.slow()
    load.tell(f"rate {TIMES * sustained:.0f}")
    begun, had = time.monotonic(), load.now["offered"]
    with Control(c) as people:
        time.sleep(2)
        served, since = [], time.time()
        running["a2"].kill()
        pace = threading.Thread(target=lambda: served.append(load.pace(OVERLOAD_S)))
        pace.start()
        raised = hear(log, "firing", since)
        pace.join()
    queued, longest = metric(c, "twamp_ingest_queue_rows"), metric(c, "twamp_loop_longest_piece_seconds")
    load.tell("rate 0")
    offered, acked = load.now["offered"], load.now["acked"]
    rate = (offered - had) / (time.monotonic() - begun)
    c.shim.off()
    wait("all that was offered to be stored", load.drained, 60)
    load.end()
    stored = stored_of(c, load.ledger)
    print(f"# {sustained:.0f} summaries/s are sustained; of {rate:.0f}/s offered {served[0]:.0f}/s were stored ({served[0] / sustained:.2f}), "
          f"{offered - acked} waited at the end, {load.now['refusals']} refusals; memory {before >> 20} to {people.memory >> 20} MB; {queued:.0f} queued; "
          f"the newest of a real agent at most {people.age:.1f} s old; an alert heard after {raised:.1f} s; longest piece of the loop {longest * 1000:.0f} ms; {people.text()}; {stored} stored once")
    expect(load.now["refusals"] > 0, "agents that heed no window were not refused anything")
    expect(not people.wrong, f"{people.wrong[:3]}")
    expect(people.memory - before < GROWTH, f"memory grew from {before >> 20} to {people.memory >> 20} MB")
    slowest = max(max(v) for v in people.times.values())
    expect(slowest < CONTROL_S, f"{slowest:.2f} s: {people.text()}")
    expect(raised < ALERT_S and people.age < FRESH_S, f"alert after {raised:.1f} s, results {people.age:.1f} s old")
    expect(rate > 0.6 * TIMES * sustained and served[0] > sustained / 2, f"{served[0]:.0f}/s of {sustained:.0f}/s, {rate:.0f}/s offered")
    expect(longest < 0.25, f"a piece of work held up the loop for {longest:.2f} s")


def test_sigterm_with_a_full_queue(build):
    """Agents that heed no window fill the writer's queue to the last summary; the controller ends in time all the same, and they bring again what it had not written."""
    with Slow(build) as c:
        load = Load(c, 2 * QUEUE // EACH, DEGREE, 2 * QUEUE // EACH)
        try:
            c.slow()
            load.tell(f"keep {3 * QUEUE // 2}")
            queued = wait("a full queue", lambda: load.now["refusals"] > 0 and (lambda n: n > 0.95 * QUEUE and n)(metric(c, "twamp_ingest_queue_rows")), 30)
            load.tell("rate 0")
            took = end(c.process, f"controller, {queued:.0f} summaries queued")
            said = c.process.tail()
            expect("not all could be written before the end" in said, said)
            c.shim.off()
            c.start()
            wait("all that was offered to be stored", load.drained, 60)
            print(f"# {stored_of(c, load.ledger)} stored once")
            expect(took < ENDS_IN + 2, f"{took:.2f} s")
        finally:
            load.end()
