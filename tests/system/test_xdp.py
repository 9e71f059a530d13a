"""The reflector in the network driver: it answers as the sockets do, octet for octet, or leaves it to them."""
import fcntl
import json
import socket
import struct

from lab import Lab, expect, sh, wait

SIOCETHTOOL, STXCSUM = 0x8946, 0x17

# Sends each datagram of argv from a socket of its own, prints the answer to it with TTL and TOS, or "-".
ASK = """
import socket, struct, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
six = family == socket.AF_INET6
level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
s, kept = None, []  # all are kept open: a port that comes again would be the session that it was
for row in sys.argv[2:]:
    port, tos, data = row.split(',')
    if port != '-' or s is None:
        s = socket.socket(family, socket.SOCK_DGRAM)
        kept.append(s)
        s.bind(('::' if six else '0.0.0.0', int(port) if port != '-' else 0))
        s.settimeout(0.3)
        s.setsockopt(level, 66 if six else 13, 1)  # (IPV6_RECV)TCLASS, IP_RECVTOS
        s.setsockopt(level, 51 if six else 12, 1)  # IPV6_RECVHOPLIMIT, IP_RECVTTL
    s.setsockopt(level, 67 if six else socket.IP_TOS, int(tos))
    s.sendto(bytes.fromhex(data), (sys.argv[1], 862))
    try:
        answer, facts, _, _ = s.recvmsg(2000, 200)
        print(answer.hex(), sorted((t, d[0]) for _, t, d in facts))
    except TimeoutError:
        print('-')
"""


def light(seq, size, error=1):
    head = struct.pack(">IQBB", seq, 0xeb00000012345678 + seq, 0, error)
    return head + bytes((i * 7 + seq + 1) % 256 for i in range(size - len(head)))


def stamp(seq, size, ssid=0, tail=b""):
    head = struct.pack(">IQBBH", seq, 0xeb00000012345678 + seq, 0x80, 3, ssid)
    return head + bytes(size - len(head) - len(tail)) + tail


EXTRA_PADDING = bytes([0x80, 1, 0, 4, 1, 2, 3, 4])

# name, source port ("0": a new one, "-": the one before), TOS, datagram, does the driver answer?
ROWS = [
    ("light, shortest", "0", 0, light(5, 14), False),
    ("light, one below the answer", "0", 0, light(5, 40), False),
    ("light, as long as the answer", "0", 0, light(5, 41), True),
    ("light, odd", "0", 0, light(6, 67), True),
    ("its second probe", "-", 0, light(7, 67), True),
    ("its third, of another size", "-", 0, light(8, 300), True),
    ("light, 1000", "0", 0xb8, light(5, 1000), True),
    ("light, ECN", "0", 0xbb, light(5, 100), True),
    ("light, largest", "0", 0, light(5, 1452), True),
    ("stamp", "0", 0, stamp(1, 44), True),
    ("stamp, SSID", "0", 0x28, stamp(1, 44, 0x1234), True),
    ("another SSID", "-", 0x28, stamp(2, 44, 0x4321), True),
    ("that SSID again", "-", 0x28, stamp(2, 44, 0x1234), True),
    ("stamp, padded", "0", 0, stamp(1, 101), True),
    ("stamp, TLV", "0", 0, stamp(1, 52, 0, EXTRA_PADDING), False),
    ("too short", "0", 0, light(5, 14)[:13], False),
    ("corrupt by its Error Estimate", "0", 0, light(5, 64, 0), False),
    ("from a reflector", "862", 0, light(5, 64), False),
    ("from a well-known port", "53", 0, light(5, 64), False),
    ("an answer", "0", 0, light(5, 16) + struct.pack(">Q", 0xeb00000012345678 + 5 - 1000) + bytes(40), False),
    ("stamp, authenticated", "0", 0, struct.pack(">I", 9) + bytes(12) + struct.pack(">QBB", 1 << 60, 0, 1) + bytes(86), False),
]


