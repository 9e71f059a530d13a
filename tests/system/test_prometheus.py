"""The metrics as the real Prometheus reads them: every format, discovery, native and classic histograms, rules, and the dashboards' queries."""
import json
import pathlib
import re
import subprocess

from lab import CONTROLLER, NET4, Lab, expect, wait
from meshes import full
from prometheus import Prometheus, scrape_config

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
RULES = [str(DEPLOY / "prometheus" / f) for f in ("rules.yml", "alerts.yml")]
PAIR = 'mesh="lab",class="voice",source="a1",target="a2",direction="roundtrip"'
TYPES = {"application/openmetrics-text": "application/openmetrics-text; version=1.0.0; charset=utf-8",
         "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.5":
             "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
         "*/*": "text/plain; version=0.0.4; charset=utf-8"}


def check_negotiation(lab):
    url = f"http://{NET4}.{CONTROLLER}:8080/metrics"
    for accept, want in TYPES.items():
        plain, packed = f"{lab.dir}/plain", f"{lab.dir}/packed"
        head = lab.exec("ctl", "curl", "-s", "-H", f"Accept: {accept}", "-D", "-", "-o", plain, url)
        expect(f"Content-Type: {want}\n" in head, f"Accept {accept}: {head}")
        expect("Vary: Accept, Accept-Encoding\n" in head, f"no Vary in {head}")
        head = lab.exec("ctl", "curl", "-s", "-H", f"Accept: {accept}", "-H", "Accept-Encoding: gzip", "-D", "-", "-o", packed, url)
        expect("Content-Encoding: gzip\n" in head, f"Accept {accept}: not compressed: {head}")
        subprocess.run(["gzip", "-dc", packed], check=True, capture_output=True)


def check_lint(lab):
    """promtool and, where it is installed, the parser of the Python client, which is strict about OpenMetrics."""
    levels = "level=pair,agent,site,mesh,twampy,nodegraph"
    page = lab.http(f"/metrics?{levels}")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    expect(done.returncode != 1, f"promtool cannot read the page: {done.stderr[:400]}")
    complaints = [x for x in done.stderr.splitlines() if x.startswith("twamp_")]
    expect(not complaints, f"promtool: {complaints[:3]}")
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        return
    families = list(text_string_to_metric_families(lab.http(f"/metrics?{levels}&format=openmetrics")[1]))
    expect(len(families) > 100, f"{len(families)} families")


def freeze(lab, proms):
    """Ends the agents, so that nothing comes any more, and waits until all have the same of it. Returns how many probes came back."""
    for agent in lab.agents.values():
        agent.stop()

    def same():
        report = lab.json("report", "--from", "-1h", "--source", "a1", "--target", "a2", "--class", "voice")
        received = report["pairs"][0]["received"]
        counts = [p.one(q) for p, q in proms]
        expect(all(c == received for c in counts), f"report: {received}, Prometheus: {counts}")
        return report["pairs"][0]
    return wait("Prometheus and the report to have the same probes", same, 30)


def bucket_width(prom, series):
    """Upper by lower bound of the buckets, the same for all."""
    return max(float(hi) / float(lo) for _, lo, hi, _ in prom.one(series)["buckets"] if float(lo) > 0)


def compare_quantiles(prom, old, pair):
    """Native: within a bucket, which is wider than 1/64 of an octave where there would be too many. Classic: in the same octave."""
    width = bucket_width(prom, f"twamp_delay_seconds{{{PAIR}}}")
    expect(1 < width < 1.2, f"buckets are {width} wide")
    for q in (0.5, 0.95, 0.99):
        ours = pair[f"delay_roundtrip_p{100 * q:.0f}_seconds"]
        native = prom.one(f"histogram_quantile({q}, twamp_delay_seconds{{{PAIR}}})")
        expect(1 / width <= native / ours <= width, f"p{q}: native {native}, report {ours}, buckets {width}")
    mesh = 'mesh="lab",class="voice",direction="roundtrip"'
    for q in (0.5, 0.99):
        native = prom.one(f"histogram_quantile({q}, twamp_mesh_delay_seconds{{{mesh}}})")
        for job in ("open", "text"):
            classic = old.one(f'histogram_quantile({q}, sum by (le) (twamp_mesh_delay_seconds_bucket{{job="{job}",{mesh}}}))')
            expect(0.5 < classic / native < 2, f"p{q} of the mesh: native {native}, classic {classic}")
    count = prom.one(f"histogram_count(twamp_mesh_delay_seconds{{{mesh}}})")
    expect(count == old.one(f'twamp_mesh_delay_seconds_count{{job="open",{mesh}}}'), "counts differ")
    expect(count == old.one(f'twamp_mesh_delay_seconds_bucket{{job="text",le="+Inf",{mesh}}}'), "the last bucket is the count")


