"""What a stalled host sends when it goes on: the relay between the hosts notes when each probe passed."""
import os
import signal
import time

from lab import expect, sigstop, wait
from meshes import full, total
from relay_rig import RelayLab

ALONE = True  # judges when probes leave

SPACING_NS = 20_000_000
SLACK_NS = 2_000_000  # of the way from the agent to the relay
STALL_S = 2
RULES = """
    rule from=a1 to=a2 dport=862 delay=1ms
    rule from=a2 to=a1 dport=862 delay=1ms
    """


def no_burst(times):
    """A probe is less than a spacing late, or its place on the grid is left out. So the two after it, which are not early, leave at
    least one spacing after it."""
    for i in range(len(times) - 2):
        span = times[i + 2] - times[i]
        expect(span >= SPACING_NS - SLACK_NS, f"three probes within {span / 1e6:.2f} ms at number {i} of {len(times)}")


def stall_everybody(lab):
    wait("results", lambda: len(lab.results("mesh=lab")) >= 4)
    for a in lab.agents.values():
        sigstop(a)
    time.sleep(STALL_S)  # the stall is what is tested
    for a in lab.agents.values():
        os.kill(a.popen.pid, signal.SIGCONT)
    resumed = time.time_ns()
    for source in lab.agents:
        wait(f"results of {source} of the time after the stall", lambda s=source: sum(
            r["start_ns"] > resumed for r in lab.results(f"source={s}")) >= 2)
    for a in lab.agents.values():
        a.stop()


def test_stall_leaves_no_burst(build):
    """SIGSTOP for 2 s, one of the agents with --precise: what was due meanwhile is left out and counted; nothing is caught up."""
    with RelayLab(build, ["a1", "a2"], RULES) as lab:
        lab.start_controller()
        lab.start_agent("a1")
        lab.start_agent("a2", "--precise")
        lab.approve_all()
        lab.apply(full(["a1", "a2"], classes={"c": "spacing: 20ms, size: 100"}))
        stall_everybody(lab)
        results = lab.results("mesh=lab")
        rows = lab.relay.stop()
    for source in ("a1", "a2"):
        probes = sorted((r for r in rows if getattr(r, "from") == source and r.dport == 862), key=lambda r: r.seq)
        expect([r.seq for r in probes] == list(range(len(probes))), f"{source}: numbers are missing or doubled at the relay")
        expect(len(probes) > 150, f"{source}: only {len(probes)} probes passed")
        times = [r.arrival_ns for r in probes]
        no_burst(times)
        longest = max(b - a for a, b in zip(times, times[1:]))
        expect(longest >= STALL_S * 1_000_000_000 - SPACING_NS, f"{source}: the stall is not to be seen: {longest} ns")
        left_out = (times[-1] - times[0] + SPACING_NS // 2) // SPACING_NS + 1 - len(times)
        skipped = total([r for r in results if r["source"] == source], "skipped")
        expect(STALL_S * 50 - 2 <= skipped <= left_out + 2, f"{source}: skipped {skipped}, {left_out} are missing at the relay")
