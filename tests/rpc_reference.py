#!/usr/bin/env python3
"""docs/rpc.md is what proto/*.proto say. usage: tests/rpc_reference.py [--write]

Without --write it compares, and says what to do. Comments of the .proto files are the text: those above a message, enum or method
and those behind, or above, a field. Numbers of services come from common/net/rpc.h, which the programs use.
"""
import difflib
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
DOC = TOP / "docs" / "rpc.md"
BEGIN, END = "<!-- made: rpc, by tests/rpc_reference.py -->\n", "<!-- end -->\n"
FIRST = "rpc"  # the envelope comes before what is in it
FOREIGN = {"exposition"}  # Prometheus' format, no call of ours

OPENING = re.compile(r"^(message|enum|service) (\w+) \{(\})?")
FIELD = re.compile(r"^(?:(repeated|optional) )?([\w.]+) (\w+) = (\d+);(?:\s*//\s*(.*))?$")
VALUE = re.compile(r"^(\w+) = (\d+);(?:\s*//\s*(.*))?$")
METHOD = re.compile(r"^rpc (\w+) \((\w+)\) returns \((\w+)\);(?:\s*//\s*(.*))?$")
SKIPPED = re.compile(r'^(syntax = "proto3";|package tw;|import "\w+\.proto";|)$')


class Block:
    """A message, enum or service: rows are [first columns..., text]."""

    def __init__(self, kind, name, text):
        self.kind, self.name, self.text, self.rows = kind, name, text, []


class Reader:
    """One .proto file. A line that it does not understand is an error, so that nothing is left out unseen."""

    def __init__(self, path):
        self.path, self.blocks, self.block, self.above, self.text, self.last = path, [], None, [], "", None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not self.take(line.strip(), line):
                sys.exit(f"{path}:{number}: tests/rpc_reference.py does not know what this is: {line}")

    def take(self, line, raw):
        if line.startswith("//"):
            return self.comment(line[2:].strip(), raw)
        if SKIPPED.match(line):
            if line.startswith("syntax"):
                self.text = self.words()
            self.above, self.last = [], None
            return True
        return self.row(line) if self.block else self.opening(line)

    def comment(self, text, raw):
        if self.last and len(raw) - len(raw.lstrip()) > 8:  # goes on from behind the field before
            self.last[-1] += " " + text
        elif not text.startswith("----"):
            self.above.append(text)
        return True

    def words(self):
        text, self.above = " ".join(self.above), []
        return text

    def opening(self, line):
        m = OPENING.match(line)
        if not m:
            return False
        self.blocks.append(Block(m[1], m[2], self.words()))
        self.block = None if m[3] else self.blocks[-1]
        return True

    def row(self, line):
        if line == "}":
            self.block, self.above, self.last = None, [], None
            return True
        m = {"message": FIELD, "enum": VALUE, "service": METHOD}[self.block.kind].match(line)
        if not m:
            return False
        text = " ".join(filter(None, [self.words(), m[m.lastindex] if line.find("//") >= 0 else ""]))
        columns = list(m.groups())[:-1]
        self.last = [*columns, text]
        self.block.rows.append(self.last)
        return True


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def anchor(name):
    return name.lower()


def type_of(name, known):
    return f"[{name}](#{anchor(name)})" if name in known else f"`{name}`"


def table(heading, rows):
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def field_rows(block, known):
    for label, kind, name, number, text in block.rows:
        yield [number, f"`{name}`", (f"{label} " if label else "") + type_of(kind, known), cell(text)]


def block_lines(block, known):
    lines = [f"### {block.name}", ""] + ([cell(block.text), ""] if block.text else [])
    if block.kind == "enum":
        return lines + table(["number", "value", "meaning"], [[n, f"`{v}`", cell(t)] for v, n, t in block.rows])
    if not block.rows:
        return lines + ["It has no fields.", ""]
    return lines + table(["number", "field", "type", "meaning"], field_rows(block, known))


def service_numbers():
    text = re.search(r"enum rpc_service_number \{(.*?)\}", (TOP / "common/net/rpc.h").read_text(), re.S)[1]
    return {m[1].replace("_", "").lower(): int(m[2]) for m in re.finditer(r"RPC_(\w+) = (\d+)", text)}


def service_lines(service, number, known):
    rows = [[str(number * 256 + i), f"`{name}`", type_of(rq, known), type_of(rp, known), cell(text)]
            for i, (name, rq, rp, text) in enumerate(service.rows)]
    head = [f"### Service {service.name}", "", f"Number {number}. {cell(service.text)}".rstrip(), ""]
    return head + table(["method", "name", "request", "reply", "about"], rows)


def made():
    paths = sorted(p for p in (TOP / "proto").glob("*.proto") if p.stem not in FOREIGN)
    files = [Reader(p) for p in sorted(paths, key=lambda p: (p.stem != FIRST, p.stem))]
    known = {b.name for f in files for b in f.blocks if b.kind != "service"}
    numbers = service_numbers()
    services = [b for f in files for b in f.blocks if b.kind == "service"]
    lines = ["## Services", ""]
    for service in sorted(services, key=lambda s: numbers[s.name.lower()]):
        lines += service_lines(service, numbers[service.name.lower()], known)
    for f in files:
        lines += [f"## {f.path.relative_to(TOP)}", "", cell(f.text), ""]
        for block in f.blocks:
            lines += block_lines(block, known) if block.kind != "service" else []
    return "\n".join(lines)


def main():
    text = DOC.read_text()
    head, _, rest = text.partition(BEGIN)
    old, _, tail = rest.partition(END)
    if not tail and not rest.endswith(END):
        sys.exit(f"{DOC}: there are no lines {BEGIN.strip()} and {END.strip()}")
    new = made()
    if "--write" in sys.argv[1:]:
        DOC.write_text(head + BEGIN + new + END + tail)
    elif old != new:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "docs/rpc.md", "proto/*.proto", n=1))
        sys.exit("docs/rpc.md is not what proto/*.proto say: tests/rpc_reference.py --write")


if __name__ == "__main__":
    main()
