"""An agent that was let in and is hostile, and a thousand that come back at once."""
import pathlib
import re
import socket
import sqlite3
import struct
import threading
import time

import wire
from lab import CONTROLLER, NET4, expect, wait
from meshes import full
from rig import ChaosLab
from tool_rig import ns_socket

TWO = ["a1", "a2"]
ADDRESS = (f"{NET4}.{CONTROLLER}", 8620)
GROWTH_KB = 128 * 1024
TAKEN, REFUSED, ANY = "taken", "refused", "any"
KINDS = {wire.REPLY: "REPLY", wire.ACK: "ACK", wire.PONG: "PONG", wire.GOAWAY: "GOAWAY"}
HERD, EACH = 1000, 3  # agents, summaries before and after the controller's end


def pair_id(*names):
    """As the controller computes it from mesh, class, source and target: FNV-1a with a last stir."""
    h, mask = 0xcbf29ce484222325, (1 << 64) - 1
    for octet in b"".join(n.encode() + b"\0" for n in names):
        h = (h ^ octet) * 0x100000001b3 & mask
    h ^= h >> 32
    return ((h * 0x9e3779b97f4a7c15 & mask) >> 11) or 1


def rss_kb(p):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p.popen.pid}/status").read_text())[1])


def note(lab, agent, run, summaries):
    """Keeps the journal of an agent that has no shim: all of it is durable, since this test sends it until it is acknowledged."""
    with open(f"{lab.dir}/journal/{agent.name}.{run:04d}", "ab") as f:
        for s in summaries:
            f.write(struct.pack("=IIq", ord("S"), len(s), time.monotonic_ns()) + s)
        f.write(struct.pack("=IIqQ", ord("K"), 8, time.monotonic_ns(), len(summaries)))


def connect(lab, agent, who="a1", **kw):
    """(HELLO_OK or GOAWAY)"""
    agent.close()
    agent.connect(ns_socket(lab.ns(who), kind=socket.SOCK_STREAM), ADDRESS)
    return agent.hello(**kw)


def stored(lab, sql, *args):
    con = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True, timeout=20)
    table = con.execute("select max(name) from sqlite_schema where type = 'table' and name glob 'summary_[0-9]*'").fetchone()[0]
    n = con.execute(f"select count(*) from {table} where {sql}", args).fetchone()[0]
    con.close()
    return n


def attacks(lab, evil, now):
    """name, what is sent on a connection of its own, what comes of it: TAKEN, REFUSED, or ANY when it depends on the moment"""
    names = ("lab", "voice", "a2")
    of_a1 = wire.summary(pair_id("lab", "voice", "a1", "a2"), now + 7, 0, names)
    mine = wire.summary(pair_id("lab", "voice", "evil", "a2"), now, 0, names)
    data = lambda *a, **kw: wire.frame(wire.DATA, wire.octets(9, wire.batch(evil.spool, *a, **kw)))  # noqa: E731
    lie = mine.replace(wire.number(14, 10), wire.number(14, 9))
    return [
        ("another's pair", data(1, [of_a1]), TAKEN),
        ("numbers out of sequence", data(500, [mine]), REFUSED),
        ("number 0", data(0, [mine]), REFUSED),
        ("the largest number", data((1 << 63) - 1, [mine]), REFUSED),
        ("a summary that contradicts itself", data(2, [lie]), REFUSED),
        ("257 summaries in a batch", data(2, [mine] * 257), REFUSED),
        ("another's spool", wire.frame(wire.DATA, wire.octets(9, wire.batch(b"x" * 16, 1, [mine]))), REFUSED),
        ("a gap that ends before it begins", data(9, gap=wire.number(1, 9) + wire.number(2, 3) + wire.octets(3, "spool_full")), REFUSED),
        ("a giant announced", b"\x7f\xff\xff\xff" + b"x" * 1000, REFUSED),
        ("a message of 2 MiB", struct.pack(">I", 2 << 20) + bytes(2 << 20), REFUSED),
        ("noise", lab.rng.randbytes(5000), REFUSED),
        ("a service that is not for agents", wire.frame(wire.REQUEST, wire.number(2, 3), wire.number(3, 3 * 256), wire.octets(9, b"")), REFUSED),
        ("answers to nobody", b"".join(wire.frame(wire.REPLY, wire.number(2, 2 * i), wire.octets(9, b"z")) for i in range(1, 3000)) + wire.frame(wire.PING, wire.number(2, 1)), TAKEN),
        ("a flood of pings", wire.frame(wire.PING, wire.number(2, 1)) * 50000, TAKEN),
        ("a flood of enrolments", wire.frame(wire.REQUEST, wire.number(2, 5), wire.number(3, 512), wire.octets(9, b"")) * 5000, ANY),
        ("twenty times the window", b"".join(data(2 + 250 * i, [mine] * 250) for i in range(80)), ANY),
    ]


def let_in(lab, evil):
    connect(lab, evil)
    evil.enrol(lab.ip4("a1"))
    wait("evil to be known", lambda: any(a["name"] == "evil" for a in lab.agent_list()))
    lab.ctl("agent", "approve", "evil")
    wait("evil to be let in", lambda: (connect(lab, evil) or {}).get(1) == wire.HELLO_OK)


