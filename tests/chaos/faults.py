"""The table of faults: each is a function that injects it and one that heals it. A plan of them follows from the seed alone.

inject(lab, who, rng) may return something that heal(lab, who, it) needs. `on`: who can have it: "agent", "controller" or "any".
"""
import collections
import errno
import os
import signal
import time

from lab import Failure

Fault = collections.namedtuple("Fault", "name on inject heal")


# ---- Processes ----

def kill(lab, who, rng):
    lab.process(who).kill()


def start(lab, who, it):
    lab.start_again(who)


def freeze(lab, who, rng):
    os.kill(lab.process(who).popen.pid, signal.SIGSTOP)


def thaw(lab, who, it):
    os.kill(lab.process(who).popen.pid, signal.SIGCONT)


def stop(lab, who, rng):
    """SIGTERM, as an upgrade does."""
    code = lab.process(who).stop()
    if code:
        raise Failure(f"{who} ended with {code}: {lab.process(who).tail()}")


# ---- Network: the connection of one agent, or of all at the controller ----

def rules(lab, who, incoming, outgoing):
    lab.nft(lab.host(who), f"""
        table inet chaos {{
          chain in {{ type filter hook input priority 0; tcp dport 8620 {incoming}; tcp sport 8620 {incoming}; }}
          chain out {{ type filter hook output priority 0; tcp dport 8620 {outgoing}; tcp sport 8620 {outgoing}; }}
        }}""")


def reconnect(lab, who, it):
    lab.exec(lab.host(who), "nft", "delete", "table", "inet", "chaos")


def partition(lab, who, rng):
    rules(lab, who, "drop", "drop")


def deaf(lab, who, rng):
    rules(lab, who, "drop", "accept")


def mute(lab, who, rng):
    rules(lab, who, "accept", "drop")


def reset(lab, who, rng):
    rules(lab, who, "reject with tcp reset", "accept")


def half_open(lab, who, rng):
    """It dies, and its last packets do not get through: the other side keeps a connection with nobody at its end."""
    rules(lab, who, "drop", "drop")
    lab.process(who).kill()


def start_reconnected(lab, who, it):
    reconnect(lab, who, it)
    lab.start_again(who)


# ---- Disks and memory, by the shim ----

def shim_fault(calls, rate, error=0, delay=0.0):
    def inject(lab, who, rng):
        lab.shims[who].fail(calls, rate, error, delay)
        return lab.shims[who].injected()

    return inject


def no_memory(lab, who, rng):
    """Now and then, often, or none at all."""
    rate = rng.choice([0.02, 0.3, 1.0])
    lab.say(f"  {rate:.0%} of its allocations fail")
    return shim_fault(["malloc", "calloc", "realloc"], rate, errno.ENOMEM)(lab, who, rng)


def shim_off(lab, who, before):
    lab.shims[who].off()
    lab.say(f"  {lab.shims[who].injected() - before} calls of {who} failed or were slow")


DISK = ["write", "pwrite", "fsync", "ftruncate", "open"]


# ---- Clocks ----

def step_clock(lab, who, rng):
    seconds = rng.choice([-3600.0, -2.5, 0.7, 30.0])
    lab.shims[who].step(seconds)
    return seconds


def step_back(lab, who, seconds):
    lab.shims[who].step(-seconds)


FAULTS = [
    Fault("kill -9", "any", kill, start),
    Fault("SIGTERM", "any", stop, start),
    Fault("SIGSTOP", "any", freeze, thaw),
    Fault("partition", "any", partition, reconnect),
    Fault("one way: nothing comes in", "any", deaf, reconnect),
    Fault("one way: nothing gets out", "any", mute, reconnect),
    Fault("connections reset", "any", reset, reconnect),
    Fault("half-open", "any", half_open, start_reconnected),
    Fault("slow disk", "any", shim_fault(["fsync"], 1.0, 0, 0.3), shim_off),
    Fault("disk errors", "any", shim_fault(DISK, 0.2, errno.EIO), shim_off),
    Fault("disk full", "any", shim_fault(DISK, 1.0, errno.ENOSPC), shim_off),
    Fault("disk read-only", "any", shim_fault(DISK, 1.0, errno.EROFS), shim_off),
    Fault("no memory", "any", no_memory, shim_off),
    Fault("interrupted calls", "any", shim_fault(["epoll_wait"], 0.3, errno.EINTR), shim_off),
    Fault("no buffers", "any", shim_fault(["sendmsg", "recvmsg"], 0.3, errno.ENOBUFS), shim_off),
    Fault("no descriptors", "any", shim_fault(["accept", "open"], 0.5, errno.EMFILE), shim_off),
    Fault("clock stepped", "agent", step_clock, step_back),
]
BY_NAME = {f.name: f for f in FAULTS}
Step = collections.namedtuple("Step", "gap fault who hold")


def make_plan(rng, names, faults, n, longest=2.0):
    """n faults one after another: [Step]"""
    out = []
    for _ in range(n):
        fault = BY_NAME[rng.choice(faults)]
        who = rng.choice([*names, "controller"] if fault.on == "any" else names)
        out.append(Step(rng.uniform(0.1, 1.2), fault, who, rng.uniform(0.1, longest)))
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
        step.fault.heal(lab, step.who, it)
        must_live(lab)
    lab.say("all is healed")


def must_live(lab):
    for who, p in [("controller", lab.controller), *lab.agents.items()]:
        if not p.alive():
            raise Failure(f"seed {lab.seed}: {who} ended by itself: {p.popen.returncode}: {p.tail()}")
