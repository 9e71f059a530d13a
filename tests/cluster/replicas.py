"""Two replicas of ClickHouse and the ZooKeeper that they need, of a lab's own: plain processes in the controller's namespace, on loopback."""
import os

from clickhouse import ClickHouse
from lab import Process, expect, wait
from server import Server

# What each of them has on top.
MORE = """<tcp_port>{port}1</tcp_port>
  <interserver_http_port>{port}2</interserver_http_port> <interserver_http_host>127.0.0.1</interserver_http_host>
  <macros><replica>r{port}</replica></macros>
  <zookeeper><node><host>127.0.0.1</host><port>{zk}</port></node><session_timeout_ms>4000</session_timeout_ms></zookeeper>
  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
  <remote_servers><pair><shard><internal_replication>true</internal_replication>{all}</shard></pair></remote_servers>"""
ONE = "<replica><host>127.0.0.1</host><port>{0}1</port></replica>"
PORTS, ZK = (3123, 3133), 2181


class ZooKeeper(Server):
    def __init__(self, lab, port=ZK):
        self.lab, self.port, self.dir = lab, port, f"{lab.dir}/zk"
        os.makedirs(self.dir)
        with open(f"{self.dir}/zoo.cfg", "w") as f:
            f.write(f"dataDir={self.dir}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=1000\nadmin.enableServer=false\nforceSync=no\n")

    def __exit__(self, kind, value, trace):
        self.kill()

    def start(self):
        self.begin()
        wait("ZooKeeper to answer", self.answers, 40)

    def begin(self):
        """Its memory is bounded."""
        self.process = Process(["java", "-Xmx64m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/zookeeper.jar",
                                "org.apache.zookeeper.server.quorum.QuorumPeerMain", f"{self.dir}/zoo.cfg"], f"{self.dir}/out", ns=self.lab.ns("ctl"))

    def answers(self):
        expect(self.process.alive(), f"ZooKeeper ended: {self.process.tail()}")
        return "Zookeeper" in self.lab.exec("ctl", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port} && echo -n srvr >&3 && timeout 2 cat <&3", check=False)


class Replicas:
    """zookeeper, replicas: to be started in this order."""

    def __init__(self, lab):
        self.zookeeper = ZooKeeper(lab)
        every = "".join(ONE.format(p) for p in PORTS)
        self.replicas = [ClickHouse(lab, p, MORE.format(port=p, zk=ZK, all=every)) for p in PORTS]

    def start(self):
        self.zookeeper.start()
        for r in self.replicas:
            r.begin()
        for r in self.replicas:
            wait("a replica to answer", r.answers, 40)

    def location(self, database="tw", host="127.0.0.1"):
        return "clickhouse://" + ",".join(f"{host}:{r.port}" for r in self.replicas) + f"/{database}?cluster=pair"

    def ports_between(self):
        """On which replicas get from each other what they lack."""
        return [int(f"{r.port}2") for r in self.replicas]
