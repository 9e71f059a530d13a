"""Every command of the documents, run as it stands there on a fleet of real programs: it must end as the document says, and print what looks like what is shown.

A command is a line of a code block. Nothing is left out unless it is in ELSEWHERE, with the test that runs it or the reason why none can; what needs another
value, another host or a file has a row in ROWS. A row that no document needs any more is an error, too.
"""
import re
import time

from doc_rig import TOP, World, blocks, in_order, unlike, words
from lab import Failure, expect

# Documents that another test follows from begin to end.
OTHERS = {"docs/tutorial.md": "tests/system/test_tutorial.py", "docs/install.md": "tests/packages/run.py", "docs/cluster.md": "tests/cluster/test_recipe.py"}

# Commands (or how they begin) that are not run here: the test that does it, or why none can.
ELSEWHERE = {
    "./deploy/quickstart": "tests/system/test_quickstart.py",
    "./deploy/install-deps build": "deploy/quickstart",
    "ctest --test-dir": "tests/run",
    "TW_UPDATE_GOLDEN=1": "tests/unit/cli/test_cli.c",
    "tests/rpc_reference.py --write": "tests/rpc_reference.py",
    "sudo cmake --install build/release": "tests/packages/run.py",
    "cmake -G Ninja -S . -B build/release": "deploy/quickstart",
    "cmake --install build/release --prefix /usr/local": "tests/shells.py",
    "./tests/run": "tests/run",
    "tests/chaos/run": "tests/chaos/run",
    "cmake --build build/asan --target chaos_programs": "tests/chaos/run",
    "tests/fuzz/campaign": "tests/fuzz/campaign",
    "build/asan/tests/fuzz/fuzz_frame": "tests/fuzz/CMakeLists.txt",
    "docker compose": "tests/packages/test_deploy.py",
    "systemctl": "why: systemd does not run where tests do; tests/systemd_units.py checks the units, tests/packages/run.py does what they say",
    "journalctl": "why: there is no journal where tests run",
    "apt ": "tests/packages/run.py",
    "scp ": "why: another host; what it copies is used by the commands after it",
    "$ twping": "why: perfSONAR's program is no dependency; its packets are replayed from tests/golden/vectors",
}

PROGRAMS = {"twampctl", "twamp", "twamp-agent", "twamp-controller", "curl", "cmake", "sudo", "systemctl", "journalctl", "apt", "scp", "mkdir", "source", "promtool",
            "openssl", "printf", "awk", "git", "ip", "nft", "python3", "ctest", "npm", "podman", "docker", "kubectl", "helm", "ansible-playbook"}
PATHS = re.compile(r"^(\./|tests/|deploy/|build/|\(umask|[A-Z_]+=\S+ \S*/)")
VARIES = re.compile(r"^(this host|worst second)")  # a line of output that is there only when this host had trouble
SYNOPSIS = re.compile(r" \[[-A-Z][^\]]*\]")  # in a line that shows how a command is called


class Row:
    """How a command is run. use: {text: what stands there instead}; host: in which namespace; seconds: it goes on until Ctrl-C; serves: it is a daemon and ready
    when its log has this text; stays: until the document is over; before: what must be done first; code: its exit code; shape: False, why is a comment."""

    def __init__(self, use=None, host=None, seconds=None, serves=None, stays=False, before="", code=0, shape=True):
        self.use, self.host, self.seconds, self.serves, self.stays = use or {}, host, seconds, serves, stays
        self.before, self.code, self.shape, self.used = before, code, shape, False


PAIR = {"ams:fra": "backbone/voice/ams:fra"}  # several meshes have it
AT = {**PAIR, "--at 2026-11-27T03:12:07Z": "--at -6s"}
OTHER_CONTROLLER = {"tls+tcp://10.0.0.1:8620": "tls+tcp://10.0.0.1:9620", "--data-dir /var/lib/twampmesh-controller": "--data-dir second"}
SECOND = "mkdir -p second && [ -e second/ca ] || twampctl ca init --dir second/ca --name 10.0.0.1,192.0.2.1 >/dev/null"
CONTROLLER_ENV = "TWAMP_CONTROLLER_ADMIN_LISTEN=ipc://$PWD/second.sock TWAMP_CONTROLLER_HTTP=127.0.0.1:9080 "
BACKUP = "$(ls /var/lib/twampmesh-controller/backups/*.db | head -n 1)"
OUTAGE = """ip netns exec fra nft 'add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c udp dport 862 drop'
sleep 0.5
ip netns exec fra nft 'delete table inet t'
for i in $(seq 60); do twampctl outages --source ams -o csv | grep -q ,forward, && break; sleep 0.5; done"""
GENERATIONS = "last=$(twampctl -o csv schedule history | sed -n 2p | cut -d, -f1)"

