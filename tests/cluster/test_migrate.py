"""A fleet's history is carried from SQLite to ClickHouse, and its control state to etcd, by `twampctl db migrate`, which is killed again and again: after it the controller
tells the same, octet for octet, and agents go on where they were."""
import hashlib
import json
import random
import subprocess
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import Failure, expect, wait
from test_away import TWO, Fleet
from test_outage import all_past
from test_same import AWAY_S, deliver, record, same, told


def migrate(lab, where, *options, popen=False):
    args = ["ip", "netns", "exec", lab.ns("ctl"), f"{lab.build}/controller/cli/twampctl", "db", "migrate",
            "--data-dir", f"{lab.dir}/controller", *where, *options]
    if popen:
        return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done = subprocess.run(args, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def digest(lab):
    with open(f"{lab.dir}/controller/controller.db", "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def begun(ch):
    """Has anything been carried that a controller would find?"""
    return ch.ask(f"SELECT count() FROM tw.cursor WHERE agent_id = {-(2**63 - 1)}", check=False).strip() not in ["", "0"]


def killed_often(lab, where, ch):
    """Until it ends by itself. The first are killed before they have done anything, and each is given more than the one before: however fast the
    machine, some die in the middle."""
    rng = random.Random(31)
    for kills in range(100):
        running = migrate(lab, where, popen=True)
        try:
            out, err = running.communicate(timeout=0.05 * 1.4 ** kills * (1 + rng.random()))
            expect(running.returncode == 0, f"it failed: {err.decode()}")
            return kills, out.decode()
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            if kills % 4 == 3 and begun(ch):
                refused = lab.start_refused(*where)
                expect(any(x in refused.tail() for x in ["a history is being carried into it", "another controller's", "control state is being put"]), refused.tail())
    raise Failure("it never ended")


def test_killed_often(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch:
        span = record(lab)
        here = deliver(lab, span)
        before = digest(lab)
        ch.start()
        where = ["--history", ch.location()]
        code, out, err = migrate(lab, where, "--dry-run", "-o", "json")
        expect(code == 0 and json.loads(out)["dry_run"] and json.loads(out)["rows"] > 4 * AWAY_S, f"{out} {err}")
        kills, out = killed_often(lab, where, ch)
        expect(kills > 2 and "are the same on both sides" in out, f"killed {kills} times: {out}")
        expect(digest(lab) == before, "the file is not as it was")
        code, out, err = migrate(lab, where, "-o", "json")
        expect(code == 0 and json.loads(out)["was_there"], f"{out} {err}")
        lab.start_controller(*where)
        wait("the controller", lab.is_ready)
        same(here, told(lab, span))
        code, out, err = migrate(lab, where)
        expect(code == 1 and "is in use: stop the controller first" in err, f"{code} {out} {err}")
        for name in TWO:
            lab.start_agent(name)
        now = time.time_ns()
        wait("what is fresh", lambda: all_past(lab, now), 45)
        same(here, told(lab, span))


def decided(lab):
    """Control state as people see it, but for what is of the moment, of the connection, or of the start of a controller."""
    audit = [line for line in lab.ctl("audit", "-o", "csv").splitlines() if "Access" not in line]
    agents = [{k: a[k] for k in ["name", "fingerprint", "labels", "approved"] if k in a} for a in lab.json("agent", "list")["agents"]]
    return {"audit": audit, "agents": agents, **{what: lab.ctl(*what.split()) for what in
            ["schedule show lab", "schedule history -o json", "alert rules -o json", "token list -o json", "test list -o json"]}}


def test_control_state(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        span = record(lab)
        deliver(lab, span)
        lab.start_controller()
        wait("the controller", lab.is_ready)
        for i in range(30):
            lab.ctl("agent", "label", "a1", f"seen=at-{i}")
        here = told(lab, span), decided(lab)
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        before = digest(lab)
        ch.start()
        etcd.start()
        where = ["--history", ch.location(), "--control", etcd.location()]
        kills, out = killed_often(lab, where, ch)
        expect(kills > 2 and "of control state are the same on both sides" in out, f"killed {kills} times: {out}")
        expect(digest(lab) == before, "the file is not as it was")
        code, out, err = migrate(lab, where, "-o", "json")
        expect(code == 0 and json.loads(out)["was_there"] and json.loads(out)["control_was_there"], f"{out} {err}")
        lab.start_controller(*where)
        wait("the controller", lab.is_ready)
        same(here[0], told(lab, span))
        same(here[1], decided(lab))
        for name in TWO:
            lab.start_agent(name)
        now = time.time_ns()
        wait("what is fresh", lambda: all_past(lab, now), 45)
        same(here[0], told(lab, span))
        lab.ctl("agent", "label", "a1", "seen=after")
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        code, out, err = migrate(lab, where[2:])
        expect(code == 1 and "another control state is there" in err, f"{code} {out} {err}")
