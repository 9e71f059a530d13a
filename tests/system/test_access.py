"""Who may do what over HTTP and by twampctl, as the table of methods says; tokens that end; the audit log. On loopback, without namespaces."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from lab import Process, expect, wait

HOST = True

ROLES = ["none", "viewer", "operator", "admin"]
PORT = 18090


class Controller:
    """One of its own on 127.0.0.1."""

    def __init__(self, build, *extra):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="twamp-access-")
        self.admin = f"ipc://{self.dir}/ctl.sock"
        self.extra, self.env = extra, None

    def start(self):
        self.process = Process([f"{self.build}/controller/twamp-controller", "--listen", f"ipc://{self.dir}/fleet.sock", "--admin-listen", self.admin,
                                "--http", f"127.0.0.1:{PORT}", "--data-dir", f"{self.dir}/data", "--name", "access", *self.extra],
                               f"{self.dir}/log", env=self.env)
        wait("the controller to be ready", lambda: self.request("GET", "/readyz")[0] == 200)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("".join(f"# {line}\n" for line in self.process.tail().splitlines()))
        if self.process.alive():
            self.process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def request(self, method, path, token=None, body=None, raw=None, host=None):
        """(status, text, headers)"""
        conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        headers = {"Authorization": raw or f"Bearer {token}"} if token or raw else {}
        if host:
            headers["Host"] = host
        if method == "POST":
            headers["Content-Type"] = "application/json"
        try:
            conn.request(method, path, json.dumps(body or {}) if method == "POST" else None, headers)
            r = conn.getresponse()
            return r.status, r.read().decode(), dict(r.getheaders())
        except OSError:
            return 0, "", {}
        finally:
            conn.close()

    def ctl_run(self, *args, **env):
        done = subprocess.run([f"{self.build}/controller/cli/twampctl", "--controller", self.admin, *args], capture_output=True, text=True,
                              timeout=60, env={**os.environ, "XDG_CONFIG_HOME": self.dir, **env})
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *args, **env):
        code, out, err = self.ctl_run(*args, **env)
        expect(code == 0, f"twampctl {' '.join(args)}: {code}: {err}")
        return out

    def create(self, role, name=None, *more):
        return self.ctl("access", "token", "create", "--role", role, "--name", name or role, *more).strip()

    def metric(self, name):
        text = self.request("GET", "/metrics", self.viewer)[1]
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


def operations(doc):
    """(method, path, role that it needs): with names that nothing has, so that who may does no harm."""
    for path, item in doc["paths"].items():
        for method, op in item.items():
            yield method.upper(), re.sub(r"\{[^}]*\}", "0", path), op["x-role"]


def status_is_right(status, role, need):
    if ROLES.index(role) >= ROLES.index(need):
        return status not in (401, 403)
    return status == (401 if role == "none" else 403)


def test_each_role_over_http_and_by_twampctl(build):
    with Controller(build) as c:
        doc = json.loads(c.request("GET", "/api/v1/openapi.json")[1])
        tokens = {role: c.create(role) for role in ROLES[1:]}
        tried = 0
        for method, path, need in operations(doc):
            if path == "/api/v1/events":
                continue  # it goes on; below
            for role in ROLES:
                status, text, headers = c.request(method, path, tokens.get(role))
                expect(status_is_right(status, role, need), f"{role} {method} {path}, which needs {need}: {status} {text[:200]}")
                expect(status != 401 or "Bearer" in headers.get("WWW-Authenticate", ""), f"401 without WWW-Authenticate: {headers}")
                tried += 1
        expect(tried > 200, tried)
        for role in ROLES[1:]:
            code, _, err = c.ctl_run("schedule", "pause", "nosuch", TWAMPCTL_TOKEN=tokens[role])
            expect(("needs the role operator" in err) == (role == "viewer") and code == 1, f"{role}: {code} {err}")
            code, out, err = c.ctl_run("audit", "-o", "json", TWAMPCTL_TOKEN=tokens[role])
            expect((code == 0) == (role == "admin"), f"{role}: audit: {code} {err}")
        refused = json.loads(out)["entries"]
        expect({"viewer", "operator"} <= {e["who"] for e in refused if e["result"] == "PERMISSION_DENIED"}, "refusals are not in the audit log")


def test_without_tokens_loopback_may_look(build):
    with Controller(build) as c:
        expect(c.request("GET", "/api/v1/status")[0] == 200, "a viewer without token")
        status, text, _ = c.request("POST", "/api/v1/schedule", body={"document": "x"})
        expect(status == 403 and "local has viewer" in text, f"{status} {text}")
        c.viewer = c.create("viewer")
        expect(c.request("GET", "/api/v1/status")[0] == 401, "let in without token although there are some")
        for path in ("/metrics", "/api/v1/sd"):
            expect(c.request("GET", path)[0] == 401 and c.request("GET", path, c.viewer)[0] == 200, path)
        for path in ("/", "/healthz", "/readyz", "/api/v1", "/api/v1/openapi.json"):
            expect(c.request("GET", path)[0] == 200, f"{path} needs a token")
    with Controller(build, "--open-metrics", "--http-write") as c:
        expect("--http-write will go" in c.process.tail() and "access token create" in c.process.tail(), c.process.tail())
        expect(c.request("POST", "/api/v1/schedule/x/pause")[0] == 404, "--http-write, for one more release")
        c.create("viewer")
        expect(c.request("POST", "/api/v1/schedule/x/pause")[0] == 401, "--http-write although there are tokens")
        for path in ("/metrics", "/api/v1/sd"):
            expect(c.request("GET", path)[0] == 200, f"--open-metrics: {path}")


def test_names_of_others_are_not_ours(build):
    with Controller(build, "--http-name", "mesh.example.net", "--http-write") as c:
        for host in ("127.0.0.1", "[::1]:8080", "localhost:1", "access", "MESH.example.net:8080", socket.gethostname()):
            expect(c.request("GET", "/api/v1/status", host=host)[0] == 200, f"Host: {host}")
        for path in ("/", "/api/v1/status", "/api/v1/whoami", "/metrics"):
            status, text, _ = c.request("GET", path, host="evil.example:8080")
            expect(status == 421 and "--http-name" in json.loads(text)["error"], f"{path}: {status} {text}")
        status, text, _ = c.request("POST", "/api/v1/schedule/x/pause", host="evil.example")
        expect(status == 421, f"a change by DNS rebinding: {status} {text}")
        for path in ("/healthz", "/readyz"):
            expect(c.request("GET", path, host="evil.example")[0] == 200, path)
        c.viewer = c.create("viewer")
        expect(c.request("GET", "/api/v1/status", c.viewer, host="evil.example")[0] == 200, "whoever has a token is no other site's page")
        expect(c.metric('twamp_access_refused_total{reason="host"}') == 5, "not counted")
        wrong = "twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic"
        for _ in range(20):
            for path in ("/", "/healthz", "/readyz", "/api/v1/openapi.json"):
                expect(c.request("GET", path, wrong)[0] == 200, f"{path} is for everybody, with a wrong token, too")
        expect(c.metric('twamp_access_refused_total{reason="wrong_token"}') == 0, "tokens that nobody asked for were looked at")
        expect(c.request("GET", "/api/v1/whoami", wrong)[0] == 401, "whoami says nothing of a wrong token")
    for name in ("evil:80", "a b", "127.0.0.1"):
        done = subprocess.run([f"{build}/controller/twamp-controller", "--http-name", name, "--data-dir", "/nonexistent"], capture_output=True, text=True,
                              timeout=60)
        expect(done.returncode == 2 and "--http-name" in done.stderr, f"{name}: {done.returncode} {done.stderr}")


def stream(c, token):
    """A listener to events: (socket, what it got first)."""
    s = socket.create_connection(("127.0.0.1", PORT), timeout=30)
    s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return s, s.recv(65536).decode()


def lasts(s):
    """How long until it ends."""
    since = time.monotonic()
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - since


def test_connections_end_with_their_token(build):
    with Controller(build) as c:
        c.viewer = c.create("viewer", "metrics")
        gone, short = c.create("operator", "gone"), c.create("viewer", "short", "--ttl", "4s")
        streams = [stream(c, gone)[0], stream(c, short)[0]]
        kept, head = stream(c, c.viewer)
        expect("event: hello" in head or "200 OK" in head, head)
        listed = json.loads(c.ctl("access", "token", "list", "-o", "json"))["tokens"]
        expect({t["name"]: t["state"] for t in listed} == {"metrics": "active", "gone": "active", "short": "active"}, listed)
        c.ctl("access", "token", "revoke", "gone")
        for s in streams:
            took = lasts(s)
            expect(took < 10, f"{took} s until it was cut off")
        for token, why in ((gone, "revoked"), (short, "expired")):
            status, text, _ = c.request("GET", "/api/v1/status", token)
            expect(status == 401 and why in text, f"{status} {text}")
            code, _, err = c.ctl_run("status", TWAMPCTL_TOKEN=token)
            expect(code == 3 and why in err, f"{code} {err}")
        expect(c.metric("twamp_access_cut_off_total") == 2, "not counted")
        kept.settimeout(0.2)
        try:
            expect(kept.recv(65536) != b"", "one with another token was cut off, too")
        except TimeoutError:
            pass
        kept.close()


def test_wrong_tokens_are_limited(build):
    wrong = "twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic"
    with Controller(build) as c:
        c.viewer = c.create("viewer")
        got = [c.request("GET", "/api/v1/status", wrong) for _ in range(40)]
        codes = [g[0] for g in got]
        expect(codes[:10] == [401] * 10 and 429 in codes, codes)
        late = next(g for g in got if g[0] == 429)
        expect(int(late[2]["Retry-After"]) >= 1 and "too many wrong access tokens" in late[1], late)
        expect(c.request("GET", "/api/v1/status", c.viewer)[0] == 200, "a right one is kept out, too")
        expect(c.request("GET", "/api/v1/status", raw="Basic YTpi")[0] == 401, "another scheme")
        limited = codes.count(429)
        expect(c.metric('twamp_access_refused_total{reason="too_many_tries"}') == limited, "not counted")
        expect(c.metric('twamp_access_refused_total{reason="wrong_token"}') == 40 - limited, "not counted")
        logged = c.process.tail().count("wrong access token")
        expect(1 <= logged <= 20, f"{logged} lines in the log")
        tries = json.loads(c.ctl("audit", "--what", "login", "-o", "json"))["entries"]
        expect(len(tries) == 40 - limited and all(t["origin"] == "127.0.0.1" and t["result"] == "UNAUTHENTICATED" for t in tries), tries)


def test_audit_log(build):
    with Controller(build) as c:
        admin = c.create("admin", "root")
        path = f"{c.dir}/token"
        with open(path, "w") as f:
            f.write(admin + "\n")
        os.chmod(path, 0o644)
        code, _, err = c.ctl_run("--token-file", path, "status")
        expect(code == 2 and "chmod 600" in err, f"{code} {err}")
        os.chmod(path, 0o600)
        c.ctl("--token-file", path, "status")
        with open(f"{c.dir}/m.yaml", "w") as f:
            f.write("mesh: m\ngroups: {g: {select: \"x=y\", allow_empty: true}}\ntopology: full\nmembers: [\"@g\"]\nclasses: {c: {spacing: 1s}}\n")
        c.ctl("--token-file", path, "schedule", "apply", "-f", f"{c.dir}/m.yaml", "--wait", "0", "-r", "first")
        c.ctl("--token-file", path, "schedule", "pause", "m")
        _, _, err = c.ctl_run("--token", admin, "status")
        expect("--token-file" in err, f"no warning of a token on the command line: {err}")
        pause, apply = json.loads(c.ctl("audit", "--what", "schedule", "--who", "root", "-o", "json"))["entries"]
        expect((pause["method"], pause["subject"], pause["result"], pause["way"]) == ("SchedulePause", "m", "OK", "socket"), pause)
        expect("mesh m: runs" in pause["before"] and "mesh m: paused" in pause["after"] and "mesh m" not in (apply["before"] or ""), (pause, apply))
        expect(f"uid {os.getuid()} " in pause["origin"] and json.loads(apply["request"])["reason"] == "first", (pause, apply))
        code, out, _ = c.ctl_run("audit", str(pause["id"]))
        expect(code == 0 and "Before" in out and "mesh m: paused" in out, out)
        c.process.stop()
        c.start()
        again = json.loads(c.ctl("audit", "--what", "schedule", "-o", "json"))["entries"]
        expect(again == [pause, apply], "not the same after a restart")
        expect(c.ctl("audit", "--to", "-1h", "-o", "csv").count("\n") == 1, "entries from before there were any")
        expect(admin not in open(f"{c.dir}/data/controller.db", "rb").read().decode("latin-1"), "the database has a token's secret")


TLS = "tls+tcp://127.0.0.1:18091"


def write(c, name, text):
    path = f"{c.dir}/{name}"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(text)
    return path


def test_operators_come_from_elsewhere_over_tls(build):
    c = Controller(build, "--admin-tls", TLS)
    os.mkdir(f"{c.dir}/data")
    c.ctl("ca", "init", "--dir", f"{c.dir}/data/ca", "--name", "ctl.example.net,127.0.0.1")
    c.ctl("ca", "init", "--dir", f"{c.dir}/other", "--name", "127.0.0.1")
    with c:
        viewer, admin = (["--token-file", write(c, f"{r}.token", c.create(r))] for r in ("viewer", "admin"))
        there, ca = ["-c", TLS], ["--ca-file", f"{c.dir}/data/ca/ca.pem"]
        said = c.ctl(*there, *ca, *viewer, "status")
        expect("access" in said, said)
        bad = [  # (options, exit code, what is said)
            ([*ca], 3, "access token"),
            ([*ca, "--token-file", write(c, "wrong", "twa1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")], 3, "token"),
            ([*viewer], 2, "--ca-file"),
            ([*viewer, "--ca-file", f"{c.dir}/nosuch"], 2, "No such file"),
            ([*viewer, "--ca-file", f"{c.dir}/other/ca.pem"], 3, "certificate"),
            ([*viewer, *ca, "--server-name", "elsewhere.example.net"], 3, "elsewhere.example.net"),
            ([*viewer, *ca, "-c", TLS.replace("tls+", "")], 2, "is not sent to tcp://"),
        ]
        for args, want, text in bad:
            code, _, err = c.ctl_run(*there, *args, "status")
            expect(code == want and text in err and err.count("\n") == 1, f"{args}: {code} {err}")
        expect("access" in c.ctl(*there, *ca, *viewer, "--server-name", "ctl.example.net", "status"), "by another of its names")
        code, _, err = c.ctl_run(*there, *ca, *viewer, "audit")
        expect(code == 1 and "needs the role admin" in err, f"a viewer reads the audit log: {code} {err}")
        c.ctl(*there, *ca, *admin, "context", "add", "far")
        c.ctl("context", "use", "far")
        entries = json.loads(c.ctl(*there, *ca, *admin, "audit", "-o", "json"))["entries"]
        expect(any(e["who"] == "viewer" and e["result"] == "PERMISSION_DENIED" and e["origin"].startswith("127.0.0.1") for e in entries), entries)
        done = subprocess.run([f"{build}/controller/cli/twampctl", "status"], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "XDG_CONFIG_HOME": c.dir})
        expect(done.returncode == 0 and "access" in done.stdout, f"by the context alone: {done.stderr}")
    code, _, err = Controller(build).ctl_run("status")  # nobody there
    expect(code == 3, err)
    lone = subprocess.run([f"{build}/controller/twamp-controller", "--admin-tls", "tcp://127.0.0.1:18091", "--data-dir", c.dir], capture_output=True,
                          text=True, timeout=60)
    expect(lone.returncode == 2 and "tls+tcp://" in lone.stderr, f"{lone.returncode} {lone.stderr}")


def test_operators_by_certificate(build):
    """By twampctl over TLS and by HTTPS; of each role; ended by its revocation within 10 s; agents' and others' certificates let nobody in."""
    c = Controller(build, "--admin-tls", TLS)
    os.mkdir(f"{c.dir}/data")
    ca = f"{c.dir}/data/ca"
    c.ctl("ca", "init", "--dir", ca, "--name", "127.0.0.1")
    c.ctl("ca", "init", "--dir", f"{c.dir}/other", "--name", "127.0.0.1")
    c.extra += ("--http", "127.0.0.1:18092", "--http-tls-cert", f"{ca}/server.pem", "--http-tls-key", f"{ca}/server.pem")
    there = ["-c", TLS, "--ca-file", f"{ca}/ca.pem"]

    def https(cert, path, *more):
        """(status, text)"""
        done = subprocess.run(["curl", "-s", "-m", "10", "--cacert", f"{ca}/ca.pem", *(["--cert", cert] if cert else []), "-w", "\n%{http_code}", *more,
                               f"https://127.0.0.1:18092{path}"], capture_output=True, text=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    c.process = Process([f"{build}/controller/twamp-controller", "--listen", f"ipc://{c.dir}/fleet.sock", "--admin-listen", c.admin,
                         "--data-dir", f"{c.dir}/data", "--name", "access", *c.extra], f"{c.dir}/log")
    try:
        wait("the controller to be ready", lambda: c.ctl_run("status")[0] == 0)
        ids, pem = {}, {}
        for role in ROLES[1:]:
            pem[role] = f"{c.dir}/{role}.pem"
            ids[role] = c.ctl("ca", "operator", role, "--role", role, "--dir", ca, "--out", pem[role], "--ttl", "30d").strip()
            expect(os.stat(pem[role]).st_mode & 0o777 == 0o600, "others can read the key")
        code, _, err = c.ctl_run("ca", "operator", "viewer", "--role", "admin", "--dir", ca, "--out", f"{c.dir}/second.pem")
        expect(code != 0 and "there is a token" in err and not os.path.exists(f"{c.dir}/second.pem"), f"{code} {err}")
        code, _, err = c.ctl_run("ca", "operator", "eve", "--role", "admin", "--dir", ca, "--out", pem["viewer"])
        expect(code != 0 and "is there already" in err, f"a key is written over: {code} {err}")

        for role in ROLES[1:]:
            by = [*there, "--client-cert", pem[role]]
            expect("access" in c.ctl(*by, "status"), role)
            code, _, err = c.ctl_run(*by, "audit")
            expect((code == 0) == (role == "admin") and ("needs the role admin" in err) == (role != "admin"), f"{role}: {code} {err}")
            status, text = https(pem[role], "/api/v1/whoami")
            expect(status == 200 and json.loads(text)["name"] == role and json.loads(text)["role"] == role, f"{status} {text}")
            expect(https(pem[role], "/api/v1/audit")[0] == (200 if role == "admin" else 403), f"{role} and the audit log")
        expect(https(None, "/api/v1/status")[0] == 401, "without a certificate nobody is asked for a token")
        change = ["-X", "POST", "-H", "Content-Type: application/json", "-d", "{}"]
        path = "/api/v1/schedule/nosuch/pause"
        expect(https(pem["operator"], path, *change)[0] == 404, "an operator may not change anything")
        expect(https(pem["operator"], path, *change, "-H", "Origin: https://127.0.0.1:18092")[0] == 404, "nor from our own page")
        status, text = https(pem["operator"], path, *change, "-H", "Origin: https://evil.example")
        expect(status == 403 and "own page only" in text, f"another site's page changes something: {status} {text}")

        # key and certificate in two files, by a context
        text = open(pem["operator"]).read()
        at = text.index("-----BEGIN PRIVATE KEY") if "-----BEGIN PRIVATE KEY" in text else text.index("-----BEGIN EC PRIVATE KEY")
        both = ["--client-cert", write(c, "cert.pem", text[:at]), "--client-key", write(c, "key.pem", text[at:])]
        c.ctl(*there, *both, "context", "add", "far")
        done = subprocess.run([f"{build}/controller/cli/twampctl", "--context", "far", "status"], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "XDG_CONFIG_HOME": c.dir})
        expect(done.returncode == 0 and "access" in done.stdout, f"by the context alone: {done.stderr}")

        # whoever's certificate it is not
        for other in (f"{ca}/server.pem", f"{c.dir}/other/server.pem"):
            code, _, err = c.ctl_run(*there, "--client-cert", other, "status")
            expect(code == 3, f"{other}: {code} {err}")
            expect(https(other, "/api/v1/status")[0] in (0, 401), other)

        # who is revoked goes at once: a stream of events, and the next call
        events = subprocess.Popen(["curl", "-sN", "--cacert", f"{ca}/ca.pem", "--cert", pem["viewer"], "https://127.0.0.1:18092/api/v1/events"],
                                  stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            expect(events.poll() is None, "no events")
            c.ctl("access", "token", "revoke", ids["viewer"])
            wait("the events to end", lambda: events.poll() is not None, 10)
        finally:
            events.kill()
            events.wait()
        code, _, err = c.ctl_run(*there, "--client-cert", pem["viewer"], "status")
        expect(code == 3 and "has been revoked" in err, f"{code} {err}")
        expect(https(pem["viewer"], "/api/v1/status")[0] == 401, "revoked, and still let in")
        entries = json.loads(c.ctl("audit", "-o", "json"))["entries"]
        expect(any(e["who"] == "operator" and e["token_id"] == ids["operator"] and e["method"] == "SchedulePause" for e in entries), entries)
        expect(any(e["method"] == "Login" and "has been revoked" in e["detail"] for e in entries), entries)
    finally:
        c.process.stop()
        shutil.rmtree(c.dir, ignore_errors=True)
