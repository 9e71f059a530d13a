#!/usr/bin/env python3
"""Every threat in docs/security.md names a test, and every test that is named exists. usage: tests/threats.py"""
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
    row = re.search(rf"^\s*tw_unit_test\({program} (\S+)", read("tests/unit/CMakeLists.txt"), re.M)
    path = row[1] if row else None
    if not row and program.startswith("agent_core_"):  # those that are in a loop
        path = f"agent/core/test_{program.removeprefix('agent_core_')}.c"
        if not re.search(rf"^\s*{program.removeprefix('agent_core_')}\s*$", read("tests/unit/CMakeLists.txt"), re.M):
            return False
    return path is not None and os.path.exists(f"{top}/tests/unit/{path}") and has_word(read(f"tests/unit/{path}"), test)


def system(name):
    module, _, test = name.partition(": ")
    path = f"tests/system/test_{module}.py"
    return os.path.exists(f"{top}/{path}") and f"def test_{test}(" in read(path)


def fuzz(name):
    return re.search(rf"^tw_fuzz_target\({name} ", read("tests/fuzz/CMakeLists.txt"), re.M) is not None


def web(name):
    return any(name in read(f"controller/web/{folder}/{file}") for folder in ("test", "tests", "e2e")
               if os.path.isdir(f"{top}/controller/web/{folder}")
               for file in os.listdir(f"{top}/controller/web/{folder}") if file.endswith((".ts", ".tsx", ".js", ".mjs")))


def check(name):
    return f"add_test(NAME {name} " in read("tests/CMakeLists.txt")


KINDS = {"unit": unit, "system": system, "fuzz": fuzz, "web": web, "check": check}


def main():
    bad, rows, numbers = [], 0, set()
    for line in read("docs/security.md").splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if re.match(r"\| [A-Z]+\d+ \|", line) else []
        if not cells:
            continue
        rows += 1
        if len(cells) != 5 or not all(cells):
            bad.append(f"{cells[0]}: expected five cells")
            continue
        if cells[0] in numbers:
            bad.append(f"{cells[0]}: is there twice")
        numbers.add(cells[0])
        tests = re.findall(r"(\w+) `([^`]+)`", cells[4])
        if not tests or re.sub(r"\w+ `[^`]+`(, )?", "", cells[4]):
            bad.append(f"{cells[0]}: \"{cells[4]}\": expected KIND `NAME`, KIND `NAME`; KIND is one of {', '.join(KINDS)}")
        for kind, name in tests:
            if kind not in KINDS or not KINDS[kind](name):
                bad.append(f"{cells[0]}: there is no {kind} test \"{name}\"")
    # The check itself must be able to fail.
    if unit("common_acl: no_such_test") or system("limits: no_such_test") or fuzz("no_such") or check("no_such"):
        bad.append("this check finds what does not exist")
    if rows < 20:
        bad.append(f"only {rows} threats: the table is not found")
    print("\n".join(bad) or f"{rows} threats, all with tests")
    return 1 if bad else 0


sys.exit(main())
