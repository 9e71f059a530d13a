"""Sessions of the page, as a program without a browser sees them: what begins one, what it may do, what ends it."""
import json

from lab import Lab, Process, expect, wait
from test_https import ADDRESS, make_cert, use

BASE = f"https://{ADDRESS}:8080"


class Browser:
    """A cookie jar, and the text that changes carry."""

    made = 0

    def __init__(self, lab):
        Browser.made += 1
        self.lab, self.jar, self.csrf = lab, f"{lab.dir}/jar{Browser.made}", None

    def ask(self, path, *args, body=None):
        """(status, headers and content)"""
        args = [*args, *(["-H", "Content-Type: application/json", "--data-binary", body if isinstance(body, str) else json.dumps(body)]
                         if body is not None else [])]
        out = self.lab.exec("ctl", "curl", "-sig", "-m", "30", "-b", self.jar, "-c", self.jar, *self.lab.curl, *args, "-w", "\n%{http_code}",
                            f"{BASE}{path}", check=False)
        text, _, status = out.rpartition("\n")
        return int(status), text

    def login(self, token):
        status, text = self.ask("/api/v1/login", body={"token": token})
        if status == 200:
            self.csrf = json.loads(text.rpartition("\n\n")[2])["csrf"]
        return status, text

    def whoami(self):
        return json.loads(self.ask("/api/v1/whoami")[1].rpartition("\n\n")[2])

    def listen(self, log):
        return Process(["curl", "-sN", *self.lab.curl, "-b", self.jar, f"{BASE}/api/v1/events"], log, ns=self.lab.ns("ctl"))


def secure_lab(lab):
    make_cert(lab, "first", ADDRESS, 90)
    use(lab, "first")
    lab.scheme, lab.curl = "https", ["--cacert", f"{lab.dir}/first.crt"]
    lab.start_controller("--http-tls-cert", f"{lab.dir}/use.crt", "--http-tls-key", f"{lab.dir}/use.key")


def make_token(lab, role, name):
    return lab.ctl("access", "token", "create", "--role", role, "--name", name).strip()


SILENCE = {"match": "mesh=x", "duration_ns": 3600 * 10**9, "reason": "test"}


def test_session_from_login_to_end(build):
    with Lab(build, ["a1"]) as lab:
        secure_lab(lab)
        token = make_token(lab, "operator", "olga")
        ann = Browser(lab)
        expect(ann.ask("/api/v1/agents")[0] == 401, "agents are shown to nobody")
        expect(ann.whoami()["role"] == "nobody", "somebody without a login")
        status, text = ann.login(token)
        cookie = [x for x in text.splitlines() if x.lower().startswith("set-cookie: ")]
        expect(status == 200 and len(cookie) == 1, text)
        for word in ("__Host-twampmesh=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict", "; Max-Age=43200"):
            expect(word in cookie[0], f"no {word} in {cookie[0]}")
        expect(token not in text and "Domain" not in cookie[0], "the token came back")
        me = ann.whoami()
        expect((me["name"], me["role"], me["by"]) == ("olga", "operator", "session") and me["csrf"] == ann.csrf, me)
        expect(ann.ask("/api/v1/agents")[0] == 200, "no agents by the cookie")
        # A change needs the text of the session, and our own page.
        own = ["-H", f"X-Csrf-Token: {ann.csrf}"]
        for args in ([], ["-H", "X-Csrf-Token: x"], ["-H", f"X-Csrf-Token: {'0' * 64}"], [*own, "-H", "Origin: https://evil.example"],
                     [*own, "-H", f"Origin: http://{ADDRESS}:8080"], [*own, "-H", "Origin: null"]):
            status, text = ann.ask("/api/v1/silences", *args, body=SILENCE)
            expect(status == 403 and "X-Csrf-Token" in text, f"{args}: {status} {text}")
        status, text = ann.ask("/api/v1/silences", *own, "-H", f"Origin: {BASE}", body=SILENCE)
        expect(status == 200, f"our own page: {status} {text}")
        status, text = ann.ask("/api/v1/agents/a1", *own, "-X", "DELETE")
        expect(status == 403 and "admin" in text, f"an operator removes an agent: {status} {text}")
        # Who listens is cut off by a logout; who kept the cookie has nothing of it.
        log = f"{lab.dir}/events.log"
        listener = ann.listen(log)
        wait("the first event", lambda: "event: hello" in open(log).read())
        with open(ann.jar) as f:
            kept = f.read()
        expect(ann.ask("/api/v1/logout", body={})[0] == 403, "a logout without the text of the session")
        status, text = ann.ask("/api/v1/logout", *own, body={})
        expect(status == 200 and "Max-Age=0" in text, text)
        wait("the listener to be cut off", lambda: not listener.alive())
        with open(ann.jar, "w") as f:
            f.write(kept)
        expect(ann.ask("/api/v1/agents")[0] == 401 and ann.whoami()["role"] == "nobody", "the session lives on after its logout")
        page = lab.http("/metrics")[1]
        for line in ('twamp_web_logins_total{result="ok"} 1', 'twamp_web_sessions_ended_total{why="logout"} 1', "twamp_web_sessions 0", "twamp_web_forged_total 7"):
            expect(f"\n{line}\n" in page, f"no {line}: {[x for x in page.splitlines() if x.startswith('twamp_web')]}")


