"""Runs the system tests: every function test_* of every test_*.py beside this file, or those whose name contains a word given.

usage: run.py [-j N] [--only together|alone] [--without WORD] [--folder DIR] BUILD-DIR [WORD...]      prints "ok NAME" or "not ok NAME" for each

-j N: so many at a time, each a process with network namespaces of its own (1). Most tests wait more than they work. Those of a
module that says ALONE = True judge times or rates: they run by themselves, after the others. Those of modules that say HOST = True
use ports of the host itself: beside others, but one after the other.
"""
import argparse
import concurrent.futures
import contextlib
import fcntl
import importlib
import io
import multiprocessing
import pathlib
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True


def tests(folder, words, without):
    """(name, module, function, the module's ALONE, its HOST) of each."""
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, fn in list(vars(module).items()):
            full = f"{path.stem[5:]}.{name[5:]}"
            if name.startswith("test_") and callable(fn) and (not words or any(w in full for w in words)) \
                    and not (without and without in full):
                yield full, path.stem, name, getattr(module, "ALONE", False), getattr(module, "HOST", False)


def run(folder, full, module, name, build):
    """(passed, what it printed)"""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    start = time.monotonic()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            getattr(importlib.import_module(module), name)(build)
            passed = True
            print(f"ok {full}  # {time.monotonic() - start:.1f} s")
        except Exception:
            passed = False
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {full}  # {time.monotonic() - start:.1f} s")
    return passed, said.getvalue()


def run_chain(chain):
    return [run(*t) for t in chain]


def run_at_host(chain):
    """Not while another run does, of another build or clone."""
    with open(f"{tempfile.gettempdir()}/twampmesh-host-ports.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run_chain(chain)


def report(result):
    passed, said = result
    print(said, end="", flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=1, metavar="N")
    parser.add_argument("--only", choices=["together", "alone"])
    parser.add_argument("--without", metavar="WORD", help="none whose name contains it")
    parser.add_argument("--folder", type=pathlib.Path, default=HERE, metavar="DIR", help="of the tests (that of this file)")
    parser.add_argument("build")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    together, host, alone = [], [], []
    folder = args.folder.resolve()
    sys.path.insert(0, str(folder))
    for full, module, name, by_itself, at_host in tests(folder, args.words, args.without):
        if args.only in (None, "alone" if by_itself else "together"):
            (alone if by_itself or args.j < 2 else host if at_host else together).append((folder, full, module, name, args.build))
    chains = [(run_at_host, host)] * bool(host) + [(run_chain, [t]) for t in together]
    good = bool(chains or alone)
    if chains:
        # Each in a process of its own: names of namespaces come from its number.
        with concurrent.futures.ProcessPoolExecutor(args.j, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
            for done in concurrent.futures.as_completed([pool.submit(*c) for c in chains]):
                good &= all([report(r) for r in done.result()])
    for t in alone:
        good &= report(run(*t))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
