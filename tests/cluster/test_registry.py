"""Which controllers there are: each shows all of one etcd, whichever way one goes, and says when two have one name."""
import json
import signal
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, Process, expect, sh, wait
from meshes import full
from test_away import TWO, Fleet

SEEN_S = 5      # what one says of itself is at the other; far less is usual
GONE_S = 20     # the lease has 6 s, and etcd takes its time
AT = f"{NET4}.{CONTROLLER}"


class Controller:
    """One more controller in the lab's namespace, at ports of its own."""

    def __init__(self, lab, name, n, *databases, folder=None):
        self.lab, self.name, self.n, self.databases = lab, name, n, databases
        self.admin, self.http = f"ipc://{lab.dir}/c{n}.sock", f"http://{AT}:{8080 + n}"
        self.url, self.folder, self.process = f"tcp://{AT}:{8630 + n}", folder or f"{lab.dir}/c{n}", None

    def start(self, *extra):
        lab = self.lab
        self.process = Process([f"{lab.build}/controller/twamp-controller", "--listen", self.url, "--allow-plaintext", "--admin-listen", self.admin,
                                "--http", self.http[len("http://"):], "--http-plaintext", "--open-metrics", "--data-dir", self.folder, "--name", self.name,
                                *self.databases, *extra], f"{lab.dir}/c{self.n}.log", ns=lab.ns("ctl"))
        lab.agents[f"controller-{self.n}"] = self.process # which are ended with the lab
        wait(f"controller {self.n} to be ready", lambda: self.get("/readyz"))
        return self

    def get(self, path, check=False, token=None):
        return self.lab.exec("ctl", "curl", "-sf", "-m", "5", *self.lab.bearer(token), self.http + path, check=check)

    def ctl(self, *args, check=True):
        return sh(f"{self.lab.build}/controller/cli/twampctl", "--controller", self.admin, *args, check=check)

    def metric(self, name):
        return float(next(x.split()[1] for x in self.get("/metrics", True).splitlines() if x.startswith(name + " ")))

    def kill(self):
        self.process.popen.kill()
        self.process.popen.wait()
        del self.lab.agents[f"controller-{self.n}"]

    def end(self):
        expect(self.process.stop() == 0, "the controller did not end cleanly")
        del self.lab.agents[f"controller-{self.n}"]


def all_of(who):
    """What one says of all, by name (those of one name in a list)."""
    found = {}
    for c in json.loads(who.ctl("-o", "json", "status")).get("controllers", []):
        found.setdefault(c["name"], []).append(c)
    return found


def states(who):
    return {name: [c["state"] for c in v] for name, v in all_of(who).items()}


def timed(what, condition, seconds):
    began = time.monotonic()
    wait(what, condition, seconds)
    print(f"# {what}: after {time.monotonic() - began:.1f} s")


def databases(lab, ch, etcd):
    ch.start()
    etcd.start()
    return ["--history", ch.location(), "--control", etcd.location()]


