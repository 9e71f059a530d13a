"""The stand-alone tool. One test per fault of the Python tool twampy, by its number in the list of those that must not come back;
then what else users see. Peers are scripted; the tool is the real binary.
"""
import csv
import io
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import jsonschema

from tool_rig import TOP, Reflector, Rig, expect, metric, ns_socket, sh, table, wait

FAST = ("-i", "10ms", "--timeout", "1s")


def schema(name):
    return json.loads((TOP / "docs/schema" / name).read_text())


def sums_up(n):
    expect(n["sent"] == n["received"] + n["lost"], f"sent {n['sent']} != received {n['received']} + lost {n['lost']}")
    expect(n["lost"] == n["lost_forward"] + n["lost_backward"] + n["lost_unknown"], str(n))


# ---- 1 to 20 ----


def test_fault_01_dscp_not_shifted(build):
    with Rig(build) as rig:
        for address in ("127.0.0.1", "::1"):
            with Reflector(rig.ns, address) as peer:
                for option in (["--dscp", "ef"], ["--dscp", "EF"], ["--dscp", "46"], ["--dscp", "0x2e"], ["--tos", "184"],
                               ["--tos", "0xb8"]):
                    peer.seen.clear()
                    doc = rig.json("-c", "3", *FAST, *option, address)
                    seen = {p.tos for p in peer.seen}
                    expect(seen == {0xb8}, f"{option} to {address}: TOS {seen}, expected 0xb8")
                    expect(doc["total"]["tos_sent"] == 0xb8 and doc["options"]["dscp_name"] == "EF", str(doc["options"]))
                peer.seen.clear()
                rig.json("-c", "1", *FAST, address)
                expect(peer.seen[0].tos == 0x88, f"default TOS {peer.seen[0].tos:#x}, expected 0x88")


