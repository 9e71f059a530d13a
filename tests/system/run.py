"""Runs the system tests: every function test_* of every test_*.py beside this file, or those whose name contains a word given.

usage: run.py BUILD-DIR [WORD...]      prints "ok NAME" or "not ok NAME" for each
"""
import importlib
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True


def tests(words):
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, fn in list(vars(module).items()):
            full = f"{path.stem[5:]}.{name[5:]}"
            if name.startswith("test_") and callable(fn) and (not words or any(w in full for w in words)):
                yield full, fn


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = 0
    for name, fn in tests(sys.argv[2:]):
        start = time.monotonic()
        try:
            fn(sys.argv[1])
            print(f"ok {name}  # {time.monotonic() - start:.1f} s", flush=True)
        except Exception:
            failed += 1
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {name}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
