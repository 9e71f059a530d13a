"""Name servers that fail, or say nothing: agents go on measuring, and find the controller again afterwards."""
import socket
import struct
import threading

import checker
from lab import CONTROLLER, NET4, wait
from meshes import full
from rig import ChaosLab
from tool_rig import ns_socket

TWO = ["a1", "a2"]
NAME = "controller.chaos.example"


class NameServer:
    """One address for every name. mode: "good", "servfail" or "silent"."""

    def __init__(self, ns):
        self.sock, self.mode, self.asked = ns_socket(ns), "good", 0
        self.sock.bind((f"{NET4}.{CONTROLLER}", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, who = self.sock.recvfrom(1500)
            except OSError:
                return
            self.asked += 1
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end - 2] == b"\0\1"
            good = self.mode == "good"
            answer = query[:2] + (b"\x81\x80" if good else b"\x81\x82") + b"\0\1" + struct.pack(">HHH", good and is_a, 0, 0) + query[12:end]
            if good and is_a:
                answer += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(f"{NET4}.{CONTROLLER}")
            if self.mode != "silent":
                self.sock.sendto(answer, who)


class NamesLab(ChaosLab):
    """Agents know the controller by a name, and have a resolver of their own."""

    def start_agent(self, name, *extra, **kw):
        with open(f"{self.dir}/resolv.conf", "w") as f:
            f.write(f"nameserver {NET4}.{CONTROLLER}\noptions timeout:1 attempts:1\n")
        super().start_agent(name, "--controller", f"tcp://{NAME}:8620", *extra, **kw)

    def program(self, who, args):
        args = super().program(who, args)
        if who == "controller":
            return args
        return ["unshare", "--mount", "sh", "-c", f'mount --bind {self.dir}/resolv.conf /etc/resolv.conf && exec "$@"', "sh", *args]


def goes_on(lab, what):
    """Agents close summaries although the controller is gone."""
    before = checker.counts(f"{lab.dir}/journal")[1]
    wait(f"summaries {what}", lambda: checker.counts(f"{lab.dir}/journal")[1] >= before + 8, 30)


def test_name_servers(build, seed):
    with NamesLab(build, TWO, seed) as lab:
        server = NameServer(lab.ns("ctl"))
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        for mode in ("servfail", "silent"):
            server.mode = mode
            lab.controller.kill()
            lab.say(f"the name server is {mode}, the controller is killed")
            asked = server.asked
            goes_on(lab, f"while the name server is {mode}")
            lab.start_controller()
            wait("the agents to ask for the name", lambda: server.asked > asked + 1, 45)
            server.mode = "good"
            lab.say("the name server answers again")
            lab.progress("results afterwards", 60)
        lab.verdict()
        server.sock.close()
