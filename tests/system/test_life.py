"""The life of the daemons: SIGTERM in the middle of everything, SIGHUP again and again."""
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time

from lab import CONTROLLER, NET4, Lab, expect, sigstop, wait
from meshes import by_pair, full, one_way, total
from test_outage import nothing_lost_or_doubled

TWO = ["a1", "a2"]
ENDS_IN = 2.0  # promised, and measured in docs/reliability.md
BUSY = 8.0  # more for a host that is busy with others


def end(p, name, sig=signal.SIGTERM):
    """Seconds from the signal to the end; code 0, or the exit code is told."""
    expect(p.alive(), f"{name} is not running: {p.tail()}")
    begun = time.monotonic()
    p.popen.send_signal(sig)
    try:
        code = p.popen.wait(ENDS_IN + BUSY)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name} does not end within {ENDS_IN + BUSY:.0f} s: {p.tail()}")
    took = time.monotonic() - begun
    expect(code == 0, f"{name} ended with {code}: {p.tail()}")
    print(f"# {name}: {took:.2f} s")
    return took


def many(members, flows=32, period="10s"):
    """Sessions enough that ending them is work: for each pair six classes of 32 flows."""
    classes = "".join(f"  c{i}: {{ spacing: 200ms, size: 100, flows: {flows}, timeout: 1s, report_period: {period} }}\n" for i in range(6))
    return f"mesh: lab\ntopology: full\nmembers: [{', '.join(members)}]\nclasses:\n{classes}"


# ---- SIGTERM ----