def test_who_is_there(build):
    """Two see each other, with all that they say; one is killed, stands still, ends; its name stays until it is back."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        where = databases(lab, ch, etcd)
        a, b = Controller(lab, "one", 1, *where).start(), Controller(lab, "two", 2, *where)
        wait("one to know itself", lambda: states(a) == {"one": ["up"]}, SEEN_S)
        b.start("--advertise", "198.51.100.2", "--advertise", "https://two.example.net")
        timed("each to know both", lambda: states(a) == states(b) == {"one": ["up"], "two": ["up"]}, SEEN_S)
        two = all_of(a)["two"][0]
        expect(two["agents_address"] == "tcp://198.51.100.2:8632" and two["http_address"] == "https://two.example.net" and not two["admin_address"],
               f"addresses of two: {two}")
        expect(all_of(a)["one"][0]["http_address"] == a.http and all_of(a)["one"][0]["self"] and not two["self"], f"{all_of(a)}")
        wait("one planner", lambda: [c["name"] for v in all_of(b).values() for c in v if c["planner"]] == ["one"], SEEN_S)
        lab.start_agent("a1", "--controller", b.url)
        wait("the other's agents to be counted", lambda: all_of(a)["two"][0]["agents"] == 1, SEEN_S)
        expect(a.metric('twamp_controllers{state="up"}') == 2 and not a.metric("twamp_controllers_other_release"), "metrics")
        b.kill()
        timed("one that was killed to be missing", lambda: states(a)["two"] == ["missing"], GONE_S)
        expect("controller two" in a.ctl("doctor", check=False) and "missing" in a.ctl("status"), "doctor and status say so")
        expect(a.metric('twamp_controllers{state="missing"}') == 1, "the metric says so")
        expect(a.get("/readyz"), "one is ready, whoever is missing")
        b.start()
        timed("it to be back, once", lambda: states(a)["two"] == ["up"], SEEN_S)
        b.process.popen.send_signal(signal.SIGSTOP)
        timed("one that stands still to be missing", lambda: states(a)["two"] == ["missing"], GONE_S)
        b.process.popen.send_signal(signal.SIGCONT)
        timed("it to be back, too", lambda: states(a)["two"] == ["up"] and states(b) == states(a), SEEN_S + 5)
        b.end()
        timed("one that ended to be known as that", lambda: states(a)["two"] == ["ended"], SEEN_S)
        expect("controller two" not in a.ctl("doctor", check=False), "nothing is wrong with one that ended by itself")


def targets(who):
    return json.loads(who.get("/api/v1/sd", True))


def test_scrape_all(build):
    """Any controller lists the pages of all, and scraped by that list each pair is there once."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        where = databases(lab, ch, etcd)
        a, b = Controller(lab, "one", 1, *where).start("--auto-approve"), Controller(lab, "two", 2, *where).start("--auto-approve")
        wait("each to know both", lambda: states(a) == states(b) == {"one": ["up"], "two": ["up"]}, SEEN_S)
        for name, c in zip(TWO, [a, b]):
            lab.start_agent(name, "--controller", c.url)
        for c in [a, b]:
            wait("all agents to be known", lambda: set(TWO) <= {x["name"] for x in json.loads(c.ctl("-o", "json", "agent", "list"))["agents"]})
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full(TWO))
        a.ctl("schedule", "apply", "-f", f.name)
        listed = targets(a)
        expect([x["labels"]["instance"] for x in listed] == [f"{AT}:8081", f"{AT}:8081/lab", f"{AT}:8082", f"{AT}:8082/lab"], f"{listed}")
        wait("the other to list the same", lambda: targets(b) == listed, SEEN_S)

        def scraped():
            pairs = []
            for t in listed:
                parameter = next(f"{k[len('__param_'):]}={v}" for k, v in t["labels"].items() if k.startswith("__param_"))
                page = lab.exec("ctl", "curl", "-sf", "-m", "5", f"http://{t['targets'][0]}{t['labels']['__metrics_path__']}?{parameter}")
                pairs += [x.split(" ")[0].partition(",status=")[0] for x in page.splitlines() if x.startswith("twamp_pair_status{") and x.endswith(" 1")]
            expect(len(pairs) == len(set(pairs)), f"twice: {pairs}")
            return {x.split("source=")[1][1:3] for x in pairs} == set(TWO)

        wait("pairs of all agents, each once", scraped, 30)
        b.kill()
        wait("the other to be missing", lambda: states(a)["two"] == ["missing"], GONE_S)
        expect(targets(a) == listed, "one that is missing is listed, so that Prometheus finds it missing")
        b.start()
        wait("it to be back", lambda: states(a)["two"] == ["up"], SEEN_S)
        b.end()
        wait("one that ended to be listed no more", lambda: [x["targets"][0] for x in targets(a)] == [f"{AT}:8081"] * 2, SEEN_S)


def agents(who):
    return {x["name"]: x for x in json.loads(who.ctl("-o", "json", "agent", "list"))["agents"]}


def where(who):
    """(state, controller) of each agent."""
    return {name: (x["state"], x["controller"]) for name, x in agents(who).items()}


def pair_states(who, token):
    """By source, as the API says it."""
    found = {}
    for p in json.loads(who.get("/api/v1/pairs", True, token))["pairs"]:
        found.setdefault(p["source"], set()).add(p["state"])
    return found


