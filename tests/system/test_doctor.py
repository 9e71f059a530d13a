"""twampctl doctor: each fault is injected into a fleet of real binaries, and exactly that is found."""
import contextlib
import json
import os
import subprocess

from lab import Lab, Process, expect, sh, wait
from meshes import full, one_way
from relay_rig import RelayLab

CLASSES = {"voice": "dscp: EF, spacing: 50ms, size: 200"}
REFLECTOR = 862


def doctor(lab, *args):
    """The reply of one run; the exit code goes with it."""
    code, out, err = lab.ctl_run("-o", "json", "doctor", *args)
    expect(code in (0, 1), f"exit {code}: {err}")
    reply = json.loads(out)
    expect(code == (reply["problems"] > 0), f"exit code {code} with {reply['problems']} problems")
    return reply


def of(reply, severity):
    """(id, subject) of each finding; what the host of the tests itself is short of does not count."""
    return [(f["id"], f["subject"]) for f in reply["findings"]
            if f["severity"] == severity and f["id"] not in ("host-starved", "host-drops", "controller-disk-filling")]


def finds(lab, severity, *wanted, args=(), seen=()):
    """These and no others of that severity, and the texts in `seen` in the first of them; returns the reply."""
    reply = doctor(lab, *args)
    expect(of(reply, severity) == list(wanted), f"expected {wanted}: {json.dumps(reply['findings'], indent=1)}")
    if wanted:
        first = next(f for f in reply["findings"] if f["id"] == wanted[0][0])
        for text in seen:
            expect(text in first["observed"], f"\"{text}\" is not in: {first['observed']}")
        expect(first["cause"] and first["next"], f"nothing to do: {first}")
    return reply


@contextlib.contextmanager
def rules(lab, who, hook, text):
    """nftables rules of a namespace, as long as it lasts."""
    lab.nft(who, f"table inet fault {{ chain c {{ type filter hook {hook} priority 0; {text}; }}; }}")
    try:
        yield
    finally:
        lab.exec(who, "nft", "delete", "table", "inet", "fault")


def measured(lab, n):
    wait("results of all pairs", lambda: len({(r["source"], r["target"]) for r in lab.results("mesh=lab")}) == n)


def restart(lab, name, *extra):
    lab.agents[name].stop()
    wait(f"{name} to be down", lambda: state(lab, name) == "down")
    lab.start_agent(name, *extra)
    wait(f"{name} to be up", lambda: state(lab, name) == "up")


def state(lab, name):
    return next(a["state"] for a in lab.agent_list() if a["name"] == name)


def expect_check(lab, name, code, *texts, data=None, url="tcp://10.99.77.1:8620", but=None):
    """twamp-agent --check in the agent's namespace: its exit code, and what it says."""
    done = subprocess.run(["ip", "netns", "exec", lab.ns(name), f"{lab.build}/agent/twamp-agent", "--check", "--name", name,
                           "--controller", url, "--allow-plaintext", "--data-dir", f"{lab.dir}/{data or name}",
                           "--reflect", f"{lab.ip4(name)}:{REFLECTOR}"], capture_output=True, text=True, timeout=30)
    said = done.stdout + done.stderr
    expect(done.returncode == code, f"exit {done.returncode}: {said}")
    for text in texts:
        expect(text in said, f"\"{text}\" is not in: {said}")
    expect(not but or but not in said, said)


