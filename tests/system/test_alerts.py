"""Alerts with real agents: loss that is made, receivers that are told, silences, acknowledgements, and a restart in the middle."""
import json
import pathlib
import subprocess
import sys
import time

from lab import CONTROLLER, NET4, Lab, Process, expect, wait
from meshes import full

SUPPORT = pathlib.Path(__file__).resolve().parent.parent / "support"
RULES = f"""
wait: 1s
repeat: 0
rules:
  loss:
    metric: loss
    warning: {{ raise: 20%, clear: 5% }}
    for: 3s
    clear_for: 2s
  agent-down:
    metric: agent_down
    critical: {{ raise: 10m }}
receivers:
  hook: {{ webhook: "http://{NET4}.{CONTROLLER}:8099/hook", timeout: 2s }}
  am: {{ webhook: "http://{NET4}.{CONTROLLER}:8099/api/v2/alerts", format: alertmanager, resend: 2s }}
"""
DROP = """
table inet alertloss {
  chain in {
    type filter hook prerouting priority -10
    udp dport 862 ip saddr %s drop
  }
}"""


class Receiver:
    def __init__(self, lab):
        self.log = pathlib.Path(f"{lab.dir}/hooks")
        self.process = Process([sys.executable, str(SUPPORT / "receiver.py"), str(self.log), f"{lab.dir}/mode", f"{NET4}.{CONTROLLER}", "8099"],
                               f"{lab.dir}/receiver.log", ns=lab.ns("ctl"))
        wait("the receiver to listen", lambda: "port" in self.process.tail(), 60)

    def all(self, path="/hook"):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [r for r in map(json.loads, lines) if r["path"] == path]

    def events(self):
        return [(r["content"]["event"], r["content"]["alert_id"]) for r in self.all()]


def alerts(lab, *args):
    return lab.json("alert", "list", *args)["alerts"]


def firing(lab):
    return [a for a in alerts(lab) if a["state"] == "firing"]


def apply(lab, text):
    path = f"{lab.dir}/alerts.yaml"
    pathlib.Path(path).write_text(text)
    return lab.ctl("alert", "apply", "-f", path, "-r", "test")


def drop(lab, on):
    if on:
        lab.nft("a2", DROP % lab.ip4("a1"))
    else:
        lab.nft("a2", "delete table inet alertloss")


def test_loss_fires_and_clears(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        receiver = Receiver(lab)
        try:
            through_a_life(lab, receiver)
        finally:
            receiver.process.kill()


def through_a_life(lab, receiver):
    lab.apply(full(["a1", "a2"], classes={"voice": "spacing: 20ms, size: 200"}))
    wait("results", lambda: len(lab.results()) >= 4)
    expect("2 rules" in apply(lab, RULES), "not applied")
    code, _, err = lab.ctl_run("alert", "apply", "-f", "-", input=RULES.replace("20%", "20"))
    expect(code == 5 and "rules.loss.warning.raise" in err and ":7:23:" in err, f"{code} {err}")
    time.sleep(2)
    expect(not alerts(lab), f"alerts of a healthy mesh: {alerts(lab)}")

    begin = time.time()
    drop(lab, True)
    wait("the alert", lambda: firing(lab), 30)
    took = time.time() - begin
    expect(took > 2.5, f"fired after {took:.1f} s, before the for-time")
    alert = firing(lab)[0]
    expect((alert["source"], alert["target"], alert["metric"], alert["severity"]) == ("a1", "a2", "loss", "warning"), alert)
    wait("the receiver to be told", lambda: receiver.events() == [("firing", alert["id"])], 40)
    body = receiver.all()[0]["content"]
    expect(body["labels"]["source.site"] == "a1" and body["value"] > 0.2 and "loss" in body["summary"], body)
    wait("the flight recorder to be frozen", lambda: any(f.get("cause") == "alert" for f in lab.json("flight", "list")["frozen"]))
    rows = lab.json("alert", "explain", "a1", "a2")["rules"]
    expect([r["rule"] for r in rows if r["applies"]] == ["loss"] and rows[0]["state"] == "firing", rows)

    # The Alertmanager's form is repeated as long as it goes on.
    wait("two refreshes", lambda: len(receiver.all("/api/v2/alerts")) >= 3)
    am = receiver.all("/api/v2/alerts")[-1]["content"][0]
    expect(am["labels"]["alertname"] == "twamp_loss" and am["endsAt"] > am["startsAt"], am)

    lab.ctl("alert", "ack", str(alert["id"]), "-r", "on it")
    expect(firing(lab)[0]["acked_by"], "not acknowledged")

    # The controller goes away and comes back: same alert, nobody is told again.
    expect(lab.controller.stop() == 0, "the controller did not end cleanly")
    lab.start_controller()
    wait("the agents to be back", lambda: all(a["state"] == "up" for a in lab.agent_list()))
    after = firing(lab)
    expect([(a["id"], a["fired_ns"], a["acked_by"]) for a in after] == [(alert["id"], alert["fired_ns"], after[0]["acked_by"])] and
           after[0]["acked_by"], after)
    wait("results to go on", lambda: max(r["end_ns"] for r in lab.results()) > time.time_ns() - 4_000_000_000)
    time.sleep(3)
    expect(receiver.events() == [("firing", alert["id"])], receiver.events())

    drop(lab, False)
    wait("the end", lambda: not alerts(lab), 60)
    wait("the receiver to hear of it", lambda: receiver.events() == [("firing", alert["id"]), ("resolved", alert["id"])])
    keys = [r["key"] for r in receiver.all()]
    expect(len(set(keys)) == len(keys), f"told twice: {keys}")
    old = alerts(lab, "--state", "resolved")
    expect([a["id"] for a in old] == [alert["id"]] and old[0]["told"], old)

    silenced(lab, receiver)


def silenced(lab, receiver):
    """What a silence matches fires, and nobody hears of it until it ends."""
    n = len(receiver.all())
    lab.ctl("alert", "silence", "mesh=lab,source.site=a1", "--for", "10m", "-r", "works")
    silence = lab.json("alert", "silences")["silences"][0]
    expect(silence["state"] == "active" and silence["reason"] == "works", silence)
    drop(lab, True)
    wait("the alert", lambda: firing(lab), 30)
    wait("it to be quiet", lambda: firing(lab)[0]["quiet"] == "silenced")
    time.sleep(3)
    expect(len(receiver.all()) == n, "told in spite of the silence")
    lab.ctl("alert", "unsilence", str(silence["id"]))
    wait("the receiver to be told", lambda: len(receiver.all()) == n + 1)
    state = {r["name"]: r for r in lab.json("alert", "receivers")["receivers"]}
    expect(state["hook"]["dropped"] == 0 and state["hook"]["queued"] == 0, state)
    wait("the metrics", lambda: 'twamp_alerts{state="firing",severity="warning"} 1' in lab.http("/metrics")[1])