MIGRATE = ("twampctl db migrate --history 'clickhouse://ch1.example.net,ch2.example.net/twamp?tls=yes&ca-file=/etc/twampmesh/ch-ca.crt&user=twamp"
           "&password-file=/etc/twampmesh/ch.password'")

ROWS = {
    # A second authority and a second controller, beside the fleet's.
    "twampctl ca init --name 10.0.0.1": Row(use={"--name": "--dir $(mktemp -d)/ca --name"}),
    "sudo twampctl ca init --name controller.example.net,192.0.2.1": Row(use={"--name": "--dir $(mktemp -d)/ca --name"}),
    "sudo twampctl ca server --name 192.0.2.7": Row(use={"--name": "--dir second/ca --name"}, before=SECOND),
}

DAEMON_ROWS = {
    "twamp-controller --data-dir /var/lib/twampmesh-controller --listen tls+tcp://10.0.0.1:8620": Row(use=OTHER_CONTROLLER, before=SECOND, serves="event=ready"),
    "twamp-controller --listen tls+tcp://10.0.0.1:8620 --data-dir /var/lib/twampmesh-controller": Row(use=OTHER_CONTROLLER, before=SECOND, serves="event=ready"),
    "twamp-controller --listen tls+tcp://192.0.2.1:8620 ...": Row(
        use={"192.0.2.1:8620 ...": "192.0.2.1:9620 --data-dir second"}, before=SECOND, serves="event=ready"),
    "twamp-controller --http 192.0.2.1:8443 --http-tls-cert /etc/twampmesh/http.crt --http-tls-key /etc/twampmesh/http.key ...": Row(
        use={" ...": " --listen tls+tcp://10.0.0.1:9620 --data-dir second"}, before=SECOND, serves="event=ready"),
    "twamp-controller --admin-tls tls+tcp://192.0.2.1:8621 ...": Row(
        use={"192.0.2.1:8621 ...": "192.0.2.1:9621 --listen tls+tcp://10.0.0.1:9620 --data-dir second"}, before=SECOND, serves="event=ready"),
    # Its servers are nobody's here: whether that is written right.
    "twamp-controller --history 'clickhouse://ch1.example.net,ch2.example.net/twamp?tls=yes&ca-file=/etc/twampmesh/ch-ca.crt&user=twamp&password-file=/etc/twampmesh/ch.password' ...": Row(
        use={" ...": " --listen tls+tcp://10.0.0.1:9620 --data-dir second --check-config"}, before=SECOND),
    "twamp-controller --control 'etcd://e1.example.net,e2.example.net,e3.example.net/CLUSTER' --history 'clickhouse://ch1.example.net/twamp' ...": Row(
        use={" ...": " --listen tls+tcp://10.0.0.1:9620 --data-dir second --check-config"}, before=SECOND),
    "twamp-agent --controller tls+tcp://10.0.0.1:8620 --join-token-file token --name ams --label site=ams": Row(
        host="new", use={"--name ams": "--name new-1"}, serves="waiting for approval", stays=True),
    "twamp-agent --controller tls+tcp://10.0.0.1:8620 --name ams --label site=ams --join-token-file ams.token": Row(
        host="new", use={"--name ams": "--name new-2"}, serves="connected to the controller"),
    "twamp-agent --controller tls+tcp://controller.example.net:8620 --name ams-1 --join-token-file /etc/twampmesh/ams-1.token": Row(
        host="ams-1", before="install -m 600 ams-1.token /etc/twampmesh/", serves="connected to the controller"),
    "twamp responder": Row(host="serv", serves="Listening on"),
    "twamp responder :862 --secrets keys --demand-auth": Row(host="serv", serves="Listening on", stays=True),
    "twamp server --secrets keys --test-ports 20000-20999": Row(host="serv", serves="Listening on"),
    "twamp server 127.0.0.1:8862 --secrets secrets --light-port 0": Row(serves="Listening on"),
}

