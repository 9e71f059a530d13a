"""docs/cluster.md as it stands there, on hosts of its own: one controller becomes three, what is gone for good is replaced, and the way back. A fleet measures all
the while, and no result is lost, doubled or altered."""
import json
import pathlib
import re
import time

from doc_rig import TOP, World, in_order
from lab import Failure, expect, sh, wait
from meshes import by_pair, full

DOCUMENT = "docs/cluster.md"
CONTROLLERS, AGENTS, STORE = ["ctl-1", "ctl-2", "ctl-3"], ["ams-1", "fra-1"], "ch-1"
NET = "192.0.2"
HOSTS = [*CONTROLLERS, STORE, *AGENTS]
PROMPT = re.compile(r"^((?:[a-z]+-\d(?:, )?)+)\$ (.*)$")
ASKS = re.compile(r"^(twampctl (--context \S+ )?(agent list|schedule list|report|status)|(printf [^|]*\| )?curl|etcdctl endpoint|twamp-agent --config)")
SOON_S = 60
EXAMPLES = "/usr/share/doc/twampmesh-controller/examples"

# What a host has before the recipe begins. systemctl does what the units say (units.py); apt does what Debian's packages do besides their files.
HOST = f"""
mkdir -p /run/bin /var/log/clickhouse-server /root/.config {EXAMPLES}
cp %(build)s/controller/twamp-controller %(build)s/controller/cli/twampctl %(build)s/agent/twamp-agent /run/bin/
export PATH=/run/bin:$PATH HOME=/root
systemctl() {{ /usr/bin/python3 {TOP}/tests/cluster/units.py "$@"; }}
systemctl_no_block() {{ (systemctl "$@" >/dev/null 2>&1 &) }}
cp -r {TOP}/deploy/cluster {EXAMPLES}/
install -d -m 755 /etc/twampmesh
useradd --system --no-create-home _twampmesh-controller 2>/dev/null
useradd --system --no-create-home _twampmesh-agent 2>/dev/null
install -d -o _twampmesh-controller -m 700 /var/lib/twampmesh-controller
apt() {{
    case "$*" in
    *etcd-server*) rm -rf /var/lib/etcd /etc/default/etcd; install -d -o etcd -m 700 /var/lib/etcd; systemctl start etcd ;;
    *clickhouse-server*) rm -rf /var/lib/clickhouse; install -d -o clickhouse -m 700 /var/lib/clickhouse; chown clickhouse /var/log/clickhouse-server; systemctl start clickhouse-server ;;
    esac
}}
true
"""
ONE = """listen: tls+tcp://0.0.0.0:8620
admin-tls: tls+tcp://0.0.0.0:8621
http: 0.0.0.0:8443
http-tls-cert: /var/lib/twampmesh-controller/ca/server.pem
http-tls-key: /var/lib/twampmesh-controller/ca/server.pem
"""
AGENT = """name: {name}
controller: tls+tcp://ctl-1.example.net:8620
join-token-file: /etc/twampmesh/join.token
reflect: {address}:20862
advertise: {address}
http: 127.0.0.1:9862
"""


class Host(World):
    OVERLAYS = ["/etc", "/var/lib", "/usr/share/doc", "/var/log", "/root"]


