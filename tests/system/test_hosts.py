"""Targets by DNS name, from a /etc/hosts that only one agent sees and that changes while it measures."""
import json

from lab import Lab, Process, expect, wait
from meshes import total

EDGE = "router.example"
DOCUMENT = """mesh: named
topology: list
pairs: [[ams, edge]]
targets: { edge: "router.example:862" }
classes:
  c: { spacing: 20ms, size: 100, timeout: 500ms, report_period: 1s }
"""
FIRST_PROBE_NS = 30e6  # it leaves one spacing after its session began, or a little later


def say(lab, *lines):
    """Writes the hosts file in place: it is mounted."""
    with open(f"{lab.dir}/hosts", "w") as f:
        f.write("\n".join(["127.0.0.1 localhost", *lines, ""]))


def start_ams(lab):
    """With a name server that refuses at once, so that only the file counts."""
    say(lab)
    with open(f"{lab.dir}/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.1\n")
    lab.agents["ams"] = Process(
        ["unshare", "--mount", "sh", "-c", f"mount --bind {lab.dir}/resolv.conf /etc/resolv.conf && "
         f"mount --bind {lab.dir}/hosts /etc/hosts && exec {lab.build}/agent/twamp-agent --name ams --controller "
         f"tcp://10.99.77.1:8620 --allow-plaintext --data-dir {lab.dir}/ams --reflect {lab.ip4('ams')}:862 "
         f"--advertise {lab.ip4('ams')} --resolve-every 1s"], f"{lab.dir}/ams.log", ns=lab.ns("ams"))


def state(lab):
    pairs = lab.api("/api/v1/pairs?mesh=named")["pairs"]
    return pairs[0]["state"] if pairs else None


def health(lab):
    agent = next(a for a in lab.api("/api/v1/agents")["agents"] if a["name"] == "ams")
    return agent["health"] or {}


def metric(lab, name):
    rows = [x for x in lab.http("/metrics")[1].splitlines() if x.startswith(f'twamp_agent_{name}{{agent="ams"}}')]
    return float(rows[0].split()[-1]) if rows else None


def findings(lab):
    out = lab.ctl_run("-o", "json", "doctor")[1]
    return {(f["id"], f["subject"]) for f in json.loads(out)["findings"]}


def test_hosts(build):
    with Lab(build, ["ams", "fra", "lon"]) as lab:
        lab.start_controller()
        start_ams(lab)
        lab.start_agent("fra")
        lab.start_agent("lon")
        lab.approve_all()
        for name in ["fra", "lon"]:
            lab.count(name, "probes", f"udp dport {lab.port}")

        # Nobody knows the name: the results say so, not that there are none.
        lab.apply(DOCUMENT)
        wait("name_error", lambda: state(lab) == "name_error")
        rows = wait("results", lambda: len(r := lab.results("mesh=named")) >= 2 and r)
        expect({r["status"] for r in rows} == {"name_error"} and total(rows, "sent") == 0, f"not name_error: {rows[0]}")
        wait("its health", lambda: health(lab).get("names_unresolved") == 1 and health(lab)["name_failures"] >= 1, 30)
        found = findings(lab)
        expect({("names-unresolved", "ams"), ("name-unresolved", "ams:edge")} <= found, f"doctor found {found}")
        expect("without address" in lab.ctl("agent", "show", "ams"), "agent show does not tell of the name")
        expect(lab.counter("fra", "probes") == 0, "probes without an address")

        say(lab, f"{lab.ip4('fra')} router.example")
        wait("probes to fra", lambda: lab.counter("fra", "probes") > 50)
        wait("the pair to be ok", lambda: state(lab) == "ok")

        # Another address: what is in flight is awaited, nothing is lost.
        say(lab, f"{lab.ip4('lon')} router.example")
        wait("probes to lon", lambda: lab.counter("lon", "probes") > 50)
        before = lab.counter("fra", "probes")
        wait("more of them", lambda: lab.counter("lon", "probes") > 100)
        expect(lab.counter("fra", "probes") == before, "probes to the old address go on")

        # The name is gone: the last address stays in use.
        say(lab)
        wait("a stale name", lambda: health(lab).get("names_stale") == 1, 30)
        expect(health(lab)["name_changes"] == 1 and health(lab)["names_unresolved"] == 0, str(health(lab)))
        sent = lab.counter("lon", "probes")
        wait("probes to go on", lambda: lab.counter("lon", "probes") > sent + 50)
        expect(("names-stale", "ams") in findings(lab), "doctor does not tell of the stale name")
        wait("the metrics", lambda: metric(lab, "names_stale") == 1 and metric(lab, "name_changes_total") == 1)
        rows = lab.results("mesh=named")
        expect(total(rows, "sent") > 150 and total(rows, "lost") == 0,
               f"lost {total(rows, 'lost')} of {total(rows, 'sent')}")
        # A session that begins just before a period ends has a piece of one without a probe.
        rows = [r for r in rows if r["sent"] or r["end_ns"] - r["start_ns"] > FIRST_PROBE_NS]
        expect({r["status"] for r in rows} == {"name_error", "ok"}, f"{ {r['status'] for r in rows} }")


def test_hosts_on_demand(build):
    """twampctl test to a host name, as it is and of a document."""
    with Lab(build, ["ams", "fra"]) as lab:
        lab.start_controller()
        start_ams(lab)
        lab.start_agent("fra")
        lab.approve_all()
        say(lab, f"{lab.ip4('fra')} {EDGE}")
        for target, name in [(EDGE, EDGE), (f"{EDGE}:862", EDGE)]:
            answer = lab.json("test", "ams", target, "--count", "50", "--spacing", "10ms", "--probe-timeout", "2s")
            run = answer["runs"][0]
            expect(run["sent"] == 50 and run["lost"] == 0 and run["target"] == name, str(run))
        say(lab)
        code, out, err = lab.ctl_run("test", "ams", "nosuch.example", "--count", "5")
        expect(code == 1 and 'no address of "nosuch.example"' in out + err, f"{code} {out} {err}")
        code, out, err = lab.ctl_run("test", "ams", "nosuch", "--count", "5")
        expect(code == 1 and "no host name with a dot or port" in err, f"{code} {out} {err}")
        rows = wait("what is stored", lambda: (r := lab.csv("results", "--mesh", "on-demand")) and
                    sum(int(x["sent"]) for x in r) == 100 and r)
        expect({r["target"] for r in rows} == {EDGE}, str(rows[0]))
