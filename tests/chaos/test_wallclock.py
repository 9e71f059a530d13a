"""The controller's clock is a month ahead or days behind, as of a host whose battery is empty or whose time server lies: what is kept stays,
and what agents measure meanwhile is not lost."""
import checker
from faults import pass_time
from lab import expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]
MONTH_S = 40 * 86400.0
DAYS_S = 3 * 86400.0
RETAINED_S = 4.0  # after the first results it looks within 2 s for what is too old


def test_a_month_ahead(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for seconds in (MONTH_S, -MONTH_S):
            before = checker.stored_count(lab.database)[0]
            lab.stop_controller()
            lab.shims["controller"].step(seconds)
            lab.say(f"the controller's clock goes by {seconds / 86400:+.0f} days, and it is started")
            lab.start_controller()
            lab.progress("results by that clock", 45)
            pass_time(RETAINED_S if seconds > 0 else 0)
            expect(checker.stored_count(lab.database)[0] > before, "what was kept is gone")
        lab.verdict()


def test_days_behind(build, seed):
    """By such a clock all that comes is from the future. It waits in the agents' spools until the clock is right again."""
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        lab.stop_controller()
        lab.shims["controller"].step(-DAYS_S)
        lab.say(f"the controller's clock goes by {-DAYS_S / 86400:+.0f} days, and it is started")
        lab.start_controller()
        for name in TWO:
            wait(f"{name} to be told why its results are not taken", lambda n=name: lab.agents[n].said("stay in its spool"), 30)
        lab.shims["controller"].step(DAYS_S)
        lab.say("the controller's clock is right again")
        lab.progress("results by the right clock", 45)
        expect(not lab.controller.said("rows refused"), "what was measured meanwhile was refused for good")
        lab.verdict()
