"""Every number is the same wherever it is read: twampctl's tables, JSON, CSV and NDJSON, the HTTP API in JSON, CSV, NDJSON and HTML, and
the metrics, of the same pair and report period."""
import csv
import html
import io
import json
import re
import time

from lab import Lab, expect, wait
from meshes import full

S = 10**9
# A quarter of the probes is lost on the way out, by their number.
DROP = """
table inet quarter {
  chain in {
    type filter hook prerouting priority -10
    udp dport 862 ip saddr %s @th,64,32 & 3 == 1 drop
  }
}"""

# Our name of a number, and the metric that has it: name and labels of its own.
METRICS = {
    "loss_ratio": ("loss_ratio", 'direction="roundtrip"'),
    "loss_forward_ratio": ("loss_ratio", 'direction="forward"'),
    "loss_backward_ratio": ("loss_ratio", 'direction="backward"'),
    "loss_unknown_ratio": ("loss_ratio", 'direction="unknown"'),
    "availability_ratio": ("availability_ratio", ""),
    "ttl_forward_min": ("ttl", 'direction="forward"'),
    "ttl_backward_min": ("ttl", 'direction="backward"'),
    "tos_sent": ("tos", 'direction="sent"'),
    "one_way_valid": ("one_way_valid", ""),
}
for way in ("forward", "backward", "roundtrip"):
    METRICS[f"delay_{way}_min_seconds"] = ("delay_min_seconds", f'direction="{way}"')
    METRICS[f"delay_{way}_jitter_rfc3550_seconds"] = ("jitter_seconds", f'direction="{way}"')
    for q in (50, 95, 99):
        METRICS[f"delay_{way}_p{q}_seconds"] = ("delay_quantile_seconds", f'direction="{way}",quantile="{q / 100:g}"')

# Columns of the wide table, in its order, and what is in them; None: no number of the report period.
COLUMNS = {
    "SENT": "sent", "LOSS": "loss_ratio", "FWD": "loss_forward_ratio", "BWD": "loss_backward_ratio", "UNKN": "loss_unknown_ratio",
    "RTT P50": "delay_roundtrip_p50_seconds", "P95": "delay_roundtrip_p95_seconds", "P99": "delay_roundtrip_p99_seconds",
    "FWD P50": "delay_forward_p50_seconds", "BWD P50": "delay_backward_p50_seconds", "JIT FWD": "delay_forward_jitter_rfc3550_seconds",
    "JIT BWD": "delay_backward_jitter_rfc3550_seconds", "JIT RTT": "delay_roundtrip_jitter_rfc3550_seconds",
    "COMPLETE": "completeness_ratio", "AVAIL": "availability_ratio", "LATE P99": "send_lateness_p99_seconds", "DUP": "duplicates",
    "LONGEST LOSS": "loss_run_longest_seconds", "RTT MIN": "delay_roundtrip_min_seconds", "MAX": "delay_roundtrip_max_seconds",
}
PAGE = {
    "Sent": "sent", "Loss": "loss_ratio", "forward": "loss_forward_ratio", "backward": "loss_backward_ratio",
    "unknown": "loss_unknown_ratio", "RTT p50": "delay_roundtrip_p50_seconds", "p95": "delay_roundtrip_p95_seconds",
    "p99": "delay_roundtrip_p99_seconds", "Jitter": "delay_roundtrip_jitter_rfc3550_seconds", "Available": "availability_ratio",
    "Loss runs": "loss_runs", "Longest": "loss_run_longest_seconds", "Complete": "completeness_ratio", "MOS G.711": "mos_g711",
}
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "%": 1e-2, "": 1}


def as_iso(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // S))


def check_shown(where, name, text, value):
    """What people see: to half a unit of its last digit."""
    m = re.fullmatch(r"(-?[0-9.]+)\s*(us|ms|s|%|)[?!]*", text.strip())
    expect(m, f"{where}: {name} is \"{text}\"")
    unit = UNITS[m[2]]
    half = 0.5 * unit * 10.0 ** -len(m[1].partition(".")[2])
    expect(abs(float(m[1]) * unit - value) <= half * 1.001, f"{where}: {name} is {text}, expected {value}")


def number(text):
    return None if text == "" else {"true": 1.0, "false": 0.0}[text] if text in ("true", "false") else float(text)


def check_exact(where, row, truth, names):
    for name in names:
        got, want = row[name], truth[name]
        if isinstance(got, str):
            got = number(got)
        same = got == want if got is None or want is None else abs(float(got) - float(want)) <= 1e-9 * abs(float(want))
        expect(same, f"{where}: {name} is {got}, expected {want}")


def numbers_of(row):
    return [k for k, v in row.items() if isinstance(v, (int, float, type(None))) and not k.endswith(("_ns", "pair_id"))]


def check_table(text, truth):
    """A wide table: its columns stand under their titles."""
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("MESH/CLASS"))
    titles, cells = re.split(r"\s{2,}", lines[head].strip()), re.split(r"\s{2,}", lines[head + 1].strip())
    expect(len(titles) == len(cells), f"{titles} {cells}")
    seen = set()
    for title, cell in zip(titles, cells):
        if title in COLUMNS and title not in seen:
            seen.add(title)
            check_shown("table", title, cell, truth[COLUMNS[title]])
    expect(seen == set(COLUMNS), f"columns that are not there: {set(COLUMNS) - seen}")


