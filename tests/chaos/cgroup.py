"""A limit of memory that the kernel keeps (cgroups of version 1). What a program had before it was taken in is not counted: only what it wants more."""
import os
import re

MEMORY = "/sys/fs/cgroup/memory"


class MemoryGroup:
    """with MemoryGroup(NAME, OCTETS) as group: group.take(PID)"""

    def __init__(self, name, octets, kill=True):
        self.path, self.octets, self.kill = f"{MEMORY}/{name}", octets, kill

    def __enter__(self):
        os.mkdir(self.path)
        self.put("memory.limit_in_bytes", self.octets)
        if not self.kill:  # who wants more waits until there is more
            self.put("memory.oom_control", 1)
        return self

    def __exit__(self, *_):
        self.lift()
        with open(f"{self.path}/cgroup.procs") as f:
            for pid in f.read().split():
                self.put("../cgroup.procs", pid)
        os.rmdir(self.path)

    def put(self, name, value):
        with open(f"{self.path}/{name}", "w") as f:
            f.write(str(value))

    def take(self, pid):
        self.put("cgroup.procs", pid)

    def lift(self):
        self.put("memory.limit_in_bytes", -1)

    def said(self, what):
        """oom_kill: how many it has ended; under_oom: does somebody wait?"""
        with open(f"{self.path}/memory.oom_control") as f:
            return int(re.search(rf"^{what} (\d+)$", f.read(), re.M)[1])
