"""A fleet with several controllers, of which each part may die or stand still: controllers, the members of etcd, the server of ClickHouse. The checker reads what is
stored from ClickHouse itself."""
import sys

import checker
import clickhouse_side
from rig import HERE, ChaosLab, Shim, pair_id
from lab import CONTROLLER, NET4, Process, expect, sh, wait

sys.path.append(str(HERE.parent / "cluster"))
from clickhouse import ClickHouse  # noqa: E402
from etcd import Members  # noqa: E402
from replicas import Replicas  # noqa: E402

CONTROLLERS = ["controller", "second", "third"]
CLASSES = ["voice", "bulk"]
PORT, HTTP = 8620, 8080


class One:
    """The history on one server. servers: those that may die and stand still; readers(): one for each place that must have all of it."""

    def __init__(self, lab):
        self.lab, self.one = lab, ClickHouse(lab)
        self.servers = {"clickhouse": self.one}

    def start(self):
        self.one.start()

    def location(self, host):
        return self.one.location(host=host)

    def readers(self):
        return [reader(self.lab, self.one)]


class Two:
    """The history on two replicas, with their ZooKeeper."""

    def __init__(self, lab):
        self.lab, self.all = lab, Replicas(lab)
        self.servers = {"ZooKeeper": self.all.zookeeper, **{f"replica {i + 1}": r for i, r in enumerate(self.all.replicas)}}
        self.ports_between = self.all.ports_between()

    def start(self):
        self.all.start()

    def location(self, host):
        return self.all.location(host=host)

    def readers(self):
        return [reader(self.lab, r) for r in self.all.replicas]


def reader(lab, server):
    return clickhouse_side.Reader(lambda *args: lab.exec("ctl", "curl", "-sSf", "-m", "30", *args), f"http://127.0.0.1:{server.port}", "tw")


class ClusterLab(ChaosLab):
    def __init__(self, build, agents, seed, controllers=2, history=One, **kw):
        super().__init__(build, agents, seed, **kw)
        self.others = CONTROLLERS[1:controllers]
        for who in self.others:
            self.shims[who] = Shim(f"{self.dir}/{who}.shim", self.rng.getrandbits(63))
            self.agents[who] = None
        self.etcd, self.history = Members(self, 3), history(self)
        self.options = ["--controller", ",".join(f"tcp://{NET4}.{CONTROLLER}:{PORT + i}" for i in range(controllers))]

    def __exit__(self, kind, value, trace):
        for who in [w for w, p in self.agents.items() if not p]:
            del self.agents[who]
        try:
            super().__exit__(kind, value, trace)
        finally:
            self.etcd.__exit__(kind, value, trace)
            for s in self.history.servers.values():
                s.__exit__(kind, value, trace)

    # ---- programs ----

    @property
    def controllers(self):
        return ["controller", *self.others]

    def program(self, who, args):
        env = super().program(who, args)
        return [e for e in env if not (who in self.others and e.startswith("CHAOS_JOURNAL="))]  # only agents close summaries

    def host(self, who):
        return "ctl" if who in self.others else super().host(who)

    def start_servers(self):
        self.etcd.start()
        self.history.start()
        self.controller_options = self.servers_of("controller")

    def servers_of(self, who):
        host = self.loopback(who)
        return ["--history", self.history.location(host), "--control", self.etcd.location(host=host)]

    def loopback(self, who):
        """Where this controller finds its servers, so that it can be cut off from them alone."""
        return f"127.0.0.{2 + self.controllers.index(who)}"

    def port_for_agents(self, who):
        return PORT + self.controllers.index(who)

    def start_all(self):
        self.start_servers()
        self.start_controller()
        for who in self.others:
            self.start_other(who)
        for name in self.names:
            self.start_agent(name)
        for name in self.names:
            wait(f"{name} to be known", lambda n=name: self.ctl_run("agent", "approve", n)[0] == 0)

    def start_other(self, who):
        i, at = CONTROLLERS.index(who), f"{NET4}.{CONTROLLER}"
        self.agents[who] = Process(self.program(who, [
            f"{self.build}/controller/twamp-controller", "--listen", f"tcp://{at}:{PORT + i}", "--allow-plaintext", "--admin-listen", f"ipc://{self.dir}/{who}.sock",
            "--http", f"{at}:{HTTP + i}", "--http-plaintext", "--open-metrics", "--data-dir", self.data(who), "--name", who, *self.servers_of(who)]),
            f"{self.dir}/{who}.log", ns=self.ns("ctl"))
        wait(f"{who} to be ready", lambda: self.is_ready(who), 60)

    def is_ready(self, who):
        expect(self.process(who).alive(), f"{who} ended: {self.process(who).tail()}")
        i = CONTROLLERS.index(who)
        return self.exec("ctl", "curl", "-sf", "-m", "5", f"http://{NET4}.{CONTROLLER}:{HTTP + i}/readyz", check=False)

    def start_again(self, who):
        if who in self.others:
            self.start_other(who)
        else:
            super().start_again(who)

    def process(self, who):
        if who in self.history.servers:
            return self.history.servers[who].process
        return super().process(who)

    # ---- what is stored ----

    def stored_count(self):
        """At the place that has the least."""
        return min(clickhouse_side.stored_count(r) for r in self.history.readers())

    def stored(self, reader=None):
        """reader: of another database than the controllers'."""
        names = clickhouse_side.agents(self.etcd.ctl("get", "--prefix", "/twampmesh/tw/agent/", "--print-value-only"))
        pairs = {pair_id("lab", c, a, b): (a, b) for c in CLASSES for a in self.names for b in self.names if a != b}
        found = clickhouse_side.Stored(reader or self.history.readers()[0], names, pairs)
        expect(not found.differ, f"copies of a summary that are not alike: {found.differ[:3]}")
        return found

    def told_by_all(self):
        """Each place of the history has the same, and each controller tells as many summaries as are stored."""
        closed = checker.journals(f"{self.dir}/journal")
        for r in self.history.readers():
            v = checker.Verdict(closed, self.stored(r))
            expect(v.good(), f"at {r.url}: {v.text()}")
        stored = len(self.stored().rows)
        for i, who in enumerate(self.controllers):
            out = sh(f"{self.build}/controller/cli/twampctl", "--controller", f"ipc://{self.dir}/{'ctl' if not i else who}.sock", "-o", "csv", "results", "--from", "-1d")
            told = len(out.splitlines()) - 1
            expect(told == stored, f"{who} tells {told} summaries, {stored} are stored")
