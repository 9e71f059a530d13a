"""What operators do to agents: labels, drain, maintenance, limits, rename, revoke; and what becomes of pairs, sessions and history."""
import contextlib
import json
import time

from lab import Lab, expect, wait
from meshes import full

CLASSES = {"c": "spacing: 20ms, size: 100"}
# Names of agents are in no line of it, so they may change.
BY_LABEL = """mesh: lab
groups:
  all: { select: "fleet=lab", allow_empty: true }
topology: full
members: ["@all"]
classes:
  c: { spacing: 20ms, size: 100, timeout: 300ms, report_period: 1s }
"""
PROBES = "udp dport 862"


def report(lab, *args):
    """{(source, target): row} of the pairs that are shown now."""
    return {(p["source"], p["target"]): p for p in lab.json("report", "--latest", *args)["pairs"]}


def states(lab):
    return {(p["source"], p["target"]): p["state"] for p in lab.api("/api/v1/pairs")["pairs"]}


def ids(lab):
    return {(p["source"], p["target"]): p["pair_id"] for p in lab.api("/api/v1/pairs")["pairs"]}


def with_agent(pairs, name):
    return {k for k in pairs if name in k}


def all_ok(lab, n):
    return lambda: [p["state"] for p in lab.api("/api/v1/pairs")["pairs"]] == ["ok"] * n


def stands_still(lab, who, seconds=1.0):
    """No probe comes to its reflector for so long."""
    seen, since = lab.counter(who, "probes"), time.monotonic()

    def quiet():
        nonlocal seen, since
        now = lab.counter(who, "probes")
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > seconds
    return quiet


def comes_more(lab, who):
    seen = lab.counter(who, "probes")
    return lambda: lab.counter(who, "probes") > seen + 5


def stored(lab, source, target):
    return len(lab.results(f"source={source}", f"target={target}"))


def problems(lab, *args):
    reply = doctor(lab, *args)
    return {(f["id"], f["subject"]) for f in reply["findings"] if f["severity"] == "problem" and f["id"] != "controller-disk"}


def doctor(lab, *args):
    code, out, err = lab.ctl_run("-o", "json", "doctor", *args)
    expect(code in (0, 1), f"doctor: exit {code}: {err}")
    return json.loads(out)