def test_sessions_end_with_their_token_and_not_by_others(build):
    with Lab(build, ["a1"]) as lab:
        secure_lab(lab)
        ann, bob, eve = make_token(lab, "viewer", "ann"), make_token(lab, "viewer", "bob"), make_token(lab, "viewer", "eve")
        windows = [Browser(lab) for _ in range(2)]
        for w in windows:
            expect(w.login(ann)[0] == 200, "no login")
        other = Browser(lab)
        expect(other.login(bob)[0] == 200, "no login")
        # Eve logs in as often as she likes: only her own sessions make room.
        first = Browser(lab)
        first.login(eve)
        for _ in range(8):
            expect(Browser(lab).login(eve)[0] == 200, "no login")
        expect(first.whoami()["role"] == "nobody", "more sessions than there may be")
        expect([w.whoami()["name"] for w in (*windows, other)] == ["ann", "ann", "bob"], "somebody else was logged out")
        log = f"{lab.dir}/events.log"
        listener = windows[0].listen(log)
        wait("the first event", lambda: "event: hello" in open(log).read())
        lab.ctl("access", "token", "revoke", ann.split(".")[1])
        wait("the listener to be cut off", lambda: not listener.alive(), 10)
        for w in windows:
            expect(w.ask("/api/v1/agents")[0] == 401, "a session of a revoked token")
            status, text = w.login(ann)
            expect(status == 401 and "revoked" in text, f"{status} {text}")
        expect(other.whoami()["name"] == "bob", "another's session ended, too")


def test_logins_that_are_none(build):
    with Lab(build, ["a1"]) as lab:
        secure_lab(lab)
        token = make_token(lab, "viewer", "ann")
        ann = Browser(lab)
        for what, want, args, body in (
                ("no JSON", 400, [], "{"), ("a list", 400, [], "[]"), ("no token", 400, [], {}), ("a number", 400, [], {"token": 1}),
                ("more than a token", 400, [], {"token": token, "role": "admin"}), ("too much", 413, [], {"token": "x" * 2000}),
                ("a form", 415, ["-H", "Content-Type: text/plain"], None), ("another site", 403, ["-H", "Origin: https://evil.example"], {"token": token}),
                ("no token by its form", 401, [], {"token": "x"})):
            args = args if body is not None else [*args, "-d", json.dumps({"token": token})]
            status, text = ann.ask("/api/v1/login", *args, body=body)
            expect(status == want and "Set-Cookie" not in text, f"{what}: {status} {text}")
        expect(ann.ask("/api/v1/login")[0] == 405, "a login by GET")
        # A session that came by a name which others could have set does not count by HTTPS.
        expect(ann.login(token)[0] == 200, "no login")
        with open(ann.jar) as f:
            jar = f.read()
        with open(ann.jar, "w") as f:
            f.write(jar.replace("__Host-twampmesh", "twampmesh"))
        expect(ann.whoami()["role"] == "nobody", "a cookie of plain HTTP counts by HTTPS")
        # Wrong ones are limited; the right one is not.
        wrong = "twa1.0123456789abcdef." + "A" * 43
        seen = [Browser(lab).login(wrong)[0] for _ in range(14)]
        expect(401 in seen and 429 in seen, seen)
        status, text = Browser(lab).login(wrong)
        expect(status == 429 and "Retry-After: " in text, text)
        expect(Browser(lab).login(token)[0] == 200, "the right token is locked out")
