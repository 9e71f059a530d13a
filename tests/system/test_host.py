"""Trouble of the measuring host itself is shown with the results, and is not taken for the network's."""
import os
import signal
import time

from lab import Lab, expect, sigstop, wait
from meshes import one_way, total

ALONE = True  # takes the CPU away

NO_LOOPBACK = """
table inet lab {
  counter drops { }
  chain in {
    type filter hook input priority 0
    iifname "lo" meta l4proto udp numgen inc mod 3 == 0 counter name drops drop
  }
}
"""

STALL_S = 1.5


def test_a_stopped_agent_says_so(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2", timeout="900ms"))
        wait("results with a noise floor",
             lambda: any(r["noise_p99_seconds"] is not None for r in lab.results("mesh=lab")))
        agent = lab.agents["a1"]
        sigstop(agent)
        time.sleep(STALL_S)
        os.kill(agent.popen.pid, signal.SIGCONT)
        wait("the stall to be told",
             lambda: any(r["host_stall_max_seconds"] >= STALL_S * 0.9 for r in lab.results("mesh=lab")))
        lab.ctl("schedule", "pause", "lab")
        rows = lab.results("mesh=lab")
        stalled = [r for r in rows if r["host_stall_max_seconds"] >= STALL_S * 0.9]
        for r in stalled:
            expect(r["host_stalls"] >= 1 and r["host_trouble"] != "none", f"{r}")
        expect(total(stalled, "skipped") > 50, f"skipped {total(stalled, 'skipped')}")
        expect(total(rows, "lost") == 0, f"{total(rows, 'lost')} lost, though the network lost none")
        expect("!" in lab.ctl("results", "--mesh", "lab") and "host was in trouble" in lab.ctl("report", "--mesh", "lab"),
               "the tables do not mark it")
        wait("its health to tell", lambda: 'twamp_agent_host_stalls_total{agent="a1"}' in lab.http("/metrics")[1], 25)


def test_loss_on_loopback_is_the_hosts(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a1", NO_LOOPBACK)
        lab.apply(one_way("a1", "a2"))
        wait("the self-test to lose", lambda: total(lab.results("mesh=lab"), "noise_lost") > 3)
        rows = lab.results("mesh=lab")
        expect(lab.counter("a1", "drops") > 3, "nothing was dropped")
        expect(any(r["host_trouble"] == "loopback_loss" for r in rows), "no verdict")
        expect(total(rows, "lost") == 0, "loss on loopback was taken for loss of the network")
