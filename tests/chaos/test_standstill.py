"""Somebody stands still for many report periods (a host that swaps, a virtual machine that is moved): what its sessions could not keep is counted."""
import os
import signal

from faults import must_live, pass_time
from lab import expect
from meshes import full
from prove import prove
from rig import ChaosLab

TWO = ["a1", "a2"]


def test_long(build, seed, n=1):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for who in lab.rng.sample([*TWO, "controller"], 3):
            hold = lab.rng.uniform(6.0, 9.0) * n
            lab.say(f"SIGSTOP: {who}, for {hold:.2f} s")
            os.kill(lab.process(who).popen.pid, signal.SIGSTOP)
            pass_time(hold)
            os.kill(lab.process(who).popen.pid, signal.SIGCONT)
            lab.progress("results after that", 60)
        must_live(lab)
        v = lab.verdict(max_undurable=0)
        expect(v.never_closed >= 2 * 4, f"the agents stood still, and nothing was lost: {v.text()}")
        prove(lab)