def check_discovery(prom):
    targets = prom.get("targets")["activeTargets"]
    found = {t["labels"]["instance"] for t in targets if t["labels"]["job"] == "twampmesh"}
    base = f"{NET4}.{CONTROLLER}:8080"
    expect(found == {base, f"{base}/lab"}, f"targets: {found}")
    down = [(t["scrapeUrl"], t["lastError"]) for t in targets if t["health"] != "up"]
    expect(not down, f"not scraped: {down}")
    return True


def check_rules(prom):
    groups = prom.get("rules")["groups"]
    bad = [(r["name"], r["lastError"]) for g in groups for r in g["rules"] if r["health"] != "ok"]
    expect(not bad and len(groups) >= 6, f"rules: {bad}, {len(groups)} groups")
    return True


def shipped_config(lab):
    """The file that is shipped, for this lab: where the controller is, how often, and with the job that is commented out."""
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:8080", f"{NET4}.{CONTROLLER}:8080").replace("15s", "1s").replace("30s", "1s")
    text = text.replace("\n  #- ", "\n  - ").replace("\n  #  ", "\n    ").replace(", mesh: [MESH]", "")
    for f in RULES:
        text = text.replace(f"  - {pathlib.Path(f).name}\n", f"  - {f}\n")
    return text


# ---- Dashboards ----

VALUES = {"mesh": "lab", "class": "voice", "source": "a1", "target": "a2", "agent": "a1", "instance": ".*",
          "__rate_interval": "10s", "__range": "1m", "__interval": "5s", "datasource": "prometheus"}
# What a fleet has only after its first whole minutes; the queries must work all the same.
LATER = {"Completeness, last hour", "Noise floor (loopback self-test)"}


def dashboards():
    return {f.name: json.loads(f.read_text()) for f in sorted((DEPLOY / "grafana").glob("*.json"))}


def substitute(expr):
    return re.sub(r"\$(\w+)", lambda m: VALUES[m.group(1)], expr)