def check_html(text, truth):
    titles = re.findall(r"<th[^>]*>(.*?)</th>", text)
    cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", text.partition("<tbody>")[2])]
    row = dict(zip(titles, cells))
    for title, name in PAGE.items():
        check_shown("HTML", title, row[title], truth[name])


def check_metrics(page, truth):
    for name, (metric, own) in METRICS.items():
        labels = 'mesh="lab",class="voice",source="a1",target="a2"' + ("," + own if own else "")
        got = re.search(rf"^twamp_{metric}{{{re.escape(labels)}}} (\S+)$", page, re.M)
        want = truth[name]
        if want is None:
            expect(not got, f"metrics: {name} is {got and got[1]}, expected none")
            continue
        expect(got, f"metrics: no {metric}{{{labels}}}, expected {want}")
        expect(abs(float(got[1]) - float(want)) <= 1e-8 * abs(float(want)), f"metrics: {name} is {got[1]}, expected {want}")


def moment(lab):
    """A page of metrics, and the end of the report period that it shows: one with loss."""
    page = lab.http("/metrics?level=pair")[1]
    end = re.search(r'^twamp_last_result_timestamp_seconds{mesh="lab",class="voice",source="a1",target="a2"} (\S+)$', page, re.M)
    loss = re.search(r'^twamp_loss_ratio{.*source="a1",target="a2",direction="forward"} (\S+)$', page, re.M)
    return (page, int(end[1]) * S) if end and loss and 0.1 < float(loss[1]) < 0.4 else None


def test_every_number_is_the_same(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a2", DROP % lab.ip4("a1"))
        lab.apply(full(["a1", "a2"], classes={"voice": "spacing: 10ms, size: 200, dscp: EF"}))
        page, end = wait("a page with loss", lambda: moment(lab), 40)
        span = ["--from", as_iso(end - S), "--to", as_iso(end), "--source", "a1", "--target", "a2"]
        query = f"from={as_iso(end - S)}&to={as_iso(end)}&source=a1&target=a2"

        truth = lab.api(f"/api/v1/summaries?{query}")["summaries"]
        expect(len(truth) == 1 and truth[0]["end_ns"] == end and truth[0]["lost"] > 0 and truth[0]["received"] > 30, truth)
        truth = truth[0]
        time.sleep(max(0, end / S + 2.1 - time.time()))  # from then on the period is due: completeness counts it
        report = lab.api(f"/api/v1/report?{query}")["pairs"][0]
        common = [n for n in numbers_of(truth) if n in report and n not in ("flow", "generation", "seq_first")]
        expect(len(common) > 80, f"only {len(common)} numbers in common")
        check_exact("API report", report, truth, common)
        truth.update({k: report[k] for k in numbers_of(report)}, completeness_ratio=report["completeness"]["ratio"])
        expect(truth["completeness_ratio"] == 1, report["completeness"])

        check_exact("twampctl -o json", lab.json("report", *span)["pairs"][0], truth, common + ["completeness_ratio"])
        check_exact("twampctl -o csv", lab.csv("report", *span)[0], truth, common + ["completeness_ratio"])
        check_exact("twampctl -o ndjson", json.loads(lab.ctl("-o", "ndjson", "report", *span)), truth, common + ["completeness_ratio"])
        check_exact("results -o csv", lab.csv("results", *span)[0], truth, common)
        check_exact("results -o ndjson", json.loads(lab.ctl("-o", "ndjson", "results", *span)), truth, common)
        for form in ("csv", "ndjson"):  # as text from the controller, and from rows: where a limit may cut a page
            expect(lab.ctl("-o", form, "results", *span) == lab.ctl("-o", form, "results", "-n", "100000", *span), f"results -o {form}: not the same as from rows")
        lines = lab.http(f"/api/v1/summaries?format=ndjson&{query}")[1].splitlines()
        check_exact("API summaries, NDJSON", json.loads(lines[0]), truth, common)
        rows = list(csv.DictReader(io.StringIO(lab.http(f"/api/v1/summaries?format=csv&{query}")[1])))
        check_exact("API summaries, CSV", rows[0], truth, common)
        rows = list(csv.DictReader(io.StringIO(lab.http(f"/api/v1/report?format=csv&{query}")[1])))
        check_exact("API CSV", rows[0], truth, common + ["completeness_ratio"])
        lines = lab.http(f"/api/v1/report?format=ndjson&{query}")[1].splitlines()
        check_exact("API NDJSON", next(r for r in map(json.loads, lines) if r.get("source") == "a1"), truth, common)
        check_table(lab.ctl("-o", "wide", "report", *span), truth)
        check_html(lab.http(f"/api/v1/report?format=html&{query}")[1], truth)
        check_metrics(page, truth)
