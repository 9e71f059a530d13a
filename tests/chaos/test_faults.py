"""One fault after another upon a fleet that measures, by a plan that follows from the seed; then everything must be there."""
import pathlib
import random

from faults import FAULTS, SCENARIOS, make_plan, rows, run_plan
from lab import expect
from meshes import full
from prove import prove
from rig import HERE, ChaosLab

THREE = ["a1", "a2", "a3"]
DOCUMENT = HERE.parents[1] / "docs" / "reliability.md"


def under(build, seed, group, rounds, max_undurable=None, **lab_options):
    with ChaosLab(build, THREE, seed, **lab_options) as lab:
        lab.start_fleet()
        lab.apply(full(THREE))
        lab.progress("first results")
        plan = make_plan(lab.rng, THREE, group, rounds, 1.0 if rounds == 1 else 7.0)
        run_plan(lab, plan)
        lab.progress("results after the faults", 90)
        lab.verdict(max_undurable=max_undurable and max_undurable * len(plan))
        prove(lab)


def test_processes_and_network(build, seed, n=1):
    """Each agent runs 4 sessions: at most what closes in one collection, and in the one after it, has not reached the disk."""
    under(build, seed, "network", n, 8)


def test_host(build, seed, n=1):
    """None of these ends a program, and none may cost a summary: what cannot be written waits."""
    under(build, seed, "host", n, disks=True, pipes=True)


def test_table(build, seed):
    """Each row is in each plan, upon somebody who can have it; each scenario is in the table, and each fault is told in the document."""
    for s in range(seed, seed + 50):
        plan = [step for group in ("network", "host") for step in make_plan(random.Random(s), THREE, group, 1)]
        expect({step.fault.name for step in plan} == {f.name for f in FAULTS} and len(plan) == len(FAULTS), f"seed {s}: not every row is exercised")
        expect(all((step.who == "controller") <= (step.fault.on != "agent") for step in plan), f"seed {s}: somebody has a fault that is not his")
    expect(rows("network") and rows("host"), "a group without faults")
    there = {f"{p.stem[5:]}.{line[9:line.index('(')]}" for p in HERE.glob("test_*.py") for line in p.read_text().splitlines() if line.startswith("def test_")}
    expect(there == set(SCENARIOS.values()), f"scenarios that the table does not have, or has in vain: {there ^ set(SCENARIOS.values())}")
    told = pathlib.Path(DOCUMENT).read_text()
    for scenario in SCENARIOS.values():
        expect(scenario in told or scenario.partition(".")[0] + "`" in told or scenario == "faults.table", f"docs/reliability.md does not tell of {scenario}")
