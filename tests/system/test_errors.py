"""Bad input and bad surroundings: one clear line, nothing half done, nothing destroyed."""
import hashlib
import os
import pathlib
import sqlite3
import subprocess
import time

from lab import Lab, expect, sh, wait
from meshes import full, one_way
from test_outage import all_past, nothing_lost_or_doubled

HOST = True

GOOD = one_way("a1", "a2")
BAD = [  # what is wrong, document, line, field, words that the message must have
    ("unknown key", GOOD.replace("topology:", "topologie:"), 2, "topologie", ["unknown", "topology"]),
    ("bad DSCP", GOOD.replace("spacing: 10ms", "dscp: EFF, spacing: 10ms"), 6, "classes.c.dscp", ["EFF", "EF"]),
    ("no unit", GOOD.replace("10ms", "10"), 6, "classes.c.spacing", ["20ms", "10"]),
    ("size", GOOD.replace("size: 100", "size: 5"), 6, "classes.c.size", ["14", "9000"]),
    ("empty group", GOOD + "groups:\n  none: []\n", 8, "groups.none", ["empty"]),
    ("duplicate class", GOOD + "  c: { spacing: 20ms }\n", 7, "classes", ['"c"', "twice"]),
    ("unknown agent", GOOD.replace("a2", "a9"), 4, "pairs", ["a9"]),
    ("not YAML", "mesh: [\n", None, None, []),
]


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_bad_documents_are_refused_whole(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.apply(GOOD)
        generation = lab.json("schedule", "list")["generation"]
        for what, text, line, field, words in BAD:
            path = f"{lab.dir}/bad.yaml"
            pathlib.Path(path).write_text(text)
            code, out, err = lab.ctl_run("schedule", "apply", "-f", path)
            expect(code == 5, f"{what}: exit {code}: {out}{err}")
            where = f"bad.yaml:{line}" if line else "bad.yaml:"
            for word in [where, field or "", *words]:
                expect(word in err, f"{what}: {word!r} is not in: {err}")
        expect(lab.json("schedule", "list")["generation"] == generation, "a refused document changed the generation")
        before = lab.json("schedule", "list")
        plan = lab.apply(full(["a1", "a2"]), "--plan")
        expect(lab.json("schedule", "list") == before, "--plan changed something")
        expect("packets/s" in plan or "pps" in plan, plan)


def controller(build, data, *extra, **kw):
    return subprocess.run([f"{build}/controller/twamp-controller", "--listen", "tcp://127.0.0.1:18620", "--admin-listen",
                           f"ipc://{data}/ctl.sock", "--http", "127.0.0.1:18080", "--data-dir", data, *extra],
                          capture_output=True, text=True, timeout=30, **kw)


def refuses(done, *words):
    lines = [x for x in done.stderr.splitlines() if not x.startswith("time=")]
    expect(done.returncode in (1, 2), f"exit {done.returncode}: {done.stderr}")
    expect(len(lines) == 1, f"not one line: {done.stderr}")
    for w in words:
        expect(w in lines[0], f"{w!r} is not in: {lines[0]}")


def test_corrupt_or_newer_database_is_left_untouched(build):
    with Lab(build, ["a1"]) as lab:
        lab.start_fleet()
        lab.controller.stop()
        data, db = f"{lab.dir}/controller", f"{lab.dir}/controller/controller.db"
        good = pathlib.Path(db).read_bytes()
        con = sqlite3.connect(db)
        con.execute("pragma user_version = 9999")
        con.execute("update schema_floor set oldest = 9999")  # whoever is older must not open it
        con.commit()
        con.execute("pragma wal_checkpoint(truncate)")
        con.close()
        for content, words in [(pathlib.Path(db).read_bytes(), ["newer"]), (b"this is no database\n" * 400, ["controller.db"]),
                               (good[:4096] + b"\xff" * 8192 + good[12288:], ["controller.db"])]:
            pathlib.Path(db).write_bytes(content)
            before = digest(db)
            refuses(controller(build, data), *words)
            expect(digest(db) == before, f"the file was changed: {words}")
        pathlib.Path(db).write_bytes(good)


def test_port_in_use_and_no_permission(build):
    with Lab(build, ["a1"]) as lab:
        lab.start_fleet()
        sock = f"ipc://{lab.dir}/other.sock"
        args = ["ip", "netns", "exec", lab.ns("ctl"), f"{lab.build}/controller/twamp-controller", "--allow-plaintext"]
        run = lambda *a: subprocess.run([*args, *a], capture_output=True, text=True, timeout=30)
        other = ["--admin-listen", sock, "--data-dir", f"{lab.dir}/other"]
        refuses(run("--listen", "tcp://10.99.77.1:8620", "--http", "127.0.0.1:18081", *other), "8620", "in use")
        refuses(run("--listen", "tcp://10.99.77.1:8621", "--http", "10.99.77.1:8080", "--http-plaintext", *other), "8080", "in use")
        refuses(run("--listen", "tcp://10.99.77.1:8621", "--http", "127.0.0.1:18081", "--admin-listen", sock, "--data-dir",
                    f"{lab.dir}/controller"), "controller.db")
        refuses(run("--listen", "tcp://10.99.77.1:8621", "--http", "127.0.0.1:18081", "--admin-listen", sock, "--data-dir",
                    "/proc/nowhere"), "/proc/nowhere")
        agent = ["ip", "netns", "exec", lab.ns("a1"), f"{lab.build}/agent/twamp-agent", "--name", "x", "--data-dir", f"{lab.dir}/x"]
        refuses(subprocess.run([*agent, "--reflect", f"{lab.ip4('a1')}:862"], capture_output=True, text=True, timeout=30), "862", "in use")
        refuses(subprocess.run([*agent, "--reflect", f"{lab.ip4('a1')}:862", "--controller", "tcp://192.0.2.1:8620"],
                               capture_output=True, text=True, timeout=30), "--allow-plaintext")
        refuses(subprocess.run([*agent, "--controller", "ctl"], capture_output=True, text=True, timeout=30), '--controller: "ctl" is no URL')
        refuses(subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", *agent[4:-1], "/tmp/", "--reflect", "127.0.0.1:862"],
                               capture_output=True, text=True, timeout=30), "")


def test_full_disk_loses_nothing(build):
    with Lab(build, ["a1", "a2"]) as lab:
        os.mkdir(f"{lab.dir}/controller")
        sh("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", f"{lab.dir}/controller")
        try:
            lab.start_fleet()
            lab.apply(one_way("a1", "a2"))
            wait("results", lambda: lab.results("mesh=lab"))
            filler = f"{lab.dir}/controller/filler"
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"\0" * 4096)
                except OSError:
                    pass
            wait("not ready: disk full", lambda: "full" in lab.http("/readyz", check=False)[1], 60)
            expect("full" in lab.ctl("status"), "status does not say that the disk is full")
            wait("the spool to grow", lambda: lab.spool("a1") > 3, 30)
            os.unlink(filler)
            wait("ready again", lab.ready, 30)
            end = time.time_ns()
            wait("everything up to now", lambda: all_past(lab, end), 30)
            nothing_lost_or_doubled(lab.results("mesh=lab"))
        finally:
            if lab.controller:
                lab.controller.stop()
            sh("umount", "-l", f"{lab.dir}/controller")
