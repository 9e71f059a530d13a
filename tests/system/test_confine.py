"""What the daemons give up: users, capabilities, core dumps, system calls. They do all they do in every other system test
under the filter of system calls, too, since it is on unless somebody says otherwise."""
import json
import os
import pwd
import re
import signal
import socket
import tempfile

from lab import Lab, Process, expect, wait

USER = "nobody"
BIND = 1 << 10  # CAP_NET_BIND_SERVICE


def pid_of(process):
    """ip netns exec replaces itself by the program."""
    return process.popen.pid


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def threads(pid):
    return [status(f"{pid}/task/{t}") for t in os.listdir(f"/proc/{pid}/task")]


def sanitized(build):
    with open(f"{build}/CMakeCache.txt") as f:
        return re.search(r"^TW_SANITIZE:STRING=\S", f.read(), re.M) is not None


def check_confined(build, process, caps=0, user=USER):
    pid = pid_of(process)
    uid = str(pwd.getpwnam(user).pw_uid)
    for s in threads(pid):
        expect(s["Uid"].split() == [uid] * 4, f"{s['Name']} runs as {s['Uid']}")
        expect(s["NoNewPrivs"] == "1", f"{s['Name']}: NoNewPrivs {s['NoNewPrivs']}")
        expect(sanitized(build) or s["Seccomp"] == "2", f"{s['Name']}: Seccomp {s['Seccomp']}")
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            expect(int(s[kind], 16) & ~caps == 0, f"{s['Name']}: {kind} {s[kind]}")
    with open(f"/proc/{pid}/limits") as f:
        expect(re.search(r"^Max core file size +0 +0 ", f.read(), re.M), "core dumps are possible")
    expect(os.stat(f"/proc/{pid}/mem").st_uid == 0, "its memory is open to debuggers")  # not dumpable


def test_as_another_user(build):
    """Port 862 is bound, then nothing is left of root; probes and TWAMP-Control are answered, and all end cleanly."""
    with Lab(build, ["a", "b"]) as lab:
        os.chmod(lab.dir, 0o777)  # made for the test by root; what is in it the daemons make
        lab.start_controller("--user", USER)
        for name in lab.names:
            lab.start_agent(name, "--user", USER, "--control", f"{lab.ip4(name)}:862", "--http", "127.0.0.1:9862")
        lab.approve_all()
        check_confined(build, lab.controller)
        for name in lab.names:
            check_confined(build, lab.agents[name])
        for folder in ("controller", "a"):
            expect(os.stat(f"{lab.dir}/{folder}").st_uid != 0, f"{folder} is root's")
        out = lab.exec("b", f"{lab.build}/agent/twamp", "sender", f"{lab.ip4('a')}:862", "-c", "20", "-i", "5", "--json")
        expect(json.loads(out)["total"]["received"] == 20, out[-400:])
        lab.exec("b", f"{lab.build}/agent/twamp", "controller", f"{lab.ip4('a')}:862", "-c", "5", "-i", "5")


def test_core_dumps_by_option_only(build):
    with Lab(build, ["a"]) as lab:
        lab.start_controller()
        lab.start_agent("a", "--core-dumps", "--seccomp", "off")
        wait("a to be ready", lambda: "ready" in lab.agents["a"].tail())
        s = status(pid_of(lab.agents["a"]))
        expect(s["Seccomp"] == "0" and s["NoNewPrivs"] == "1", f"{s['Seccomp']} {s['NoNewPrivs']}")
        if not sanitized(build):
            expect(status(pid_of(lab.controller))["Seccomp"] == "2", "no filter")


def test_mistakes_are_named(build):
    with Lab(build, ["a"]) as lab:
        os.chmod(lab.dir, 0o755)
        for i, (args, says) in enumerate([(["--user", "nobody-of-this-name", "--data-dir", f"{lab.dir}/x"], 'no user "nobody-of-this-name"'),
                                          (["--user", USER, "--data-dir", lab.dir], "chown -R nobody")]):
            p = Process([f"{lab.build}/agent/twamp-agent", "--name", "a", "--reflect", "none", *args],
                        f"{lab.dir}/{i}.log")
            wait("it to end", lambda p=p: not p.alive())
            expect(p.popen.returncode == 1 and says in p.tail(), p.tail())


