"""Who reads slowly, of every route: others are answered meanwhile, memory is bounded, and with --long: the reader is cut off."""
import json
import pathlib
import re
import socket
import time

from lab import CONTROLLER, NET4, expect, wait
from meshes import full
from rig import ChaosLab
from tool_rig import ns_socket

TWO = ["a1", "a2"]
ADDRESS = (f"{NET4}.{CONTROLLER}", 8080)
OPENAPI = pathlib.Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
VALUES = {"file": "mesh.schema.json", "name": "a1", "generation": "1", "id": "1", "test_id": "1"}
GROWTH_KB = 96 * 1024


def routes():
    """Every path that can be read, with something in the place of its names; the largest answers again and again."""
    paths = [re.sub(r"\{(\w+)\}", lambda m: VALUES[m[1]], p) for p, ways in json.loads(OPENAPI.read_text())["paths"].items() if "get" in ways]
    return paths + ["/", "/api/v1/summaries?limit=100000&from=-1d", "/api/v1/export?mesh=lab"] + 8 * ["/metrics", "/api/v1/openapi.json"]


def slow(lab, path):
    """Asks, and reads nothing; its buffer is as small as can be."""
    s = ns_socket(lab.ns("a1"), kind=socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(10)
    s.connect(ADDRESS)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {lab.token}\r\n\r\n".encode())
    return s


def rss_kb(p):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p.popen.pid}/status").read_text())[1])


def descriptors(p):
    return len(list(pathlib.Path(f"/proc/{p.popen.pid}/fd").iterdir()))


def test_slow_readers(build, seed, n=1):
    with ChaosLab(build, TWO, seed) as lab:
        lab.start_fleet()
        lab.apply(full(TWO))
        lab.progress("first results")
        before, paths, open_before = rss_kb(lab.controller), routes(), descriptors(lab.controller)
        lab.rng.shuffle(paths)
        readers = [slow(lab, p) for p in paths[:64]]  # as many as one address may have
        lab.say(f"{len(readers)} slow readers of {len(set(paths))} routes")
        worst = 0.0
        for path in dict.fromkeys(paths):
            began = time.monotonic()
            status, _ = lab.http(path.replace("/api/v1/events", "/api/v1/status"), check=False)
            worst = max(worst, time.monotonic() - began)
            expect(status and status != 503, f"{path} is not answered to others: {status}")
        lab.progress("results meanwhile")
        after = rss_kb(lab.controller)
        lab.say(f"others were answered within {worst:.2f} s; memory {before // 1024} MB, then {after // 1024} MB")
        expect(after - before < GROWTH_KB, f"slow readers made the controller grow from {before} to {after} kB")
        if n > 1:  # the long form. Those that listen for events have nothing to be late with.
            listening = sum(p == "/api/v1/events" for p in paths[:64])
            wait("the others to be cut off", lambda: descriptors(lab.controller) <= open_before + listening + 4, 120)
            lab.say("all but listeners are cut off")
        for s in readers:
            s.close()
        lab.verdict()
