"""What breaks at 3 a.m.: nothing may be lost that was closed, nothing stored twice."""
import os
import random
import time

from lab import Lab, expect, wait
from meshes import by_pair, full, one_way, total

TWO = ["a1", "a2"]
AWAY_S = 60 if "TW_TEST_LONG" in os.environ else 15


def nothing_lost_or_doubled(rows, restarts_allowed=False):
    """Summaries of each session follow each other in time and number; a restarted agent may begin a new stretch."""
    for key, mine in by_pair(rows).items():
        seen = set()
        for r in mine:
            ident = (r["start_ns"], r["seq_first"], r["generation"])
            expect(ident not in seen, f"{key}: stored twice: {ident}")
            seen.add(ident)
            expect(r["sent"] == r["received"] + r["lost"], f"{key}: counts do not add up: {r}")
        for a, b in zip(mine, mine[1:]):
            fresh = restarts_allowed and b["seq_first"] == 0
            expect(a["end_ns"] == b["start_ns"] or (fresh and a["end_ns"] <= b["start_ns"]),
                   f"{key}: hole or overlap between {a['start_ns']}..{a['end_ns']} and {b['start_ns']}")
            expect(fresh or a["seq_first"] + a["sent"] == b["seq_first"], f"{key}: numbers jump at {b['start_ns']}")


def latest_end(lab):
    return max((r["end_ns"] for r in lab.results("mesh=lab")), default=0)


def all_past(lab, moment_ns):
    """Every pair has a summary that ended after the moment."""
    ends = [rows[-1]["end_ns"] for rows in by_pair(lab.results("mesh=lab")).values()]
    return ends and min(ends) > moment_ns


