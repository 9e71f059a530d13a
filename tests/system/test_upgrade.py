"""Mixed fleets: the release after this one (tests/next: another version, a protocol version more, a migration more in both files, fields in every
message that nobody knows) with this one, in either order, and back. Every result is counted once."""
import contextlib
import sqlite3
import time

from lab import Lab, expect, wait
from meshes import by_pair, full
from test_outage import all_past, nothing_lost_or_doubled

TWO = ["a1", "a2"]
THIS, NEXT = "0.1.0", "0.2.0"


@contextlib.contextmanager
def release(lab, which):
    """What is started here, and twampctl, is of that release: THIS, NEXT, or a folder of the build."""
    mine = lab.build
    if which != THIS:
        lab.build = f"{mine}/{'next' if which == NEXT else which}"
    try:
        yield
    finally:
        lab.build = mine


def schema(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def controller_of(lab, which):
    expect(lab.controller.stop() == 0, "the controller did not end cleanly")
    with release(lab, which):
        lab.start_controller()
    wait("agents that are up", lambda: all(a["state"] == "up" for a in lab.agent_list()), 30)


def agent_of(lab, name, which):
    expect(lab.agents[name].stop() == 0, f"{name} did not end cleanly")
    with release(lab, which):
        lab.start_agent(name)
    wait(f"{name} of {which}", lambda: software(lab)[name] == f"twamp-agent {which}" and state(lab, name) == "up", 30)


def skews(lab):
    """As schedule rollout tells them: agents of the release beside the controller's are told, not warned of."""
    rollout = lab.json("schedule", "rollout")
    expect(rollout["agents_skewed"] == 0, str(rollout))
    return {a["agent"]: a["skew"] for a in rollout["rollout"]}


def software(lab):
    return {a["name"]: a["software"] for a in lab.agent_list()}


def state(lab, name):
    return next(a["state"] for a in lab.agent_list() if a["name"] == name)


def goes_on(lab):
    """Results of every pair from now on; all of them so far follow each other."""
    now = time.time_ns()
    wait("results of every pair", lambda: all_past(lab, now), 30)
    nothing_lost_or_doubled(lab.results("mesh=lab"), restarts_allowed=True)
    return lab.results("mesh=lab")


def asked_by_both(lab):
    """twampctl of either release with the controller that runs; each says so when they differ."""
    for which in (THIS, NEXT):
        with release(lab, which):
            for args in (["status"], ["agent", "list"], ["agent", "show", "a1"], ["report", "--mesh", "lab"], ["schedule", "show", "lab"], ["completeness", "--mesh", "lab"]):
                code, _, err = lab.ctl_run(*args)
                expect(code in (0, 1), f"twampctl {which} {' '.join(args)}: exit {code}: {err}")


def kept(before, after, what):
    """What was stored is there, unaltered."""
    key = lambda r: (r["mesh"], r["class"], r["source"], r["target"], r["flow"], r["start_ns"])
    now = {key(r): r for r in after}
    for r in before:
        expect(key(r) in now, f"{what}: gone: {r}")
        expect(all(now[key(r)][f] == r[f] for f in ("end_ns", "sent", "received", "lost", "seq_first")), f"{what}: {r} is {now[key(r)]} now")


def test_controller_first_and_back(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        rows = goes_on(lab)
        db = f"{lab.dir}/controller/controller.db"
        mine = schema(db)
        controller_of(lab, NEXT)
        expect(schema(db) == mine + 1, "the next release has not migrated")
        kept(rows, rows := goes_on(lab), "after the upgrade of the controller")
        asked_by_both(lab)
        lab.apply(full(TWO, classes={"voice": "dscp: EF, spacing: 25ms, size: 200"}))  # a schedule of the next release for agents of this one
        wait("the agents to run it", lambda: all(a["generation"] == lab.agent_list()[0]["generation"] for a in lab.agent_list()), 30)
        rows = goes_on_voice(lab)
        controller_of(lab, THIS)
        expect(schema(db) == mine + 1, "what the next release added is gone")
        kept(rows, rows := goes_on_voice(lab), "after the way back")
        controller_of(lab, NEXT)  # and once more
        kept(rows, goes_on_voice(lab), "after the second upgrade")


def goes_on_voice(lab):
    now = time.time_ns()

    def past():
        ends = [v[-1]["end_ns"] for k, v in by_pair(lab.results("mesh=lab", "class=voice")).items()]
        return len(ends) == 2 and min(ends) > now

    wait("results of class voice", past, 30)
    return lab.results("mesh=lab")


def test_agents_first_and_back(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        rows = goes_on(lab)
        spool = f"{lab.dir}/a1/spool.db"
        mine = schema(spool)
        agent_of(lab, "a1", NEXT)
        expect(schema(spool) == mine + 1, "the next release has not migrated its spool")
        kept(rows, rows := goes_on(lab), "with one agent of the next release")
        asked_by_both(lab)
        found = lab.ctl_run("doctor")[1]
        expect("0.2.0" in found and "newer" in found, f"doctor says nothing of the newer agent: {found}")
        expect(skews(lab) == {"a1": "newer", "a2": None}, str(skews(lab)))
        # Results that the next release left in its spool are delivered by this one.
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        time.sleep(3)
        expect(lab.agents["a1"].stop() == 0, "a1 did not end cleanly")
        with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True)) as held:
            waiting = held.execute("SELECT data FROM record, state WHERE seq > acked_seq").fetchall()
        expect(len(waiting) >= 4, f"only {len(waiting)} results wait")
        expect(all(b"\x04next" in data for (data,) in waiting), "the results have no fields of the next release")
        lab.start_agent("a1")
        time.sleep(1)
        lab.start_controller()
        wait("a1 of this release", lambda: software(lab)["a1"] == f"twamp-agent {THIS}", 30)
        kept(rows, rows := goes_on(lab), "after the way back")
        expect(schema(spool) == mine + 1, "what the next release added is gone")
        agent_of(lab, "a1", NEXT)
        kept(rows, goes_on(lab), "after the second upgrade")


def test_operators_see_two_releases(build):
    with Lab(build, ["a1"]) as lab:
        lab.start_fleet()
        with release(lab, NEXT):
            code, out, _ = lab.ctl_run("version")
            expect("0.2.0" in out and "0.1.0" in out, f"twampctl version: {out}")
        expect(lab.ctl_run("status")[0] in (0, 1), "status fails")