def test_hostile_agent(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        evil, now = wire.Agent("evil", lab.rng), time.time_ns()
        let_in(lab, evil)
        got = connect(lab, wire.Agent("evil", lab.rng), name="a1")
        expect(not got or got[1] == wire.GOAWAY, f"another's name was accepted: {got}")
        before = rss_kb(lab.controller)
        for what, octets, answer in attacks(lab, evil, now):
            got = connect(lab, evil)
            expect(got and got[1] == wire.HELLO_OK, f"before {what}: {got}: evil was let in once, and must be again")
            evil.sock.settimeout(5)
            sender = threading.Thread(target=evil.send, args=(octets,))  # who does not listen meanwhile is stopped by its own window
            sender.start()
            got = evil.take()
            sender.join(20)
            outcome = REFUSED if not got or got[1] == wire.GOAWAY or got.get(4) else TAKEN
            lab.say(f"{what}: {KINDS.get(got[1], got[1]) if got else 'hung up'} {got.get(5, b'').decode() if got else evil.dead}")
            expect(answer in (outcome, ANY), f"{what} was {outcome}: {got}")
            expect(lab.controller.alive(), f"{what} ended the controller: {lab.controller.tail()}")
        evil.close()
        expect(stored(lab, "start_ns = ?", now + 7) == 0, "a summary was stored for another's pair")
        expect(all(a["state"] == "up" for a in lab.agent_list() if a["name"] in TWO), "an honest agent went down")
        after = rss_kb(lab.controller)
        lab.say(f"memory {before // 1024} MB, then {after // 1024} MB")
        expect(after - before < GROWTH_KB, f"the controller grew from {before} to {after} kB")
        lab.progress("results of the others")
        lab.ctl("agent", "revoke", "evil", "--yes")
        got = connect(lab, evil)
        expect(not got or got[1] == wire.GOAWAY, f"who was revoked is let in: {got}")
        con = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True)
        ids = {i for (i,) in con.execute("select id from pair where source = 'evil'")}
        con.close()
        lab.verdict(exact=False, apart=ids)


class Member:
    """One of the herd: keeps what it has closed until it is acknowledged."""

    def __init__(self, lab, i):
        self.lab, self.agent, self.log = lab, wire.Agent(f"herd-{i:04d}", lab.rng), []
        self.id = pair_id("herd", "c", self.agent.name, "a2")
        self.connected = self.failed = None

    def close_some(self, run):
        at = 1_000_000_000 * (time.time_ns() // 1_000_000_000) - 10**12
        new = [wire.summary(self.id, at + 10**9 * len(self.log) + 10**9 * k, len(self.log) + k, ("herd", "c", "a2")) for k in range(EACH)]
        self.log += new
        note(self.lab, self.agent, run, new)

    def deliver(self, start):
        """Until all is acknowledged; a refused connection is tried again, as agents do."""
        start.wait()
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                got = connect(self.lab, self.agent, "a1" if hash(self.agent.name) % 2 else "a2")
                if got and got[1] == wire.HELLO_OK:
                    self.connected = self.connected or time.monotonic()
                    if self.send_rest(got.get(7, 0)):
                        return
            except OSError as e:
                self.failed = e
            time.sleep(self.lab.rng.uniform(0.1, 1.0))  # as the client's own backoff
        self.failed = self.failed or "time is up"

    def send_rest(self, through):
        while through < len(self.log):
            self.agent.send(wire.frame(wire.DATA, wire.octets(9, wire.batch(self.agent.spool, through + 1, self.log[through:]))))
            got = self.agent.until(wire.ACK)
            if not got or got[1] != wire.ACK or got.get(4):
                return False
            through = got.get(7, 0)
        return True


def all_deliver(lab, herd):
    start = threading.Event()
    for m in herd:
        m.connected = m.failed = None
    threads = [threading.Thread(target=m.deliver, args=(start,), daemon=True) for m in herd]
    for t in threads:
        t.start()
    began = time.monotonic()
    start.set()
    for t in threads:
        t.join(120)
    late = [m for m in herd if not m.connected]
    expect(not late, f"{len(late)} of {len(herd)} never came in, as {late[0].agent.name if late else ''}: {late[0].failed if late else ''}")
    return max(m.connected for m in herd) - began, time.monotonic() - began


def test_herd(build, seed, n=1):
    threading.stack_size(256 * 1024)
    with ChaosLab(build, TWO, seed, controller_options=["--auto-approve"]) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        herd = [Member(lab, i) for i in range(HERD)]
        for run in range(1 + n):
            for m in herd:
                m.close_some(run)
            if run:
                lab.controller.kill()
                lab.start_controller()
            came, done = all_deliver(lab, herd)
            lab.say(f"{HERD} agents at once: all in after {came:.1f} s, all acknowledged after {done:.1f} s; {rss_kb(lab.controller) // 1024} MB")
            lab.progress("results of the others", 60)
        for m in herd:
            m.agent.close()
        lab.verdict()
