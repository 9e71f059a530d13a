"""How much memory twampctl and the controller need for an export of everything that is stored.

usage: export_memory.py BUILD DATABASE     a file that bench_history has left behind (it is copied); prints a line for each form"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

FROM, TO = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"  # bench_history writes October 2024


def own_mb(pid):
    """Without mapped files: the pages of the database are the kernel's to keep or to drop."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) for x in text.splitlines() if x.startswith("RssAnon")) / 1e3


class Watch(threading.Thread):
    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most, self.over = pids, [0] * len(pids), False

    def run(self):
        while not self.over:
            for i, pid in enumerate(self.pids):
                try:
                    self.most[i] = max(self.most[i], own_mb(pid))
                except (OSError, StopIteration):
                    pass  # it has ended
            time.sleep(0.02)


def export(what, command, controller):
    before = own_mb(controller)
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        watch = Watch([child.pid, controller])
        watch.start()
        rows = size = 0
        while piece := child.stdout.read(1 << 16):
            rows += piece.count(b"\n")
            size += len(piece)
        took = time.monotonic() - begin
        watch.over = True
    if child.returncode:
        sys.exit(f"{what}: exit code {child.returncode}")
    print(f"{what:<34} {rows:9} lines {size / 1e6:7.0f} MB {took:5.0f} s   {command[0].rsplit('/')[-1]:<8} {watch.most[0]:5.1f} MB   "
          f"controller {before:5.1f} MB before, {watch.most[1]:5.1f} MB at most", flush=True)


def main():
    build, database = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(database, f"{folder}/controller.db")
        ctl = [str(build / "controller/cli/twampctl"), "--controller", f"ipc://{folder}/ctl.sock", "--progress", "none", "--timeout", "60s"]
        kept = [x for k in ("raw", "1min", "10min", "1h", "1d") for x in (f"--keep-{k}", "36500d")]
        with subprocess.Popen([str(build / "controller/twamp-controller"), "--data-dir", folder, "--admin-listen", f"ipc://{folder}/ctl.sock",
                               "--listen", "tcp://127.0.0.1:18641", "--http", "127.0.0.1:18080", *kept], stderr=subprocess.DEVNULL) as controller:
            try:
                while subprocess.run([*ctl, "status"], capture_output=True).returncode:
                    time.sleep(0.5)
                span = ["--from", FROM, "--to", TO]
                for form in ("ndjson", "csv"):
                    export(f"twampctl results -o {form}", [*ctl, "results", "-o", form, *span], controller.pid)
                export("twampctl report -o ndjson", [*ctl, "report", "-o", "ndjson", *span], controller.pid)
                for form in ("ndjson", "csv"):
                    export(f"/api/v1/summaries?format={form}", ["curl", "-sN", f"http://127.0.0.1:18080/api/v1/summaries?format={form}&from={FROM}&to={TO}"],
                           controller.pid)
            finally:
                controller.terminate()


if __name__ == "__main__":
    main()
