"""Files that are no longer what was written: found, said in one line, never taken for the truth; and what was lost is brought again."""
import glob
import hashlib
import os
import pathlib
import sqlite3

import checker
from lab import expect, wait
from meshes import full
from rig import ChaosLab

TWO = ["a1", "a2"]


def whole(path):
    """Everything is in the one file, as after a checkpoint."""
    con = sqlite3.connect(path)
    con.execute("pragma wal_checkpoint(truncate)")
    con.close()
    for end in ("-wal", "-shm"):
        pathlib.Path(path + end).unlink(missing_ok=True)


def flip(path, at, length=1):
    with open(path, "r+b") as f:
        f.seek(at)
        was = f.read(length)
        f.seek(at)
        f.write(bytes(b ^ 0x5a for b in was))


def place_of(path, octets, skip=0):
    """Where these octets are in the file; the value that they are of is in one piece."""
    data = pathlib.Path(path).read_bytes()
    at = data.find(octets)
    expect(at >= 0, f"what was written is not in {path}")
    return at + skip


def page_of(path, table, rng):
    """A page of a table's tree."""
    con = sqlite3.connect(path)
    root = con.execute("select rootpage from sqlite_schema where name = ?", (table,)).fetchone()[0]
    size = con.execute("pragma page_size").fetchone()[0]
    con.close()
    return (root - 1) * size, size


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def refuses(lab, who, path, *words):
    """It does not start, says why in one line, and leaves the file alone."""
    before, said = digest(path), os.path.getsize(lab.process(who).log)
    lab.ready = lambda: True  # nothing to wait for
    lab.start_again(who)
    del lab.ready
    code = wait(f"{who} to refuse", lambda: None if lab.process(who).alive() else (lab.process(who).popen.returncode,), 20)[0]
    with open(lab.process(who).log, errors="replace") as f:
        f.seek(said)
        lines = [x for x in f if not x.startswith("time=")]
    expect(code == 1 and len(lines) == 1, f"{who}: exit {code}: {lines}")
    for w in words:
        expect(w in lines[0], f"{w!r} is not in: {lines[0]}")
    expect(digest(path) == before, f"{who} changed {path}")
    lab.say(f"{who} refuses: {lines[0].strip()[-150:]}")


def move_away(path):
    for f in glob.glob(path + "*"):
        if not f.endswith(".lock"):
            os.rename(f, f + ".damaged")


def raw_of(lab, who, n):
    """What that agent closed last but n, as it was packed, and long enough not to be there twice."""
    data, at, last = pathlib.Path(f"{lab.dir}/journal/{who}.{lab.runs[who]:04d}").read_bytes(), 0, []
    while at + 16 <= len(data):
        kind, length = data[at], int.from_bytes(data[at + 4:at + 8], "little")
        if kind == ord("S"):
            last.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return last[-1 - n]


def test_spool(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        # An altered record: it has not been delivered yet, and is given up, told and counted. So is the schedule that is kept.
        lab.controller.kill()
        before = checker.counts(f"{lab.dir}/journal")[1]
        wait("a backlog", lambda: checker.counts(f"{lab.dir}/journal")[1] >= before + 24, 30)
        lab.agents["a1"].kill()
        spool = f"{lab.data('a1')}/spool.db"
        whole(spool)
        record = raw_of(lab, "a1", 4)
        flip(spool, place_of(spool, record, lab.rng.randrange(len(record))))
        con = sqlite3.connect(spool)
        schedule = con.execute("select data from value where key = 'schedule'").fetchone()[0]
        con.close()
        whole(spool)
        flip(spool, place_of(spool, schedule, len(schedule) // 2))
        lab.say("a record and the kept schedule are altered in the spool of a1")
        lab.start_agent("a1")
        wait("the schedule to be refused", lambda: lab.agents["a1"].said("the kept schedule cannot be used"), 20)
        lab.start_controller()
        wait("the damage to be told", lambda: lab.agents["a1"].said("a record of the spool is damaged"), 45)
        lab.progress("results after the damage", 60)
        # A page that is none, a file that is cut off.
        for what in ("a page", "the end"):
            lab.ctl("schedule", "delete", "lab")
            wait("all to be delivered", lab.at_rest, 45)
            lab.agents["a1"].kill()
            whole(spool)
            at, size = page_of(spool, "record", lab.rng)
            if what == "a page":
                flip(spool, at, 16)
            else:
                os.truncate(spool, os.path.getsize(spool) // size // 2 * size)
            refuses(lab, "a1", spool, "spool.db", "damaged")
            move_away(spool)
            lab.start_agent("a1")
            lab.apply(full(TWO))
            lab.progress(f"results after {what} was damaged", 60)
        v = lab.verdict()
        expect(v.gaps["a1", "spool_corrupt"] == 1, f"a damaged record is not counted: {v.gaps}")


def test_database(build, seed):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        lab.progress("more")
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        whole(lab.database)
        good = pathlib.Path(lab.database).read_bytes()
        # A value in a row: the page is one, the row is not what was written.
        con = sqlite3.connect(lab.database)
        table = con.execute("select max(name) from sqlite_schema where type = 'table' and name glob 'summary_[0-9]*'").fetchone()[0]
        rows = con.execute(f"select delay_roundtrip, pair_id from {table} where length(delay_roundtrip) > 8 order by rowid").fetchall()
        con.close()
        blob, pair = next(r for r in rows[3:] if good.count(r[0]) == 1)  # a cell of this one alone would have the same
        flip(lab.database, place_of(lab.database, blob, len(blob) - 1))
        lab.start_controller()
        status, body = lab.http("/api/v1/summaries?limit=100000&from=-1d", check=False)
        expect(status >= 500 and "damaged row" in body and str(pair) in body, f"an altered row: {status}: {body[:300]}")
        code, out, err = lab.ctl_run("-o", "json", "db", "check")
        expect(code != 0 and "damaged row" in out + err, f"db check: exit {code}: {out} {err}")
        lab.say("an altered row is refused by the API and found by db check")
        expect(lab.controller.stop() == 0, "the controller did not end cleanly")
        # A page that is none: refused. Then a new database, which the agents fill again.
        pathlib.Path(lab.database).write_bytes(good)
        at, _ = page_of(lab.database, table, lab.rng)
        flip(lab.database, at, 16)
        refuses(lab, "controller", lab.database, "controller.db", "damaged")
        move_away(lab.database)
        lab.start_controller()
        wait("the agents to come back", lambda: len(lab.agent_list()) == 2, 45)
        for name in TWO:
            lab.ctl("agent", "approve", name)
        wait("the agents to be up", lambda: all(a["state"] == "up" for a in lab.agent_list()), 45)
        lab.apply(full(TWO))
        lab.progress("results in the new database", 60)
        lab.verdict()  # all of it, also what only the first database had
