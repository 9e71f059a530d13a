"""Documents as programs: the blocks of a Markdown file, a machine of its own to run their commands on, and whether what comes out looks like what the document shows.

A world is a network namespace with private mounts: /etc and /var/lib are written to copies that vanish with it, and /run is its own. Commands run there as they
stand in the document.
"""
import os
import pathlib
import re
import selectors
import signal
import subprocess
import tempfile
import time

from lab import Failure, sh

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^\s*```(.*)$")


class Block:
    """Lines of one code block. kind: "indented", or what follows the fence ("" is output)."""

    def __init__(self, doc, number, kind):
        self.doc, self.number, self.kind, self.lines = doc, number, kind, []

    @property
    def where(self):
        return f"{self.doc}:{self.number}"


def indented_code(line):
    return line.startswith("    ") and not re.match(r"\s+([-*]|\d+\.) ", line)


def blocks(path):
    """The code blocks of a Markdown file, in order."""
    out, open_fence = [], None
    for number, line in enumerate((TOP / path).read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence and open_fence is None:
            open_fence = Block(path, number + 1, fence[1].strip())
            out.append(open_fence)
        elif fence:
            open_fence = None
        elif open_fence is not None:
            open_fence.lines.append(line)
        elif indented_code(line):
            if not (out and out[-1].kind == "indented" and out[-1].ends == number):
                out.append(Block(path, number, "indented"))
            out[-1].lines.append(line[4:])
            out[-1].ends = number + 1
        elif not line.strip() and out and out[-1].kind == "indented" and out[-1].ends == number:
            out[-1].lines.append("")  # a gap within the block, if code follows
            out[-1].ends = number + 1
    return out


# ---- Does what came look like what the document shows? ----

WORD = re.compile(r"[A-Za-z][A-Za-z_/-]*[A-Za-z]")
VALUE = re.compile(r"^(ms|us|ns|min|max|bit|kbit|packets|ok|ago|sec)$")


def words(line):
    """What of a line is form and not a number: numbers, times, units and what is cut by "..." do not count."""
    return [w for w in WORD.findall(re.sub(r"\S*\d\S*|\S*\.\.\.\S*", " ", line)) if not VALUE.match(w)]


def in_order(wanted, text):
    at = 0
    for w in wanted:
        at = text.find(w, at)
        if at < 0:
            return False
        at += len(w)
    return True


def unlike(shown, came):
    """The first line shown whose words no line that came has, in their order; None: it looks alike."""
    lines = came.splitlines()
    for line in shown:
        wanted = words(line)
        if wanted and not any(in_order(wanted, x) for x in lines):
            return line
    return None


# ---- A machine ----

class World:
    """with World(build) as w: w.run("twampctl status"). One bash that goes on from command to command, as at a terminal.
    name: of the host, if it is to have one of its own."""

    made = 0
    OVERLAYS = ["/etc", "/var/lib"]

    def __init__(self, build, env=None, name=None):
        World.made += 1
        self.ns = f"twd{os.getpid() % 100000}x{World.made}"
        self.dir = tempfile.mkdtemp(prefix="twdoc-")
        build = os.path.abspath(build)
        path = [f"{build}/controller/cli", f"{build}/controller", f"{build}/agent", os.environ["PATH"]]
        self.env = {**os.environ, "PATH": ":".join(path), "HOME": f"{self.dir}/home", "TMPDIR": f"{self.dir}/tmp", **(env or {})}
        self.shell, self.name = None, name

    def __enter__(self):
        for d in ["home", "work", "tmp"]:
            os.mkdir(f"{self.dir}/{d}")
        sh("ip", "netns", "add", self.ns)
        mounts = [f"mount -t tmpfs upper {self.dir}/tmp", "mount -t tmpfs run /run"]
        for i, at in enumerate(self.OVERLAYS):
            upper = f"{self.dir}/tmp/{i}"
            mounts += [f"mkdir {upper} {upper}w", f"mount -t overlay -o lowerdir={at},upperdir={upper},workdir={upper}w twdoc {at}"]
        if self.name:
            mounts.append(f"hostname {self.name}")
        own = ["--uts"] if self.name else []
        self.shell = subprocess.Popen(["ip", "netns", "exec", self.ns, "unshare", "--mount", "--pid", *own, "--fork", "--kill-child", "bash"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                                      cwd=f"{self.dir}/work", start_new_session=True)
        try:
            self.run(" &&\n".join([*mounts, "mount -t proc proc /proc", "ip link set lo up"]))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.shell.stdin.close()
        os.killpg(self.shell.pid, signal.SIGKILL)  # and with it all that it has started: --kill-child
        self.shell.wait()
        sh("ip", "netns", "del", self.ns, check=False)
        sh("rm", "-rf", self.dir, check=False)

    def run(self, script, seconds=150, code=0):
        """Runs lines of bash and returns what they print; a command of them that ends with another code than `code` is a Failure."""
        end = f"--- end {time.monotonic_ns()} "
        self.shell.stdin.write(f"{script}\nended=$?; echo; echo '{end}'$ended\n".encode())
        self.shell.stdin.flush()
        out = self.read(end, seconds, script)
        text, _, status = out.rpartition(end)
        if code is not None and int(status) != code:
            raise Failure(f"exit code {status.strip()}, expected {code}: {script}\n{text}")
        return text.removesuffix("\n")

    def read(self, end, seconds, script):
        until, out = time.monotonic() + seconds, ""
        with selectors.DefaultSelector() as s:
            s.register(self.shell.stdout, selectors.EVENT_READ)
            while not re.search(re.escape(end) + r"\d+\n", out):
                left = until - time.monotonic()
                if left <= 0 or not s.select(left):
                    raise Failure(f"not over within {seconds} s: {script}\n{out[-2000:]}")
                data = os.read(self.shell.stdout.fileno(), 65536)
                if not data:
                    raise Failure(f"the shell ended: {script}\n{out[-2000:]}")
                out += data.decode(errors="replace")
        return out
