"""An agent's whole life: the authority is made, a token lets it in, it waits, is approved, measures, renews its certificate, is revoked."""
import os
import time

from lab import CONTROLLER, NET4, Lab, expect, wait
from meshes import one_way

URL = f"tls+tcp://{NET4}.{CONTROLLER}:8620"
LIFE = "6s"  # of certificates: renewed every 4 s


def write(lab, name, text):
    path = f"{lab.dir}/{name}"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return path


def start_controller(lab, *extra):
    lab.start_controller("--listen", URL, "--agent-certificate-life", LIFE, *extra)


def init(lab):
    os.mkdir(f"{lab.dir}/controller")
    lab.ctl("ca", "init", "--dir", f"{lab.dir}/controller/ca", "--name", f"{NET4}.{CONTROLLER}", "--certificate-life", "9s")
    start_controller(lab)


def join(lab, name, token, **kw):
    lab.start_agent(name, "--controller", URL, "--join-token-file", write(lab, f"{name}.token", token + "\n"), **kw)


def token(lab, *args):
    return lab.ctl("token", "create", *args).strip()


def agent(lab, name):
    return next((a for a in lab.agent_list() if a["name"] == name), None)


def in_state(lab, name, state):
    a = agent(lab, name)
    return a and a["state"] == state


def ended(lab, name):
    code = lab.agents[name].popen.poll()
    return code is not None and (code, lab.agents[name].tail())


def expiry(lab, of):
    text = lab.http("/metrics")[1]
    line = next((l for l in text.splitlines() if l.startswith(f'twamp_certificate_expiry_timestamp_seconds{{of="{of}"}}')), None)
    return float(line.split()[-1]) if line else None


def waits_and_is_approved(lab):
    text = token(lab, "--name", "a1", "--label", "role=edge")
    join(lab, "a1", text)
    wait("a1 to wait for approval", lambda: lab.agents["a1"].said("waiting for approval"))
    expect(agent(lab, "a1")["state"] == "pending", "it was let in unasked")
    lab.agents["a1"].kill()  # and goes on from where it was
    join(lab, "a1", text)
    wait("a1 to be known again", lambda: lab.ctl("agent", "approve", "a1"))
    wait("a1 to be up", lambda: in_state(lab, "a1", "up"))
    expect("role=edge" in agent(lab, "a1")["labels"], f"the token's label is missing: {agent(lab, 'a1')['labels']}")
    expect(lab.json("token", "list")["tokens"] == [], "the token is not used up")


def comes_at_once(lab):
    join(lab, "a2", token(lab, "--approve"))
    wait("a2 to be up", lambda: in_state(lab, "a2", "up"))


def renews(lab):
    first = agent(lab, "a1")["certificate_serial"]
    server = expiry(lab, "controller")
    expect(first and server, f"no certificate: {first} {server}")
    seen = {first}
    wait("a renewal", lambda: seen.add(agent(lab, "a1")["certificate_serial"]) or len(seen) >= 2, 60)
    wait("the controller's own renewal", lambda: expiry(lab, "controller") > server, 60)
    wait("it to be up by a renewed one", lambda: in_state(lab, "a1", "up"))
    expect(expiry(lab, "agents") and expiry(lab, "ca") > server, "an expiry is missing")


def comes_back_without_token_when_its_certificate_is_over(lab):
    lab.agents["a1"].stop()
    os.unlink(f"{lab.dir}/a1.token")
    until = int(agent(lab, "a1")["certificate_not_after_ns"]) / 1e9
    wait("its certificate to expire", lambda: time.time() > until + 0.5, 60)
    lab.start_agent("a1", "--controller", URL)
    wait("a1 to be up by another one", lambda: in_state(lab, "a1", "up"), 60)


def is_revoked(lab):
    lab.ctl("agent", "revoke", "a1", "--yes", "--reason", "test")
    wait("a1 to hear of it", lambda: lab.agents["a1"].said("does not want this agent"))
    expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it was revoked")
    lab.start_agent("a1", "--controller", URL)
    wait("it to be refused", lambda: lab.controller.said("to let it in again: twampctl agent remove a1"))
    wait("it to be told", lambda: open(lab.agents["a1"].log).read().count("does not want this agent") == 2)
    expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it is refused")
    expect(in_state(lab, "a1", "revoked"), "it came in again")


def test_a_whole_life_by_certificates(build):
    with Lab(build, ["a1", "a2"]) as lab:
        init(lab)
        waits_and_is_approved(lab)
        comes_at_once(lab)
        lab.apply(one_way("a1", "a2"))
        wait("results", lab.results)
        renews(lab)
        comes_back_without_token_when_its_certificate_is_over(lab)
        is_revoked(lab)


def test_who_has_no_right_token_stays_out(build):
    with Lab(build, ["a1"]) as lab:
        init(lab)
        good = token(lab, "--approve")
        head, _, ca = good.rpartition(".")
        join(lab, "a1", f"{head}.{'A' * len(ca)}")
        code, log = wait("the other authority to be noticed", lambda: ended(lab, "a1"))
        expect(code == 1 and "it is the token of another controller" in log, f"{code}: {log}")
        expect(agent(lab, "a1") is None, "it became an agent all the same")
        secret = head.rpartition(".")[2]
        expect(secret not in lab.controller.tail(), "the secret was told to whom it is not for")
        lab.ctl("token", "revoke", good.split(".")[1])
        join(lab, "a1", good)
        code, log = wait("the revoked token to be refused", lambda: ended(lab, "a1"))
        expect(code == 1 and "is revoked" in log and secret not in log, f"{code}: {log}")
        lab.start_agent("a1", "--controller", URL, key_from="fresh")
        code, log = wait("the missing token to be said", lambda: ended(lab, "a1"))
        expect(code == 1 and "--join-token-file" in log, f"{code}: {log}")
