"""Two controllers of one authority on one etcd: who joins at one is approved at the other, renews there, and is cut off by it; and a token lets in as
many as it says, wherever they come."""
import json
import os
import shutil
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, expect, wait
from meshes import full
from test_away import Fleet
from test_two_apart import cut, heal
from test_two_controllers import SOON_S, Second

FIRST, SECOND = (f"tls+tcp://{NET4}.{CONTROLLER}:{port}" for port in (8620, 8621))
LIFE = "6s"  # of certificates: renewed after 4 s
SOME = 6
LATE = "a4"  # it would rather go to the second
USES = 5


def start(lab, ch, etcd, second_control=None):
    """First and second, each with a copy of the authority."""
    ch.start()
    etcd.start()
    os.mkdir(f"{lab.dir}/controller")
    os.mkdir(f"{lab.dir}/second")
    lab.ctl("ca", "init", "--dir", f"{lab.dir}/controller/ca", "--name", f"{NET4}.{CONTROLLER}")
    shutil.copytree(f"{lab.dir}/controller/ca", f"{lab.dir}/second/ca")
    second = Second(lab)
    start_first(lab, ch, etcd)
    second.start(*options(ch, etcd, second_control), "--listen", SECOND)
    return second


def options(ch, etcd, control=None):
    return ["--history", ch.location(), "--control", control or etcd.location(), "--agent-certificate-life", LIFE]


def start_first(lab, ch, etcd):
    lab.start_controller(*options(ch, etcd), "--listen", FIRST)


def token(who, *args):
    return who.ctl("token", "create", *args).strip()


def token_id(text):
    return text.split(".")[1]


def join(lab, name, url, text, *more):
    path = f"{lab.dir}/{name}.token"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text + "\n")
    lab.start_agent(name, "--controller", url, "--join-token-file", path, *more)


def agent(who, name):
    listed = json.loads(who.ctl("-o", "json", "agent", "list"))["agents"]
    return next((a for a in listed if a["name"] == name), {"state": "unknown"})


def is_known_at(who, text):
    wait("a token to be known at the other controller", lambda: token_id(text) in who.ctl("token", "list"), SOON_S)


def comes_in(lab, second):
    """a1 at the first, by a token of the second, which approves it; a2 at the second, by one of the first, at once."""
    waits, at_once = token(second, "--name", "a1", "--label", "role=edge"), token(lab, "--approve")
    join(lab, "a2", SECOND, at_once)
    join(lab, "a1", FIRST, waits)
    wait("a1 to wait for approval", lambda: lab.agents["a1"].said("waiting for approval"))
    wait("the second to know it", lambda: agent(second, "a1")["state"] == "pending", SOON_S)
    wait("a2 to be up at the second", lambda: agent(second, "a2")["state"] == "up")
    second.ctl("agent", "approve", "a1")
    wait("a1 to be up at the first", lambda: agent(lab, "a1")["state"] == "up")
    expect("role=edge" in second.ctl("agent", "list"), "the token's label is missing")


def renews_at_the_other(lab, second, ch, etcd):
    """a1, whose controller is killed."""
    lab.agents["a1"].stop()
    lab.start_agent("a1", "--controller", f"{FIRST},{SECOND}")
    wait("a1 to be up again", lambda: agent(lab, "a1")["state"] == "up")
    lab.controller.kill()
    wait("a1 to be up at the second", lambda: agent(second, "a1")["state"] == "up")
    came_with = agent(second, "a1")["certificate_serial"]
    wait("a renewal at the second", lambda: agent(second, "a1")["certificate_serial"] != came_with)
    lab.agents["a1"].stop()
    start_first(lab, ch, etcd)
    lab.start_agent("a1", "--controller", FIRST)
    wait("a1 to be let in at the first, by a certificate of the second", lambda: agent(lab, "a1")["state"] == "up")


def is_revoked_at_the_other(lab, second):
    began = time.monotonic()
    second.ctl("agent", "revoke", "a1", "--yes", "-r", "stolen")
    wait("a1 to be cut off at the first", lambda: lab.agents["a1"].said("does not want this agent"), SOON_S)
    print(f"# revoked at one controller, cut off at the other after {time.monotonic() - began:.2f} s")
    expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it was revoked")
    for n, url in enumerate([FIRST, SECOND]):
        lab.start_agent("a1", "--controller", url)
        wait("it to be refused", lambda n=n: open(lab.agents["a1"].log).read().count("does not want this agent") == n + 2)
        expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it is refused")
    del lab.agents["a1"]


def test_life_by_certificates(build):
    with Fleet(build, ["a1", "a2"]) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = start(lab, ch, etcd)
        comes_in(lab, second)
        second.ctl("agent", "label", "a2", "seen=second")
        lab.apply(full(["a1", "a2"]))
        for name in ["a1", "a2"]:
            wait(f"results of {name}", lambda n=name: lab.results(f"source={n}"))
        renews_at_the_other(lab, second, ch, etcd)
        now = time.time_ns()
        for name in ["a1", "a2"]:
            wait(f"results of {name} of after all that", lambda n=name: [r for r in lab.results(f"source={n}") if r["start_ns"] > now])
        is_revoked_at_the_other(lab, second)


