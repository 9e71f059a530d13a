"""Whom reflectors and TWAMP-Control servers answer, and how often: lists, floods, forged packets."""
import json
import os
import re
import signal

from lab import Lab, expect, wait

METRICS = "127.0.0.1:9862"

# FLOOD ADDRESS PORT RATE SECONDS: sends evenly, from several ports; prints how many it sent, how many came back, and how long it took.
FLOOD = """
import select, socket, sys, time
to, rate, seconds = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), float(sys.argv[4])
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
for s in socks:
    s.setblocking(False)
sent = got = 0
start = last = time.monotonic()
def drain(wait):
    global got, last
    for s in select.select(socks, [], [], wait)[0]:
        try:
            while s.recv(2000):
                got += 1
        except BlockingIOError:
            pass
while time.monotonic() - start < seconds:
    while sent < (time.monotonic() - start) * rate:
        try:
            socks[sent % 4].sendto(sent.to_bytes(4, 'big') + bytes([0xeb]) * 8 + bytes([0, 1]) + bytes(30), to)
        except BlockingIOError:
            pass
        sent += 1
        last = time.monotonic()
    drain(0.002)
for _ in range(100):
    drain(0.005)
print(sent, got, last - start)
"""

# FORGE FROM FROM_PORT TO TO_PORT: one TWAMP Light probe with somebody else's address.
FORGE = """
import socket, struct, sys
payload = struct.pack('>IQBB', 1, 0xeb00000012345678, 0, 1) + bytes(range(1, 40))
udp = struct.pack('>HHHH', int(sys.argv[2]), int(sys.argv[4]), 8 + len(payload), 0) + payload
ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[3]))
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.sendto(ip + udp, (sys.argv[3], 0))
"""


def python(lab, who, code, *args):
    return lab.exec(who, "/usr/bin/python3", "-c", code, *[str(a) for a in args])


def metric(lab, who, name):
    text = lab.exec(who, "curl", "-s", "-m", "5", f"http://{METRICS}/metrics")
    found = re.search(rf"^twamp_agent_{name}{{[^}}]*}} (\d+)$", text, re.M)
    expect(found, f"{who} has no metric {name}: {text[-300:]}")
    return int(found[1])


def counted(lab, who, name, wanted):
    got = metric(lab, who, name)
    expect(got == wanted, f"{name} of {who}: {got}, not {wanted}")
    return True


def probe(lab, who, to, count=1, *more):
    """How many of `count` probes are answered."""
    out = lab.exec(who, f"{lab.build}/agent/twamp", "sender", to, "-c", str(count), "-i", "5", "--timeout", "700ms", "--json", *more,
                   check=False)
    return json.loads(out)["total"]["received"]


def start(lab, name, *more):
    lab.start_agent(name, "--http", METRICS, *more)
    wait(f"{name} to be ready", lambda: "ready" in lab.agents[name].tail(50))


def test_a_flood_keeps_nobody_out(build):
    """Ten times what a source may, over four ports; another source loses nothing; every drop is told of everywhere."""
    with Lab(build, ["r", "bad", "good"]) as lab:
        lab.start_controller()
        start(lab, "r", "--reflect-rate", "400", "--reflect-burst", "50", "--workers", "2")
        wait("r to be known", lambda: "r" in {a["name"] for a in lab.agent_list()})
        lab.ctl("agent", "approve", "r")
        import threading
        flood = {}
        thread = threading.Thread(target=lambda: flood.update(out=python(lab, "bad", FLOOD, lab.ip4("r"), 862, 4000, 3)))
        thread.start()
        good = probe(lab, "good", f"{lab.ip4('r')}:862", 300)
        thread.join()
        sent, got, seconds = (float(x) for x in flood["out"].split())
        expect(good == 300, f"the polite source got {good} of 300 answers")
        expect(0 < got <= 50 + 400 * seconds + 40, f"the flood got {got:.0f} of {sent:.0f} answers in {seconds} s")
        expect(sent >= 5 * got, f"that was no flood: {sent} sent, {got} answered")
        dropped = metric(lab, "r", "reflector_rate_limited_total")
        expect(dropped + metric(lab, "r", "reflected_total") == sent + 300, f"{dropped} dropped, {sent} sent")
        expect(dropped == metric(lab, "r", "reflector_rejected_total"), "rejected for another reason")
        wait("the controller to know", lambda: f'twamp_agent_reflector_rate_limited_total{{agent="r"}} {dropped}' in lab.http("/metrics")[1], 25)
        expect(re.search(rf"Probes, too many +{dropped}\b", lab.ctl("agent", "show", "r")), lab.ctl("agent", "show", "r"))