def test_drained_agents_rest_and_nobody_complains(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.count("a3", "probes", PROBES)
        lab.apply(full(lab.names, classes=CLASSES))
        wait("all pairs to be ok", all_ok(lab, 6))
        was = ids(lab)

        lab.ctl("agent", "drain", "a3", "--reason", "new disks")
        wait("its pairs to be drained", lambda: {k for k, s in states(lab).items() if s == "drained"} == with_agent(was, "a3"))
        wait("nobody to send to it", stands_still(lab, "a3"))
        before = stored(lab, "a1", "a3")
        expect(before > 0 and stored(lab, "a3", "a1") > 0, "what was measured before is gone")
        expect(states(lab)[("a1", "a2")] == "ok", f"the others: {states(lab)}")
        shown = lab.ctl("agent", "show", "a3")
        expect("up, drained" in shown and "new disks" in shown, shown)
        lab.agents["a3"].stop()
        wait("a3 to be down", lambda: "down, drained" in lab.ctl("agent", "list"))
        reply = doctor(lab)
        expect(not problems(lab) and reply["set_aside"] == 1, f"doctor complains: {reply['findings']}")
        expect("1 of the agents is drained or in maintenance" in lab.ctl("doctor"), "doctor does not say whom it leaves out")
        expect(("agent-down", "a3") in problems(lab, "a3"), "who asks for it by name is told nothing")
        status = lab.ctl("status")
        expect("1 drained, 0 in maintenance, 0 revoked" in status, status)

        lab.start_agent("a3")
        wait("a3 to be up", lambda: "up, drained" in lab.ctl("agent", "list"))
        lab.ctl("agent", "undrain", "a3")
        wait("all pairs to be ok again", all_ok(lab, 6))
        wait("results of it to be stored", lambda: stored(lab, "a1", "a3") > before)
        expect(ids(lab) == was, "the pairs have other ids: their history is torn")


def test_maintenance_marks_the_pairs_of_an_agent(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.apply(full(lab.names, classes=CLASSES))
        wait("all pairs to be ok", all_ok(lab, 6))
        lab.ctl("agent", "maintenance", "a2", "--to", "+1h", "--reason", "new kernel")
        rows = report(lab)
        marked = {k for k, p in rows.items() if p["maintenance"]}
        expect(marked == with_agent(rows, "a2") and len(marked) == 4, f"marked: {marked}")
        row = rows[("a1", "a2")]
        expect(row["maintenance_agent"] == "a2" and row["maintenance_reason"] == "new kernel", str(row))
        expect(0 < row["maintenance_until_ns"] - time.time_ns() <= 3600 * 10**9, f"until {row['maintenance_until_ns']}")
        table = lab.ctl("report", "--latest")
        expect(table.count("ok M ") == 4 and "M maintenance of agent a2 until 2" in table and ": new kernel" in table, table)
        watch = lab.ctl("watch", "--once")
        expect("M maintenance of agent a2 until 2" in watch, watch)
        status = lab.ctl("status")
        expect("agent a2 until 2" in status and "6, 4 of them in maintenance" in status and "new kernel" in status, status)
        expect("new kernel" in lab.ctl("agent", "show", "a2"), "agent show does not say why")
        pairs = {(p["source"], p["target"]): p["maintenance_now"] for p in lab.api("/api/v1/pairs")["pairs"]}
        expect({k for k, m in pairs.items() if m and m["agent"] == "a2"} == marked, f"the API says {pairs}")
        wait("metrics to say so", lambda: lab.http("/metrics")[1].count("\ntwamp_pair_maintenance{") == 4)

        # It is measured on, and what breaks is no fault.
        wait("its pairs to be measured", lambda: states(lab)[("a1", "a2")] == "ok")
        lab.agents["a2"].kill()
        wait("its pairs to be lost", lambda: states(lab)[("a1", "a2")] == "all_lost")
        expect(not problems(lab), f"doctor complains of {problems(lab)}")
        lab.ctl("agent", "maintenance", "a2", "--end")
        expect(not any(p["maintenance"] for p in report(lab).values()), "the end has no effect")
        wait("doctor to complain", lambda: ("agent-down", "a2") in problems(lab))


def test_labels_move_agents_between_meshes_and_names_do_not_matter(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.count("a3", "probes", PROBES)
        for name in ("a1", "a2"):
            lab.ctl("agent", "label", name, "fleet=lab")
        lab.apply(BY_LABEL)
        wait("two pairs", all_ok(lab, 2))
        lab.ctl("agent", "label", "a3", "fleet=lab")
        wait("six pairs", all_ok(lab, 6))
        lab.ctl("agent", "label", "a3", "fleet-")
        wait("two pairs again", all_ok(lab, 2))
        wait("nobody to send to it", stands_still(lab, "a3"))
        expect(stored(lab, "a1", "a3") > 0, "its history went with its label")
        lab.ctl("agent", "label", "a3", "fleet=lab")
        wait("six pairs again", all_ok(lab, 6))

        was, before = ids(lab), stored(lab, "a1", "a3")
        lab.ctl("agent", "rename", "a3", "b3")
        wait("its pairs to be ok under the new name", lambda: all_ok(lab, 6)() and ("a1", "b3") in states(lab))
        new = ids(lab)
        expect({k: v for k, v in new.items() if "b3" not in k} == {k: v for k, v in was.items() if "a3" not in k}, "others changed")
        expect(new[("a1", "b3")] == was[("a1", "a3")] and new[("b3", "a2")] == was[("a3", "a2")], "its pairs have other ids")
        wait("new results beside the old ones", lambda: stored(lab, "a1", "b3") > before + 1)
        expect(stored(lab, "a1", "a3") == 0, "something is left under the old name")
        expect("a3" in lab.ctl("agent", "show", "b3"), "agent show does not know how it was called")
        expect(lab.agents["a3"].alive(), "the agent did not live through it")


@contextlib.contextmanager
def cut_off(lab, name):
    """No connection to the controller, and it notices at once; probes go on."""
    lab.nft(name, "table inet cut { chain c { type filter hook output priority 0; tcp dport 8620 reject with tcp reset; }; }")
    try:
        yield
    finally:
        lab.exec(name, "nft", "delete", "table", "inet", "cut")


def test_revoked_agents_probe_no_more(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.count("a3", "probes", f"{PROBES} ip saddr {lab.ip4('a1')}")
        lab.apply(full(lab.names, classes=CLASSES))
        wait("all pairs to be ok", all_ok(lab, 6))

        # One that is connected.
        lab.ctl("agent", "revoke", "a1", "--yes", "--reason", "stolen")
        wait("it to probe no more", stands_still(lab, "a3"))
        wait("it to say so", lambda: "does not want this agent" in lab.agents["a1"].tail())
        expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it was revoked")
        expect(stored(lab, "a1", "a3") > 0, "its history went with it")
        expect(states(lab).keys() == {("a2", "a3"), ("a3", "a2")}, f"pairs: {states(lab)}")
        code, _, said = lab.ctl_run("test", "a1", "a3")
        expect(code != 0 and "agent a1 is revoked; to let it in again: twampctl agent remove a1" in said, f"a test from it: {code} {said}")

        # One that is away then: it measures on, until it hears of it.
        lost = "connection to the controller lost" # it has said so once already, when it was approved
        before = lab.agents["a2"].tail().count(lost)
        with cut_off(lab, "a2"):
            wait("a2 to notice", lambda: lab.agents["a2"].tail().count(lost) > before)
            lab.nft("a3", f"""
                table inet from2 {{
                  counter probes {{ }}
                  chain in {{
                    type filter hook prerouting priority 0
                    {PROBES} ip saddr {lab.ip4('a2')} counter name probes
                  }}
                }}""")
            lab.ctl("agent", "revoke", "a2", "--yes", "--reason", "stolen, too")
            seen = lab.counter("a3", "probes", "from2")
            wait("it to measure on", lambda: lab.counter("a3", "probes", "from2") > seen + 5)
        wait("it to hear of it", lambda: "does not want this agent" in lab.agents["a2"].tail(), 40)

        def quiet():
            before = lab.counter("a3", "probes", "from2")
            time.sleep(0.5)
            return lab.counter("a3", "probes", "from2") == before
        wait("it to probe no more", quiet)
        # Nor after a restart, before it has heard anything.
        lab.agents["a2"].kill()
        before = lab.counter("a3", "probes", "from2")
        with cut_off(lab, "a2"):
            lab.start_agent("a2")
            wait("it to be ready", lambda: "cannot connect" in lab.agents["a2"].tail())
            expect(quiet() and lab.counter("a3", "probes", "from2") == before, "it goes on after a restart")
        # Let in again it runs what it is given.
        lab.ctl("agent", "remove", "a2", "--yes")
        wait("it to wait for approval", lambda: {a["name"]: a["state"] for a in lab.agent_list()}.get("a2") == "pending", 40)
        lab.ctl("agent", "approve", "a2")
        wait("it to measure again", lambda: states(lab).get(("a2", "a3")) == "ok", 30)
        expect(lab.agents["a2"].stop() == 0, "it was let in again, and the exit status says otherwise")


def test_limits_of_agents_hold_and_rollout_says_so(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.apply(full(lab.names, classes={"c": "spacing: 20ms, size: 100", "d": "spacing: 100ms, size: 1400"}))
        wait("all pairs to be ok", all_ok(lab, 12))
        lab.agents["a1"].stop()
        # A pair of c sends 50 * 1024 bit/s, one of d 10 * 11,424.
        lab.start_agent("a1", "--max-bps", "250000", "--probe-allow", lab.ip4("a2"))
        reason = "the target is outside of this agent's --probe-allow"

        def row():
            rows = json.loads(lab.ctl_run("-o", "json", "schedule", "rollout")[1])["rollout"]
            return next(r for r in rows if r["agent"] == "a1")
        wait("a1 to refuse", lambda: row()["word"] == "refuses" and row()["sessions_running"] == 2)
        expect({r["reason"] for r in row()["refused"]} == {reason}, f"rollout: {row()}")
        lab.agents["a1"].stop()
        lab.start_agent("a1", "--max-bps", "120000")
        wait("a1 to refuse for its bandwidth", lambda: {r["reason"] for r in row()["refused"]} == {"over this agent's --max-bps"})
        expect("over this agent's --max-bps" in lab.ctl_run("schedule", "rollout")[1], lab.ctl_run("schedule", "rollout")[1])
        wait("the rest to run", lambda: "ok" in states(lab).values() and "refused" in states(lab).values())
        code, out, err = lab.ctl_run("schedule", "apply", "-f", "-", "--plan", input=full(lab.names, classes={"c": "spacing: 10ms, size: 1400"}))
        expect(code and "a1 would send" in out + err and "its own limit is 120000" in out + err, f"exit {code}: {out} {err}")
