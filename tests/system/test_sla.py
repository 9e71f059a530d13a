"""Objectives of a span that is over: the same answer, octet for octet, whatever is changed afterwards."""
import time

from lab import Lab, expect, wait

MESH = """mesh: lab
topology: full
members: [a1, a2]
classes:
  c: {{ spacing: 100ms, size: 100, timeout: 200ms, report_period: {period} }}
{more}"""
MAINTENANCE = """maintenance:
  - { from: "2026-01-01 00:00", to: "2027-12-01 00:00", reason: all of it }
"""


def answers(lab, since, until):
    """In every form."""
    span = ["--from", str(since), "--to", str(until), "--availability", "99%", "--loss", "1%", "--p99", "50ms"]
    out = {form: lab.ctl("-o", form, "report", "sla", *span) for form in ("json", "csv")}
    out["http"] = lab.http(f"/api/v1/report/sla?from={since}&to={until}&objectives=%7Bavailability%3A%2099%25%7D")[1]
    return out


def test_the_past_stays_as_it_was(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(MESH.format(period="1s", more=""))
        wait("results", lambda: len(lab.results()) > 4)
        since = int(time.time())
        lab.ctl("agent", "maintenance", "a1", "--to", "+3s", "--reason", "new kernel")
        until = since + 9
        wait("the span to be over, and stored", lambda: sum(r["start_ns"] >= (until + 1) * 10**9 for r in lab.results()) >= 2, 30)
        first = answers(lab, since, until)
        expect('"excluded"' in first["http"] and lab.json("report", "sla", "--from", str(since), "--to", str(until), "--availability", "99%"),
               f"nothing is excluded: {first['http'][:800]}")

        def same(after):
            now = answers(lab, since, until)
            for form in first:
                expect(now[form] == first[form], f"after {after} the {form} differs:\n{first[form]}\n{now[form]}")

        same("nothing")
        lab.apply(MESH.format(period="2s", more=MAINTENANCE))
        same("another document, with maintenance")
        lab.ctl("agent", "maintenance", "a2", "--to", "+1h", "--reason", "later")
        same("maintenance of an agent that begins now")
        lab.ctl("agent", "label", "a1", "site=elsewhere")
        lab.ctl("schedule", "pause", "lab")
        same("another label, and a pause")
        lab.controller.stop()
        lab.start_controller()
        same("a restart")
        lab.ctl("agent", "drain", "a2", "--reason", "gone")
        same("a drain")
        lab.ctl("agent", "maintenance", "a1", "--from", str(since - 60), "--to", "+1h", "--reason", "said too late")
        same("maintenance of the past that is said afterwards")
        lab.ctl("agent", "maintenance", "a1", "--end")
        same("the end of all maintenance")
        lab.ctl("schedule", "delete", "lab", "--yes")
        lab.agents["a1"].stop()
        lab.ctl("agent", "remove", "a1", "--yes")
        same("the agent's removal")