def test_agents_elsewhere(build):
    """An agent is up at whichever controller one asks, which says where it is; its pairs are not down; who dies has none any more."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        these = databases(lab, ch, etcd)
        a, b = Controller(lab, "one", 1, *these).start("--auto-approve"), Controller(lab, "two", 2, *these).start("--auto-approve")
        for name, c in zip(TWO, [a, b]):
            lab.start_agent(name, "--controller", c.url)
        both = {"a1": ("up", "one"), "a2": ("up", "two")}
        for c in [a, b]:
            timed("both to be up, and where", lambda: where(c) == both, SEEN_S)
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full(TWO))
        applied = a.ctl("schedule", "apply", "-f", f.name)
        expect(", 1 is connected to other controllers" in applied, f"apply says nothing of the other's agent: {applied}")
        token = a.ctl("access", "token", "create", "--role", "viewer", "--name", "test").strip()
        wait("pairs of the other to be elsewhere", lambda: pair_states(a, token).get("a2") == {"elsewhere"} and pair_states(b, token).get("a1") == {"elsewhere"}, 30)
        status = json.loads(a.ctl("-o", "json", "status"))
        expect((status["agents_up"], status["agents_down"]) == (2, 0), f"{status['agents_up']} up, {status['agents_down']} down")
        expect("two" in a.ctl("-o", "wide", "agent", "list") and "Controller" in a.ctl("agent", "show", "a2"), "people see it, too")
        expect('agent-down' not in a.ctl("doctor", "-o", "json", check=False), "doctor takes nobody for down")
        lab.agents.pop("a2").kill()
        timed("one that went to be down at both", lambda: where(a)["a2"] == where(b)["a2"] == ("down", None), SEEN_S)
        lab.start_agent("a2", "--controller", a.url)
        wait("one that moved to be where it is now", lambda: where(a)["a2"] == where(b)["a2"] == ("up", "one"), SEEN_S)
        b.kill()
        a.kill()
        b.start()
        timed("agents of one that was killed to be down at the other", lambda: where(b)["a1"] == ("down", None), GONE_S)


DOWN = """rules:
  down: { metric: agent_down, warning: { raise: 3s } }
receivers:
  log: { command: [/bin/true] }
routes:
  - { receiver: log }
"""


def alerts_of(who, agent):
    """States of the alerts about it, those that are over, too."""
    listed = json.loads(who.ctl("-o", "json", "alert", "list", "--state", "all"))["alerts"]
    return sorted(x["state"] for x in listed if agent in (x["source"], x["subject"]))


def shown_pairs(who, source):
    return {x.split(" ")[0].partition(",status=")[0] for x in who.get("/metrics?level=pair", True).splitlines()
            if x.startswith("twamp_pair_status{") and f'source="{source}"' in x}


def told(*who):
    return sum(c.metric("twamp_alert_notices_sent_total") for c in who)


def one_each(lab, these):
    """The planner, and another one, with an agent each, a mesh of both, and an alert for one that is down."""
    a, b = Controller(lab, "one", 1, *these).start("--auto-approve"), Controller(lab, "two", 2, *these).start("--auto-approve")
    wait("the planner", lambda: all_of(a)["one"][0]["planner"], SEEN_S)
    with open(f"{lab.dir}/alerts.yaml", "w") as f:
        f.write(DOWN)
    a.ctl("alert", "apply", "-f", f.name)
    for name, c in zip(TWO, [a, b]):
        lab.start_agent(name, "--controller", c.url)
    wait("both agents", lambda: where(a) == where(b) == {"a1": ("up", "one"), "a2": ("up", "two")}, SEEN_S)
    with open(f"{lab.dir}/mesh.yaml", "w") as f:
        f.write(full(TWO))
    a.ctl("schedule", "apply", "-f", f.name)
    return a, b


def test_agents_of_a_dead_controller(build):
    """The planner judges them: alerts fire and end, once, wherever they are noticed, and their pairs are on its page. One that stood still and goes on is no
    second judge."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        a, b = one_each(lab, databases(lab, ch, etcd))
        wait("its pairs to be on the page of its controller alone", lambda: shown_pairs(b, "a2") and not shown_pairs(a, "a2"), 20)
        b.process.popen.send_signal(signal.SIGSTOP)
        timed("the planner to tell of its agent", lambda: alerts_of(a, "a2") == ["firing"], 120)
        timed("and to show its pairs", lambda: shown_pairs(a, "a2"), 20)
        wait("that to be told once", lambda: told(a) == 1)
        b.process.popen.send_signal(signal.SIGCONT)
        timed("its controller to find it again", lambda: alerts_of(a, "a2") == alerts_of(b, "a2") == ["resolved"], 40)
        wait("its pairs to be on its page alone again", lambda: shown_pairs(b, "a2") and not shown_pairs(a, "a2"), 20)
        wait("its end to be told once", lambda: told(a, b) == 2)
        b.kill()
        timed("the planner to tell of it again", lambda: alerts_of(a, "a2") == ["firing", "resolved"], 60)


