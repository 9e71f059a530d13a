#!/usr/bin/env python3
"""What the programs make of their tables for others: completion, asked for in real shells, and manual pages, read by
the tools that read manual pages. tests/shells.py BUILD_DIR"""
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
MADE = BUILD + "/deploy"
PATH = ":".join([BUILD + "/controller/cli", BUILD + "/controller", BUILD + "/agent", os.environ["PATH"]])
PATIENCE_S = 60

failures = []


def expect(what, ok, got):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        failures.append(what)
        print("  got:", got)


# What is typed, what must be offered, what must not.
CASES = [
    ("twampctl ag", {"agent"}, {"schedule"}),
    ("twampctl agent ", {"list", "show", "approve"}, {"apply"}),
    ("twampctl agent list --ou", {"--output="}, {"--mesh="}),
    ("twampctl agent list -o ", {"table", "wide", "json", "yaml", "csv"}, {"agent"}),
    ("twampctl -o json sched", {"schedule"}, {"agent"}),
    ("twampctl report --me", {"--mesh="}, {"--class="}),
    ("twampctl --context ", {"lab", "prod"}, set()),
    ("twampctl context use p", {"prod"}, {"lab"}),
    ("twampctl help sched", {"schedule"}, set()),
    ("twampctl completion ", {"bash", "zsh"}, set()),
    ("twampctl schedule apply -f some-", {"some-mesh.yaml"}, {"other.yaml"}),
    ("twamp se", {"sender", "server"}, {"responder"}),
    ("twamp sender --ds", {"--dscp="}, {"--tos="}),
    ("twamp-agent --log-f", {"--log-format="}, set()),
    ("twamp-controller --log-level ", {"debug", "info", "warn", "error"}, set()),
]


def environment(home):
    return {"PATH": PATH, "HOME": home, "TERM": "dumb", "LC_ALL": "C.UTF-8",
            "TWAMPCTL_CONTROLLER": "ipc:///nowhere/ctl.sock"}


def in_bash(line, home):
    """bash's own variables, set by hand, as when Tab is pressed at the end of the line."""
    script = f"""
source {MADE}/twampctl.bash
compopt() {{ :; }}  # only works while bash completes
COMP_LINE=$1 COMP_POINT=${{#1}}
# bash takes words apart at = and : as well as at blanks
read -ra COMP_WORDS <<<"$(sed 's/[=:]/ & /g' <<<"$1")"
[[ $1 == *[[:space:]] ]] && COMP_WORDS+=('')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_twampmesh
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", line], env=environment(home), cwd=home,
                          capture_output=True, text=True, timeout=PATIENCE_S)
    return set(done.stdout.split()), done.stdout + done.stderr


class Zsh:
    """A zsh on a terminal, where a key lets the completion name what there is, into a file."""

    # Without compinit, which reads a thousand functions: compdef and _files are all that we need of them.
    SETUP = r"""