def ethtool(lab, who, device, command, value):
    """By ioctl, as ethtool does it."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/run/netns/{lab.ns(who)}") as there:
        expect(libc.setns(there.fileno(), 0) == 0, "setns")
        try:
            data = ctypes.create_string_buffer(struct.pack("II", command, value))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sQ8x", device.encode(), ctypes.addressof(data)))
        finally:
            libc.setns(own.fileno(), 0)


def prepare(lab, asker, *reflectors):
    """veth hands over what its other end's driver answers only if a program is at this end, too: the same one, which has
    nothing to answer there. And a checksum that is left to the driver is never made."""
    ethtool(lab, asker, "eth0", STXCSUM, 0)
    for name in reflectors:
        sh("ip", "-n", lab.ns("sw"), "link", "set", "dev", f"p{11 + lab.names.index(name)}", "xdpdrv", "obj",
           f"{lab.build}/agent/reflect.bpf.o", "sec", "xdp")


def ask(lab, address, rows):
    out = lab.exec("asker", "/usr/bin/python3", "-c", ASK, address, *[f"{port},{tos},{data.hex()}" for _, port, tos, data, _ in rows])
    return out.splitlines()


def without_times(line):
    """T3 (4..12) and T2 (16..24) differ, all the rest is to be equal."""
    if line == "-":
        return line
    data, facts = line.split(" ", 1)
    return data[:8] + data[24:32] + data[48:] + facts


def health(lab, name):
    return next(a for a in lab.api("/api/v1/agents")["agents"] if a["name"] == name)["health"] or {}


def counted(got, field, wanted):
    expect(got.get(field) == wanted, f"{field}: {got.get(field)}")
    return True


def check_times(name, line, stamp_kind):
    data = bytes.fromhex(line.split()[0])
    t3, t2 = struct.unpack_from(">Q", data, 4)[0], struct.unpack_from(">Q", data, 16)[0]
    import time
    now = time.time() + 2208988800
    expect(abs(t3 / 2**32 - now) < 60 and 0 <= t3 - t2 < 2**32, f"{name}: T2 {t2:x}, T3 {t3:x} at {now}")


def test_answers_as_the_sockets_do(build):
    with Lab(build, ["asker", "driver", "plain"]) as lab:
        prepare(lab, "asker", "driver")
        lab.start_controller()
        lab.start_agent("driver", "--reflect", "[::]:862", "--xdp", "eth0")
        lab.start_agent("plain", "--reflect", "[::]:862")
        for name in ("driver", "plain"):
            wait(f"{name} to be known", lambda n=name: n in {a["name"] for a in lab.agent_list()})
            lab.ctl("agent", "approve", name)
        text = lab.agents["driver"].tail()
        expect("the network driver answers plain probes" in text, text)
        asked = 0
        for address in (lab.ip4, lab.ip6):
            driver, plain = ask(lab, address("driver"), ROWS), ask(lab, address("plain"), ROWS)
            for row, got, wanted in zip(ROWS, driver, plain, strict=True):
                expect(without_times(got) == without_times(wanted), f"{row[0]}:\n{got}\n{wanted}")
                expect(got != "-" or not row[4], f"{row[0]}: no answer from {address('driver')}")
                if got != "-":
                    check_times(row[0], got, "stamp" in row[0])
            asked += sum(row[4] for row in ROWS)
        wait(f"{asked} answers of the driver to be counted", lambda: counted(health(lab, "driver"), "reflected_xdp", asked), 25)
        for field in ("reflected", "reflected_stamp", "reflector_rejected", "reflector_loops"):
            wait(f"{field} to be the same", lambda f=field: health(lab, "plain").get("reflected") and
                 counted(health(lab, "driver"), f, health(lab, "plain")[f]), 25)
        wanted = health(lab, "plain")
        expect(wanted["reflected_xdp"] == 0, "the sockets' agent counts answers of a driver")


def test_measures_through_the_driver(build):
    """The sender's numbers: no loss, hops, marking, and a stateful reflector, while the checksums are verified on the way."""
    with Lab(build, ["asker", "driver"]) as lab:
        prepare(lab, "asker", "driver")
        lab.start_controller()
        lab.start_agent("driver", "--xdp", "eth0")
        wait("the driver to answer", lambda: "the network driver answers" in lab.agents["driver"].tail())
        out = lab.exec("asker", f"{lab.build}/agent/twamp", "sender", f"{lab.ip4('driver')}:862", "-c", "200", "-i", "2",
                       "--timeout", "1s", "--dscp", "ef", "--json")
        total = json.loads(out)["total"]
        expect(total["sent"] == total["received"] == 200, str(total))
        expect(total["ttl_backward_min"] == 255 and total["tos_backward_max"] == 0xb8, str(total))
        expect(total["rejected"] == total["duplicates"] == total["reordered_roundtrip"] == 0, str(total))


