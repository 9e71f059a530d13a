"""Four agents measure each other; everybody tells the same numbers."""
import json
import pathlib
import re
import subprocess

from lab import Lab, expect, sh, wait
from meshes import by_pair, full

SITES = ["ams", "fra", "lon", "par"]
SCHEMA = pathlib.Path(__file__).parent.parent.parent / "docs" / "schema"


# As a firewall before an agent is: nothing may connect to it, and its probes and answers pass.
DIALS_OUT_ONLY = """
table inet firewall {
  counter refused { }
  chain in {
    type filter hook input priority 0
    tcp flags & (syn | ack) == syn counter name refused drop
  }
}
"""


def measured(lab, n):
    pairs = lab.api("/api/v1/report?latest=1")["pairs"]
    return len(pairs) == n and all(p["received"] > 0 for p in pairs) and pairs


def check_marking(lab):
    """EF on the wire and hop limit 255, as a packet filter at the target sees them."""
    lab.nft("fra", """table inet lab {
      counter ef { }
      counter be { }
      counter other { }
      chain in {
        type filter hook prerouting priority 0;
        udp dport 862 ip dscp ef ip ttl 255 udp length 208 counter name ef accept
        udp dport 862 ip dscp 0 ip ttl 255 udp length 1408 counter name be accept
        udp dport 862 counter name other
      }
    }""")
    wait("marked probes", lambda: lab.counter("fra", "ef") > 20 and lab.counter("fra", "be") > 5)
    expect(lab.counter("fra", "other") == 0, "probes with another marking, hop limit or size")


def check_promtool(lab):
    page = lab.http("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    expect(done.returncode == 0, f"promtool: {done.stdout}{done.stderr}")
    series = [line.rsplit(" ", 1)[0] for line in page.splitlines() if line and line[0] != "#"]
    doubled = {s for s in series if series.count(s) > 1} if len(series) != len(set(series)) else set()
    expect(not doubled, f"duplicate series: {sorted(doubled)[:5]}")


def check_schema(lab, path, schema):
    body = lab.http(path)[1]
    file = pathlib.Path(lab.dir) / "body.json"
    file.write_text(body)
    sh("/usr/bin/python3", "-c", "import json,sys,jsonschema; jsonschema.validate(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])))",
       str(file), str(SCHEMA / schema))
    return json.loads(body)


def gauge(page, name, labels):
    """The value of one series, None if it is absent."""
    text = ",".join(f'{k}="{v}"' for k, v in labels.items())
    m = re.search(rf"^{name}{{{re.escape(text)}}} (\S+)$", page, re.M)
    return float(m.group(1)) if m else None


def check_same_numbers(lab):
    """One pair, one closed interval: metrics, API and twampctl agree."""
    pair = {"mesh": "lab", "class": "voice", "source": "ams", "target": "par"}
    page = lab.http("/metrics?level=pair")[1]
    end = int(round(gauge(page, "twamp_last_result_timestamp_seconds", pair) * 1000)) * 1000000
    span = f"from={(end - 1000000000) // 1000000000}&to={end // 1000000000}"
    query = "&".join(f"{k}={v}" for k, v in pair.items())
    report = lab.api(f"/api/v1/report?{query}&{span}")["pairs"]
    expect(len(report) == 1 and report[0]["sent"] > 0, f"report of {span}: {report}")
    api = report[0]
    args = [x for k, v in pair.items() for x in (f"--{k}", v)]
    times = ["--from", str((end - 1000000000) // 1000000000), "--to", str(end // 1000000000)]
    row = lab.csv("report", *args, *times)[0]
    js = lab.json("report", *args, *times)
    js = js["pairs"][0] if isinstance(js, dict) else js[0]
    compared = 0
    for name, value in api.items():
        if name not in row or isinstance(value, (dict, list, str)):
            continue
        compared += 1
        want = "" if value is None else value
        got = row[name]
        same = got == "" if value is None else (got in ("true", "false") and (got == "true") == value) or float(got) == float(value)
        expect(same, f"{name}: API {want!r}, CSV {got!r}")
        expect(js[name] == value, f"{name}: API {value!r}, twampctl JSON {js[name]!r}")
    expect(compared > 60, f"only {compared} numbers compared")
    for metric, labels, field in [
            ("twamp_loss_ratio", {"direction": "roundtrip"}, "loss_ratio"),
            ("twamp_delay_quantile_seconds", {"direction": "roundtrip", "quantile": "0.95"}, "delay_roundtrip_p95_seconds"),
            ("twamp_delay_quantile_seconds", {"direction": "forward", "quantile": "0.5"}, "delay_forward_p50_seconds"),
            ("twamp_jitter_seconds", {"direction": "backward"}, "delay_backward_jitter_rfc3550_seconds")]:
        value = gauge(page, metric, {**pair, **labels})
        expect(value is not None and abs(value - api[field]) <= 1e-9 * max(1, abs(value)), f"{metric}: {value} != {field} {api[field]}")


def check_contiguous(lab):
    for pair, rows in by_pair(lab.results("mesh=lab")).items():
        for a, b in zip(rows, rows[1:]):
            expect(a["end_ns"] == b["start_ns"], f"{pair}: {a['end_ns']} then {b['start_ns']}")
            expect(a["seq_first"] + a["sent"] == b["seq_first"], f"{pair}: numbers jump")
        expect(all(r["sent"] == r["received"] + r["lost"] for r in rows), f"{pair}: counts do not add up")


def test_four_agents(build):
    with Lab(build, SITES) as lab:
        lab.start_fleet()
        lab.apply(full(SITES))
        pairs = wait("all 24 pairs measured", lambda: measured(lab, 24), 30)
        for p in pairs:
            expect(p["lost"] == 0 and 0 < p["delay_roundtrip_p50_seconds"] < 0.1, f"implausible: {p}")
            expect(p["tx_source"] == "kernel" and p["rx_source"] == "kernel" and p["ttl_forward_min"] == 255, f"no kernel times or hop limit: {p}")
        check_marking(lab)
        check_promtool(lab)
        for path, schema in [("/api/v1/report", "report-v1.json"), ("/api/v1/report?latest=1", "report-v1.json"),
                             ("/api/v1/summaries?limit=50", "summaries-v1.json"), ("/api/v1/agents", "agents-v1.json"),
                             ("/api/v1/pairs", "pairs-v1.json")]:
            check_schema(lab, path, schema)
        check_same_numbers(lab)
        check_contiguous(lab)
        sd = lab.api("/api/v1/sd")
        expect(sd and all(t["targets"] for t in sd), f"service discovery: {sd}")


def test_ipv6_behind_firewalls(build):
    with Lab(build, ["a1", "a2"]) as lab:
        for name in ("a1", "a2"):
            lab.nft(name, DIALS_OUT_ONLY)
        lab.start_fleet(address=lab.ip6)
        lab.apply(full(["a1", "a2"]))
        pairs = wait("pairs over IPv6", lambda: measured(lab, 4), 30)
        expect(all(p["ttl_forward_min"] == 255 and p["lost"] == 0 for p in pairs), str(pairs))
        lab.count("a2", "ef", "udp dport 862 ip6 dscp ef ip6 hoplimit 255")
        wait("EF over IPv6", lambda: lab.counter("a2", "ef") > 20)
        for name in ("a1", "a2"):
            expect(lab.counter(name, "refused", "firewall") == 0, f"somebody wanted to connect to {name}")
        lab.exec("ctl", "timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{lab.ip4('a1')}/9862", check=False)
        wait("the firewall to be one", lambda: lab.counter("a1", "refused", "firewall") > 0)
