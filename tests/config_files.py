#!/usr/bin/env python3
"""Configuration files of the daemons: deploy/config and the tables of docs/operations.md and docs/twamp.md are what the programs print; what they print can be
read again and means the same; everything that is wrong is told. usage: tests/config_files.py BUILD [--update]"""
import os
import re
import subprocess
import sys
import tempfile

top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.path.abspath(sys.argv[1])
update = "--update" in sys.argv
DOCS = f"{top}/docs/operations.md"
DAEMONS = {"agent": f"{build}/agent/twamp-agent", "controller": f"{build}/controller/twamp-controller"}
failures = 0
ENV = {k: v for k, v in os.environ.items() if not k.startswith("TWAMP_")}


def expect(what, ok, seen=""):
    global failures
    if not ok:
        failures += 1
        print(f"FAILED: {what}\n{str(seen)[:2000]}")


def run(name, *words, env=None):
    return subprocess.run([DAEMONS[name], *words], capture_output=True, text=True, timeout=30, env={**ENV, **(env or {})})


def out(name, *words, env=None):
    done = run(name, *words, env=env)
    expect(f"{name} {' '.join(words)} ends with 0", done.returncode == 0, done.stderr)
    return done.stdout


def current(path, wanted, what):
    with open(path, encoding="utf-8") as f:
        have = f.read()
    if update and have != wanted:
        with open(path, "w", encoding="utf-8") as f:
            f.write(wanted)
    elif have != wanted:
        expect(f"{what} is current (tests/config_files.py BUILD --update)", False)


def values(text):
    """Without comments, which say where each value is from."""
    return [re.sub(r" # .*", "", line) for line in text.splitlines() if not line.startswith("#")]


def table(path, command, made):
    """The table of a command's options in a document is what the command prints."""
    begin, end = f"<!-- begin: {command} --help=markdown -->\n", "<!-- end -->"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    head, rest = text.split(begin)
    current(path, head + begin + made + end + rest.split(end, 1)[1], f"the table of {command} in {os.path.relpath(path, top)}")


def currency(name):
    current(f"{top}/deploy/config/{name}.yaml", out(name, "--print-config=default"), f"deploy/config/{name}.yaml")
    table(DOCS, f"twamp-{name}", out(name, "--help=markdown"))


def tool():
    """twamp has no configuration file; docs/twamp.md has a table of each sub-command that its help lists."""
    def twamp(*words):
        return subprocess.run([f"{build}/agent/twamp", *words], capture_output=True, text=True, timeout=30, env=ENV, check=True).stdout
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", twamp("--help"), re.M)[1]
    for command in re.findall(r"^  (\w+) ", listed, re.M):
        made = twamp(command, "--help=markdown")
        if made.count("\n") > 2:  # it has options
            table(f"{top}/docs/twamp.md", f"twamp {command}", made)


def again(name, folder):
    """What is printed can be read, whatever it is from."""
    path = f"{folder}/{name}.yaml"
    default = out(name, "--print-config=default")
    with open(path, "w", encoding="utf-8") as f:
        f.write(default)
    expect(f"{name}: a file of comments is good", out(name, "--config", path, "--check-config").strip() == f"{path}: good, 0 keys")
    plain = values(out(name, "--config", "none", "--print-config"))
    expect(f"{name}: a file of comments changes nothing", values(out(name, "--config", path, "--print-config")) == plain)
    all_set = [line[1:] for line in default.splitlines() if re.match(r"#[a-z0-9-]+: ", line) and not re.search(r': (""|\[\])$', line)]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(all_set))
    expect(f"{name}: all defaults without their # are the defaults", values(out(name, "--config", path, "--print-config")) == plain)
    expect(f"{name}: there are many", len(all_set) > 20, all_set)
    words = ["--http=127.0.0.1:1"]
    env = {f"TWAMP_{name.upper()}_LOG_FORMAT": "json", f"TWAMP_{name.upper()}_LOG_LEVEL": "debug"}
    with open(path, "w", encoding="utf-8") as f:
        f.write("name: from-file\nlog-level: warn\nhttp: 127.0.0.1:2\n")
    first = out(name, "--config", path, *words, "--print-config", env=env)
    for line in (f"name: from-file # {path}:1", f"log-format: json # environment: TWAMP_{name.upper()}_LOG_FORMAT",
                 f"log-level: debug # environment: TWAMP_{name.upper()}_LOG_LEVEL", "http: 127.0.0.1:1 # command line"):
        expect(f"{name} says {line}", line in first.splitlines(), first)
    with open(path, "w", encoding="utf-8") as f:
        f.write(first)
    expect(f"{name}: what is printed means the same", values(out(name, "--config", path, "--print-config")) == values(first), first)


def everything_wrong(name, folder):
    path = f"{folder}/bad.yaml"
    rows = [("nme: x", "nme: is no key: did you mean \"name\"?"),
            ("http_tls_cert: /x", "http_tls_cert: is no key: did you mean \"http-tls-cert\"?"),
            ("qqqqqqqqqq: x", "qqqqqqqqqq: is no key: --print-config=default lists them"),
            ("http-tls-key: SeCrEt", "http-tls-key: expected the path of a file, /... or ./..., and not the secret itself"),
            ("passphrase: SeCrEt", "passphrase: no secret is written here, but in a file of its own"),
            ("log-level: loud", "log-level: must be one of debug, info, warn, error, not \"loud\""),
            ("http: [a, b]", "http: expected one value"),
            ("check-config: true", "check-config: is for the command line, not for a file"),
            ("user:", "user: has no value"),
            ("log-level: info", "log-level: is given twice")]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(line for line, _ in rows))
    done = run(name, "--config", path, "--check-config")
    expect(f"{name}: wrong is 1", done.returncode == 1, done)
    for i, (line, text) in enumerate(rows):
        wanted = f"twamp-{name}: {path}:{i + 1}: {text}"
        expect(f"{name} tells of {line}", any(x.startswith(wanted) for x in done.stderr.splitlines()), f"{wanted}\n{done.stderr}")
    expect(f"{name} shows no secret", "SeCrEt" not in done.stderr + done.stdout, done.stderr)
    started = run(name, "--config", path)
    expect(f"{name} does not start with it, and says as much", started.returncode == 2 and started.stderr == done.stderr, started)
    missing = run(name, "--config", f"{folder}/none.yaml", "--check-config")
    expect(f"{name}: a file that was named has to be there", missing.returncode == 1 and "cannot be read: No such file" in missing.stderr, missing)


def examples():
    for name, path, keys in [("agent", f"{top}/deploy/config/agent-three-controllers.yaml", 3), ("controller", f"{top}/deploy/cluster/controller.yaml", 7)]:
        expect(f"{path} is good", out(name, "--config", path, "--check-config").strip() == f"{path}: good, {keys} keys")


with tempfile.TemporaryDirectory() as folder:
    for name in DAEMONS:
        currency(name)
        again(name, folder)
        everything_wrong(name, folder)
    tool()
    examples()
sys.exit(1 if failures else 0)
