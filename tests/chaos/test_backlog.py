"""The controller is away, and what agents measure waits; when it is back, what they measure now does not wait behind that."""
import sqlite3
import time

from faults import must_live, pass_time
from kinds import kill
from lab import expect, wait
from meshes import full
from rig import SQLITE, ChaosLab
from test_life import end

TWO = ["a1", "a2"]
AWAY, OLDER = 6.0, 60.0  # how long the controller is away; how much older what waits is made, by the clocks of all
# How old fresh results may be: an agent whose controller was ended three times in a row dials again after up to 26 s (rpc_client.c). In order
# they would be older than OLDER.
FRESH, CONNECTED = 50.0, 5.0
CLASSES = {f"c{i}": "spacing: 100ms, size: 100, flows: 16" for i in range(6)}


def look(lab):
    """How old the newest stored summary of each agent is, by the clocks as they are stepped; and of how many agents later summaries are stored
    than some that are to come."""
    con = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True, timeout=20)
    con.execute("begin")
    newest = {}
    for (t,) in con.execute("select name from sqlite_schema where type = 'table' and name glob 'summary_[0-9]*'").fetchall():
        for source, end in con.execute(f"select source, max(end_ns) from {t} join pair on pair.id = pair_id group by source"):
            newest[source] = max(newest.get(source, 0), end)
    ahead = {r[0] for r in con.execute("select agent.name from cursor_ahead join agent on agent.id = agent_id")}
    con.close()
    now = time.time() + lab.shims["controller"].step_ns / 1e9
    return {a: now - e / 1e9 for a, e in newest.items()}, ahead


def note(lab, ages):
    """How old what is fresh is, of agents whose backlog is being drained. Returns whether there is any."""
    newest, ahead = look(lab)
    ages += [newest[a] for a in ahead]
    return bool(ahead)


def watch(lab, ages, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and (note(lab, ages) or not ages):
        time.sleep(0.05)


def ends_in_the_middle(lab, ages):
    """SIGTERM soon after a start, when it rolls up what it finds, a slice between commits, while the backlog comes."""
    seen = {}

    def in_the_middle():
        note(lab, ages)
        page = lab.http("/metrics", check=False)[1]
        for name in ("ingest_queue_rows", "store_rollup_slices_total", "store_rollup_waiting_rows"):
            seen[name] = next((float(x.split()[1]) for x in page.splitlines() if x.startswith(f"twamp_{name} ")), 0)
        return seen["store_rollup_slices_total"] and seen["store_rollup_waiting_rows"]  # the queue may be empty when it is looked at

    wait("a roll-up with more to do", in_the_middle, 20)
    took = end(lab.controller, "controller")
    lab.say(f"SIGTERM: controller: ended in {took:.2f} s, with {seen}")
    lab.start_again("controller")


def agents_too(lab):
    """They end in the middle as well; which also spares us the up to 26 s after which an agent dials again whose controller ended three times in a row."""
    for who in TWO:
        took = end(lab.agents[who], who)
        lab.say(f"SIGTERM: {who}: ended in {took:.2f} s")
        lab.start_again(who)


def test_outage(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO, classes=CLASSES))
        lab.progress("first results")
        kill(lab, "controller", lab.rng)
        lab.say(f"kill -9: controller, for {AWAY:.0f} s")
        pass_time(AWAY)
        for shim in lab.shims.values():
            shim.step(OLDER)
        lab.say(f"all clocks go on by {OLDER:.0f} s: what waits is old")
        pass_time(2)
        lab.shims["controller"].fail(["fsync"], 1.0, delay=0.25, parties=SQLITE)
        lab.start_controller()
        ages = []
        for who in [lab.rng.choice(TWO), "controller"]:
            watch(lab, ages, lab.rng.uniform(0.7, 1.5))
            lab.say(f"kill -9: {who}")
            kill(lab, who, lab.rng)
            lab.start_again(who)
        ends_in_the_middle(lab, ages)
        agents_too(lab)
        watch(lab, ages, 20)
        lab.shims["controller"].off()
        must_live(lab)
        wait("all backlogs to be drained", lambda: not note(lab, ages))
        expect(ages, "nothing was ever stored ahead of a backlog")
        lab.say(f"looked {len(ages)} times while backlogs were drained: fresh results were {sorted(ages)[len(ages) // 2]:.1f} s old, at most {max(ages):.1f} s")
        expect(max(ages) < FRESH and min(ages) < CONNECTED, "fresh results waited")
        lab.verdict(max_undurable=400)
