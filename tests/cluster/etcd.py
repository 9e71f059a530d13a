"""One member of etcd of a lab's own: a plain process in a namespace of the lab, with its own folder, that ends with the test."""
import os

from lab import Process, expect, wait
from server import Server


class Etcd(Server):
    """with Etcd(lab) as etcd: ... It is not started yet. In the controller's namespace, on loopback."""

    def __init__(self, lab, port=2379, ports=()):
        """ports: of all members, if there are others."""
        self.lab, self.port, self.dir, self.process = lab, port, f"{lab.dir}/etcd{port}", None
        self.ports = list(ports) or [port]
        os.makedirs(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and os.path.exists(f"{self.dir}/out"):
            print("# ---- etcd\n" + "".join(f"# {x[:300]}\n" for x in self.process.tail().splitlines()[-8:]))
        self.kill()

    def start(self):
        self.begin()
        wait("etcd to answer", self.answers, 30)

    def begin(self):
        url, peers = f"http://127.0.0.1:{self.port}", [f"http://127.0.0.1:{p + 1}" for p in self.ports]
        mine = self.ports.index(self.port)
        self.process = Process(["etcd", "--name", f"m{mine}", "--data-dir", f"{self.dir}/data", "--listen-client-urls",
                                ",".join(f"http://127.0.0.{i}:{self.port}" for i in (1, 2, 3, 4)), "--advertise-client-urls", url,
                                "--listen-peer-urls", peers[mine], "--initial-advertise-peer-urls", peers[mine],
                                "--initial-cluster", ",".join(f"m{i}={p}" for i, p in enumerate(peers)),
                                "--logger", "zap", "--log-level", "warn"], f"{self.dir}/out", ns=self.lab.ns("ctl"))

    def answers(self):
        expect(self.process.popen.poll() is None, f"etcd ended: {self.process.tail()}")
        return "true" in self.lab.exec("ctl", "curl", "-sf", "-m", "5", f"http://127.0.0.1:{self.port}/health", check=False)

    def ctl(self, *args):
        return self.lab.exec("ctl", "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", f"127.0.0.1:{self.port}", *args)

    def location(self, cluster="tw", host="127.0.0.1"):
        """127.0.0.2 to .4 are the same member, for who may be cut off from it alone."""
        return f"etcd://{host}:{self.port}/{cluster}"


class Members:
    """Several members on loopback of the controller's namespace: with Members(lab, 3) as etcd: ... They are not started yet."""

    def __init__(self, lab, n):
        ports = [2379 + 10 * i for i in range(n)]
        self.lab, self.members = lab, [Etcd(lab, p, ports) for p in ports]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for m in self.members:
            m.__exit__(kind, value, trace)

    def start(self):
        for m in self.members:
            m.begin()
        for m in self.members:
            wait(f"member {m.port} of etcd to answer", m.answers, 30)

    def leader(self):
        """The member that leads; None: none does, or nobody says so."""
        for m in self.members:
            said = self.lab.exec("ctl", "env", "ETCDCTL_API=3", "etcdctl", "--command-timeout=2s", "--endpoints", f"127.0.0.1:{m.port}", "endpoint", "status", check=False)
            if len(said.split(", ")) > 4 and said.split(", ")[4] == "true":
                return m
        return None

    def ctl(self, *args):
        return self.lab.exec("ctl", "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", ",".join(f"127.0.0.1:{m.port}" for m in self.members), *args)

    def location(self, cluster="tw", host="127.0.0.1"):
        return "etcd://" + ",".join(f"{host}:{m.port}" for m in self.members) + f"/{cluster}"
