"""What a class asks for is what is on the wire and in the results: protocols, keys, TLVs, sizes, marking, sources."""
import json
import os
import re
import signal

from lab import Lab, Process, expect, wait
from meshes import by_pair, total

PERIOD = "timeout: 400ms, report_period: 1s"


def mesh(pairs, classes, targets=None):
    """A list of one-way pairs. classes: {name: keys}."""
    lines = ["mesh: lab", "topology: list"]
    if targets:
        lines.append("targets: { " + ", ".join(f'{n}: "{a}"' for n, a in targets.items()) + " }")
    lines += ["pairs:"] + [f"  - [{s}, {t}]" for s, t in pairs]
    lines += ["classes:"] + [f"  {n}: {{ {keys}, {PERIOD} }}" for n, keys in classes.items()]
    return "\n".join(lines) + "\n"


def secrets_path(lab, name):
    return f"{lab.dir}/{name}.secrets"


def write_secrets(lab, name, *entries):
    fresh = secrets_path(lab, name) + ".new"
    with open(fresh, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write("".join(f"{e}\n" for e in entries))
    os.rename(fresh, secrets_path(lab, name))


def start_with_secrets(lab, *entries, extra=()):
    lab.start_controller()
    for name in lab.names:
        write_secrets(lab, name, *entries)
        lab.start_agent(name, "--secrets", secrets_path(lab, name), *extra)
    lab.approve_all()


def times_read(lab, name):
    with open(lab.agents[name].log, errors="replace") as f:
        return f.read().count("was read anew")


def rows_of(lab, class_name, *args):
    return lab.results("mesh=lab", f"class={class_name}", *args)


def measured(lab, class_name, n=3):
    """The summaries of a class once there are n with answers."""
    rows = [r for r in rows_of(lab, class_name) if r["received"]]
    return rows if len(rows) >= n else None


def refusals(lab, agent):
    found = next(a for a in lab.api("/api/v1/agents")["agents"] if a["name"] == agent)
    return [r["reason"] for r in found["refusals"]]


def health(lab, agent):
    return next(a for a in lab.api("/api/v1/agents")["agents"] if a["name"] == agent)["health"] or {}


def whole(rows):
    """Contiguous, nothing lost, late or turned away."""
    for pair, v in by_pair(rows).items():
        for a, b in zip(v, v[1:]):
            expect(a["end_ns"] == b["start_ns"] and a["seq_first"] + a["sent"] == b["seq_first"], f"{pair}: a gap")
    for field in ("lost", "rejected", "late", "send_errors"):
        expect(total(rows, field) == 0, f"{field}: {total(rows, field)}")


def test_a_key_changes_while_agents_measure(build):
    with Lab(build, ["a1", "a2"]) as lab:
        start_with_secrets(lab, "site old passphrase")
        lab.apply(mesh([("a1", "a2"), ("a2", "a1")], {
            "plain": "protocol: stamp, spacing: 20ms, size: 100",
            "signed": "protocol: stamp, auth: authenticated, key_id: site, spacing: 20ms",
            "light": "spacing: 50ms"}))
        for c in ("plain", "signed", "light"):
            wait(f"class {c}", lambda c=c: measured(lab, c, 4), 30)
        steps = [["site old passphrase", "site new passphrase"], ["site new passphrase", "site old passphrase"],
                 ["site new passphrase"]]
        for n, entries in enumerate(steps, 1):
            for name in lab.names:
                write_secrets(lab, name, *entries)
                if n > 1:  # the first time it is found by itself
                    lab.agents[name].popen.send_signal(signal.SIGHUP)
            for name in lab.names:
                wait(f"{name} to take step {n}", lambda name=name: times_read(lab, name) == n, 15)
            before = len(rows_of(lab, "signed"))
            wait("two more periods", lambda: len(rows_of(lab, "signed")) >= before + 4)
        whole(rows_of(lab, "signed"))
        whole(rows_of(lab, "plain"))
        for name in lab.names:
            h = wait(f"a health report of {name}", lambda name=name: health(lab, name).get("reflected_auth", 0) > 200 and health(lab, name))
            expect(h["reflector_auth_failed"] == 0 and h["auth_failed"] == 0 and h["secrets_error"] is None, str(h))
            expect(h["reflected_stamp"] > h["reflected_auth"], str(h))
        # A key that only one end has: all is lost, counted as such, and visible.
        write_secrets(lab, "a2", "site another passphrase")
        lab.agents["a2"].popen.send_signal(signal.SIGHUP)
        wait("all lost", lambda: any(r["status"] == "all_lost" for r in rows_of(lab, "signed")))
        wait("the wrong HMACs to be counted", lambda: health(lab, "a2")["reflector_auth_failed"] > 0, 30)
        page = lab.http("/metrics")[1]
        expect(re.search(r'^twamp_agent_reflector_auth_failed_total{agent="a2"} [1-9]', page, re.M), "no metric of wrong HMACs")
        # A file that cannot be read is reported, and changes nothing.
        write_secrets(lab, "a1", "nonsense")
        lab.agents["a1"].popen.send_signal(signal.SIGHUP)
        wait("the bad file to be reported", lambda: "a1.secrets" in (health(lab, "a1")["secrets_error"] or ""), 30)
        expect("secrets" in lab.ctl("agent", "show", "a1"), "agent show does not tell of the bad file")


REMARK = """table inet remark {
  chain in {
    type filter hook prerouting priority mangle
    udp dport 862 ip dscp ef ip dscp set af11
  }
}"""


def test_stamp_tells_how_probes_arrive(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a2", """table inet lab {
          counter probes { }
          counter other { }
          chain in {
            type filter hook prerouting priority -300
            udp dport 862 ip dscp ef udp length 208 counter name probes accept
            udp dport 862 counter name other
          }
        }""")
        lab.nft("a1", """table inet lab {
          counter answers { }
          counter other { }
          chain in {
            type filter hook input priority 0
            udp sport 862 ip dscp af41 udp length 208 counter name answers accept
            udp sport 862 counter name other
          }
        }""")
        lab.apply(mesh([("a1", "a2")], {
            "marked": "protocol: stamp, dscp: EF, reply_dscp: AF41, size: 200, spacing: 20ms, "
                      "tlvs: [location, timestamp-info, cos, direct-measurement, access-report, follow-up]"}))
        rows = wait("marked probes", lambda: measured(lab, "marked", 3), 30)
        for r in rows:
            expect((r["tos_sent"], r["tos_forward_min"], r["tos_forward_max"]) == (184, 184, 184), f"forward: {r}")
            expect((r["tos_backward_min"], r["tos_backward_max"]) == (136, 136), f"backward: {r}")
        whole(rows)
        expect(lab.counter("a2", "probes") > 100 and lab.counter("a2", "other") == 0, "probes are not as asked for")
        expect(lab.counter("a1", "answers") > 100 and lab.counter("a1", "other") == 0, "answers are not marked as wished")
        lab.nft("a2", REMARK)
        row = wait("the remarking to be seen", lambda: next(
            (r for r in rows_of(lab, "marked") if r["tos_forward_max"] == 40), None))
        expect(row["tos_sent"] == 184 and row["tos_forward_min"] == 40 and row["tos_backward_min"] == 136, str(row))
        wait("the metric to follow", lambda: 'target="a2",direction="forward"} 40\n' in "".join(
            x + "\n" for x in lab.http("/metrics?level=pair")[1].splitlines() if x.startswith("twamp_tos{")), 30)
        for agent in lab.names:
            expect(not refusals(lab, agent), f"{agent} refuses: {refusals(lab, agent)}")


SIZES = """table inet lab {
  counter small { }
  counter middle { }
  counter large { }
  counter other { }
  chain in {
    type filter hook prerouting priority -450
    udp dport 862 ip dscp cs5 ip frag-off & 0x4000 == 0x4000 ip length 50 counter name small accept
    udp dport 862 ip dscp cs5 ip frag-off & 0x4000 == 0x4000 ip length 576 counter name middle accept
    udp dport 862 ip dscp cs5 ip frag-off & 0x4000 == 0x4000 ip length 1500 counter name large accept
    udp dport 862 counter name other
  }
}"""


def test_imix_is_exact(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a2", SIZES)
        lab.apply(mesh([("a1", "a2")], {"mix": "size: imix, df: true, dscp: CS5, spacing: 10ms, padding: zero"}))
        wait("the mix", lambda: lab.counter("a2", "large") >= 20, 30)
        lab.ctl("schedule", "pause", "lab")
        sizes = ("small", "middle", "large")
        count = wait("every probe in a summary", lambda: (lambda n: sum(n) == total(rows_of(lab, "mix"), "sent") and n)(
            [lab.counter("a2", s) for s in sizes]))
        expect(lab.counter("a2", "other") == 0, "probes of another size, marking, or without DF")
        dozens = sum(count) // 12
        for n, per_dozen in zip(count, (7, 4, 1)):
            expect(per_dozen * dozens <= n <= per_dozen * (dozens + 1), f"{count}: not 7:4:1 of {sum(count)}")
        whole(rows_of(lab, "mix"))


SIZES6 = """table inet lab {
  counter small { }
  counter middle { }
  counter large { }
  counter other { }
  chain in {
    type filter hook prerouting priority -450
    udp dport 862 ip6 dscp cs5 udp length 22 counter name small accept
    udp dport 862 ip6 dscp cs5 udp length 536 counter name middle accept
    udp dport 862 ip6 dscp cs5 udp length 1460 counter name large accept
    udp dport 862 ip6 dscp cs5 counter name other
  }
}"""


def test_every_protocol_over_ipv6(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        for name in lab.names:
            write_secrets(lab, name, "site correct horse battery staple")
            lab.start_agent(name, "--secrets", secrets_path(lab, name), "--control", f"[{lab.ip6(name)}]:862",
                            address=lab.ip6(name))
        lab.approve_all()
        lab.nft("a2", SIZES6)
        lab.apply(mesh([("a1", "a2")], {
            "mix": "size: imix, df: true, dscp: CS5, spacing: 10ms",
            "signed": "protocol: stamp, auth: authenticated, key_id: site, reply_dscp: AF41, dscp: EF, spacing: 20ms",
            "agreed": "protocol: twamp, auth: encrypted, key_id: site, dscp: EF, spacing: 20ms, flows: 2"}))
        for c in ("mix", "signed", "agreed"):
            whole(wait(f"class {c}", lambda c=c: measured(lab, c, 4), 30))
        for c in ("signed", "agreed"):
            seen = {(r["tos_forward_min"], r["tos_forward_max"]) for r in rows_of(lab, c) if r["received"]}
            expect(seen == {(184, 184)}, f"class {c}: {seen}")
        expect({r["tos_backward_min"] for r in rows_of(lab, "signed") if r["received"]} == {136}, "answers without AF41")
        wait("the mix", lambda: lab.counter("a2", "large") >= 20, 30)
        expect(lab.counter("a2", "other") == 0, "probes of another size")
        lab.ctl("schedule", "pause", "lab")  # so that the counters, read one after the other, are of one moment
        small, middle, large = wait("every probe in a summary", lambda: (lambda n: sum(n) == total(rows_of(lab, "mix"), "sent") and n)(
            [lab.counter("a2", s) for s in ("small", "middle", "large")]))
        expect(abs(small - 7 * large) <= 14 and abs(middle - 4 * large) <= 8, f"{small}:{middle}:{large}")


def test_df_tells_too_large_from_fragmented(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        # Only towards a2: what comes back may have any size.
        lab.exec("a1", "ip", "route", "add", f"{lab.ip4('a2')}/32", "dev", "eth0", "mtu", "1400")
        lab.apply(mesh([("a1", "a2")], {"whole": "size: 1400, df: true, spacing: 50ms",
                                        "pieces": "size: 1400, spacing: 50ms"}))
        wait("fragments to be put together", lambda: measured(lab, "pieces", 3), 30)
        rows = wait("errors", lambda: (lambda v: len(v) >= 3 and v)(rows_of(lab, "whole")))
        expect(total(rows, "sent") == 0 and total(rows, "send_errors") > 20, f"DF: {rows[0]}")
        expect(rows[0]["status"] == "send_error", rows[0]["status"])


PORTS = """table inet lab {
  counter probes { }
  set ports { type inet_service; size 4096; flags dynamic; }
  chain in {
    type filter hook prerouting priority 0
    udp dport 862 add @ports { udp sport } counter name probes
  }
}"""


def test_flows_have_ports_and_rows_of_their_own(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a2", PORTS)
        lab.apply(mesh([("a1", "a2")], {"paths": "flows: 4, spacing: 20ms, protocol: stamp"}))
        wait("four flows", lambda: len(measured(lab, "paths", 12) or []) >= 12, 30)
        ports = json.loads(lab.exec("a2", "nft", "-j", "list", "set", "inet", "lab", "ports"))
        elem = next(x["set"]["elem"] for x in ports["nftables"] if "set" in x)
        expect(len(elem) == 4, f"source ports: {elem}")
        lab.ctl("schedule", "pause", "lab")
        wait("every probe in a summary", lambda: total(rows_of(lab, "paths"), "sent") == lab.counter("a2", "probes"))
        span = ("--from", "-1h")

        def of_one_moment():
            before, flows, merged = lab.csv("report", *span), lab.csv("report", "--flows", *span), lab.csv("report", *span)
            return [r["periods_stored"] for r in before] == [r["periods_stored"] for r in merged] and (flows, merged)

        flows, merged = wait("no summary to come between two reports", of_one_moment)  # a last one that is empty may
        expect([r["flow"] for r in flows] == ["0", "1", "2", "3"] and len(merged) == 1, f"{flows}")
        for field in ("sent", "received", "lost", "periods_stored"):
            expect(sum(int(r[field]) for r in flows) == int(merged[0][field]), f"{field} is not the sum of the flows")
        expect(min(float(r["delay_roundtrip_min_seconds"]) for r in flows) == float(merged[0]["delay_roundtrip_min_seconds"]),
               "the least delay is not that of a flow")
        api = lab.api("/api/v1/report?flows=1&from=-1h")
        expect(api["flows"] and [p["flow"] for p in api["pairs"]] == [0, 1, 2, 3], "API")


def test_probes_leave_where_they_are_told(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.exec("a1", "ip", "addr", "add", "10.99.77.200/24", "dev", "eth0")
        lab.exec("a1", "ip", "link", "add", "aside0", "type", "veth", "peer", "name", "aside1")
        lab.exec("a1", "ip", "addr", "add", "192.0.2.9/24", "dev", "aside0")
        lab.exec("a1", "ip", "link", "set", "aside1", "up")
        lab.exec("a1", "ip", "link", "set", "aside0", "up")
        lab.nft("a1", """table inet lab {
          counter aside { }
          chain out {
            type filter hook output priority 0
            udp dport 862 oifname "aside0" counter name aside
          }
        }""")
        lab.count("a2", "second", "udp dport 862 ip saddr 10.99.77.200")
        lab.apply(mesh([("a1", "a2")], {"address": "bind: 10.99.77.200, spacing: 20ms", "device": "bind: eth0, spacing: 20ms",
                                        "aside": "bind: aside0, spacing: 20ms", "absent": "bind: nosuch0",
                                        "foreign": "bind: 203.0.113.1"}))
        for c in ("address", "device"):
            whole(wait(f"class {c}", lambda c=c: measured(lab, c), 30))
        wait("probes on the other interface", lambda: lab.counter("a1", "aside") > 20)
        expect(lab.counter("a2", "second") >= total(rows_of(lab, "address"), "sent"), "another source address")
        wait("all lost on the other interface", lambda: any(r["status"] == "all_lost" for r in rows_of(lab, "aside")))
        expect(total(rows_of(lab, "aside"), "received") == 0, "answers to what never left")
        reasons = wait("two refusals", lambda: (lambda v: len(v) == 2 and v)(refusals(lab, "a1")))
        expect(any("no such interface" in r for r in reasons), str(reasons))
        expect(any("203.0.113.1" in r or "address" in r for r in reasons), str(reasons))


def test_what_cannot_run_is_shown(build):
    with Lab(build, ["a1", "a2", "a3"]) as lab:
        lab.start_controller()
        write_secrets(lab, "a1", "site passphrase")
        lab.start_agent("a1", "--secrets", secrets_path(lab, "a1"))
        lab.start_agent("a2")
        write_secrets(lab, "a3", "elsewhere passphrase")
        lab.start_agent("a3", "--secrets", secrets_path(lab, "a3"), "--demand-auth")
        lab.approve_all()
        lab.apply(mesh([("a1", "a2"), ("a3", "a1"), ("a1", "a3")], {
            "signed": "protocol: stamp, auth: authenticated, key_id: site, spacing: 50ms", "plain": "spacing: 50ms"}))
        wait("a1 to refuse", lambda: sorted(refusals(lab, "a1")) == [
            "the target agent answers only authenticated STAMP: it was started with --demand-auth",
            "the target agent has no keys for authenticated STAMP: start it with --secrets"])
        wait("a3 to refuse", lambda: refusals(lab, "a3") == ["its key_id is not in the agent's file of secrets"])
        rollout = {r["agent"]: r["refusals"] for r in lab.json("schedule", "list")["rollout"]}
        expect(rollout["a1"] == 2 and rollout["a3"] == 1 and rollout["a2"] == 0, str(rollout))
        expect("no keys for authenticated STAMP" in lab.ctl("agent", "show", "a1"), "agent show does not say why")
        states = {(r["class"], r["source"], r["target"]): r["state"] for r in lab.csv("report")}
        expect(states[("signed", "a1", "a2")] == "refused" and states[("plain", "a1", "a2")] in ("ok", "partial", "no_data"), str(states))
        # The missing key comes: what was refused starts by itself.
        write_secrets(lab, "a3", "elsewhere passphrase", "site passphrase")
        wait("a3 to measure", lambda: any(r["source"] == "a3" and r["received"] for r in rows_of(lab, "signed")), 20)
        wait("no more refusals", lambda: not refusals(lab, "a3"))
        wait("a1 to a3, signed", lambda: any(r["target"] == "a3" and r["received"] for r in rows_of(lab, "signed")), 20)


def test_a_target_without_an_agent(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        lab.start_agent("a1")
        wait("a1 to be known", lambda: lab.agent_list())
        wait("a1 to be approved", lambda: lab.ctl("agent", "approve", "a1"))
        lab.agents["responder"] = Process([f"{lab.build}/agent/twamp", "responder", f"{lab.ip4('a2')}:8620"],
                                          f"{lab.dir}/responder.log", ns=lab.ns("a2"))
        wait("the responder to listen", lambda: lab.agents["responder"].said("Listening on"))  # a probe before it would be lost
        lab.apply(mesh([("a1", "router")], {"light": "spacing: 20ms", "stamp": "protocol: stamp, spacing: 20ms",
                                            "mix": "protocol: stamp, size: imix, spacing: 20ms, reply_dscp: EF"},
                       {"router": f"{lab.ip4('a2')}:8620"}))
        for c in ("light", "stamp", "mix"):
            whole(wait(f"class {c}", lambda c=c: measured(lab, c), 30))
        expect(all(r["tos_backward_min"] == 184 for r in rows_of(lab, "mix") if r["received"]), "answers without the wished DSCP")


AGREED = """table inet lab {
  counter probes { }
  counter light { }
  chain in {
    type filter hook prerouting priority 0
    udp dport 30000-30099 ip dscp ef counter name probes
    udp dport 862 counter name light
  }
}"""


def connections(lab, who):
    """Established TCP connections to our TWAMP-Control server."""
    return len(lab.exec(who, "ss", "-Htn", "state", "established", "sport = :862").splitlines())


def session_ends(lab, agent):
    """What an agent's control server says of each session when it is over."""
    with open(lab.agents[agent].log, errors="replace") as f:
        return [x.strip() for x in f if "test session ended" in x]


def test_twamp_is_agreed(build):
    modes = {"open": "auth: none", "signed": "auth: authenticated, key_id: site", "secret": "auth: encrypted, key_id: site",
             "mixed": "auth: mixed, key_id: site"}
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        for name in lab.names:
            write_secrets(lab, name, "site correct horse battery staple")
            lab.start_agent(name, "--secrets", secrets_path(lab, name), "--control", f"{lab.ip4(name)}:862",
                            "--test-ports", "30000-30099")
        lab.approve_all()
        lab.nft("a2", AGREED)
        lab.apply(mesh([("a1", "a2")], {
            **{n: f"protocol: twamp, {m}, dscp: EF, flows: 2, size: 200, spacing: 20ms" for n, m in modes.items()},
            "mix": "protocol: twamp, size: imix, dscp: EF, spacing: 20ms"}))
        for c in [*modes, "mix"]:
            rows = wait(f"class {c}", lambda c=c: measured(lab, c, 6), 30)
            whole(rows)
            seen = {(r["tos_forward_min"], r["tos_forward_max"]) for r in rows if r["received"]}
            expect(seen == {(184, 184)}, f"class {c}: what the reflector saw: {seen}")
            expect(len({r["flow"] for r in rows}) == (1 if c == "mix" else 2), f"class {c}: flows")
        expect(connections(lab, "a2") == 5, f"{connections(lab, 'a2')} connections, not one for each pair")
        expect(lab.counter("a2", "probes") > 500 and lab.counter("a2", "light") == 0, "probes to other ports")
        h = wait("the sessions in the health report", lambda: health(lab, "a2").get("reflect_sessions") == 9 and health(lab, "a2"), 20)
        expect(h["reflector_auth_failed"] == 0 and h["control_connections"] == 5 and h["control_logins_failed"] == 0, str(h))
        for agent in lab.names:
            expect(not refusals(lab, agent), f"{agent} refuses: {refusals(lab, agent)}")
        # The far end goes away: its agents' pairs say why, and come back by themselves.
        lab.agents["a2"].stop()
        wait("the loss to be told", lambda: len(refusals(lab, "a1")) == 9 and
             all("TWAMP-Control with" in r for r in refusals(lab, "a1")))
        lab.start_agent("a2", "--secrets", secrets_path(lab, "a2"), "--control", f"{lab.ip4('a2')}:862",
                        "--test-ports", "30000-30099")
        wait("all to run again", lambda: not refusals(lab, "a1"), 40)
        before = len(measured(lab, "secret"))
        wait("new results", lambda: len(measured(lab, "secret")) >= before + 4)
        lab.ctl("schedule", "pause", "lab")
        wait("an orderly end", lambda: connections(lab, "a2") == 0)
        ends = wait("the ends of all sessions", lambda: (lambda v: len(v) >= 9 and v)(session_ends(lab, "a2")))
        expect(all("auth_failed=0 foreign=0" in e for e in ends), f"packets turned away: {ends}")


def test_twamp_to_a_server_without_an_agent(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_controller()
        write_secrets(lab, "a1", "site correct horse battery staple")
        write_secrets(lab, "a2", "site another passphrase")
        lab.start_agent("a1", "--secrets", secrets_path(lab, "a1"))
        wait("a1 to be known", lambda: lab.agent_list())
        wait("a1 to be approved", lambda: lab.ctl("agent", "approve", "a1"))
        lab.agents["server"] = Process([f"{lab.build}/agent/twamp", "server", "--secrets", secrets_path(lab, "a2"),
                                        f"{lab.ip4('a2')}:8862"], f"{lab.dir}/server.log", ns=lab.ns("a2"))
        lab.apply(mesh([("a1", "router")], {"open": "protocol: twamp, spacing: 20ms",
                                            "signed": "protocol: twamp, auth: authenticated, key_id: site, spacing: 20ms"},
                       {"router": f"{lab.ip4('a2')}:8862"}))
        whole(wait("class open", lambda: measured(lab, "open"), 30))
        wait("the wrong passphrase to be told", lambda: len(refusals(lab, "a1")) == 1)
        write_secrets(lab, "a1", "site another passphrase")
        whole(wait("class signed", lambda: measured(lab, "signed"), 40))
        wait("no refusals", lambda: not refusals(lab, "a1"))
