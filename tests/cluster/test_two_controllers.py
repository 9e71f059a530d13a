"""Two controllers on one etcd: what one changes the other has, also in its memory, and what both change at once is done once each, by what was true."""
import json
import signal
import threading
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, Process, expect, given, sh, wait
from meshes import full
from test_away import TWO, Fleet
from test_outage import nothing_lost_or_doubled

EACH = 15
EACH_RULES = 6
SOON_S = 3


class Second:
    """The lab's second controller, beside the first in its namespace."""

    def __init__(self, lab):
        self.lab, self.admin, self.http = lab, f"ipc://{lab.dir}/second.sock", f"http://{NET4}.{CONTROLLER}:8081"
        self.process = None

    def start(self, *options):
        lab, at = self.lab, f"{NET4}.{CONTROLLER}"
        self.process = Process(given([f"{lab.build}/controller/twamp-controller", "--listen", f"tcp://{at}:8621", "--allow-plaintext", "--admin-listen",
                                      self.admin, "--http", f"{at}:8081", "--http-plaintext", "--open-metrics", "--data-dir", f"{lab.dir}/second",
                                      "--name", "second"], options), f"{lab.dir}/second.log", ns=lab.ns("ctl"))
        lab.agents["second"] = self.process # which are ended with the lab
        wait("the second controller to be ready", lambda: not self.problems())

    def problems(self):
        """What /readyz tells."""
        expect(self.process.alive(), f"the second controller ended: {self.process.tail()}")
        said = self.lab.exec("ctl", "curl", "-s", "-m", "5", f"{self.http}/readyz", check=False)
        return json.loads(said)["problems"] if said.startswith("{") else [said or "no answer"]

    def ctl(self, *args, check=True):
        return sh(f"{self.lab.build}/controller/cli/twampctl", "--controller", self.admin, *args, check=check)

    def page(self, query=""):
        return self.lab.exec("ctl", "curl", "-sf", "-m", "5", f"{self.http}/metrics{query}")

    def metric(self, name):
        page = self.page()
        return float(next(x.split()[1] for x in page.splitlines() if x.startswith(name + " ")))


def labels(ctl, agent):
    listed = json.loads(ctl("-o", "json", "agent", "list"))["agents"]
    return json.dumps(next(a for a in listed if a["name"] == agent)["labels"], sort_keys=True)


def both(lab, ch, etcd, second_control=None):
    """First and second, and two agents at the first that the second has approved."""
    ch.start()
    etcd.start()
    lab.start_controller("--history", ch.location(), "--control", etcd.location())
    second = Second(lab)
    second.start("--history", ch.location(), "--control", second_control or etcd.location())
    for name in TWO:
        lab.start_agent(name)
    for name in TWO:
        wait(f"the second to know {name}", lambda: name in second.ctl("agent", "list"), SOON_S)
        second.ctl("agent", "approve", name)
    wait("the first to have followed", lambda: all(a["state"] == "up" for a in lab.agent_list()), SOON_S)
    return second


def at_once(*tasks):
    failed = []

    def run(task):
        try:
            task()
        except Exception as e:  # told by the one who waits
            failed.append(e)

    threads = [threading.Thread(target=run, args=[t]) for t in tasks]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not failed, f"{failed}")


def rules(level):
    return f"rules:\n  loss: {{ metric: loss, warning: {{ raise: {level}% }} }}\n"


def apply_rules_at_once(lab, second):
    """Of two documents that come at the same moment none is refused, and none takes the place of another one in what is kept."""
    def apply(ctl, who, first):
        for i in range(EACH_RULES):
            with open(f"{lab.dir}/{who}.yaml", "w") as f:
                f.write(rules(first + i))
            ctl("alert", "apply", "-f", f.name)

    at_once(lambda: apply(lab.ctl, "first", 10), lambda: apply(second.ctl, "second", 50))

    def kept():
        return sorted(int(d["version"]) for d in json.loads(lab.ctl("-o", "json", "alert", "history"))["documents"])

    wait("the first to have followed the second's last one", lambda: len(kept()) >= 2 * EACH_RULES, SOON_S)
    expect(kept() == list(range(1, 2 * EACH_RULES + 1)), f"documents that are kept: {kept()}")
    wait("both to have the same rules in force", lambda: lab.ctl("alert", "export") == second.ctl("alert", "export"), SOON_S)


