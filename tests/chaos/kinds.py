"""What faults do: each is a function that injects it, inject(lab, who, rng), and one that heals it, heal(lab, who, it), with what inject() has returned.
An inject of which somebody must have noticed something has a third, effect(lab, who, it): has it?"""
import contextlib
import errno
import os
import resource
import signal
import sqlite3
import time

import checker
from lab import NET4, Failure, expect, sh, wait

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

BOTH = "tcp dport 8620 {0}; tcp sport 8620 {0};"


def rules(lab, who, incoming, outgoing):
    """Statements of nftables for what comes in and what goes out; {0}-less ones are for the fleet's connection."""
    lab.nft(lab.host(who), f"""
        table inet chaos {{
          chain in {{ type filter hook input priority 0; {BOTH.format(incoming)} }}
          chain out {{ type filter hook output priority 0; {BOTH.format(outgoing)} }}
        }}""")


def reconnect(lab, who, it):
    lab.exec(lab.host(who), "nft", "delete", "table", "inet", "chaos")


def filtered(incoming, outgoing):
    return lambda lab, who, rng: rules(lab, who, incoming, outgoing)


def half_open(lab, who, rng):
    """It dies, and its last packets do not get through: the other side keeps a connection with nobody at its end."""
    rules(lab, who, "drop", "drop")
    lab.process(who).kill()


def start_reconnected(lab, who, it):
    reconnect(lab, who, it)
    lab.start_again(who)


def host_number(lab, who):
    return lab.ip4(who).rpartition(".")[2] if who != "controller" else "1"


def link_down(lab, who, rng):
    sh("ip", "-n", lab.ns(lab.host(who)), "link", "set", "eth0", "down")


def link_up(lab, who, it):
    """The kernel has dropped the IPv6 address meanwhile."""
    ns = lab.ns(lab.host(who))
    sh("ip", "-n", ns, "link", "set", "eth0", "up")
    sh("ip", "-n", ns, "addr", "add", f"fd99:77::{host_number(lab, who)}/64", "dev", "eth0", "nodad", check=False)


def readdress(lab, who, was, becomes):
    for verb, host in (("del", was), ("add", becomes)):
        sh("ip", "-n", lab.ns(who), "addr", verb, f"{NET4}.{host}/24", "dev", "eth0")


def other_address(lab, who, rng):
    """As after a lease that was not renewed."""
    readdress(lab, who, host_number(lab, who), 100 + int(host_number(lab, who)))


def old_address(lab, who, it):
    readdress(lab, who, 100 + int(host_number(lab, who)), host_number(lab, who))


# ---- Calls that fail, by the shim ----

def shim_fault(calls, rate, error=0, delay=0.0, **parties):
    def inject(lab, who, rng):
        lab.shims[who].fail(calls, rate, error, delay, **parties)
        return lab.shims[who].injected()

    return inject


def shim_effect(lab, who, before):
    if who == "controller":  # somebody who wants something
        lab.http("/api/v1/agents", check=False)
    return lab.shims[who].injected() > before


def no_memory(lab, who, rng):
    """Now and then, often, or none at all."""
    rate = rng.choice([0.02, 0.3, 1.0])
    lab.say(f"  {rate:.0%} of its allocations fail")
    return shim_fault(["malloc", "calloc", "realloc"], rate, errno.ENOMEM)(lab, who, rng)


def shim_off(lab, who, before):
    lab.shims[who].off()
    lab.say(f"  {lab.shims[who].injected() - before} calls of {who} failed or were slow")


DISK = ["write", "pwrite", "fsync", "ftruncate", "open"]


def step_clock(lab, who, rng):
    seconds = rng.choice([-3600.0, -2.5, 0.7, 30.0])
    lab.shims[who].step(seconds)
    return seconds


def step_back(lab, who, seconds):
    lab.shims[who].step(-seconds)


# ---- What a host runs out of ----