ROWS |= DAEMON_ROWS | {
    # Until Ctrl-C.
    "twampctl watch": Row(seconds=3),
    "twampctl watch --mesh voice --interval 5s": Row(seconds=3),
    "twampctl alert list --watch": Row(seconds=3),
    "twampctl schedule rollout --watch": Row(seconds=3),
    "twamp sender 192.0.2.7 --forever --metrics": Row(seconds=3),
    "twamp controlclient :20001 192.0.2.7:20000": Row(seconds=3),
    "curl -sN http://127.0.0.1:8080/api/v1/events": Row(seconds=3, code=130),

    # Agents: those that the fleet has, and some that may go.
    "twampctl agent approve ams": Row(use={"ams": "new-1"}),
    "twampctl agent approve ams --fingerprint 5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592": Row(
        use={"5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592": "$(twampctl -o json agent show ams | jq -r '.. | .fingerprint? // empty')"}),
    """curl -s -H "Authorization: Bearer $TOKEN" -X DELETE 'http://127.0.0.1:8080/api/v1/agents/ams'""": Row(use={"agents/ams": "agents/spare"}),
    "twampctl token revoke 5d41402abc4b2a76": Row(use={"5d41402abc4b2a76": "$(twampctl -o csv token list | sed -n 2p | cut -d, -f1)"}),
    "sudo -u twampmesh twamp-agent --check --controller tls+tcp://controller.example.net:8620 --name ams": Row(
        host="ams-1", before="mkdir -m 750 /var/lib/checked", use={"sudo -u twampmesh": "", "--name ams": "--name ams-1 --data-dir /var/lib/checked"}),

    "twampctl access token revoke ann": Row(before="twampctl access token create --role viewer --name old", use={"ann": "old"}),  # ann's is used further down
    "twampctl COMMAND": Row(use={"COMMAND": "status"}),
    "twampctl context add prod -c tls+tcp://198.51.100.1:8621 --ca-file ca.pem --token-file ann.token": Row(before="twampctl context remove prod"),
    "source <(twampctl completion bash)": Row(before="rm $HOME/.config/twampmesh/twampctl.yaml"),  # what comes then is said to the controller of this host
    "twampctl doctor": Row(shape=False),  # what is wrong is something else each time

    # What is there at that time, or under that number.
    "twampctl flight ams:fra --at 2026-11-27T03:12:07Z": Row(use=AT),
    "twampctl flight ams:fra --at 2026-11-27T03:12:07Z --span 4s": Row(use=AT),
    "twampctl flight freeze ams:fra --at -1m --reason \"ticket 4711\"": Row(use={**PAIR, "-1m": "-5s"}),
    """twampctl -o csv flight ams:fra | awk -F, '$8 == "lost" { print $7 }'""": Row(use=PAIR),
    "twampctl test show 1795749438": Row(use={"1795749438": "$(twampctl -o csv test list | sed -n 2p | cut -d, -f1)"}),
    "twampctl test ams 192.0.2.1:862 --protocol stamp --spacing 10ms --count 500 --packets": Row(use={"192.0.2.1": "192.0.2.7", "500": "50"}),
    "twampctl test ams fra --class voice --count 500": Row(use={"--class": "--class backbone/", "/ voice": "/voice"}),
    "twampctl test ams fra --class voice --duration 1m": Row(use={"--class": "--class backbone/", "/ voice": "/voice", "1m": "2s"}),
    "twampctl audit 17": Row(use={"17": "1"}),
    "twampctl schedule history 17": Row(before=GENERATIONS, use={"17": "$last"}),
    "twampctl schedule rollback 16 --plan": Row(before=GENERATIONS, use={"16": "$((last - 1))"}),
    "twampctl schedule rollback 16 --reason \"too much for the edge\"": Row(before=GENERATIONS, use={"16": "$((last - 1))"}),
    "twampctl report sla --availability 99.9% --p99 50ms --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z": Row(
        use={"2026-11-01T00:00:00Z": "-10s", "2026-12-01T00:00:00Z": "-1s"}),

    "twampctl completeness --incomplete --from -24h": Row(shape=False),  # nothing is missing here
    "twampctl outages --source ams --from -24h": Row(before=OUTAGE),
    "twampctl agent maintenance ams-1 --to +2h --reason 'new kernel'": Row(before="twampctl agent undrain -l site=ams"),  # after the command before it

    # Files and folders of this machine.
    "twampctl db restore /var/lib/twampmesh-controller/backups/controller-20261127T083000Z.db": Row(
        before="rm -rf restored; mkdir restored", use={"/var/lib/twampmesh-controller/backups/controller-20261127T083000Z.db": f"{BACKUP} --data-dir restored"}),
    "twampctl db restore /var/lib/twampmesh-controller/controller.db.before-v12": Row(
        before="rm -rf restored; mkdir restored; [ -n \"" + BACKUP + "\" ] || twampctl db backup; cp " + BACKUP + " /var/lib/twampmesh-controller/controller.db.before-v12",
        use={"before-v12": "before-v12 --data-dir restored"}),
    "twampctl db migrate": Row(code=2, shape=False),  # it wants one of two options
    MIGRATE + " --dry-run": Row(code=1, shape=False),  # the controller runs
    "twampctl db migrate --control 'etcd://e1.example.net,e2.example.net,e3.example.net/CLUSTER' --history 'clickhouse://ch1.example.net/twamp'": Row(
        code=1, shape=False),
    MIGRATE: Row(code=1, shape=False),  # tests/cluster/test_migrate.py has a server, and stops the controller
    "twampctl db restore FILE": Row(before="rm -rf restored; mkdir restored", use={"FILE": f"{BACKUP} --data-dir restored"}),

    # The fleet's own plaintext passphrases: the far host's are others.
    "twamp controller 127.0.0.1 --mode encrypted --user alice --secrets secrets -c 10 -i 50": Row(use={"127.0.0.1": "192.0.2.7"}),
    "twamp controller 127.0.0.1 --mode encrypted --user alice --secrets wrong -c 3": Row(use={"127.0.0.1": "192.0.2.7"}, code=1),
    "twamp sender 192.0.2.7:862 --protocol stamp --auth --secrets keys --key-id 2026a --tlv hmac,location": Row(use={"192.0.2.7": "192.0.2.18", "--tlv": "-c 5 --tlv"}),
}