def test_ways_that_are_blocked(build):
    """One fleet: healthy, then its ports are blocked in every way that there is."""
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.apply(full(lab.names, classes=CLASSES))
        measured(lab, 6)

        reply = finds(lab, "problem")
        expect(not of(reply, "warning"), str(reply))
        expect(reply["agents"] == 3 and reply["pairs"] == 6 and reply["probes"] == 6 and reply["checks"] > 40, str(reply))
        said = lab.ctl("doctor")
        expect(said.startswith("Nothing wrong in 3 agents, 6 pairs: "), said)

        lab.exec("a3", "sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0")  # else the sessions use all of it up
        with rules(lab, "a3", "input", f"udp dport {REFLECTOR} drop"):
            finds(lab, "problem", ("udp-blocked-forward", "a3"), seen=["from a1, a2", "none came to its reflector"])
            finds(lab, "problem", ("udp-blocked-forward", "a1:a3"), args=["a1:a3"], seen=["10 packets sent"])
            finds(lab, "problem", args=["a1:a2"])
            finds(lab, "problem", ("udp-blocked-forward", "a3"), args=["-l", "site=a3"])
        with rules(lab, "a3", "input", f"udp sport {REFLECTOR} drop"):
            finds(lab, "problem", ("udp-blocked-backward", "a3"), seen=["to a1, a2", "10 came there", "10 were answered"])
        with rules(lab, "a3", "input", f"udp dport {REFLECTOR} reject"):
            finds(lab, "problem", ("udp-closed", "a3"), seen=["ICMP port unreachable from 10.99.77.13"])
        with rules(lab, "a3", "input", f"udp dport {REFLECTOR} reject with icmp type admin-prohibited"):
            finds(lab, "problem", ("udp-rejected", "a3"), seen=["administratively prohibited"])
        with rules(lab, "a3", "output", f"udp sport {REFLECTOR} drop"):
            finds(lab, "problem", ("answer-not-sent", "a3"), seen=["refused to send 10 answers"])
        with rules(lab, "a3", "output", f"udp dport {REFLECTOR} drop"):
            finds(lab, "problem", ("send-refused", "a3"), seen=["Operation not permitted"])

        with rules(lab, "a3", "output", f"ip daddr {lab.ip4('a1')} udp dport {REFLECTOR} numgen random mod 100 < 40 drop"):
            wait("probes that are not sent", lambda: ("not-sent", "a3:a1") in of(doctor(lab, "a3:a1"), "warning"))
        with rules(lab, "a1", "prerouting", f"ip saddr {lab.ip4('a2')} udp dport {REFLECTOR} numgen random mod 100 < 30 drop"):
            wait("what gets lost", lambda: ("lossy", "a2:a1") in of(doctor(lab, "a2:a1"), "warning"))