bindkey -e
compdef() { :; }
_files() { compadd -- $PREFIX*(N) }
compadd() {
    local i
    for (( i = 1; i <= $#; i++ )); do
        [[ $@[i] == -a ]] && offered+=(${(P)@[i+1]})
        [[ $@[i] == -- ]] && offered+=($@[i+1,-1])
    done
}
probe() {
    offered=()
    _twampmesh
    print -rl -- $offered >$HOME/offered.new
    mv $HOME/offered.new $HOME/offered
}
source MADE/_twampctl
zle -C probe list-choices probe
bindkey '^X' probe
"""

    def __init__(self, home):
        self.offered = home + "/offered"
        with open(home + "/.zshrc", "w") as f:
            f.write(self.SETUP.replace("MADE", MADE))
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(home)
            os.execvpe("zsh", ["zsh", "-i"], environment(home))

    def wait(self):
        """Reads what the terminal says, so that nothing blocks, until there is an answer."""
        got, end = "", time.monotonic() + PATIENCE_S
        while not os.path.exists(self.offered) and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    got += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
        return got

    def offers(self, line):
        os.write(self.fd, line.encode() + b"\x18")
        got = self.wait()
        if not os.path.exists(self.offered):
            return set(), got
        with open(self.offered) as f:
            names = f.read().split()
        os.unlink(self.offered)
        os.write(self.fd, b"\x15")
        return set(names), "\n".join(names)

    def close(self):
        os.write(self.fd, b"\x15exit\n")
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def completion():
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(home + "/.config/twampmesh")
        with open(home + "/.config/twampmesh/twampctl.yaml", "w") as f:
            f.write("contexts:\n  lab:\n    controller: ipc:///lab\n  prod:\n    controller: ipc:///prod\n")
        for name in ("some-mesh.yaml", "other.yaml"):
            open(home + "/" + name, "w").close()
        for line, wanted, unwanted in CASES:
            offered, got = in_bash(line, home)
            expect(f"bash: {line}", wanted <= offered and not unwanted & offered, got)
        offered, got = in_bash("twampctl report --output=j", home)
        expect("bash: only what follows the =", offered == {"json"}, got)
        zsh = Zsh(home)
        for line, wanted, unwanted in CASES:
            offered, got = zsh.offers(line)
            expect(f"zsh: {line}", wanted <= offered and not unwanted & offered, got)
        zsh.close()


def mesh_keys():
    """Every key that the parser knows has its paragraph, and says something."""
    tables = json.loads(subprocess.run([BUILD + "/tests/unit/mesh_doc_tool", "keys"], capture_output=True, text=True, check=True).stdout)
    page = open(MADE + "/twampmesh-mesh.5", encoding="utf-8").read()
    for name, keys in tables.items():
        part = page[page.index(f"KEYS OF A {name.upper()}\n"):].split(".SH", 1)[0]
        told = {line[3:].split("\\fR")[0] for line in part.splitlines() if line.startswith("\\fB")}
        expect(f"twampmesh-mesh.5 has the keys of a {name}", told == set(keys), sorted(told ^ set(keys)))
    expect("twampmesh-mesh.5 describes every key", page.count("See docs/mesh.md") == 0, page.count("See docs/mesh.md"))


def manuals():
    for page in ("twampctl.1", "twamp.1", "twamp-agent.8", "twamp-controller.8", "twampmesh-mesh.5", "twampmesh-agent.yaml.5",
                 "twampmesh-controller.yaml.5"):
        path = MADE + "/" + page
        lint = subprocess.run(["mandoc", "-T", "lint", path], capture_output=True, text=True, timeout=PATIENCE_S)
        expect(f"mandoc has nothing against {page}", lint.returncode == 0 and not lint.stdout, lint.stdout)
        man = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path], capture_output=True, text=True,
                             env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"}, timeout=PATIENCE_S)
        expect(f"man has nothing against {page}", man.returncode == 0 and not man.stderr, man.stderr)
        text = subprocess.run(["mandoc", "-T", "ascii", path], capture_output=True, text=True, timeout=PATIENCE_S).stdout
        plain = "".join(c for i, c in enumerate(text) if c != "\b" and text[i + 1:i + 2] != "\b")
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
            if heading == "SYNOPSIS" and page.endswith(".5"):
                continue
            expect(f"{page} has {heading}", f"\n{heading}\n" in plain, plain[:300])
    mesh_keys()
    for program, words in (("twampctl", ["agent list", "schedule apply", "--controller=URL", "--context=NAME"]),
                           ("twamp", ["twamp sender", "--dscp="]), ):
        text = subprocess.run(["mandoc", "-T", "ascii", f"{MADE}/{program}.1"], capture_output=True, text=True,
                              timeout=PATIENCE_S).stdout
        plain = "".join(c for i, c in enumerate(text) if c != "\b" and text[i + 1:i + 2] != "\b")
        for word in words:
            expect(f"{program}.1 tells of {word}", word in plain, plain[:300])


completion()
manuals()
sys.exit(1 if failures else 0)
