"""An outage made by the kernel's packet filter at a moment that is known: the history must show that one, and that way."""
import time

from lab import Lab, expect, wait
from meshes import one_way

# Probes go every 10 ms; a busy host may be late with some.
SLACK_NS = 100_000_000
MIN = ["--min-probes", "20"]

BLOCK = """
table inet {name} {{
  counter drops {{ }}
  chain in {{
    type filter hook input priority 0
    udp {port} 862 counter name drops drop
  }}
}}
"""


def block(lab, who, name, port, seconds):
    """Nothing comes through for so long. Returns the bounds of its begin and end, and how many packets were dropped."""
    t = [time.time_ns()]  # before and after it begins, before and after it ends
    lab.nft(who, BLOCK.format(name=name, port=port))
    t.append(time.time_ns())
    time.sleep(seconds)  # the outage itself is what is tested
    t.append(time.time_ns())
    # Out of the way first, and read only then: nothing may be dropped after the counter was read.
    lab.exec(who, "nft", "flush", "chain", "inet", name, "in")
    t.append(time.time_ns())
    return t, lab.counter(who, "drops", name)


def check(o, cause, direction):
    (before, made, ending, ended), drops = cause
    end = o["start_ns"] + round(o["duration_seconds"] * 1e9)
    expect(o["direction"] == direction, f"direction is {o}")
    expect(o["probes"] == drops, f"{drops} were dropped, but {o}")
    expect(before - SLACK_NS <= o["start_ns"] <= made + SLACK_NS, f"began {before}..{made}, but {o}")
    expect(ending - SLACK_NS <= end <= ended + SLACK_NS, f"ended {ending}..{ended}, but {o}")
    expect(not o["ongoing"] and o["start_known"], f"it has begun and ended: {o}")


def outages(lab, *more):
    return lab.json("outages", "--mesh", "lab", "--from", "-10m", *MIN, *more)["outages"]


def test_each_way_at_its_moment(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(one_way("a1", "a2", timeout="1s"))
        wait("results", lambda: lab.results("mesh=lab"))
        forward = block(lab, "a2", "way_out", "dport", 1.7)  # over ends of report periods
        time.sleep(1)
        backward = block(lab, "a1", "way_back", "sport", 0.3)
        got = wait("both outages, ended", lambda: next(
            (o for o in [outages(lab)] if len(o) >= 2 and not any(x["ongoing"] for x in o)), None), 30)
        expect(len(got) == 2, f"two outages were made, these are shown: {got}")
        check(got[0], backward, "backward")  # newest first
        check(got[1], forward, "forward")
        # The same by the API, by filters, and as CSV.
        expect([o["start_ns"] for o in lab.api("/api/v1/outages?mesh=lab&from=-10m&min_probes=20")["outages"]]
               == [o["start_ns"] for o in got], "the API shows others than twampctl")
        expect([o["probes"] for o in outages(lab, "--direction", "forward")] == [forward[1]], "--direction")
        expect([o["probes"] for o in outages(lab, "--min-duration", "1s")] == [forward[1]], "--min-duration")
        rows = lab.csv("outages", "--from", "-10m", *MIN)
        expect([int(r["probes"]) for r in rows] == [o["probes"] for o in got], f"CSV: {rows}")
        still_there(lab)


def still_there(lab):
    """One that goes on."""
    lab.nft("a2", BLOCK.format(name="way_out2", port="dport"))
    begun = time.time_ns()
    o = wait("an ongoing outage of 2 s", lambda: next(
        (x for x in outages(lab) if x["ongoing"] and x["duration_seconds"] >= 2), None), 30)
    expect(abs(o["start_ns"] - begun) < 1e9 and o["direction"] == "unknown", f"began {begun}, but {o}")
    expect("ongoing" in lab.ctl("outages", "--mesh", "lab"), "the table does not say that it goes on")
