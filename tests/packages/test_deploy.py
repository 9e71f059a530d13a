"""deploy/container, deploy/kubernetes, deploy/ansible, deploy/cloud-init: neither docker nor a cluster is here. What their files
say is done in a Debian root instead: the steps of the Dockerfile, the commands of the services with their environment, the roles
of Ansible by itself."""
import json
import pathlib
import re
import shlex
import shutil

import run
from root import Missing, fresh
from run import all_debs, base, expect, table

TOP = pathlib.Path(__file__).parent.parent.parent
PROGRAMS = {"twampmesh-agent": "/usr/sbin/twamp-agent", "twampmesh-controller": "/usr/sbin/twamp-controller", "twampmesh-tools": "/usr/bin/twamp"}


def documents(path):
    try:
        import yaml
    except ImportError:
        raise Missing("python3-yaml (deploy/install-deps package)")
    return [d for d in yaml.safe_load_all((TOP / path).read_text()) if d]


def stages():
    """{name: [(instruction, rest)]} of the Dockerfile."""
    found, now = {}, None
    for line in (TOP / "deploy/container/Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, rest = line.split(None, 1)
        if word == "FROM":
            now = found.setdefault(rest.split()[-1], [("FROM", rest.split()[0])])
        else:
            now.append((word, rest))
    return found


def image(root, name):
    """Does the steps of an image in a root where the packages are in /debs; (user, environment, entrypoint)."""
    said = {"USER": "root", "ENV": {}}
    for word, rest in stages()[name][1:]:
        if word == "RUN":
            # Lists of packages are in the root already; what they name is, too.
            command = rest.replace("apt-get update -qq && ", "").replace("rm -rf /var/lib/apt/lists/* /debs", "true").replace("rm -rf /var/lib/apt/lists/*", "true")
            root.run("export DEBIAN_FRONTEND=noninteractive; " + command)
        elif word == "ENV":
            key, value = rest.split("=", 1)
            said["ENV"][key] = value
        elif word in ("USER", "ENTRYPOINT"):
            said[word] = rest if word == "USER" else json.loads(rest)
        else:
            expect(word in ("EXPOSE", "VOLUME", "COPY", "WORKDIR"), f"Dockerfile: {word} is not tried")
    return said


def as_container(said, service):
    """(arguments, environment) of a service that runs from an image."""
    entry = service.get("entrypoint", said["ENTRYPOINT"])
    env = {**said["ENV"], **{k: str(v) for k, v in service.get("environment", {}).items()}}
    words = ["setpriv", "--reuid", said["USER"], "--regid", said["USER"], "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    if said["USER"] == "nobody":
        words[4] = "nogroup"
    return [*words, *entry, *service.get("command", [])], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env}


def debs_inside(root, out):
    root.run("mkdir -p /debs")
    for p in all_debs(out):
        shutil.copy(p, root.file("/debs"))


def run_service(root, argv, env):
    return root.run(" ".join(["env", "-i", *[shlex.quote(f"{k}={v}") for k, v in env.items()], *map(shlex.quote, argv)]))


def test_compose(out):
    """The images' steps, then the services in the order of depends_on: CA, controller, token, an agent, and the Python tool's two."""
    services = documents("deploy/container/compose.yaml")[0]["services"]
    for name in services:
        for before in services[name].get("depends_on", {}):
            expect(before in services, f"{name} depends on {before}, which there is not")
    with fresh(base(out)) as root:
        debs_inside(root, out)
        root.run("echo '127.0.0.1 controller responder' >>/etc/hosts")
        images = {n: image(root, n) for n in ("base", "controller", "agent", "tools")}
        for n, program in (("agent", "twamp-agent"), ("controller", "twamp-controller"), ("tools", "twamp")):
            expect(images[n]["USER"] != "root" and images[n]["ENTRYPOINT"][0].endswith(program), f"image {n}: {images[n]}")
        run_service(root, *as_container(images["controller"], services["ca"]))
        run_service(root, *as_container(images["controller"], services["ca"]))  # at the next start nothing is made again
        argv, env = as_container(images["controller"], services["controller"])
        root.spawn("controller", argv, env)
        check = " ".join(services["controller"]["healthcheck"]["test"][1:])
        root.until("the controller is healthy", lambda: root.run(check))
        run_service(root, *as_container(images["controller"], services["enrol"]))
        for name in ("site-a", "site-b", "site-c"):
            argv, env = as_container(images["agent"], services[name])
            run_service(root, [*argv, "--check-config"], env)
            expect(env["TWAMP_AGENT_NAME"] == name, f"{name} is called {env['TWAMP_AGENT_NAME']}")
        argv, env = as_container(images["agent"], services["site-a"])
        root.spawn("agent", argv, env)
        root.until("the agent is up", lambda: table(root, "agent list", "state") == ["up"])
        root.spawn("responder", *as_container(images["tools"], services["responder"]))
        root.spawn("sender", *as_container(images["tools"], services["sender"]))
        ask = "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET /metrics HTTP/1.0\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' >&3; cat <&3"
        for port, family in ((8080, "twamp_agents"), (8000, "twampy_edge")):
            root.until(f"{family} at port {port}", lambda p=port, f=family: f in root.run(f"bash -c {shlex.quote(ask.format(p))}"))


def test_kubernetes(out):
    """Every program of ours takes its environment and arguments; volumes, ports and selectors name what there is."""
    kinds = {}
    for d in documents("deploy/kubernetes/twampmesh.yaml"):
        expect(d["metadata"]["namespace"] == "twampmesh" and d["apiVersion"], f"{d['kind']}: {d['metadata']}")
        kinds.setdefault(d["kind"], []).append(d)
    expect(set(kinds) == {"Service", "StatefulSet", "DaemonSet", "NetworkPolicy", "PodMonitor"}, f"{set(kinds)}")
    labels = {}
    with fresh(base(out)) as root:
        run.install(root, all_debs(out))
        for d in kinds["StatefulSet"] + kinds["DaemonSet"]:
            pod, spec = d["spec"]["template"], d["spec"]["template"]["spec"]
            expect(d["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"], "selector and labels differ")
            ports = {p["name"] for c in spec["containers"] for p in c.get("ports", [])}
            labels[tuple(sorted(pod["metadata"]["labels"].items()))] = ports
            there = {v["name"] for v in spec["volumes"]} | {t["metadata"]["name"] for t in d["spec"].get("volumeClaimTemplates", [])}
            for c in spec["containers"] + spec["initContainers"]:
                expect({m["name"] for m in c["volumeMounts"]} <= there, f"{c['name']}: a volume that there is not")
                expect(c["securityContext"]["allowPrivilegeEscalation"] is False, f"{c['name']} may have new privileges")
                expect(c["image"] in PROGRAMS, f"image {c['image']}")
            for c in spec["containers"]:
                env = {e["name"]: e.get("value", "192.0.2.1" if "ADVERTISE" in e["name"] else "node-1") for e in c.get("env", [])}
                run_service(root, [PROGRAMS[c["image"]], *c.get("args", []), "--check-config"], {"PATH": "/usr/bin:/usr/sbin", **env})
    for d in kinds["Service"] + kinds["PodMonitor"] + kinds["NetworkPolicy"]:
        chosen = d["spec"].get("selector") or d["spec"].get("podSelector")
        key = tuple(sorted(chosen.get("matchLabels", chosen).items()))
        expect(key in labels, f"{d['kind']} selects no pod")
        for e in d["spec"].get("podMetricsEndpoints", []):
            expect(e["port"] in labels[key], f"PodMonitor: no port {e['port']}")


def test_ansible(out):
    """The playbook, by Ansible itself, in a root; then again, which changes nothing."""
    with fresh(base(out)) as root:
        root.run("echo 127.0.0.1 controller.example.net >>/etc/hosts; mkdir -p /src/debs")
        shutil.copytree(TOP / "deploy/ansible", root.file("/src/ansible"))
        for p in all_debs(out):
            shutil.copy(p, root.file("/src/debs"))
        # Both groups are this root; systemd, which the role would have start them, is not there.
        host = {"ansible_connection": "local", "twampmesh_packages": "/src/debs", "twampmesh_start": False, "ansible_python_interpreter": "/usr/bin/python3"}
        root.file("/src/hosts.json").write_text(json.dumps({"controller": {"hosts": {"ctl": host}}, "agents": {"hosts": {"ams": host}}}))

        def play(options=""):
            said = root.run(f"cd /src/ansible && HOME=/root LC_ALL=C.UTF-8 ansible-playbook -i /src/hosts.json {options} site.yml")
            return dict(re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", said, flags=re.M))

        play("--syntax-check")
        play("--limit controller")
        root.start("twamp-controller")
        root.until("the controller answers", lambda: root.run("twampctl status"))
        play("--limit agents")
        expect(run.owner(root, "/etc/twampmesh/join-token") == "_twampmesh-agent _twampmesh-agent 400", "the token's owner")
        root.start("twamp-agent")
        root.until("the agent is up", lambda: table(root, "agent list", "name") == ["ams"] and table(root, "agent list", "state") == ["up"])
        changed = play()
        expect(changed and set(changed.values()) == {"0"}, f"a second run changes something: {changed}")


def test_cloud_init(out):
    """cloud-init takes it; its files are configuration that the agent takes; its commands' packages, users and units are those of
    the packages."""
    config = documents("deploy/cloud-init/agent.yaml")[0]
    expect((TOP / "deploy/cloud-init/agent.yaml").read_text().startswith("#cloud-config\n"), "no #cloud-config")
    with fresh(base(out)) as root:
        text = (TOP / "deploy/cloud-init/agent.yaml").read_text()
        root.file("/tmp/right.yaml").write_text(text)
        root.file("/tmp/wrong.yaml").write_text(text.replace("permissions:", "permission:"))
        root.run("cloud-init schema --config-file /tmp/right.yaml")
        said = root.run("cloud-init schema --config-file /tmp/wrong.yaml", ok=False)
        expect("permission" in said, f"cloud-init schema takes anything: {said}")
        for f in config["write_files"]:
            path = root.file(f["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f["content"])
        shutil.copy(run.deb(out, "twampmesh-agent"), root.file("/var/cache/twampmesh-agent.deb"))
        for command in config["runcmd"]:
            if "curl" in command[-1] or command[0] == "systemctl":
                continue
            root.run(shlex.join(command))
        root.run("twamp-agent --check-config")
        expect(root.file("/etc/twampmesh/join-token").read_text() == "TOKEN\n", "the token is not where it is looked for")
        expect(not root.file("/run/twampmesh-token").exists(), "the token lies about")
        expect("controller.example.net" in root.file("/etc/twampmesh/agent.yaml").read_text(), "the package has overwritten the configuration")
        expect("twamp-agent.service" in root.run("ls /usr/lib/systemd/system"), "no such unit")
