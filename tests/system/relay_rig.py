"""Networks whose truth is known: hosts joined by tests/support/relay, which delays, loses, copies and reorders by rules
and records what it did to each packet. How to write rules: tests/support/relay/rules.h.

    with RelayRig(build, "rule from=a delay=10ms loss=@3,@7-9") as rig:    # the tool: hosts a (rig.ns) and b (rig.far)
        rig.responder(); rig.json("-c", "100", "10.99.78.2:20001")
        rows = rig.relay.stop()

    with RelayLab(build, ["a1", "a2"], "clock host=a1 offset=5ms") as lab:  # a fleet, the relay in place of the switch
"""
import csv
import os
import signal

from lab import FIRST_AGENT, Failure, Lab, Process, expect, sh, wait
from tool_rig import Rig, add_namespace

COUNTS = ("number", "arrival_ns", "due_ns", "departure_ns", "sport", "dport", "size", "seq", "seq24", "rule")


class Row:
    """What was done to a packet: the columns of the record. delay_ns: how long the relay had it."""

    def __init__(self, fields):
        self.__dict__.update({k: int(v) if k in COUNTS else v for k, v in fields.items()})

    @property
    def delay_ns(self):
        return self.departure_ns - self.arrival_ns

    def __repr__(self):
        return str(self.__dict__)


class Relay:
    """A running relay in namespace `ns`; ports: {name in rules: interface}."""

    def __init__(self, build, ns, ports, rules, folder, options=()):
        self.rules, self.record = f"{folder}/relay.rules", f"{folder}/relay.csv"
        self.rows = None
        self.write(rules)
        self.process = Process([os.path.abspath(f"{build}/tests/support/relay"), "--rules", self.rules, "--record", self.record,
                                *options, *(f"{name}={interface}" for name, interface in ports.items())],
                               f"{folder}/relay.log", ns=ns)
        wait("the relay to be ready", lambda: "ready" in self.process.tail() or not self.process.alive())
        expect(self.process.alive(), f"the relay ended: {self.process.tail()}")

    def write(self, rules):
        with open(self.rules, "w") as f:
            f.write(rules)

    def change(self, rules):
        """Other rules from now on; they number packets anew."""
        before = self.process.tail(1000).count("reloaded")
        self.write(rules)
        self.process.popen.send_signal(signal.SIGHUP)
        wait("the relay to take the rules", lambda: self.process.tail(1000).count("reloaded") > before)

    def stop(self):
        """Ends it; returns the record. Fails if that is not complete."""
        if self.rows is None:
            code = self.process.stop()
            expect(code == 0, f"the relay ended with {code}: {self.process.tail()}")
            with open(self.record) as f:
                self.rows = [Row(r) for r in csv.DictReader(f)]
        return self.rows

    def kill(self):
        if self.process.alive():
            self.process.kill()


class RelayRig(Rig):
    """As Rig(pair=True), but with the relay between the two: ports a (rig.ns) and b (rig.far)."""

    def __init__(self, build, rules, options=()):
        super().__init__(build, pair=True)
        self.build, self.rules, self.options = build, rules, options
        self.mid = f"{self.ns}m"
        self.relay = None

    def __enter__(self):
        try:
            for ns in (self.ns, self.far, self.mid):
                add_namespace(ns)
            quiet(self.mid)
            for port, ns, host in (("a", self.ns, 1), ("b", self.far, 2)):
                sh("ip", "-n", self.mid, "link", "add", f"to-{port}", "type", "veth", "peer", "name", "eth0", "netns", ns)
                sh("ip", "-n", self.mid, "link", "set", f"to-{port}", "up")
                sh("ip", "-n", ns, "addr", "add", f"10.99.78.{host}/24", "dev", "eth0")
                sh("ip", "-n", ns, "addr", "add", f"fd99:78::{host}/64", "dev", "eth0", "nodad")
                sh("ip", "-n", ns, "link", "set", "eth0", "up")
            self.relay = Relay(self.build, self.mid, {"a": "to-a", "b": "to-b"}, self.rules, self.dir, self.options)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *args):
        if self.relay:
            self.relay.kill()
        super().__exit__(*args)
        sh("ip", "netns", "del", self.mid, check=False)


class RelayLab(Lab):
    """As Lab, with the relay in place of the switch. Ports are named as the agents; the controller's is ctl."""

    def __init__(self, build, agents, rules, options=(), **kw):
        super().__init__(build, agents, **kw)
        self.rules, self.options = rules, options
        self.relay = None
        self.ports = {}

    def plug(self, who, host):
        if not self.ports:
            quiet(self.ns("sw"))
        super().plug(who, host)
        sh("ip", "-n", self.ns("sw"), "link", "set", f"p{host}", "nomaster")
        self.ports[who] = f"p{host}"

    def __enter__(self):
        super().__enter__()
        try:
            self.relay = Relay(self.build, self.ns("sw"), self.ports, self.rules, self.dir, self.options)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def end_programs(self, clean):
        wrong = super().end_programs(clean)
        if self.relay and clean:
            try:
                self.relay.stop()
            except Failure as e:
                wrong += f"{e}\n"
        elif self.relay:
            self.relay.kill()
        return wrong


def quiet(ns):
    """The relay's own kernel says nothing on its ports."""
    sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
