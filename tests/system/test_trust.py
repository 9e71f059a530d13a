"""Who may store what; what strangers can do to the controller's port."""
import os
import subprocess
import sys
import time

from lab import CONTROLLER, NET4, Lab, expect, wait
from meshes import full, one_way

# Runs inside the controller's namespace: opens n bad connections of several kinds and holds the silent ones.
STRANGER = r"""
import os, random, socket, sys, time
host, n, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
held = []
for i in range(n):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect((host, 8620))
        kind = i % 5
        if kind == 0:
            held.append(s)                                        # silent for ever
            continue
        if kind == 1:
            s.sendall(rng.randbytes(rng.randrange(1, 4000)))      # garbage
        elif kind == 2:
            s.sendall((0xffffffff).to_bytes(4, "big") + b"x" * 64) # a giant frame announced
        elif kind == 3:
            s.sendall((100).to_bytes(4, "big") + b"\x08\x01")      # half a frame, then silence
            held.append(s)
            continue
        else:
            s.recv(10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # reset
        s.close()
    except OSError:
        s.close()
print("done", flush=True)
sys.stdin.read()
"""


def test_unknown_agent_can_store_nothing(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        lab.start_agent("a1")
        lab.start_agent("a2")
        wait("pending agents", lambda: len([a for a in lab.agent_list() if a["state"] == "pending"]) == 2)
        code, _, err = lab.ctl_run("schedule", "apply", "-f", "-", input=one_way("a1", "a2"))
        expect(code == 5 and "a1" in err, f"a mesh of pending agents: exit {code}: {err}")
        lab.ctl("agent", "approve", "a2")
        wait("one agent up", lambda: [a["state"] for a in lab.agent_list() if a["name"] == "a2"] == ["up"])
        expect([a["state"] for a in lab.agent_list() if a["name"] == "a1"] == ["pending"], "a1 is not pending any more")
        expect(lab.results() == [], "something was stored")
        lab.ctl("agent", "approve", "a1")
        wait("both up", lambda: all(a["state"] == "up" for a in lab.agent_list()))
        lab.apply(one_way("a1", "a2"))
        wait("results after approval", lambda: lab.results("mesh=lab"))


def test_another_key_under_a_known_name_is_refused(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.agents["a1"].stop()
        lab.start_agent("a1", key_from="impostor")
        wait("the refusal in the agent's log", lambda: "another key" in lab.agents["a1"].tail())
        expect([a["state"] for a in lab.agent_list() if a["name"] == "a1"] == ["down"], "the impostor was let in")


def silent_for(lab, who, name, seconds):
    """True once the counter has stood still for so long."""
    seen, since = lab.counter(who, name), time.monotonic()

    def quiet():
        nonlocal seen, since
        now = lab.counter(who, name)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > seconds
    return quiet


def test_removed_agent_is_cut_off(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.count("a2", "probes", "udp dport 862")
        lab.apply(one_way("a1", "a2"))
        wait("results", lambda: lab.results("mesh=lab"))
        removed = time.monotonic()
        lab.ctl("agent", "remove", "a1", "--yes")
        wait("it to come back as a stranger", lambda: [a["state"] for a in lab.agent_list() if a["name"] == "a1"] == ["pending"])
        wait("its probes to stop", silent_for(lab, "a2", "probes", 1), 10)
        expect(time.monotonic() - removed < 7, "it went on probing for more than 5 s")
        n = len(lab.results("mesh=lab"))
        lab.agents["a1"].stop()
        lab.start_agent("a1")
        wait("it to connect again", lambda: "state=pending" in lab.agents["a1"].tail())
        wait("it to stay silent", silent_for(lab, "a2", "probes", 2), 10)
        expect(len(lab.results("mesh=lab")) == n, "a removed agent's results are still stored")


def test_agent_removed_while_away_stops_on_return(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        wait("results", lambda: lab.results("mesh=lab"))
        lab.agents["a1"].stop()
        lab.ctl("agent", "remove", "a1", "--yes")
        lab.count("a2", "probes", "udp dport 862")
        lab.start_agent("a1")
        wait("it to be told", lambda: "sessions=0" in lab.agents["a1"].tail())
        wait("its probes to stop", silent_for(lab, "a2", "probes", 2), 10)
        # Approved again, it gets its sessions back.
        lab.ctl("agent", "approve", "a1")
        before = lab.counter("a2", "probes")
        lab.ctl("schedule", "list")
        wait("probes after the new approval", lambda: lab.counter("a2", "probes") > before + 50)


def test_2000_bad_connections_while_agents_report(build):
    with Lab(build, ["a1", "a2", "late"]) as lab:
        lab.start_fleet()
        lab.agents["late"].stop()
        lab.apply(full(["a1", "a2"]))
        wait("results", lambda: lab.results("mesh=lab"))
        fds = lambda: len(os.listdir(f"/proc/{lab.controller.popen.pid}/fd"))
        before = fds()
        strangers = [subprocess.Popen(["ip", "netns", "exec", lab.ns("ctl"), sys.executable, "-c", STRANGER,
                                       f"{NET4}.{CONTROLLER}", "500", str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                     for i in range(4)]
        try:
            for p in strangers:
                expect(p.stdout.readline() == b"done\n", "a stranger died")
            mark = time.time_ns()
            wait("fresh results during the abuse", lambda: max(r["end_ns"] for r in lab.results("mesh=lab")) > mark, 15)
            # An agent that comes now, among the silent ones, must get in.
            lab.start_agent("late")
            wait("an agent to connect during the abuse", lambda: all(a["state"] == "up" for a in lab.agent_list()), 20)
            wait("the silent ones to be cut off", lambda: fds() < before + 40, 45)  # 30 s for those that have said something
        finally:
            for p in strangers:
                p.kill()
                p.wait()
        expect(lab.controller.alive(), "the controller died")
        pairs = lab.api("/api/v1/report?mesh=lab")["pairs"]
        expect(all(p["lost"] == 0 for p in pairs), "the abuse disturbed the measurement")


def test_reflector_survives_junk(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        junk = ("import random,socket; r=random.Random(7); s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for i in range(20000): s.sendto(r.randbytes(r.randrange(0, 1400)), ('{lab.ip4('a2')}', 862))\n")
        lab.exec("a1", sys.executable, "-c", junk)
        expect(lab.agents["a2"].alive(), "the agent died of junk")
        lab.apply(one_way("a1", "a2"))
        wait("results after the junk", lambda: [r for r in lab.results("mesh=lab") if r["received"] > 50])