LONG = 240  # seconds that a command may take at most
NETWORK = """
ip link add br0 type bridge
for a in 10.0.0.1 192.0.2.1 198.51.100.1; do ip addr add $a/24 dev br0; done
ip link set br0 up
host=7
for site in far x1 x2 x3 ams fra lon par spare new ams-1 serv; do
    case $site in x*) host=$((host + 1)); continue;; esac
    ip netns add $site
    ip link add p-$site type veth peer name eth0 netns $site
    ip link set p-$site master br0 up
    ip -n $site addr add 192.0.2.$host/24 dev eth0
    ip -n $site addr add 10.0.0.$host/24 dev eth0
    ip -n $site link set eth0 up
    ip -n $site link set lo up
    host=$((host + 1))
done
cat >/etc/hosts <<'EOF'
127.0.0.1 localhost
192.0.2.1 controller.example.net
192.0.2.7 router.example.net
EOF
"""
FILES = """
umask 077
ln -s %(top)s/deploy %(top)s/docs %(top)s/tests .
mkdir /etc/twampmesh
printf 'alice correct horse battery staple\\n2026a another passphrase\\n' >keys
for f in f secrets far.keys; do cp keys $f; done
printf 'alice not that one\\n' >wrong
printf '# made by pfstool\\nalice 616c696365\\n' >twampd.pfs
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=192.0.2.1 -days 2 -keyout /etc/twampmesh/http.key -out /etc/twampmesh/http.crt 2>/dev/null
cp %(top)s/deploy/examples/alerts.yaml alerts.yaml
printf '%%s' "$MESH" >mesh.yaml
printf 'mesh: voice\\nmembers: [ams, fra]\\ntopology: full\\nclasses: { ef: { spacing: 20ms, size: 200, timeout: 1s, report_period: 2s } }\\n' >voice.yaml
printf 'mesh: quickstart\\nmembers: [ams, fra, lon]\\ntopology: full\\nclasses: { voice: { spacing: 200ms, timeout: 1s, report_period: 2s } }\\n' >quickstart.yaml
printf 'mesh: m\\nmembers: [ams, par]\\ntopology: full\\nclasses: { c: { spacing: 200ms, timeout: 1s, report_period: 2s } }\\n' >m.yaml
"""
FLEET = """
mkdir -p /var/lib/twampmesh-controller
twampctl ca init --name controller.example.net,10.0.0.1,192.0.2.1,198.51.100.1
twamp-controller --listen tls+tcp://0.0.0.0:8620 --admin-tls tls+tcp://0.0.0.0:8621 \
    --data-dir /var/lib/twampmesh-controller >controller.log 2>&1 &
until twampctl status >/dev/null 2>&1; do sleep 0.2; done
twampctl token create --uses 5 --approve >fleet.token
for site in ams fra lon par spare; do
    ip netns exec $site twamp-agent --controller tls+tcp://192.0.2.1:8620 --join-token-file fleet.token --name $site \
        --label site=$site --data-dir /var/lib/$site >$site.log 2>&1 &
done
ip netns exec far twamp server --secrets far.keys >far.log 2>&1 &
ip netns exec far twamp responder >far2.log 2>&1 &
twamp responder 127.0.0.1:20001 >near.log 2>&1 &
until [ $(twampctl -o csv agent list | grep -c ,up,) = 5 ]; do sleep 0.2; done
twampctl schedule apply -f quickstart.yaml,m.yaml,voice.yaml
twampctl schedule apply -f mesh.yaml
twampctl access token create --role admin --name test >prometheus.token
cp prometheus.token ann.token
cp /var/lib/twampmesh-controller/ca/ca.pem .
TOKEN=$(cat prometheus.token)
until twampctl report --latest -o csv | grep -q ,ok,; do sleep 0.5; done
sudo() { "$@"; }
# The documents leave the token out where it says nothing; an answer that is no success is an error here.
curl() { case "$*" in *Authorization*) command curl -f "$@";; *) command curl -f -H "Authorization: Bearer $TOKEN" "$@";; esac; }
"""


