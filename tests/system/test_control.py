"""TWAMP-Control between two hosts: our client against our server in every mode, captured and decoded by others' programs:
tshark, and the decoder that the golden captures were read with (AES by the openssl command)."""
import importlib.util
import json
import pathlib
import shutil
import signal
import struct
import subprocess

from lab import Failure, Lab, Process, expect, wait
from test_classes import mesh

VECTORS = pathlib.Path(__file__).parent.parent / "golden" / "vectors"
PASSPHRASE = "correct horse battery"
MODES = {"open": 1, "authenticated": 2, "encrypted": 4, "mixed": 8}
FEATURES = {"individual": 16, "reflect": 32, "symmetrical": 64, "dscp": 256, "ptp": 512}
PROBES = 10


def load_decoder():
    spec = importlib.util.spec_from_file_location("decode", VECTORS / "decode.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


decode = load_decoder()


# Every packet of eth0, written as it comes.
CAPTURE = """
import socket, struct, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 0))
with open(sys.argv[1], 'wb', buffering=0) as f:
    f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    while True:
        p = s.recv(65535)
        t = time.time_ns()
        f.write(struct.pack('<IIII', t // 10**9, t % 10**9 // 1000, len(p), len(p)) + p)
"""


class Hosts(Lab):
    """Two hosts without fleet: a client's and a server's."""

    def __init__(self, build):
        super().__init__(build, ["client", "server"])
        self.secrets("keys", f"alice {PASSPHRASE}\nbob something else\n")
        self.capture = None

    def secrets(self, name, text):
        path = pathlib.Path(self.dir) / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def path(self, name):
        return f"{self.dir}/{name}"

    def serve(self, *extra):
        self.agents["server"] = Process(
            [f"{self.build}/agent/twamp", "server", "--secrets", self.path("keys"), "--verbose", "--metrics=127.0.0.1:8000",
             *extra], self.path("server.log"), ns=self.ns("server"))
        wait("the server to listen", lambda: self.metric("control_connections") == 0)

    def metric(self, name):
        text = self.exec("server", "curl", "-s", "-m", "5", "http://127.0.0.1:8000/metrics")
        for line in text.splitlines():
            if line.startswith(f"twamp_{name}{{"):
                return float(line.rsplit(" ", 1)[1])
        return None

    def run(self, command, *args, timeout=60):
        """(exit code, stdout, stderr) of `twamp COMMAND ...` on the client's host."""
        done = subprocess.run(["ip", "netns", "exec", self.ns("client"), f"{self.build}/agent/twamp", command, *args],
                              capture_output=True, text=True, timeout=timeout)
        return done.returncode, done.stdout, done.stderr

    def measure(self, address, *args):
        """The JSON document of a run in which everything comes back."""
        code, out, err = self.run("controller", address, ":0", "-c", str(PROBES), "-i", "10", "--timeout", "1s", "--json",
                                  "--user", "alice", "--secrets", self.path("keys"), *args)
        expect(code == 0, f"controller {args}: exit {code}: {err}")
        run = json.loads(out)
        flows = len(run["flows"])
        expect(run["total"]["sent"] == run["total"]["received"] == PROBES * flows, f"controller {args}: {out[:600]}")
        return run

    def start_capture(self):
        pcap = pathlib.Path(self.path("run.pcap"))
        pcap.unlink(missing_ok=True)
        self.capture = Process(["/usr/bin/python3", "-c", CAPTURE, str(pcap)], self.path("capture.log"), ns=self.ns("server"))
        wait("the capture to begin", lambda: pcap.exists() and pcap.stat().st_size >= 24)

    def end_capture(self):
        """The captured packets, once both ends have closed the connection in them."""
        wait("the capture to be complete", lambda: self.closes() >= 2)
        self.capture.kill()
        return decode.read_pcap(self.path("run.pcap"))

    def closes(self):
        try:
            return len(decode.split(decode.read_pcap(self.path("run.pcap")))[3])
        except (AssertionError, struct.error) as e:
            raise Failure(f"the file is not whole yet: {e}") from e

    def tshark(self):
        """What Wireshark's dissectors see: a dictionary per packet, without the fields it does not have."""
        done = subprocess.run(["tshark", "-r", self.path("run.pcap"), "-T", "fields", "-E", "separator=|",
                               *[x for field in FIELDS for x in ("-e", field)]], capture_output=True, text=True, timeout=60)
        expect(done.returncode == 0, f"tshark: {done.stderr}")
        rows = [dict(zip(FIELDS, line.split("|"))) for line in done.stdout.splitlines()]
        return [{k: v for k, v in row.items() if v} for row in rows]


FIELDS = ["frame.number", "_ws.malformed", "tcp.port", "twamp.control.modes", "twamp.control.count", "twamp.control.mode",
          "twamp.control.keyid", "twamp.control.command", "twamp.test.seq_number"]


def malformed(rows):
    """Packets that Wireshark's dissectors of TWAMP call broken. Those of other protocols are not asked: their heuristics
    take ciphertext for RTCP now and then."""
    return [row for row in rows if "TWAMP" in row.get("_ws.malformed", "")]


def seen(rows, field):
    return [row["twamp." + field] for row in rows if "twamp." + field in row]


def need_tshark():
    expect(shutil.which("tshark"), "tshark is not installed (deploy/install-deps test)")


def decoded(packets):
    """What the independent decoder makes of a captured connection; every HMAC is recomputed in it."""
    client, server, udp, _ = decode.split(packets)
    result, mode, crypt, sessions = decode.control(client, server, PASSPHRASE.encode())
    return result, mode, decode.test_packets(udp, sessions, mode, crypt)


def carries_data(segment):
    return len(segment) > (segment[12] >> 4) * 4


def check_mode(lab, mode, address):
    lab.start_capture()
    lab.measure(address, "--mode", mode, "--dscp", "ef")
    captured = lab.end_capture()
    result, number, tests = decoded(captured)
    marks = {i["tos"] for i in map(decode.ip_parse, captured) if i and i["proto"] == 6 and carries_data(i["pl"])}
    expect(marks == {0xb8}, f"{mode}: control traffic is marked {marks}: the server is to follow the client")
    expect(number == MODES[mode], f"{mode}: mode {number}")
    names = [m["message"] for m in result["control"]]
    expect(names == ["Request-TW-Session", "Accept-Session", "Start-Sessions", "Start-Ack", "Stop-Sessions"], f"{names}")
    request, accept = result["control"][0], result["control"][1]
    expect(request["type_p"] == "2e000000", f"Type-P {request['type_p']}")
    expect(accept["accept"] == 0 and accept["port"] != 0, f"{accept}")
    expect(result["control"][4]["sessions"] == 1, "Stop-Sessions has a wrong number")
    packets = tests[0]["packets"]
    for way in ("sender", "reflector"):
        mine = [p for p in packets if p["dir"] == way]
        expect([p["seq"] for p in mine] == list(range(PROBES)), f"{mode} {way}: numbers {[p['seq'] for p in mine]}")
        expect({p["ip_tos"] for p in mine} == {0xb8}, f"{mode} {way}: TOS {[p['ip_tos'] for p in mine]}")
    expect(len({p["length"] for p in packets}) == 1, "request and answer differ in length")
    expect({p["ip_ttl"] for p in packets if p["dir"] == "reflector"} == {255}, "answers do not leave with TTL 255")
    expect({p["s_ttl"] for p in packets if p["dir"] == "reflector"} == {64}, "Sender TTL is not what the sender used")


def check_tshark(lab, mode):
    """Wireshark cannot decrypt: what follows the login it reads only in the open mode, and takes ciphertext for broken
    commands in the others. Greeting, login and test packets it reads in each."""
    rows = lab.tshark()
    bad = [r for r in malformed(rows) if mode == "open" or "tcp.port" not in r]
    expect(not bad, f"{mode}: malformed: {bad}")
    modes, logins, users = seen(rows, "control.modes"), seen(rows, "control.mode"), seen(rows, "control.keyid")
    expect(len(modes) == 1 and int(modes[0], 0) & 15 == 15, f"{mode}: greeting {modes}")
    expect(seen(rows, "control.count") == ["2048"], f"{mode}: count {seen(rows, 'control.count')}")
    expect([int(x, 0) for x in logins] == [MODES[mode]], f"{mode}: Set-Up-Response {logins}")
    expect((b"alice".hex() in users[0]) == (mode != "open"), f"{mode}: KeyID {users}")
    if mode == "open":
        expect(seen(rows, "control.command") == ["5", "2", "3"], f"commands {seen(rows, 'control.command')}")
        expect(len(seen(rows, "test.seq_number")) == 2 * PROBES, "test packets are not recognised")


def every_mode(build, address_of):
    need_tshark()
    with Hosts(build) as lab:
        lab.serve()
        for mode in MODES:
            check_mode(lab, mode, address_of(lab))
            check_tshark(lab, mode)


def test_every_mode_ipv4(build):
    every_mode(build, lambda lab: lab.ip4("server"))


def test_every_mode_ipv6(build):
    every_mode(build, lambda lab: lab.ip6("server"))


def test_every_feature(build):
    """Each feature, and all together, in each mode, over both families, with several sessions at once."""
    with Hosts(build) as lab:
        lab.serve("--test-ports", "30000-30400")
        for mode in MODES:
            for i, name in enumerate([*FEATURES, "all"]):
                address = lab.ip6("server") if i % 2 else lab.ip4("server")
                run = lab.measure(address, "--mode", mode, "--features", name, "--flows", "3")
                expect(len(run["flows"]) == 3, f"{mode} {name}: {len(run['flows'])} flows")
        wait("every session to end", lambda: lab.metric("control_sessions") == 0)
        expect(lab.metric("control_sessions_started_total") == 4 * 6 * 3, "not every session was started")
        answered = lab.metric("control_reflected_total")
        expect(answered == 4 * 6 * 3 * PROBES, f"{answered} probes answered")


def test_open_features_are_well_formed(build):
    need_tshark()
    with Hosts(build) as lab:
        lab.serve()
        for name in FEATURES:
            lab.start_capture()
            lab.measure(lab.ip4("server"), "--mode", "open", "--features", name)
            lab.end_capture()
            rows = lab.tshark()
            bad = malformed(rows)
            expect(not bad, f"{name}: malformed: {bad}")
            logins = [int(x, 0) for x in seen(rows, "control.mode")]
            expect(logins == [1 + FEATURES[name]], f"{name}: mode {logins}")


def test_wrong_passphrase(build):
    with Hosts(build) as lab:
        lab.serve()
        wrong = lab.secrets("wrong", "alice something else\nmallory nobody\n")
        for user in ("alice", "mallory"):
            code, out, err = lab.run("controller", lab.ip4("server"), "--user", user, "--secrets", wrong)
            expect(code == 1 and not out, f"exit {code}: {out}")
            expect("unknown user or wrong passphrase" in err and err.count("\n") == 1, f"{user}: {err}")
        expect('why="login"} 2' in lab.exec("server", "curl", "-s", "http://127.0.0.1:8000/metrics"), "logins are not counted")
        # A new passphrase counts from the next login on.
        lab.secrets("keys", "alice something else\n")
        code, _, err = lab.run("controller", lab.ip4("server"), ":0", "-c", "3", "-i", "10", "--user", "alice", "--secrets", wrong)
        expect(code == 0, f"the new passphrase: {err}")


def test_modes_that_are_not_offered(build):
    with Hosts(build) as lab:
        lab.serve("--mode", "authenticated", "--features", "none")
        code, _, err = lab.run("controller", lab.ip4("server"), "--mode", "open")
        expect(code == 1 and "offers modes 0x2" in err, f"open: exit {code}: {err}")
        code, _, err = lab.run("controller", lab.ip4("server"), "--features", "reflect", "--user", "alice", "--secrets",
                               lab.path("keys"))
        expect(code == 1 and "without the features 0x20" in err, f"reflect: exit {code}: {err}")


CONF_SENDER = """
import socket, struct, sys
s = socket.create_connection((sys.argv[1], 862), 10)
def read(n):
    b = b''
    while len(b) < n:
        got = s.recv(n - len(b))
        assert got, 'closed'
        b += got
    return b
read(64)
s.sendall(struct.pack('>I', 1) + bytes(160))
assert read(48)[15] == 0
def request(conf_sender=0, ipvn=4, packets=0, type_p=0):
    s.sendall(struct.pack('>BBBBIIHH', 5, ipvn, conf_sender, 0, 0, packets, 5000, 0) + bytes(48) +
              struct.pack('>IQQI', 27, 0, 0, type_p) + bytes(24))
    return read(48)[0]
print(request(conf_sender=1), request(ipvn=5), request(packets=7), request(type_p=0xb8), request())
"""


def test_what_cannot_be_is_answered(build):
    """Where another server falls silent, this one says no, and the connection goes on."""
    with Hosts(build) as lab:
        lab.serve()
        out = lab.exec("client", "/usr/bin/python3", "-c", CONF_SENDER, lab.ip4("server"))
        expect(out.split() == ["3", "3", "3", "3", "0"], f"Accept values {out}")


def hold(lab, *args):
    """twamp controlclient with a session that runs, and the address to send to."""
    holder = Process([f"{lab.build}/agent/twamp", "controlclient", ":20001", f"{lab.ip4('server')}:30000", *args],
                     lab.path("holder.log"), ns=lab.ns("client"))
    line = wait("the session to run", lambda: "Session runs" in holder.tail() and holder.tail())
    return holder, line.split(" to ")[1].split(",")[0]


def send(lab, target, local):
    code, out, err = lab.run("sender", target, local, "-c", "5", "-i", "10", "--timeout", "500ms", "--json")
    expect(code == 0, f"sender: exit {code}: {err}")
    return json.loads(out)["total"]["received"]


def test_session_for_another_sender(build):
    with Hosts(build) as lab:
        lab.serve()
        holder, target = hold(lab, "--timeout", "0s")
        expect(target == f"{lab.ip4('server')}:30000", f"the session is at {target}")
        expect(send(lab, target, ":20001") == 5, "probes of the session are not answered")
        expect(send(lab, target, ":20002") == 0, "probes from another port are answered")
        expect(holder.stop() == 0, f"controlclient: {holder.tail()}")
        wait("the session to end", lambda: lab.metric("control_sessions") == 0)
        expect(lab.metric("control_reflected_total") == 5, "the counters do not add up")
        expect(send(lab, target, ":20001") == 0, "probes are answered after the stop")


def test_lost_connection_ends_sessions(build):
    with Hosts(build) as lab:
        lab.serve()
        holder, target = hold(lab, "--timeout", "60s")
        expect(send(lab, target, ":20001") == 5, "probes of the session are not answered")
        holder.kill()
        wait("the session to end", lambda: lab.metric("control_sessions") == 0, 5)
        expect(send(lab, target, ":20001") == 0, "probes are answered without a connection")


def test_server_goes_while_measuring(build):
    """The partial result is printed, and the exit code says that something was wrong."""
    with Hosts(build) as lab:
        lab.serve()
        client = Process([f"{lab.build}/agent/twamp", "controller", lab.ip4("server"), ":0", "-i", "10", "-c", "100000",
                          "--timeout", "500ms"], lab.path("client.log"), ns=lab.ns("client"))
        wait("the session to run", lambda: lab.metric("control_sessions_started_total") == 1)
        expect(lab.agents["server"].stop() == 0, "the server does not end cleanly")
        code = client.popen.wait(10)
        expect(code == 1, f"exit {code}: {client.tail()}")
        expect("the server closed the connection while sessions run" in client.tail(), client.tail())
        expect("Roundtrip:" in client.tail(30), "there is no partial result")


def test_interrupt(build):
    with Hosts(build) as lab:
        lab.serve()
        client = Process([f"{lab.build}/agent/twamp", "controller", lab.ip4("server"), ":0", "-i", "10", "-c", "100000"],
                         lab.path("client.log"), ns=lab.ns("client"))
        wait("the session to run", lambda: lab.metric("control_sessions_started_total") == 1)
        client.popen.send_signal(signal.SIGINT)
        code = client.popen.wait(2)
        expect(code == 0, f"exit {code}: {client.tail()}")
        expect("Roundtrip:" in client.tail(30), "there is no partial result")
        text = wait("the end of the connection", lambda: "closed by the client" in lab.agents["server"].tail() and
                    lab.agents["server"].tail())
        expect("why=peer" in text, text)


def said(lab):
    """What went over the captured control connection until it was closed."""
    return [m["message"] for m in decoded(lab.end_capture())[0]["control"]]


SESSION = ["Request-TW-Session", "Accept-Session", "Start-Sessions", "Start-Ack", "Stop-Sessions"]


def test_sigterm_stops_the_sessions(build):
    """The server is told: it need not take the end for a lost connection. A tool, and an agent."""
    with Hosts(build) as lab:
        lab.serve()
        lab.start_capture()
        client = Process([f"{lab.build}/agent/twamp", "controller", lab.ip4("server"), ":0", "-i", "10", "-c", "100000"],
                         lab.path("client.log"), ns=lab.ns("client"))
        wait("the session to run", lambda: lab.metric("control_sessions_started_total") == 1)
        expect(client.stop(2) == 0, client.tail())
        messages = said(lab)
        expect(messages == SESSION, f"twamp controller: {messages}")
        lab.start_controller()
        lab.start_agent("client")
        wait("the agent to be known", lambda: lab.agent_list())
        wait("it to be approved", lambda: lab.ctl("agent", "approve", "client"))
        lab.start_capture()
        lab.apply(mesh([("client", "router")], {"c": "protocol: twamp, spacing: 20ms"}, {"router": f"{lab.ip4('server')}:862"}))
        wait("its session to run", lambda: lab.metric("control_sessions_started_total") == 2, 20)
        wait("results", lambda: lab.results("mesh=lab"), 20)
        expect(lab.agents.pop("client").stop(2) == 0, "the agent did not end cleanly")
        messages = said(lab)
        expect(messages == SESSION, f"agent: {messages}")
