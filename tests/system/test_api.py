"""The HTTP API against its own OpenAPI document, on a real fleet: every operation is called, every answer fits its schema."""
import json
import os
import pathlib
import re
import time

import jsonschema

from lab import CONTROLLER, NET4, Lab, expect, wait
from meshes import one_way

EVENTS = "/api/v1/events"
MESH = one_way("a1", "a2", name="lab")
# What stands for the names in paths, and the query that a page needs.
NAMES = {"/api/v1/agents/": "a1", "/api/v1/schedule/": "lab", "/api/v1/schema/": "pairs-v1.json",
         "/api/v1/generations/": "1", "/api/v1/access/tokens/": None, "/api/v1/doctor/": None, "/api/v1/tests/": None, "/api/v1/alerts/": None}
QUERIES = {"/api/v1/series": "source=a1&target=a2&class=c&mesh=lab&flows=true", "/api/v1/flight": "source=a1&target=a2&class=c&mesh=lab", "/api/v1/alert-rules/explain": "source=a1&target=a2",
           "/api/v1/report/sla": "objectives=%7Bavailability%3A%2099%25%7D"}


def call(lab, method, path, body=None, headers=(), token=None):
    """(status, answer) of one request; token: of whom, "" for nobody's."""
    args = ["curl", "-s", "-m", "30", "-X", method, "-w", "\n%{http_code}", *(lab.bearer(token) if token != "" else []), f"http://{NET4}.{CONTROLLER}:8080{path}"]
    if body is not None:
        text = body if isinstance(body, str) else json.dumps(body)
        pathlib.Path(f"{lab.dir}/body").write_text(text)
        args += ["-H", "Content-Type: application/json", "--data-binary", f"@{lab.dir}/body"]
    for h in headers:
        args += ["-H", h]
    out, _, status = lab.exec("ctl", *args).rpartition("\n")
    return int(status), out


class Api:
    """The document, and what has been called of it."""

    def __init__(self, lab):
        self.lab = lab
        self.doc = lab.api("/api/v1/openapi.json")
        self.called = set()
        self.resolver = jsonschema.RefResolver("", self.doc)

    def operations(self):
        for path, item in self.doc["paths"].items():
            for method, op in item.items():
                yield path, method, op

    def find(self, method, path):
        """The operation that a path is of."""
        best = None
        for template, m, op in self.operations():
            a, b = template.split("/"), path.partition("?")[0].split("/")
            fits = len(a) == len(b) and all(x == y or x.startswith("{") for x, y in zip(a, b))
            if m == method.lower() and fits and (best is None or "{" not in template):
                best = template, op
        expect(best, f"{method} {path} is not in the document")
        return best

    def check(self, method, path, status, text):
        template, op = self.find(method, path)
        self.called.add((template, method.lower()))
        response = op["responses"].get(str(status), op["responses"]["default"])
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if schema and schema["$ref"].startswith("schema/"):  # relative to the document
            jsonschema.Draft202012Validator(self.lab.api(f"/api/v1/{schema['$ref']}")).validate(json.loads(text))
        elif schema:
            jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(json.loads(text))

    def __call__(self, method, path, body=None, status=200):
        got, text = call(self.lab, method, path, body)
        expect(got == status, f"{method} {path}: {got} instead of {status}: {text[:400]}")
        self.check(method, path, got, text)
        return json.loads(text) if text.startswith("{") else text


