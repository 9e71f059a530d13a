"""A host that is set back to an earlier copy of its disk (a snapshot, a backup): its spool gives out numbers again that the controller has."""
import json
import shutil
import time

import checker
from faults import pass_time
from lab import expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]


def closed_by(lab, who):
    return checker.counts(f"{lab.dir}/journal", f"{who}.*")[1]


def goes_on(lab, what, n):
    """So many summaries more of a1 are durable."""
    before = closed_by(lab, "a1")
    wait(f"{n} summaries {what}", lambda: closed_by(lab, "a1") >= before + n, 40)


def take_copy(lab):
    """Of a disk at rest, as a snapshot of a file system is."""
    expect(lab.agents["a1"].stop() == 0, "a1 did not end cleanly")
    shutil.copytree(lab.data("a1"), f"{lab.dir}/copy")
    lab.say("a copy is made of the disk of a1")
    lab.start_agent("a1")
    goes_on(lab, "after the copy", lab.rng.randrange(4, 12))


def set_back(lab):
    """Once the controller has all, so that nothing is lost with the disk that is given up."""
    lab.ctl("schedule", "delete", "lab")
    wait("all to be delivered", lab.at_rest, 45)
    lab.controller.kill()
    lab.agents["a1"].kill()
    shutil.rmtree(lab.data("a1"))
    shutil.copytree(f"{lab.dir}/copy", lab.data("a1"))
    lab.say("the disk of a1 is set back to the copy, the controller is away")
    lab.start_agent("a1")  # measures by the schedule of the copy


def test_set_back(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        take_copy(lab)
        set_back(lab)
        goes_on(lab, "under numbers that were given out before", lab.rng.randrange(4, 20))
        lab.start_controller()
        wait("a1 to be told", lambda: lab.agents["a1"].said("which must be an old copy"), 45)
        lab.apply(full(TWO))
        lab.progress("results afterwards", 60)
        lab.verdict()


def start_clone(lab):
    """Of the copy of a1's disk, while a1 runs on: both are a1 to the controller."""
    shutil.copytree(f"{lab.dir}/copy", f"{lab.dir}/clone")
    lab.port += 1  # that of the first one is taken
    lab.start_agent("a1", key_from="clone")
    lab.port -= 1
    lab.say("its clone is started, too")
    return lab.agents["a1"]


def is_quiet(lab):
    """For five report periods nothing was closed, and nothing came."""
    now = checker.counts(f"{lab.dir}/journal"), checker.stored_count(lab.database)
    if now != lab.closed[1:]:
        lab.closed = (time.monotonic(), *now)
    return time.monotonic() - lab.closed[0] > 5


def told_of_clone(lab):
    """The doctor ends with 1 where something is wrong."""
    return [f for f in json.loads(lab.ctl_run("-o", "json", "doctor")[1])["findings"] if f["id"] == "agent-cloned"]


def test_two_at_once(build, seed):
    """Two hosts with a copy of the same disk measure at once. What one has on its way when the other takes its connection may be lost; nothing is
    stored twice, or under the name of what it is not, and the operator is told. One of them ended, all is as before."""
    with ChaosLab(build, [*TWO, "a3"], seed) as lab:
        lab.start_fleet()
        lab.apply(full(["a1", "a3"]))
        lab.progress("first results")
        take_copy(lab)
        first, second = lab.agents["a1"], start_clone(lab)
        wait("the operator to be told", lambda: told_of_clone(lab), 60)
        goes_on(lab, "while there are two", 20)
        pass_time(lab.rng.uniform(1, 4))
        ended, lab.agents["a1"] = lab.rng.sample([first, second], 2)
        ended.kill()
        lab.say("one of them is ended")
        lab.progress("results afterwards", 90)
        lab.ctl("schedule", "delete", "lab")
        wait("what is left to be delivered", lambda: is_quiet(lab), 90)
        v = checker.check(f"{lab.dir}/journal", lab.stored())
        lab.say(v.text())
        expect(not (v.doubled or v.altered or v.made_up or v.missing_runs), f"seed {seed}: {v.text()}")
