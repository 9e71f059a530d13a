"""A fleet with a shim in every program, faults by plan, and the checker at the end."""
import contextlib
import fcntl
import mmap
import os
import pathlib
import random
import select
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

import checker  # noqa: E402
from lab import Lab, expect, sh, wait  # noqa: E402

# As in shim.c.
CALLS = ["malloc", "calloc", "realloc", "write", "pwrite", "fsync", "ftruncate", "open", "sendmsg", "recvmsg", "epoll_wait", "accept"]
PROGRAM, SQLITE, PROTOBUF, OTHER = 1, 2, 4, 8
OURS = PROGRAM | SQLITE | PROTOBUF
ALL = OURS | OTHER
HEAD, RULE = struct.Struct("=IIQq"), struct.Struct("=IiQQ")
EXACT_SECONDS = 60.0
DISK_BYTES, DISK_INODES = 256 << 20, 10000
F_SETPIPE_SZ = 1031
# For builds with AddressSanitizer: the shim comes before it; and memory is held back only for so long that the limits of tests are still some.
ASAN = "verify_asan_link_order=0:quarantine_size_mb=16:malloc_context_size=12"


class Shim:
    """The block that a program's shim looks at; it takes effect at once."""

    def __init__(self, path, seed):
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.path, self.seed, self.step_ns = path, seed, 0
        self.head(0, OURS)

    def head(self, armed, parties):
        HEAD.pack_into(self.map, 0, 0, parties, self.seed, self.step_ns)
        HEAD.pack_into(self.map, 0, armed, parties, self.seed, self.step_ns)

    def at(self, call):
        return HEAD.size + CALLS.index(call) * RULE.size

    def fail(self, calls, rate, error=0, delay=0.0, parties=OURS):
        """These calls fail with that errno (0: they do not fail), after a delay, this often; until off()."""
        for call in calls:
            RULE.pack_into(self.map, self.at(call), int(rate * 1e6), error, int(delay * 1e9), self.injected(call))
        self.head(1, parties)

    def off(self):
        self.head(0, OURS)
        for call in CALLS:
            RULE.pack_into(self.map, self.at(call), 0, 0, 0, self.injected(call))

    def injected(self, *calls):
        return sum(RULE.unpack_from(self.map, self.at(c))[3] for c in calls or CALLS)

    def step(self, seconds):
        """Steps the wall clock of this program."""
        self.step_ns += int(seconds * 1e9)
        armed, parties = struct.unpack_from("=II", self.map, 0)
        self.head(armed, parties)


def pair_id(*names):
    """As the controller computes it from mesh, class, source and target: FNV-1a with a last stir."""
    h, mask = 0xcbf29ce484222325, (1 << 64) - 1
    for octet in b"".join(n.encode() + b"\0" for n in names):
        h = (h ^ octet) * 0x100000001b3 & mask
    h ^= h >> 32
    return ((h * 0x9e3779b97f4a7c15 & mask) >> 11) or 1


class LogPipe:
    """What a program says goes through a pipe into its log file, until we stop reading."""
    JUNK = b"#" * 4095 + b"\n"

    def __init__(self, path, log):
        os.mkfifo(path)
        self.fd, self.log, self.reading = os.open(path, os.O_RDWR | os.O_NONBLOCK), log, threading.Event()
        fcntl.fcntl(self.fd, F_SETPIPE_SZ, 8192)
        self.path, self.ended = path, False
        self.reading.set()
        self.thread = threading.Thread(target=self.copy, daemon=True)
        self.thread.start()

    def copy(self):
        rest = b""
        while not self.ended:
            self.reading.wait()
            if not select.select([self.fd], [], [], 0.1)[0] or not self.reading.is_set():
                continue
            *lines, rest = (rest + os.read(self.fd, 65536)).split(b"\n")
            with open(self.log, "ab") as out:
                out.write(b"".join(line + b"\n" for line in lines if not line.startswith(b"####")))

    def block(self):
        self.reading.clear()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.fd, self.JUNK)

    def unblock(self):
        self.reading.set()

    def close(self):
        self.ended = True
        self.reading.set()
        self.thread.join()
        os.close(self.fd)