def busy_seconds(lab, who):
    fields = open(f"/proc/{lab.process(who).popen.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def no_descriptors(lab, who, rng):
    """Not one more: of nobody in it, also not of libraries."""
    pid = lab.process(who).popen.pid
    used = {int(n) for n in os.listdir(f"/proc/{pid}/fd")}
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
    if who == "controller":  # connections that it cannot take
        lab.exec("ctl", "curl", "-s", "-m", "0.3", f"http://{NET4}.1:8080/readyz", check=False)
    return before, busy_seconds(lab, who), time.monotonic()


def some_descriptors(lab, who, it):
    before, busy, began = it
    share = (busy_seconds(lab, who) - busy) / (time.monotonic() - began)
    expect(share < 0.6, f"{who} uses {share:.0%} of a CPU when it is out of descriptors")
    resource.prlimit(lab.process(who).popen.pid, resource.RLIMIT_NOFILE, before)


def full_disk(lab, who, rng):
    lab.fill_disk(who)
    return how_far(lab, who)


def how_far(lab, who):
    """Summaries that have become durable there."""
    return checker.stored_count(lab.database)[0] if who == "controller" else checker.counts(f"{lab.dir}/journal", f"{who}.*")[1]


def disk_is_missed(lab, who, far):
    """It has said so, maybe for the fault before; or it goes on in what its write-ahead log has already."""
    if how_far(lab, who) >= far + 12:
        lab.say("  there was room left in its write-ahead log")
        return True
    said = lab.since(who, 0)
    return lab.http("/readyz", check=False)[0] == 503 if who == "controller" else said.rfind("cannot be written") > said.rfind("is written again")


def empty_disk(lab, who, it):
    lab.empty_disk(who)


def no_inodes(lab, who, rng):
    """Nothing new can be made; and it has to start so. (Not after kill -9: what memory had no room for is counted there until it can be written.)"""
    lab.fill_inodes(who)
    stop(lab, who, rng)
    said = os.path.getsize(lab.process(who).log)
    lab.ready = lambda: True
    lab.start_again(who)
    del lab.ready
    return said


def has_tried(lab, who, said):
    return "event=ready" in lab.since(who, said) or not lab.process(who).alive()


def some_inodes(lab, who, said):
    """It runs, or has said why it does not."""
    lab.empty_disk(who)
    p = lab.process(who)
    if p.alive():
        return
    lines = lab.since(who, said).splitlines()
    lab.say(f"  {who} did not start: {lines[-1][:200]}")
    expect(p.popen.returncode == 1 and "no space left" in lines[-1], f"{who} ended with {p.popen.returncode}: {lines}")
    lab.start_again(who)


def lock_file(lab, who, rng):
    """Somebody looks into the file with another program, and holds its lock."""
    con = sqlite3.connect(lab.database if who == "controller" else f"{lab.data(who)}/spool.db", isolation_level=None, timeout=10)
    con.execute("begin immediate")
    return con


def unlock_file(lab, who, con):
    con.rollback()
    con.close()


def block_log(lab, who, rng):
    """Who reads its log is stuck, as journald may be; and there is much to log."""
    lab.pipes[who].block()
    for _ in range(8):
        os.kill(lab.process(who).popen.pid, signal.SIGHUP)
        time.sleep(0.01)
    return closed_by(lab, who)


def closed_by(lab, who):
    return checker.counts(f"{lab.dir}/journal", f"{who}.*")[0]


def log_is_missed(lab, who, closed):
    """It goes on: an agent closes summaries, a controller answers."""
    return lab.http("/readyz")[0] == 200 if who == "controller" else closed_by(lab, who) > closed


def unblock_log(lab, who, it):
    """With the first line for which there is room again."""
    lab.pipes[who].unblock()

    def told():
        os.kill(lab.process(who).popen.pid, signal.SIGHUP)
        return lab.process(who).said("lines of the log are lost")

    wait(f"{who} to tell that its log has a hole", told)


PIDS = "/sys/fs/cgroup/pids"


def no_processes(lab, who, rng):
    """Neither fork() nor a thread more."""
    group = f"{PIDS}/{lab.tag}"
    os.makedirs(group, exist_ok=True)
    pathwrite(f"{group}/cgroup.procs", lab.process(who).popen.pid)
    pathwrite(f"{group}/pids.max", open(f"{group}/pids.current").read().strip())
    return group


def some_processes(lab, who, group):
    pathwrite(f"{PIDS}/cgroup.procs", lab.process(who).popen.pid)
    with contextlib.suppress(OSError):
        os.rmdir(group)


def pathwrite(path, text):
    with open(path, "w") as f:
        f.write(str(text))
