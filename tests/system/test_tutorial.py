"""docs/tutorial.md, from its first command to its last, as it stands there; and what it shows must look like what comes."""
import pathlib
import re
import time

from doc_rig import TOP, World, blocks, unlike
from lab import Failure, expect

TUTORIAL = "docs/tutorial.md"
ELSEWHERE = re.compile(r"<!-- elsewhere: (\S+) -->\s*$")
READS = re.compile(r"^(twampctl (agent list|status|watch|alert list|outages|flight list|report|doctor)\b|cat [^>]*$|curl -s -H)")
JUDGES = "twampctl doctor"  # it ends with 1 where it finds something, as on a machine that is busy with other tests
SHOWS_WITHIN = 150  # seconds after which what is shown must be there


def elsewhere(block):
    """The test that runs a block, said in the comment above it."""
    before = "\n".join((TOP / TUTORIAL).read_text().splitlines()[:block.number - 1])
    m = ELSEWHERE.search(before)
    return m and m[1]


def steps():
    """(block of commands, lines that the document shows after it)"""
    out = []
    for b in blocks(TUTORIAL):
        if b.kind == "":
            expect(out and not out[-1][1], f"{b.where}: output without a command before it")
            out[-1] = (out[-1][0], b.lines)
        else:
            expect(b.kind == "indented", f"{b.where}: a block of kind {b.kind}: neither commands nor output")
            out += [(part, []) for part in apart(b)]
    return out


def apart(block):
    """Reading commands come again until what is shown is there, so each stands by itself; here-documents stay whole."""
    text = "\n".join(block.lines).strip("\n")
    return [(block.where, part) for part in re.split(r"\n\n(?!.*\nEOF\n(?<!EOF))", text) if part.strip()]


def run_step(world, where, script, shown):
    again = all(READS.match(line) for line in script.splitlines())
    until = time.monotonic() + SHOWS_WITHIN
    while True:
        try:
            came = world.run(script, code=None if script == JUDGES else 0)
            missing = unlike(shown, came)
            if not missing:
                return
            problem = f"{where}: no line like {missing!r} from\n{script}\n{came}"
        except Failure as e:
            problem = f"{where}: {e}"
        if not again or time.monotonic() > until:
            raise Failure(problem)
        time.sleep(0.3)


def test_from_nothing_to_the_first_alert(build):
    ran = []
    with World(build) as world:
        for (where, script), shown in steps_here():
            try:
                run_step(world, where, script, shown)
            except Failure:
                print("# " + world.run("tail -n 5 *.log; cat told", code=None).replace("\n", "\n# "))
                raise
            ran.append(script)
        left = world.run("ip -o link show | grep -v ': lo:'; ip netns list; ls /var/lib | grep twampmesh; ls", code=None)
    expect(len(ran) > 20, f"only {len(ran)} steps")
    expect(not left.strip(), f"what is left after cleaning up: {left}")


def steps_here():
    skipped = {b.where: elsewhere(b) for b in blocks(TUTORIAL) if elsewhere(b)}
    for name in skipped.values():
        expect(pathlib.Path(TOP / name).exists(), f"{TUTORIAL}: there is no {name}")
    return [s for s in steps() if s[0][0] not in skipped]