def test_fault_02_loss_of_those_received(build):
    half = lambda me, p: p.seq % 2 == 0 and me.send(p, p.answer(r=p.seq // 2))
    with Rig(build) as rig, Reflector(rig.ns, script=half):
        d = rig.start("sender", "--forever", "-i", "100", "--timeout", "500ms", "--report-period", "1s", "--json", "-m")
        name = 'twamp_probes_sent_total{class="AF41",source="127.0.0.1",target="127.0.0.1:20001"}'
        # The first period may be a part of one; whole ones have ten probes.
        wait("a whole period", lambda: (metric(rig.get(), name) or 0) >= 15)
        loss = metric(rig.get(), 'twampy_loss{direction="roundtrip"}')
        expect(loss == 50, f"half of the probes are lost, but the gauge says {loss} %")
        code, _ = d.stop()
        periods = [x for x in d.lines() if x["scope"] == "period" and x["total"]["sent"] == 10]
        expect(code == 0 and periods and all(x["total"]["loss_ratio"] == 0.5 for x in periods), d.text()[:500])


def test_fault_03_tail_loss_has_no_direction(build):
    tail = lambda me, p: p.seq < 5 and me.send(p, p.answer())
    with Rig(build) as rig, Reflector(rig.ns, script=tail) as peer:
        n = rig.json("-c", "10", *FAST, "127.0.0.1")["total"]
        sums_up(n)
        expect((n["lost_forward"], n["lost_backward"], n["lost_unknown"]) == (0, 0, 5), f"5 lost at the end: {n}")
        peer.seen.clear()
        code, out, _ = rig.run("sender", "-c", "10", *FAST, "127.0.0.1")
        rows = table(out)
        expect(code == 0 and rows["Roundtrip"][-1] == "50.0%" and rows["Direction unknown"] == ["50.0%"], out)
        expect(rows["Outbound"][-1] == "0.0%" and rows["Inbound"][-1] == "0.0%", out)


def test_fault_04_reordering_ends_the_run(build):
    def last_first(me, p):
        me.held.append(p)
        if len(me.held) == 5:
            for q in reversed(me.held):
                me.send(q, q.answer())

    with Rig(build) as rig, Reflector(rig.ns, script=last_first):
        n = rig.json("-c", "5", *FAST, "127.0.0.1")["total"]
        expect(n["received"] == 5 and n["lost"] == 0 and n["loss_ratio"] == 0, f"all five came back: {n}")
        expect(n["reordered_roundtrip"] == 4, f"four answers were overtaken: {n['reordered_roundtrip']}")


def test_fault_05_duplicates_are_receptions(build):
    twice = lambda me, p: [me.send(p, a) for a in [p.answer()] * 2]
    with Rig(build) as rig, Reflector(rig.ns, script=twice):
        n = rig.json("-c", "10", *FAST, "127.0.0.1")["total"]
        sums_up(n)
        expect(n["received"] == 10 and n["lost"] == 0 and n["duplicates"] in (9, 10), str(n))  # the run may end before the last copy


def test_fault_06_negative_delays_are_clamped(build):
    behind = lambda me, p: me.send(p, p.answer(offset=-0.05))
    with Rig(build) as rig, Reflector(rig.ns, script=behind):
        n = rig.json("-c", "20", *FAST, "127.0.0.1")["total"]
        expect(-0.051 < n["delay_forward_min_seconds"] < -0.03, f"outbound {n['delay_forward_min_seconds']}")
        expect(0.049 < n["delay_backward_min_seconds"] < 0.07, f"inbound {n['delay_backward_min_seconds']}")
        expect(0 <= n["delay_roundtrip_min_seconds"] < 0.02, f"round trip {n['delay_roundtrip_min_seconds']}")
        expect(n["delay_forward_jitter_rfc3550_seconds"] > 0, "jitter of a negative delay is 0")
        expect(not n["one_way_valid"], "one-way delays are called valid")
        _, out, _ = rig.run("sender", "-c", "5", *FAST, "127.0.0.1")
        expect(table(out)["Outbound"][0].startswith("-"), out)
        _, out, _ = rig.run("sender", "-c", "5", *FAST, "--json=compat", "127.0.0.1")
        expect(json.loads(out.splitlines()[-1])[0]["min"] < -30, out)


def test_fault_07_forged_and_late_answers_count(build):
    kept = []

    def script(me, p):
        me.send(p, p.answer(t1=b"\x01" * 8))  # the right port, a time that was never sent
        me.send(p, p.answer(seq=p.seq + 1000))  # a number that was never sent
        other.sendto(p.answer(), p.addr)  # all right, but from another port
        for old in kept:  # answers to the run before
            me.send(p, old)
        me.send(p, p.answer())
        me.held.append(p.answer())

    with Rig(build) as rig:
        other = ns_socket(rig.ns)
        other.bind(("127.0.0.1", 20009))
        with Reflector(rig.ns, script=script) as peer:
            first = rig.json("-c", "10", *FAST, "127.0.0.1", ":20000")["total"]
            expect(first["received"] == 10 and first["duplicates"] == 0, str(first))
            expect(27 <= first["rejected"] <= 30, f"three forged for each of ten: {first['rejected']}")
            kept, peer.held = list(peer.held), []
            second = rig.json("-c", "10", *FAST, "127.0.0.1", ":20000")["total"]
            expect(second["received"] == 10 and second["lost"] == 0 and second["duplicates"] == 0, str(second))
            expect(second["rejected"] >= 100, f"ten late and three forged for each of ten: {second['rejected']}")
            expect(second["delay_roundtrip_max_seconds"] < 1, str(second))
            expect(second["reordered_roundtrip"] == 0, str(second))
        other.close()


def test_fault_08_short_datagram_ends_the_responder(build):
    with Rig(build) as rig:
        d = rig.responder()
        s = ns_socket(rig.ns)
        before = d.rss()
        for size in range(14):
            s.sendto(bytes(size), ("127.0.0.1", 20001))
        s.close()
        for i in range(100):  # state is bounded: many senders, and no sense in what they send
            with ns_socket(rig.ns) as s:
                s.bind((f"127.0.{1 + i}.1", 0))
                for size in range(14, 214, 10):
                    s.sendto(os.urandom(size), ("127.0.0.1", 20001))
        n = rig.json("-c", "10", *FAST, "127.0.0.1")["total"]
        expect(n["received"] == 10, f"the responder answers no more: {n}")
        expect(d.rss() - before < 8192, f"memory grew from {before} to {d.rss()} KiB")
        code, _ = d.stop()
        rejected = int(re.search(r"rejected (\d+)", d.text())[1])
        expect(code == 0 and rejected >= 14, f"exit {code}: {d.text()} {d.errors()}")


def test_fault_09_stale_gauges_at_total_loss(build):
    alive = [True]
    while_alive = lambda me, p: alive[0] and me.send(p, p.answer())
    with Rig(build) as rig, Reflector(rig.ns, script=while_alive):
        d = rig.start("sender", "-f", "-i", "50", "--timeout", "300ms", "--report-period", "1s", "--metrics")  # without -g
        latency = 'twampy_latency_avg{direction="roundtrip"}'
        wait("a latency", lambda: metric(rig.get(), latency) is not None)
        expect(metric(rig.get(), 'twampy_loss{direction="roundtrip"}') == 0, rig.get())
        alive[0] = False
        wait("all to be lost", lambda: metric(rig.get(), 'twampy_loss{direction="roundtrip"}') == 100)
        page = rig.get()
        expect("twampy_latency" not in page and "twampy_jitter" not in page and "delay_quantile_seconds{" not in page, page)
        for direction in ("outbound", "inbound"):
            expect(metric(page, f'twampy_loss{{direction="{direction}"}}') == 100, page)
        expect(metric(page, 'twampy_result_total{result="err"}') >= 1, page)
        alive[0] = True
        wait("it to come back", lambda: metric(rig.get(), latency) is not None)
        code, _ = d.stop()
        expect(code == 0 and "NO STATS AVAILABLE (100% loss)" in d.text() and not d.errors(), d.text()[-500:] + d.errors())


def test_fault_10_edges_leak_series(build):
    def slower_and_slower(me, p):
        time.sleep(0.001 * (len(me.seen) % 20))
        if p.seq % 7:
            me.send(p, p.answer())

    with Rig(build) as rig, Reflector(rig.ns, script=slower_and_slower):
        rig.start("sender", "-f", "-i", "50", "--timeout", "300ms", "--report-period", "1s", "-mg", "--dscp", "cs1")
        edges = set()
        end = time.monotonic() + 6
        while time.monotonic() < end and len(edges) < 3:
            page = rig.get()
            now = [x for x in page.splitlines() if x.startswith("twampy_edge{")]
            expect(len(now) <= 1, f"{len(now)} edges: {now}")
            edges.update(now)
            time.sleep(0.2)
        expect(len(edges) >= 2, f"its values never changed: {edges}")
        labels = re.match(r'twampy_edge\{id="127.0.0.1-127.0.0.1:20001",source="127.0.0.1",target="127.0.0.1:20001",'
                          r'mainstat="([0-9.]+)",secondarystat="([0-9.]+)"\} 1$', sorted(edges)[0])
        expect(labels and float(labels[1]) < 100 and 5 < float(labels[2]) < 35, str(edges))  # latency first, then loss


def test_fault_11_busy_loop(build):
    answer_some = lambda me, p: p.seq < 10 and me.send(p, p.answer())
    with Rig(build) as rig, Reflector(rig.ns, script=answer_some):
        d = rig.start("sender", "-c", "20", "-i", "100", "--json", "127.0.0.1")  # two seconds, and five of waiting
        start = time.monotonic()
        while d.popen.poll() is None and time.monotonic() - start < 6:
            time.sleep(0.1)
            if d.popen.poll() is None:
                used = d.cpu()
        d.popen.wait(10)
        took = time.monotonic() - start
        expect(took > 5 and used < 0.05 * took, f"{used} s of processor time in {took:.1f} s")


class NameServer:
    """Answers A queries with 127.0.0.1 after a while, AAAA with nothing, and counts them."""

    def __init__(self, ns, delay):
        self.sock = ns_socket(ns)
        self.sock.bind(("127.0.0.1", 53))
        self.queries, self.delay = [], delay
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        try:
            while True:
                self.answer(*self.sock.recvfrom(512))
        except OSError:  # the test is over
            return

    def answer(self, data, addr):
        at = 12
        while data[at]:
            at += data[at] + 1
        kind, = struct.unpack("!H", data[at + 1:at + 3])
        self.queries.append(kind)
        time.sleep(self.delay)
        question = data[12:at + 5]
        answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 1]) if kind == 1 else b""
        self.sock.sendto(data[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1 if answers else 0, 0, 0) + question + answers, addr)


