"""What must be said of a session, worked out from the relay's record alone: numbers of probes, answers and their order."""
from lab import expect


class Probe:
    def __init__(self, seq, arrival_ns):
        self.seq, self.arrival_ns = seq, arrival_ns
        self.reached = self.received = self.answered = False
        self.number = None  # the reflector's, of the first answer
        self.way_known = False  # by then the numbers had shown that they are the reflector's own


class Truth:
    """Of one session from one port to another; sport: its UDP source port, where there is more than one session."""

    def __init__(self, rows, timeout_ns, source="a", target="b", sport=None):
        self.timeout_ns = timeout_ns
        out = [r for r in rows if (getattr(r, "from"), r.to) == (source, target) and sport in (None, r.sport)]
        back = [r for r in rows if (getattr(r, "from"), r.to) == (target, source) and sport in (None, r.dport)]
        expect(not [r for r in out + back if r.fate in ("held", "failed")], "the relay was stopped with packets on their way")
        self.out, self.back = out, back
        self.probes = {r.seq: Probe(r.seq, r.arrival_ns) for r in out if r.fate != "copy"}
        self.follow_out()
        self.follow_back()

    def follow_out(self):
        """The reflector has answered each copy that reached it, in order, with its own number."""
        for r in self.out:
            self.probes[r.seq].reached |= r.departure_ns > 0
        copies = sorted((r for r in self.out if r.departure_ns), key=lambda r: r.departure_ns)
        answers = sorted((r for r in self.back if r.fate != "copy"), key=lambda r: r.arrival_ns)
        expect([(r.seq, n) for n, r in enumerate(copies)] == [(r.seq24, r.seq) for r in answers],
               f"{len(copies)} probes reached the reflector, but its {len(answers)} answers are others")

    def follow_back(self):
        """What the sender saw of the answers, in order of their arrival."""
        self.order, self.late, self.duplicates_forward, self.duplicates_backward = [], 0, 0, 0
        numbers, stateful = set(), False
        for r in sorted((r for r in self.back if r.departure_ns), key=lambda r: r.departure_ns):
            p, age = self.probes[r.seq24], r.departure_ns - self.probes[r.seq24].arrival_ns
            stateful |= r.seq != r.seq24
            if p.answered:
                self.duplicates_backward += r.seq in numbers
                self.duplicates_forward += r.seq not in numbers
            elif age < self.timeout_ns:
                p.received, p.number, p.way_known = True, r.seq, stateful
                self.order.append(p)
            else:
                self.late += 1
            expect(p.answered or abs(age - self.timeout_ns) > 5e6,
                   f"probe {p.seq} was answered after {age / 1e6:.3f} ms: near the timeout nobody can tell")
            p.answered = True
            numbers.add(r.seq)

    def counts(self):
        """The numbers of a result, by their names in JSON."""
        probes = [self.probes[seq] for seq in sorted(self.probes)]
        lost = [p for p in probes if not p.received]
        n = {"sent": len(probes), "received": len(probes) - len(lost), "lost": len(lost), "late": self.late,
             "duplicates": self.duplicates_forward + self.duplicates_backward,
             "lost_forward": sum(not p.reached for p in lost), "lost_backward": sum(p.reached for p in lost), "lost_unknown": 0}
        n.update(self.reordered(probes))
        runs = self.runs()
        n["loss_runs"], n["loss_run_longest"] = len(runs), max((len(r) for r in runs), default=0)
        return n

    def reordered(self, probes):
        """RFC 4737: overtaken by one with a higher number, on the way out, back, and both."""
        n = {"reordered_forward": 0, "reordered_backward": 0, "reordered_roundtrip": 0}
        highest_seq, highest_number, lowest_later = -1, -1, None
        for p in self.order:
            n["reordered_roundtrip"] += p.seq < highest_seq
            n["reordered_backward"] += p.way_known and p.number < highest_number
            highest_seq, highest_number = max(highest_seq, p.seq), max(highest_number, p.number)
        for p in reversed([p for p in probes if p.received]):
            n["reordered_forward"] += lowest_later is not None and lowest_later < p.number
            lowest_later = p.number if lowest_later is None else min(lowest_later, p.number)
        return n

    def runs(self):
        """Lists of probes lost in a row."""
        runs, run = [], []
        for seq in sorted(self.probes):
            if not self.probes[seq].received:
                run.append(self.probes[seq])
            elif run:
                runs.append(run)
                run = []
        return runs + ([run] if run else [])

    def lost_at_end(self):
        return not self.probes[max(self.probes)].received


def compare(said, truth, but=()):
    """A result against the numbers that the truth has; `but`: names that this case cannot know."""
    wrong = [f"{k} is {said[k]}, truth {v}" for k, v in truth.items() if k not in but and said[k] != v]
    expect(not wrong, "; ".join(wrong) + f" (all: {truth})")


class Errors:
    """How much longer the tool's delays are than the time that the relay had the packets: ns, sorted, by direction."""

    def __init__(self, packets, rows, source="a", target="b"):
        out = {r.seq: r for r in rows if getattr(r, "from") == source and r.fate == "sent"}
        back = {(r.seq24, r.seq): r for r in rows if getattr(r, "from") == target and r.fate == "sent"}
        self.of = {"forward": [], "backward": [], "roundtrip": []}
        for p in packets:
            if p["kind"] != "received" or p["delay_roundtrip_seconds"] is None:
                continue
            f, b = out[p["seq"]], back[p["seq"], p["reflector_seq"]]
            forward, backward = p["delay_forward_seconds"] * 1e9 - f.delay_ns, p["delay_backward_seconds"] * 1e9 - b.delay_ns
            for k, v in (("forward", forward), ("backward", backward), ("roundtrip", forward + backward)):
                self.of[k].append(v)
        for v in self.of.values():
            v.sort()

    def at(self, direction, percent):
        v = self.of[direction]
        return v[min(len(v) * percent // 100, len(v) - 1)]

    def worst(self, percent):
        return max(self.at(d, percent) for d in self.of)

    def text(self):
        return "; ".join(f"{d} p5 {self.at(d, 5) / 1e3:.1f} p50 {self.at(d, 50) / 1e3:.1f} p95 {self.at(d, 95) / 1e3:.1f} us"
                         for d in self.of)