def test_readiness_is_told(build):
    """Type=notify of systemd."""
    with Lab(build, []) as lab:
        path = f"{lab.dir}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            p = Process([f"{lab.build}/agent/twamp-agent", "--name", "a", "--data-dir", f"{lab.dir}/a", "--reflect", "127.0.0.1:0"],
                        f"{lab.dir}/a.log", env={"NOTIFY_SOCKET": path})
            try:
                expect(s.recv(100) == b"READY=1", "not told")
                expect("ready" in p.tail(), p.tail())
                p.popen.terminate()
                expect(s.recv(100) == b"STOPPING=1", "not told")
            finally:
                p.stop()


def traced(build, folder):
    """A build directory whose daemons tell of system calls that fail, in files of this folder. strace is no parent of them, so that they
    are what they are without it."""
    mix = f"{folder}/build"
    for part in ("", "/agent", "/controller"):
        os.makedirs(mix + part, exist_ok=True)
        for name in os.listdir(build + part):
            if not os.path.lexists(f"{mix}{part}/{name}") and f"{part}/{name}" not in ("/agent", "/controller"):
                os.symlink(f"{build}{part}/{name}", f"{mix}{part}/{name}")
    for program in ("agent/twamp-agent", "controller/twamp-controller"):
        os.unlink(f"{mix}/{program}")
        with open(f"{mix}/{program}", "w") as f:
            f.write(f'#!/bin/sh\nexec strace -D -f -qq -e status=failed -o {folder}/$(basename $0).$$ {build}/{program} "$@"\n')
        os.chmod(f"{mix}/{program}", 0o755)
    return mix


def test_no_call_is_missing(build):
    """What both do in an hour of their lives, under the filter: no library asks for a call that is not on the list."""
    if sanitized(build):
        return  # it has no filter
    with tempfile.TemporaryDirectory() as folder:
        with Lab(traced(os.path.realpath(build), folder), ["a", "b"]) as lab:
            with open(os.open(f"{lab.dir}/secrets", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write("site a passphrase that is long enough\n")
            os.mkdir(f"{lab.dir}/controller")
            lab.ctl("ca", "init", "--dir", f"{lab.dir}/controller/ca", "--name", "lab")
            lab.start_controller()
            for name in lab.names:
                lab.start_agent(name, "--control", f"{lab.ip4(name)}:862", "--http", "127.0.0.1:9862", "--secrets", f"{lab.dir}/secrets",
                                "--workers", "2")
            lab.approve_all()
            lab.apply("{mesh: m, topology: list, targets: {name: 'localhost:862'}, pairs: [[a, b], [b, a], [a, name]],"
                      " classes: {c: {spacing: 20ms, timeout: 500ms, report_period: 1s}, t: {protocol: twamp, auth: encrypted, key_id: site, spacing: 20ms, timeout: 500ms, report_period: 1s}}}")
            wait("results", lambda: len(lab.results("mesh=m")) >= 4, 30)
            lab.ctl("test", "a", "b", "--count", "20", "--spacing", "10ms")
            lab.ctl_run("doctor")
            lab.ctl("debug", "threads", "--agent", "a")
            lab.ctl("db", "backup")
            lab.ctl("db", "check")
            lab.ctl("token", "create")
            lab.http("/metrics")
            lab.exec("a", "curl", "-s", "http://127.0.0.1:9862/metrics")
            for p in (lab.controller, *lab.agents.values()):
                os.kill(pid_of(p), signal.SIGHUP)
            wait("the reload", lambda: all("read anew" in p.tail(1000) for p in (lab.controller, *lab.agents.values())), 20)
            for p in (*lab.agents.values(), lab.controller):
                p.stop()
        told = {name: open(f"{folder}/{name}").read() for name in os.listdir(folder) if name.startswith("twamp-")}
        expect(len(told) >= 3 and all("ENOENT" in text or "EAGAIN" in text for text in told.values()), f"nothing was traced: {list(told)}")
        missed = {line.split("(")[0].split()[-1] for text in told.values() for line in text.splitlines() if "ENOSYS" in line}
        expect(not missed, f"not on the list of common/net/confine_calls.c: {sorted(missed)}")
