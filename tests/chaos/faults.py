"""The table of faults, and plans of them that follow from the seed alone. What each does is in kinds.py."""
import collections
import errno
import time

import kinds as k
from lab import Failure, wait
from rig import ALL

# group: which scenario of test_faults.py has it. on: who can have it: "agent", "controller" or "any". effect: None, or whether it has been noticed.
# most: how long at most.
Fault = collections.namedtuple("Fault", "group name on inject heal effect most", defaults=[None, 60.0])


def shim(name, on, calls, rate, error=0, delay=0.0, **parties):
    return Fault("host", name, on, k.shim_fault(calls, rate, error, delay, **parties), k.shim_off, k.shim_effect)


def network(name, incoming, outgoing):
    return Fault("network", name, "any", k.filtered(incoming, outgoing), k.reconnect)


FAULTS = [
    Fault("network", "kill -9", "any", k.kill, k.start),
    Fault("network", "SIGTERM", "any", k.stop, k.start),
    Fault("network", "SIGSTOP", "any", k.freeze, k.thaw),
    network("partition", "drop", "drop"),
    network("one way: nothing comes in", "drop", "accept"),
    network("one way: nothing gets out", "accept", "drop"),
    network("connections reset", "reject with tcp reset", "accept"),
    network("every third packet lost", "numgen random mod 3 < 1 drop", "numgen random mod 3 < 1 drop"),
    network("large packets vanish", "meta length > 300 drop", "meta length > 300 drop"),
    Fault("network", "half-open", "any", k.half_open, k.start_reconnected),
    Fault("network", "interface down", "any", k.link_down, k.link_up),
    Fault("network", "another address", "agent", k.other_address, k.old_address),
    shim("slow disk", "any", ["fsync"], 1.0, 0, 0.3),
    shim("disk errors", "any", k.DISK, 0.2, errno.EIO),
    shim("disk full", "any", k.DISK, 1.0, errno.ENOSPC),
    shim("disk read-only", "any", k.DISK, 1.0, errno.EROFS),
    Fault("host", "no memory", "any", k.no_memory, k.shim_off, k.shim_effect),
    shim("interrupted calls", "any", ["epoll_wait"], 0.3, errno.EINTR),
    shim("no buffers", "agent", ["sendmsg", "recvmsg"], 0.3, errno.ENOBUFS),
    shim("connections not taken", "controller", ["accept"], 0.7, errno.EMFILE, parties=ALL),
    Fault("host", "clock stepped", "any", k.step_clock, k.step_back),
    Fault("host", "out of descriptors", "any", k.no_descriptors, k.some_descriptors),
    Fault("host", "out of processes", "any", k.no_processes, k.some_processes),
    Fault("host", "file system full", "any", k.full_disk, k.empty_disk, k.disk_is_missed),
    Fault("host", "out of inodes", "any", k.no_inodes, k.some_inodes, k.has_tried),
    Fault("host", "file locked by another program", "any", k.lock_file, k.unlock_file),
    Fault("host", "log not read", "any", k.block_log, k.unblock_log, k.log_is_missed),
]
# Those that take more than a moment have scenarios of their own.
SCENARIOS = {
    "controller away for long": "backlog.outage",
    "corrupted spool": "corruption.spool",
    "corrupted database": "corruption.database",
    "a host set back to an earlier copy of its disk": "copies.set_back",
    "two hosts with a copy of the same disk at once": "copies.two_at_once",
    "a host that comes back with another address": "address.follows",
    "name servers fail": "names.name_servers",
    "certificates run out while the controller is away": "certificates.run_out",
    "an authority that comes to its end": "certificates.another_authority",
    "slow readers of every route": "readers.slow_readers",
    "an upgrade that older releases cannot work with": "release.breaking_and_back",
    "a hostile agent": "strangers.hostile_agent",
    "a thousand agents at once": "herd.return",
    "everything of FAULTS, over connections and processes": "faults.processes_and_network",
    "everything of FAULTS, over what a host runs out of": "faults.host",
    "the controller's clock a month ahead": "wallclock.a_month_ahead",
    "the controller's clock days behind": "wallclock.days_behind",
    "memory that a limit of the host denies: the kernel ends who wants more": "memory.killed",
    "memory that a limit of the host denies: who wants more waits": "memory.waits",
    "a standstill of many report periods": "standstill.long",
    "several controllers: each part dies, stands still or is cut off, one after another": "cluster.one_after_another",
    "several controllers and replicas of the history: two parts at once": "cluster.two_at_once",
    "this table": "faults.table",
}
Step = collections.namedtuple("Step", "gap fault who hold")


def rows(group):
    return [f for f in FAULTS if f.group == group]


def make_plan(rng, names, group, rounds, longest=1.0):
    """Each fault of the group once in each round, in another order: [Step]"""
    out = []
    for _ in range(rounds):
        for fault in rng.sample(rows(group), len(rows(group))):
            who = {"any": [*names, "controller"], "agent": names, "controller": ["controller"]}[fault.on]
            out.append(Step(rng.uniform(0.1, 0.6), fault, rng.choice(who), min(rng.uniform(0.1, longest), fault.most)))
    return out


def pass_time(seconds):
    """A fault lasts so long: that is what it is, and nothing is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(0.2, max(0.0, end - time.monotonic())))


def run_plan(lab, plan):
    for step in plan:
        pass_time(step.gap)
        lab.say(f"{step.fault.name}: {step.who}, for {step.hold:.2f} s")
        it = step.fault.inject(lab, step.who, lab.rng)
        pass_time(step.hold)
        if step.fault.effect:
            wait(f"{step.who} to notice: {step.fault.name}", lambda s=step: s.fault.effect(lab, s.who, it), 15)
        step.fault.heal(lab, step.who, it)
        must_live(lab)
    lab.say("all is healed")


def must_live(lab):
    for who, p in [("controller", lab.controller), *lab.agents.items()]:
        if not p.alive():
            raise Failure(f"seed {lab.seed}: {who} ended by itself: {p.popen.returncode}: {p.tail()}")
