"""docs/schema/mesh.schema.json against the parser: the same keys, the examples hold, nothing that the parser takes is refused, and
what it refuses for its form is refused. Usage: mesh_schema.py SOURCE-DIR MESH_DOC_TOOL"""
import copy
import json
import pathlib
import re
import subprocess
import sys

import jsonschema

TOP, TOOL = pathlib.Path(sys.argv[1]), sys.argv[2]

# Together they use every key.
BASES = [
    {"mesh": "m", "description": "d", "topology": "full", "members": ["a", "@g", 12], "one_way": True,
     "exclude": [["a", "@g"]], "groups": {"g": ["b", "@h"], "h": {"select": "site=ams", "cidr": ["10.0.0.0/8"],
                                                                                  "members": ["c"], "allow_empty": True}},
     "targets": {"r": "192.0.2.1:862", "s": {"address": "r.example.net", "family": 6}},
     "defaults": {"dscp": "EF", "timeout": "1s"}, "classes": {"c": {}, "d": {"extends": "c", "size": "imix"}}},
    {"mesh": "m", "topology": "hub-spoke", "hubs": ["a"], "spokes": ["b", "c"], "one_way": "false", "classes": {"c": {
        "dscp": 46, "spacing": "20ms", "spacing_kind": "exponential", "size": 300, "timeout": "1s", "report_period": "10s", "ttl": 64,
        "flows": 2, "protocol": "stamp", "auth": "authenticated", "key_id": "site", "df": True, "padding": "zero", "bind": "eth0",
        "tlvs": ["cos", "follow-up"], "reply_dscp": "AF41"}}},
    {"mesh": "m", "topology": "list", "pairs": [["a", "b"], ["b", "a"]], "classes": {"c": {}}},
    {"mesh": "m", "topology": "disjoint", "left": ["a"], "right": ["b"], "classes": {"c": {}}},
    {"mesh": "m", "topology": "full", "members": ["a", "b"], "schedule": {
        "every": "5m", "count": 5, "start": "2027-01-01 08:00", "until": "2028-01-01T00:00:00Z", "max_runs": 7, "zone": "Europe/Amsterdam",
        "windows": [{"days": "mon-fri", "from": "08:00", "to": "18:00"}]},
     "maintenance": [{"from": "2027-02-01", "to": "2027-02-02", "reason": "r", "probes": "stop"}, {"days": "sun", "from": "03:00", "to": "04:00"}],
     "classes": {"c": {}, "d": {"schedule": {"cron": "@daily", "for": "1m"}}, "e": {"schedule": {"at": "2027-01-01", "for": "1s"}}}},
    {"mesh": "m", "topology": "ring", "members": ["a", "b"], "classes": {"c": {}}},
    {"mesh": "m", "topology": "k-regular", "members": ["a", "b"], "degree": 3, "classes": {"c": {}}},
]
VALUES = [[], {}, "", None, "Zz !", 0, True, ["a"], {"a": "b"}, [["a", "b"]], "ring", "on-demand"]

# How the parser says that the form is wrong.
FORM = re.compile(r"unknown key|is missing|expected (a list|keys and values|a plain value|one of|an agent,|the name of|an address, or"
                  r"|\[source|a time with its unit|a unicast|EF, )|no value|needs \"|belongs to topology|the list is empty"
                  r"|without anybody|expected 1 to (64|1024) |is reserved")


def tool(*args, **kw):
    return subprocess.run([TOOL, *args], check=True, capture_output=True, text=True, **kw).stdout


def paths(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from paths(child, at + (key,))


def parent(doc, path):
    for key in path[:-1]:
        doc = doc[key]
    return doc


def mutants(base):
    for path in paths(base):
        if not path:
            continue
        for value in VALUES:
            doc = copy.deepcopy(base)
            parent(doc, path)[path[-1]] = value
            yield doc
        doc = copy.deepcopy(base)
        del parent(doc, path)[path[-1]]
        yield doc
        if isinstance(path[-1], str):
            doc = copy.deepcopy(base)
            parent(doc, path)[path[-1] + "x"] = parent(doc, path).pop(path[-1])
            yield doc
    for path in paths(base):
        doc = copy.deepcopy(base)
        at = parent(doc, path + (0,))
        if isinstance(at, dict):
            at["zzz"] = "a"
            yield doc
        elif isinstance(at, list):
            at.append(7)
            yield doc
    for key, value in (("members", ["a", "b"]), ("hubs", ["a"]), ("spokes", ["a"]), ("left", ["a"]), ("right", ["b"]), ("degree", 2),
                       ("pairs", [["a", "b"]]), ("one_way", True)):
        yield {**base, key: value}


def check_keys(schema):
    for name, table in json.loads(tool("keys")).items():
        part = schema["$defs"][name]
        assert set(part["properties"]) == set(table), (name, set(part["properties"]) ^ set(table))
        assert set(part.get("required", ())) == {k for k, v in table.items() if v["required"]}, name
        assert part["additionalProperties"] is False, name


def main():
    schema = json.loads((TOP / "docs/schema/mesh.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    check_keys(schema)
    examples = sorted(p for p in (TOP / "deploy/examples").glob("*.yaml") if p.name != "alerts.yaml")
    alerts = json.loads((TOP / "docs/schema/alerts.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(alerts)
    jsonschema.Draft202012Validator(alerts).validate(json.loads(tool("json", str(TOP / "deploy/examples/alerts.yaml"))))
    assert len(examples) > 5
    good = BASES + [json.loads(tool("json", str(path))) for path in examples]
    docs = good + [doc for base in good for doc in mutants(base)]
    verdicts = tool("check", input="".join(json.dumps(doc) + "\n" for doc in docs)).splitlines()
    assert len(verdicts) == len(docs)
    failed = form = 0
    for i, (doc, verdict) in enumerate(zip(docs, verdicts)):
        valid = validator.is_valid(doc)
        is_form = bool(FORM.search(verdict))
        form += is_form
        wrong = ("is not good" if i < len(good) and (verdict != "ok" or not valid)
                 else "the schema refuses it, the parser does not" if verdict == "ok" and not valid
                 else "the parser refuses its form, the schema does not" if is_form and valid else None)
        if wrong:
            failed += 1
            print(f"{json.dumps(doc)}\n  {wrong}: {verdict}", file=sys.stderr)
    print(f"{len(docs)} documents, {verdicts.count('ok')} good, {form} of a wrong form, {failed} failed")
    assert verdicts.count("ok") > 100 and form > 1000
    return bool(failed)


sys.exit(main())
