"""What faults do to parts of a cluster, and plans of them that follow from the seed alone."""
import collections
import signal

from faults import must_live, pass_time
from lab import expect, wait

# name, who can have it, fault(victim), heal(victim), in which order heals are done: whoever starts needs those before.
Kind = collections.namedtuple("Kind", "name who fault heal turn")
AT_ONCE, BEGIN, START = range(3)


class Victim:
    """A controller (server None), or a server of others."""

    def __init__(self, lab, name, server=None):
        self.lab, self.name, self.server = lab, name, server

    @property
    def process(self):
        return self.server.process if self.server else self.lab.process(self.name)


def kill(v):
    v.process.kill()


def end(v):
    code = v.process.stop()
    expect(code == 0, f"{v.name} ended with {code}: {v.process.tail()}")


def still(v):
    v.process.popen.send_signal(signal.SIGSTOP)


def go_on(v):
    v.process.popen.send_signal(signal.SIGCONT)


def begin(v):
    v.server.begin()


def start(v):
    v.lab.start_again(v.name)


# ---- Partitions: all are in one namespace, so it is ports, at addresses that only one controller uses, between which nothing comes through ----

def cut(v, ports, address=None):
    ports, rules = ", ".join(map(str, ports)), []
    for port, host in (("dport", "daddr"), ("sport", "saddr")):
        rules.append(f"{f'ip {host} {address} ' if address else ''}tcp {port} {{ {ports} }} drop;")
    v.lab.nft("ctl", f"table inet {table(v)} {{ chain in {{ type filter hook input priority 0; {' '.join(rules)} }}; }}")


def table(v):
    return f"cut_{v.name.replace(' ', '_')}"


def join(v):
    v.lab.exec("ctl", "nft", "delete", "table", "inet", table(v))


def from_etcd(v):
    cut(v, [m.port for m in v.lab.etcd.members], v.lab.loopback(v.name))


def from_history(v):
    cut(v, [s.port for s in v.lab.history.servers.values()], v.lab.loopback(v.name))


def from_agents(v):
    cut(v, [v.lab.port_for_agents(v.name)])


def apart(v):
    cut(v, v.lab.history.ports_between)


KINDS = [
    Kind("kill -9", "controllers", kill, start, START),
    Kind("SIGTERM", "controllers", end, start, START),
    Kind("SIGSTOP", "controllers", still, go_on, AT_ONCE),
    Kind("cut off from etcd", "controllers", from_etcd, join, AT_ONCE),
    Kind("cut off from the history", "controllers", from_history, join, AT_ONCE),
    Kind("cut off from agents", "controllers", from_agents, join, AT_ONCE),
    Kind("kill -9", "history", kill, begin, BEGIN),
    Kind("SIGSTOP", "history", still, go_on, AT_ONCE),
    Kind("kill -9", "leader of etcd", kill, begin, BEGIN),
    Kind("SIGSTOP", "leader of etcd", still, go_on, AT_ONCE),
]
REPLICAS = [Kind("cut off from each other", "replicas", apart, join, AT_ONCE)]


def victim(lab, who, taken):
    """Of those that have no fault yet."""
    if who == "controllers":
        return Victim(lab, lab.rng.choice([c for c in lab.controllers if c not in taken]))
    if who == "history":
        name = lab.rng.choice([s for s in sorted(lab.history.servers) if s not in taken])
        return Victim(lab, name, lab.history.servers[name])
    if who == "replicas":
        return Victim(lab, "replicas")
    member = wait("a member of etcd to lead", lab.etcd.leader)
    return Victim(lab, f"etcd at {member.port}", member)


def until_whole(lab):
    """All that take part are there again, and ready."""
    for s in [*lab.etcd.members, *lab.history.servers.values()]:
        wait(f"the server at {s.port} to answer", s.answers, 60)
    for who in lab.controllers:
        wait(f"{who} to be ready", lambda w=who: lab.is_ready(w), 60)
    must_live(lab)


def make_plan(rng, table, rounds, longest, at_once):
    """Each kind of the table once in each round, in another order, so many at once: [(gap, kinds, hold)]"""
    out = []
    for _ in range(rounds):
        order = rng.sample(table, len(table))
        groups = [order[i:i + at_once] for i in range(0, len(order), at_once)]
        out += [(rng.uniform(0.1, 0.6), group, rng.uniform(0.1, longest)) for group in groups]
    return out


def run_plan(lab, plan):
    for gap, group, hold in plan:
        pass_time(gap)
        victims = []
        for kind in group:
            v = victim(lab, kind.who, [v.name for v in victims])
            lab.say(f"{kind.name}: {v.name}, for {hold:.2f} s")
            kind.fault(v)
            victims.append(v)
        pass_time(hold)
        for kind, v in sorted(zip(group, victims), key=lambda kv: kv[0].turn):
            kind.heal(v)
        until_whole(lab)
    lab.say("all is healed")
