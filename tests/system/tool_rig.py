"""What the tests of the stand-alone tool need: a namespace or two, the tool in them, and a reflector whose every answer is scripted.

Sockets of the tests themselves are made inside the namespaces, so nothing leaves them.
"""
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from lab import Failure, expect, sh, wait  # noqa: F401 (for the tests)

TOP = pathlib.Path(__file__).resolve().parents[2]
NTP_1970 = 2208988800
LIBC = ctypes.CDLL(None, use_errno=True)


def ns_socket(ns, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
    """A socket of a namespace: made by a thread that has gone there."""
    made = []

    def make():
        with open(f"/run/netns/{ns}", "rb") as f:
            if LIBC.setns(f.fileno(), 0x40000000):  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.socket(family, kind))

    t = threading.Thread(target=make)
    t.start()
    t.join()
    if not made:
        raise Failure(f"no socket in {ns}")
    return made[0]


def ntp(t):
    return struct.pack("!II", int(t) + NTP_1970, int((t % 1) * 2**32) & 0xffffffff)


class Probe:
    """A probe as the scripted reflector received it."""

    def __init__(self, data, addr, tos, ttl, r):
        self.data, self.addr, self.tos, self.ttl, self.r = data, addr, tos, ttl, r
        self.seq, = struct.unpack("!I", data[:4])
        self.wall, self.mono = time.time(), time.monotonic()

    def answer(self, offset=0.0, r=None, t1=None, seq=None, length=None):
        """The answer of a stateful reflector whose clock is `offset` seconds ahead."""
        head = struct.pack("!I", self.r if r is None else r) + ntp(time.time() + offset) + b"\x00\x01\x00\x00"
        head += ntp(self.wall + offset) + struct.pack("!I", self.seq if seq is None else seq)
        head += (self.data[4:12] if t1 is None else t1) + self.data[12:14] + b"\x00\x00" + bytes([self.ttl])
        want = max(len(self.data), 41) if length is None else length
        return (head + bytes(want))[:want]


class Reflector:
    """Answers as its script says: script(reflector, probe) sends what it likes by reflector.send(probe, data)."""

    def __init__(self, ns, address="127.0.0.1", port=20001, script=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = ns_socket(ns, family)
        if family == socket.AF_INET6:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
            self.sock.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        self.sock.bind((address, port))
        self.sock.settimeout(0.05)
        self.script = script or (lambda me, probe: me.send(probe, probe.answer()))
        self.seen = []
        self.held = []
        self.stopping = False
        self.failure = None
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def send(self, probe, data):
        self.sock.sendto(data, probe.addr)

    @staticmethod
    def octet(cmsgs, kinds):
        for level, kind, value in cmsgs:
            if (level, kind) in kinds:
                return value[0]
        return None

    def work(self):
        while not self.stopping:
            try:
                data, cmsgs, _, addr = self.sock.recvmsg(10000, 256)
            except TimeoutError:
                continue
            except OSError:
                return
            if len(data) < 14:
                continue
            tos = self.octet(cmsgs, {(0, 1), (41, 67)})
            ttl = self.octet(cmsgs, {(0, 2), (41, 52)})
            probe = Probe(data, addr, tos, ttl, len(self.seen))
            self.seen.append(probe)
            try:
                self.script(self, probe)
            except Exception as e:  # the test reads it
                self.failure = e
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.sock.close()
        if self.failure:
            raise self.failure


class Daemon:
    """A running tool, its output in files."""

    def __init__(self, rig, args, ns, env=None, stdin=None):
        self.out, self.err = f"{rig.dir}/{len(rig.daemons)}.out", f"{rig.dir}/{len(rig.daemons)}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.popen = subprocess.Popen(["ip", "netns", "exec", ns, rig.twamp, *args], stdout=out, stderr=err,
                                          stdin=stdin or subprocess.DEVNULL, env={**os.environ, **(env or {})})

    def text(self):
        return pathlib.Path(self.out).read_text()

    def errors(self):
        return pathlib.Path(self.err).read_text()

    def lines(self):
        return [json.loads(x) for x in self.text().splitlines()]

    def stop(self, sig=signal.SIGTERM, seconds=10):
        """Returns the exit code and how long it took."""
        start = time.monotonic()
        self.popen.send_signal(sig)
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise Failure(f"did not end within {seconds} s: {self.errors()}")
        return code, time.monotonic() - start

    def cpu(self):
        """Seconds of processor time so far."""
        fields = pathlib.Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.popen.pid}/status").read_text())[1])


