"""A host that is set back to an earlier copy of its disk (a snapshot, a backup): its spool gives out numbers again that the controller has."""
import shutil

import checker
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
