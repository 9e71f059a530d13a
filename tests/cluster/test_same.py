"""The same spools, delivered to a controller with its history in SQLite and to one with it on ClickHouse: both tell the same, also
when servers and controllers end in the middle of it."""
import random
import shutil
import time

from clickhouse import ClickHouse
from lab import expect, wait
from meshes import full
from test_away import TWO, Fleet
from test_outage import all_past

AWAY_S = 12
PERIOD_NS = 10**9
# What depends on the moment that is asked, or on the connection, and not on what is stored.
OF_NOW = {"state", "maintenance_now", "maintenance"}


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in OF_NOW}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def told(lab, span):
    """Every way of asking for what is stored of a time that is over."""
    begin, end = (t // PERIOD_NS for t in span)
    ask = f"from={begin}&to={end}"
    lab_span = ["--mesh", "lab", "--from", str(begin), "--to", str(end)]
    answers = {path: timeless(lab.api(f"/api/v1/{path}?mesh=lab&{ask}{more}"))
               for path, more in [("summaries", "&limit=100000"), ("report", ""), ("outages", "")]}
    answers["series"] = timeless(lab.api(f"/api/v1/series?mesh=lab&class=voice&source=a1&target=a2&{ask}"))
    for form in ["csv", "json"]:
        answers[f"results {form}"] = sorted(lab.ctl("-o", form, "results", *lab_span).splitlines())
    return answers


def record(lab):
    """Leaves spools with some losses in them, and the database of a controller that has not seen them; the span that they are of."""
    lab.start_fleet()
    lab.apply(full(TWO))
    wait("first results", lambda: len(lab.results("mesh=lab")) >= 8)
    expect(lab.controller.stop() == 0, "the controller did not end cleanly")
    begin = (time.time_ns() // PERIOD_NS + 2) * PERIOD_NS
    wait("losses to begin", lambda: time.time_ns() > begin + 4 * PERIOD_NS)
    lab.nft("a2", "table inet lossy {\n chain in {\n type filter hook input priority 0\n udp dport 862 drop\n }\n}\n")
    wait("losses to end", lambda: time.time_ns() > begin + 5.5 * PERIOD_NS)
    lab.exec("a2", "nft", "delete", "table", "inet", "lossy")
    wait("the record", lambda: time.time_ns() > begin + (AWAY_S + 3) * PERIOD_NS)  # a second more for what is late
    for name in TWO:
        expect(lab.agents[name].stop() == 0, f"{name} did not end cleanly")
    for who in ["controller", *TWO]:
        shutil.copytree(f"{lab.dir}/{who}", f"{lab.dir}/kept-{who}")
    return begin, begin + AWAY_S * PERIOD_NS


def deliver(lab, span, *options, trouble=lambda: None):
    for who in ["controller", *TWO]:
        shutil.rmtree(f"{lab.dir}/{who}")
        shutil.copytree(f"{lab.dir}/kept-{who}", f"{lab.dir}/{who}")
    lab.start_controller(*options)
    for name in TWO:
        lab.start_agent(name)
    trouble()
    now = time.time_ns()
    wait("what is fresh", lambda: all_past(lab, now), 45)
    wait("the backlog", lambda: sum(span[0] <= r["start_ns"] < span[1] for r in lab.results("mesh=lab")) >= 4 * AWAY_S, 45)
    found = told(lab, span)
    for name in TWO:
        expect(lab.agents[name].stop() == 0, f"{name} did not end cleanly")
    expect(lab.controller.stop() == 0, "the controller did not end cleanly")
    return found


def same(here, there):
    for what in here:
        if here[what] != there[what]:
            a, b = str(here[what]), str(there[what])
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            expect(False, f"{what} differs: SQLite ...{a[max(0, at - 150):at + 80]} ClickHouse ...{b[max(0, at - 150):at + 80]}")


def test_numbers(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch:
        span = record(lab)
        here = deliver(lab, span)
        rows = here["summaries"]["summaries"]
        expect(len(rows) >= 4 * AWAY_S and sum(r["lost"] for r in rows) > 20, f"{len(rows)} summaries are not what was to be recorded")
        expect(all(len(here[f"results {form}"]) > 4 * AWAY_S for form in ["csv", "json"]), "twampctl results shows less")
        ch.start()
        same(here, deliver(lab, span, "--history", ch.location()))

        def trouble():
            rng = random.Random(26)
            for i in range(9):
                time.sleep(0.1 + 0.5 * rng.random())  # at any moment of a commit
                if i % 3 == 0:
                    ch.kill()
                    ch.start()
                elif i % 3 == 1:
                    lab.controller.kill()
                    lab.start_controller("--history", ch.location("troubled"))
                else:
                    ch.stop()
                    time.sleep(rng.random())
                    ch.go_on()

        same(here, deliver(lab, span, "--history", ch.location("troubled"), trouble=trouble))
