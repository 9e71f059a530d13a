"""Agents with several controllers: each is at the best one that answers, goes on at another when that one dies, and comes back."""
import json
import os
import signal
import time

from lab import NET4, Lab, Process, expect, sh, wait
from meshes import by_pair, full
from test_outage import nothing_lost_or_doubled

MASK = (1 << 64) - 1
MOVED_S = 10


def weight(agent, url):
    """As agent/core/homing.h has it."""
    h = 0xcbf29ce484222325
    for octet in agent.encode() + b"\0" + url.encode():
        h = (h ^ octet) * 0x100000001b3 & MASK
    h = h + 0x9e3779b97f4a7c15 & MASK
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9 & MASK
    h = (h ^ h >> 27) * 0x94d049bb133111eb & MASK
    return h ^ h >> 31


class Controller:
    """One of several, each with a database of its own."""

    def __init__(self, lab, n):
        self.lab, self.who, self.address = lab, f"c{n}", f"{NET4}.{n}"
        self.url, self.admin = f"tcp://{self.address}:8620", f"ipc://{lab.dir}/{self.who}.sock"
        self.process = self.token = None
        lab.plug(self.who, n)

    def start(self, *extra):
        lab = self.lab
        self.process = Process([f"{lab.build}/controller/twamp-controller", "--listen", self.url, "--allow-plaintext", "--auto-approve",
                                "--admin-listen", self.admin, "--http", f"{self.address}:8080", "--http-plaintext", "--data-dir",
                                f"{lab.dir}/{self.who}", "--name", self.who, *extra], f"{lab.dir}/{self.who}.log", ns=lab.ns(self.who))
        wait(f"{self.who} to be there", lambda: self.http("/healthz", ok=False))
        self.token = self.token or self.ctl("access", "token", "create", "--role", "viewer", "--name", "lab").strip()

    def ctl(self, *args):
        return sh(f"{self.lab.build}/controller/cli/twampctl", "--controller", self.admin, *args)

    def http(self, path, ok=True):
        who = ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        return self.lab.exec(self.who, "curl", "-sf", "-m", "5", *who, f"http://{self.address}:8080{path}", check=ok)

    def results(self, agent):
        return json.loads(self.http(f"/api/v1/summaries?limit=100000&from=-1d&source={agent}"))["summaries"]

    def latest_ns(self, agent):
        return max((r["end_ns"] for r in self.results(agent)), default=0)

    def has(self, agent):
        listed = json.loads(self.ctl("-o", "json", "agent", "list"))["agents"]
        return any(a["name"] == agent and a["state"] == "up" for a in listed)


def name_at(first, second):
    """A name whose agent prefers the first."""
    return next(n for n in (f"a{i}" for i in range(1, 100)) if weight(n, first.url) > weight(n, second.url))


def at_home(home):
    return all(c.has(agent) for agent, c in home.items())


def moved_in(agent, to, since_ns):
    """Seconds until a result came of what was measured after the moment."""
    wait(f"{agent}'s results at {to.who}", lambda: to.latest_ns(agent) > since_ns, 3 * MOVED_S)
    return (time.time_ns() - since_ns) / 1e9


def moves(agent, frm, to, how, most_s, note):
    began = time.time_ns()
    how(frm.process)
    took = moved_in(agent, to, began)
    print(f"# {note}: {agent}'s results came at the other controller after {took:.1f} s")
    expect(took <= most_s, f"{note}: {agent} moved after {took:.1f} s")


def send(signo):
    return lambda p: os.kill(p.popen.pid, signo)


def whole(agent, *controllers):
    """What they have together is without a hole; what one has, it has once."""
    rows = {}
    for c in controllers:
        mine = c.results(agent)
        idents = [(r["target"], r["class"], r["start_ns"], r["seq_first"]) for r in mine]
        expect(len(set(idents)) == len(idents), f"{c.who} has summaries of {agent} twice")
        rows.update(zip(idents, mine))
    expect(rows, f"no results of {agent}")
    nothing_lost_or_doubled(list(rows.values()), restarts_allowed=True)
    for key, mine in by_pair(rows.values()).items():
        for a, b in zip(mine, mine[1:]):
            expect(a["end_ns"] == b["start_ns"], f"{key}: hole between {a['end_ns']} and {b['start_ns']}")


