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
