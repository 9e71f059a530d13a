"""Changes of the schedule as operators meet them: whole whatever happens, with a way back, and with a view of who has taken them."""
import json
import os
import random
import signal
import subprocess
import time

from lab import Lab, expect, sigstop, wait
from meshes import full, one_way


LONG = "TW_TEST_LONG" in os.environ


def three(spacing, names=("core", "edge", "spare")):
    """One file with three meshes."""
    return "---\n".join(one_way("a1", "a2", name=n, spec=f"spacing: {spacing}, size: 100") for n in names)


def put(lab, name, text):
    path = f"{lab.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def spacings(lab):
    """What each mesh has, by the documents that run."""
    text = lab.ctl("schedule", "export")
    return {line.split()[1] for line in text.splitlines() if line.startswith("mesh:")}, \
           {w for line in text.splitlines() if "spacing" in line for w in [line.split("spacing: ")[1].split(",")[0]]}


def start(lab, *args):
    return subprocess.Popen([f"{lab.build}/controller/cli/twampctl", "--controller", lab.admin, *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_in_an_apply_old_or_new_is_whole(build):
    rng = random.Random(5)
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        paths = {s: put(lab, f"{s}.yaml", three(s)) for s in ("20ms", "30ms")}
        lab.ctl("schedule", "apply", "-f", paths["20ms"], "--prune")
        for i in range(20 if LONG else 3):
            new = "30ms" if i % 2 == 0 else "20ms"
            op = start(lab, "schedule", "apply", "-f", paths[new], "--wait", "0")
            time.sleep(rng.uniform(0, 0.06))
            lab.controller.kill()
            op.communicate(timeout=30)
            lab.start_controller()
            meshes, has = spacings(lab)
            expect(meshes == {"core", "edge", "spare"} and len(has) == 1, f"half of an apply is in force: {meshes} {has}")
            history = lab.json("schedule", "history")
            expect(history["generations"][0]["generation"] == history["generation"], "the history is not that of the schedule")
            lab.ctl("schedule", "apply", "-f", paths[new], "--wait", "0")
            expect(spacings(lab)[1] == {new}, "the apply after it is not in force")
        wait("the agents to run it", lambda: lab.ctl_run("schedule", "rollout")[0] == 0)


def test_rollback_restores_exactly(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.ctl("schedule", "apply", "-f", put(lab, "a.yaml", three("20ms")), "--reason", "the good one")
        lab.ctl("schedule", "pause", "edge")
        good, export = lab.json("schedule", "history")["generation"], lab.ctl("schedule", "export")
        lab.ctl("schedule", "apply", "-f", put(lab, "b.yaml", full(["a1", "a2"]) + "---\n" + three("50ms", ("core",))), "--prune")
        expect(lab.ctl("schedule", "export") != export, "nothing has changed")
        lab.ctl("schedule", "rollback", str(good), "--reason", "back")
        expect(lab.ctl("schedule", "export") == export, "the rollback has not brought back what was")
        paused = {m["name"] for m in lab.json("schedule", "list")["meshes"] if m["paused"]}
        expect(paused == {"edge"}, f"paused is {paused}, not edge")
        top = lab.json("schedule", "history")["generations"][0]
        expect(top["what"] == f"rollback to generation {good}" and top["reason"] == "back", f"the history says {top}")
        out = lab.ctl("schedule", "apply", "-f", put(lab, "c.yaml", export), "--prune")
        expect(out.startswith("Unchanged: "), f"applying the export: {out}")
        code, _, err = lab.ctl_run("schedule", "rollback", "9999")
        expect(code == 1 and "not in the history" in err, f"rollback to nowhere: exit {code}: {err}")


def test_a_change_leaves_nothing_missing(build):
    """The report period in which sessions begin anew is in two summaries, neither of them whole: none is to be missed for that."""
    def hours():
        rows = lab.json("completeness", "--from", "-2h")["hours"]
        return sum(r["expected"] for r in rows), sum(r["stored"] for r in rows), [r for r in rows if r["expected"] > r["stored"]]

    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        for spacing, size in (("50ms", 100), ("40ms", 100), ("40ms", 200)):
            lab.apply(full(["a1", "a2"], classes={"c": f"spacing: {spacing}, size: {size}"}), "--wait", "10s")
            before = hours()[0]
            wait("more report periods", lambda b=before: hours()[0] >= b + 6)
        expected, stored, missing = wait("the last ones", lambda: not hours()[2] and hours(), 10)
        expect(expected == stored and not missing, f"{stored} of {expected}, missing {missing}")


def test_two_operators_get_one_generation_each(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        before = lab.json("schedule", "list")["generation"]
        paths = [put(lab, f"{s}.yaml", three(s)) for s in ("20ms", "30ms")]
        for _ in range(10 if LONG else 2):
            ops = [start(lab, "schedule", "apply", "-f", p, "--wait", "0", "-o", "json") for p in paths]
            done = [op.communicate(timeout=60) + (op.returncode,) for op in ops]
            expect(all(code == 0 for _, _, code in done), f"an apply failed: {done}")
            meshes, has = spacings(lab)
            expect(meshes == {"core", "edge", "spare"} and len(has) == 1, f"two applies are mixed: {meshes} {has}")
        rows = [g for g in lab.json("schedule", "history")["generations"] if g["generation"] > before]
        expect(all(g["what"] == "apply core, edge, spare" for g in rows) and 2 <= len(rows) <= 2 * len(paths) * (10 if LONG else 2), f"the history says {rows}")


def rollout(lab):
    """Its exit code is 6 while somebody is behind."""
    return json.loads(lab.ctl_run("-o", "json", "schedule", "rollout")[1])["rollout"]


def words(lab):
    return {r["agent"]: r["word"] for r in rollout(lab)}


def test_rollout_tells_who_is_away_slow_or_refuses(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_fleet()
        lab.apply(full(["a1", "a2", "a3"]))
        wait("all to run it", lambda: set(words(lab).values()) == {"current"})
        lab.agents["a3"].stop()
        wait("a3 to be away", lambda: words(lab)["a3"] == "away")
        sigstop(lab.agents["a2"])
        path = put(lab, "x.yaml", one_way("a1", "a2", spec="spacing: 50ms, bind: nowhere"))
        code, _, err = lab.ctl_run("schedule", "apply", "-f", path, "--wait", "1s")
        expect(code == 6 and "a2" in err, f"apply with a stopped agent: exit {code}: {err}")
        code, out, _ = lab.ctl_run("schedule", "rollout")
        first = out.splitlines()[0]
        expect(code == 6 and "1 connected is behind, 1 is away" in first, f"exit {code}: {first}")
        if LONG:
            wait("a2 to be slow", lambda: words(lab)["a2"] == "slow", seconds=30)
        os.kill(lab.agents["a2"].popen.pid, signal.SIGCONT)
        wait("a1 to refuse", lambda: words(lab) == {"a1": "refuses", "a2": "current", "a3": "away"}, seconds=40)
        row = next(r for r in rollout(lab) if r["agent"] == "a1")
        expect(row["refused"][0]["target"] == "a2" and row["refused"][0]["reason"], f"a1 does not say what it refuses: {row}")
        lab.start_agent("a3")
        wait("a3 to run it", lambda: words(lab)["a3"] == "current")


KEPT = "keep: { spacing: 20ms, size: 100, timeout: 300ms, report_period: 1s }"
GONE = "gone: { spacing: 20ms, size: 100, dscp: EF, timeout: 300ms, report_period: 1s }"
TIMED = "timed: { spacing: 20ms, size: 100, dscp: AF11, timeout: 300ms, report_period: 1s, schedule: { every: 1s, for: 500ms } }"


def pairs_to_a4(*classes):
    sources = ("a1", "a2", "a3")
    return (f"mesh: lab\ntopology: list\npairs: [{', '.join(f'[{s}, a4]' for s in sources)}]\nclasses:\n" +
            "".join(f"  {c}\n" for c in classes))


class LastPacket:
    """When packets of a counter came last, by looking at it again and again."""

    def __init__(self, lab, *names):
        self.lab = lab
        self.seen = {n: (lab.counter("a4", n), 0.0) for n in names}

    def look(self):
        for name, (count, _) in self.seen.items():
            now = self.lab.counter("a4", name)
            if now != count:
                self.seen[name] = (now, time.monotonic())

    def watch(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(0.05)

    def at(self, name):
        return self.seen[name][1]


def agent_states(lab):
    return {a["name"]: a["state"] for a in lab.agent_list()}


def schedules_sent(lab):
    """How many as lists, how many as differences."""
    page = lab.http("/metrics")[1]
    value = lambda form: float(next(line.split()[-1] for line in page.splitlines()
                                    if line.startswith("twamp_schedule_requests_total") and form in line))
    return value("list"), value("difference")


def count_classes(lab):
    """Of every source, and of a class: the packets that reach a4."""
    rules = "".join(f"udp dport 862 ip saddr {lab.ip4(a)} ip dscp {dscp} counter name {a}_{name}\n"
                    for a in ("a1", "a2", "a3") for name, dscp in (("gone", "ef"), ("keep", "cs0"), ("timed", "af11")))
    names = "".join(f"counter {a}_{name} {{ }}\n" for a in ("a1", "a2", "a3") for name in ("gone", "keep", "timed"))
    lab.nft("a4", f"table inet lab {{\n{names}chain in {{\ntype filter hook prerouting priority 0\n{rules}}}\n}}")


def test_removed_test_ends_in_time(build):
    """a1 is connected, a2 is cut off and comes back, a3 is stopped and starts again: what goes ends, and what stays goes on."""
    with Lab(build, ["a1", "a2", "a3", "a4"]) as lab:
        lab.start_fleet()
        count_classes(lab)
        lab.apply(pairs_to_a4(KEPT, GONE, TIMED))
        wait("all to run it", lambda: set(words(lab).values()) == {"current"})
        wait("all to send", lambda: all(lab.counter("a4", f"{a}_{c}") > 10 for a in ("a1", "a2", "a3") for c in ("gone", "keep", "timed")))
        lab.nft("ctl", f"table inet cut {{\nchain in {{\ntype filter hook input priority 0\nip saddr {lab.ip4('a2')} "
                       f"tcp dport 8620 reject with tcp reset\n}}\n}}")
        lab.agents["a3"].stop()
        wait("a3 to be away", lambda: agent_states(lab)["a3"] == "down")
        _, differences = schedules_sent(lab)
        last = LastPacket(lab, *(f"{a}_{c}" for a in ("a1", "a2", "a3") for c in ("gone", "keep", "timed")))
        applied = time.monotonic()
        lab.apply(pairs_to_a4(KEPT, TIMED), "--wait", "0")
        last.watch(6)
        expect(last.at("a1_gone") < applied + 5, f"a1 went on for {last.at('a1_gone') - applied:.1f} s")
        for name in ("a1_keep", "a1_timed", "a2_keep", "a2_gone"):
            expect(last.at(name) > applied + 4, f"{name} has ended, too")
        expect(schedules_sent(lab)[1] > differences, "a1 has not been sent a difference")
        # Back again.
        lab.exec("ctl", "nft", "delete", "table", "inet", "cut")
        lab.start_agent("a3")
        wait("both to be back", lambda: set(words(lab).values()) == {"current"}, 60)
        back = time.monotonic()
        last.look()
        before = {a: lab.counter("a4", f"{a}_gone") for a in ("a2", "a3")}
        last.watch(2.5)
        for a in ("a2", "a3"):
            expect(lab.counter("a4", f"{a}_gone") == before[a], f"{a} sent after it had come back, for {last.at(f'{a}_gone') - back:.1f} s")
            expect(last.at(f"{a}_keep") > back + 1 and last.at(f"{a}_timed") > back + 0.5, f"{a} has ended what stays")
        expect(lab.counter("a4", "a1_gone") == last.seen["a1_gone"][0], "a1 has begun again")


def test_an_agent_that_dies_in_a_rollout(build):
    """At any moment of it: the others run the new generation, the rollout names the one that is away, and that one comes back to the new one."""
    rng = random.Random(11)
    with Lab(build, ["a1", "a2", "a3", "a4"]) as lab:
        lab.start_fleet()
        count_classes(lab)
        lab.apply(pairs_to_a4(KEPT, GONE))
        wait("all to run it", lambda: set(words(lab).values()) == {"current"})
        for i in range(20 if LONG else 4):
            with_gone = i % 2 == 1
            path = put(lab, "next.yaml", pairs_to_a4(KEPT, GONE) if with_gone else pairs_to_a4(KEPT))
            op = start(lab, "schedule", "apply", "-f", path, "--wait", "10s")
            time.sleep(rng.uniform(0, 0.08))
            lab.agents["a1"].kill()
            out, err = op.communicate(timeout=30)
            expect(op.returncode == 0, f"an agent that is away stops an apply: exit {op.returncode}: {err}")
            expect(words(lab) == {"a1": "away", "a2": "current", "a3": "current", "a4": "current"}, f"in the rollout: {words(lab)}")
            lab.start_agent("a1")
            wait("a1 to run it", lambda: words(lab)["a1"] == "current", 30)
            row = next(r for r in rollout(lab) if r["agent"] == "a1")
            expect((row["missing"], row["extra"]) == (0, 0), f"a1 runs something else: {row}")
            last = LastPacket(lab, "a1_gone", "a1_keep")
            last.watch(0.7)
            expect(last.at("a1_keep") > 0, "what stays has not come back")
            expect((last.at("a1_gone") > 0) == with_gone, f"round {i}: what is gone was {'not ' if with_gone else ''}sent after the agent came back")
        since = {r["agent"]: r["acked_ns"] for r in rollout(lab)}
        time.sleep(1.1)
        lab.controller.kill()
        lab.start_controller()
        wait("all to be back", lambda: set(words(lab).values()) == {"current"}, 60)
        for r in rollout(lab):
            expect(abs(r["acked_ns"] - since[r["agent"]]) < 1e9, f"a restart of the controller has made {r['agent']} run its schedule since then: {r}")
