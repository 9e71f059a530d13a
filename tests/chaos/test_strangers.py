"""An agent that was let in and is hostile."""
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
from rig import ChaosLab, pair_id
from tool_rig import ns_socket

TWO = ["a1", "a2"]
ADDRESS = (f"{NET4}.{CONTROLLER}", 8620)
GROWTH_KB = 128 * 1024
TAKEN, REFUSED, ANY = "taken", "refused", "any"
KINDS = {wire.REPLY: "REPLY", wire.ACK: "ACK", wire.PONG: "PONG", wire.GOAWAY: "GOAWAY"}


def rss_kb(p):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p.popen.pid}/status").read_text())[1])


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