def test_an_agent_comes_after_its_controller_died(build):
    """Its alert, of whoever judged it meanwhile, is over."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        a, b = one_each(lab, databases(lab, ch, etcd))
        wait("its pairs", lambda: shown_pairs(b, "a2"), 20)
        b.kill()
        timed("the planner to tell that its agent is down", lambda: alerts_of(a, "a2") == ["firing"], 60)
        lab.agents["a2"].kill()
        lab.start_agent("a2", "--controller", a.url)
        timed("the end of that, when it comes", lambda: alerts_of(a, "a2") == ["resolved"], 40)


def test_agents_that_nobody_has(build):
    """An agent that is not there when all controllers start is judged, and shown, by one of them."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        these = databases(lab, ch, etcd)
        a, b = Controller(lab, "one", 1, *these).start("--auto-approve"), Controller(lab, "two", 2, *these).start("--auto-approve")
        for name, c in zip(TWO, [a, b]):
            lab.start_agent(name, "--controller", c.url)
        wait("both agents", lambda: set(where(a)) == set(TWO))
        with open(f"{lab.dir}/mesh.yaml", "w") as f:
            f.write(full(TWO))
        a.ctl("schedule", "apply", "-f", f.name)
        wait("its pairs", lambda: shown_pairs(b, "a2"), 20)
        a.end()
        b.end()
        lab.agents.pop("a2").kill()
        a.start()
        b.start()

        def once():
            one, two = shown_pairs(a, "a2"), shown_pairs(b, "a2")
            return (one or two) and not (one & two)

        timed("its pairs to be on one page", once, 30)
        judge, other = (a, b) if shown_pairs(a, "a2") else (b, a)
        lab.start_agent("a2", "--controller", other.url)
        timed("to be on that of the controller that it comes to", lambda: shown_pairs(other, "a2") and not shown_pairs(judge, "a2"), 20)


def test_one_name(build):
    """Two of one name are both shown, and both say it; one that was killed and starts again is no second one."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        where = databases(lab, ch, etcd)
        a = Controller(lab, "one", 1, *where).start()
        wait("one to know itself", lambda: states(a) == {"one": ["up"]}, SEEN_S)
        a.kill()
        a.start()
        seen = time.monotonic()
        while time.monotonic() < seen + 4:
            expect(states(a).get("one", ["up"]) == ["up"], f"its own life before counts: {states(a)}")
        b = Controller(lab, "one", 2, *where).start()
        for c in [a, b]:
            wait("both to be shown", lambda: states(c) == {"one": ["up", "up"]} and all(x["twin"] for x in all_of(c)["one"]), SEEN_S)
            wait("it to be a warning", lambda: "another controller has the name one" in c.ctl("status"), SEEN_S)
            expect("controller-twins" in c.ctl("doctor", "-o", "json", check=False), "doctor tells it")
            expect(c.metric("twamp_controllers_of_one_name") == 2, "the metric tells it")
        b.end()
        wait("nothing to be wrong any more", lambda: states(a) == {"one": ["up"]} and "another controller" not in a.ctl("status"), SEEN_S)


def test_etcd_goes_and_comes(build):
    """While etcd is away all stay as they were seen last, and nobody is missing when it is back."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        where = databases(lab, ch, etcd)
        a, b = Controller(lab, "one", 1, *where).start(), Controller(lab, "two", 2, *where).start()
        both = {"one": ["up"], "two": ["up"]}
        wait("each to know both", lambda: states(a) == states(b) == both, SEEN_S)
        etcd.kill()
        wait("its absence to be seen", lambda: "control state" in a.ctl("status"))
        expect(states(a) == both, "nobody is missing because etcd is")
        etcd.start()
        wait("both to be well", lambda: a.get("/readyz") and b.get("/readyz"), 30)
        wait("each to know both again", lambda: states(a) == states(b) == both, GONE_S)