def test_change_the_same(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full(TWO))
        second.ctl("schedule", "apply", "-f", f.name)
        wait("results of what the second had scheduled, at the first", lambda: len(lab.results("mesh=lab")) >= 4)

        wait("those results at the second", lambda: len(second.ctl("-o", "csv", "results", "--mesh", "lab").splitlines()) >= 5)

        def label(ctl, who):
            for i in range(EACH):
                ctl("agent", "label", "a1", f"{who}{i}={i}")

        began = time.monotonic()
        at_once(lambda: label(lab.ctl, "first"), lambda: label(second.ctl, "second"))
        took_s = time.monotonic() - began
        want = {f"{who}{i}" for who in ["first", "second"] for i in range(EACH)}
        wait("both to have all labels", lambda: labels(lab.ctl, "a1") == labels(second.ctl, "a1"), SOON_S)
        missing = [k for k in want if f'"{k}"' not in labels(lab.ctl, "a1")]
        expect(not missing, f"labels that got lost: {missing}")
        again = lab.metric("twamp_control_decided_again_total") + second.metric("twamp_control_decided_again_total")
        conflicts = lab.metric("twamp_control_conflicts_total") + second.metric("twamp_control_conflicts_total")
        expect(conflicts + again > 0, "nothing happened at once")
        # Generations of both.
        at_once(lambda: [lab.ctl("schedule", x, "lab") for x in ["pause", "resume"] * 5], lambda: [second.ctl("agent", x, "a2") for x in ["drain", "undrain"] * 5])
        wait("both to be at the same generation", lambda: lab.ctl("-o", "json", "schedule", "history") == second.ctl("-o", "json", "schedule", "history"), SOON_S)
        apply_rules_at_once(lab, second)
        print(f"# {conflicts:.0f} conflicts, {again:.0f} decided again, in {took_s:.1f} s")


def test_one_plans(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)

        def planner():
            return lab.metric("twamp_controller_planner"), second.metric("twamp_controller_planner")

        wait("the first to be the planner", lambda: planner() == (1, 0))
        expect('"name":"lab"' in etcd.ctl("get", "/twampmesh/tw/holder/planner"), "etcd does not say who")
        lab.controller.popen.send_signal(signal.SIGSTOP)
        wait("the second to be the planner", lambda: second.metric("twamp_controller_planner") == 1, 20)
        lab.controller.popen.send_signal(signal.SIGCONT)
        wait("the first to know", lambda: planner() == (0, 1))
        expect(second.process.stop() == 0, "the second did not end cleanly")
        wait("the first to be it again, at once", lambda: lab.metric("twamp_controller_planner") == 1, 5)


def pairs_shown(page):
    return {x.split(" ")[0] for x in page.splitlines() if x.startswith("twamp_pair_status{")}


def test_agents_go_to_the_other(build):
    """Agents of both controllers: whom they are at shows them, and no other; when it is killed the other one does."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        lab.apply(full(TWO))
        wait("results at the first", lambda: len(lab.results("mesh=lab")) >= 4)
        wait("its page to have the pairs", lambda: pairs_shown(lab.http("/metrics?level=pair")[1]))
        for name in TWO:
            lab.agents[name].stop()
            lab.start_agent(name, "--controller", f"tcp://{NET4}.{CONTROLLER}:8620,tcp://{NET4}.{CONTROLLER}:8621")

        def once():
            one, other = pairs_shown(lab.http("/metrics?level=pair")[1]), pairs_shown(second.page("?level=pair"))
            return not one & other and len(one | other) > 1

        wait("each pair to be on one page", once, 30)
        lab.controller.kill()
        killed = time.monotonic()
        wait("all agents at the second", lambda: second.ctl("agent", "list").count(" up ") == len(TWO), 10)
        print(f"# all agents were at the other controller {time.monotonic() - killed:.1f} s after the first was killed")
        wait("its page to have all pairs", lambda: len({x.split("source=")[1] for x in pairs_shown(second.page("?level=pair"))}) > 1, 20)


def test_agents_lose_and_double_nothing(build):
    """An agent goes on at the other, whatever was under way: what they have together is without a hole, and neither has anything twice."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        for name in TWO:
            lab.agents[name].stop()
            lab.start_agent(name, "--controller", f"tcp://{NET4}.{CONTROLLER}:8620,tcp://{NET4}.{CONTROLLER}:8621")
        lab.apply(full(TWO))

        def at_second():
            text = lab.exec("ctl", "curl", "-sf", "-m", "20", *lab.bearer(), f"{second.http}/api/v1/summaries?limit=100000&from=-1d&mesh=lab")
            return json.loads(text)["summaries"]

        def at_first():
            return lab.results("mesh=lab")

        def flows(*where):
            """All pairs have results of after now."""
            since = time.time_ns()
            wait("results of all pairs", lambda: len({(r["source"], r["class"]) for f in where for r in f() if r["start_ns"] > since}) == 4, 20)
            return (time.time_ns() - since) / 1e9

        flows(at_first, at_second)
        lab.controller.kill()
        print(f"# all pairs had results of after the kill, at the other controller, after {flows(at_second):.1f} s")
        lab.start_controller("--history", ch.location(), "--control", etcd.location())
        rows = at_second()
        second.process.stop()
        print(f"# and after the other had ended, at the first, after {flows(at_first):.1f} s")
        together = {}
        for mine in [rows, at_first()]:
            known = {(r["source"], r["class"], r["start_ns"]): r for r in mine}
            expect(len(known) == len(mine), "a controller has something twice")
            together.update(known)
        nothing_lost_or_doubled(list(together.values()), restarts_allowed=True)
