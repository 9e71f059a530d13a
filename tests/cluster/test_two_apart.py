"""Two controllers on one etcd, of which one does not reach it any more, while its agents still reach it: it says so, changes nothing, and goes on
storing; and afterwards nothing is lost or doubled, and all is as at the other."""
import json
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, Failure, expect, wait
from meshes import full
from test_away import TWO, Fleet
from test_outage import nothing_lost_or_doubled
from test_two_controllers import SOON_S, both

MESH = {"voice": "dscp: EF, spacing: 20ms, size: 200"}
CHANGED = {"video": "spacing: 20ms, size: 1000"}
AWAY = "control state at 127.0.0.2:2379/tw cannot be used"
SAID_S = 15
PLANNER_S = 25
STALE = "a3"  # it is revoked at the other while its controller cannot know
NEW = "a6"  # it comes meanwhile, and would rather go to the second
BOTH = f"tcp://{NET4}.{CONTROLLER}:8620,tcp://{NET4}.{CONTROLLER}:8621"


def cut(lab):
    """Between the second controller and etcd nothing comes through, and nothing is refused."""
    lab.nft("ctl", "table ip apart { chain in { type filter hook input priority 0; ip daddr 127.0.0.2 drop; ip saddr 127.0.0.2 drop; }; }")


def heal(lab):
    lab.exec("ctl", "nft", "delete", "table", "ip", "apart")


def state(who, name):
    listed = json.loads(who.ctl("-o", "json", "agent", "list"))["agents"]
    return next(a["state"] for a in listed if a["name"] == name)


def start(lab, ch, etcd):
    """a1 at the first, a2 and a3 at the second, by their order of preference."""
    second = both(lab, ch, etcd, etcd.location(host="127.0.0.2"))
    for name in TWO:
        lab.agents[name].stop()
    for name in [*TWO, STALE]:
        lab.start_agent(name, "--controller", BOTH)
    wait("the third to be known", lambda: STALE in lab.ctl("agent", "list"))
    lab.ctl("agent", "approve", STALE)
    wait("each to be where it belongs", lambda: [state(lab, "a1"), state(second, "a2"), state(second, STALE)] == ["up"] * 3)
    return second


def results_of_now(lab, classes):
    """Of both agents, at the first, which has what the second stores, too."""
    now = time.time_ns()
    wait(f"results of now of {classes}", lambda: {(r["source"], r["class"]) for r in lab.results("mesh=lab") if r["start_ns"] > now} >= classes)


def is_said(lab, second):
    wait("/readyz of the second to tell it", lambda: [p for p in second.problems() if AWAY in p], SAID_S)
    expect(lab.is_ready(), f"the first tells of something: {lab.problems()}")
    expect("twamp_control_reachable 0" in second.page(), "the metric does not say it")
    try:
        second.ctl("agent", "label", "a2", "seen=never")
        raise AssertionError("a change was taken")
    except Failure as e:
        expect(AWAY in str(e) and "nothing was changed" in str(e), f"a change: {e}")


def the_first_goes_on(lab, second):
    """It plans, and changes what the second hears of later."""
    wait("the first to be the planner", lambda: lab.metric("twamp_controller_planner") == 1, PLANNER_S)
    lab.ctl("agent", "label", "a2", "seen=apart")
    lab.ctl("agent", "revoke", STALE, "--yes", "-r", "stolen")
    lab.apply(full(TWO, classes=CHANGED))
    results_of_now(lab, {("a1", "video"), ("a2", "voice")})
    expect([state(second, "a2"), state(second, STALE)] == ["up"] * 2, "agents left a controller that stores their results")


def a_new_one_comes(lab):
    """The second, to which it comes first, cannot know whether somebody has approved it."""
    lab.start_agent(NEW, "--controller", BOTH)
    wait("it to be known at the first", lambda: NEW in lab.ctl("agent", "list"))
    lab.ctl("agent", "approve", NEW)
    wait("it to be up there", lambda: state(lab, NEW) == "up")


def all_is_even(lab, second):
    wait("the second to be ready", lambda: not second.problems(), 30)
    wait("the label to be at the second", lambda: "seen=apart" in second.ctl("agent", "list"), SOON_S)
    wait("the third to be cut off", lambda: lab.agents[STALE].said("does not want this agent"), SOON_S)
    expect(lab.agents.pop(STALE).stop() == 3, "the exit status does not say that it was revoked")
    results_of_now(lab, {("a1", "video"), ("a2", "video")})
    for what in [["schedule", "history"], ["schedule", "show", "lab"], ["audit"]]:
        wait(f"both to say the same of {what}", lambda w=what: lab.ctl("-o", "json", *w) == second.ctl("-o", "json", *w), SOON_S)
    expect("seen=never" not in second.ctl("agent", "list"), "what was refused was done all the same")


def test_cut_off_from_etcd(build):
    with Fleet(build, [*TWO, STALE, NEW]) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = start(lab, ch, etcd)
        lab.apply(full(TWO, classes=MESH))
        results_of_now(lab, {(name, "voice") for name in TWO})
        cut(lab)
        is_said(lab, second)
        the_first_goes_on(lab, second)
        a_new_one_comes(lab)
        heal(lab)
        all_is_even(lab, second)
        # The other one dies meanwhile.
        cut(lab)
        wait("/readyz of the second to tell it again", second.problems, SAID_S)
        lab.controller.kill()
        wait("a1 at the second, which is all there is", lambda: state(second, "a1") == "up")
        now = time.time_ns()
        lab.start_controller("--history", ch.location(), "--control", etcd.location())
        heal(lab)
        wait("the second to be ready again", lambda: not second.problems(), 30)
        wait("what was measured then", lambda: {r["source"] for r in lab.results("mesh=lab") if r["start_ns"] > now} == set(TWO), 40)
        results_of_now(lab, {(name, "video") for name in TWO})
        nothing_lost_or_doubled(lab.results("mesh=lab"))
