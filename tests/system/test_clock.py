"""Clocks of a fleet: the one that is wrong is named by what all pairs together have measured."""
from lab import expect, wait
from meshes import full
from relay_rig import RelayLab

AGENTS = ["a1", "a2", "a3", "a4", "a5", "a6"]
SHIFTED = "a4"
CLASSES = {"voice": "dscp: EF, spacing: 40ms, size: 200", "stamp": "protocol: stamp, spacing: 100ms, size: 400"}
# Ways of all lengths, none as long out as back.
WAYS = {("a1", "a2"): (2000, 2400), ("a1", "a4"): (7000, 6500), ("a2", "a4"): (3000, 3600), ("a3", "a4"): (5200, 4800),
        ("a4", "a5"): (9000, 9900), ("a5", "a6"): (1000, 1200), ("a3", "a6"): (4000, 3700)}


def rules(*more):
    lines = [f"rule from={x} to={y} udp=862 delay={us}us jitter=exp:200us" for (a, b), (there, back) in WAYS.items()
             for x, y, us in ((a, b, there), (b, a, back))]
    return "\n".join([*lines, "rule udp=862 delay=2500us jitter=exp:200us", *more]) + "\n"


def audited(lab):
    return {a["name"]: a for a in lab.api("/api/v1/clock")["agents"]}


def test_mesh_audit_names_the_shifted_host(build):
    """Six agents, ways that differ, one clock 5 ms ahead: it is the one, by 5 ms, in every form the audit is shown in."""
    with RelayLab(build, AGENTS, rules(f"clock host={SHIFTED} offset=5ms")) as lab:
        lab.start_fleet()
        lab.apply(full(AGENTS, classes=CLASSES))
        wait("all pairs to be measured", lambda: all(a["pairs"] == 5 for a in audited(lab).values()), 60)
        wait("the audit to settle", lambda: audited(lab)[SHIFTED]["verdict"] == "offset", 30)
        clocks = audited(lab)
        expect({n for n, a in clocks.items() if a["verdict"] != "ok"} == {SHIFTED}, str(clocks))
        expect(abs(clocks[SHIFTED]["offset_seconds"] - 0.005) < 0.0008, str(clocks[SHIFTED]))
        expect(all(abs(a["offset_seconds"]) < 0.0008 for n, a in clocks.items() if n != SHIFTED), str(clocks))
        expect(list(clocks)[0] == SHIFTED, "worst first")

        said = lab.ctl("clock")
        expect(f"\n{SHIFTED}: its clock is " in said and "ms ahead of the others" in said, said)
        expect(said.count("ahead of") + said.count("behind") == 1, said)
        expect(lab.csv("clock")[0]["verdict"] == "offset" and lab.csv("clock")[0]["name"] == SHIFTED, "CSV")
        expect(lab.json("clock")["agents"][0]["name"] == SHIFTED, "JSON")
        marked = {a["name"] for a in lab.agent_list() if a["clock_verdict"] == "offset"}
        expect(marked == {SHIFTED} and "off +" in lab.ctl("agent", "list"), lab.ctl("agent", "list"))
        metrics = lab.http("/metrics?level=fleet")[1]
        suspects = {n: f'twamp_agent_clock_suspect{{agent="{n}"}} {int(n == SHIFTED)}\n' for n in AGENTS}
        expect(all(line in metrics for line in suspects.values()), metrics)
        expect("an agent's clock is wrong" in lab.controller.tail(200), "the controller's log says so")
