"""A controller whose history is on ClickHouse, while that is away: all else goes on, it is said loudly, and nothing is lost."""
import json
import os
import shutil
import signal
import time

from clickhouse import ClickHouse
from lab import Failure, Lab, expect, wait
from meshes import full
from test_outage import all_past, nothing_lost_or_doubled

TWO = ["a1", "a2"]
SAID_S = 35  # a statement that had begun may take 30 s
BOUND_S = 12  # of an answer while it is away: two looks of 3 s by each of two readers that others may use


class Fleet(Lab):
    """Is up without being ready."""

    def ready(self):
        expect(self.controller.alive(), f"the controller ended: {self.controller.tail()}")
        return self.http("/readyz", check=False)[0] in (200, 503) and self.let_in()

    def start_refused(self, *options):
        """The controller, which ends by itself with an error."""
        def ended():
            return self.controller.popen.poll() is not None

        self.start_controller(*options, ready=ended)
        expect(self.controller.popen.returncode == 1, "the controller did not refuse to start")
        refused, self.controller = self.controller, None
        return refused

    def problems(self):
        status, body = self.http("/readyz", check=False)
        found = json.loads(body)["problems"]
        expect((status == 503) == bool(found), f"/readyz: {status} with {found}")
        return found

    def is_ready(self):
        return self.http("/readyz", check=False)[0] == 200

    def metric(self, name):
        lines = [x for x in self.http("/metrics")[1].splitlines() if x.startswith(name + " ")]
        expect(len(lines) == 1, f"{name}: {lines}")
        return float(lines[0].split()[1])


def bounded(lab, *args):
    """(exit code, what it said), and that it took no longer than is promised."""
    began = time.monotonic()
    code, out, err = lab.ctl_run(*args)
    took = time.monotonic() - began
    expect(took < BOUND_S, f"twampctl {' '.join(args)} took {took:.1f} s")
    return code, out + err


def is_said(lab):
    """By everything that tells of a controller's health."""
    wait("/readyz to tell it", lambda: [p for p in lab.problems() if "history at 127.0.0.1:8123/tw cannot be used" in p], SAID_S)
    wait("the metric to say that it is away", lambda: lab.metric("twamp_history_reachable") == 0)
    expect(lab.metric("twamp_store_writable") == 1, "the control state can be written")
    expect("history at" in bounded(lab, "status")[1], "twampctl status does not tell it")
    expect("controller-history" in bounded(lab, "doctor", "-o", "json")[1], "twampctl doctor does not tell it")
    history = lab.api("/api/v1/database")["history"]
    expect(history["backend"] == "clickhouse" and history["address"] == "127.0.0.1:8123/tw" and not history["reachable"]
           and history["last_error"], f"/api/v1/database: {history}")


def all_else_goes_on(lab, name):
    """Changes are stored, what is not of the history is answered, and what is gets a clear error in time."""
    code, said = bounded(lab, "agent", "label", "a1", f"seen={name}")
    expect(code == 0, said)
    code, said = bounded(lab, "audit", "--what", "agent")
    expect(code == 0 and "a1" in said, said)
    code, said = bounded(lab, "report", "--mesh", "lab")
    expect(code and "clickhouse 127.0.0.1:8123" in said, f"a report without its history: {code}: {said}")
    expect(lab.http("/healthz")[0] == 200, "the loop stands still")


def is_back(lab):
    wait("the history to be used again", lab.is_ready, 30)
    wait("the metric to say that it is there", lambda: lab.metric("twamp_history_reachable") == 1)
    now = time.time_ns()
    wait("all results", lambda: all_past(lab, now), 40)


def whole(lab):
    rows = lab.results("mesh=lab")
    nothing_lost_or_doubled(rows)
    report = lab.api("/api/v1/report?mesh=lab")["pairs"]
    expect(len(report) == 4 and all(p["completeness"]["ratio"] == 1 for p in report), f"not complete: {[p['completeness'] for p in report]}")
    return rows


def test_start_without_it(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch:
        history = ["--history", ch.location()]
        began = time.monotonic()
        lab.start_controller(*history)
        expect(time.monotonic() - began < 10, "the controller did not come up in time")
        for name in TWO:
            lab.start_agent(name)
        lab.approve_all()
        lab.apply(full(TWO))
        applied = time.time_ns()
        is_said(lab)
        all_else_goes_on(lab, "first")
        wait("results that wait", lambda: time.time_ns() > applied + 4e9)
        ch.start()
        is_back(lab)
        first = min(r["start_ns"] for r in whole(lab))
        expect(first < applied + 3e9, f"the first result is {(first - applied) / 1e9:.1f} s behind the mesh: what waited is not there")
        database = lab.api("/api/v1/database")
        expect(database["history"]["reachable"] and database["history"]["inserts"] > 0 and database["not_covered"], f"{database}")
        expect("what is not in it: the history" in lab.ctl("db", "backup"), "db backup does not say what it leaves out")
        # The controller again and again, with and without.
        os.kill(lab.controller.popen.pid, signal.SIGKILL)
        lab.controller.popen.wait()
        lab.start_controller(*history)
        is_back(lab)
        whole(lab)
        ch.kill()
        is_said(lab)
        began = time.monotonic()
        expect(lab.controller.stop() == 0 and time.monotonic() - began < 4, "it does not end while its history is away")
        lab.start_controller(*history)
        is_said(lab)
        ch.start()
        is_back(lab)
        whole(lab)


def test_is_for_one_controller(build):
    """A second one is kept out, whether it starts with the server or before it; the first comes again."""
    with Fleet(build, []) as lab, ClickHouse(lab) as ch:
        ch.start()
        lab.start_controller("--history", ch.location())
        wait("the first to be ready", lab.is_ready)
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        first = lab.controller
        shutil.move(f"{lab.dir}/controller", f"{lab.dir}/first")
        second = lab.start_refused("--history", ch.location())
        expect("is another controller's: give this one a database of its own" in second.tail(), second.tail())
        ch.kill()
        lab.start_controller("--history", ch.location())
        ch.start()
        wait("the second to say why not", lambda: [p for p in lab.problems() if "is another controller's" in p])
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        shutil.rmtree(f"{lab.dir}/controller")
        shutil.move(f"{lab.dir}/first", f"{lab.dir}/controller")
        lab.start_controller("--history", ch.location())
        wait("the first to be ready again", lab.is_ready)
        expect(first is not lab.controller, "it is the same process")


def test_stands_still_and_dies(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch:
        ch.start()
        lab.start_controller("--history", ch.location())
        for name in TWO:
            lab.start_agent(name)
        lab.approve_all()
        lab.apply(full(TWO))
        is_back(lab)
        for end, again in [(ch.stop, ch.go_on), (ch.kill, ch.start)]:
            end()
            is_said(lab)
            all_else_goes_on(lab, f"at-{time.time_ns()}")
            again()
            is_back(lab)
        whole(lab)
