"""A Prometheus of the Debian package beside the controller, in its namespace: asked there, ended by its number."""
import json
import subprocess
import urllib.parse

from lab import CONTROLLER, NET4, Process, expect, wait

PORT = 9090


class Prometheus:
    """with Prometheus(lab, config) as p: ... The configuration is YAML, and so is JSON."""

    def __init__(self, lab, config, *flags, port=PORT):
        self.lab = lab
        self.port = port
        self.dir = f"{lab.dir}/prometheus{port}"
        subprocess.run(["mkdir", "-p", self.dir], check=True)
        with open(f"{self.dir}/prometheus.yml", "w") as f:
            f.write(config)
        self.flags = flags

    def __enter__(self):
        self.process = Process(
            ["/usr/bin/prometheus", f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn", *self.flags], f"{self.dir}/log",
            ns=self.lab.ns("ctl"))
        try:
            wait("Prometheus to be ready", self.ready, 30)
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("# ---- prometheus\n" + "".join(f"# {line}\n" for line in self.process.tail().splitlines()))
        self.process.stop(20)

    def ready(self):
        expect(self.process.alive(), f"Prometheus ended: {self.process.tail()}")
        out = self.lab.exec("ctl", "curl", "-s", "-m", "5", f"http://127.0.0.1:{self.port}/-/ready", check=False)
        return "Ready" in out

    def get(self, path, **params):
        query = urllib.parse.urlencode(params)
        out = self.lab.exec("ctl", "curl", "-s", "-m", "20", f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}")
        answer = json.loads(out)
        expect(answer["status"] == "success", f"{path} {params}: {answer}")
        return answer["data"]

    def query(self, text):
        """[(labels, value)] of an instant query; a native histogram is a value, too."""
        return [(r["metric"], float(r["value"][1]) if "value" in r else r["histogram"][1])
                for r in self.get("query", query=text)["result"]]

    def one(self, text):
        rows = self.query(text)
        expect(len(rows) == 1, f"{text}: {len(rows)} series instead of one")
        return rows[0][1]


def scrape_config(job, params=None, sd=True, **more):
    address = f"{NET4}.{CONTROLLER}:8080"
    where = ({"http_sd_configs": [{"url": f"http://{address}/api/v1/sd", "refresh_interval": "1s"}]} if sd else
             {"static_configs": [{"targets": [address]}]})
    return {"job_name": job, "scrape_interval": "1s", "params": params or {}, **where, **more}
