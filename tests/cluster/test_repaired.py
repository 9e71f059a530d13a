"""Two controllers whose etcd is given an older snapshot while they run, with an agent of each connected; and one that is the planner and stands still
for longer than its lease."""
import os
import shutil
import signal
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import expect, wait
from meshes import full
from test_away import TWO, Fleet
from test_two_controllers import SOON_S, both

SAME = [["schedule", "history"], ["schedule", "show", "lab"], ["audit"]]


def restore(etcd, file):
    etcd.kill()
    shutil.rmtree(f"{etcd.dir}/data")
    peer = f"http://127.0.0.1:{etcd.port + 1}"
    etcd.ctl("snapshot", "restore", file, "--name", "m0", "--initial-cluster", f"m0={peer}", "--initial-advertise-peer-urls", peer,
             "--data-dir", f"{etcd.dir}/data")
    etcd.start()


def results_of_now(lab, class_name):
    now = time.time_ns()
    wait(f"results of now of {class_name}", lambda: {r["source"] for r in lab.results("mesh=lab") if r["start_ns"] > now and r["class"] == class_name} == set(TWO), 30)


def test_older_snapshot(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        lab.apply(full(TWO, classes={"voice": "spacing: 20ms"}))
        results_of_now(lab, "voice")
        etcd.ctl("snapshot", "save", f"{lab.dir}/snapshot")
        for i in range(3):
            second.ctl("agent", "label", "a1", f"later={i}")
        lab.apply(full(TWO, classes={"video": "spacing: 20ms, size: 1000"}))
        results_of_now(lab, "video")
        restore(etcd, f"{lab.dir}/snapshot")
        wait("both to be ready", lambda: lab.is_ready() and not second.problems(), 30)
        for who in [lab, second]:
            wait("what came later to be gone", lambda w=who: "later=" not in w.ctl("agent", "list") and "video" not in w.ctl("schedule", "show", "lab"), 30)
        results_of_now(lab, "voice")
        # And on from there: the same generation is another one now.
        second.ctl("agent", "label", "a2", "again=1")
        lab.apply(full(TWO, classes={"bulk": "spacing: 20ms, size: 500"}))
        results_of_now(lab, "bulk")
        for what in SAME:
            wait(f"both to say the same of {what}", lambda w=what: lab.ctl("-o", "json", *w) == second.ctl("-o", "json", *w), SOON_S)
        for process in [lab.controller, second.process]:
            expect("has another history of the control state" in process.tail(500), "the log says nothing of it")
        planner_stands_still(lab, second)


def planner_stands_still(lab, second):
    def planners():
        return [lab.metric("twamp_controller_planner"), second.metric("twamp_controller_planner")]

    wait("one to be the planner", lambda: sum(planners()) == 1, 30)
    first = planners()[0] == 1
    who, other = (lab.controller.popen.pid, second) if first else (second.process.popen.pid, lab)
    os.kill(who, signal.SIGSTOP)
    try:
        wait("the other to be the planner", lambda: other.metric("twamp_controller_planner") == 1, 30)
        other.ctl("agent", "label", "a2", "meanwhile=1")
    finally:
        os.kill(who, signal.SIGCONT)
    wait("the first one to say that it is not", lambda: planners() == ([0, 1] if first else [1, 0]), SOON_S)
    for c in [lab, second]:
        wait("both to know of what came meanwhile", lambda c=c: "meanwhile=1" in c.ctl("agent", "list"), 30)
    (lab if first else second).ctl("agent", "label", "a2", "after=1")
    wait("the other to know of what came after", lambda: "after=1" in other.ctl("agent", "list"), SOON_S)