class Command:
    """One command of a document, and the lines that it shows after it."""

    def __init__(self, where, text, prompt):
        self.where, self.text, self.prompt, self.shown = where, text, prompt, []


def is_command(line):
    first = line.split(" ", 1)[0]
    return first in PROGRAMS or bool(PATHS.match(line))


def without_comment(line):
    return re.sub(r"\s+# .*$", "", line).rstrip()


def commands(path):
    """Of one document, in order. Lines after a command that are none are what it prints, also in the next block if that is output."""
    out = []
    for b in blocks(path):
        if b.kind not in ("indented", "", "sh", "console"):
            continue
        prompt = any(line.startswith("$ ") for line in b.lines)
        mine = None
        for i, line in enumerate(b.lines):
            line = line.strip() if is_command(line.strip()) else line
            if line.startswith("$ ") or (not prompt and b.kind != "" and is_command(line)):
                mine = Command(f"{path}:{b.number + i}", without_comment(line.removeprefix("$ ")), prompt)
                out.append(mine)
            elif mine and not prompt and line.startswith("#"):
                mine = None  # a comment: what follows is something else
            elif mine and not VARIES.match(line):
                mine.shown.append(line)
    return out


def documents():
    found = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(TOP)) for pattern in ["docs/*.md", "deploy/**/README.md"] for p in sorted(TOP.glob(pattern)))]
    return [d for d in found if d not in OTHERS]


def is_elsewhere(c):
    for start, why in ELSEWHERE.items():
        if c.text.startswith(start.removeprefix("$ ")):
            expect(why.startswith("why: ") or (TOP / why).exists(), f"{c.where}: there is no {why}")
            return start
    return None


def with_row(c):
    """(row, the text that is run)"""
    text = SYNOPSIS.sub("", c.text)
    row = ROWS.get(text) or Row()
    row.used = True
    for this, that in row.use.items():
        expect(this in text, f"{c.where}: {this!r} is not in {text!r}")
        text = text.replace(this, that)
    return row, text


def error_shown(c):
    """The line of an error that the document shows under a command; None: it shows none."""
    program = " ".join(c.text.split()[:2])
    return next((line.strip() for line in c.shown if line.strip().startswith((program + ": ", c.text.split()[0] + ": "))), None) if c.prompt else None


def headings(shown):
    """Of what is shown, the lines that any fleet has: headings of tables, else all."""
    tables = [x for x in shown if len([w for w in words(x) if w.isupper()]) >= 3 and all(w.isupper() for w in words(x.replace("/CLASS", "")))]
    return tables or [x for x in shown if not x.startswith((" ", "{"))]


def json_keys(shown):
    return set(re.findall(r'"(\w+)":', "".join(shown))) if shown and shown[0].lstrip().startswith(("{", "[")) else None