def test_fault_12_name_looked_up_for_every_probe(build):
    with Rig(build) as rig:
        etc = pathlib.Path(f"/etc/netns/{rig.ns}")  # seen as /etc by what runs in the namespace
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
        (etc / "nsswitch.conf").write_text("hosts: dns\n")
        (etc / "hosts").write_text("")
        dns = NameServer(rig.ns, 0.15)
        with Reflector(rig.ns):
            doc = rig.json("-c", "20", *FAST, "far.example.")
            expect(doc["total"]["received"] == 20 and doc["target"] == "far.example.:20001", str(doc)[:300])
            expect(sorted(dns.queries) in ([1], [1, 28]), f"queries {dns.queries}: one look-up was enough")
            expect(doc["total"]["delay_forward_max_seconds"] < 0.1, "the look-up is in the delay")
            expect(doc["target_address"] == "127.0.0.1:20001", str(doc["target_address"]))
        dns.sock.close()
        code, out, err = rig.run("sender", "-c", "1", "nowhere.invalid")
        expect(code == 1 and not out and re.fullmatch(r'twamp sender: cannot find the address of "nowhere.invalid": .*\n', err),
               f"{code} {out} {err}")


def test_fault_13_logging_crashes(build):
    line = re.compile(r"time=\S+ level=(debug|info|warn|error) program=twamp event=.*")
    with Rig(build) as rig, Reflector(rig.ns):
        code, _, err = rig.run("sender", "-c", "3", *FAST, "-v", "127.0.0.1")
        expect(code == 0 and "event=sending" in err and all(line.match(x) for x in err.splitlines()), err)
        code, _, err = rig.run("sender", "-c", "3", *FAST, "-d", "127.0.0.1")
        expect(code == 0 and err.count("event=probe ") == 3 and all(line.match(x) for x in err.splitlines()), err)
        path = f"{rig.dir}/log"
        code, _, err = rig.run("sender", "-c", "3", *FAST, "-d", "-l", path, "127.0.0.1")
        logged = pathlib.Path(path).read_text()
        expect(code == 0 and not err and logged.count("event=probe ") == 3, err + logged)
        code, out, err = rig.run("sender", "-c", "3", *FAST, "-d", "--logfile=-", "127.0.0.1")
        expect(code == 0 and not err and "event=sending" in out and "Roundtrip" in out, err + out)
        code, out, err = rig.run("sender", "-c", "3", *FAST, "-q", "127.0.0.1")
        expect(code == 0 and not err and "Roundtrip" in out, err + out)
        code, _, err = rig.run("sender", "-l", "/nonexistent/log", "127.0.0.1")
        expect(code == 1 and err == "twamp sender: cannot write the log to /nonexistent/log: No such file or directory\n", err)
        # A warning: what cannot be sent is told, not more often than is good.
        code, _, err = rig.run("sender", "-c", "20", *FAST, "192.0.2.1")
        expect(code == 1 and err.count("level=warn") == 3 and err.endswith(
            "twamp sender: none of 20 probes could be sent: Network is unreachable\n"), err)


def test_fault_13_control_connection_fails(build):
    """Server-Start is read, and what is logged is lines."""
    with Rig(build) as rig:
        server = rig.start("server", "127.0.0.1")
        wait("the server", lambda: rig.run("controlclient", "--help")[0] == 0 and port_open(rig, 862))
        code, out, err = rig.run("controller", "-c", "5", "-i", "10", "--timeout", "1s", "-d", "127.0.0.1")
        expect(code == 0 and table(out)["Roundtrip"][-1] == "0.0%", f"{code} {out} {err}")
        expect(all(x.startswith("time=") for x in err.splitlines()) and err.count("event=probe ") == 5, err)
        client = rig.start("controlclient", "-v", "127.0.0.1:20005", "127.0.0.1:20000")
        wait("the session", lambda: "20005" in client.text() or client.popen.poll() is not None)
        code, took = client.stop(signal.SIGINT)
        expect(code == 0 and took < 2, f"{code} after {took} s: {client.text()} {client.errors()}")
        expect(server.stop()[0] == 0, server.errors())


def port_open(rig, port):
    s = ns_socket(rig.ns, kind=socket.SOCK_STREAM)
    try:
        return s.connect_ex(("127.0.0.1", port)) == 0
    finally:
        s.close()


DF = """
table inet lab {
  counter with_df { }
  counter udp_all { }
  chain in {
    type filter hook prerouting priority -450
    ip protocol udp counter name udp_all
    ip protocol udp ip frag-off & 0x4000 != 0 counter name with_df
  }
}
"""


def counters(ns):
    data = json.loads(sh("ip", "netns", "exec", ns, "nft", "-j", "list", "counters"))
    return {x["counter"]["name"]: x["counter"]["packets"] for x in data["nftables"] if "counter" in x}


