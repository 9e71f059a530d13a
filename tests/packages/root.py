"""A Debian of its own to install packages in: a root made by debootstrap once and kept, a copy-on-write layer above it for each
test, and network, processes and mounts that are not the host's. systemd does not run in it: start() does what it would do with
a unit, as far as the unit asks for it here: user, capabilities, environment, directories, credentials."""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

SUITE = "bookworm"
MIRROR = os.environ.get("TW_DEBIAN_MIRROR", "http://deb.debian.org/debian")


class Missing(Exception):
    """What this machine lacks to try it."""


def sh(*args, **kw):
    done = subprocess.run(args, capture_output=True, text=True, **kw)
    if done.returncode:
        raise AssertionError(f"{shlex.join(map(str, args))}: exit {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def base_root(cache, packages):
    """Path of the kept root that has these packages; made now if it is not there, or was made for others."""
    root, mark = cache / f"root-{SUITE}", cache / f"root-{SUITE}.packages"
    want = "\n".join(sorted(packages)) + "\n"
    if mark.exists() and mark.read_text() == want and (root / "usr").exists():
        return root
    if os.geteuid() != 0:
        raise Missing("root: debootstrap and chroot need it")
    if not shutil.which("debootstrap"):
        raise Missing("debootstrap (deploy/install-deps package)")
    cache.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    if not (root / "usr").exists():
        unfinished = pathlib.Path(tempfile.mkdtemp(prefix="unfinished-", dir=cache))
        sh("debootstrap", "--variant=minbase", SUITE, unfinished, MIRROR, timeout=900)
        unfinished.chmod(0o755)
        unfinished.rename(root)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    sh("chroot", root, "apt-get", "update", "-qq", env=env, timeout=300)
    sh("chroot", root, "apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages, env=env, timeout=900)
    mark.write_text(want)
    return root


class Root:
    def __init__(self, base):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="twroot-"))
        self.path = self.dir / "merged"
        self.started = []
        for name in ("upper", "work", "merged"):
            (self.dir / name).mkdir()
        layers = f"lowerdir={base},upperdir={self.dir}/upper,workdir={self.dir}/work"
        sh("mount", "-t", "overlay", "overlay", "-o", layers, self.path)
        # The first process of the new namespaces: while it lives, they do, and with it everything ends.
        inside = f"mount --make-rprivate / && mount -t proc proc {self.path}/proc && mount -t devtmpfs dev {self.path}/dev && exec chroot {self.path} sleep infinity"
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", inside])
        self.pid = self.first_child()
        self.run("ip link set lo up")

    def first_child(self):
        for _ in range(200):
            with open(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children") as f:
                found = f.read().split()
            if found and os.path.realpath(f"/proc/{found[0]}/root") == str(self.path):
                return found[0]
            time.sleep(0.02)
        raise AssertionError("the namespaces did not come up")

    def argv(self, *args):
        return ["nsenter", "-t", self.pid, "--net", "--mount", "--pid", "--ipc", "--uts", "--root", "--wdns=/", *args]

    def run(self, command, ok=True, **kw):
        """Output of a shell command in there."""
        done = subprocess.run(self.argv("sh", "-c", command), capture_output=True, text=True, timeout=240, **kw)
        if ok and done.returncode:
            raise AssertionError(f"{command}: exit {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout + ("" if ok else done.stderr)

    def file(self, path):
        return self.path / path.lstrip("/")

    def put(self, *files):
        for f in files:
            shutil.copy(f, self.path / "tmp")

    # ---- What systemd would do with a unit ----

    def unit(self, name):
        said = {}
        for line in self.file(f"/usr/lib/systemd/system/{name}.service").read_text().splitlines():
            if "=" in line and not line.startswith(("#", "[")):
                key, value = line.split("=", 1)
                said.setdefault(key.strip(), []).append(value.strip())
        return {k: v[-1] for k, v in said.items()}

    def environment(self, unit):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        for kind, base, mode in (("State", "/var/lib", "0700"), ("Runtime", "/run", "0755")):
            name = unit.get(f"{kind}Directory")
            if name:
                env[f"{kind.upper()}_DIRECTORY"] = f"{base}/{name}"
                mode = unit.get(f"{kind}DirectoryMode", mode)
                self.run(f"install -d -o {unit['User']} -g {unit['Group']} -m {mode} {base}/{name}")
        path = self.file(unit["EnvironmentFile"].lstrip("-"))
        for line in path.read_text().splitlines() if path.exists() else []:  # "-": it need not be there
            if line.strip() and not line.startswith("#"):
                key, value = line.split("=", 1)
                env[key] = value.strip('"')
        return env

    def start(self, name):
        """Starts what the unit says. The agent's name for it is that of its unit, without ".service"."""
        unit = self.unit(name)
        env = self.environment(unit)
        words = [re.sub(r"\$\{(\w+)\}", lambda m: env.get(m[1], ""), w) for w in shlex.split(unit["ExecStart"])]
        caps = [c.lower().removeprefix("cap_") for c in unit.get("AmbientCapabilities", "").split()]
        caps_args = [f"{opt}={','.join('+' + c for c in caps)}" for opt in ("--inh-caps", "--ambient-caps")] if caps else []
        bounding = ["--bounding-set=" + ",".join(["-all"] + [f"+{c}" for c in caps])]
        privileges = ["setpriv", "--reuid", unit["User"], "--regid", unit["Group"], "--clear-groups", "--no-new-privs", *bounding, *caps_args]
        return self.spawn(name, [*privileges, *words], env)

    def spawn(self, name, words, env=None):
        env = env or {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        with open(self.dir / f"{name}.log", "ab") as log:
            process = subprocess.Popen(self.argv("env", "-i", *[f"{k}={v}" for k, v in env.items()], *words), stdout=log, stderr=log)
        self.started.append(process)
        return process

    def log(self, name):
        path = self.dir / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def stop(self, process):
        """SIGTERM to the program (nsenter only waits for it); its exit code."""
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as f:
            for child in f.read().split():
                os.kill(int(child), signal.SIGTERM)
        return process.wait(20)

    def until(self, what, check, seconds=30):
        """Waits until check() is true; it may raise AssertionError meanwhile."""
        end, said = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            try:
                if check():
                    return
            except AssertionError as e:
                said = str(e)
            time.sleep(0.2)
        logs = "".join(f"\n--- {p.name}\n{p.read_text()[-1500:]}" for p in sorted(self.dir.glob("*.log")))
        raise AssertionError(f"{what}: not within {seconds} s {said}{logs}")

    def close(self):
        self.holder.kill()
        self.holder.wait()
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        for _ in range(50): # until the last process has let go of it
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"{self.path} cannot be unmounted")
        shutil.rmtree(self.dir)


@contextlib.contextmanager
def fresh(base):
    root = Root(base)
    try:
        yield root
    finally:
        root.close()
