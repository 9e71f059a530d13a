"""Two controllers on one etcd, of which one dies with a notice of an alert that its receiver has not taken: the other one brings it, under the same key."""
import json
import pathlib
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, expect, wait
from test_alerts import Receiver, alerts, apply
from test_away import TWO, Fleet
from test_two_controllers import SOON_S, both

RULES = f"""
wait: 1s
repeat: 0
rules:
  agent-down:
    metric: agent_down
    critical: {{ raise: 2s }}
receivers:
  hook: {{ webhook: "http://{NET4}.{CONTROLLER}:8099/hook", timeout: 2s }}
routes:
  - {{ receiver: hook, match: "agent=a2" }}
"""
PLANNER_S = 60  # 20 s at most until it is the planner, and 10 s more


def waiting(who):
    return json.loads(who.ctl("-o", "json", "alert", "receivers"))["receivers"][0]["queued"]


def fail(lab, mode):
    pathlib.Path(f"{lab.dir}/mode").write_text(mode)


def first_has_one(lab, second, receiver):
    """a2 is down; the first was to tell of it, and the receiver has not taken it. Returns its key."""
    fail(lab, "500")
    apply(lab, RULES)
    wait("the rules at the second", lambda: "agent-down" in second.ctl("alert", "export"), SOON_S)
    lab.agents.pop("a2").stop()
    wait("the alert", lambda: [a for a in alerts(lab) if a["subject"] == "a2" and a["state"] == "firing"])
    wait("a try", lambda: receiver.all())
    expect({r["content"]["event"] for r in receiver.all()} == {"firing"}, f"tried: {receiver.all()}")
    keys = {r["key"] for r in receiver.all()}
    expect(len(keys) == 1 and waiting(second) == 0, f"keys {keys}; {waiting(second)} wait at the second, which did not make them")
    return keys.pop()


def test_notices_outlive_their_controller(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        receiver = Receiver(lab)
        try:
            key = first_has_one(lab, second, receiver)
            lab.controller.kill()
            tried, began = len(receiver.all()), time.monotonic()
            wait("the second to try", lambda: len(receiver.all()) > tried, PLANNER_S)
            print(f"# the second tried after {time.monotonic() - began:.1f} s")
            expect({r["key"] for r in receiver.all()} == {key} and waiting(second) == 1, f"tried: {receiver.all()}")
            # It is back while nobody takes it: both try, and who comes second leaves it.
            lab.start_controller("--history", ch.location(), "--control", etcd.location())
            wait("the first to bring it, too", lambda: waiting(lab) == 1)
            fail(lab, "ok")
            wait("it to be taken", lambda: [r for r in receiver.all() if r["mode"] == "ok"])
            wait("nothing to wait any more", lambda: waiting(lab) == waiting(second) == 0)
            taken = [r["key"] for r in receiver.all() if r["mode"] == "ok"]
            expect(set(taken) == {key} and len(taken) <= 2, f"taken: {taken}, not {key}")
            print(f"# taken {len(taken)} time(s), by {[r['content']['controller'] for r in receiver.all() if r['mode'] == 'ok']}'s notice")
        finally:
            receiver.process.kill()
