"""Is the checker able to fail? Damages copies of a good database in each of the ways that it is to find, and one counter."""
import collections
import re
import shutil
import sqlite3

import checker
from lab import expect

# what is done to the table of summaries t, what it must be found to be
DAMAGE = [
    ("delete from {t} where rowid = (select min(rowid) from {t})", "lost"),
    ("insert into {t} select * from {t} where rowid = (select min(rowid) from {t})", "doubled"),
    ("update {t} set received = received + 1, sent = sent + 1 where rowid = (select max(rowid) from {t})", "altered"),
    ("update {t} set delay_roundtrip = zeroblob(length(delay_roundtrip)) where rowid = "
     "(select max(rowid) from {t} where delay_roundtrip is not null)", "altered"),
    ("update {t} set start_ns = start_ns + 1 where rowid = (select max(rowid) from {t})", "made_up"),
]


def prove_holes(closed):
    """A summary that a session did not keep, between others of its session."""
    sessions = collections.defaultdict(list)
    for c in closed:
        sessions[c.source, c.row["pair_id"], c.row.get("flow", 0)].append(c)
    rows = max(sessions.values(), key=len)
    first = [c.row.get("seq_first", 0) for c in rows]
    inner = [b for i, (a, b, c) in enumerate(zip(rows, rows[1:], rows[2:])) if 0 < first[i] < first[i + 1] < first[i + 2]
             and a.row["end_ns"] == b.row["start_ns"] and b.row["end_ns"] == c.row["start_ns"]]
    expect(inner, "no session has three summaries in a row")
    before, after = (sum(checker.never_closed(some).values()) for some in (closed, [c for c in closed if c is not inner[0]]))
    expect(after == before + 1, f"the checker does not find that a summary was never closed: {before}, then {after}")


def prove(lab):
    closed = checker.journals(f"{lab.dir}/journal")
    for i, (sql, what) in enumerate(DAMAGE):
        copy = f"{lab.dir}/damaged-{i}.db"
        source, target = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True), sqlite3.connect(copy)
        source.backup(target)
        tables = [n for (n,) in target.execute("select name from sqlite_schema where type = 'table'") if re.fullmatch(r"summary_\d{8}", n)]
        target.execute(sql.format(t=max(tables)))
        target.commit()
        target.close()
        source.close()
        v = checker.Verdict(closed, checker.Database(copy))
        expect(getattr(v, what), f"the checker does not find that a summary is {what}: {v.text()}")
    prove_holes(closed)
    one_less = shutil.copy(copy, f"{lab.dir}/counted.db")
    con = sqlite3.connect(one_less)
    con.execute("insert into gap (source, spool_id, first_seq, last_seq, reason, received_ns) values (?, x'00', 1, 1, 'spool_full', 1)", (lab.names[0],))
    con.commit()
    con.close()
    expect(not checker.Verdict(closed, checker.Database(one_less)).exact(), "the checker takes a count that is too high")
