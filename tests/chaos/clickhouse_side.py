"""The side of the controller when its history is on ClickHouse and its control state in etcd: what is stored, read over HTTP by statements of our own.

What is stored is told by docs/scaling.md: each row has the commit that it came by (writer, txn); rows of `cursor` with agent 0 say which commits are done, and others are seen
by nobody. A summary of an agent's spool may have come by several commits, as when the agent changed controllers: that is one, if all copies say the same."""
import collections
import json
import urllib.parse

OURS = ("agent_id", "spool_id", "seq", "received_ns", "txn", "writer", "nr")


class Reader:
    """ask(url, *arguments of curl) -> what it says: somebody who can get at the server. summary: the table of summaries."""

    def __init__(self, ask, url, database, summary="summary"):
        self.ask, self.url, self.database, self.summary = ask, url, database, summary
        self.known = {}

    def types(self, table):
        """{column: type}"""
        if table not in self.known:
            self.known[table] = dict(line.split("\t") for line in self.query(
                f"SELECT name, type FROM system.columns WHERE database = '{self.database}' AND table = '{table}' FORMAT TabSeparated").splitlines())
        return self.known[table]

    def rows(self, columns, table, where=""):
        """[{column: value}]: texts as octets, numbers as int."""
        types = self.types(table)
        names = list(columns or types)
        texts = [n for n in names if not types[n].startswith(("Int", "UInt"))]
        select = ", ".join(f"hex({n}) AS h_{n}" if n in texts else n for n in names)
        out = self.query(f"SELECT {select} FROM {self.database}.{table} {where} FORMAT TabSeparated")
        return [{n: bytes.fromhex(v) if n in texts else int(v) for n, v in zip(names, line.split("\t"))} for line in out.splitlines()]

    def query(self, statement):
        return self.ask(f"{self.url}/?query={urllib.parse.quote(statement)}")

    def post(self, statement):
        """One that changes something."""
        self.ask(self.url, "--data-binary", statement)

    def done(self):
        """[(writer, first, last)]: commits that are done."""
        return sorted({(r["writer"], r["first_seq"], r["last_seq"]) for r in self.rows(["writer", "first_seq", "last_seq"], "cursor", "WHERE agent_id = 0")})


def seen(rows, done):
    """Those of commits that are done."""
    by_writer = collections.defaultdict(list)
    for writer, first, last in done:
        by_writer[writer].append((first, last))
    return [r for r in rows if any(a <= r["txn"] <= b for a, b in by_writer[r["writer"]])]


class Stored:
    """As checker.Database. names: {agent's number: name}; pairs: {pair_id: (source, target)}."""

    def __init__(self, reader, names, pairs):
        done = reader.done()  # before what they have: a commit that is done meanwhile is not looked at
        copies = collections.defaultdict(list)
        for r in seen(reader.rows(None, reader.summary), done):
            copies[r["agent_id"], r["spool_id"], r["seq"]].append({k: v for k, v in r.items() if k not in OURS})
        self.copies = sum(len(mine) - 1 for mine in copies.values())  # also those of one commit, which a merge has not put together yet
        self.differ = [k for k, mine in copies.items() if any(r != mine[0] for r in mine)]
        self.rows = [mine[0] for mine in copies.values()]
        for r in self.rows:
            r["source"], r["target"] = pairs[r["pair_id"]]
        runs = {(r["pair_id"], r["flow"], r["start_ns"], r["seq_first"]): r["probes"] for r in seen(reader.rows(None, "loss_run"), done)}
        self.runs = collections.Counter((pair, flow, start, probes) for (pair, flow, start, _), probes in runs.items())
        gaps = {(r["agent_id"], r["spool_id"], r["first_seq"], r["last_seq"]): r["reason"].decode() for r in seen(reader.rows(None, "gap"), done)}
        self.gaps = collections.Counter()
        for (agent, _, first, last), reason in gaps.items():
            self.gaps[names[agent], reason] += last - first + 1


def stored_count(reader):
    """(summaries stored, numbers of gaps), without reading what is in them."""
    done = reader.done()
    keys = seen(reader.rows(["agent_id", "spool_id", "seq", "writer", "txn"], reader.summary), done)
    gaps = seen(reader.rows(["agent_id", "spool_id", "first_seq", "last_seq", "writer", "txn"], "gap"), done)
    spans = {(g["agent_id"], g["spool_id"], g["first_seq"], g["last_seq"]) for g in gaps}
    return len({(k["agent_id"], k["spool_id"], k["seq"]) for k in keys}), sum(last - first + 1 for *_, first, last in spans)


def agents(text):
    """{number: name} from what `etcdctl get --prefix /twampmesh/CLUSTER/agent/ --print-value-only` prints."""
    rows = [json.loads(line) for line in text.splitlines() if line]
    return {r["id"]: r["name"] for r in rows}
