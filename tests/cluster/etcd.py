"""One member of etcd of a lab's own: a plain process in a namespace of the lab, with its own folder, that ends with the test."""
import os

from lab import Process, expect, wait
from server import Server


class Etcd(Server):
    """with Etcd(lab) as etcd: ... It is not started yet. In the controller's namespace, on loopback."""

    def __init__(self, lab, port=2379):
        self.lab, self.port, self.dir, self.process = lab, port, f"{lab.dir}/etcd{port}", None
        os.makedirs(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.process:
            print("# ---- etcd\n" + "".join(f"# {x[:300]}\n" for x in self.process.tail().splitlines()[-8:]))
        self.kill()

    def start(self):
        url, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port + 1}"
        self.process = Process(["etcd", "--name", "m0", "--data-dir", f"{self.dir}/data", "--listen-client-urls",
                                f"{url},http://127.0.0.2:{self.port}", "--advertise-client-urls", url,
                                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"m0={peer}",
                                "--logger", "zap", "--log-level", "warn"], f"{self.dir}/out", ns=self.lab.ns("ctl"))
        wait("etcd to answer", self.answers, 30)

    def answers(self):
        expect(self.process.popen.poll() is None, f"etcd ended: {self.process.tail()}")
        return "true" in self.lab.exec("ctl", "curl", "-sf", "-m", "5", f"http://127.0.0.1:{self.port}/health", check=False)

    def ctl(self, *args):
        return self.lab.exec("ctl", "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", f"127.0.0.1:{self.port}", *args)

    def location(self, cluster="tw", host="127.0.0.1"):
        """127.0.0.2 is the same member, for who may be cut off from it alone."""
        return f"etcd://{host}:{self.port}/{cluster}"