def add_namespace(ns):
    """With loopback. Nobody else there could have our IPv6 addresses: no waiting for that."""
    sh("ip", "netns", "add", ns)
    sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
    sh("ip", "-n", ns, "link", "set", "lo", "up")


class Rig:
    """with Rig(build) as rig: one namespace with loopback; pair=True: two, joined by a veth of MTU 1500."""

    made = 0

    def __init__(self, build, pair=False):
        Rig.made += 1
        self.twamp = os.path.abspath(f"{build}/agent/twamp")
        self.ns = f"twt{os.getpid() % 100000}x{Rig.made}"
        self.far = f"{self.ns}b" if pair else self.ns
        self.dir = tempfile.mkdtemp(prefix="twtool-")
        self.daemons = []

    def __enter__(self):
        for ns in {self.ns, self.far}:
            add_namespace(ns)
        if self.far != self.ns:
            sh("ip", "-n", self.ns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.far)
            for ns, host in ((self.ns, 1), (self.far, 2)):
                sh("ip", "-n", ns, "addr", "add", f"10.99.78.{host}/24", "dev", "eth0")
                sh("ip", "-n", ns, "addr", "add", f"fd99:78::{host}/64", "dev", "eth0", "nodad")
                sh("ip", "-n", ns, "link", "set", "eth0", "up")
            for ns in (self.ns, self.far):  # neighbours are asked from link-local addresses, too
                wait("link-local addresses", lambda n=ns: "tentative" not in (x := sh("ip", "-n", n, "-6", "addr")) and "fe80" in x)
        return self

    def __exit__(self, *_):
        for d in self.daemons:
            if d.popen.poll() is None:
                d.popen.kill()
                d.popen.wait()
        for ns in {self.ns, self.far}:
            sh("ip", "netns", "del", ns, check=False)
            sh("rm", "-rf", f"/etc/netns/{ns}", check=False)
        sh("rm", "-rf", self.dir, check=False)

    def run(self, *args, ns=None, timeout=60, env=None):
        """The tool as a user runs it: (exit code, stdout, stderr)."""
        done = subprocess.run(["ip", "netns", "exec", ns or self.ns, self.twamp, *args], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout, done.stderr

    def json(self, *args, **kw):
        """twamp sender --json: the document."""
        code, out, err = self.run("sender", "--json", *args, **kw)
        expect(code == 0 and not err, f"exit {code}: {err}")
        return json.loads(out)

    def start(self, *args, ns=None, env=None):
        d = Daemon(self, args, ns or self.ns, env)
        self.daemons.append(d)
        return d

    def responder(self, *args, ns=None):
        d = self.start("responder", *args, ns=ns or self.far)
        wait("the responder to listen", lambda: "Listening" in d.text() or d.popen.poll() is not None)
        expect(d.popen.poll() is None, f"the responder ended: {d.errors()}")
        return d

    def get(self, port=8000, address="127.0.0.1", path="/metrics"):
        """An HTTP page of the namespace; "" when nobody listens."""
        s = ns_socket(self.ns, kind=socket.SOCK_STREAM)
        s.settimeout(10)
        try:
            s.connect((address, port))
            s.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        except OSError:
            return ""
        finally:
            s.close()
        head, _, body = data.decode().partition("\r\n\r\n")
        expect(" 200 " in head.splitlines()[0], head.splitlines()[0])
        return body


def metric(page, series):
    """Value of a series, None if it is not there. `series` with its labels."""
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return None


def table(text):
    """Rows of the text table: direction -> [min, max, avg, jitter, loss]."""
    rows = {}
    for line in text.splitlines():
        m = re.match(r"  (Outbound|Inbound|Roundtrip|Direction unknown):\s+(.*)", line)
        if m:
            rows[m[1]] = m[2].split()
    return rows
