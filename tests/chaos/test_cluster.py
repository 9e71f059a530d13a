"""Several controllers, etcd of three members, ClickHouse: one part after another dies, stands still or is cut off under a fleet that measures, or two at once, by a plan
that follows from the seed."""
import checker
import clickhouse_side
from cluster_kinds import KINDS, REPLICAS, make_plan, run_plan
from cluster_rig import ClusterLab, Two
from lab import expect
from meshes import full

THREE = ["a1", "a2", "a3"]

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
    closed, reader = checker.journals(f"{lab.dir}/journal"), lab.history.readers()[0]
    rows = reader.rows(["agent_id", "seq", "received", "writer", "txn"], "summary")
    one = next(r for r in clickhouse_side.seen(rows, reader.done()) if r["received"] > 1)
    for i, (what, changes) in enumerate(DAMAGE):
        v = checker.Verdict(closed, lab.stored(damaged(reader, i, one, changes)))
        expect(getattr(v, what), f"the checker does not find that a summary is {what}: {v.text()}")


# ---- The scenarios ----


def under(lab, table, rounds, at_once):
    """No agent ends, so nothing at all may be missing."""
    lab.start_all()
    lab.apply(full(THREE))
    lab.progress("first results")
    run_plan(lab, make_plan(lab.rng, table, rounds, 1.0 if rounds == 1 else 7.0, at_once))
    lab.progress("results after the faults", 90)
    lab.verdict(max_undurable=0)
    lab.told_by_all()
    lab.say(f"{lab.stored().copies} copies of summaries, which are read once")


def test_one_after_another(build, seed, n=1):
    with ClusterLab(build, THREE, seed, controllers=2 if n == 1 else 3) as lab:
        under(lab, KINDS, n, 1)
        prove(lab)


def test_two_at_once(build, seed, n=1):
    """With replicas of the history."""
    with ClusterLab(build, THREE, seed, controllers=2 if n == 1 else 3, history=Two) as lab:
        under(lab, KINDS + REPLICAS, n, 2)
