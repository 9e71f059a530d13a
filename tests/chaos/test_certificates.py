"""Certificates whose time is over while nobody can renew them, and an authority that has come to its end."""
import os
import pathlib
import shutil
import time

import checker
from faults import must_live
from lab import CONTROLLER, NET4, expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]
URL = f"tls+tcp://{NET4}.{CONTROLLER}:8620"
SHORT = "6s"  # renewed at two thirds


class CertifiedLab(ChaosLab):
    def __init__(self, build, seed, life=None):
        more = ["--agent-certificate-life", life] if life else []
        self.life = ["--certificate-life", life] if life else []
        super().__init__(build, TWO, seed, options=["--controller", URL], controller_options=["--listen", URL, *more])
        self.ca = f"{self.data('controller')}/ca"

    def make_authority(self):
        self.ctl("ca", "init", "--dir", self.ca, "--name", f"{NET4}.{CONTROLLER}", *self.life)

    def join(self, name, *token_options):
        token = pathlib.Path(f"{self.dir}/{name}.token")
        token.touch(0o600)
        token.write_text(self.ctl("token", "create", "--name", name, *token_options))
        self.start_agent(name, "--join-token-file", str(token))

    def all_up(self):
        wait("the agents to be up", lambda: {a["state"] for a in self.agent_list()} == {"up"} and len(self.agent_list()) == 2, 45)

    def start_fleet(self):
        os.mkdir(self.data("controller"))
        self.make_authority()
        self.start_controller()
        for name in self.names:
            self.join(name, "--approve")
        self.all_up()
        self.apply(full(TWO))
        self.progress("first results")


def ends(lab):
    """When the last certificate of an agent and the controller's own are over."""
    rows = [line.split() for line in lab.http("/metrics")[1].splitlines() if line.startswith("twamp_certificate_expiry")]
    agents = [int(a["certificate_not_after_ns"]) / 1e9 for a in lab.agent_list()]
    return max(agents + [float(value) for name, value in rows if '"ca"' not in name])


def test_run_out(build, seed):
    """Under live connections they are renewed; while the controller is away all of them run out, its own too; then each comes back by its identity."""
    with CertifiedLab(build, seed, SHORT) as lab:
        lab.start_fleet()
        first = ends(lab)
        wait("all to be renewed", lambda: time.time() > first and ends(lab) > first, 30)
        lab.progress("results over the renewals")
        over = ends(lab)
        lab.controller.kill()
        lab.say("the controller is killed, agents go on")
        for name in TWO:
            os.unlink(f"{lab.dir}/{name}.token")
        before = checker.counts(f"{lab.dir}/journal")[1]
        wait("every certificate to be over", lambda: time.time() > over + 0.5, 30)
        expect(checker.counts(f"{lab.dir}/journal")[1] > before, "nothing was measured meanwhile")
        lab.start_controller()
        lab.all_up()
        must_live(lab)
        lab.progress("results by other certificates", 45)
        lab.verdict()


def test_another_authority(build, seed):
    """Its key is lost, or its ten years are over: agents measure on, and bring what they have once they have joined anew, under the same names."""
    with CertifiedLab(build, seed) as lab:
        lab.start_fleet()
        lab.stop_controller()
        shutil.rmtree(lab.ca)
        lab.make_authority()
        lab.start_controller()
        lab.say("the controller has another authority")
        wait("the agents to refuse it", lambda: all(lab.agents[n].said("is not from an authority") for n in TWO), 45)
        for name in TWO:
            expect(lab.agents[name].stop() == 0, f"{name} did not end cleanly")
            for file in ("ca.pem", "tls.pem"):
                os.unlink(f"{lab.data(name)}/{file}")
            lab.join(name)  # not approved by the token: it is approved already
        lab.all_up()
        lab.progress("results under the new authority", 45)
        lab.verdict()
