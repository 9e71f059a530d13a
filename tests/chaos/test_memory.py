"""A host gives its daemons only so much memory (cgroup): the kernel ends who wants more, in the middle of whatever it does."""
import contextlib
import errno
import os

from kinds import pathwrite
from lab import Failure, expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]
MEMORY = "/sys/fs/cgroup/memory"
ROOM = 512 << 10
CLASSES = 12  # that a program in need of memory is asked to run


class Group:
    """What a program has from now on is charged to a group of its own."""

    def __init__(self, lab, who):
        self.path = f"{MEMORY}/{lab.tag}-{who}"
        os.makedirs(self.path)
        pathwrite(f"{self.path}/cgroup.procs", lab.process(who).popen.pid)
        pathwrite(f"{self.path}/memory.limit_in_bytes", self.usage() + ROOM)

    def usage(self):
        with open(f"{self.path}/memory.usage_in_bytes") as f:
            return int(f.read())

    def killed(self):
        with open(f"{self.path}/memory.oom_control") as f:
            return dict(line.split() for line in f)["oom_kill"] != "0"

    def end(self):
        def gone():
            try:
                os.rmdir(self.path)
            except OSError as e:
                return e.errno == errno.ENOENT
            return True

        with contextlib.suppress(FileNotFoundError):
            wait("the group to be empty", gone)


def starve(lab, who, n):
    """Until it wants more than there is: it measures for a mesh that is larger, or answers for all of its history."""
    group = Group(lab, who)
    try:
        with contextlib.suppress(Failure):  # a controller may end of it
            lab.apply(full(TWO, name=f"more{n}", classes={f"c{i}": "spacing: 50ms" for i in range(CLASSES)}))
        wait(f"{who} to want more memory than there is", lambda: lab.http("/metrics", check=False) and not lab.process(who).alive(), 60)
        expect(group.killed() and lab.process(who).popen.wait() == -9, f"{who} was not ended for want of memory: {lab.process(who).popen.returncode}: {lab.process(who).tail()}")
        lab.say(f"{who} is killed: its memory is over")
    finally:
        group.end()


def test_killed_for_memory(build, seed):
    if not os.access(f"{MEMORY}/cgroup.procs", os.W_OK):
        print(f"# not tried: {MEMORY} cannot be written, so nothing here can bound the memory of a program")
        return
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for n, who in enumerate(lab.rng.sample(["a1", "controller"], 2)):
            starve(lab, who, n)
            lab.start_again(who)
            lab.progress(f"results after {who} was killed", 60)
        lab.verdict()
