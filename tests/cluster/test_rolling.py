"""Controllers of one control state are upgraded one after the other while agents measure (docs/upgrade.md): by a release that only adds, and back; and by one that this
release cannot work with."""
import json
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, expect, wait
from meshes import by_pair, full
from test_away import TWO, Fleet
from test_outage import nothing_lost_or_doubled
from test_two_controllers import both, labels
from test_upgrade import NEXT, THIS, kept, release

SOON_S = 30
BOTH = f"tcp://{NET4}.{CONTROLLER}:8620,tcp://{NET4}.{CONTROLLER}:8621"
SPOILED = "a newer release was at work"


def begin(lab, ch, etcd):
    second = both(lab, ch, etcd)
    for name in TWO:
        lab.agents[name].stop()
        lab.start_agent(name, "--controller", BOTH)
    lab.apply(full(TWO))
    return second


def results(lab, url):
    text = lab.exec("ctl", "curl", "-sf", "-m", "20", *lab.bearer(), f"{url}/api/v1/summaries?limit=100000&from=-1d&mesh=lab")
    return json.loads(text)["summaries"]


def goes_on(lab, at, before, what):
    """All pairs have results of after now; nothing is lost, doubled or other than it was."""
    now = time.time_ns()

    def past():
        mine = by_pair(results(lab, at))
        return len(mine) == 4 and all(rows[-1]["start_ns"] > now for rows in mine.values())

    wait(f"results after {what}", past, SOON_S)
    rows = results(lab, at)
    nothing_lost_or_doubled(rows, restarts_allowed=True)
    kept(before, rows, what)
    return rows


def first_url():
    return f"http://{NET4}.{CONTROLLER}:8080"


def first_becomes(lab, which, databases):
    expect(lab.controller.stop() == 0, "the first did not end cleanly")
    with release(lab, which):
        lab.start_controller(*databases)
    wait("the first to be ready", lab.is_ready, SOON_S)


def second_becomes(lab, second, which, databases):
    expect(second.process.stop() == 0, "the second did not end cleanly")
    with release(lab, which):
        second.start(*databases)


def schema(etcd):
    return json.loads(etcd.ctl("get", "--print-value-only", "/twampmesh/tw/schema"))


def change(lab, second, at, name):
    """A change at one of them is seen at both."""
    at("agent", "label", "a1", f"{name}=yes")
    wait(f"both to have label {name}", lambda: all(f'"{name}"' in labels(ctl, "a1") for ctl in (lab.ctl, second.ctl)), SOON_S)


def test_one_after_the_other_and_back(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = begin(lab, ch, etcd)
        databases = ["--history", ch.location(), "--control", etcd.location()]
        rows = goes_on(lab, first_url(), [], "the beginning")
        was = schema(etcd)
        second_becomes(lab, second, NEXT, databases)
        expect(schema(etcd) == {"version": was["version"] + 1, "floor": was["floor"]}, f"{was} has become {schema(etcd)}")
        change(lab, second, second.ctl, "by-next")
        change(lab, second, lab.ctl, "by-this")
        rows = goes_on(lab, first_url(), rows, "the upgrade of the second")
        first_becomes(lab, NEXT, databases)
        change(lab, second, lab.ctl, "both-next")
        rows = goes_on(lab, second.http, rows, "the upgrade of the first")
        second_becomes(lab, second, THIS, databases)
        change(lab, second, second.ctl, "back")
        first_becomes(lab, THIS, databases)
        change(lab, second, lab.ctl, "both-back")
        rows = goes_on(lab, first_url(), rows, "the way back")
        expect(all(f'"{x}"' in labels(second.ctl, "a1") for x in ["by-next", "by-this", "both-next", "back", "both-back"]), labels(second.ctl, "a1"))
        print(f"# {len(rows)} results; nothing is lost, doubled or altered")


def test_one_that_breaks(build):
    """The older one takes results and refuses changes until it is upgraded, too; then there is no way back but a copy of etcd."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = begin(lab, ch, etcd)
        databases = ["--history", ch.location(), "--control", etcd.location()]
        rows = goes_on(lab, first_url(), [], "the beginning")
        second_becomes(lab, second, "breaking", databases)
        wait("the first to say why it changes nothing", lambda: [p for p in lab.problems() if SPOILED in p], SOON_S)
        code, out, err = lab.ctl_run("agent", "label", "a1", "never=yes")
        expect(code and SPOILED in out + err, f"a change at the older one: {code} {out} {err}")
        rows = goes_on(lab, second.http, rows, "the upgrade of the second")
        expect(lab.controller.stop() == 0, "the first did not end cleanly")
        refused = lab.start_refused(*databases)
        expect(SPOILED in refused.tail(), refused.tail())
        with release(lab, "breaking"):
            lab.start_controller(*databases)
        wait("the first to be ready", lab.is_ready, SOON_S)
        change(lab, second, lab.ctl, "now")
        goes_on(lab, first_url(), rows, "the upgrade of the first")