class ChaosLab(Lab):
    """options: more arguments of agents, for each start; controller_options as well. disks: each program has a file system of its own; pipes: it logs into a pipe."""

    def __init__(self, build, agents, seed, options=(), controller_options=(), disks=False, pipes=False, **kw):
        super().__init__(build, agents, **kw)
        self.seed, self.rng = seed, random.Random(seed)
        self.options, self.controller_options = list(options), list(controller_options)
        self.this = self.build  # the release that is tested, whatever `build` is meanwhile
        self.disks, self.pipes = [], {}
        self.began, self.timeline = time.monotonic(), []
        self.runs = {}
        self.closed = (0.0, 0, 0)  # since when, summaries closed, durable
        os.mkdir(f"{self.dir}/journal")
        self.shims = {who: Shim(f"{self.dir}/{who}.shim", self.rng.getrandbits(63)) for who in [*agents, "controller"]}
        for who in self.shims:
            if disks:
                self.give_disk(who)
            if pipes:
                self.pipes[who] = LogPipe(f"{self.dir}/{who}.pipe", f"{self.dir}/{who}.log")

    # ---- programs ----

    def program(self, who, args):
        env = ["env", f"LD_PRELOAD={self.this}/tests/chaos/chaos_shim.so", f"CHAOS_CONTROL={self.shims[who].path}", f"ASAN_OPTIONS={ASAN}"]
        if who != "controller":
            self.runs[who] = self.runs.get(who, -1) + 1
            env.append(f"CHAOS_JOURNAL={self.dir}/journal/{who}.{self.runs[who]:04d}")
        if who in self.pipes:
            env += ["sh", "-c", f'exec "$@" 2>{self.pipes[who].path}', "sh"]
        return env + args

    def since(self, who, at):
        """What it has logged since its log was so long."""
        with open(self.process(who).log, errors="replace") as f:
            f.seek(at)
            return f.read()

    def start_controller(self, *extra):
        super().start_controller(*self.controller_options, *extra)

    def stop_controller(self):
        expect(not self.controller.alive() or self.controller.stop() == 0, "the controller did not end cleanly")

    def start_agent(self, name, *extra, **kw):
        super().start_agent(name, *self.options, *extra, **kw)

    def process(self, who):
        return self.controller if who == "controller" else self.agents[who]

    def start_again(self, who):
        if who == "controller":
            self.start_controller()
        else:
            self.start_agent(who)

    def data(self, who):
        return f"{self.dir}/{who}"

    def host(self, who):
        return "ctl" if who == "controller" else who

    # ---- disks ----

    def give_disk(self, who):
        """A file system of its own for the data of a program that has not been started yet. In memory: it is full when we say so."""
        os.makedirs(self.data(who), mode=0o700, exist_ok=True)
        sh("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},nr_inodes={DISK_INODES},mode=0700", "chaos", self.data(who))
        self.disks.append(who)

    def fill_disk(self, who, room=0):
        """Only so many octets more find room."""
        st = os.statvfs(self.data(who))
        used = (st.f_blocks - st.f_bfree) * st.f_frsize
        sh("mount", "-o", f"remount,size={used + room}", self.data(who))

    def fill_inodes(self, who):
        st = os.statvfs(self.data(who))
        sh("mount", "-o", f"remount,nr_inodes={st.f_files - st.f_ffree}", self.data(who))

    def empty_disk(self, who):
        sh("mount", "-o", f"remount,size={DISK_BYTES},nr_inodes={DISK_INODES}", self.data(who))

    # ---- what happened ----

    def say(self, text):
        at = time.monotonic() - self.began
        self.timeline.append((at, text))
        print(f"#   +{at:6.2f} s  {text}", flush=True)

    def __exit__(self, kind, value, trace):
        if kind is not None and self.controller and self.controller.alive():
            for shim in self.shims.values():
                shim.off()
            print(f"#   the controller's own view: {self.http('/readyz', check=False)}")
            print("".join(f"#   {line}" for line in open(self.controller.log) if "level=error" in line or "level=warn" in line))
        try:
            super().__exit__(kind, value, trace)
        finally:
            for pipe in self.pipes.values():
                pipe.close()
            for who in self.disks:
                sh("umount", "--lazy", self.data(who), check=False)
            sh("rm", "-rf", self.dir)

    # ---- the end ----

    @property
    def database(self):
        return f"{self.data('controller')}/controller.db"

    def stored_count(self):
        """(summaries stored, numbers of gaps)"""
        return checker.stored_count(self.database)

    def stored(self):
        """All of it, as checker.Verdict wants it."""
        return checker.Database(self.database)

    def progress(self, what="results", seconds=45.0):
        """New summaries of every agent are stored."""
        before = self.stored_count()[0]
        wait(what, lambda: self.stored_count()[0] >= before + 2 * len(self.names), seconds)

    def at_rest(self):
        """Every durable summary is stored or counted, and for three report periods nothing more was closed."""
        now = checker.counts(f"{self.dir}/journal")
        if now != self.closed[1:]:
            self.closed = (time.monotonic(), *now)
        rows, gaps = self.stored_count()
        return rows + gaps >= now[1] and time.monotonic() - self.closed[0] > 3

    def verdict(self, max_undurable=None, exact=True, apart=()):
        """Ends the measurements, waits until everything has come to rest, and compares. Returns the verdict when nothing is wrong.
        apart: pairs of somebody who keeps no journal."""
        for mesh in {m["name"] for m in self.json("schedule", "list")["meshes"]}:
            self.ctl("schedule", "delete", mesh)
        wait("everything to be stored, and nothing more to come", self.at_rest, EXACT_SECONDS)
        v = checker.check(f"{self.dir}/journal", self.stored(), apart)
        self.say(v.text())
        expect(v.good(), f"seed {self.seed}: {v.text()}")
        expect(not exact or v.exact(), f"seed {self.seed}: what was dropped is not what was counted: {v.text()}: {v.gaps}")
        expect(max_undurable is None or len(v.undurable) <= max_undurable, f"too much was not durable: {v.text()}")
        expect(v.stored > 0, "nothing was stored")
        return v