def check_shape(c, came):
    keys = json_keys(c.shown)
    if keys is not None:
        missing = [k for k in keys if f'"{k}"' not in came]
        expect(not missing, f"{c.where}: {c.text}: no {missing} in {came[:2000]}")
        return
    line = unlike(headings(c.shown), came)
    expect(line is None, f"{c.where}: {c.text}: no line like {line!r} in\n{came[:3000]}")


class Runner:
    def __init__(self, world):
        self.world, self.daemons, self.stay = world, 0, []

    def end_document(self):
        for pid in self.stay:
            self.world.run(f"kill {pid}; wait {pid}")
        self.stay = []

    def prefix(self, row):
        return f"ip netns exec {row.host} " if row.host else ""

    def run(self, c):
        row, text = with_row(c)
        if row.before:
            self.world.run(row.before)
        if row.serves:
            self.serve(c, row, text)
        elif row.seconds:
            self.interrupt(c, row, text)
        else:
            self.finish(c, row, text)

    def serve(self, c, row, text):
        self.daemons += 1
        log = f"daemon{self.daemons}.log"
        env = CONTROLLER_ENV if text.startswith("twamp-controller") else f"TWAMP_AGENT_DATA_DIR=/var/lib/daemon{self.daemons} " if text.startswith("twamp-agent") else ""
        self.world.run(f"{env}{self.prefix(row)}{text} >{log} 2>&1 &\ndaemon=$!")
        self.world.run(f"for i in $(seq {10 * LONG // 4}); do grep -q '{row.serves}' {log} && break; kill -0 $daemon || break; sleep 0.1; done\n"
                       f"grep -q '{row.serves}' {log} || {{ cat {log}; false; }}", LONG)
        if row.stays:
            self.stay.append(self.world.run("echo $daemon").strip())
        else:
            out = self.world.run(f"kill $daemon; wait $daemon && cat {log}")
            if c.shown:
                check_shape(c, out)

    def interrupt(self, c, row, text):
        if text.startswith("curl"):
            text = f"timeout --preserve-status -s INT {row.seconds} curl -H \"Authorization: Bearer $TOKEN\" {text.removeprefix('curl ')}"
        else:
            text = f"timeout --preserve-status -s INT {row.seconds} {self.prefix(row)}{text}"
        out = self.world.run(text, LONG, row.code)
        expect(out.strip(), f"{c.where}: {c.text}: it has said nothing")

    def finish(self, c, row, text):
        error = error_shown(c)
        out = self.world.run(f"{self.prefix(row)}{text}", LONG, None if error or "twampctl doctor" in text else row.code)
        expect("Sanitizer" not in out, f"{c.where}: {c.text}: {out}")
        if error:
            expect(any(in_order([error], line) for line in out.splitlines()), f"{c.where}: {c.text}: no {error!r} in {out}")
        elif c.shown and row.shape:
            check_shape(c, out)


def mesh_of_readme():
    return next("\n".join(b.lines) + "\n" for b in blocks("README.md") if b.kind == "yaml")


def log_tail(world):
    return "".join(f"# {line}\n" for line in world.run("tail -n 4 controller.log ams.log daemon*.log 2>&1", code=None).splitlines())


def attempt(runner, c):
    """Runs a command; what is wrong with it, if something is."""
    try:
        runner.run(c)
        return []
    except Failure as e:
        print(f"# {c.where}: {e}")
        if "not over within" in str(e):
            raise  # its shell is still busy
        print(log_tail(runner.world))
        return [f"{c.where}: {e}"]


def test_every_command(build):
    wrong, ran, elsewhere = [], 0, set()
    with World(build, {"MESH": mesh_of_readme()}) as world:
        for script in (NETWORK, FILES % {"top": TOP}, FLEET):
            world.run(script, LONG)
        runner = Runner(world)
        for document in documents():
            for c in commands(document):
                start = is_elsewhere(c)
                if start:
                    elsewhere.add(start)
                    continue
                ran += 1
                wrong += attempt(runner, c)
            runner.end_document()
    unused = [t for t, row in ROWS.items() if not row.used] + [t for t in ELSEWHERE if t not in elsewhere]
    expect(not unused, f"no document has these commands any more: {unused}")
    expect(ran > 100, f"only {ran} commands were run")
    expect(not wrong, f"{len(wrong)} of {ran} commands are not what the documents say; the first: {wrong and wrong[0]}")
