"""Runs the browser tests: Chromium against a fleet of real agents in network namespaces, and against fixtures for what cannot be had at will.

usage: run.py BUILD-DIR [WORD...]      prints "ok NAME" or "not ok NAME" for each; screenshots go to build/browser

TW_WEB_ROOT=controller/web/dist: that page instead of the one inside the controller.

Needs root (namespaces), node, npm, and Chromium (TW_CHROMIUM, or chromium in the path). Node runs in the controller's namespace: there
is neither internet nor DNS, and what the page would load from elsewhere would fail. It asks this program to do things to the fleet,
a line of JSON each way.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "system"))
sys.dont_write_bytecode = True

import lab  # noqa: E402
import meshes  # noqa: E402

AGENTS = ["ams", "fra", "lon", "par"]
REGIONS = {"ams": "west", "fra": "east", "lon": "west", "par": "east"}
ALERTS = """rules:
  loss: { metric: loss, warning: { raise: 0.5% }, critical: { raise: 3% }, for: 2s, clear_for: 5s }
  slow: { metric: p95, warning: { raise: 100ms }, critical: { raise: 500ms }, for: 2s, clear_for: 5s }
  gone: { metric: agent_down, critical: { raise: 5s } }
correlate: { sites: false, agents: false }
"""


def install():
    """npm ci, again only if the lock has changed since."""
    stamp, lock = HERE / "node_modules" / ".installed", HERE / "package-lock.json"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(lock, stamp)


class Fleet:
    """What tests may do to the fleet, by name."""

    def __init__(self, rig):
        self.rig = rig
        self.secure = None

    def lose(self, source, target, percent):
        """Of the probes from source those that arrive at target: so many are dropped there. 0: none any more."""
        rule = f"ip saddr {self.rig.ip4(source)} udp dport {self.rig.port} numgen random mod 100 < {percent} drop" if percent < 100 else \
            f"ip saddr {self.rig.ip4(source)} udp dport {self.rig.port} drop"
        self.rig.nft(target, "table inet browser\ndelete table inet browser\n" + (
            f"table inet browser {{\n chain in {{\n type filter hook input priority 0\n {rule}\n }}\n}}\n" if percent else ""))

    def stop_agent(self, name):
        self.rig.agents[name].stop()

    def start_agent(self, name):
        self.rig.start_agent(name, "--label", f"region={REGIONS[name]}")

    def stop_controller(self):
        self.rig.controller.stop()

    def start_controller(self):
        root = os.environ.get("TW_WEB_ROOT")  # for who works on the page: no build of the controller between
        self.rig.start_controller(*(["--web-root", os.path.abspath(root)] if root else []))

    def start_secure(self):
        """Another controller, without agents, by HTTPS: who comes has to log in. Returns its address."""
        rig, name = self.rig, f"{self.rig.dir}/secure"
        if not self.secure:
            lab.sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                   f"{name}.crt", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
            root = os.environ.get("TW_WEB_ROOT")
            self.secure = lab.Process(
                [f"{rig.build}/controller/twamp-controller", "--name", "secure", "--listen", "tcp://127.0.0.1:18620", "--admin-listen", f"ipc://{name}.sock",
                 "--http", "127.0.0.1:8443", "--http-tls-cert", f"{name}.crt", "--http-tls-key", f"{name}.key", "--data-dir", name,
                 *(["--web-root", os.path.abspath(root)] if root else [])], f"{name}.log", ns=rig.ns("ctl"))
            lab.wait("the other controller", lambda: self.secure_run("status")[0] == 0)
        return "https://127.0.0.1:8443"

    def fresh_secure(self):
        """The same with nothing in its database."""
        self.stop_secure()
        shutil.rmtree(f"{self.rig.dir}/secure", ignore_errors=True)
        return self.start_secure()

    def secure_run(self, *args):
        done = subprocess.run([f"{self.rig.build}/controller/cli/twampctl", "--controller", f"ipc://{self.rig.dir}/secure.sock", *args],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def secure_ctl(self, *args):
        code, out, err = self.secure_run(*args)
        lab.expect(code == 0, f"twampctl {' '.join(args)}: {err}")
        return out

    def stop_secure(self):
        if self.secure:
            lab.expect(self.secure.stop() == 0, f"the other controller: {self.secure.tail()}")
        self.secure = None

    def ctl(self, *args):
        return self.rig.ctl(*args)

    def csv(self, *args):
        return self.rig.csv(*args)


def serve(fleet, node):
    """Passes on what the tests say and does what they ask for; True when all were ok."""
    good = False
    for line in node.stdout:
        if not line.startswith("@"):
            print(line, end="", flush=True)
            continue
        ask = json.loads(line[1:])
        if ask["do"] == "end":
            good = ask["good"]
            continue
        try:
            answer = {"value": getattr(fleet, ask["do"])(*ask["args"])}
        except Exception as e:  # the test that asked fails, not this program
            answer = {"error": f"{type(e).__name__}: {e}"}
        node.stdin.write(json.dumps(answer) + "\n")
        node.stdin.flush()
    return node.wait() == 0 and good


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, words = sys.argv[1], sys.argv[2:]
    chromium = os.environ.get("TW_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        print("not ok browser.chromium  # no chromium: deploy/install-deps browser, or TW_CHROMIUM=...")
        sys.exit(1)
    install()
    shots = HERE.parent.parent / "build" / "browser"
    shots.mkdir(parents=True, exist_ok=True)
    with lab.Lab(build, AGENTS) as rig:
        fleet = Fleet(rig)
        fleet.start_controller()
        for name in AGENTS:
            fleet.start_agent(name)
        rig.approve_all()
        rig.apply(meshes.full(AGENTS, name="backbone"))
        with open(f"{rig.dir}/alerts.yaml", "w") as f:
            f.write(ALERTS)
        rig.ctl("alert", "apply", "-f", f"{rig.dir}/alerts.yaml")
        env = {**os.environ, "TW_CHROMIUM": chromium, "TW_SHOTS": str(shots), "TW_URL": f"http://{lab.NET4}.{lab.CONTROLLER}:8080",
               "TMPDIR": rig.dir, "TW_TOKEN": getattr(rig, "token", None) or ""}
        node = subprocess.Popen(["ip", "netns", "exec", rig.ns("ctl"), "timeout", "-k", "10", "900", "node", str(HERE / "main.mjs"), *words],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        good = serve(fleet, node)
        fleet.stop_secure()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
