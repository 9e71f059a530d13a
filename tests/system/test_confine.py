"""What the daemons give up: users, capabilities, core dumps, system calls. They do all they do in every other system test
under the filter of system calls, too, since it is on unless somebody says otherwise."""
import json
import os
import pwd
import re
import socket

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
