"""Tests on demand from a controller that has not their agents: it asks the one that has, whoever ends meanwhile."""
import json
import signal
import subprocess
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import expect, wait
from meshes import full
from test_away import TWO, Fleet
from test_registry import Controller, databases, where

SEEN_S = 10      # far less is usual
SOON_S = 3       # from the command to the first probe; it takes some 0.2 s
END_S = 25       # a lease of 10 s, and what the machine takes


def fleet(lab, ch, etcd, names, at):
    """Controllers of these names, and which the agents are given."""
    these = databases(lab, ch, etcd)
    who = [Controller(lab, name, i + 1, *these).start("--auto-approve") for i, name in enumerate(names)]
    for agent, homes in at.items():
        lab.start_agent(agent, "--controller", ",".join(who[i].url for i in homes))
    for c in who:
        wait("all agents to be up", lambda c=c: set(where(c)) == set(at) and all(s == "up" for s, _ in where(c).values()), SEEN_S)
    return who


def run(c, *args):
    return subprocess.Popen([f"{c.lab.build}/controller/cli/twampctl", "--controller", c.admin, "-o", "json", "test", *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def result(p, code=0):
    out, err = p.communicate(timeout=60)
    expect(p.returncode == code, f"exit code {p.returncode}, not {code}: {err} {out}")
    return json.loads(out)["runs"] if out else err


def flight(c, pair):
    """What a recorder has, or why there is nothing."""
    done = subprocess.run([f"{c.lab.build}/controller/cli/twampctl", "--controller", c.admin, "-o", "json", "flight", pair], capture_output=True, text=True)
    return done.stdout or done.stderr


def newest(c):
    tests = json.loads(c.ctl("-o", "json", "test", "list"))["tests"]
    return tests[0] if tests else {}


def until_running(c):
    wait("it to run", lambda: newest(c).get("state") == "running")
    time.sleep(1)


def probes(lab):
    return lab.counter("a2", "came")


def until_probes(lab, more=30):
    first = probes(lab)
    wait("probes", lambda: probes(lab) > first + more)


def quiet(lab):
    before = probes(lab)
    time.sleep(1)
    return probes(lab) == before


def test_from_any(build):
    """The source at one, the target at another, asked at a third: the same answer, stored for all, by the name of who asked."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        one, two, three = fleet(lab, ch, etcd, ["one", "two", "three"], {"a1": [0], "a2": [1]})
        lab.count("a2", "came", "udp dport 862")
        began = time.monotonic()
        p = run(three, "a1", "a2", "--count", "200", "--spacing", "5ms", "--packets", "--author", "night")
        wait("the first probes", lambda: probes(lab) > 0, SOON_S)
        print(f"# the first probes after {time.monotonic() - began:.2f} s")
        out, err = p.communicate(timeout=30)
        expect(p.returncode == 0, err)
        answer = json.loads(out)
        got = answer["runs"][0]
        expect(got["sent"] == got["received"] == 200 and got["state"] == "complete", f"{got}")
        expect([x["seq"] for x in answer["packets"]] == list(range(200)), "a packet is missing")
        expect(probes(lab) == 200, f"{probes(lab)} probes came")
        for c in [one, two, three]:
            wait("it to be stored", lambda c=c: sum(r["sent"] for r in json.loads(c.ctl("-o", "json", "test", "show", str(got["test_id"])))["runs"]) == 200)
            expect((newest(c)["state"], newest(c)["author"]) == ("complete", "night"), f"{newest(c)}")
        audit = [x for c in [one, two, three] for x in json.loads(c.ctl("-o", "json", "audit", "--what", "TestStart"))["entries"]]
        expect(len({x["id"] for x in audit}) == 1, f"the audit log has {audit}")
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full(TWO))
        one.ctl("schedule", "apply", "-f", f.name)
        wait("the mesh to be known", lambda: "lab" in three.ctl("schedule", "list"), SEEN_S)
        runs = result(run(three, "--mesh", "lab", "--class", "voice", "--count", "50"))
        expect(len(runs) == 2 and all(r["state"] == "complete" and r["sent"] == 50 for r in runs), f"a mesh: {runs}")
        wait("single probes that another one's agent recorded", lambda: flight(three, "lab/voice/a1:a2").count('"received"') > 10)
        expect(three.metric("twamp_relay_calls_total") > 2 and one.metric("twamp_relay_served_total") > 2, "metrics")
        expect(not any(c.metric("twamp_relay_unread_total") for c in [one, two, three]), "what one says another cannot read")


def post(c, token, path):
    return json.loads(c.lab.exec("ctl", "curl", "-sf", "-m", "10", *c.lab.bearer(token), "-H", "Content-Type: application/json", "-d", "{}", c.http + path))


def test_of_another(build):
    """A test that one controller runs is watched, kept alive and stopped at another one, by its command and over HTTP, in the name of who does it."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        one, two, three = fleet(lab, ch, etcd, ["one", "two", "three"], {"a1": [0], "a2": [1]})
        token = three.ctl("access", "token", "create", "--role", "operator", "--name", "night").strip()
        p = run(two, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
        for c in [one, two, three]:
            until_running(c)
        test = newest(two)["test_id"]
        began = time.monotonic()
        p.kill() # nobody asks at `two` any more
        p.communicate()
        seen = []
        while time.monotonic() < began + 7:
            got = json.loads(three.get(f"/api/v1/tests/{test}/progress?runs=true", True, token))
            seen.append(int(got["runs"][0]["total"]["sent"]))
            time.sleep(0.2)
        expect(got["info"]["state"] == "running" and len(set(seen)) > 5 and seen == sorted(seen), f"{got['info']}: {seen}")
        got = post(three, token, f"/api/v1/tests/{test}/stop")
        expect(got["info"]["state"] in ("stopping", "stopped"), f"{got}")
        for c in [one, two, three]:
            wait("it to be known as stopped", lambda c=c: newest(c)["state"] == "stopped", SEEN_S)
            entries = json.loads(c.ctl("-o", "json", "audit", "--what", "TestStop"))["entries"]
            expect([x["who"] for x in entries] == ["night"], f"the audit log has {entries}")
        p = run(two, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
        until_running(one)
        said = one.ctl("test", "stop", str(newest(one)["test_id"]))
        expect("a1 > a2, is stop" in said, said)
        expect(result(p)[0]["state"] == "stopped", "its state")
        two.kill()
        err = two_is_gone(one)
        expect("no test" in err and "runs" in err, err)


def two_is_gone(one):
    """What stopping the newest test says then."""
    wait("the other's tests to be nobody's", lambda: one.ctl("test", "stop", str(newest(one)["test_id"]), check=False) == "", 20)
    return subprocess.run([f"{one.lab.build}/controller/cli/twampctl", "--controller", one.admin, "test", "stop", str(newest(one)["test_id"])],
                          capture_output=True, text=True).stderr


def own_key(etcd, name, slot):
    """(key, lease) of what a controller says of itself in etcd."""
    keys = etcd.ctl("get", "--prefix", "--keys-only", f"/twampmesh/tw/controller/{name}/").split()
    key = next(k for k in keys if k.endswith("/0"))
    return f"{key[:-1]}{slot}", f"{int(key.split('/')[-2]):x}"


def test_others_that_cannot(build):
    """Of a controller of the release before, which makes no calls for others, that is said; what is no text of a controller is counted."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        one, two = fleet(lab, ch, etcd, ["one", "two"], {"a1": [0], "a2": [0]})
        key, lease = own_key(etcd, "one", 0)
        facts = json.loads(etcd.ctl("get", "--print-value-only", key))
        expect(facts.pop("takes_calls") is True, f"{facts}")
        etcd.ctl("put", f"--lease={lease}", key, json.dumps(facts))
        etcd.ctl("put", f"--lease={lease}", own_key(etcd, "one", 17)[0], "rubbish")
        wait("that to be read", lambda: two.metric("twamp_relay_unread_total") == 1, SEEN_S)
        err = result(run(two, "a1", "a2", "--count", "10"), code=1)
        expect("agent a1 is connected to controller one: ask that one" in err, f"{err}")
        facts["takes_calls"] = True
        etcd.ctl("put", f"--lease={lease}", key, json.dumps(facts))
        wait("it to work again", lambda: two.ctl("test", "a1", "a2", "--count", "10", "--spacing", "5ms", check=False), SEEN_S)
        got = result(run(two, "a1", "a2", "--count", "100", "--spacing", "5ms"))[0]
        expect(got["received"] == 100, f"{got}")


def test_stop(build):
    """Ctrl-C stops the probes soon; so does the end of who asked, and of its controller, when its lease is over."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        one, two = fleet(lab, ch, etcd, ["one", "two"], {"a1": [0], "a2": [0]})
        lab.count("a2", "came", "udp dport 862")
        p = run(two, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
        until_probes(lab)
        p.send_signal(signal.SIGINT)
        stopped = time.monotonic()
        wait("the end of the probes", lambda: quiet(lab), SOON_S + 1)
        print(f"# quiet {time.monotonic() - stopped - 1:.2f} s after Ctrl-C")
        expect(result(p)[0]["state"] == "stopped", "its state")
        p = run(two, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
        until_probes(lab)
        p.kill()
        p.communicate()
        wait("the test that nobody asks for to end", lambda: quiet(lab), END_S)
        wait("it to be known as that", lambda: newest(two)["state"] == "abandoned", SEEN_S)
        p = run(two, "a1", "a2", "--duration", "1h", "--spacing", "10ms")
        until_probes(lab)
        two.kill()
        killed = time.monotonic()
        wait("the test of a controller that died to end", lambda: quiet(lab), END_S)
        print(f"# quiet {time.monotonic() - killed - 1:.1f} s after its controller was killed")
        p.communicate(timeout=30)
        expect(p.returncode == 3, f"exit code {p.returncode}")
        wait("it to be known as interrupted", lambda: newest(one)["state"] == "interrupted", 20)


def test_its_controller_dies(build):
    """An agent that has another one goes there, and its run goes on; of one that has not that is said."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        one, two, three = fleet(lab, ch, etcd, ["one", "two", "three"], {"a1": [0, 1], "a2": [2]})
        home = {"one": one, "two": two}[where(three)["a1"][1]]
        other = two if home is one else one
        p = run(three, "a1", "a2", "--count", "1500", "--spacing", "10ms")
        until_running(three)
        home.kill()
        got = result(p)[0]
        expect(got["sent"] == got["received"] == 1500 and got["state"] == "complete", f"{got}")
        expect(where(three)["a1"] == ("up", other.name), f"{where(three)}")
        p = run(other, "a2", "a1", "--duration", "1h", "--spacing", "10ms")
        until_running(other)
        three.kill()
        killed = time.monotonic()
        got = result(p, code=1)[0]
        print(f"# said {time.monotonic() - killed:.1f} s after the only controller of its agent was killed")
        expect(got["state"] == "lost" and "agent a2 does not answer" in got["reason"], f"{got}")
        err = result(run(other, "a2", "a1", "--count", "10"), code=1)
        expect("agent a2 is not connected" in err, f"{err}")
