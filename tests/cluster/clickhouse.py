"""A clickhouse-server of a lab's own: a plain process in a namespace of the lab, with its own folder, that ends with the test."""
import os
import urllib.parse

from lab import Process, expect, sh, wait
from server import Server

# The same for 18.16 and for current releases: those read <yandex>, too.
CONFIG = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{dir}/log</log><errorlog>{dir}/errors</errorlog></logger>
  <http_port>{port}</http_port>
  <listen_host>127.0.0.1</listen_host> <listen_host>127.0.0.2</listen_host> <listen_host>127.0.0.3</listen_host> <listen_host>127.0.0.4</listen_host>
  <path>{dir}/data/</path> <tmp_path>{dir}/tmp/</tmp_path> <user_files_path>{dir}/files/</user_files_path>
  <users_config>{dir}/users.xml</users_config>
  <default_profile>default</default_profile> <default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
  {more}
</yandex>
"""
USERS = """<?xml version="1.0"?>
<yandex>
  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota></default></users>
  <quotas><default></default></quotas>
</yandex>
"""


class ClickHouse(Server):
    """with ClickHouse(lab) as ch: ... It is not started yet. In the controller's namespace, on loopback: 127.0.0.1 to .4."""

    def __init__(self, lab, port=8123, more=""):
        self.lab, self.port, self.dir, self.process = lab, port, f"{lab.dir}/ch{port}", None
        os.makedirs(self.dir)
        for name, text in [("config.xml", CONFIG.format(dir=self.dir, port=port, more=more)), ("users.xml", USERS)]:
            with open(f"{self.dir}/{name}", "w") as f:
                f.write(text)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and os.path.exists(f"{self.dir}/errors"):
            print("# ---- clickhouse\n" + "".join(f"# {x}\n" for x in sh("tail", "-n", "8", f"{self.dir}/errors").splitlines()))
        self.kill()

    def start(self):
        self.begin()
        wait("clickhouse-server to answer", self.answers, 40)

    def begin(self):
        current = os.environ.get("TW_CLICKHOUSE_CURRENT") # a libchdb.so (tests/cluster/ch_server.h)
        program = [f"{self.lab.build}/tests/cluster/current_clickhouse", current] if current else ["clickhouse-server"]
        self.process = Process([*program, f"--config-file={self.dir}/config.xml"], f"{self.dir}/out", ns=self.lab.ns("ctl"))

    def answers(self):
        expect(self.process.popen.poll() is None, f"clickhouse-server ended: {self.process.tail()}")
        return self.ask("SELECT 1", check=False).strip() == "1"

    def ask(self, query, check=True):
        return self.lab.exec("ctl", "curl", "-sf", "-m", "20", f"http://127.0.0.1:{self.port}/?query={urllib.parse.quote(query)}", check=check)

    def location(self, database="tw", host="127.0.0.1"):
        return f"clickhouse://{host}:{self.port}/{database}"
