"""Sessions that run at times: intervals, one-shots, until; exact counts, and nothing outside of them."""
import datetime
import time

from lab import Lab, expect, wait
from meshes import total

CLASS = "size: 100, spacing: 100ms, timeout: 300ms, report_period: 1s"


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def document(start):
    """Runs from `start`: three of an interval of 2 s, one of 1 s, and 3 s without a pause."""
    return (f"mesh: timed\ntopology: list\npairs: [[ams, fra]]\nclasses:\n"
            f"  interval: {{ {CLASS}, schedule: {{ every: 2s, count: 5, start: {moment(start)}, max_runs: 3 }} }}\n"
            f"  once: {{ {CLASS}, schedule: {{ at: {moment(start + 1)}, for: 1s }} }}\n"
            f"  window: {{ {CLASS}, schedule: {{ start: {moment(start)}, until: {moment(start + 3)} }} }}\n")


def state(lab, name):
    return {p["class"]: p["state"] for p in lab.api("/api/v1/pairs?mesh=timed")["pairs"]}.get(name)


def test_times(build):
    with Lab(build, ["ams", "fra"]) as lab:
        lab.start_fleet()
        lab.nft("fra", """table inet lab {
          counter probes { }
          chain in {
            type filter hook prerouting priority 0;
            udp dport 862 counter name probes
          }
        }""")
        start = int(time.time()) + 5
        lab.apply(document(start))
        expect(state(lab, "interval") == "idle" and state(lab, "once") == "idle", "not idle before the first run")
        expect(lab.counter("fra", "probes") == 0, "probes before the first run")
        mesh = lab.json("schedule", "show", "timed")["meshes"][0]
        expect(mesh["state"] == "idle" and mesh["pairs_idle"] == mesh["pairs"] == 3, f"not idle: {mesh}")
        expect(mesh["runs"] == "continuous,interval,once" and mesh["next_run_ns"] == start * 10**9, f"next run: {mesh}")
        # The controller is away while they run: the agent's clock is enough.
        lab.controller.stop()
        while time.time() < start + 7:
            time.sleep(0.2)
        sent = lab.counter("fra", "probes")
        time.sleep(2)
        expect(lab.counter("fra", "probes") == sent, "probes after the last run")
        lab.start_controller()
        rows = wait("the results of all runs", lambda: (r := lab.results("mesh=timed")) and
                    len([x for x in r if x["class"] == "interval"]) >= 3 and
                    len({x["class"] for x in r}) == 3 and sum(x["sent"] for x in r) >= sent and r, 30)
        for name, want in [("interval", 15), ("once", 10), ("window", 30)]:
            mine = [r for r in rows if r["class"] == name]
            skipped = total(mine, "skipped")
            expect(total(mine, "sent") + skipped == want, f"{name}: {total(mine, 'sent')} sent, {skipped} skipped, not {want}")
            expect(total(mine, "sent") >= want // 2, f"{name}: the host skipped {skipped} of {want}")
            expect(min(r["start_ns"] for r in mine) >= start * 10**9, f"{name}: a result from before the start")
            expect(max(r["end_ns"] for r in mine) <= (start + 8) * 10**9, f"{name}: a result from after the end")
        expect(total(rows, "sent") == sent, f"{total(rows, 'sent')} in results, {sent} on the wire")
        expect(max(r["end_ns"] for r in rows if r["class"] == "window") <= (start + 3) * 10**9 + 10**8, "probes after `until`")
        expect(state(lab, "interval") == "idle", "not idle after the last run")