def queries():
    for name, d in dashboards().items():
        for panel in d["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", panel["title"] in LATER, substitute(target["expr"])


def check_dashboards(prom):
    n = 0
    for where, later, expr in queries():
        n += 1
        if later:
            prom.query(expr)
        else:
            wait(f"data of {where}: {expr}", lambda e=expr: prom.query(e), 40)
    expect(n > 60, f"{n} queries")
    for name, d in dashboards().items():
        for v in d["templating"]["list"]:
            m = re.fullmatch(r"label_values\((.*), (\w+)\)", v["query"]["query"] if v["type"] == "query" else "")
            if m:
                found = prom.get(f"label/{m.group(2)}/values", **{"match[]": substitute(m.group(1))})
                expect(found, f"{name}: variable {v['name']} has no values")


def check_edges(prom):
    """The node graph: mainstat is the latency and secondarystat the loss, and what an edge was before is gone."""
    def now():
        edges = prom.query('twampy_edge{class="voice",source="a1",target="a2"}')
        expect(len(edges) == 1, f"{len(edges)} edges")
        labels = edges[0][0]
        latency = prom.one('twampy_latency_avg{direction="roundtrip",class="voice",source="a1",target="a2"}')
        return abs(float(labels["mainstat"]) - latency) < 0.001 and float(labels["secondarystat"]) == 0
    wait("the edge to say what the gauges say", now, 20)


def test_scrape(build):
    """The shipped configuration with native histograms, and an old one without: OpenMetrics by Accept, and text where asked for."""
    plain = json.dumps({"scrape_configs": [scrape_config("open"), scrape_config("text", {"format": ["text"]})]})
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(full(["a1", "a2"]))
        with Prometheus(lab, shipped_config(lab), "--enable-feature=native-histograms") as prom, \
                Prometheus(lab, plain, port=9091) as old:
            check_negotiation(lab)
            wait("both targets", lambda: check_discovery(prom), 30)
            wait("delays by pair", lambda: prom.one(f'histogram_count(twamp_delay_seconds{{{PAIR}}})') > 100, 30)
            wait("sites", lambda: prom.one('twamp_site_pairs{class="voice",source_site="a1",target_site="a2"}') == 1, 30)
            wait("rules", lambda: check_rules(prom), 30)
            wait("no loss by a rule", lambda: prom.one('twamp:loss:ratio_rate5m{class="voice",source="a1"}') == 0, 30)
            expect(not prom.query('{__name__="twamp_mesh_delay_seconds_bucket"}'), "classic beside native")
            units = wait("OpenMetrics by Accept", lambda: old.get("metadata", metric="twamp_delay_min_seconds"), 30)
            expect(any(u["unit"] == "seconds" for u in units["twamp_delay_min_seconds"]), f"the unit is missing: {units}")
            check_lint(lab)
            check_dashboards(prom)
            check_edges(prom)
            received = 'twamp_probes_received_total{job="%s",class="voice",source="a1",target="a2"}'
            pair = freeze(lab, [(prom, f'histogram_count(twamp_delay_seconds{{{PAIR}}})'), (prom, received % "twampmesh"),
                                (old, received % "open"), (old, received % "text")])
            compare_quantiles(prom, old, pair)
            wait("an agent that is down", lambda: prom.one('twamp_agent_up{job="twampmesh",agent="a1"}') == 0, 30)
            wait("no stale delays", lambda: not prom.query(f'twamp_delay_min_seconds{{{PAIR}}}'), 30)


AGENT_PORT = 9862


def own_page(lab, name, *more):
    return lab.exec("ctl", "curl", "-s", "-m", "20", *more, f"http://{lab.ip4(name)}:{AGENT_PORT}/metrics")


def series(page):
    """{name and labels: value} of a page of text."""
    return {k: float(v) for k, _, v in (x.rpartition(" ") for x in page.splitlines() if x and x[0] != "#")}


def same_period(lab):
    """What controller and agent say of a pair while both show the same report period, if they do."""
    end = 'twamp_last_result_timestamp_seconds{mesh="lab",class="voice",source="a1",target="a2"}'
    own, theirs = series(own_page(lab, "a1")), series(lab.http("/metrics?level=pair")[1])
    if not (own.get(end) and own.get(end) == theirs.get(end)):
        return None
    pair = {k: v for k, v in theirs.items() if 'source="a1",target="a2"' in k and 'class="voice"' in k and "completeness" not in k and
            "pair_maintenance" not in k}
    return own, pair


def check_own_pages(lab):
    own, pair = wait("both to show the same report period", lambda: same_period(lab), 60)
    expect(len(pair) > 30, f"{len(pair)} series")
    wrong = {k: (own.get(k), v) for k, v in pair.items() if own.get(k) != v}
    expect(not wrong, f"agent and controller differ: {wrong}")
    expect(own['twamp_agent_up{agent="a1"}'] == 1 and own['twamp_agent_sessions{agent="a1"}'] == 2, "health of the agent")
    expect('twamp_agent_delay_seconds_count{mesh="lab",class="voice",source="a1",direction="roundtrip"}' in own, "no histogram")
    expect(not any('source="a2"' in k for k in own), "pairs of another agent")
    done = subprocess.run(["promtool", "check", "metrics"], input=own_page(lab, "a1"), capture_output=True, text=True)
    expect(done.returncode != 1, f"promtool cannot read the page: {done.stderr[:400]}")
    complaints = [x for x in done.stderr.splitlines() if x.startswith("twamp_")]
    expect(not complaints, f"promtool: {complaints[:3]}")
    head = own_page(lab, "a1", "-o", "/dev/null", "-D", "-", "-H", "Accept: application/openmetrics-text")
    expect("openmetrics" in head and "Vary: Accept, Accept-Encoding" in head, head)


def test_agents_own_metrics(build):
    """Agents' own /metrics: the numbers of the controller's, for Prometheus, also while the controller is away; nothing stays of what ends."""
    config = json.dumps({"scrape_configs": [{"job_name": "agents", "scrape_interval": "1s",
                                             "static_configs": [{"targets": [f"{NET4}.{11 + i}:{AGENT_PORT}" for i in range(2)]}]}]})
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        for name in lab.names:
            lab.start_agent(name, "--http", f"{lab.ip4(name)}:{AGENT_PORT}", "--http-plaintext")
        lab.approve_all()
        lab.apply(full(["a1", "a2"]))
        with Prometheus(lab, config, "--enable-feature=native-histograms") as prom:
            wait("both agents", lambda: prom.query("sum(up) == 2"), 30)
            wait("delays by pair", lambda: prom.one(f"histogram_count(twamp_delay_seconds{{{PAIR}}})") > 100, 40)
            check_own_pages(lab)
            lab.controller.kill()
            sent = 'twamp_probes_sent_total{class="voice",source="a1",target="a2"}'
            before = prom.one(sent)
            wait("the agent to be alone", lambda: prom.one('twamp_agent_up{agent="a1"}') == 0, 30)
            wait("counters to go on", lambda: prom.one(sent) > before, 30)
            lab.start_controller()
            wait("the agents to be back", lambda: all(a["state"] == "up" for a in lab.agent_list()), 60)
            lab.apply(full(["a1", "a2"], classes={"bulk": "spacing: 100ms, size: 1400"}))
            wait("the class to be gone", lambda: 'class="voice"' not in own_page(lab, "a1"), 30)
            expect('class="bulk"' in own_page(lab, "a1"), "so is the other")


def check_panels(name, d):
    ids = [p["id"] for p in d["panels"]]
    expect(len(set(ids)) == len(ids), f"{name}: panels share an id")
    expect({"uid", "title", "schemaVersion", "time", "templating"} <= d.keys() and d["uid"] == name[:-5], f"{name}: incomplete")
    source = [v for v in d["templating"]["list"] if v["type"] == "datasource"]
    expect(len(source) == 1 and source[0]["name"] == "datasource" and source[0]["query"] == "prometheus", f"{name}: no data source variable")
    for p in d["panels"]:
        pos = p["gridPos"]
        expect(0 <= pos["x"] and pos["x"] + pos["w"] <= 24 and pos["h"] > 0, f"{name}: {p['title']}: {pos}")
        if p["type"] == "row":
            continue
        expect(p["targets"], f"{name}: {p['title']} asks for nothing")
        refs = [t["refId"] for t in p["targets"]]
        expect(len(set(refs)) == len(refs), f"{name}: {p['title']}: queries share a name")
        for x in [p, *p["targets"]]:
            expect(x["datasource"]["uid"] == "${datasource}", f"{name}: {p['title']}: another data source")
        known = {v["name"] for v in d["templating"]["list"]} | {"__rate_interval", "__range", "__interval"}
        used = {v for t in p["targets"] for v in re.findall(r"\$(\w+)", t["expr"])}
        expect(used <= known, f"{name}: {p['title']}: unknown variables {used - known}")
    for a in d["panels"]:
        for b in d["panels"]:
            g, h = a["gridPos"], b["gridPos"]
            apart = g["x"] + g["w"] <= h["x"] or h["x"] + h["w"] <= g["x"] or g["y"] + g["h"] <= h["y"] or h["y"] + h["h"] <= g["y"]
            expect(a is b or apart, f"{name}: {a['title']} lies over {b['title']}")


def test_dashboards(build):
    """The JSON of the dashboards: what Grafana needs, as far as can be told without it."""
    found = dashboards()
    expect(len(found) == 5, f"{sorted(found)}")
    expect(len({d["uid"] for d in found.values()}) == len(found), "two have the same uid")
    for name, d in found.items():
        check_panels(name, d)


def test_files(build):
    """The files by themselves: configuration, rules, what the rules make of series, a runbook for each alert."""
    for args in (["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml", "alerts.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(["promtool", *args], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60)
        expect(done.returncode == 0, f"promtool {' '.join(args)}: {done.stdout}{done.stderr}")
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", "prometheus.yml"], cwd=DEPLOY / "cluster", capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"promtool check config: {done.stdout}{done.stderr}")
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    tests = (DEPLOY / "prometheus" / "rules_test.yml").read_text()
    anchors = {"#" + x[4:].lower() for x in (DEPLOY.parent / "docs" / "runbooks.md").read_text().splitlines() if x.startswith("### ")}
    names = [x.split()[-1] for x in alerts.splitlines() if "- alert:" in x]
    expect(len(names) > 10 and len(set(names)) == len(names), f"alerts: {names}")
    for name in names:
        expect(f"docs/runbooks.md#{name.lower()}" in alerts and "#" + name.lower() in anchors, f"{name} has no runbook")
        expect(f"alertname: {name}\n        exp_alerts:" in tests, f"{name} has no test in which it fires")
