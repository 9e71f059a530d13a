"""The first thing a newcomer does: deploy/quickstart, as root and as anybody."""
import atexit
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

from lab import expect, sh

ALONE = True  # the ports of the host itself

TOP = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


def quickstart(env, *args, user=None):
    prefix = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"] if user else []
    return subprocess.run([*prefix, str(TOP / "deploy" / "quickstart"), *args], capture_output=True, text=True, timeout=600,
                          env={**os.environ, **env})


def processes(state):
    """Processes that have the state directory in their command line."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            cmd = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if state.encode() in cmd and b"twamp-" in cmd:
            out.append(pid)
    return out


@functools.cache
def workplace():
    """A folder for both tests: nothing is built in the first one's, all in the second one's, which is another user's then."""
    base = tempfile.mkdtemp(prefix="twqs-")
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return base


def run_and_stop(user, http):
    base = workplace()
    sh("chown", "-R", f"{user or 0}:{user or 0}", base)
    state = f"{base}/state"
    env = {"TWAMPMESH_QUICKSTART_DIR": state, "TWAMPMESH_BUILD_DIR": f"{base}/build"}
    before = set(sh("ip", "netns", "list").splitlines())
    try:
        done = quickstart(env, "--http", http, user=user)
        expect(done.returncode == 0, f"exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        for mesh_class in ["voice", "bulk"]:
            rows = [x for x in done.stdout.splitlines() if x.startswith(f"quickstart/{mesh_class} ") and " ok " in x]
            expect(len(rows) == 12, f"{len(rows)} rows of {mesh_class}: {done.stdout}")
        expect(len(processes(state)) == 5, f"processes: {processes(state)}")
        again = quickstart(env, "--http", http, user=user)
        expect(again.returncode == 1 and "--stop" in again.stderr, f"a second start: {again.returncode} {again.stderr}")
        stopped = quickstart(env, "--stop", user=user)
        expect(stopped.returncode == 0, stopped.stderr)
        expect(not processes(state), "something still runs")
        expect(not os.path.exists(state), "the state directory is still there")
        expect(set(sh("ip", "netns", "list").splitlines()) == before, "namespaces are left")
        expect("twq0" not in sh("ip", "-br", "link"), "the bridge is left")
    finally:
        if os.path.exists(state):
            quickstart(env, "--stop", user=user)


def test_as_root(build):
    del build  # it builds its own
    run_and_stop(None, "18080")


def test_without_root(build):
    del build
    run_and_stop(NOBODY, "18081")
