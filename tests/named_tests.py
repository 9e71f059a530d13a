#!/usr/bin/env python3
"""Every threat in docs/security.md and every promise in docs/promises.md names a test, and every test that is named exists.

usage: tests/named_tests.py
"""
import os
import re
import sys

top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    with open(os.path.join(top, path), encoding="utf-8") as f:
        return f.read()


def has_word(text, word):
    return re.search(rf"\b{re.escape(word)}\b", text) is not None


def unit(name):
    program, _, test = name.partition(": ")
    row = re.search(rf"^\s*tw_unit_test\({program} (\S+)(.*)", read("tests/unit/CMakeLists.txt"), re.M)
    path = row[1] if row else None
    if row and "conform_history" in row[2]:  # its tests are the suite's
        return any(has_word(read(f"tests/unit/db/conform_{part}.c"), test) for part in ("append", "read", "span", "random"))
    if not row and program.startswith("agent_core_"):  # those that are in a loop
        path = f"agent/core/test_{program.removeprefix('agent_core_')}.c"
        if not re.search(rf"^\s*{program.removeprefix('agent_core_')}\s*\)?$", read("tests/unit/CMakeLists.txt"), re.M):
            return False
    return path is not None and os.path.exists(f"{top}/tests/unit/{path}") and has_word(read(f"tests/unit/{path}"), test)


def fuzz(name):
    return re.search(rf"^tw_fuzz_target\({name} ", read("tests/fuzz/CMakeLists.txt"), re.M) is not None


def web(name):
    return any(name in read(f"controller/web/{folder}/{file}") for folder in ("test", "tests", "e2e")
               if os.path.isdir(f"{top}/controller/web/{folder}")
               for file in os.listdir(f"{top}/controller/web/{folder}") if file.endswith((".ts", ".tsx", ".js", ".mjs")))


def check(name):
    return f"add_test(NAME {name} " in read("tests/CMakeLists.txt")


def sim(name):
    program, _, scenario = name.partition(": ")
    files = {"session": ["scenarios.c", "sim_check.c"], "backlog": ["sim_backlog.c"], "pace": ["sim_pace.c"], "ctl": ["sim_ctl.c"]}
    return any(f'"{scenario}"' in read(f"tests/sim/{f}") or has_word(read(f"tests/sim/{f}"), scenario) for f in files.get(program, []))


def in_python(folder):
    def there(name):
        module, _, test = name.partition(": ")
        path = f"tests/{folder}/{module if folder == 'packages' else 'test_' + module}.py"
        return os.path.exists(f"{top}/{path}") and f"def test_{test}(" in read(path)
    return there


def browser(name):
    module, _, test = name.partition(": ")
    path = f"tests/browser/test_{module}.mjs"
    return os.path.exists(f"{top}/{path}") and f"async {test}(" in read(path)


def bench(name):
    return re.search(rf"^#+ .*`{re.escape(name)}[ `]", read("docs/benchmarks.md"), re.M) is not None


KINDS = {"unit": unit, "system": in_python("system"), "chaos": in_python("chaos"), "packages": in_python("packages"), "browser": browser,
         "cluster": in_python("cluster"), "sim": sim, "fuzz": fuzz, "web": web, "check": check, "bench": bench}
DOCUMENTS = {"docs/security.md": (5, 20), "docs/promises.md": (3, 60)}  # cells of a row, the last names the tests; rows at least


def check_document(path, cells_n, least):
    """What is wrong with a document's rows, and how many there are."""
    bad, numbers = [], set()
    for line in read(path).splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if re.match(r"\| [A-Z]+\d+ \|", line) else []
        if not cells:
            continue
        if len(cells) != cells_n or not all(cells):
            bad.append(f"{path}: {cells[0]}: expected {cells_n} cells")
            continue
        if cells[0] in numbers:
            bad.append(f"{path}: {cells[0]}: is there twice")
        numbers.add(cells[0])
        tests = re.findall(r"(\w+) `([^`]+)`", cells[-1])
        if not tests or re.sub(r"\w+ `[^`]+`(, )?", "", cells[-1]):
            bad.append(f"{path}: {cells[0]}: \"{cells[-1]}\": expected KIND `NAME`, KIND `NAME`; KIND is one of {', '.join(KINDS)}")
        for kind, name in tests:
            if kind not in KINDS or not KINDS[kind](name):
                bad.append(f"{path}: {cells[0]}: there is no {kind} test \"{name}\"")
    if len(numbers) < least:
        bad.append(f"{path}: only {len(numbers)} rows: the table is not found")
    return bad, len(numbers)


def main():
    bad, rows = [], 0
    for path, (cells_n, least) in DOCUMENTS.items():
        wrong, n = check_document(path, cells_n, least)
        bad, rows = bad + wrong, rows + n
    # The check itself must be able to fail.
    for kind, name in (("unit", "common_acl: no_such_test"), ("system", "limits: no_such_test"), ("chaos", "faults: no_such"), ("fuzz", "no_such"),
                       ("browser", "matrix: no_such"), ("sim", "session: no such"), ("check", "no_such"), ("bench", "no_such")):
        if KINDS[kind](name):
            bad.append(f"this check finds a {kind} test that does not exist")
    print("\n".join(bad) or f"{rows} rows, all with tests")
    return 1 if bad else 0


sys.exit(main())