def test_agents_move_within_10_s_and_come_back(build):
    with Lab(build, []) as lab:
        one, two = Controller(lab, 2), Controller(lab, 3)
        home = {name_at(one, two): one, name_at(two, one): two}
        a, b = home
        for i, name in enumerate(home):
            lab.names.append(name)
            lab.plug(name, 11 + i)
        try:
            lifecycle(lab, one, two, home, a, b)
        finally:
            for c in (one, two):
                if c.process and c.process.alive():
                    send(signal.SIGCONT)(c.process)
                    c.process.kill()


def lifecycle(lab, one, two, home, a, b):
    for c in (one, two):
        c.start()
        for name in home:  # each controller has to know both, for the mesh
            lab.start_agent(name, "--controller", c.url)
        wait(f"the agents at {c.who}", lambda x=c: x.has(a) and x.has(b))
        for name in home:
            lab.agents[name].stop()
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full([a, b]))
        c.ctl("schedule", "apply", "-f", f"{lab.dir}/mesh.yaml")
    # The spool of the second keeps nothing that was acknowledged: at the other controller it begins somewhere in the middle.
    lab.start_agent(a, "--controller", f"{two.url},{one.url}")
    lab.start_agent(b, "--controller", one.url, "--controller", two.url, "--keep-acknowledged", "0s")
    wait("each agent to be at its best controller", lambda: at_home(home))
    began = time.time_ns()
    moved_in(a, one, began)
    moved_in(b, two, began)
    expect(not one.has(b) and not two.has(a), "an agent is at both")

    moves(a, one, two, lambda p: p.kill(), MOVED_S, "killed")
    one.start()
    wait(f"{a} to come back", lambda: at_home(home), 40)
    moves(b, two, one, send(signal.SIGSTOP), MOVED_S, "stopped")
    send(signal.SIGCONT)(two.process)
    moves(a, one, two, send(signal.SIGTERM), 5, "ended")
    expect(one.process.popen.wait(10) == 0, f"it did not end cleanly: {one.process.tail()}")
    moved_in(b, two, time.time_ns())
    one.start()
    for name in home:
        expect(lab.agents[name].alive(), f"{name} ended: {lab.agents[name].tail()}")
        whole(name, one, two)
    whole(a, two)  # its spool had all of it for each of them


def test_one_that_cannot_store_is_passed_over(build):
    """As long as there is another one; a controller without its history is better than none."""
    with Lab(build, []) as lab:
        good, bad = Controller(lab, 2), Controller(lab, 3)
        name = name_at(bad, good)
        lab.names.append(name)
        lab.plug(name, 11)
        try:
            good.start()
            bad.start("--history", "clickhouse://127.0.0.1:1/twamp")
            lab.start_agent(name, "--controller", f"{bad.url},{good.url}", "--http", "127.0.0.1:9862")
            wait("the agent at the other controller", lambda: good.has(name), 10)
            page = wait("the agent to say why", lambda: agent_page(lab, name, "/readyz"))
            expect(f"controller {good.url}: connected, since " in page, page)
            expect(f"controller {bad.url}: results cannot be stored here at the moment" in page, page)
            page = agent_page(lab, name, "/metrics")
            expect(f'twamp_agent_controller_connected{{controller="{good.url}"}} 1\n' in page, page)
            expect(f'twamp_agent_controller_connected{{controller="{bad.url}"}} 0\n' in page, page)
            good.process.kill()
            wait("the agent at what there is", lambda: bad.has(name), 10)
            listed = sh(f"{build}/controller/cli/twampctl", "--controller", f"{good.admin},{bad.admin}", "agent", "list")
            expect(name in listed, listed)
        finally:
            for c in (good, bad):
                if c.process:
                    c.process.kill()


def agent_page(lab, name, path):
    return lab.exec(name, "curl", "-sf", "-m", "5", f"http://127.0.0.1:9862{path}")
