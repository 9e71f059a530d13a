"""A host stands still for longer than a session keeps what nobody takes (a virtual machine that is moved, a disk that hangs)."""
import os
import signal

from faults import pass_time
from lab import expect
from meshes import full
from rig import ChaosLab

THREE = ["a1", "a2", "a3"]
LONG_S = (4.0, 9.0)


def test_stands_still(build, seed):
    """What closed unseen is dropped and counted, to the last one; nothing else is."""
    with ChaosLab(build, THREE, seed) as lab:
        lab.start_fleet()
        lab.apply(full(THREE))
        lab.progress("first results")
        for who in lab.rng.sample(["controller", lab.rng.choice(THREE)], 2):
            seconds = lab.rng.uniform(*LONG_S)
            lab.say(f"SIGSTOP: {who}, for {seconds:.2f} s")
            os.kill(lab.process(who).popen.pid, signal.SIGSTOP)
            pass_time(seconds)
            os.kill(lab.process(who).popen.pid, signal.SIGCONT)
            lab.progress(f"results after {who} stood still", 60)
        v = lab.verdict(max_undurable=0)
        expect(v.never_closed > 0, f"no session stood still for long enough: {v.text()}")