def test_fault_14_do_not_fragment_and_signals(build):
    with Rig(build, pair=True) as rig:
        rig.responder()
        sh("ip", "netns", "exec", rig.far, "nft", "-f", "-", input=DF)
        n = rig.json("-c", "5", *FAST, "--do-not-fragment", "10.99.78.2")["total"]
        expect(n["received"] == 5 and counters(rig.far)["with_df"] == 5, f"{n['received']} answers, {counters(rig.far)}")
        n = rig.json("-c", "5", *FAST, "10.99.78.2")["total"]
        expect(n["received"] == 5 and counters(rig.far) == {"with_df": 5, "udp_all": 10}, str(counters(rig.far)))
        for to in ("10.99.78.2", "fd99:78::2"):
            n = rig.json("-c", "5", *FAST, "--size", "2000", to)["total"]
            expect(n["received"] == 5, f"2000 octets in fragments to {to}: {n['received']} of 5 came back")
            code, out, err = rig.run("sender", "-c", "5", *FAST, "--size", "2000", "--do-not-fragment", "-q", to)
            expect(code == 1 and "nothing could be sent" in out and "send errors 5" in out, f"{to}: {code} {out} {err}")
            expect(err == "twamp sender: none of 5 probes could be sent: Message too long; choose a smaller --size, or leave out "
                   "--do-not-fragment\n", err)
        for sig in (signal.SIGINT, signal.SIGTERM):
            d = rig.start("sender", "-c", "1000", "-i", "20ms", "--json", "-d", "10.99.78.2")
            wait("some probes", lambda: d.errors().count("event=probe ") >= 10)
            code, took = d.stop(sig)
            doc = d.lines()[0]
            expect(code == 0 and took < 2, f"{sig}: exit {code} after {took:.1f} s: {d.errors()}")
            expect(doc["interrupted"] and 10 <= doc["total"]["sent"] < 200 and doc["total"]["lost"] == 0, str(doc)[:400])
        d = rig.start("sender", "-c", "1000", "-i", "20ms", "-v", "10.99.78.3")  # nobody is there
        wait("it to send", lambda: "event=sending" in d.errors())
        code, took = d.stop(signal.SIGINT)
        expect(code == 0 and took < 2 and "Jitter Algorithm" in d.text(), f"exit {code} after {took:.1f} s: {d.text()}")
        d = rig.start("sender", "--forever", "--json", "-i", "20ms", "-d", "--report-period", "1h", "10.99.78.2")
        wait("some probes", lambda: d.errors().count("event=probe ") >= 10)
        code, took = d.stop(signal.SIGTERM)
        expect(code == 0 and took < 2 and [x["scope"] for x in d.lines()] == ["period", "run"], d.text()[:300])


