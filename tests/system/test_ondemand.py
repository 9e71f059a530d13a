"""Tests on demand: twampctl test, its end in every way, and what is stored of it."""
import json
import signal
import subprocess
import time

from lab import Lab, expect, wait
from meshes import full

# Every fourth of the probes that come in, by their sequence numbers: the loss is forward.
DROP = """
table inet lab {
  counter dropped { }
  counter came { }
  chain in {
    type filter hook input priority 0
    udp dport 862 counter name came
    udp dport 862 @th,64,32 & 3 == 1 counter name dropped drop
  }
}
"""


def start(lab, *args):
    """twampctl test in the background."""
    return subprocess.Popen([f"{lab.build}/controller/cli/twampctl", "--controller", lab.admin, "test", *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def newest(lab):
    return lab.json("test", "list")["tests"][0]


def shown(lab, test):
    return lab.json("test", "show", str(test["test_id"]))["runs"]


def refused(lab, want, *args, code=5):
    got, out, err = lab.ctl_run("test", *args)
    expect(got == code and want in err and err.count("\n") == 1, f"test {args}: {got} {err} {out}")


def quiet(lab, name="came", seconds=1.5):
    """No probe reaches the reflector any more."""
    before = lab.counter("a2", name)
    time.sleep(seconds)
    return lab.counter("a2", name) == before


def check_loss(lab):
    lab.nft("a2", DROP)
    code, out, err = lab.ctl_run("-o", "json", "test", "a1", "a2", "--count", "200", "--spacing", "5ms", "--probe-timeout",
                                 "500ms", "--packets")
    expect(code == 0, f"{code} {err}")
    answer = json.loads(out)
    run = answer["runs"][0]
    expect(run["sent"] == 200 and run["lost"] == 50 and run["lost_forward"] == 50, str(run))
    expect(lab.counter("a2", "came") == 200 and lab.counter("a2", "dropped") == 50, "the packet filter saw others")
    lost = [p["seq"] for p in answer["packets"] if p["fate"] == "lost"]
    expect([p["seq"] for p in answer["packets"]] == list(range(200)), "a packet is missing")
    expect(lost == [n for n in range(200) if n & 3 == 1], f"lost: {lost}")
    # What is stored is the same, marked, and in no report that does not ask for it.
    stored = wait("the result to be stored", lambda: [r for r in shown(lab, answer) if r["sent"] == 200])
    expect(stored[0]["lost_forward"] == 50 and stored[0]["loss_ratio"] == 0.25, str(stored))
    rows = lab.csv("results", "--mesh", "on-demand")
    expect(rows and all(r["test_id"] == str(answer["test_id"]) for r in rows), str(rows)[:300])
    expect(not lab.csv("results") and not lab.csv("report"), "it is mixed with what is scheduled")
    lab.exec("a2", "nft", "flush", "chain", "inet", "lab", "in")
    lab.nft("a2", "add rule inet lab in udp dport 862 counter name came")


def check_interrupt(lab):
    p = start(lab, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
    first = lab.counter("a2", "came")
    wait("probes", lambda: lab.counter("a2", "came") > first + 50)
    p.send_signal(signal.SIGINT)
    time.sleep(1)
    expect(quiet(lab), "probes still come a second after Ctrl-C")
    out, err = p.communicate(timeout=10)
    expect(p.returncode == 0 and "stopped" in out and " sent, " in out, f"{p.returncode} {out} {err}")
    expect(newest(lab)["state"] == "stopped", str(newest(lab)))


def check_killed(lab):
    p = start(lab, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
    first = lab.counter("a2", "came")
    wait("probes", lambda: lab.counter("a2", "came") > first + 50)
    p.kill()
    p.communicate()
    wait("the end of the probes", lambda: quiet(lab, seconds=1), 20)
    wait("the test to be given up", lambda: newest(lab)["state"] == "abandoned")


def check_two_at_once(lab):
    both = [start(lab, "a1", "a2", "--count", n, "--spacing", "10ms", "-o", "json") for n in ("100", "150")]
    ids = set()
    for p, n in zip(both, (100, 150)):
        out, err = p.communicate(timeout=30)
        expect(p.returncode == 0, err)
        run = json.loads(out)["runs"][0]
        expect(run["sent"] == n, str(run))
        wait("its own result", lambda r=run: shown(lab, r)[0]["sent"] == r["sent"])
        ids.add(run["test_id"])
    expect(len(ids) == 2, "two tests have one number")


def check_refusals(lab):
    refused(lab, "over this agent's --max-pps", "a1", "a2", "--spacing", "1ms", "--flows", "8")
    refused(lab, 'did you mean "a1"', "a11", "a2", code=1)
    refused(lab, "spacing: expected 1ms to 1h", "a1", "a2", "--spacing", "1us")
    refused(lab, "expected SRC and DST", "a1", code=2)
    lab.agents["a3"].stop()
    wait("a3 to be down", lambda: any(a["name"] == "a3" and a["state"] == "down" for a in lab.agent_list()))
    refused(lab, "agent a3 is not connected", "a3", "a2", code=1)


def check_mesh(lab):
    code, out, err = lab.ctl_run("-o", "json", "test", "--mesh", "lab", "--class", "voice", "--count", "30", "--parallel", "1")
    runs = json.loads(out)["runs"]
    expect(len(runs) == 6, str(runs))
    down = [r for r in runs if r["source"] == "a3"]
    expect(code == 1 and all(r["state"] == "agent_down" for r in down), f"{code} {down}")
    fine = [r for r in runs if r["source"] != "a3" and r["target"] != "a3"]
    expect(len(fine) == 2 and all(r["state"] == "complete" and r["sent"] == 30 for r in fine), str(fine))


def check_controller_killed(lab):
    p = start(lab, "a1", "a2", "--duration", "1h", "--spacing", "20ms")
    first = lab.counter("a2", "came")
    wait("probes", lambda: lab.counter("a2", "came") > first + 50)
    test = newest(lab)
    lab.controller.kill()
    wait("the end of the probes", lambda: quiet(lab, seconds=1), 25)
    p.communicate(timeout=30)
    expect(p.returncode == 3, f"exit code {p.returncode}")
    lab.start_controller()
    # In as many pieces as report periods were begun.
    wait("the results that came later", lambda: sum(r["sent"] for r in shown(lab, test)) >= 50, 30)
    expect(newest(lab)["state"] == "interrupted", str(newest(lab)))


def test_on_demand(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_controller()
        lab.start_agent("a1", "--max-pps", "4000")
        lab.start_agent("a2")
        lab.start_agent("a3")
        lab.approve_all()
        check_loss(lab)
        check_interrupt(lab)
        check_two_at_once(lab)
        check_refusals(lab)
        check_killed(lab)
        lab.apply(full(["a1", "a2", "a3"], classes={"voice": "dscp: EF, spacing: 20ms, size: 200"}))
        check_mesh(lab)
        lab.ctl("schedule", "pause", "lab")
        wait("the schedule's probes to end", lambda: quiet(lab, seconds=0.5))
        check_controller_killed(lab)
