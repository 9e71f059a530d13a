"""What did the agents close, what did the controller store? Compares the two without a line of the programs between them.

The one side is the journal that shim.c keeps in each agent: every summary as it is packed, before the program can lose it, and
every commit of the spool with the number of records that became durable by it. The other side is the controller's database
file, read by Python's sqlite3. Summaries are decoded here, by the field numbers in proto/measure.proto; names of fields are names of
columns, by convention of the house.

    lost     durable on the agent's disk, neither stored nor in a gap that the agent counted and reported (without those of what was never closed)
    doubled  stored more often than closed
    altered  stored under the right key with another content
    made up  stored, and never closed by anybody
"""
import collections
import glob
import pathlib
import re
import sqlite3
import statistics
import struct

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto" / "measure.proto"
KEY = ("pair_id", "flow", "start_ns", "seq_first")


# ---- Summaries on the wire ----

def messages():
    """{message: {number: (name, type, repeated)}} of measure.proto."""
    out = {}
    text = re.sub(r"//.*", "", PROTO.read_text())
    for name, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.S):
        out[name] = {int(n): (field, kind, bool(many))
                     for many, kind, field, n in re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body)}
    return out


MESSAGES = messages()


def varint(data, at):
    value = shift = 0
    while True:
        octet = data[at]
        value |= (octet & 127) << shift
        at, shift = at + 1, shift + 7
        if octet < 128:
            return value, at


def decode(data, message):
    """{field: value}; absent fields are absent."""
    out, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        name, kind, many = MESSAGES[message][tag >> 3]
        value, at = varint(data, at)
        if tag & 7 == 2:
            raw, at = data[at:at + value], at + value
            value = decode(raw, kind) if kind in MESSAGES else raw.decode() if kind == "string" else raw
        elif kind == "sint64":
            value = value >> 1 ^ -(value & 1)
        if many:
            out.setdefault(name, []).append(value)
        else:
            out[name] = value
    return out


def flat(summary):
    """As the columns of the database call it."""
    out = {}
    for name, value in summary.items():
        if isinstance(value, dict):
            out.update({f"{name}_{k}": v for k, v in value.items()})
        elif not isinstance(value, list):  # runs have tables of their own
            out[name] = value
    out["clock_remote_known"] = int("clock_remote" in summary)
    out["pair_id"] = signed(out["pair_id"])
    return out


def signed(v):
    return v - (1 << 64) if v >> 63 else v


# ---- The two sides ----

Closed = collections.namedtuple("Closed", "source row runs durable mono_ns")


def journal(path, source):
    """Every summary of one run of an agent. What was being written when it was killed is not there."""
    data, at, closed, durable = pathlib.Path(path).read_bytes(), 0, [], 0
    while at + 16 <= len(data):
        kind, length, mono_ns = struct.unpack_from("=IIq", data, at)
        body, at = data[at + 16:at + 16 + length], at + 16 + length
        if len(body) < length:
            break
        if kind == ord("S"):
            closed.append((body, mono_ns))
        elif kind == ord("K"):
            durable += struct.unpack("=Q", body)[0]
    out = []
    for i, (body, mono_ns) in enumerate(closed):
        m = decode(body, "Summary")
        out.append(Closed(source, flat(m), m.get("runs", []), i < durable, mono_ns))
    return out


def journals(folder):
    """Of every run of every agent: FOLDER/NAME.NUMBER."""
    return [c for path in sorted(glob.glob(f"{folder}/*.*")) for c in journal(path, pathlib.Path(path).name.rpartition(".")[0])]


def counts(folder, which="*.*"):
    """(closed, durable) without decoding anything: cheap enough to be asked all the time."""
    closed = durable = 0
    for path in glob.glob(f"{folder}/{which}"):
        data, at = pathlib.Path(path).read_bytes(), 0
        while at + 16 <= len(data):
            kind, length, _ = struct.unpack_from("=IIq", data, at)
            if at + 16 + length > len(data):
                break
            closed += kind == ord("S")
            durable += struct.unpack_from("=Q", data, at + 16)[0] if kind == ord("K") else 0
            at += 16 + length
    return closed, durable


class Database:
    """What is stored, and what was reported as dropped."""

    def __init__(self, path):
        con = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
        con.row_factory = sqlite3.Row
        con.execute("begin")
        tables = [r[0] for r in con.execute("select name from sqlite_schema where type = 'table'")]
        names = {r["id"]: r for r in con.execute("select * from pair")}
        self.rows, self.runs = [], collections.Counter()
        for t in tables:
            if re.fullmatch(r"summary_\d{8}", t):
                self.rows += [dict(r) for r in con.execute(f"select * from {t}")]
            elif re.fullmatch(r"loss_run_\d{8}", t):
                self.runs.update((r["pair_id"], r["flow"], r["start_ns"], r["probes"]) for r in con.execute(f"select * from {t}"))
        for r in self.rows:
            r["source"], r["target"] = names[r["pair_id"]]["source"], names[r["pair_id"]]["target"]
        self.gaps = collections.Counter()
        for r in con.execute("select source, reason, first_seq, last_seq from gap"):
            self.gaps[r["source"], r["reason"]] += r["last_seq"] - r["first_seq"] + 1
        con.close()


