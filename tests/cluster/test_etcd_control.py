"""A controller whose control state is in etcd and whose history is on ClickHouse: all is as with files, also after a restart that has nothing
but etcd; and while etcd is away results are stored, what cannot be is said, and nothing is lost."""
import glob
import os
import signal
import subprocess
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import expect, wait
from meshes import full
from test_away import TWO, Fleet, bounded
from test_outage import all_past, nothing_lost_or_doubled

AWAY = "control state at 127.0.0.1:2379/tw cannot be used"
SAID_S = 15


def databases(ch, etcd):
    return ["--history", ch.location(), "--control", etcd.location()]


def start(lab, ch, etcd):
    lab.start_controller(*databases(ch, etcd))
    wait("the controller to be ready", lab.is_ready)


def kill(lab):
    os.kill(lab.controller.popen.pid, signal.SIGKILL)
    lab.controller.popen.wait()


def is_said(lab):
    """By everything that tells of a controller's health."""
    wait("/readyz to tell it", lambda: [p for p in lab.problems() if AWAY in p], SAID_S)
    wait("the metric to say that it is away", lambda: lab.metric("twamp_control_reachable") == 0)
    expect(lab.metric("twamp_store_writable") == 1 and lab.metric("twamp_history_reachable") == 1, "the history is there")
    expect(AWAY in bounded(lab, "status")[1], "twampctl status does not tell it")
    expect("controller-control" in bounded(lab, "doctor", "-o", "json")[1], "twampctl doctor does not tell it")
    control = lab.api("/api/v1/database")["control"]
    expect(control["backend"] == "etcd" and control["address"] == "127.0.0.1:2379/tw" and not control["reachable"]
           and control["last_error"], f"/api/v1/database: {control}")


def is_back(lab):
    wait("the control state to be used again", lab.is_ready, 30)
    wait("the metric to say that it is there", lambda: lab.metric("twamp_control_reachable") == 1)
    code, said = bounded(lab, "agent", "label", "a1", f"seen=at-{time.time_ns()}")
    expect(code == 0, said)


def results_go_on(lab):
    now = time.time_ns()
    wait("results of after it went", lambda: all_past(lab, now), 20)
    code, said = bounded(lab, "agent", "label", "a1", "seen=never")
    expect(code and AWAY in said and "nothing was changed" in said, f"a change: {code}: {said}")
    code, said = bounded(lab, "agent", "list")
    expect(code == 0 and "a2" in said, said)


def told(lab):
    """What there is of control state, as people see it."""
    return {what: lab.ctl(*what.split()) for what in ["agent show a1 -o json", "schedule show lab", "schedule history -o json", "audit -o csv"]}


def lasting(said):
    """But for what is of the moment or the connection."""
    keep = [line for line in said["agent show a1 -o json"].splitlines() if '"labels"' in line or '"seen"' in line or '"approved' in line]
    audit = [line for line in said["audit -o csv"].splitlines() if "Access" not in line]  # each start makes a token for us
    return keep, said["schedule show lab"], said["schedule history -o json"], audit


def test_says_what_is_wrong(build):
    with Fleet(build, []) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        for options, said in [(["--control", etcd.location()], "needs --history"),
                              (["--control", "mysql://x/y", "--history", ch.location()], "expected etcd://HOST"),
                              (["--control", "etcd://x", "--history", ch.location()], "CLUSTER")]:
            done = subprocess.run([f"{build}/controller/twamp-controller", "--check-config", *options], capture_output=True, text=True)
            expect(done.returncode and said in done.stderr and "control" in done.stderr, f"{options}: {done}")
        refused = lab.start_refused(*databases(ch, etcd))
        expect("etcd 127.0.0.1:2379" in refused.tail(), refused.tail())


def test_is_as_with_files(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        ch.start()
        etcd.start()
        start(lab, ch, etcd)
        for name in TWO:
            lab.start_agent(name)
        lab.approve_all()
        lab.ctl("agent", "label", "a1", "seen=first")
        lab.apply(full(TWO))
        wait("first results", lambda: len(lab.results("mesh=lab")) >= 8)
        expect('"name":"a1"' in etcd.ctl("get", "--prefix", "/twampmesh/tw/agent/"), "a1 is not in etcd")
        expect(not os.path.exists(f"{lab.dir}/controller/controller.db"), "there is a file of control state, too")
        before = lasting(told(lab))
        kill(lab)
        for path in glob.glob(f"{lab.dir}/controller/mirror.db*"):
            if not path.endswith("history-owner"):
                os.unlink(path)
        start(lab, ch, etcd)
        after = lasting(told(lab))
        expect(before == after, f"{before}\n{after}")
        wait("the results of before and after", lambda: all_past(lab, time.time_ns() - 10**9), 30)
        nothing_lost_or_doubled(lab.results("mesh=lab"))
        expect(lab.api("/api/v1/database")["control"]["reachable"], "not reachable")
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")


def test_may_be_away(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        ch.start()
        etcd.start()
        start(lab, ch, etcd)
        for name in TWO:
            lab.start_agent(name)
        lab.approve_all()
        lab.apply(full(TWO))
        wait("first results", lambda: len(lab.results("mesh=lab")) >= 8)
        for end, again in [(etcd.kill, etcd.start), (etcd.stop, etcd.go_on)]:
            end()
            is_said(lab)
            results_go_on(lab)
            again()
            is_back(lab)
        nothing_lost_or_doubled(lab.results("mesh=lab"))
        labels = lab.ctl("agent", "show", "a1", "-o", "json")
        expect("seen" in labels and "never" not in labels, "what was refused was done all the same")
        etcd.kill()
        is_said(lab)
        began = time.monotonic()
        expect(lab.controller.stop() == 0 and time.monotonic() - began < 5, "it does not end while etcd is away")
        lab.start_refused(*databases(ch, etcd))