def outcome(lab, name):
    """How its joining went; None: it is not over."""
    p = lab.agents[name]
    if p.said("this agent has a certificate"):
        return "in"
    return "used" if not p.alive() and p.said("is used") else None


def test_one_token_at_both(build):
    names = [f"a{i + 1}" for i in range(SOME)]
    with Fleet(build, names) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = start(lab, ch, etcd)
        text = token(second, "--approve", "--uses", str(USES))
        is_known_at(lab, text)
        began = time.monotonic()
        for i, name in enumerate(names):
            join(lab, name, [FIRST, SECOND][i % 2], text)
        wait("each to be in or refused", lambda: all(outcome(lab, n) for n in names), 30)
        took_s = time.monotonic() - began
        came = [outcome(lab, n) for n in names]
        expect(sorted(came) == ["in"] * USES + ["used"], f"{USES} were to be let in: {came}")
        refused = names[came.index("used")]
        expect(lab.agents.pop(refused).popen.wait(5) == 1, "who is refused ends otherwise")
        inside = set(names) - {refused}
        wait("both to have all of them", lambda: all({a["name"] for a in json.loads(w.ctl("-o", "json", "agent", "list"))["agents"]} == inside
                                                     for w in (lab, second)), SOON_S)
        wait("all to be up, each where it came", lambda: all(agent([lab, second][i % 2], n)["state"] == "up" for i, n in enumerate(names) if n in inside))
        again = lab.metric("twamp_control_decided_again_total") + second.metric("twamp_control_decided_again_total")
        print(f"# {USES} of {SOME} agents were in after {took_s:.1f} s, with {again:.0f} decisions that were made again")


def twins(lab):
    """How it went for each of the two: "in", what it was refused by, or None."""
    found = []
    for name in ["a1", "a2"]:
        p = lab.agents[name]
        refused = not p.alive() and p.said("another key is enrolled under the name twin")
        found.append("in" if p.said("this agent has a certificate") else "refused" if refused else None)
    return found


def test_one_name_at_both(build):
    """Two with different keys call themselves the same, at two controllers at the same moment: one of them is in, at both; and the other one when
    that one was removed, by the controller where it is not connected."""
    with Fleet(build, ["a1", "a2"]) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = start(lab, ch, etcd)
        text = token(second, "--approve", "--uses", "3")
        is_known_at(lab, text)
        urls = {"a1": FIRST, "a2": SECOND}
        for name, url in urls.items():
            join(lab, name, url, text, "--name", "twin")
        wait("one to be in and the other one to be refused", lambda: sorted(str(x) for x in twins(lab)) == ["in", "refused"])
        inside, outside = ("a1", "a2") if twins(lab)[0] == "in" else ("a2", "a1")
        mine, other = (lab, second) if inside == "a1" else (second, lab)
        wait("it to be up", lambda: agent(mine, "twin")["state"] == "up")
        key = agent(mine, "twin")["fingerprint"]
        wait("it to be the one at the other controller, too", lambda: agent(other, "twin").get("fingerprint") == key, SOON_S)
        expect(lab.agents.pop(outside).popen.wait(5) == 1, "who is refused ends otherwise")
        other.ctl("agent", "remove", "twin", "--yes")
        wait("it to be cut off", lambda: lab.agents[inside].said("does not want this agent"), SOON_S)
        lab.agents.pop(inside).kill()
        wait("it to be gone at both", lambda: all(agent(w, "twin")["state"] == "unknown" for w in (lab, second)), SOON_S)
        join(lab, outside, urls[outside], text, "--name", "twin")
        wait("the other one to be up", lambda: agent(other, "twin")["state"] == "up")
        wait("both to know it by its key", lambda: agent(mine, "twin").get("fingerprint") == agent(other, "twin")["fingerprint"] != key, SOON_S)


def test_join_where_one_is_cut_off(build):
    """From etcd, before the token was made: who comes to that one first is let in by the other, and comes to it when it knows."""
    with Fleet(build, ["a1", LATE]) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = start(lab, ch, etcd, etcd.location(host="127.0.0.2"))
        cut(lab)
        wait("the second to say that it is cut off", second.problems)
        join(lab, LATE, f"{SECOND},{FIRST}", token(lab, "--approve"))
        wait("it to be up at the first", lambda: agent(lab, LATE)["state"] == "up")
        expect(lab.agents[LATE].said("127.0.0.2:2379/tw cannot be used"), "it was not the second that was asked first")
        heal(lab)
        wait("the second to be ready", lambda: not second.problems(), 30)
        wait("the second to know it", lambda: agent(second, LATE)["state"] != "unknown", SOON_S)
        lab.agents[LATE].stop()
        lab.start_agent(LATE, "--controller", SECOND)
        wait("it to be let in there by its certificate", lambda: agent(second, LATE)["state"] == "up")
