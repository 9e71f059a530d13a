"""A fleet's history is carried from SQLite to ClickHouse by `twampctl db migrate`, which is killed again and again: after it the controller tells the same, octet for
octet, and agents go on where they were."""
import hashlib
import json
import random
import subprocess
import time

from clickhouse import ClickHouse
from lab import Failure, expect, wait
from test_away import TWO, Fleet
from test_outage import all_past
from test_same import AWAY_S, deliver, record, same, told


def migrate(lab, ch, *options, popen=False):
    args = ["ip", "netns", "exec", lab.ns("ctl"), f"{lab.build}/controller/cli/twampctl", "db", "migrate",
            "--data-dir", f"{lab.dir}/controller", "--history", ch.location(), *options]
    if popen:
        return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done = subprocess.run(args, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def digest(lab):
    with open(f"{lab.dir}/controller/controller.db", "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def killed_often(lab, ch):
    """Until it ends by itself."""
    rng = random.Random(31)
    for kills in range(100):
        running = migrate(lab, ch, popen=True)
        try:
            out, err = running.communicate(timeout=0.1 + 0.15 * kills + 0.3 * rng.random())
            expect(running.returncode == 0, f"it failed: {err.decode()}")
            return kills, out.decode()
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            if kills % 4 == 3:
                refused = lab.start_refused("--history", ch.location())
                expect("a history is being carried into it" in refused.tail() or "another" in refused.tail(), refused.tail())
    raise Failure("it never ended")


def test_killed_often(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch:
        span = record(lab)
        here = deliver(lab, span)
        before = digest(lab)
        ch.start()
        code, out, err = migrate(lab, ch, "--dry-run", "-o", "json")
        expect(code == 0 and json.loads(out)["dry_run"] and json.loads(out)["rows"] > 4 * AWAY_S, f"{out} {err}")
        kills, out = killed_often(lab, ch)
        expect(kills > 2 and "are the same on both sides" in out, f"killed {kills} times: {out}")
        expect(digest(lab) == before, "the file is not as it was")
        code, out, err = migrate(lab, ch, "-o", "json")
        expect(code == 0 and json.loads(out)["was_there"], f"{out} {err}")
        lab.start_controller("--history", ch.location())
        wait("the controller", lab.is_ready)
        same(here, told(lab, span))
        code, out, err = migrate(lab, ch)
        expect(code == 1 and "is in use: stop the controller first" in err, f"{code} {out} {err}")
        for name in TWO:
            lab.start_agent(name)
        now = time.time_ns()
        wait("what is fresh", lambda: all_past(lab, now), 45)
        same(here, told(lab, span))