def test_agents_that_are_not_as_they_should_be(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.apply(full(lab.names, classes=CLASSES))
        measured(lab, 6)

        restart(lab, "a3", "--reflect-allow", lab.ip4("a1"))
        finds(lab, "problem", ("acl-refused", "a2:a3"), seen=["from 10.99.77.12", "10 refused"])

        restart(lab, "a3", "--max-sessions", "1")
        wait("the refusal", lambda: ("sessions-refused", "a3") in of(doctor(lab, "a3"), "problem"))
        finds(lab, "problem", ("sessions-refused", "a3"), seen=["1 sessions refused"])

        # The controller cannot be reached, but the host is there.
        lab.agents["a3"].stop()
        with rules(lab, "a3", "output", "tcp dport 8620 drop"):
            lab.start_agent("a3")
            wait("its reflector to answer", lambda: of(doctor(lab, "a3"), "problem") == [("agent-cut-off", "a3")])
            finds(lab, "problem", ("agent-cut-off", "a3"), seen=["answers 2 of 2 agents"])
            expect_check(lab, "a3", 1, "it runs", "(controller-blocked)")
        expect_check(lab, "a1", 0, "it runs", but="PROBLEM")
        lab.agents["a3"].kill()
        finds(lab, "problem", ("agent-down", "a3"), seen=["answers none of 2 agents"])
        lab.start_agent("a3")
        wait("a3 to be up", lambda: state(lab, "a3") == "up")

        # Who comes with the name of another one.
        twin = Process([f"{lab.build}/agent/twamp-agent", "--name", "a2", "--controller", "tcp://10.99.77.1:8620",
                        "--allow-plaintext", "--data-dir", f"{lab.dir}/twin", "--reflect", "none"], f"{lab.dir}/twin.log",
                       ns=lab.ns("a1"))
        try:
            wait("the twin to be refused", lambda: ("key-taken", "a2") in of(doctor(lab, "a2"), "problem"))
            finds(lab, "problem", ("key-taken", "a2"), seen=["from 10.99.77.11"])
        finally:
            twin.kill()
        expect_check(lab, "a2", 1, "it does not run", "(hello-refused)", "another key is enrolled", data="twin")
        # Away from the controller: no such address, a service that is none, and a directory that is not there.
        lab.agents["a2"].stop()
        expect_check(lab, "a2", 0, "it does not run", but="PROBLEM")
        expect_check(lab, "a2", 1, "it does not run", "(controller-strange)", url="tcp://10.99.77.1:8080")
        expect_check(lab, "a2", 1, "it does not run", "(controller-name)", url="tcp://no-such-host.invalid:8620")
        expect_check(lab, "a2", 1, "it does not run", "(data-dir)", data="nowhere")


def test_agents_of_another_version(build):
    with Lab(build, ["a1"]) as lab:
        lab.start_fleet()
        others = []
        try:
            for name, software in (("old", "twamp-agent 0.0.9"), ("new", "twamp-agent 9.0.0"), ("waits", "twamp-agent 0.1.0")):
                others.append(Process([f"{lab.build}/tests/support/old_agent", "tcp://10.99.77.1:8620", name,
                                       f"{lab.dir}/{name}.pem", software, "light"], f"{lab.dir}/{name}.log", ns=lab.ns("a1")))
            wait("them to come", lambda: {"old", "new", "waits"} <= {a["name"] for a in lab.agent_list()})
            lab.ctl("agent", "approve", "old")
            lab.ctl("agent", "approve", "new")
            wait("them to be up", lambda: state(lab, "old") == "up" and state(lab, "new") == "up")
            finds(lab, "warning", ("agent-pending", "waits"), ("version-skew", "new"), ("version-skew", "old"))
            found = {f["subject"]: f["observed"] for f in doctor(lab)["findings"]}
            expect("older than the controller" in found["old"] and "shapes, stamp, twamp" in found["old"], found["old"])
            expect("newer than the controller" in found["new"], found["new"])
            finds(lab, "problem")
            # It cannot probe, and that is said.
            reply = finds(lab, "problem", args=["old:a1"])
            expect(("not-probed", "old:a1") in of(reply, "note"), str(reply))
        finally:
            for p in others:
                p.kill()


def routed(lab, mtu):
    """a1 - router - a2, beside the bridge; the router's link to a2 is narrow. Returns a2's address there."""
    lab.add_ns("rt")
    for who, net in (("a1", 1), ("a2", 2)):
        sh("ip", "-n", lab.ns("rt"), "link", "add", f"r{net}", "type", "veth", "peer", "name", "eth1", "netns", lab.ns(who))
        sh("ip", "-n", lab.ns("rt"), "addr", "add", f"10.98.{net}.1/24", "dev", f"r{net}")
        sh("ip", "-n", lab.ns("rt"), "link", "set", f"r{net}", "up")
        sh("ip", "-n", lab.ns(who), "addr", "add", f"10.98.{net}.2/24", "dev", "eth1")
        sh("ip", "-n", lab.ns(who), "link", "set", "eth1", "up")
        sh("ip", "-n", lab.ns(who), "route", "add", f"10.98.{3 - net}.0/24", "via", f"10.98.{net}.1")
    lab.exec("rt", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    sh("ip", "-n", lab.ns("rt"), "link", "set", "r2", "mtu", str(mtu))
    return "10.98.2.2"


def test_paths_that_are_too_narrow(build):
    with Lab(build, ["a1", "a2"]) as lab:
        address = routed(lab, 1200)
        lab.start_controller()
        lab.start_agent("a1")
        lab.start_agent("a2", address=address)
        lab.approve_all()
        lab.apply(one_way("a1", "a2", spec="spacing: 50ms, size: 1400, df: true"))
        finds(lab, "problem", ("mtu-told", "a1:a2"),
              seen=["packets of 1428 octets", "10.98.1.1 says that its next link takes 1200", "came back had 1200"])
        with rules(lab, "rt", "output", "icmp type destination-unreachable drop"):
            sh("ip", "-n", lab.ns("a1"), "route", "flush", "cache")
            finds(lab, "problem", ("mtu-black-hole", "a1:a2"), seen=["do not arrive", "no ICMP", "up to 1200 octets"])
        sh("ip", "-n", lab.ns("rt"), "link", "set", "r2", "mtu", "1500")
        sh("ip", "-n", lab.ns("a1"), "link", "set", "eth1", "mtu", "1300")
        sh("ip", "-n", lab.ns("a1"), "route", "flush", "cache")
        finds(lab, "problem", ("mtu-local", "a1:a2"), seen=["do not leave a1", "takes 1300"])
        sh("ip", "-n", lab.ns("a1"), "link", "set", "eth1", "mtu", "1500")
        sh("ip", "-n", lab.ns("a1"), "route", "flush", "cache")
        finds(lab, "problem")


def test_names_and_control_ports(build):
    """A resolver that never answers, a name that there is, and TCP ports of TWAMP-Control that are shut."""
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        with open(f"{lab.dir}/resolv.conf", "w") as f:
            f.write("nameserver 10.99.77.200\n")
        with open(f"{lab.dir}/hosts", "w") as f:
            f.write(f"127.0.0.1 localhost\n{lab.ip4('a2')} known.example\n")
        lab.start_agent("a2", "--control", f"{lab.ip4('a2')}:862")
        lab.agents["a1"] = Process(
            ["unshare", "--mount", "sh", "-c", f"mount --bind {lab.dir}/resolv.conf /etc/resolv.conf && "
             f"mount --bind {lab.dir}/hosts /etc/hosts && exec {lab.build}/agent/twamp-agent --name a1 --controller "
             f"tcp://10.99.77.1:8620 --allow-plaintext --data-dir {lab.dir}/a1 --reflect {lab.ip4('a1')}:862 "
             f"--advertise {lab.ip4('a1')}"], f"{lab.dir}/a1.log", ns=lab.ns("a1"))
        lab.approve_all()
        finds(lab, "problem", ("name-unresolved", "a1:router.example.net:862"), args=["a1:router.example.net:862"],
              seen=["a1 asked for \"router.example.net\""])
        finds(lab, "problem", args=["a1:known.example:862"])
        finds(lab, "problem", ("udp-silent", "a1:10.99.77.99"), args=["a1:10.99.77.99"])

        lab.apply(one_way("a1", "a2", spec="protocol: twamp, spacing: 50ms, size: 100"))
        finds(lab, "problem")
        with rules(lab, "a2", "input", "tcp dport 862 drop"):
            finds(lab, "problem", ("control-blocked", "a1:a2"), seen=["TCP port 862"])
        with rules(lab, "a2", "input", "tcp dport 862 reject with tcp reset"):
            finds(lab, "problem", ("control-closed", "a1:a2"), seen=["Connection refused"])


def test_keys_that_differ(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        for name, secret in (("a1", "one"), ("a2", "another")):
            path = f"{lab.dir}/{name}.secrets"
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(f"site {secret}\n")
            lab.start_agent(name, "--secrets", path)
        lab.approve_all()
        lab.apply(one_way("a1", "a2", spec="protocol: stamp, auth: authenticated, key_id: site, spacing: 50ms, size: 200"))
        wait("results", lambda: lab.results("mesh=lab"))
        finds(lab, "problem", ("keys-differ", "a1:a2"), seen=["all lost; packets of doctor come back"])


def test_a_wrong_clock(build):
    names = ["a1", "a2", "a3", "a4"]
    with RelayLab(build, names, "rule udp=862 delay=2500us jitter=exp:200us\nclock host=a3 offset=20ms\n") as lab:
        lab.start_fleet()
        lab.apply(full(names, classes={"voice": "spacing: 40ms, size: 200"}))
        wait("the audit to see it", lambda: ("clock-offset", "a3") in of(doctor(lab), "problem"), 40)
        finds(lab, "problem", ("clock-offset", "a3"), seen=["ahead of the others"])
