"""A host allows a program only so much memory: the kernel ends who wants more, or lets it wait."""
import contextlib

from cgroup import MemoryGroup
from faults import must_live, pass_time
from lab import Process, expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]
ROOM = 256 << 10  # beyond what it has, in octets
MORE = {f"c{i}": "spacing: 50ms, size: 100, flows: 8" for i in range(6)}  # to be measured: agents and controller want memory for it


@contextlib.contextmanager
def short_of_memory(lab, who, kill):
    """It has little room, and much to do: there are new pairs to be measured and stored. Nobody waits for whoever asked for them: who has no memory may not answer."""
    document = f"{lab.dir}/more-{who}.yaml"
    with open(document, "w") as f:
        f.write(full(TWO, name=f"more-{who}", classes=MORE))
    with MemoryGroup(lab.tag, ROOM, kill) as group:
        group.take(lab.process(who).popen.pid)
        lab.say(f"{who} may have {ROOM >> 10} kB more")
        asks = Process([f"{lab.build}/controller/cli/twampctl", "--controller", lab.admin, "schedule", "apply", "-f", document], f"{lab.dir}/asks.log")
        try:
            yield group
        finally:
            asks.kill()


def test_killed(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for who in lab.rng.sample([*TWO, "controller"], 3):
            with short_of_memory(lab, who, kill=True) as group:
                wait(f"the kernel to end {who}", lambda w=who: not lab.process(w).alive(), 30)
                lab.say(f"  ended with {lab.process(who).popen.returncode}, {group.said('oom_kill')} times by the kernel")
                expect(lab.process(who).popen.returncode == -9 and group.said("oom_kill"), f"{who} ended otherwise: {lab.process(who).tail()}")
            lab.start_again(who)
            lab.progress("results after that", 60)
        must_live(lab)
        lab.verdict(max_undurable=400)


def test_waits(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for who in lab.rng.sample([*TWO, "controller"], 3):
            with short_of_memory(lab, who, kill=False) as group:
                wait(f"{who} to wait for memory", lambda g=group: g.said("under_oom"), 30)
                hold = lab.rng.uniform(1.0, 6.0)
                lab.say(f"{who} waits for memory, for {hold:.2f} s")
                pass_time(hold)
                group.lift()
            must_live(lab)
            lab.progress("results after that", 60)
        v = lab.verdict(exact=False)  # what a session did not keep that has just begun follows upon nothing that the checker has
        expect(sum(v.gaps.values()) >= v.never_closed > 0, f"who waited has not counted what it did not keep: {v.text()}")