def test_lists(build):
    """By file and options; a mistake keeps the list before; TWAMP-Control has its own."""
    with Lab(build, ["r", "a", "b"]) as lab:
        lab.start_controller()
        path = f"{lab.dir}/acl"

        def write(text):
            with open(f"{path}.new", "w") as f:
                f.write(text)
            os.rename(f"{path}.new", path)

        def reload():
            os.kill(lab.agents["r"].popen.pid, signal.SIGHUP)

        write(f"# a alone\nallow {lab.ip4('a')}\n")
        start(lab, "r", "--reflect-acl", path, "--reflect-deny", "192.0.2.0/24", "--control", f"{lab.ip4('r')}:862",
              "--control-deny", f"{lab.ip4('b')}/32", "--control-rate", "1")
        to = f"{lab.ip4('r')}:862"
        expect(probe(lab, "a", to, 3) == 3 and probe(lab, "b", to, 3) == 0, "a is answered, b is not")
        wait("b's to be counted", lambda: counted(lab, "r", "reflector_not_allowed_total", 3))
        write("allow nobody\n")
        reload()
        wait("the mistake to be told", lambda: "acl:1: " in lab.agents["r"].tail())
        wait("the metric to tell", lambda: metric(lab, "r", "access_lists_stale") == 1)
        expect(probe(lab, "a", to, 3) == 3 and probe(lab, "b", to, 3) == 0, "the list before is not in use")
        write(f"deny {lab.ip4('a')}\n")
        reload()
        wait("the list to be read", lambda: "read anew" in lab.agents["r"].tail())
        wait("the metric to tell", lambda: metric(lab, "r", "access_lists_stale") == 0)
        wait("b to be answered", lambda: probe(lab, "b", to, 3) == 3)
        expect(probe(lab, "a", to, 3) == 0, "a is answered, though it is denied")
        # TWAMP-Control: b is kept out; a may connect, but not for ever so often
        control = [f"{lab.build}/agent/twamp", "controller", f"{lab.ip4('r')}:862", "-c", "1", "-i", "5", "--timeout", "300ms"]
        lab.exec("a", *control)
        out = lab.exec("b", *control, check=False)
        expect("Session" not in out, out)
        wait("b's to be counted", lambda: counted(lab, "r", "control_not_allowed_total", 1))
        flood = "import socket, sys\nfor _ in range(530):\n    socket.create_connection((sys.argv[1], 862), 5).close()\n"
        python(lab, "a", flood, lab.ip4("r"))
        wait("the connections to be counted", lambda: metric(lab, "r", "control_rate_limited_total") >= 5)


def test_no_ping_pong(build):
    """Two reflectors at ports of their own, and a forged probe of one to the other: the answers do not go to and fro."""
    with Lab(build, ["one", "other", "evil"], port=8861) as lab:
        lab.start_controller()
        start(lab, "one")
        lab.port = 8999
        start(lab, "other")
        python(lab, "evil", FORGE, lab.ip4("other"), 8999, lab.ip4("one"), 8861)
        def both(name):
            return metric(lab, "one", name) + metric(lab, "other", name)

        wait("an answer to be refused", lambda: both("reflector_loops_total") == 1)
        hops = both("reflected_total")
        # one, as a rule; an answer that a busy host has held for long is not known as such, the next one is
        expect(1 <= hops <= 10 and both("reflector_loops_total") == 1, f"{hops} answers")
        # from a port where servers are
        python(lab, "evil", FORGE, lab.ip4("other"), 53, lab.ip4("one"), 8861)
        wait("that to be refused", lambda: both("reflector_loops_total") == 2)
        expect(both("reflected_total") == hops, "answered")
