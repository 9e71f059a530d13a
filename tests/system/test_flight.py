"""The flight recorder: single probes around a loss that the kernel's packet filter made, by their sequence numbers."""
import datetime

from lab import Lab, expect, wait
from meshes import one_way

FORWARD = range(100, 112)  # on the way out
BACKWARD = range(150, 152)  # on the way back: too short a run to be noticed

# The sequence number is at the beginning of a probe, and 24 octets into its answer, behind 8 octets of UDP header.
ON_A2 = f"""
table inet lab {{
  counter forward {{ }}
  chain in {{
    type filter hook input priority 0
    udp dport 862 @th,64,32 {FORWARD[0]}-{FORWARD[-1]} counter name forward drop
  }}
}}
"""
ON_A1 = f"""
table inet lab {{
  counter backward {{ }}
  chain in {{
    type filter hook input priority 0
    udp sport 862 @th,256,32 {BACKWARD[0]}-{BACKWARD[-1]} counter name backward drop
  }}
}}
"""


def fate(probes, seq):
    found = [p for p in probes if p["seq"] == seq]
    expect(len(found) == 1, f"{len(found)} records of probe {seq}")
    return found[0]["fate"], found[0]["lost_on"]


def check_forward(probes):
    """Exactly the dropped ones are lost, with their neighbours before and after."""
    lost = [p["seq"] for p in probes if p["fate"] == "lost" and p["lost_on"] == "forward"]
    expect(lost == list(FORWARD), f"lost on the way out: {lost}")
    for seq in (FORWARD[0] - 1, FORWARD[-1] + 1):
        expect(fate(probes, seq) == ("received", None), f"probe {seq}: {fate(probes, seq)}")


def rfc3339(ns):
    return datetime.datetime.fromtimestamp(ns / 1e9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_errors(lab):
    """One line each, and it says what to do."""
    for args, want in (
            (("a1:zz",), "no pair matches a1:zz"),
            (("12345678901234567890",), "no pair has the id"),
            (("a1:a2", "--at", "-3h"), "flow 0 keeps 2"),
            (("a1:a2", "--at", "-3h"), "frozen around 2"),
            (("a1",), "is no pair: expected SOURCE:TARGET"),
            (("a1:a2", "--at", "yesterday"), "is no time")):
        code, out, err = lab.ctl_run("flight", *args)
        expect(code and not out and want in err and err.count("\n") == 1, f"flight {args}: {code} {out} {err}")


def test_the_packets_around_a_loss(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        lab.start_agent("a1", "--flight-probes", "512")  # so little that it freezes soon
        lab.start_agent("a2")
        lab.approve_all()
        lab.nft("a2", ON_A2)
        lab.nft("a1", ON_A1)
        lab.apply(one_way("a1", "a2"))
        wait("all drops", lambda: lab.counter("a2", "forward") == len(FORWARD) and
             lab.counter("a1", "backward") == len(BACKWARD), 30)

        def whole():
            probes = lab.json("flight", "a1:a2", "--span", "60s")["probes"]
            back = [p["seq"] for p in probes if p["fate"] == "lost" and p["lost_on"] == "backward"]
            return probes if back == list(BACKWARD) else None

        probes = wait("the verdict on the last one", whole)
        check_forward(probes)
        expect([p["seq"] for p in probes] == list(range(probes[0]["seq"], probes[0]["seq"] + len(probes))), "a probe is missing or not in order")
        one = next(p for p in probes if p["seq"] == 50)
        expect(one["ttl_forward"] == 255 and one["rtt_seconds"] > 0 and one["rx_source"] == "kernel", str(one))

        # The table has the same, and marks nothing where it is no terminal.
        at_ns = next(p["sent_ns"] for p in probes if p["seq"] == FORWARD[0])
        at = rfc3339(at_ns)
        table = lab.ctl("flight", "lab/c/a1:a2", "--at", at, "--span", "1s")
        rows = [line for line in table.splitlines() if " lost " in line and " forward " in line]
        expect(len(rows) == len(FORWARD) and "\033" not in table, table)
        answer = lab.api(f"/api/v1/flight?source=a1&target=a2&at={at}&span=1s")
        expect(len(answer["probes"]) == len(table.splitlines()) - 2, f"the API has {len(answer['probes'])} probes: {table}")
        check_forward(answer["probes"])

        # The agent has frozen it by itself, and an operator may freeze, too.
        auto = wait("the agent to freeze it", lambda: lab.csv("flight", "list"), 30)
        expect(len(auto) == 1 and auto[0]["cause"] == "loss_run" and auto[0]["at_ns"] == str(at_ns), str(auto))
        lab.ctl("flight", "freeze", "*:a2", "--at", at, "--span", "2s", "--reason", "ticket 4711")
        mine = [r for r in lab.csv("flight", "list") if r["cause"] == "command"]
        expect(len(mine) == 1 and mine[0]["reason"] == "ticket 4711", str(mine))
        check_errors(lab)
        expect("512 probes of each session" in lab.ctl("agent", "show", "a1"), lab.ctl("agent", "show", "a1"))

        # What is frozen survives the agent; and without the agent it cannot be read, which is said.
        lab.agents["a1"].stop()
        wait("a1 to be down", lambda: next(a for a in lab.agent_list() if a["name"] == "a1")["state"] == "down")
        code, out, err = lab.ctl_run("flight", "a1:a2")
        expect(code == 1 and not out and "agent a1 is not connected since 2" in err and err.count("\n") == 1, err)
        code, out, err = lab.ctl_run("flight", "freeze", "a1:a2")
        expect(code == 1 and "agent a1 is not connected since 2" in err and err.count("\n") == 1, err)
        lab.start_agent("a1")
        frozen = wait("what was frozen before", lambda: lab.json("flight", "a1:a2", "--at", at)["probes"])
        check_forward(frozen)
