#!/usr/bin/env python3
"""The sizing tables of docs/operations.md, computed from what the benchmarks have measured (docs/benchmarks.md). usage: tests/bench/sizing.py [--write]

Each figure names the benchmark that it is from, and must stand in docs/benchmarks.md as it stands here: whoever measures anew changes both."""
import os
import sys

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS, BENCHMARKS = f"{top}/docs/operations.md", f"{top}/docs/benchmarks.md"
BEGIN, END = "<!-- begin: tests/bench/sizing.py -->\n", "<!-- end -->"

# what was measured, and the words of docs/benchmarks.md that say so
MEASURED = {
    "cpu_of_summary_us": (113, "the controller took 113 us of CPU for each"),  # bench_fleet --live
    "live_pair_kb": (4.2, "peaked at 4.2 GB, 4.2 kB a pair"),  # bench_fleet --live
    "agents_1000_mb": (34, "agents connect and enrol                           2929        760         34"),  # bench_fleet
    "agents_5000_mb": (116, "agents connect and enrol                          24871       9164        116"),
    "summaries": (13151000, "13151000 summaries and 6850840 cells"),  # bench_history: rows and what they take
    "cells": (6850840, "13151000 summaries and 6850840 cells"),
    "month_gb": (9.3, "in 2016 s, 9.3 GB"),
    "stored_per_s": (9973, "written meanwhile                                  9973 summaries/s"),  # bench_history, beside readers
    "probe_us": (44.42, "      10     19991      44.42"),  # bench_sessions cost
    "session_octets": (4346, "sessions, worst moment              38894        42444       3983       4346"),  # bench_sessions memory
    "idle_agent_mb": (9.6, "idle agent: RSS 9.6 MB"),  # bench_sessions idle
}
V = {name: value for name, (value, _) in MEASURED.items()}
ROW_OCTETS = V["month_gb"] * 1e9 / (V["summaries"] + V["cells"])
AGENT_KB = (V["agents_5000_mb"] - V["agents_1000_mb"]) * 1e3 / 4000
BASE_MB = V["agents_1000_mb"] - AGENT_KB
LEVELS = ((60, 30), (600, 90), (3600, 730), (86400, 3650))  # --keep-1min and so on: seconds of a cell, days kept
RAW_DAYS = 7
FLEETS = (("10, full mesh", 10, 90, 10), ("50, full mesh", 50, 2450, 60), ("200, full mesh", 200, 39800, 60), ("1,000, 20 neighbours each", 1000, 20000, 60),
          ("5,000, 20 neighbours each", 5000, 100000, 300), ("1,000, full mesh", 1000, 999000, 600))
AGENTS = ((100, 1000), (1000, 1000), (1000, 200), (10000, 1000), (10000, 200))  # sessions, ms between probes


def size(octets):
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}"
    return f"{octets / 1e6:.0f} MB"


def disk(pairs, period):
    rows = pairs * 86400 / period * RAW_DAYS
    cells = sum(pairs * 86400 / length * days for length, days in LEVELS if length > period)
    return rows * ROW_OCTETS, cells * ROW_OCTETS


def made():
    out = ["| agents | pairs | `report_period` | summaries/s | CPU of the controller | memory | disk for 7 days of summaries | for all cells, after ten years |",
           "|---|---|---|---|---|---|---|---|"]
    for name, agents, pairs, period in FLEETS:
        rate = pairs / period
        raw, cells = disk(pairs, period)
        memory = BASE_MB * 1e6 + agents * AGENT_KB * 1e3 + pairs * V["live_pair_kb"] * 1e3
        out.append(f"| {name} | {pairs:,} | {period} s | {rate:,.0f} | {100 * rate * V['cpu_of_summary_us'] / 1e6:.1f} % of one | {size(memory)} | "
                   f"{size(raw)} | {size(cells)} |")
    out += ["", "| sessions of an agent | a probe each | probes/s | CPU of its worker | memory |", "|---|---|---|---|---|"]
    for sessions, spacing in AGENTS:
        rate = sessions * 1000 / spacing
        cpu = 100 * rate * V["probe_us"] / 1e6
        out.append(f"| {sessions:,} | {spacing} ms | {rate:,.0f} | {cpu:.1f} %{' (more than one: --workers)' if cpu > 100 else ''} | "
                   f"{size(V['idle_agent_mb'] * 1e6 + sessions * V['session_octets'])} |")
    return "\n".join(out) + "\n"


def main():
    with open(BENCHMARKS, encoding="utf-8") as f:
        benchmarks = f.read()
    stale = [f"{name}: docs/benchmarks.md does not say \"{words}\"" for name, (_, words) in MEASURED.items() if words not in benchmarks]
    with open(DOCS, encoding="utf-8") as f:
        text = f.read()
    head, rest = text.split(BEGIN)
    new = head + BEGIN + made() + END + rest.split(END, 1)[1]
    if "--write" in sys.argv:
        with open(DOCS, "w", encoding="utf-8") as f:
            f.write(new)
    elif new != text:
        stale.append("the tables of docs/operations.md are not what tests/bench/sizing.py computes: --write")
    print("\n".join(stale))
    return 1 if stale else 0


sys.exit(main())