def test_allows_whom_it_is_told_to(build):
    with Lab(build, ["asker", "driver", "plain"]) as lab:
        prepare(lab, "asker", "driver")
        lab.start_controller()
        for name, more in (("driver", ["--xdp", "eth0"]), ("plain", [])):
            lab.start_agent(name, "--reflect-allow", f"{lab.ip4('asker')}/32,fd00::/16", *more)
        rows = [("allowed", "0", 0, light(1, 64), True)]
        for name in ("driver", "plain"):
            wait(f"{name} to answer", lambda n=name: ask(lab, lab.ip4(n), rows) != ["-"])
        lab.exec("asker", "ip", "addr", "flush", "dev", "eth0")
        lab.exec("asker", "ip", "addr", "add", "10.99.77.200/24", "dev", "eth0")
        for name in ("driver", "plain"):
            expect(ask(lab, lab.ip4(name), rows) == ["-"], f"{name} answers whom it is not to")


def test_falls_back_to_the_sockets(build):
    with Lab(build, ["asker", "driver"]) as lab:
        lab.start_controller()
        for device, why in (("lo", "native XDP"), ("nowhere", "there is no interface")):
            lab.start_agent("driver", "--xdp", device)
            wait("the agent to say so", lambda w=why: w in lab.agents["driver"].tail() and
                 "the sockets answer all probes" in lab.agents["driver"].tail())
            wait("its sockets to answer", lambda: ask(lab, lab.ip4("driver"), [ROWS[0]]) != ["-"])
            lab.agents["driver"].stop()


def test_limits_as_the_sockets_do(build):
    """A source that asks ten times too often, some of it for the driver, some for the sockets: together it gets its share."""
    flood = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
sent = got = 0
start = time.monotonic()
def drain():
    global got
    try:
        while s.recv(2000):
            got += 1
    except BlockingIOError:
        pass
while (now := time.monotonic() - start) < 2:
    while sent < now * 2000:
        s.sendto(bytes([0, 0, 0, 1]) + bytes([0xeb]) * 8 + bytes([0, 1]) + bytes([0x55]) * (50 if sent % 2 else 20), (sys.argv[1], 862))
        sent += 1
    drain()
    time.sleep(0.002)
time.sleep(0.5)
drain()
print(sent, got, now)
"""
    with Lab(build, ["asker", "driver"]) as lab:
        prepare(lab, "asker", "driver")
        lab.start_controller()
        lab.start_agent("driver", "--xdp", "eth0", "--reflect-rate", "200", "--reflect-burst", "20", "--reflect-deny", "192.0.2.0/24",
                        "--http", "127.0.0.1:9862")
        wait("the driver to answer", lambda: "the network driver answers" in lab.agents["driver"].tail())
        sent, got, seconds = (float(x) for x in lab.exec("asker", "/usr/bin/python3", "-c", flood, lab.ip4("driver")).split())
        expect(0 < got <= 20 + 200 * seconds + 20, f"{got} of {sent} answered in {seconds} s")
        text = lab.exec("driver", "curl", "-s", "http://127.0.0.1:9862/metrics")
        dropped = int(text.split('reflector_rate_limited_total{agent="driver"} ')[1].split()[0])
        expect(dropped == sent - got, f"{dropped} counted of {sent - got}")
