"""A thousand agents that lost the same controller come back at once, over mutual TLS, each with a handshake, a proof of its key and something to deliver."""
import contextlib
import json
import os
import pathlib
import re
import sqlite3

from faults import must_live, pass_time
from kinds import busy_seconds
from lab import CONTROLLER, NET4, Process, expect, wait
from meshes import full
from rig import ChaosLab, pair_id

TWO = ["a1", "a2"]
URL = f"tls+tcp://{NET4}.{CONTROLLER}:8620"
MEMBERS, EACH = 1000, 3  # agents, summaries of each each time
LIMIT_S, CPU_S, GROWTH_KB = 60.0, 30.0, 160 * 1024  # LIMIT_S: on a machine that has little else to do


class HerdLab(ChaosLab):
    """Controller and agents as they are installed: with certificates."""

    def __init__(self, build, seed):
        super().__init__(build, TWO, seed, options=["--controller", URL], controller_options=["--listen", URL])
        self.ca = f"{self.data('controller')}/ca"
        self.give_disk("keys")  # which is not waited for

    def start_fleet(self):
        os.mkdir(self.data("controller"))
        self.ctl("ca", "init", "--dir", self.ca, "--name", f"{NET4}.{CONTROLLER}")
        self.start_controller()
        for name in self.names:
            token = pathlib.Path(f"{self.dir}/{name}.token")
            token.touch(0o600)
            token.write_text(self.ctl("token", "create", "--name", name, "--approve"))
            self.start_agent(name, "--join-token-file", str(token))
        wait("the agents to be up", lambda: [a["state"] for a in self.agent_list()] == ["up", "up"], 30)


class Herd:
    """The program herd.c, and what it says."""

    def __init__(self, lab):
        self.lab, names = lab, [f"herd-{i:04d}" for i in range(MEMBERS)]
        pathlib.Path(f"{lab.dir}/members").write_text("".join(f"{n} {pair_id('herd', 'c', n, 'a2')}\n" for n in names))
        read, self.commands = os.pipe()
        self.process = Process(["sh", "-c", f'exec "$@" <&{read}', "sh", f"{lab.this}/tests/chaos/chaos_herd", URL, lab.ca, lab.dir],
                               f"{lab.dir}/herd.log", ns=lab.ns("a1"), pass_fds=[read])
        os.close(read)

    def lines(self, begin):
        expect(self.process.alive(), f"the herd ended: {self.process.tail()}")
        return [line for line in open(self.process.log).read().splitlines() if line.startswith(begin)]

    def make_known(self):
        """As if each had joined: the controller's database knows their names, keys and certificates."""
        wait("the herd to have its keys and certificates", lambda: self.lines("ready"), 120)
        with contextlib.closing(sqlite3.connect(self.lab.database)) as db, db:
            for name, key, serial, issued, over, der in (line.split() for line in open(f"{self.lab.dir}/known")):
                db.execute("insert into agent (name, public_key, approved, first_seen_ns, approved_ns, last_contact_ns, software) values (?, ?, 1, ?, ?, ?, 'herd')",
                           (name, bytes.fromhex(key), issued, issued, issued))
                db.execute("insert into certificate values (?, ?, ?, ?, ?)", (serial, bytes.fromhex(key), issued, over, bytes.fromhex(der)))

    def go(self):
        done = len(self.lines("{"))
        os.write(self.commands, f"go {EACH}\n".encode())
        return json.loads(wait("all to be back and to have delivered", lambda: self.lines("{")[done:], 8 * LIMIT_S)[0])

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        """Also when the test failed: it would dial for ever."""
        os.close(self.commands)
        if kind:
            self.process.kill()
        else:
            expect(self.process.popen.wait(20) == 0, f"the herd: {self.process.tail()}")


def memory_kb(p, what="VmRSS"):
    return int(re.search(rf"{what}:\s+(\d+)", pathlib.Path(f"/proc/{p.popen.pid}/status").read_text())[1])


def at_once(lab, herd, what):
    """Nothing of the fleet's results waits meanwhile."""
    before, cpu, load = memory_kb(lab.controller), busy_seconds(lab, "controller"), os.getloadavg()[0]
    took = herd.go()
    cpu = busy_seconds(lab, "controller") - cpu
    lab.say(f"{what}: {MEMBERS} agents: half of them in after {took['median_up_s']:.1f} s, all after {took['all_up_s']:.1f} s, all acknowledged after "
            f"{took['all_acked_s']:.1f} s (load average {load:.0f}, controller {cpu:.1f} s of CPU time); connections lost {took['downs']}, refused {took['refused']}; controller {before >> 10} MB, then "
            f"{memory_kb(lab.controller) >> 10} MB, at most {memory_kb(lab.controller, 'VmHWM') >> 10} MB")
    limit = LIMIT_S * max(1.0, load / 4)
    expect(took["all_acked_s"] < limit, f"not all are back within {limit:.0f} s: {took}")
    expect(cpu < CPU_S, f"the controller needs {cpu:.1f} s of CPU time for them")
    expect(memory_kb(lab.controller, "VmHWM") - before < GROWTH_KB, f"the controller has grown from {before} kB to {memory_kb(lab.controller, 'VmHWM')} kB")
    must_live(lab)
    lab.progress("results of the others", 30)


def test_return(build, seed, n=1):
    """n > 1: also after an outage so long that all wait as long as agents ever do."""
    with HerdLab(build, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        with Herd(lab) as herd:
            lab.stop_controller()
            herd.make_known()
            lab.start_controller()
            at_once(lab, herd, "all dial at once")
            lab.controller.kill()
            lab.start_controller()
            at_once(lab, herd, "the controller was killed and started")
            if n > 1:
                lab.controller.kill()
                pass_time(90)
                lab.start_controller()
                at_once(lab, herd, "the controller was away for 90 s")
        lab.verdict()
