#!/usr/bin/python3
"""What systemctl does with services, for hosts of tests, on which no systemd runs: units.py start|stop|restart|reload|is-active UNIT...

Reads the unit as it is installed, its drop-ins and its environment files, and runs ExecStart as the user it says, in folders it says. Of Type=notify it waits until it is
ready. Nobody looks after it then: what ends stays ended. What confines services is not done.
"""
import os
import pathlib
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACES = [TOP / "deploy/systemd", pathlib.Path("/lib/systemd/system")]
STATE = pathlib.Path("/run/units")
READY_S, END_S = 90, 90 # as systemd


def settings(name):
    """{key: [value, ...]} of [Service], with what drop-ins add."""
    files = [next(p / f"{name}.service" for p in PLACES if (p / f"{name}.service").exists())]
    files += sorted(pathlib.Path(f"/etc/systemd/system/{name}.service.d").glob("*.conf"))
    out, section = {}, None
    for line in "\n".join(f.read_text() for f in files).splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            out.setdefault(key.strip(), []).append(value.strip().replace("%p", name).replace("%H", socket.gethostname()))
    return out


def environment(unit):
    env = {"PATH": os.environ["PATH"]}
    env.update(x.split("=", 1) for x in unit.get("Environment", []))
    for path in unit.get("EnvironmentFile", []):
        file = pathlib.Path(path.lstrip("-"))
        lines = file.read_text().splitlines() if file.exists() or not path.startswith("-") else []
        env.update(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for key, at in [("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")]:
        if key in unit:
            env[f"{key.removesuffix('Directory').upper()}_DIRECTORY"] = f"{at}/{unit[key][-1]}"
    return env


def folders(unit, user):
    for key, at in [("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")]:
        if key in unit:
            path = pathlib.Path(at, unit[key][-1])
            path.mkdir(parents=True, exist_ok=True)
            os.chmod(path, int(unit.get(key + "Mode", ["0755"])[-1], 8))
            os.chown(path, user.pw_uid, user.pw_gid)


def command(unit, env):
    """Words of ExecStart: ${NAME} is one word, $NAME as many as it has."""
    out = []
    for word in shlex.split(unit["ExecStart"][-1]):
        if re.fullmatch(r"\$\w+", word):
            out += env.get(word[1:], "").split()
        else:
            out.append(re.sub(r"\$\{(\w+)\}", lambda m: env.get(m[1], ""), word))
    here = f"/run/bin/{os.path.basename(out[0])}"  # programs of ours, where each user can read them
    return [here if os.path.exists(here) else out[0], *out[1:]]


def running(name):
    try:
        pid = int((STATE / name).read_text())
        return pid if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z" else None
    except OSError:
        return None


def start(name):
    if running(name):
        return
    unit = settings(name)
    user, env = pwd.getpwnam(unit["User"][-1]), environment(unit)
    folders(unit, user)
    STATE.mkdir(exist_ok=True)
    notify = unit.get("Type", ["simple"])[-1] == "notify"
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if notify:
        env["NOTIFY_SOCKET"] = f"/run/units/{name}.notify"
        pathlib.Path(env["NOTIFY_SOCKET"]).unlink(missing_ok=True)
        told.bind(env["NOTIFY_SOCKET"])
        os.chmod(env["NOTIFY_SOCKET"], 0o777)
    with open(f"/run/units/{name}.log", "ab") as log:
        p = subprocess.Popen(command(unit, env), env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                             user=user.pw_uid, group=user.pw_gid, extra_groups=[], umask=int(unit.get("UMask", ["0022"])[-1], 8))
    (STATE / name).write_text(str(p.pid))
    if notify:
        until_ready(name, p, told)


def until_ready(name, p, told):
    told.settimeout(0.1)
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            if b"READY=1" in told.recv(4096):
                return
        except TimeoutError:
            pass
        if p.poll() is not None:
            break
    sys.exit(f"Job for {name}.service failed.\n{pathlib.Path(f'/run/units/{name}.log').read_text()[-2000:]}")


def stop(name):
    pid, end = running(name), time.monotonic() + END_S
    if pid:
        os.kill(pid, signal.SIGTERM)
    while running(name):
        if time.monotonic() > end:
            sys.exit(f"{name}.service did not end within {END_S} s")
        time.sleep(0.02)


def main():
    what, names = sys.argv[1], [n.removesuffix(".service") for n in sys.argv[2:] if not n.startswith("-")]
    for name in names:
        if what in ("stop", "restart"):
            stop(name)
        if what in ("start", "restart"):
            start(name)
        if what == "reload":
            os.kill(running(name), signal.SIGHUP)
        if what == "is-active":
            print("active" if running(name) else "inactive")
    sys.exit(what not in ("start", "stop", "restart", "reload", "is-active", "daemon-reload", "enable"))


main()