def check_references(doc):
    def walk(at):
        if isinstance(at, dict):
            ref = at.get("$ref", "")
            if ref.startswith("#/"):
                target = doc
                for part in ref[2:].split("/"):
                    expect(part in target, f"{ref} leads nowhere")
                    target = target[part]
            for v in at.values():
                walk(v)
        elif isinstance(at, list):
            for v in at:
                walk(v)
    walk(doc)
    for name, schema in doc["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, item in doc["paths"].items():
        for method, op in item.items():
            declared = {p["name"] for p in op["parameters"] if p["in"] == "path"}
            expect(declared == {x[1:-1] for x in path.split("/") if x.startswith("{")}, f"{method} {path}: {declared}")


def listen(lab, api):
    """Events: who is there already, and that results come in."""
    text = lab.exec("ctl", "sh", "-c", f"curl -sN -m 4 -H 'Authorization: Bearer {lab.token}' http://{NET4}.{CONTROLLER}:8080{EVENTS}; true")
    hello = json.loads(re.search(r"^event: hello\ndata: (.*)$", text, re.M).group(1))
    expect(hello["http_write"] and hello["versions"]["schedule"] > 0 and hello["versions"]["agents"] > 0, hello)
    news = re.findall(r"^event: published\ndata: (.*)$", text, re.M)
    expect(news and json.loads(news[-1])["version"] > hello["versions"]["published"], f"nothing new: {text}")
    api.called.add((EVENTS, "get"))


def read_everything(api):
    for path, method, _ in list(api.operations()):
        if method != "get" or path == EVENTS:
            continue
        for prefix, name in NAMES.items():
            if path.startswith(prefix + "{"):
                path = prefix + name + path[path.index("}") + 1:]
        api("GET", path + ("?" + QUERIES[path] if path in QUERIES else ""))


def the_page_is_served(lab):
    status, text = call(lab, "GET", "/")
    expect(status == 200 and "<title>" in text, f"/: {status}: {text[:200]}")
    for part in re.findall(r'="(/assets/[^"]+|/favicon.svg)"', text):
        expect(call(lab, "GET", part)[0] == 200, f"the page refers to {part}, which is not there")


def known_parameters(api):
    """What a page says that it knows is what the document says."""
    for path, method, op in list(api.operations()):
        query = {p["name"] for p in op["parameters"] if p["in"] == "query"}
        if method != "get" or "{" in path or not path.startswith("/api/v1/") or not query:
            continue
        answer = api("GET", f"{path}?nosuch=1", status=400)
        known = set(answer["error"].partition("known: ")[2].split(", "))
        expect(known == query, f"{path}: the server knows {known}, the document {query}")


def begin_what_is_asked_for_by_number(api):
    NAMES["/api/v1/doctor/"] = str(api("POST", "/api/v1/doctor", {})["id"])
    test = api("POST", "/api/v1/tests", {"source": "a1", "target": "a2", "mesh": "", "class": "c", "count": 500, "author": "api"})
    NAMES["/api/v1/tests/"] = str(test["info"]["test_id"])


    begin_alerts(api)


ALERTS = "rules: {all: {metric: p95, warning: {raise: 1us}}}\n"


def begin_alerts(api):
    """A rule that every pair breaks at once, so that there is an alert to ask for."""
    bad = api("POST", "/api/v1/alert-document", {"document": "rules: {a: {metric: los}}"}, status=422)
    expect(bad["error"]["line"] == 1 and bad["error"]["path"] == "rules.a.metric", bad)
    expect(api("POST", "/api/v1/alert-document", {"document": ALERTS, "author": "api"})["version"] == 1, "not applied")
    wait("an alert", lambda: api("GET", "/api/v1/alerts?state=firing")["alerts"])
    NAMES["/api/v1/alerts/"] = str(api("GET", "/api/v1/alerts?state=firing")["alerts"][0]["id"])
    silence = api("POST", "/api/v1/silences", {"match": "metric=p95", "duration_ns": 3_600_000_000_000, "reason": "test"})["silence"]
    NAMES["/api/v1/silences/"] = str(silence["id"])
    api("POST", f"/api/v1/alerts/{NAMES['/api/v1/alerts/']}/ack", {"author": "api", "reason": "test"})


def the_matrix_is_judged(api):
    """By the rule that makes the alert, in the cell that it is about."""
    m = api("GET", "/api/v1/matrix?mesh=lab&class=c&metric=p95")
    expect(m["levels"] == {"info": None, "warning": 1e-06, "critical": None} and m["live"] and m["age_s"] < 10, m)
    names = [n["name"] for n in m["nodes"]]
    cell, = [c for c in m["cells"] if (names[c[0]], names[c[1]]) == ("a1", "a2")]
    expect(cell[3] == 2 and cell[6] > 1e-06 and cell[10] == 2 and cell[11] & 4, cell)
    pair, = api("GET", "/api/v1/pairs?mesh=lab&source=a1&target=a2")["pairs"]
    expect(pair["state"] == cell[2] == "ok", (pair, cell))


def end_it(api):
    api("DELETE", f"/api/v1/silences/{NAMES['/api/v1/silences/']}?author=api")
    api("POST", f"/api/v1/tests/{NAMES['/api/v1/tests/']}/stop", {})
    api("POST", "/api/v1/database/backup", {"name": "api.db"})
    api("DELETE", "/api/v1/database")
    api("DELETE", f"/api/v1/doctor/{NAMES['/api/v1/doctor/']}")


def give_access(api):
    made = api("POST", "/api/v1/access/tokens", {"name": "api", "role": "viewer", "duration_ns": 3_600_000_000_000})
    expect(made["text"].startswith(f"twa1.{made['token']['id']}."), made)
    expect(made["token"]["id"] in [t["id"] for t in api("GET", "/api/v1/access/tokens")["tokens"]], "not listed")
    expect(api("DELETE", f"/api/v1/access/tokens/{made['token']['id']}")["token"]["state"] == "revoked", "not revoked")
    newest = api("GET", "/api/v1/audit?what=access&limit=1")["entries"][0]
    expect(newest["method"] == "AccessRevoke" and newest["result"] == "OK" and newest["before"], newest)
    expect(made["text"] not in json.dumps(api("GET", "/api/v1/audit")), "the audit log has a token")


def change_agents(api):
    api("POST", "/api/v1/agents/a2/label", {"set_labels": [{"key": "role", "value": "edge"}]})
    expect(api("GET", "/api/v1/agents/a2")["agent"]["labels"]["role"] == "edge", "no label")
    api("POST", "/api/v1/agents/a2/maintenance", {"to": int(time.time()) + 3600, "reason": "test"})
    api("POST", "/api/v1/agents/a2/drain", {"reason": "test"})
    api("POST", "/api/v1/agents/a2/undrain", {})


def change_everything(lab, api):
    """In an order that makes sense; the last ones take the fleet apart."""
    me = api("POST", "/api/v1/login", {"token": lab.token})
    expect(me["role"] == "admin" and me["by"] == "session" and len(me["csrf"]) == 64, me)
    expect(api("POST", "/api/v1/logout", {})["role"] == "nobody", "still somebody")
    apply = {"document": MESH.replace("10ms", "20ms"), "file": "mesh.yaml", "author": "api"}
    expect(api("POST", "/api/v1/schedule", {**apply, "plan_only": True})["plan"]["changed"] == 1, "no plan")
    generation = api("POST", "/api/v1/schedule", apply)["generation"]
    bad = api("POST", "/api/v1/schedule", {**apply, "document": "mesh: [\n"}, status=422)
    expect(bad["error"]["line"] and bad["generation"] == 0, bad)
    expect(api("GET", "/api/v1/schedule")["generation"] == generation, "a refused document changed something")
    api("POST", "/api/v1/schedule/lab/pause", {"author": "api"})
    expect(api("GET", "/api/v1/schedule/lab")["mesh"]["paused"], "not paused")
    api("POST", "/api/v1/schedule/lab/resume", {})
    token = api("POST", "/api/v1/join-tokens", {"name_glob": "b*", "labels": [{"key": "site", "value": "x"}], "author": "api"})
    expect(token["token"].startswith("twj1." + token["info"]["id"]), token)
    api("DELETE", f"/api/v1/join-tokens/{token['info']['id']}?author=api")
    expect(api("GET", "/api/v1/join-tokens")["tokens"] == [], "not revoked")
    api("POST", "/api/v1/frozen", {"pairs": {"mesh": "lab"}, "before_ns": 5_000_000_000, "after_ns": 1, "reason": "test"})
    api("DELETE", "/api/v1/schedule/lab?author=api")
    expect(api("GET", "/api/v1/schedule")["meshes"] == [], "not deleted")
    api("POST", f"/api/v1/generations/{generation}/rollback", {"reason": "test"})
    expect(len(api("GET", "/api/v1/schedule")["meshes"]) == 1, "not back")
    api("DELETE", "/api/v1/agents/a2")
    wait("a2 to come back as a stranger", lambda: call(lab, "GET", "/api/v1/agents/a2")[0] == 200)
    expect(api("POST", "/api/v1/agents/a2/approve", {})["agent"]["state"] != "pending", "not approved")
    api("DELETE", "/api/v1/schedule/lab")
    api("POST", "/api/v1/agents/a1/rename", {"new_name": "a3"})
    api("POST", "/api/v1/agents/a3/revoke", {"reason": "test"})
    wait("it to hear of it", lambda: "does not want this agent" in lab.agents["a1"].tail())
    expect(lab.agents["a1"].stop() == 3, "the exit status does not say that it was revoked")


def test_every_operation_of_the_document_works(build):
    with Lab(build, ["a1", "a2"]) as lab:
        os.mkdir(f"{lab.dir}/controller")
        lab.ctl("ca", "init", "--dir", f"{lab.dir}/controller/ca", "--name", "lab")
        lab.start_controller()
        for name in lab.names:
            lab.start_agent(name)
        lab.approve_all()
        lab.apply(MESH)
        wait("results", lambda: lab.results())
        api = Api(lab)
        check_references(api.doc)
        begin_what_is_asked_for_by_number(api)
        the_page_is_served(lab)
        listen(lab, api)
        the_matrix_is_judged(api)
        read_everything(api)
        threads = {t["name"]: t for t in api("GET", "/api/v1/debug/threads")["threads"]}
        expect(threads["main loop"]["working"] and threads["main loop"]["rounds"] > 0, threads)
        expect(threads["store writer"]["rounds"] > 0 and threads["http"]["queued"] > 0, threads)  # this very request
        expect(threads["reader 1"]["rounds"] + threads["reader 2"]["rounds"] > 0, threads)
        expect(threads["http 1"]["rounds"] + threads["http 2"]["rounds"] > 0, threads)
        its = {t["name"]: t for t in api("GET", f"/api/v1/debug/threads?agent={lab.names[0]}")["threads"]}
        expect(its["main loop"]["working"] and its["worker 0"]["rounds"] > 0 and its["worker 0"]["busy_ratio"] > 0, its)
        end_it(api)
        known_parameters(api)
        give_access(api)
        change_agents(api)
        change_everything(lab, api)
        left = {(p, m) for p, m, _ in api.operations()} - api.called
        expect(not left, f"never called: {sorted(left)}")


def test_changes_over_http_need_a_role(build):
    apply = {"document": MESH}
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        viewer = lab.ctl("access", "token", "create", "--role", "viewer", "--name", "viewer").strip()
        status, text = call(lab, "POST", "/api/v1/schedule", apply, token="")
        expect(status == 401 and "access token" in text, f"{status} {text}")
        status, text = call(lab, "POST", "/api/v1/schedule", apply, token=viewer)
        expect(status == 403 and "needs the role operator; viewer has viewer" in text, f"{status} {text}")
        status, _ = call(lab, "DELETE", "/api/v1/agents/a1", token=viewer)
        expect(status == 403, status)
        status, text = call(lab, "GET", "/api/v1/debug/threads", token=viewer)
        expect(status == 403 and "needs the role admin" in text, f"{status} {text}")
        expect(lab.json("schedule", "list")["meshes"] == [], "something was applied")
        own = f"http://{NET4}.{CONTROLLER}:8080"
        for what, args, want in [
                ("another site", (apply, ["Origin: http://evil.example"]), 403),
                ("a form", (None, ["Content-Type: text/plain"]), 415),
                ("no JSON", ("{", []), 400),
                ("a list", ("[]", []), 400),
                ("an unknown member", ({"documnt": "x"}, []), 400),
                ("too much", ("x" * (3 << 20), []), 413)]:
            status, text = call(lab, "POST", "/api/v1/schedule", *args)
            expect(status == want and json.loads(text)["error"], f"{what}: {status} {text[:200]}")
        expect(lab.json("schedule", "list")["meshes"] == [], "something was applied")
        wait("the agents to be back", lambda: all(a["state"] == "up" for a in lab.agent_list()))
        status, text = call(lab, "POST", "/api/v1/schedule", apply, [f"Origin: {own}"])
        expect(status == 200, f"our own page: {status} {text}")
        expect(call(lab, "POST", "/api/v1/schedule/nosuch/pause", {})[0] == 404, "a mesh that is not there")
        status, text = call(lab, "POST", "/api/v1/schedule/lab/pause", {"name": "other"})
        expect(status == 400 and "in the path" in text, f"{status} {text}")