class Site:
    """All hosts, on one switch."""

    def __init__(self, build):
        self.build, self.hosts, self.switch, self.token = build, {}, None, None

    def __enter__(self):
        try:
            for i, name in enumerate(HOSTS):
                self.hosts[name] = Host(self.build, name=name).__enter__()
                self.plug(name, i + 1)
            for h in self.hosts.values():
                h.run("cat >/etc/hosts <<'EOF'\n127.0.0.1 localhost\n" + "".join(f"{NET}.{i + 1} {n}.example.net {n}\n" for i, n in enumerate(HOSTS)) + "EOF")
                h.run(HOST % {"build": h.env["PATH"].split(":")[0].removesuffix("/controller/cli")})
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def plug(self, name, number):
        ns = self.hosts[name].ns
        if not self.switch:
            self.switch = f"{ns}-sw"
            sh("ip", "netns", "add", self.switch)
            sh("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
            sh("ip", "-n", self.switch, "link", "set", "br0", "up")
        sh("ip", "-n", self.switch, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", ns)
        sh("ip", "-n", self.switch, "link", "set", f"p{number}", "master", "br0", "up")
        sh("ip", "-n", ns, "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
        sh("ip", "-n", ns, "link", "set", "eth0", "up")

    def __exit__(self, kind, value, trace):
        if kind:
            for name, h in self.hosts.items():
                print(f"# ---- {name}\n" + "".join(f"# {x[:240]}\n" for x in h.run("tail -n 4 /run/units/*.log 2>&1", code=None).splitlines()))
        for h in self.hosts.values():
            h.__exit__(None, None, None)
        if self.switch:
            sh("ip", "netns", "del", self.switch, check=False)

    # ---- The fleet before the recipe ----

    def begin(self):
        first = self.hosts["ctl-1"]
        first.run("twampctl ca init --name ctl-1.example.net\nchown -R _twampmesh-controller: /var/lib/twampmesh-controller")
        first.run(f"cat >/etc/twampmesh/controller.yaml <<'EOF'\n{ONE}EOF\nsystemctl start twamp-controller")
        token = first.run("twampctl token create --uses 5 --approve 2>/dev/null").strip()
        for name in AGENTS:
            address = f"{NET}.{HOSTS.index(name) + 1}"
            self.hosts[name].run(f"cat >/etc/twampmesh/agent.yaml <<'EOF'\n{AGENT.format(name=name, address=address)}EOF\n"
                                 f"echo {token} >/etc/twampmesh/join.token; chown _twampmesh-agent /etc/twampmesh/join.token; systemctl start twamp-agent")
        wait("agents to be up", lambda: first.run("twampctl agent list").count(" up ") == len(AGENTS), SOON_S)
        first.run(f"cat >/root/mesh.yaml <<'EOF'\n{full(AGENTS)}\nEOF\ntwampctl schedule apply -f /root/mesh.yaml")
        self.token = first.run("twampctl access token create --role viewer --name test 2>/dev/null").strip()
        wait("first results", lambda: len(self.results("ctl-1")) >= 8, SOON_S)

    def results(self, host):
        """Every stored summary, as the API of one controller tells it."""
        out = self.hosts[host].run(f"curl -sf -m 20 --cacert /var/lib/twampmesh-controller/ca/ca.pem -H 'Authorization: Bearer {self.token}' "
                                   f"'https://{host}.example.net:8443/api/v1/summaries?limit=100000&from=-1d&mesh=lab'")
        return json.loads(out)["summaries"]

    def past(self, host, moment_ns):
        """Every pair has a result of after the moment."""
        mine = by_pair(self.results(host))
        return len(mine) == 4 and all(rows[-1]["start_ns"] > moment_ns for rows in mine.values())

    def judge(self, host, before, what):
        """Fresh results come, nothing that was there is gone or different, and there is neither a hole nor anything twice. What came after a copy that was put back is
        delivered again."""
        now, idents = time.time_ns(), {ident(r) for r in before}
        wait(f"results of all pairs at {host} after {what}", lambda: self.past(host, now), SOON_S)
        wait(f"all results that were there before {what}", lambda: idents <= {ident(r) for r in self.results(host)}, SOON_S)
        rows = self.results(host)
        follow_each_other(rows)
        there = {ident(r): r for r in rows}
        for r in before:
            expect(there.get(ident(r)) == r, f"{what}: {r} has become {there.get(ident(r))}")
        print(f"# {what}: {len(rows)} results at {host}, of which {len(before)} were there before")
        return rows


def follow_each_other(rows):
    """Summaries of a session without a hole and none twice; one of an agent that was restarted begins with 0. While its target is restarted probes cannot be sent: then
    numbers go on with a jump, but no time is missing."""
    for key, mine in by_pair(rows).items():
        expect(len({ident(r) for r in mine}) == len(mine), f"{key}: stored twice")
        for a, b in zip(mine, mine[1:]):
            fresh = b["seq_first"] == 0
            expect(a["end_ns"] <= b["start_ns"] if fresh else a["end_ns"] == b["start_ns"], f"{key}: hole or overlap between {a} and {b}")
            expect(fresh or a["seq_first"] + a["sent"] <= b["seq_first"], f"{key}: numbers go back between {a} and {b}")


def ident(r):
    return r["source"], r["target"], r["class"], r["start_ns"], r["seq_first"]


def only_members_get_in(site):
    """Who shows a certificate to a member of etcd as one of them: that of a member does it, ClickHouse's does not."""
    ask = "curl -s --http1.1 -o /dev/null -m 10 --cacert /root/server/ca.crt --cert /root/server/server.crt --key /root/server/server.key -w '%{http_code}' https://ctl-1.example.net:2380/members"
    said = {h: site.hosts[h].run(ask, code=None)[-3:] for h in ("ctl-2", STORE)}
    expect(said == {"ctl-2": "200", STORE: "000"}, f"members let in: {said}")


# ---- The document ----


def sections():
    """[(heading, [(hosts, command, [line shown])])]"""
    out, block, shown = [("", [])], False, None
    for line in (TOP / DOCUMENT).read_text().splitlines():
        if line.startswith("## "):
            out.append((line[3:], []))
        elif line.startswith("```"):
            block = line == "```console"
        elif block and PROMPT.match(line):
            hosts, command = PROMPT.match(line).groups()
            shown = []
            out[-1][1].append((hosts.split(", "), command, shown))
        elif block:
            shown.append(line)
    return [(heading, steps) for heading, steps in out if steps]


def copy(site, host, command):
    """scp, between hosts that are namespaces of one machine: by a file in what they share."""
    words = command.split()
    *sources, target = [w for w in words[1:] if w != "-r"]
    to, _, path = target.partition(":")
    box = f"{site.hosts[host].dir}/box.tar"
    site.hosts[host].run("rm -rf /run/box; mkdir /run/box; cp -a " + " ".join(sources) + f" /run/box/ && tar -C /run/box -cf {box} .")
    site.hosts[to].run(f"rm -rf /run/box; mkdir /run/box; tar -C /run/box --no-same-owner -xf {box}\n"
                       f"if [ -d {path} ]; then cp -a /run/box/. {path}/; else mv /run/box/* {path}; fi")


def expand(command):
    """A loop over hosts of commands, which may be ones of ours."""
    loop = re.fullmatch(r"for host in (.*?); do (.*); done", command)
    if not loop:
        return [command]
    return [one.replace("$host", h) for h in loop[1].split() for one in loop[2].split("; ")]


def said(shown, came):
    """Each line shown is like one that came: what is in it in order, letter by letter where it is no table."""
    return all(any(in_order(re.findall(r"[^\s|]+", line), x) for x in came.splitlines()) for line in shown)


def run_on(site, host, command, shown):
    world = site.hosts[host]
    for one in expand(command):
        if one.startswith("scp "):
            copy(site, host, one)
            continue
        one = re.sub(r"^systemctl start --no-block", "systemctl_no_block start", one)
        if shown and ASKS.match(one):
            wait(f"{host}$ {one} to say {shown}", lambda o=one: looks(world, o, shown), SOON_S)
        else:
            came = world.run(one, 240)
            expect(said(shown, came), f"{host}$ {one}: no {shown} in\n{came}")


def looks(world, command, shown):
    came = world.run(f"{command} 2>&1", 60, None)
    if not said(shown, came):
        raise Failure(came[-400:])
    return True


def follow(site, steps):
    for hosts, command, shown in steps:
        for host in hosts:
            began = time.monotonic()
            run_on(site, host, command, shown)
            if time.monotonic() - began > 3:
                print(f"#   {time.monotonic() - began:.1f} s: {host}$ {command[:100]}")


def test_from_one_to_three_and_back(build):
    with Site(build) as site:
        site.begin()
        rows, began = site.results("ctl-1"), time.monotonic()
        for heading, steps in sections():
            print(f"# {time.monotonic() - began:5.1f} s {heading}")
            follow(site, steps)
            if heading.startswith("3"):
                only_members_get_in(site)
            at = "ctl-2" if heading.startswith(("5", "6", "7", "What is gone")) else "ctl-1"
            rows = site.judge(at, rows, heading)
        print(f"# {len(rows)} results in {time.monotonic() - began:.0f} s; nothing is lost, doubled or altered")