def test_controller_away_for_a_while(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        wait("first results", lambda: len(lab.results("mesh=lab")) >= 4)
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        stopped = time.time_ns()
        while time.time_ns() - stopped < AWAY_S * 1e9:  # the outage itself is what is tested
            expect(all(a.alive() for a in lab.agents.values()), "an agent died")
            time.sleep(1)
        lab.start_controller()
        wait("the backlog of every agent", lambda: all_past(lab, stopped + (AWAY_S + 1) * 1e9), 45)
        rows = lab.results("mesh=lab")
        nothing_lost_or_doubled(rows)
        for key, mine in by_pair(rows).items():
            away = [r for r in mine if stopped <= r["start_ns"] < stopped + AWAY_S * 1e9]
            expect(len(away) >= AWAY_S - 1, f"{key}: only {len(away)} summaries of the {AWAY_S} s without the controller")
        report = lab.api("/api/v1/report?mesh=lab")["pairs"]
        expect(all(p["completeness"]["ratio"] == 1 for p in report), f"not complete: {[p['completeness'] for p in report]}")


def test_agent_killed_again_and_again(build):
    rng = random.Random(4711)
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        for i in range(6):
            before = latest_end(lab)
            wait(f"results before kill {i}", lambda: latest_end(lab) > before, 20)
            time.sleep(rng.random())  # at a random point of the period
            lab.agents["a1"].kill()
            lab.start_agent("a1")
        before = latest_end(lab)
        wait("results after the kills", lambda: latest_end(lab) > before, 20)
        nothing_lost_or_doubled(lab.results("mesh=lab"), restarts_allowed=True)


def test_controller_killed_again_and_again(build):
    rng = random.Random(42)
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        for i in range(6):
            before = latest_end(lab)
            wait(f"results before kill {i}", lambda: latest_end(lab) > before, 45)
            time.sleep(rng.random())
            lab.controller.kill()
            lab.start_controller()
        end = time.time_ns()
        wait("results of every pair after the kills", lambda: all_past(lab, end), 45)
        nothing_lost_or_doubled(lab.results("mesh=lab"))


def test_agent_goes_on_without_the_controller_from_its_first_moment(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 2)
        lab.controller.kill()
        expect(lab.agents["a1"].stop() == 0, "the agent did not end cleanly")
        restarted = time.time_ns()
        lab.start_agent("a1")
        lab.count("a2", "probes", "udp dport 862")
        wait("probes without a controller", lambda: lab.counter("a2", "probes") > 200)
        lab.start_controller()
        wait("what was measured meanwhile", lambda: [
            r for r in lab.results("mesh=lab") if r["start_ns"] > restarted and r["received"] > 50], 45)
        nothing_lost_or_doubled(lab.results("mesh=lab"), restarts_allowed=True)


def test_deleted_mesh_stops_within_5_s(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.count("a2", "probes", "udp dport 862")
        lab.apply(one_way("a1", "a2"))
        wait("probes", lambda: lab.counter("a2", "probes") > 50)
        deleted = time.monotonic()
        lab.ctl("schedule", "delete", "lab")
        last, changed = lab.counter("a2", "probes"), time.monotonic()
        while time.monotonic() - deleted < 7:  # watches, second by second, that nothing comes after the fifth
            time.sleep(0.25)
            now = lab.counter("a2", "probes")
            if now != last:
                last, changed = now, time.monotonic()
        expect(changed - deleted < 5, f"the last probe came {changed - deleted:.1f} s after the delete")
        wait("the last summary", lambda: total(lab.results("mesh=lab"), "sent") == last, 10)


def test_database_lost_is_refilled_by_the_agents(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 4)
        before = {(r["start_ns"], r["sent"]) for r in lab.results("mesh=lab")}
        lab.controller.kill()
        lab.exec("ctl", "rm", "-rf", f"{lab.dir}/controller")
        lab.start_controller()
        wait("the agents to come back", lambda: len(lab.agent_list()) == 2, 45)
        lab.approve_all()
        lab.apply(one_way("a1", "a2"))
        wait("what was stored before", lambda: before <= {(r["start_ns"], r["sent"]) for r in lab.results("mesh=lab")}, 30)
        nothing_lost_or_doubled(lab.results("mesh=lab"), restarts_allowed=True)
        whole_and_rolled_up(lab)


def store_counter(lab, name):
    return {c["name"]: c["value"] for c in lab.json("status")["counters"]}[name]


def whole_and_rolled_up(lab):
    """A start rolls up what waits; cells add up to their summaries."""
    expect(lab.controller.stop() == 0, "the controller did not end cleanly")
    lab.start_controller()
    wait("the roll-up", lambda: store_counter(lab, "twamp_store_rollup_rows_total") > 0, 30)
    found = lab.json("db", "check")["checks"]
    expect(len(found) == 9 and all(c["ok"] for c in found), f"the database is not whole: {found}")
    expect(store_counter(lab, 'twamp_store_level_rows{level="1d"}') > 0, "there are no cells")


def test_copy_is_put_back_and_the_agents_bring_the_rest(build):
    with Lab(build, TWO) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2"))
        wait("results", lambda: len(lab.results("mesh=lab")) >= 4)
        copy = lab.json("db", "backup", "night.db")["file"]
        expect(lab.ctl_run("db", "backup", "night.db")[0] == 1, "a copy was written over another")
        expect(lab.ctl_run("db", "restore", copy, "--data-dir", f"{lab.dir}/controller")[0] == 1, "restored under a running controller")
        wait("more results", lambda: len(lab.results("mesh=lab")) >= 8)
        before = {(r["start_ns"], r["sent"]) for r in lab.results("mesh=lab")}
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        expect("before-" in lab.ctl("db", "restore", copy, "--data-dir", f"{lab.dir}/controller"), "the old one is not kept")
        lab.start_controller()
        wait("what was stored before", lambda: before <= {(r["start_ns"], r["sent"]) for r in lab.results("mesh=lab")}, 45)
        nothing_lost_or_doubled(lab.results("mesh=lab"))
        whole_and_rolled_up(lab)
