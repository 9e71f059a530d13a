"""Several controllers, etcd of three members, ClickHouse: one part after another dies or stands still under a fleet that measures, by a plan that follows from the seed."""
import collections
import signal

import checker
import clickhouse_side
from cluster_rig import ClusterLab
from faults import must_live, pass_time
from lab import expect, wait
from meshes import full

THREE = ["a1", "a2", "a3"]

# What happens to a process, and what undoes it: fault(process), heal(start, process).
Kind = collections.namedtuple("Kind", "name who fault heal")


def kill(process):
    process.kill()


def end(process):
    code = process.stop()
    expect(code == 0, f"it ended with {code}: {process.tail()}")


def still(process):
    process.popen.send_signal(signal.SIGSTOP)


def again(start, process):
    start()


def go_on(start, process):
    process.popen.send_signal(signal.SIGCONT)


KINDS = [
    Kind("kill -9", "controllers", kill, again),
    Kind("SIGTERM", "controllers", end, again),
    Kind("SIGSTOP", "controllers", still, go_on),
    Kind("kill -9", "history", kill, again),
    Kind("SIGSTOP", "history", still, go_on),
    Kind("kill -9", "leader of etcd", kill, again),
    Kind("SIGSTOP", "leader of etcd", still, go_on),
]


def victim(lab, who):
    """(name, process, what starts it again)"""
    if who == "controllers":
        name = lab.rng.choice(lab.controllers)
        return name, lab.process(name), lambda: lab.start_again(name)
    if who == "history":
        name = lab.rng.choice(sorted(lab.history.servers))
        return name, lab.history.servers[name].process, lab.history.servers[name].start
    member = wait("a member of etcd to lead", lab.etcd.leader)
    return f"etcd at {member.port}, which leads", member.process, member.start


def until_whole(lab):
    """All that take part are there again, and ready."""
    for who in lab.controllers:
        wait(f"{who} to be ready", lambda w=who: lab.is_ready(w), 60)
    must_live(lab)


def run_plan(lab, plan):
    for gap, kind, hold in plan:
        pass_time(gap)
        name, process, start = victim(lab, kind.who)
        lab.say(f"{kind.name}: {name}, for {hold:.2f} s")
        kind.fault(process)
        pass_time(hold)
        kind.heal(start, process)
        until_whole(lab)
    lab.say("all is healed")


def make_plan(rng, rounds, longest):
    return [(rng.uniform(0.1, 0.6), kind, rng.uniform(0.1, longest)) for _ in range(rounds) for kind in rng.sample(KINDS, len(KINDS))]


# ---- Is the checker able to fail? ----

# {column: what it is in the one row}, what it must be found to be. The row is chosen by what it measures.
DAMAGE = [("lost", None), ("doubled", {"seq": "seq + 1000000"}), ("altered", {"received": "received + 1", "sent": "sent + 1"}),
          ("altered", {"delay_roundtrip": "concat(delay_roundtrip, 'x')"}), ("made_up", {"start_ns": "start_ns + 1"})]


def damaged(reader, i, one, changes):
    """Beside the table of summaries another one, in which one that is seen is gone, there twice, or another one."""
    copy = clickhouse_side.Reader(reader.ask, reader.url, reader.database, f"damaged{i}")
    it, all_columns = f"agent_id = {one['agent_id']} AND seq = {one['seq']}", list(reader.types("summary"))
    table, copied = f"{reader.database}.summary", f"{reader.database}.{copy.summary}"
    reader.post(f"CREATE TABLE {copied} AS {table}")
    reader.post(f"INSERT INTO {copied} SELECT * FROM {table} {'' if changes and 'seq' in changes else f'WHERE NOT ({it})'}")
    if changes:
        reader.post(f"INSERT INTO {copied} SELECT {', '.join(changes.get(c, c) for c in all_columns)} FROM {table} WHERE {it}")
    return copy


def prove(lab):
    closed, reader = checker.journals(f"{lab.dir}/journal"), lab.history.reader()
    rows = reader.rows(["agent_id", "seq", "received", "writer", "txn"], "summary")
    one = next(r for r in clickhouse_side.seen(rows, reader.done()) if r["received"] > 1)
    for i, (what, changes) in enumerate(DAMAGE):
        v = checker.Verdict(closed, lab.stored(damaged(reader, i, one, changes)))
        expect(getattr(v, what), f"the checker does not find that a summary is {what}: {v.text()}")


# ---- The scenarios ----


def under(build, seed, controllers, rounds):
    with ClusterLab(build, THREE, seed, controllers=controllers) as lab:
        lab.start_all()
        lab.apply(full(THREE))
        lab.progress("first results")
        run_plan(lab, make_plan(lab.rng, rounds, 1.0 if rounds == 1 else 7.0))
        lab.progress("results after the faults", 90)
        lab.verdict(max_undurable=0)
        lab.told_by_all()
        lab.say(f"{lab.stored().copies} copies of summaries, which are read once")
        prove(lab)


def test_one_after_another(build, seed, n=1):
    """No agent ends, so nothing at all may be missing."""
    under(build, seed, 2 if n == 1 else 3, n)