def stored_count(path):
    """(summaries stored, numbers of gaps)"""
    con = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
    con.execute("begin")
    tables = [r[0] for r in con.execute("select name from sqlite_schema where type = 'table' and name glob 'summary_[0-9]*'")]
    rows = sum(con.execute(f"select count(*) from {t}").fetchone()[0] for t in tables)
    gaps = con.execute("select ifnull(sum(last_seq - first_seq + 1), 0) from gap").fetchone()[0]
    con.close()
    return rows, gaps


def never_closed(closed):
    """By source: summaries that a session lost before anybody could pack them: there was no memory, or it stood still and nobody took them."""
    sessions = collections.defaultdict(list)
    for c in closed:
        sessions[c.source, c.row["pair_id"], c.row.get("flow", 0)].append(c)
    lost = collections.Counter()
    for (source, *_), rows in sessions.items():
        lost[source] += lost_between(rows)
    return lost


def lost_between(rows):
    """Of one pair and flow. Periods follow each other by the clock also when nothing is sent, but for clocks that were stepped; there the
    numbers of probes have to tell, which jump by what whole periods send."""
    rows, lost = [c.row for c in sorted(rows, key=lambda c: (c.mono_ns, c.row.get("seq_first", 0)))], 0
    sends = max(1, statistics.median(r.get("sent", 0) for r in rows))
    lasts = max(1, statistics.median(r["end_ns"] - r["start_ns"] for r in rows))
    for r, after in zip(rows, rows[1:]):
        seq, then = r.get("seq_first", 0) + r.get("sent", 0), after.get("seq_first", 0)
        if not then or then < seq:
            continue  # a new session begins with 0
        stepped = r.get("clock_steps", 0) or after.get("clock_steps", 0)
        lost += max(0, round((then - seq) / sends if stepped else (after["start_ns"] - r["end_ns"]) / lasts))
    return lost


# ---- The comparison ----

def key(source, row):
    return (source, *(row.get(k, 0) for k in KEY))


def differences(row, closed):
    """Columns in which a stored row is not what was closed."""
    blobs = ("delay_forward", "delay_backward", "delay_roundtrip", "send_lateness")
    ours = {"source", "target", "unavailable", "digest"}  # of pairs, a list in an encoding of its own, the store's own
    return [c for c, v in row.items() if c not in ours and v != closed.get(c, None if c in blobs else 0)
            and not (c in blobs and not v and not closed.get(c))]


class Verdict:
    def __init__(self, closed, db):
        holes = never_closed(closed)
        self.never_closed = sum(holes.values())
        self.closed, self.durable = len(closed), sum(c.durable for c in closed)
        self.stored, self.gaps = len(db.rows), db.gaps
        self.lost, self.doubled, self.altered, self.made_up, self.undurable = [], [], [], [], []
        self.dropped = collections.Counter()  # durable, not stored: by source
        by_key = collections.defaultdict(list)
        for r in db.rows:
            by_key[key(r["source"], r)].append(r)
        wanted = collections.defaultdict(list)
        for c in closed:
            wanted[key(c.source, c.row)].append(c)
        for k in by_key.keys() - wanted.keys():
            self.made_up += [k] * len(by_key[k])
        for k, cs in wanted.items():
            self.compare(k, cs, by_key.get(k, []))
        self.missing_runs = [r for c in closed if by_key.get(key(c.source, c.row)) for r in c.runs
                             if not db.runs[c.row["pair_id"], c.row.get("flow", 0), r["start_ns"], r["probes"]]]
        for source, n in self.dropped.items():
            counted = sum(v for (s, _), v in db.gaps.items() if s == source) - holes[source]
            if counted < n:
                self.lost.append(f"{source}: {n} durable summaries are not stored, {counted} are counted as dropped")

    def compare(self, k, cs, rows):
        if len(rows) > len(cs):
            self.doubled.append(f"{k}: stored {len(rows)} times, closed {len(cs)} times")
        left = list(cs)
        for r in rows:
            same = next((c for c in left if not differences(r, c.row)), None)
            if same:
                left.remove(same)
            elif left:
                self.altered.append(f"{k}: {differences(r, left[0].row)[:6]}")
                left.pop(0)
        self.dropped[k[0]] += sum(c.durable for c in left)
        self.undurable += [c for c in left if not c.durable]

    def good(self):
        return not (self.lost or self.doubled or self.altered or self.made_up or self.missing_runs)

    def exact(self):
        """What was dropped is what was counted, to the last one."""
        return self.good() and sum(self.gaps.values()) == sum(self.dropped.values()) + self.never_closed

    def text(self):
        wrong = [f"{what}: {len(v)}, as {v[0]}" for what, v in [("lost", self.lost), ("doubled", self.doubled),
                 ("altered", self.altered), ("made up", self.made_up), ("loss runs missing", self.missing_runs)] if v]
        return (f"closed {self.closed}, durable {self.durable}, stored {self.stored}, dropped {sum(self.dropped.values())}, "
                f"lost before they were closed {self.never_closed}, counted {sum(self.gaps.values())}, not durable when killed {len(self.undurable)}; " + ("; ".join(wrong) or "nothing wrong"))


def check(folder, db, apart=()):
    """db: a Database, or who has the same of another one."""
    db.rows = [r for r in db.rows if r["pair_id"] not in apart]
    return Verdict(journals(folder), db)
