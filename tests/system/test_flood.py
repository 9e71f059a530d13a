"""Hundreds of thousands of datagrams, good, damaged and random, against a reflector that runs: it goes on answering, and its
counters add up to what was sent. With TW_TEST_LONG=1 (tests/run --long) ten million of them."""
import json
import os
import re
import subprocess
import tempfile
import time

from lab import Process, expect, sh, wait

ALONE = True  # takes all CPUs

LONG = os.environ.get("TW_TEST_LONG") == "1"
COUNT = 10_000_000 if LONG else 200_000
SECONDS = 3600 if LONG else 240
SEED = int(os.environ.get("TW_TEST_SEED", "1"))
PORT = 20001
KEY = "correct horse battery"


class Namespace:
    """One with a loopback interface and nothing else."""

    def __enter__(self):
        self.name = f"twflood{os.getpid() % 100000}"
        sh("ip", "netns", "add", self.name)
        sh("ip", "-n", self.name, "link", "set", "lo", "up")
        return self.name

    def __exit__(self, kind, value, trace):
        sh("ip", "netns", "del", self.name, check=False)


def numbers(report):
    """The final report of the responder: a number behind each name."""
    return {name.strip(): int(n) for name, n in re.findall(r"([A-Za-z ]+) (\d+)", report)}


def read(path):
    with open(path) as f:
        return f.read()


def secrets_file(folder):
    path = f"{folder}/secrets"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(f"lab {KEY}\n")
    return path


def flood(build, ns, address, *key):
    """(what flood says, the responder's report) of one run from start to end of a responder."""
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/responder.log"
        extra = ["--secrets", secrets_file(folder)] if key else []
        responder = Process([f"{build}/agent/twamp", "responder", f"{address}:{PORT}", *extra], log, ns=ns)
        try:
            wait("the responder to listen", lambda: responder.said("Listening on"))
            start = time.monotonic()
            done = subprocess.run(["ip", "netns", "exec", ns, f"{build}/tests/fuzz/flood", f"{address}:{PORT}", str(COUNT), str(SEED),
                                   *key], capture_output=True, text=True, timeout=SECONDS)
            print(f"# {address}: {COUNT} datagrams, seed {SEED}, {time.monotonic() - start:.1f} s")
            expect(done.returncode == 0, f"flood, seed {SEED}: exit {done.returncode}: {done.stderr}{done.stdout}{responder.tail()}")
            expect(responder.alive(), f"the responder has ended: {responder.tail()}")
            code = responder.stop()
            expect(code == 0, f"the responder ended with {code}: {responder.tail()}")
        finally:
            if responder.alive():
                responder.kill()
        text = read(log)
        print("".join(f"# {line}\n" for line in text.splitlines()), end="")
        expect("Sanitizer" not in text and "runtime error" not in text, text)
        return json.loads(done.stdout), numbers(text)


def check(sent, got, keyed):
    """sent: by kind, as flood made them; got: the responder's own counters."""
    print(f"# {json.dumps(sent)}")
    expect(sum(sent["good"].values()) + sum(sent["damaged"].values()) == COUNT, "flood made another number than it was told to")
    expect(sent["sent"] == got["Reflected"] + got["rejected"] + got["dropped by this host"],
           f"sent {sent['sent']} is not reflected + rejected + dropped: {got}")
    expect(got["send errors"] == 0 and got["dropped by this host"] == 0, f"the host could not follow: {got}")
    expect(sent["answers"] + sent["own_drops"] == got["Reflected"],
           f"{sent['answers']} answers came and {sent['own_drops']} were dropped here, of {got['Reflected']}")
    # What must have come of the undamaged ones: all are answered, or refused for their one reason.
    good = sent["good"]
    light = good["light"] + sent["markers"]
    stamp = good["stamp"] + good["tlvs"] + good["soup"]
    expect(got["TWAMP Light"] >= light, f"{got['TWAMP Light']} Light answers of {light} good probes")
    expect(got["STAMP"] >= stamp + good["auth"] + good["auth_tlvs"], f"{got['STAMP']} STAMP answers of {stamp} good probes")
    expect(got["authenticated"] >= good["auth"] + good["auth_tlvs"], f"{got['authenticated']} of {good} authenticated")
    expect(got["wrong HMAC"] >= good["foreign"], f"{got['wrong HMAC']} wrong HMACs of {good['foreign']}")
    other = got["rejected"] - got["wrong HMAC"] - got["not authenticated"]
    expect(other >= good["loop"] > 0, f"{other} rejected for other reasons of {good['loop']} from port 862")
    if not keyed:
        expect(got["authenticated"] == 0, f"{got['authenticated']} authenticated without a key")
    expect(sent["well"] is True, "not well afterwards")


def test_ipv4_with_keys_adds_up(build):
    with Namespace() as ns:
        check(*flood(os.path.abspath(build), ns, "127.0.0.1", KEY), keyed=True)


def test_ipv6_without_keys_adds_up(build):
    with Namespace() as ns:
        check(*flood(os.path.abspath(build), ns, "[::1]"), keyed=False)