def spooled(lab, name):
    """(last number given out, acknowledged) of an agent's spool file."""
    with contextlib.closing(sqlite3.connect(f"file:{lab.dir}/{name}/spool.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT last_seq, acked_seq FROM state").fetchone()


def test_agents_end_in_the_middle(build):
    """Whatever the controller is doing: within 2 s, what was open is closed and in the spool, and comes exactly once."""
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(many(TWO))
        wait("sessions", lambda: len(lab.results("mesh=lab")) >= 300, 60)

        def connected():
            pass

        def gone():
            lab.controller.kill()

        def silent():
            sigstop(lab.controller)

        def behind_a_black_hole():
            lab.nft("a1", "table inet hole { chain out { type filter hook output priority 0; tcp dport 8620 drop; }; }")

        for case in (connected, gone, silent, behind_a_black_hole):
            case()
            time.sleep(1.2)  # into the open interval
            last, _ = spooled(lab, "a1")
            stopped = time.time_ns()
            end(lab.agents["a1"], f"agent, controller {case.__name__}")
            expect(spooled(lab, "a1")[0] >= last + 192, "the open intervals are not in the spool")
            if case is gone:
                lab.start_controller()
            if case is silent:
                lab.controller.popen.send_signal(signal.SIGCONT)
            if case is behind_a_black_hole:
                lab.nft("a1", "delete table inet hole")
            lab.start_agent("a1")
            wait("its sessions again", lambda: max((r["end_ns"] for r in lab.results("mesh=lab", "source=a1")), default=0) > stopped, 60)
        rows = lab.results("mesh=lab", "source=a1")
        nothing_lost_or_doubled(rows, restarts_allowed=True)
        expect(total(rows, "lost") < total(rows, "sent") // 10, "what was in flight at the end is told as lost")
        early = [r for r in rows if r["end_ns"] % 10_000_000_000]
        expect(len(early) >= 192, f"only {len(early)} intervals were closed before their end")


def test_a_second_signal_ends_at_once(build):
    with Lab(build, ["a1"]) as lab:
        lab.start_fleet()
        for p, name in ((lab.agents["a1"], "agent"), (lab.controller, "controller")):
            sigstop(p)  # both signals are there before it can act on the first
            p.popen.send_signal(signal.SIGTERM)
            p.popen.send_signal(signal.SIGINT)
            p.popen.send_signal(signal.SIGCONT)
            code = p.popen.wait(20)
            # It sees SIGINT first, by its number, and the other one no longer waits for anything.
            expect(code == -signal.SIGTERM, f"{name} ended with {code}, as if it had not been asked twice: {p.tail()}")
        lab.agents.clear()
        lab.controller = None


def reader(lab, path, seconds=60):
    """A client in the controller's namespace that takes an octet now and then."""
    code = ("import socket,time,sys\n"
            "s=socket.create_connection((sys.argv[1],8080)); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n"
            "s.send(('GET '+sys.argv[2]+' HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer '+sys.argv[3]+'\\r\\n\\r\\n').encode())\n"
            "print('asked', flush=True)\n"
            "time.sleep(float(sys.argv[4]))\n")
    p = subprocess.Popen(["ip", "netns", "exec", lab.ns("ctl"), "/usr/bin/python3", "-c", code, f"{NET4}.1", path, lab.token, str(seconds)],
                         stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    return p


def test_a_controller_ends_in_the_middle(build):
    """Listeners, slow readers of everything, a watching operator, reports under way, agents that send: 2 s, and nothing lost."""
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(many(TWO, period="1s"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 1500, 60)
        others = [reader(lab, "/api/v1/events") for _ in range(20)]
        for path in ("/api/v1/summaries?limit=100000&from=-1d", "/metrics", "/api/v1/report?mesh=lab", "/api/v1/matrix?mesh=lab", "/api/v1/export/summaries?from=-1d"):
            others += [reader(lab, path) for _ in range(4)]
        with open(f"{lab.dir}/watch.log", "wb") as out:
            others.append(subprocess.Popen([f"{build}/controller/cli/twampctl", "--controller", lab.admin, "watch"], stdout=out, stderr=out))
        try:
            end(lab.controller, "controller, all sorts of clients")
        finally:
            for p in others:
                p.kill()
                p.wait()
        lab.start_controller()
        back = time.time_ns()
        wait("what came meanwhile", lambda: min((rows[-1]["end_ns"] for rows in by_pair(lab.results("mesh=lab")).values()), default=0) > back, 60)
        nothing_lost_or_doubled(lab.results("mesh=lab"))


def test_tools_end(build):
    """twamp, and twampctl while it waits."""
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        log = f"{lab.dir}/tool.log"
        for args in (["responder", "127.0.0.1:20001"], ["server", "127.0.0.1:20862"]):
            with open(log, "wb") as out:
                p = subprocess.Popen(["ip", "netns", "exec", lab.ns("a1"), f"{build}/agent/twamp", *args], stdout=out, stderr=out)
            time.sleep(1)
            expect(p.poll() is None, f"{args}: {open(log).read()}")
            p.terminate()
            expect(p.wait(ENDS_IN + BUSY) == 0, f"{args}: {p.returncode} {open(log).read()}")
        for args in (["watch"], ["events"], ["test", "a1", "a2", "--duration", "60s"]):
            with open(log, "wb") as out:
                p = subprocess.Popen([f"{build}/controller/cli/twampctl", "--controller", lab.admin, *args], stdout=out, stderr=out)
            time.sleep(1.5)
            if p.poll() is not None:
                continue  # no such command, or it needs a terminal
            p.terminate()
            p.wait(ENDS_IN + BUSY)


def test_a_controller_ends_while_somebody_has_its_database(build):
    """What cannot be written is said and not acknowledged, so agents bring it again."""
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(many(TWO, period="1s"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 500, 60)
        with contextlib.closing(sqlite3.connect(f"{lab.dir}/controller/controller.db", isolation_level=None)) as db:
            wait("the database", lambda: db.execute("BEGIN IMMEDIATE"))
            wait("summaries that cannot be written", lambda: float(re.search(r"^twamp_ingest_queue_rows (\S+)", lab.http("/metrics")[1], re.M)[1]) >= 768)
            took = end(lab.controller, "controller, its database locked by another program")
            said = lab.controller.tail()
            expect("not all could be written before the end" in said and "locked by another program" in said, said)
            expect(took < ENDS_IN + 1, f"{took:.2f} s")  # 5 s is how long it waits for others otherwise
        lab.start_controller()
        back = time.time_ns()
        wait("what came meanwhile", lambda: min((rows[-1]["end_ns"] for rows in by_pair(lab.results("mesh=lab")).values()), default=0) > back, 60)
        nothing_lost_or_doubled(lab.results("mesh=lab"))


# ---- SIGHUP ----


def metric(lab, name):
    for line in lab.http("/metrics")[1].splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    return None


def test_no_probe_is_lost_by_twenty_reloads(build):
    """Good and bad files in turn, in bursts, on the reflector and on the sender: sessions, counters and connections go on."""
    with Lab(build, TWO) as lab:
        acl = f"{lab.dir}/acl"
        with open(acl, "w") as f:
            f.write(f"allow {NET4}.0/24\n")
        lab.start_controller()
        lab.start_agent("a1", "--http", "127.0.0.1:9862")
        lab.start_agent("a2", "--reflect-acl", acl, "--http", "127.0.0.1:9862")
        lab.approve_all()
        lab.apply(one_way("a1", "a2", spec="spacing: 5ms, size: 100", timeout="1s"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 2)
        begun = time.time_ns()
        connects = lab.controller.said("x") and open(lab.controller.log).read().count("agent is up")

        def own(name):
            return lab.exec("a2", "curl", "-s", "http://127.0.0.1:9862/metrics")

        for i in range(20):
            bad = i % 2
            with open(acl + ".new", "w") as f:
                f.write(f"allow {NET4}.0/24\n" + ("deny nonsense\n" if bad else f"deny 192.0.2.{i}\n"))
            os.rename(acl + ".new", acl)
            for who in ("a1", "a2"):
                for _ in range(1 + i % 3):
                    lab.agents[who].popen.send_signal(signal.SIGHUP)
            lab.controller.popen.send_signal(signal.SIGHUP)
            wait("the reload to be told", lambda: f"twamp_reload_failed {bad}" in own("a2").replace(".0", ""), 20)
        page = own("a2")
        expect("twamp_reload_failed 1" in page, f"a bad file is not told: {page[-800:]}")
        expect(lab.agents["a2"].said("line=2") or lab.agents["a2"].said(f"{acl}:2"), f"the line is not named: {lab.agents['a2'].tail()}")
        wait("the controller to know", lambda: "nonsense" in lab.ctl("agent", "show", "a2"), 40)
        after = time.time_ns()
        wait("what was measured meanwhile", lambda: max(r["end_ns"] for r in lab.results("mesh=lab")) > after + 1e9, 30)
        rows = [r for r in lab.results("mesh=lab") if begun <= r["start_ns"] <= after]
        nothing_lost_or_doubled(lab.results("mesh=lab"))  # one stretch: the session was never begun anew
        expect(total(rows, "lost") == total(rows, "host_drops") == 0 or total(rows, "lost") <= total(rows, "host_drops"),
               f"{total(rows, 'lost')} of {total(rows, 'sent')} probes were lost")
        expect(metric(lab, "twamp_reload_failed") == 0, "the controller's own files are good")
        wait("the controller to tell of its reload", lambda: metric(lab, "twamp_reload_time_seconds") > 0)
        expect(open(lab.controller.log).read().count("agent is up") == connects, "a connection was made anew")


def test_reload_is_told_to_the_service_manager(build):
    """RELOADING=1, then READY=1; STOPPING=1 at the end. A bad certificate keeps the one before, and status says so."""
    with Lab(build, ["a1"]) as lab:
        path = f"{lab.dir}/notify"
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(path)
        told.settimeout(20)
        ca = f"{lab.dir}/ca"
        subprocess.run([f"{build}/controller/cli/twampctl", "ca", "init", "--dir", ca, "--name", "localhost"], check=True, capture_output=True)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            lab.start_controller("--ca-dir", ca)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        expect(told.recv(200) == b"READY=1", "not told that it is ready")
        with open(f"{ca}/server.pem") as f:
            good = f.read()
        for bad in (0, 1, 0):
            with open(f"{ca}/server.pem", "w") as f:
                f.write("nonsense\n" if bad else good)
            lab.controller.popen.send_signal(signal.SIGHUP)
            begin = told.recv(200).decode()
            expect(begin.startswith("RELOADING=1\nMONOTONIC_USEC="), f"told {begin!r}")
            expect(told.recv(200) == b"READY=1", "not told that the reload is over")
            wait("twamp_reload_failed", lambda b=bad: metric(lab, "twamp_reload_failed") == b)
            expect(("server.pem" in lab.ctl("status")) == bool(bad), f"status: {lab.ctl('status')}")
        wait("reloads to be counted", lambda: metric(lab, "twamp_reloads_total") == 2)
        lab.controller.popen.terminate()
        expect(told.recv(200) == b"STOPPING=1", "not told that it stops")
        expect(lab.controller.popen.wait(20) == 0, "it did not end cleanly")
        lab.controller = None


def write(path, text):
    """As an editor does: never seen half written."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


def hangs_up(p):
    p.popen.send_signal(signal.SIGHUP)


GREETED = """
import socket
n = 0
for _ in range(700):
    with socket.create_connection(("{address}", 862), 5) as s:
        s.settimeout(5)
        try:
            n += len(s.recv(1)) == 1
        except ConnectionError:
            pass
print(n)
"""


def test_reload_of_limits_and_names(build):
    """Each acts on what comes next, and a mistake beside a new value changes neither."""
    with Lab(build, TWO) as lab:
        own, central = f"{lab.dir}/agent.yaml", f"{lab.dir}/controller.yaml"
        server = f"{lab.ip4('a1')}:862"
        write(own, "reflect-rate: 100000\n")
        write(central, "native-buckets: 160\n")
        lab.start_controller("--config", central)
        lab.start_agent("a1", "--config", own, "--control", server)
        lab.start_agent("a2")
        lab.approve_all()
        lab.apply(full(TWO, classes={"c": "spacing: 10ms"}))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 4, 30)

        def reload(path, text, process):
            before = process.tail(100000).count("read anew")
            write(path, text)
            hangs_up(process)
            wait("the reload", lambda: process.tail(100000).count("read anew") > before, 20)

        def answered():
            out = lab.exec("a2", f"{lab.build}/agent/twamp", "sender", server, "-c", "100", "-i", "5", "--json")
            return json.loads(out)["total"]["received"]

        # reflect-rate, reflect-burst: the other agent and we share the address
        expect(answered() == 100, "not all are answered before")
        reload(own, "reflect-rate: 1\nreflect-burst: 5\n", lab.agents["a1"])
        wait("the limit to hold", lambda: answered() <= 10, 20)
        reload(own, "reflect-rate: 0\nmax-pps: x\n", lab.agents["a1"])
        expect(answered() <= 10, "a mistake let another value in")
        reload(own, "reflect-rate: 0\n", lab.agents["a1"])
        wait("no limit to hold", lambda: answered() == 100, 20)

        # control-rate: 512 at once, and then so many per second
        def greeted():
            return int(lab.exec("a2", "python3", "-c", GREETED.format(address=lab.ip4("a1"))))
        reload(own, "reflect-rate: 0\ncontrol-rate: 0\n", lab.agents["a1"])
        expect(greeted() == 700, "a limit where there is none")
        reload(own, "reflect-rate: 0\ncontrol-rate: 1\n", lab.agents["a1"])
        expect(500 <= greeted() < 600, "no limit")
        reload(own, "control-rate: 0\nmax-pps: x\n", lab.agents["a1"])
        expect(greeted() < 100, "a mistake let another value in")

        # http-name, http-events-max
        def asks(path, host, *who):
            return lab.exec("ctl", "curl", "-s", "-m", "1", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", *lab.curl, *who,
                            f"{lab.scheme}://{NET4}.{CONTROLLER}:8080{path}", check=False).strip()
        expect(asks("/api/v1/status", "mesh.example.net") == "421", "any name is ours")
        expect(asks("/api/v1/events", f"{NET4}.{CONTROLLER}", *lab.bearer()) == "200", "no events")
        reload(central, "http-name: [mesh.example.net]\nhttp-events-max: 0\n", lab.controller)
        expect(asks("/api/v1/status", "mesh.example.net") in ("200", "401"), "the new name is not ours")
        expect(asks("/api/v1/events", f"{NET4}.{CONTROLLER}", *lab.bearer()) == "503", "listeners beyond the bound")
        reload(central, "http-name: [\"evil:80\"]\nhttp-events-max: 5\n", lab.controller)
        expect("evil:80: expected the name of a host" in lab.ctl("status"), lab.ctl("status"))
        expect(asks("/api/v1/status", "mesh.example.net") in ("200", "401") and asks("/api/v1/events", f"{NET4}.{CONTROLLER}", *lab.bearer()) == "503",
               "a mistake let other values in")
        reload(central, "http-events-max: 5\n", lab.controller)
        expect(asks("/api/v1/status", "mesh.example.net") == "421" and asks("/api/v1/events", f"{NET4}.{CONTROLLER}", *lab.bearer()) == "200",
               "the new values do not hold")
def test_reload_of_the_configuration(build):
    """What a reload can change is changed while sessions go on; what it cannot is told; a mistake changes nothing."""
    with Lab(build, TWO) as lab:
        own, central = f"{lab.dir}/agent.yaml", f"{lab.dir}/controller.yaml"
        write(own, "workers: 1\n")
        write(central, "budget-pairs: 100\n")
        lab.start_controller("--config", central)
        lab.start_agent("a1", "--config", own)
        lab.start_agent("a2")
        lab.approve_all()
        lab.apply(full(TWO, classes={"c": "spacing: 10ms"}))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 4, 30)

        def show():
            return next(a for a in lab.api("/api/v1/agents")["agents"] if a["name"] == "a1")["health"]

        def found(subject):
            said = json.loads(lab.ctl_run("-o", "json", "doctor")[1])["findings"]
            return {f["id"]: f["observed"] for f in said if f["subject"] == subject}

        write(own, f"log-level: debug\nreflect-deny: [{lab.ip4('a2')}]\nworkers: 2\nmax-pps: 50\n")
        hangs_up(lab.agents["a1"])
        wait("the reflector to deny the other agent", lambda: show()["reflector_not_allowed"] > 0, 30)
        wait("what needs a restart to be told", lambda: show()["restart_needed"] == "workers", 30)
        expect(show()["config_error"] is None, str(show()))
        expect(lab.agents["a1"].tail().count("they need a restart") == 1, lab.agents["a1"].tail())
        code, text, _ = lab.ctl_run("agent", "show", "a1")
        expect(code == 0 and "Restart needed for" in text, text)
        expect(found("a1").get("restart-needed") == "workers", f"doctor does not tell of the restart: {found('a1')}")

        write(own, "max-pps: 1000\nmax_bps: 5\n")
        hangs_up(lab.agents["a1"])
        wait("the mistake to be told", lambda: "max_bps: is no key" in (show()["config_error"] or ""), 30)
        expect("max_bps: is no key" in found("a1").get("config-error", ""), f"doctor does not tell the mistake: {found('a1')}")
        denied = show()["reflector_not_allowed"]
        wait("the list before to stay in use", lambda: show()["reflector_not_allowed"] > denied, 30)

        write(own, "workers: 1\n")
        hangs_up(lab.agents["a1"])
        wait("all to be as it was", lambda: show()["config_error"] is None and show()["restart_needed"] is None, 30)
        reflected = show()["reflected"]
        wait("the other agent to be answered again", lambda: show()["reflected"] > reflected, 30)

        write(central, "budget-pairs: 1\nweb-root: /\n")
        hangs_up(lab.controller)
        wait("the controller to say what needs a restart", lambda: "need a restart: web-root" in lab.ctl("status"), 20)
        expect(metric(lab, "twamp_restart_needed") == 1, "no metric of it")
        expect(found("controller").get("controller-restart-needed") == "web-root", f"doctor does not tell of the restart: {found('controller')}")
        write(f"{lab.dir}/two.yaml", full(TWO, name="two"))
        code, _, text = lab.ctl_run("schedule", "apply", "-f", f"{lab.dir}/two.yaml")
        expect(code != 0 and "pairs" in text, f"the new budget does not hold: {code} {text}")
        write(central, "budget-pairs: x\n")
        hangs_up(lab.controller)
        wait("the controller to tell its mistake", lambda: "budget-pairs: must be" in lab.ctl("status"), 20)
        expect("budget-pairs: must be" in found("controller").get("controller-config-error", ""), f"doctor does not tell it: {found('controller')}")
        code, text = lab.http("/readyz")
        expect(code == 200 and "budget-pairs: must be" in text, f"not among the warnings of /readyz: {code} {text}")
        write(central, "budget-pairs: 100\n")
        hangs_up(lab.controller)
        wait("the controller to be content", lambda: metric(lab, "twamp_reload_failed") == 0 and metric(lab, "twamp_restart_needed") == 0, 20)
        code, _, text = lab.ctl_run("schedule", "apply", "-f", f"{lab.dir}/two.yaml")
        expect(code == 0, text)
