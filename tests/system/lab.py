"""A fleet of real binaries in network namespaces of its own: one for the controller, one per agent, one for the switch.

Nothing outside these namespaces is touched. Everything waits for conditions with a deadline; nothing sleeps for luck.
"""
import csv
import io
import json
import os
import signal
import subprocess
import tempfile
import time

NET4 = "10.99.77"
NET6 = "fd99:77:"
CONTROLLER = 1
FIRST_AGENT = 11


class Failure(Exception):
    """A test's expectation that did not hold."""


def sh(*args, check=True, **kw):
    """Runs a command and returns its standard output."""
    done = subprocess.run(args, capture_output=True, text=True, **kw)
    if check and done.returncode:
        raise Failure(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait(what, condition, seconds=20.0):
    """Polls until condition() is true and returns its value; says what was awaited and last seen otherwise."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (Failure, json.JSONDecodeError, subprocess.TimeoutExpired) as e:
            last = e
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:.0f} s for {what}; last seen: {str(last)[:500]}")
        time.sleep(0.05)


def expect(condition, text):
    if not condition:
        raise Failure(text)


def given(args, extra):
    """args and extra, without the options (and their values) of args that stand in extra, too: a daemon refuses what is given twice.
    Those that may be given several times stay."""
    again, kept = {x for x in extra if x.startswith("--")} - {"--label", "--reflect"}, []
    for i, x in enumerate(args):
        if x not in again and not (i and args[i - 1] in again and not x.startswith("--")):
            kept.append(x)
    return [*kept, *extra]


class Process:
    """A daemon of ours: started in a namespace, logged to a file, ended by its number."""

    def __init__(self, args, log, ns=None, env=None, **kw):
        prefix = ["ip", "netns", "exec", ns] if ns else []
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(prefix + args, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(env or {})}, **kw)

    def alive(self):
        return self.popen.poll() is None

    def said(self, text):
        with open(self.log, errors="replace") as f:
            return text in f.read()

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=10):
        """SIGTERM; returns the exit code."""
        if self.alive():
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"did not end within {seconds} s of SIGTERM: {self.tail()}")

    def tail(self, n=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-n:])


class Lab:
    """with Lab(build, ["a1", "a2"]) as lab: ..."""

    made = 0

    def __init__(self, build, agents, port=862):
        Lab.made += 1
        self.build = os.path.abspath(build)
        self.names = list(agents)
        self.port = port
        self.tag = f"tw{os.getpid() % 100000}x{Lab.made}"
        self.dir = tempfile.mkdtemp(prefix="twlab-")
        self.admin = f"ipc://{self.dir}/ctl.sock"
        self.scheme, self.curl = "http", []  # of the controller's HTTP; arguments of curl
        self.token, self.tokens_made = None, 0
        self.controller = None
        self.agents = {}
        self.namespaces = []

    # ---- network ----

    def ns(self, who):
        return f"{self.tag}-{who}"

    def ip4(self, name):
        return f"{NET4}.{FIRST_AGENT + self.names.index(name)}"

    def ip6(self, name):
        return f"{NET6}:{FIRST_AGENT + self.names.index(name)}"

    def add_ns(self, who):
        ns = self.ns(who)
        sh("ip", "netns", "add", ns)
        self.namespaces.append(ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
        return ns

    def plug(self, who, host):
        ns, port = self.add_ns(who), f"p{host}"
        sh("ip", "-n", self.ns("sw"), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns)
        sh("ip", "-n", self.ns("sw"), "link", "set", port, "master", "br0", "up")
        sh("ip", "-n", ns, "addr", "add", f"{NET4}.{host}/24", "dev", "eth0")
        sh("ip", "-n", ns, "addr", "add", f"{NET6}:{host}/64", "dev", "eth0", "nodad")
        sh("ip", "-n", ns, "link", "set", "eth0", "up")

    def exec(self, who, *args, **kw):
        return sh("ip", "netns", "exec", self.ns(who), *args, **kw)

    def nft(self, who, text):
        """Loads rules in an agent's namespace."""
        self.exec(who, "nft", "-f", "-", input=text)

    def count(self, who, name, match):
        """Counts packets that arrive in an agent's namespace and match; see counter()."""
        self.nft(who, f"""
            table inet lab {{
              counter {name} {{ }}
              chain in {{
                type filter hook prerouting priority 0
                {match} counter name {name}
              }}
            }}""")

    def counter(self, who, name, table="lab"):
        """Packets of a named nftables counter."""
        data = json.loads(self.exec(who, "nft", "-j", "list", "counter", "inet", table, name))
        return next(x["counter"]["packets"] for x in data["nftables"] if "counter" in x)

    # ---- life ----

    def __enter__(self):
        try:
            sw = self.add_ns("sw")
            sh("ip", "-n", sw, "link", "add", "br0", "type", "bridge")
            sh("ip", "-n", sw, "link", "set", "br0", "up")
            self.plug("ctl", CONTROLLER)
            for i, name in enumerate(self.names):
                self.plug(name, FIRST_AGENT + i)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for who, p in [("controller", self.controller), *self.agents.items()]:
                if p:
                    print(f"# ---- {who}\n" + "".join(f"# {line}\n" for line in p.tail().splitlines()))
        ended = self.end_programs(clean=kind is None)
        for ns in self.namespaces:
            sh("ip", "netns", "del", ns, check=False)
        sh("rm", "-rf", self.dir, check=False)
        if ended:
            raise Failure(ended)

    def end_programs(self, clean):
        """Ends what runs. Clean: by SIGTERM, and says what went wrong: an exit code, or a sanitizer's report in a log."""
        wrong = ""
        for who, p in [*self.agents.items(), ("controller", self.controller)]:
            if not p:
                continue
            if p.alive() and clean:
                try:
                    code = p.stop()
                    wrong += f"{who} ended with {code}: {p.tail()}\n" if code else ""
                except Failure as e:
                    wrong += f"{who} {e}\n"
            elif p.alive():
                p.kill()
            with open(p.log, errors="replace") as f:
                reports = [x for x in f if "Sanitizer" in x or "runtime error" in x]
            wrong += f"{who}: {reports[0]}" if reports else ""
        return wrong

    # ---- programs ----

    def program(self, who, args):
        """The command that runs as `who`; tests of faults put something before it."""
        return args

    def start_controller(self, *extra, ready=None):
        self.controller = Process(self.program("controller", given(
            [f"{self.build}/controller/twamp-controller", "--listen", f"tcp://{NET4}.{CONTROLLER}:8620", "--allow-plaintext",
             "--admin-listen", self.admin, "--http", f"{NET4}.{CONTROLLER}:8080", "--http-plaintext", "--open-metrics", "--data-dir", f"{self.dir}/controller",
             "--name", "lab"], extra)), f"{self.dir}/controller.log", ns=self.ns("ctl"))
        wait("the controller to be ready" if ready is None else "the controller to end", ready or self.ready)

    def ready(self):
        expect(self.controller.alive(), f"the controller ended: {self.controller.tail()}")
        return self.http("/readyz", check=False)[0] == 200 and self.let_in()

    def let_in(self):
        """An admin's token for our own requests, once for a database."""
        if not self.token or self.http("/api/v1/status", check=False)[0] == 401:
            self.tokens_made += 1
            self.token = self.ctl("access", "token", "create", "--role", "admin", "--name", f"lab-{self.tokens_made}").strip()
        return True

    def bearer(self, token=None):
        """Arguments of curl: who asks."""
        token = token or self.token
        return ["-H", f"Authorization: Bearer {token}"] if token else []

    def start_agent(self, name, *extra, address=None, key_from=None):
        address = address or self.ip4(name)
        reflect = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        data = f"{self.dir}/{key_from or name}"
        self.agents[name] = Process(self.program(name, given(
            [f"{self.build}/agent/twamp-agent", "--name", name, "--label", f"site={name}", "--controller",
             f"tcp://{NET4}.{CONTROLLER}:8620", "--allow-plaintext", "--data-dir", data, "--reflect", reflect,
             "--advertise", address], extra)), f"{self.dir}/{name}.log", ns=self.ns(name))

    def start_fleet(self, **kw):
        self.start_controller()
        for name in self.names:
            self.start_agent(name, **{k: v(name) for k, v in kw.items()})
        self.approve_all()

    def approve_all(self):
        wait("every agent to be known", lambda: {a["name"] for a in self.agent_list()} >= set(self.names))
        for name in self.names:
            wait(f"{name} to be approved", lambda n=name: self.ctl("agent", "approve", n))
        wait("every agent to be up", lambda: all(a["state"] == "up" for a in self.agent_list()))

    # ---- asking ----

    def ctl_run(self, *args, **kw):
        """twampctl as a user runs it: (exit code, stdout, stderr)."""
        done = subprocess.run([f"{self.build}/controller/cli/twampctl", "--controller", self.admin, *args],
                              capture_output=True, text=True, timeout=60, **kw)
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *args, **kw):
        code, out, err = self.ctl_run(*args, **kw)
        if code:
            raise Failure(f"twampctl {' '.join(args)}: exit {code}: {err.strip()} {out.strip()[-300:]}")
        return out

    def csv(self, *args):
        return list(csv.DictReader(io.StringIO(self.ctl("-o", "csv", *args))))

    def json(self, *args):
        return json.loads(self.ctl("-o", "json", *args))

    def agent_list(self):
        return self.csv("agent", "list")

    def http(self, path, check=True):
        """(status, body) of the controller's HTTP."""
        who = [] if path == "/readyz" else self.bearer()  # it is open, but not to a token of a database that is gone
        out = self.exec("ctl", "curl", "-s", "-m", "30", "-w", "\n%{http_code}", *self.curl, *who,
                        f"{self.scheme}://{NET4}.{CONTROLLER}:8080{path}", check=check)
        body, _, status = out.rpartition("\n")
        if check:
            expect(status == "200", f"GET {path}: {status}: {body[:300]}")
        return int(status or 0), body

    def api(self, path):
        return json.loads(self.http(path)[1])

    def apply(self, document, *extra):
        path = f"{self.dir}/mesh.yaml"
        with open(path, "w") as f:
            f.write(document)
        return self.ctl("schedule", "apply", "-f", path, *extra)

    def spool(self, name):
        """Summaries that an agent holds back, as of its last health report."""
        agent = next(a for a in self.api("/api/v1/agents")["agents"] if a["name"] == name)
        return agent["health"]["spool_summaries"] if agent["health"] else 0

    def results(self, *args):
        """Every stored summary that matches, in order of pair and time, as the API tells it."""
        query = "&".join(["limit=100000", "from=-1d", *args])
        return self.api(f"/api/v1/summaries?{query}")["summaries"]


def sigstop(p):
    os.kill(p.popen.pid, signal.SIGSTOP)
