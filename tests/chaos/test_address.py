"""A host without --advertise that comes back with another address, as after a lease that was not renewed: who measures it follows."""
import time

import kinds
from lab import expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]


class LeaseLab(ChaosLab):
    """Nobody tells the agents their addresses: they answer on all, and others reach them by the one that the controller sees."""

    def program(self, who, args):
        if who != "controller":
            at = args.index("--advertise")
            args = args[:at] + args[at + 2:]
            args[args.index("--reflect") + 1] = f"0.0.0.0:{self.port}"
        return super().program(who, args)


def all_answered(lab, since_ns):
    """Every pair has a result that began since then and lost nothing."""
    rows = [r for r in lab.results("mesh=lab") if r["start_ns"] > since_ns and r["received"] and not r["lost"]]
    return len({(r["class"], r["source"], r["target"]) for r in rows}) == 4


def test_follows(build, seed):
    with LeaseLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        wait("all to answer", lambda: all_answered(lab, 0), 30)
        who = lab.rng.choice(TWO)
        lab.agents[who].kill()
        kinds.other_address(lab, who, lab.rng)
        moved_ns = time.time_ns()
        lab.say(f"{who} comes back with another address")
        lab.start_agent(who)
        wait("all pairs to answer by it", lambda: all_answered(lab, moved_ns), 45)
        expect(lab.agents[who].alive(), "it ended")
        lab.verdict()
