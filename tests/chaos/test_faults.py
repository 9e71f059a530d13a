"""One fault after another upon a fleet that measures, by a plan that follows from the seed; then everything must be there."""
from faults import make_plan, run_plan
from meshes import full
from prove import prove
from rig import ChaosLab

THREE = ["a1", "a2", "a3"]
NETWORK = ["partition", "one way: nothing comes in", "one way: nothing gets out", "connections reset", "half-open"]
PROCESS = ["kill -9", "kill -9", "kill -9", "SIGTERM", "SIGSTOP"]
CALLS = ["slow disk", "disk errors", "disk full", "disk read-only", "no memory", "interrupted calls", "no buffers", "no descriptors", "clock stepped"]


def under(build, seed, faults, n, longest=2.0, **verdict):
    with ChaosLab(build, THREE, seed) as lab:
        lab.start_fleet()
        lab.apply(full(THREE))
        lab.progress("first results")
        run_plan(lab, make_plan(lab.rng, THREE, faults, n, longest))
        lab.progress("results after the faults", 90)
        lab.verdict(**verdict)
        prove(lab)


def test_processes_and_network(build, seed, n=9):
    """Each agent runs 4 sessions: at most what closes in one collection, and in the one after it, has not reached the disk."""
    under(build, seed, PROCESS + NETWORK, n, 1.0, max_undurable=n * 8)


def test_calls(build, seed, n=8):
    """None of these ends a program, and none may cost a summary: what cannot be written waits."""
    under(build, seed, CALLS, n)