class ControlServer:
    """A TWAMP-Control server of the open mode whose every octet comes alone, and whose test port is not the one that was asked for."""

    def __init__(self, ns, address, port):
        self.sock = ns_socket(ns, socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((address, 862))
        self.sock.listen()
        self.port, self.request, self.stop, self.failure = port, None, None, None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @staticmethod
    def drip(c, data):
        for i in range(len(data)):
            c.sendall(data[i:i + 1])
            if i % 8 == 0:
                time.sleep(0.002)

    @staticmethod
    def take(c, n):
        data = b""
        while len(data) < n:
            chunk = c.recv(n - len(data))
            if not chunk:
                raise EOFError(f"closed after {len(data)} of {n} octets")
            data += chunk
        return data

    def serve(self):
        try:
            c, _ = self.sock.accept()
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.drip(c, bytes(12) + struct.pack("!I", 1) + bytes(32) + struct.pack("!I", 1024) + bytes(12))
            self.setup = self.take(c, 164)
            self.drip(c, bytes(16) + bytes(16) + bytes(16))
            self.request = self.take(c, 112)
            self.drip(c, bytes(2) + struct.pack("!H", self.port) + bytes(range(1, 17)) + bytes(28))
            self.start = self.take(c, 32)
            self.drip(c, bytes(32))
            self.stop = self.take(c, 32)
        except (OSError, EOFError) as e:
            self.failure = e


def test_fault_15_control_client_details(build):
    with Rig(build) as rig:
        for address, version in (("127.0.0.1", 4), ("::1", 6)):
            server = ControlServer(rig.ns, address, 20077)
            with Reflector(rig.ns, address, 20077) as peer, Reflector(rig.ns, address, 20001) as asked:
                code, out, err = rig.run("controller", "-c", "10", "-i", "10ms", "--timeout", "1s", "--dscp", "ef", "--json", address)
                doc = json.loads(out) if out else {}
                expect(code == 0 and doc["total"]["received"] == 10, f"{code} {err} {server.failure}")
                expect(len(peer.seen) == 10 and not asked.seen, "the port in Accept-Session is not the one that is sent to")
                expect({p.tos for p in peer.seen} == {0xb8}, f"TOS {peer.seen[0].tos:#x}")
            server.thread.join(5)
            rq = server.request
            expect(server.failure is None and rq[0] == 5, f"{server.failure}")
            expect(rq[1] & 15 == version, f"IPVN {rq[1] & 15} to {address}")
            expect(struct.unpack("!I", rq[84:88])[0] >> 24 == 46, f"Type-P {rq[84:88].hex()}, expected DSCP 46")
            expect(server.start[0] == 2 and server.stop[0] == 3, "Start-Sessions, Stop-Sessions")
            expect(struct.unpack("!I", server.stop[4:8])[0] == 1, f"Number of Sessions {server.stop[4:8].hex()} in Stop-Sessions")
            server.sock.close()


STEP = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
/* The wall clock of this process jumps: 10 s ahead after half a second, 10 s back after a second. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    static int (*real)(clockid_t, struct timespec *);
    static struct timespec start;
    struct timespec now;
    long long ms;
    int rc;

    if (!real) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        real(CLOCK_MONOTONIC, &start);
    }
    rc = real(id, ts);
    real(CLOCK_MONOTONIC, &now);
    ms = (now.tv_sec - start.tv_sec) * 1000LL + (now.tv_nsec - start.tv_nsec) / 1000000;
    if (id == CLOCK_REALTIME && ms >= 500)
        ts->tv_sec += ms < 1000 ? 10 : -10;
    return rc;
}
"""


def test_fault_16_clock_steps_stall_or_burst(build):
    with Rig(build) as rig, Reflector(rig.ns) as peer:
        source, library = f"{rig.dir}/step.c", f"{rig.dir}/step.so"
        pathlib.Path(source).write_text(STEP)
        sh("cc", "-shared", "-fPIC", "-o", library, source, "-ldl")
        code, out, err = rig.run("sender", "-c", "75", "-i", "20ms", "--timeout", "1s", "--json", "127.0.0.1",
                                 env={"LD_PRELOAD": library, "ASAN_OPTIONS": "verify_asan_link_order=0"})
        n = json.loads(out)["total"]
        expect(code == 0 and n["clock_steps"] == 2, f"exit {code}, {n['clock_steps']} steps seen: {err}")
        gaps = [b.mono - a.mono for a, b in zip(peer.seen, peer.seen[1:])]
        span = peer.seen[-1].mono - peer.seen[0].mono
        expect(max(gaps) < 0.2, f"a pause of {max(gaps):.3f} s")
        expect(sum(g < 0.005 for g in gaps) <= 5, f"bursts: {sum(g < 0.005 for g in gaps)} probes right behind another")
        expect(1.3 < span < 2.5, f"75 probes of 20 ms took {span:.2f} s")
        expect(n["sent"] == 75 and n["received"] + n["lost"] == 75, str(n))


def test_fault_17_forever_has_gaps(build):
    with Rig(build) as rig, Reflector(rig.ns) as peer:
        d = rig.start("sender", "--forever", "-i", "50", "--timeout", "300ms", "--report-period", "1s", "--json", "-c", "10")
        wait("70 probes of --count 10", lambda: len(peer.seen) >= 70)
        code, _ = d.stop()
        gaps = [b.mono - a.mono for a, b in zip(peer.seen, peer.seen[1:])]
        expect(code == 0, f"exit {code}: {d.errors()}")
        expect(max(gaps) < 0.4, f"a pause of {max(gaps):.3f} s")
        docs = d.lines()
        periods, whole = [x for x in docs if x["scope"] == "period"], docs[-1]
        expect(len(periods) >= 3 and whole["scope"] == "run", str([x["scope"] for x in docs]))
        for a, b in zip(periods, periods[1:]):
            expect(a["end_ns"] == b["start_ns"], "a gap between report periods")
        expect(sum(x["total"]["sent"] for x in periods) == whole["total"]["sent"], "periods and whole differ")
        abs_skipped = whole["total"]["sent"] + whole["total"]["skipped"]
        expect(abs(abs_skipped - len(peer.seen)) <= 2 + whole["total"]["skipped"], f"{abs_skipped} sent, {len(peer.seen)} seen")


def test_fault_18_dscptable_and_ranges(build):
    with Rig(build) as rig:
        code, out, err = rig.run("dscptable")
        rows = [x.split() for x in out.splitlines()[1:]]
        expect(code == 0 and not err and len(rows) == 64 and "Namespace" not in out, f"{code} {err} {len(rows)} rows")
        expect(["EF", "46", "10111000", "0xb8"] in rows and ["AF41", "34", "10001000", "0x88"] in rows, out)
        expect(all(int(r[2], 2) == int(r[3], 16) == int(r[1]) << 2 for r in rows), out)
        code, out, err = rig.run()
        expect(code == 2 and "Usage: twamp COMMAND" in err and "Traceback" not in err, f"{code} {err}")
        expect(rig.run("--help")[0] == 0 and rig.run("--version")[0] == 0 and rig.run("-v")[1].startswith("twamp "), "help")
        for args in (["-i", "0"], ["-c", "0"], ["--ttl", "0"], ["--ttl", "256"], ["--tos", "256"], ["--dscp", "64"],
                     ["--padding", "-2"], ["--nope"], ["a", "b", "c"], ["1.2.3.4:x"]):
            code, out, err = rig.run("sender", *args)
            expect(code == 2 and not out and len(err.splitlines()) == 1 and err.startswith("twamp sender: "), f"{args}: {code} {err}")
        expect(rig.run("nosuch")[0] == 2, "an unknown command")
        for command in ("sender", "responder", "dscptable"):
            code, out, _ = rig.run(command, "--help")
            expect(code == 0 and "Options:" in out and "Examples:" in out, f"{command} --help: {code}")


def test_fault_19_answers_of_another_size(build):
    with Rig(build) as rig:
        rig.responder()
        for option, sizes in ((["--padding", "27"], {41}), ([], {41}), (["--padding", "100"], {114}), (["--size", "1472"], {1472}),
                              (["--padding", "8986"], {9000}), (["--padding", "-1"], {41, 548, 1472}),
                              (["--protocol", "stamp"], {44}), (["--protocol", "stamp", "--padding", "56"], {100})):
            code, out, err = rig.run("sender", "-c", "12", *FAST, "--raw", "--json", *option, "127.0.0.1")
            packets = [x for x in map(json.loads, out.splitlines()) if x["schema"] == "twampmesh/packet/v1"]
            expect(code == 0 and len(packets) == 12, f"{option}: {code} {err}")
            expect(all(x["size"] == x["reply_size"] for x in packets) and {x["size"] for x in packets} == sizes,
                   f"{option}: {[(x['size'], x['reply_size']) for x in packets]}")


def test_fault_20_json_without_schema(build):
    run, packet = schema("run-v1.json"), schema("packet-v1.json")
    with Rig(build) as rig:
        rig.responder()
        for args in (["-c", "20"], ["-c", "20", "--flows", "3"], ["-c", "5", "--raw", "--protocol", "stamp", "--tlv", "location,cos"],
                     ["-c", "5", "127.0.0.1:20999", "--timeout", "300ms"]):
            code, out, err = rig.run("sender", "-i", "10ms", "--json", *args)
            docs = [json.loads(x) for x in out.splitlines()]
            expect(code == 0 and docs[-1]["schema"] == "twampmesh/run/v1", f"{args}: {code} {err}")
            for doc in docs:
                jsonschema.validate(doc, run if doc["schema"] == "twampmesh/run/v1" else packet)
            sums_up(docs[-1]["total"])
        doc = rig.json("-c", "20", *FAST, "--flows", "2", "127.0.0.1")
        n = doc["total"]
        expect(n["sent"] == n["received"] == 40 and sum(f["sent"] for f in doc["flows"]) == 40, str(n))
        expect(0 < n["delay_roundtrip_min_seconds"] < 0.01, "a LAN's least delay is not 0")
        expect(doc["start_ns"] > 1.7e18 and doc["end_ns"] > doc["start_ns"] and doc["source"] == "127.0.0.1:20000", str(doc)[:300])
        expect(n["tx_source"] == n["rx_source"] == "kernel" and n["send_lateness_p99_seconds"] is not None, str(n))


# ---- What else users see ----


def test_compat_lines(build):
    with Rig(build) as rig:
        rig.responder()
        code, out, err = rig.run("sender", "-c", "10", *FAST, "--json=compat", "-m", "127.0.0.1")
        lines = [json.loads(x) for x in out.splitlines()]
        expect(code == 0 and not err and lines[:2] == [{"message": "Starting Prometheus metrics server on port 8000"},
                                                       {"message": "Starting twl_sender"}], out + err)
        expect([d["direction"] for d in lines[2]] == ["outbound", "inbound", "roundtrip"], out)
        expect(all(set(d) == {"direction", "min", "max", "avg", "jitter", "loss"} for d in lines[2]), out)
        expect(lines[2][2]["min"] > 0 and lines[2][2]["loss"] == 0, out)
        _, out, _ = rig.run("sender", "-c", "3", "-i", "10ms", "--timeout", "200ms", "-j=compat", "127.0.0.1:20999")
        expect(json.loads(out.splitlines()[-1]) == {"message": "no statistics available because run failed"}, out)


def test_metrics_page(build):
    with Rig(build) as rig:
        rig.responder("--metrics=127.0.0.1:8001")
        d = rig.start("sender", "-f", "-i", "20ms", "--timeout", "500ms", "--report-period", "1s", "-g",
                      "--metrics=histogram,127.0.0.1:9000", "127.0.0.1", ns=rig.ns)
        wait("results", lambda: metric(rig.get(9000), 'twampy_result_total{result="ok"}') or 0)
        for port in (9000, 8001):
            page = rig.get(port)
            done = subprocess.run([shutil.which("promtool") or "promtool", "check", "metrics"], input=page, capture_output=True,
                                  text=True)
            expect(done.returncode == 0 and not done.stderr, f"promtool: {done.stdout}{done.stderr}")
            expect(rig.get(port, path="/") != "", "nothing at /")
        page = rig.get(9000)
        n = metric(page, 'twampy_latency_count{direction="roundtrip"}')
        expect(n > 0 and metric(page, 'twampy_latency_bucket{direction="roundtrip",le="+Inf"}') == n, page)
        expect(metric(page, 'twampy_jitter_count{direction="roundtrip"}') in (n - 1, n), page)
        total = metric(page, 'twampy_latency_sum{direction="roundtrip"}')
        expect(0 < total / n < 100, f"mean {total / n} ms")
        expect(metric(rig.get(8001), 'twamp_reflected_total{address="0.0.0.0:20001, [::]:20001"}') >= n, rig.get(8001))
        expect(d.stop()[0] == 0, d.errors())
        code, _, err = rig.run("sender", "-c", "1", "--metrics=127.0.0.1:8001", "127.0.0.1")
        expect(code == 1 and len(err.splitlines()) == 1 and "8001" in err, f"a port in use: {code} {err}")


def test_one_number_everywhere(build):
    """The histograms' means, the gauges and the JSON of one run say the same."""
    def uneven(me, p):
        time.sleep(0.002 * (p.seq % 3))
        if p.seq < 40:  # the last is lost, so that the run waits and its page can be read
            me.send(p, p.answer())

    with Rig(build) as rig, Reflector(rig.ns, script=uneven):
        d = rig.start("sender", "-c", "41", "-i", "20ms", "--timeout", "2s", "--report-period", "1h", "--json",
                      "--metrics=histogram,127.0.0.1:9000")
        page = wait("all answers", lambda: (p := rig.get(9000)) and metric(p, 'twampy_latency_count{direction="inbound"}') == 40 and p)
        d.popen.wait(10)
        n = d.lines()[0]["total"]
        expect(n["received"] == 40 and n["delay_roundtrip_count"] == 40, str(n))
        for here, there in (("outbound", "forward"), ("inbound", "backward"), ("roundtrip", "roundtrip")):
            for name, count, key in (("latency", 40, "mean"), ("jitter", 39, "jitter_rfc3550")):
                expect(metric(page, f'twampy_{name}_count{{direction="{here}"}}') == count, page)
                mean = metric(page, f'twampy_{name}_sum{{direction="{here}"}}') / count
                told = n[f"delay_{there}_{key}_seconds"] * 1e3
                expect(abs(mean - told) < 2e-6, f"{name} {here}: {mean} ms on the page, {told} ms in JSON")


def test_imix_is_exact(build):
    with Rig(build) as rig:
        for address, want in (("127.0.0.1", {41: 7, 548: 4, 1472: 1}), ("::1", {41: 7, 528: 4, 1452: 1})):
            with Reflector(rig.ns, address) as peer:
                rig.json("-c", "36", *FAST, "--padding", "-1", address)
                expect(len(peer.seen) == 36, f"{len(peer.seen)} probes")
                for at in range(0, 36, 12):
                    sizes = [len(p.data) for p in peer.seen[at:at + 12]]
                    expect({s: sizes.count(s) for s in sizes} == want, f"{address}: {sizes}")


def test_padding_as_asked(build):
    with Rig(build) as rig, Reflector(rig.ns) as peer:
        for option, size, zeros in ((["--padding", "0"], 14, True), (["--padding", "86", "--zero-padding"], 100, True),
                                    (["--padding", "86"], 100, False), (["--size", "60"], 60, False)):
            peer.seen.clear()
            rig.json("-c", "3", *FAST, *option, "127.0.0.1")
            expect({len(p.data) for p in peer.seen} == {size}, f"{option}: {[len(p.data) for p in peer.seen]}")
            expect(all((not any(p.data[14:])) == zeros for p in peer.seen), f"{option}: padding {peer.seen[0].data[14:].hex()}")
        expect(peer.seen[0].ttl == 64, f"TTL {peer.seen[0].ttl}")
        peer.seen.clear()
        rig.json("-c", "1", *FAST, "--ttl", "9", "127.0.0.1")
        expect(peer.seen[0].ttl == 9, f"TTL {peer.seen[0].ttl}")


def test_answers_of_the_python_reflector(build):
    """38 octets: no MBZ, no TTL."""
    short = lambda me, p: me.send(p, p.answer(length=38))
    with Rig(build) as rig, Reflector(rig.ns, script=short):
        n = rig.json("-c", "10", *FAST, "127.0.0.1")["total"]
        expect(n["received"] == 10 and n["ttl_forward_min"] is None, str(n))


def test_flows_have_ports_of_their_own(build):
    lose_one = lambda me, p: p.addr[1] != 20003 and me.send(p, p.answer(r=p.seq))
    with Rig(build) as rig, Reflector(rig.ns, script=lose_one) as peer:
        doc = rig.json("-c", "10", "-i", "20ms", "--timeout", "500ms", "--flows", "4", "127.0.0.1", ":20000")
        ports = {p.addr[1] for p in peer.seen}
        # Not 20001, though that comes next: reflectors drop what comes from their own port, lest two of them answer each other.
        expect(ports == {20000, 20002, 20003, 20004}, str(ports))
        expect({f["source_port"] for f in doc["flows"]} == ports, str(doc["flows"])[:300])
        expect([f["status"] for f in doc["flows"]] == ["ok", "ok", "all_lost", "ok"], str([f["status"] for f in doc["flows"]]))
        expect(doc["status"] == "partial" and doc["total"]["sent"] == 40 and doc["total"]["lost"] == 10, str(doc["total"]))


def test_ports_in_use(build):
    with Rig(build) as rig:
        rig.responder()
        code, _, err = rig.run("responder")
        expect(code == 1 and len(err.splitlines()) == 1 and "20001 is in use" in err, f"{code} {err}")
        s = ns_socket(rig.ns)
        s.bind(("0.0.0.0", 20000))
        doc = rig.json("-c", "2", *FAST, "127.0.0.1")  # the default port is only a wish
        expect(doc["total"]["received"] == 2 and not doc["source"].endswith(":20000"), doc["source"])
        code, _, err = rig.run("sender", "-c", "2", "127.0.0.1", ":20000")
        expect(code == 1 and "20000 is in use" in err and len(err.splitlines()) == 1, f"{code} {err}")


def test_stamp_with_keys(build):
    with Rig(build) as rig:
        keys, others = f"{rig.dir}/keys", f"{rig.dir}/others"
        for path, text in ((keys, "a hush\nb hex:00112233\n"), (others, "a wrong\n")):
            pathlib.Path(path).write_text(text)
            os.chmod(path, 0o600)
        d = rig.responder("--secrets", keys, "--demand-auth")
        stamp = ("--protocol", "stamp", "--auth", *FAST, "-c", "5")
        for more in ([], ["--key-id", "b"], ["--key-id", "b", "--tlv", "location,hmac"]):
            n = rig.json(*stamp, "--secrets", keys, *more, "127.0.0.1")["total"]
            expect(n["received"] == 5, f"{more}: {n['received']} of 5")
        expect(rig.json(*stamp, "--secrets", others, "127.0.0.1")["total"]["received"] == 0, "a wrong key is answered")
        expect(rig.json(*FAST, "-c", "5", "127.0.0.1")["total"]["received"] == 0, "what is not authenticated is answered")
        code, _, err = rig.run("sender", *stamp, "--secrets", keys, "--key-id", "c", "127.0.0.1")
        expect(code == 2 and 'has no key "c"' in err, f"{code} {err}")
        os.chmod(keys, 0o644)
        code, _, err = rig.run("sender", *stamp, "--secrets", keys, "127.0.0.1")
        expect(code == 1 and len(err.splitlines()) == 1 and "hush" not in err, f"{code} {err}")
        pathlib.Path(keys).write_text("a wrong\n")  # and the responder takes the new one
        os.chmod(keys, 0o600)
        wait("the responder to read its keys again",
             lambda: rig.json(*stamp, "--secrets", others, "127.0.0.1")["total"]["received"] == 5)
        code, _ = d.stop()
        counted = re.search(r"wrong HMAC (\d+), not authenticated (\d+)", d.text())
        expect(code == 0 and int(counted[1]) >= 5 and int(counted[2]) == 5, d.text())


def test_responder_serves_both_families(build):
    with Rig(build) as rig:
        d = rig.responder()
        for to in ("127.0.0.1", "::1", "[::1]:20001", "127.0.0.1:20001", ":20001"):
            n = rig.json("-c", "3", *FAST, to)["total"]
            expect(n["received"] == 3 and n["ttl_forward_min"] == 64 and n["tos_backward_min"] == 0x88, f"{to}: {n}")
        for sig in (signal.SIGINT,):
            code, took = d.stop(sig)
            expect(code == 0 and took < 2 and "Reflected 15 (TWAMP Light 15, STAMP 0" in d.text(), f"{code} {d.text()}")
        d = rig.responder("--stateless", "127.0.0.1:862")
        n = rig.json("-c", "3", *FAST, "127.0.0.1:862")["total"]
        expect(n["received"] == 3, str(n))


def test_wish_for_the_dscp_of_answers(build):
    """A Class of Service TLV is followed, or refused with --refuse-dscp, and the sender is told which."""
    with Rig(build) as rig:
        for port, extra, dscp, refused in ((20001, (), 8, False), (20002, ("--refuse-dscp",), 46, True)):
            rig.responder(*extra, f"127.0.0.1:{port}")
            code, out, err = rig.run("sender", "-c", "3", *FAST, "--protocol", "stamp", "--dscp", "ef", "--reply-dscp", "cs1",
                                     "--json", "--raw", f"127.0.0.1:{port}")
            rows = [json.loads(line) for line in out.splitlines()]
            packets = [r for r in rows if r["schema"].startswith("twampmesh/packet/")]
            expect(code == 0 and len(packets) == 3, f"{code} {err} {out}")
            for r in packets:
                expect(r["tos_backward"] == dscp << 2 and r["tlvs"]["cos_refused"] == refused and r["tlvs"]["cos_dscp"] == 46,
                       f"{extra}: {r}")


def test_csv(build):
    with Rig(build) as rig:
        rig.responder()
        code, out, err = rig.run("sender", "-c", "5", *FAST, "--flows", "2", "--csv", "127.0.0.1")
        rows = list(csv.DictReader(io.StringIO(out)))
        expect(code == 0 and [r["flow"] for r in rows] == ["0", "1", "all"], f"{code} {err} {out}")
        expect(rows[2]["sent"] == "10" and rows[2]["status"] == "ok" and rows[2]["target"] == "127.0.0.1:20001", out)
        expect(float(rows[2]["delay_roundtrip_p99_seconds"]) > 0 and rows[2]["one_way_error_bound_seconds"] == "", out)


def on_terminal(rig, *args):
    """What a terminal shows of standard error; standard output is a pipe."""
    master, slave = pty.openpty()
    p = subprocess.Popen(["ip", "netns", "exec", rig.ns, rig.twamp, *args], stdout=subprocess.PIPE, stderr=slave,
                         stdin=subprocess.DEVNULL)
    os.close(slave)
    shown = b""
    while True:
        ready, _, _ = select.select([master], [], [], 10)
        try:
            chunk = os.read(master, 4096) if ready else b""
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    out = p.stdout.read().decode()
    os.close(master)
    return p.wait(10), out, shown.decode()


def test_progress_on_a_terminal_only(build):
    with Rig(build) as rig:
        rig.responder()
        args = ("sender", "-c", "50", "-i", "20ms", "--json", "127.0.0.1")
        code, out, shown = on_terminal(rig, *args)
        expect(code == 0 and json.loads(out)["total"]["received"] == 50, out)
        expect(re.search(r"sent \d+/50  received \d+  lost 0  last round trip", shown) and "\n" not in shown, repr(shown[-300:]))
        expect(shown.endswith("\r\x1b[K"), repr(shown[-100:]))
        code, out, shown = on_terminal(rig, *args, "-q")
        expect(code == 0 and not shown, repr(shown))
        code, out, err = rig.run(*args)
        expect(code == 0 and not err, err)


def test_exponential_spacing(build):
    with Rig(build) as rig, Reflector(rig.ns) as peer:
        n = rig.json("-c", "200", "-i", "10ms", "--timeout", "1s", "--exponential", "127.0.0.1")["total"]
        gaps = [b.mono - a.mono for a, b in zip(peer.seen, peer.seen[1:])]
        mean = sum(gaps) / len(gaps)
        expect(n["received"] == 200 and 0.006 < mean < 0.02, f"mean spacing {mean}")
        short = sum(g < 0.005 for g in gaps) / len(gaps)
        expect(0.2 < short < 0.6, f"{short:.0%} of the spacings are below half of the mean; exponential are 39 %")


def test_interface_and_bind(build):
    with Rig(build, pair=True) as rig:
        rig.responder()
        doc = rig.json("-c", "3", *FAST, "--interface", "eth0", "--bind", "10.99.78.1:0", "10.99.78.2")
        expect(doc["total"]["received"] == 3 and doc["source"].startswith("10.99.78.1:"), doc["source"])
        doc = rig.json("-c", "3", *FAST, "fd99:78::2")
        expect(doc["total"]["received"] == 3 and doc["source"].startswith("[fd99:78::1]:"), doc["source"])
        for args, text in ((["--interface", "nosuch0", "10.99.78.2"], "nosuch0"), (["--bind", "192.0.2.9", "10.99.78.2"], "192.0.2.9"),
                           (["10.99.78.2", "[::1]:0"], "has no IPv6 address")):
            code, _, err = rig.run("sender", "-c", "1", *args)
            expect(code == 1 and len(err.splitlines()) == 1 and text in err, f"{args}: {code} {err}")


def test_sender_speaks_twamp(build):
    with Rig(build) as rig:
        keys = f"{rig.dir}/keys"
        pathlib.Path(keys).write_text("alice open sesame\n")
        os.chmod(keys, 0o600)
        server = rig.start("server", "127.0.0.1", "--secrets", keys)
        wait("the server", lambda: port_open(rig, 862))
        twamp = ("-c", "5", *FAST, "--protocol", "twamp")
        for more, auth in (([], "none"), (["--auth=encrypted", "--user", "alice", "--secrets", keys], "encrypted"),
                           (["--mode", "authenticated", "--user", "alice", "--secrets", keys], "authenticated")):
            doc = rig.json(*twamp, *more, "127.0.0.1")
            expect(doc["total"]["received"] == 5 and doc["options"]["protocol"] == "twamp", str(doc)[:600])
            expect(doc["options"]["auth"] == auth, f"{more}: {doc['options']['auth']}")
            jsonschema.validate(doc, schema("run-v1.json"))
        code, _, err = rig.run("sender", *twamp, "--auth", "--mode", "open", "--secrets", keys, "127.0.0.1")
        expect(code == 2 and "--auth and --mode contradict" in err, f"{code} {err}")
        expect(server.stop()[0] == 0, server.errors())
