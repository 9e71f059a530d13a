"""deploy/helm: rendered by the libraries of Helm (helm_render.go); Helm itself is not in Debian."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from root import Missing, fresh
import run
from run import all_debs, base, expect
from test_deploy import PROGRAMS, documents, run_service

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent
CHART = TOP / "deploy/helm/twampmesh"
OTHER = """image: { registry: "registry.example.net/net/", tag: ":0.1.0", pullPolicy: Always }
controller:
  storageClass: fast
  env: [{ name: TWAMP_CONTROLLER_KEEP_RAW, value: 3d }]
agent:
  reflectPort: 9862
  tolerations: []
  nodeSelector: { role: edge }
  env: [{ name: TWAMP_AGENT_LABEL, value: site=ams }]
  resources: { limits: { memory: 64Mi } }
podMonitor: { enabled: false }
"""


def render(namespace, values=None):
    """{(kind, name): object}"""
    import yaml
    if not shutil.which("go"):
        raise Missing("golang-go (deploy/install-deps package)")
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    with tempfile.TemporaryDirectory(prefix="twhelm-") as tmp:
        argv = ["go", "run", str(HERE / "helm_render.go"), str(CHART), namespace]
        if values:
            pathlib.Path(tmp, "values.yaml").write_text(values)
            argv.append(f"{tmp}/values.yaml")
        done = subprocess.run(argv, env={**env, "GOCACHE": f"{tmp}/cache"}, capture_output=True, text=True)
    expect(done.returncode == 0, f"the chart cannot be rendered: {done.stderr}")
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done.stdout) if d}


def test_helm_is_the_manifest_by_default(out):
    del out
    manifest = {(d["kind"], d["metadata"]["name"]): d for d in documents("deploy/kubernetes/twampmesh.yaml")}
    chart = render("twampmesh")
    expect(chart.keys() == manifest.keys(), f"{chart.keys()} and {manifest.keys()}")
    for key, d in manifest.items():
        expect(chart[key] == d, f"{key}: the chart has {chart[key]}, deploy/kubernetes {d}")


def test_helm_values_are_used(out):
    """Each of them arrives where it belongs, and the programs take what comes out."""
    chart = render("net", OTHER)
    expect({d["metadata"]["namespace"] for d in chart.values()} == {"net"}, "a namespace stays as it was")
    expect(("PodMonitor", "twampmesh") not in chart, "a PodMonitor that nobody wants")
    sets = {"controller": chart["StatefulSet", "twampmesh-controller"]["spec"], "agent": chart["DaemonSet", "twampmesh-agent"]["spec"]}
    expect(sets["controller"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast", "the storage class")
    pod = sets["agent"]["template"]["spec"]
    expect("tolerations" not in pod and pod["nodeSelector"] == {"role": "edge"}, f"where agents run: {pod}")
    expect(pod["containers"][0]["resources"] == {"limits": {"memory": "64Mi"}}, "resources")
    with fresh(base(out)) as root:
        run.install(root, all_debs(out))
        for name, one in sets.items():
            for c in one["template"]["spec"]["initContainers"] + one["template"]["spec"]["containers"]:
                expect(c["image"] == f"registry.example.net/net/twampmesh-{name}:0.1.0" and c["imagePullPolicy"] == "Always", f"{c['image']}")
            env = {e["name"]: e.get("value", "192.0.2.1" if "ADVERTISE" in e["name"] else "node-1") for e in c["env"]}
            said = run_service(root, [PROGRAMS[f"twampmesh-{name}"], "--print-config"], {"PATH": "/usr/bin:/usr/sbin", **env})
            for text in {"controller": ["keep-raw: 3d"], "agent": ["0.0.0.0:9862", "site=ams", "twampmesh-controller.net.svc"]}[name]:
                expect(text in said, f"{name}: no {text} in {said}")
