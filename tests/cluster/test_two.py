"""Two controllers that share their control state in etcd: what is done at one counts at the other, at once, and for the agents that are
connected there."""
import json
import os
import subprocess
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, Failure, Process, expect, wait
from meshes import full
from test_away import Fleet

TWO = ["a1", "a2"]
FOLLOWS_S = 10  # far less is usual
ALERTS = """rules:
  down: { metric: agent_down, warning: { raise: 1m } }
receivers:
  log: { command: [/bin/true] }
routes:
  - { receiver: log }
"""


class Second:
    """Another controller beside the lab's, at other ports of the same host."""

    def __init__(self, lab):
        self.lab, self.url, self.admin = lab, f"tcp://{NET4}.{CONTROLLER}:8630", f"ipc://{lab.dir}/second.sock"
        self.page, self.process = f"http://{NET4}.{CONTROLLER}:8090", None

    def start(self, *extra):
        lab = self.lab
        self.process = Process([f"{lab.build}/controller/twamp-controller", "--listen", self.url, "--allow-plaintext", "--admin-listen", self.admin,
                                "--http", self.page[len("http://"):], "--http-plaintext", "--data-dir", f"{lab.dir}/second", "--name", "second",
                                *extra], f"{lab.dir}/second.log", ns=lab.ns("ctl"))
        wait("the second controller to be ready", lambda: self.status("/readyz") == 200)

    def status(self, path, token=None):
        expect(self.process.alive(), f"the second controller ended: {self.process.tail()}")
        who = ["-H", f"Authorization: Bearer {token}"] if token else []
        return int(self.lab.exec("ctl", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", *who, self.page + path, check=False) or 0)

    def ctl_run(self, *args):
        done = subprocess.run([f"{self.lab.build}/controller/cli/twampctl", "--controller", self.admin, *args], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *args):
        code, out, err = self.ctl_run(*args)
        if code:
            raise Failure(f"second: twampctl {' '.join(args)}: exit {code}: {err.strip()} {out.strip()[-300:]}")
        return out


def agents(who):
    return {a["name"]: a for a in json.loads(who.ctl("-o", "json", "agent", "list"))["agents"]}


def state(who, name):
    return agents(who).get(name, {}).get("state")


def follows(what, condition):
    began = time.monotonic()
    wait(what, condition, FOLLOWS_S)
    print(f"# {what}: after {time.monotonic() - began:.2f} s, twampctl included")


def same(lab, second, *args):
    """Both say the same; what is of connections is left out by the caller."""
    follows(" ".join(args) + " to be equal", lambda: lab.ctl(*args) == second.ctl(*args))


def enrol(lab, second):
    lab.start_agent("a1")
    lab.start_agent("a2", "--controller", second.url)
    follows("a1, which came to the first, to be known at the second", lambda: state(second, "a1") == "pending")
    follows("a2, which came to the second, to be known at the first", lambda: state(lab, "a2") == "pending")
    second.ctl("agent", "approve", "a1")
    lab.ctl("agent", "approve", "a2")
    wait("a1 to be let in where it is connected", lambda: state(lab, "a1") == "up")
    wait("a2 to be let in where it is connected", lambda: state(second, "a2") == "up")


def measure(lab, second):
    lab.apply(full(TWO))
    same(lab, second, "schedule", "show", "lab")
    for who, name in [(lab, "a1"), (second, "a2")]:
        wait(f"results of {name}", lambda w=who, n=name: len(w.ctl("-o", "csv", "results", "--source", n).splitlines()) > 2, 30)
    history = [json.loads(x.ctl("-o", "json", "schedule", "history")) for x in (lab, second)]
    expect(history[0]["generations"] == history[1]["generations"], f"histories differ: {history}")


def tokens(lab, second):
    token = lab.ctl("access", "token", "create", "--role", "viewer", "--name", "both").strip()
    follows("a token of the first to work at the second", lambda: second.status("/api/v1/agents", token) == 200)
    found = next(t for t in json.loads(second.ctl("-o", "json", "access", "token", "list"))["tokens"] if t["name"] == "both")
    second.ctl("access", "token", "revoke", found["id"])
    expect(second.status("/api/v1/agents", token) == 401, "it works where it was revoked")
    page = f"http://{NET4}.{CONTROLLER}:8080/api/v1/agents"
    follows("a token that the second revoked to work no more at the first", lambda: lab.exec(
        "ctl", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}", page) == "401")


def alerts(lab, second):
    with open(f"{lab.dir}/alerts.yaml", "w") as f:
        f.write(ALERTS)
    lab.ctl("alert", "apply", "-f", f"{lab.dir}/alerts.yaml")
    same(lab, second, "alert", "export")
    second.ctl("alert", "silence", "source=a1", "--for", "1h", "-r", "work")
    follows("a silence of the second at the first", lambda: "source=a1" in lab.ctl("alert", "silences"))


def test_what_one_does_counts_at_the_other(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = Second(lab)
        etcd.start()
        ch.start()
        try:
            lab.start_controller("--history", ch.location("tw1"), "--control", etcd.location())
            wait("the controller to be ready", lab.is_ready)
            second.start("--history", ch.location("tw2"), "--control", etcd.location())
            enrol(lab, second)
            measure(lab, second)
            tokens(lab, second)
            alerts(lab, second)
            lab.ctl("agent", "revoke", "a2", "--yes", "-r", "stolen")
            follows("a2 to be cut off at the second", lambda: state(second, "a2") == "revoked" and lab.agents["a2"].said("revoked by an operator"))
            follows("both to tell the same of what was done", lambda: lab.ctl("audit", "-o", "csv") == second.ctl("audit", "-o", "csv"))
            os.kill(lab.controller.popen.pid, 9)
            lab.controller.popen.wait()
            second.ctl("schedule", "pause", "lab")
            expect("paused" in second.ctl("schedule", "list"), "the second goes on alone")
            lab.controller = None
            lab.agents.pop("a2").kill()  # who is revoked does not end as if all were well
        finally:
            if second.process and second.process.alive():
                second.process.kill()
