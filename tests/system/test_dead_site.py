"""A site that dies in a mesh of four: one alert of the site, with its pairs as evidence, told once; and the controller is killed meanwhile."""
import time

from lab import Lab, expect, wait
from meshes import full
from test_alerts import Receiver, alerts, apply
from lab import CONTROLLER, NET4

NAMES = ["a1", "a2", "a3", "a4"]
RULES = f"""
wait: 4s
repeat: 0
correlate: {{ sites: true, agents: true, share: 80%, min_peers: 2 }}
rules:
  loss:
    metric: loss
    warning: {{ raise: 50%, clear: 5% }}
    clear_for: 2s
  silent:
    metric: no_data
    critical: {{ raise: 6s, clear: 5s }}
  agent-down:
    metric: agent_down
    critical: {{ raise: 30m }}
receivers:
  hook: {{ webhook: "http://{NET4}.{CONTROLLER}:8099/hook", timeout: 2s }}
"""


def roots(lab):
    return [a for a in lab.json("alert", "list", "--roots")["alerts"] if a["state"] == "firing"]


def told(receiver):
    """What was told, whatever was brought twice: the controller may be killed before it has noted that a notice was taken, and then
    brings it again under the same key."""
    return list({r["key"]: (r["content"]["event"], r["content"]["alert_id"]) for r in receiver.all()}.values())


def rises_only(events, site, *ends):
    """Beside these: `silent` is worse than `loss`. On a busy machine it comes after the site was told of, and its rise is told, too, once."""
    rest = [e for e in events if e[0] != "severity"]
    return rest == [(e, site["id"]) for e in ends] and events.count(("severity", site["id"])) == len(events) - len(rest) <= 1


def evidence(lab, site):
    return {(a["source"], a["target"]) for a in lab.json("alert", "show", str(site["id"]))["evidence"] if a["state"] == "firing"}


def through_its_death(lab, receiver):
    lab.apply(full(NAMES, classes={"voice": "spacing: 50ms, size: 200"}))
    wait("results of all pairs", lambda: len({(r["source"], r["target"]) for r in lab.results()}) == 12, 40)
    apply(lab, RULES)
    time.sleep(3)
    expect(not alerts(lab), f"alerts of a healthy mesh: {alerts(lab)}")

    lab.agents["a1"].kill()
    site = wait("the site's alert", lambda: [a for a in roots(lab) if a["kind"] == "site"], 60)[0]
    expect(site["subject"] == "a1" and site["pairs"] == 6, site)
    touched = {(s, t) for s in NAMES for t in NAMES if s != t and "a1" in (s, t)}
    wait("its pairs to be the evidence", lambda: evidence(lab, site) == touched, 40)
    wait("the receiver to be told", lambda: receiver.events(), 30)
    explained = [a for a in alerts(lab) if a["kind"] == "pair" and a["state"] == "firing"]
    expect({(a["source"], a["target"]) for a in explained} == touched, explained)
    expect(all(a["quiet"] == "explained" and a["cause"] == site["id"] for a in explained), explained)
    expect([a["id"] for a in roots(lab)] == [site["id"]], f"more than one thing to look at: {roots(lab)}")

    # The controller is killed, and knows all of it again: same alerts, same cause, and nobody is told a second time.
    lab.controller.kill()
    lab.start_controller()
    wait("the agents to be back", lambda: sum(a["state"] == "up" for a in lab.agent_list()) == 3, 60)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        now = roots(lab)
        expect([(a["id"], a["fired_ns"]) for a in now] == [(site["id"], site["fired_ns"])], f"after the restart: {now}")
        time.sleep(0.5)
    expect(evidence(lab, site) == touched, evidence(lab, site))
    expect(rises_only(told(receiver), site, "firing"), receiver.events())

    lab.start_agent("a1")
    wait("all to end", lambda: not alerts(lab), 90)
    wait("the receiver to hear of it", lambda: any(e == "resolved" for e, _ in told(receiver)), 30)
    expect(rises_only(told(receiver), site, "firing", "resolved"), receiver.events())
    ended = [a for a in alerts(lab, "--state", "resolved", "-n", "1000") if a["kind"] == "pair"]
    expect(len(ended) >= 6 and not any(a["told"] for a in ended), f"told of pairs: {[a for a in ended if a['told']]}")


def test_one_alert_for_a_dead_site(build):
    with Lab(build, NAMES) as lab:
        lab.start_fleet()
        receiver = Receiver(lab)
        try:
            through_its_death(lab, receiver)
        finally:
            receiver.process.kill()
