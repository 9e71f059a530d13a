"""What twampmesh says against what the relay between the hosts recorded of each packet."""
from lab import expect, wait
from meshes import full
from relay_rig import RelayLab


def test_offset_of_one_clock(build):
    """The rule that other tests build on: a host seems ahead, and only one-way delays to and from it know."""
    names = ["a1", "a2", "a3"]
    with RelayLab(build, names, "clock host=a2 offset=5ms\nrule udp=862 delay=2ms") as lab:
        lab.start_fleet()
        lab.apply(full(names, classes={"c": "spacing: 20ms, size: 100"}))
        rows = wait("summaries of all pairs", lambda: (
            r := {(x["source"], x["target"]): x for x in lab.results("mesh=lab") if x["received"] >= 30}) and len(r) == 6 and r, 30)
        for (source, target), r in rows.items():
            ahead = 0.005 * ((target == "a2") - (source == "a2"))
            forward, backward = r["delay_forward_min_seconds"], r["delay_backward_min_seconds"]
            expect(abs(forward - 0.002 - ahead) < 0.001 and abs(backward - 0.002 + ahead) < 0.001 and r["rejected"] == 0,
                   f"{source} to {target}: forward {forward}, backward {backward}, rejected {r['rejected']}; {ahead} ahead")
