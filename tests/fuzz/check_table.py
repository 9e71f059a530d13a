#!/usr/bin/python3
"""Every decoder has a fuzz target, every target a row in table.py, and docs/fuzzing.md says what they say. usage: tests/fuzz/check_table.py

A decoder is a function in a header that is named like one (..._parse, _decode, _unpack, _from_json, _load, _read_..., _check) and takes
octets or a text. It must be in a row, or in EXEMPT with the reason. Services are found in proto/: a target has to walk each of them."""
import glob
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import table  # noqa: E402

top = table.top
CORPUS_MAX = 2 << 20
LOOKS = re.compile(r"\b([a-z][a-z0-9_]*_(?:parse|decode|unpack|load|cut|from_[a-z]+|(?:read|check|parse|get|open)(?:_[a-z]+)?|read))\s*\(([^;{]*)\)",
                   re.S)
TAKES = re.compile(r"const (uint8_t|char|void) \*(data|text|json|body|octets|p|msg|path|file|url|header|name|key)\b|const uint8_t \*")
NAMES = re.compile(r"_(parse|decode|unpack|load|cut|from_(json|pem|der|text)|read)(_[a-z]+)?$")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def decoders():
    for folder in ("common", "agent", "controller", "db"):
        for path in sorted(glob.glob(f"{top}/{folder}/**/*.h", recursive=True)):
            text = re.sub(r"/\*.*?\*/", " ", read(path), flags=re.S)
            text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
            text = re.sub(r"\{[^{}]*\}", ";", text)
            for name, args in LOOKS.findall(text):
                if TAKES.search(args) and NAMES.search(name):
                    yield name, os.path.relpath(path, top)


def main():
    bad = []
    cmake = read(os.path.join(here, "CMakeLists.txt"))
    built = re.findall(r"^tw_fuzz_target\((\w+) ", cmake, re.M)
    for t in sorted(set(built) ^ set(table.ROWS)):
        bad.append(f"{t}: {'has no row in tests/fuzz/table.py' if t in built else 'has a row, but is no target in tests/fuzz/CMakeLists.txt'}")
    bad += [f"{t}: is in no group of tests/fuzz/table.py" for t in built if not table.group_of(t)[0]]
    total = 0
    for t in built:
        folder = os.path.join(here, "corpus", t)
        inputs = os.listdir(folder) if os.path.isdir(folder) else []
        total += sum(os.path.getsize(os.path.join(folder, f)) for f in inputs)
        if not inputs:
            bad.append(f"{t}: tests/fuzz/corpus/{t} is empty")
        for f in table.ROWS.get(t, {"files": []})["files"]:
            if not os.path.exists(os.path.join(top, f)):
                bad.append(f"{t}: there is no {f}")
    if total > CORPUS_MAX:
        bad.append(f"the corpora have {total} octets, more than {CORPUS_MAX}")
    named = {d for row in table.ROWS.values() for d in row["decoders"]}
    found = dict(decoders())
    for name, where in sorted(found.items()):
        if name not in named and name not in table.EXEMPT:
            bad.append(f"{name}() in {where} reads what others wrote: name it in the row of a target, or in EXEMPT (tests/fuzz/table.py)")
    sources = "".join(read(f) for f in glob.glob(os.path.join(here, "*.c")))
    for path in glob.glob(f"{top}/proto/*.proto"):
        for service in re.findall(r"^service (\w+)", read(path), re.M):
            word = "tw__" + re.sub(r"(?<=[a-z])([A-Z])", r"_\1", service).lower() + "__descriptor"
            if word not in sources:
                bad.append(f"service {service}: no fuzz target walks {word}")
    if table.docs_text() != read(table.DOCS):
        bad.append("docs/fuzzing.md is not what tests/fuzz/record.json and table.py say: run tests/fuzz/check_table.py --write")
    for line in bad:
        print("not ok", line)
    print(f"{len(built)} targets, {len(found)} decoders, corpora of {total} octets, {len(bad)} wrong")
    sys.exit(1 if bad or len(found) < 40 else 0)


if sys.argv[1:] == ["--write"]:
    table.write_docs()
main()
