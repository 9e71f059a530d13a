#!/usr/bin/env python3
"""The units of deploy/systemd: nothing wrong with them, and an exposure below 2.0 by systemd-analyze. Exit code 77: that tool is
not installed. usage: tests/systemd_units.py"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT = 2.0
top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
units = f"{top}/deploy/systemd"


def analyze(*args):
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def exposure(path):
    out = analyze("security", "--offline=true", "--no-pager", path)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", out)
    if not found:
        sys.exit(f"{path}: systemd-analyze says no exposure level: {out[-500:]}")
    return float(found[1])


def complaints(path, folder):
    """Of verify, with programs that exist; what it says of other units of this host is not ours."""
    copy = f"{folder}/{os.path.basename(path)}"
    with open(path) as f:
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", f.read(), flags=re.M)
    with open(copy, "w") as f:
        f.write(re.sub(r"^Documentation=.*$", "", text, flags=re.M))
    name = os.path.basename(path)
    return [x for x in analyze("verify", copy).splitlines() if name in x]


def life(path):
    """Daemons end within 2 s, and read files anew on SIGHUP: the unit has to know."""
    with open(path) as f:
        said = dict(x.strip().split("=", 1) for x in f if "=" in x and not x.startswith("#"))
    bad = [] if said.get("ExecReload") == "/bin/kill -HUP $MAINPID" else [f"{path}: no ExecReload by SIGHUP"]
    return bad if 2 < int(said.get("TimeoutStopSec", 0)) <= 30 else bad + [f"{path}: TimeoutStopSec is not 3 to 30 s"]


def main():
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not installed")
        return 77
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(n for n in os.listdir(units) if n.endswith(".service")):
            score = exposure(f"{units}/{name}")
            print(f"{name}: {score}")
            if score >= LIMIT:
                bad.append(f"{name}: exposure {score}, expected less than {LIMIT}")
            bad += complaints(f"{units}/{name}", folder) + life(f"{units}/{name}")
        loose = f"{folder}/loose.service"  # the check itself must be able to fail
        with open(loose, "w") as f:
            f.write("[Service]\nExecStart=/bin/true\n")
        if exposure(loose) < LIMIT:
            bad.append("a unit that is not hardened passes")
    print("\n".join(bad))
    return 1 if bad else 0


sys.exit(main())
