"""An upgrade that older releases cannot work with, and the way back, by the commands of docs/upgrade.md: what came since is in the agents' spools."""
import contextlib
import glob
import os
import re
import sqlite3
import subprocess

import checker
from doc_rig import blocks
from lab import expect, wait
from meshes import full
from rig import ChaosLab
from test_corruption import refuses, whole

TWO = ["a1", "a2"]
HOME = "/var/lib/twampmesh-controller"  # where the document has the controller's files


def schema(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


class OneHost(ChaosLab):
    """The controller's host as the document sees it: which release is installed, and its files at HOME."""

    def install(self, release):
        self.build = self.this if release == "OLD" else f"{self.this}/{release}"

    def shell(self, line):
        """A command as it stands in the document: (exit code, what it printed)."""
        mounts = f'mount -t tmpfs none /var/lib && mkdir {HOME} && mount --bind {self.data("controller")} {HOME} && exec sh -c "$0"'
        done = subprocess.run(["unshare", "--mount", "sh", "-c", mounts, line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "PATH": f"{self.build}/controller/cli:{os.environ['PATH']}"}, timeout=60)
        return done.returncode, done.stdout


def way_back():
    """The commands of the document, and what is done for each here."""
    block = next(b for b in blocks("docs/upgrade.md") if any("db restore" in line for line in b.lines))
    return [line.split("#")[0].strip() for line in block.lines if line.strip()]


def follow(lab, breaks):
    done = []
    for line in way_back():
        line = re.sub(r"before-v\d+", f"before-v{breaks}", line)
        lab.say(f"$ {line}")
        if line == "systemctl stop twamp-controller":
            lab.stop_controller()
        elif line == "apt install twampmesh-controller=OLD":
            lab.install("OLD")
        elif line == "systemctl start twamp-controller":
            lab.start_controller()
        else:
            code, said = lab.shell(line)
            lab.say(f"  {said.strip()[:200]}")
            expect(code == 0 and line.startswith("twampctl db restore "), f"{line}: exit {code}: {said}")
        done.append(line.split()[0])
    expect(done == ["systemctl", "apt", "twampctl", "systemctl"], f"the document does something else now: {done}")


def stored_keys(path):
    return {checker.key(r["source"], r) for r in checker.Database(path).rows}


def no_copy_no_upgrade(lab, copy):
    """Without room for the copy nothing is migrated."""
    mine = schema(lab.database)
    lab.fill_disk("controller", room=192 << 10)
    refuses(lab, "controller", lab.database, "no copy could be made before the upgrade", "no space left: free some")
    lab.empty_disk("controller")
    expect(schema(lab.database) == mine and not glob.glob(f"{copy}*"), "it has migrated, or left a part of a copy")


def test_breaking_and_back(build, seed):
    with OneHost(build, TWO, seed) as lab:
        lab.give_disk("controller")
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        lab.stop_controller()
        whole(lab.database)
        mine, before = schema(lab.database), stored_keys(lab.database)
        copy = f"{lab.database}.before-v{mine + 1}"
        lab.install("breaking")
        no_copy_no_upgrade(lab, copy)
        lab.start_controller()
        expect(schema(lab.database) == mine + 1, "the next release has not migrated")
        expect(schema(copy) == mine and stored_keys(copy) == before, "the copy is not what was there before the upgrade")
        lab.say(f"upgraded to schema {mine + 1}; the copy has {len(before)} summaries")
        lab.progress("results in the next release", 45)
        lab.progress("and more")
        lab.stop_controller()
        whole(lab.database)
        after = stored_keys(lab.database)
        expect(before < after, "the next release has lost what was there")
        lab.install("OLD")
        refuses(lab, "controller", lab.database, "made by a newer program", "install that program", f"twampctl db restore {copy}")
        code, said = lab.shell(f"twampctl db check {HOME}/controller.db")  # at its usual place the whole name is told, too
        expect(code != 0 and f"twampctl db restore {HOME}/controller.db.before-v{mine + 1}\n" in said, f"db check of the older release: exit {code}: {said}")
        follow(lab, mine + 1)
        expect(schema(lab.database) == mine, "what is restored is not of this release")
        wait("what came after the copy", lambda: after <= stored_keys(lab.database), 45)
        lab.progress("results after the way back", 45)
        lab.verdict()
        kept = [f for f in glob.glob(f"{lab.database}.before-[0-9]*") if not f.endswith(("-wal", "-shm"))]
        expect([stored_keys(f) for f in kept] == [after], f"what was there before the way back is not kept: {os.listdir(lab.data('controller'))}")
        # And once more: the copy is of now.
        lab.stop_controller()
        lab.install("breaking")
        lab.start_controller()
        expect(schema(lab.database) == mine + 1 and after < stored_keys(copy), "the second upgrade has not migrated, or made no new copy")
