#!/usr/bin/env python3
"""Tests of the packages: what lintian says, and installing, using, upgrading, removing and purging them in a Debian of their own.

usage: tests/packages/run.py DIR [WORD...]       DIR: where deploy/packages/build put them; prints "ok NAME" or "not ok NAME" for each

Needs root, and at the first time the network: a root made by debootstrap is kept in DIR/../test-root. What cannot be tried here
is "not ok", with what is missing."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import root as roots  # noqa: E402
from root import Missing, fresh, sh  # noqa: E402

NAMES = ("twampmesh-agent", "twampmesh-controller", "twampmesh-tools")
DAEMONS = ("agent", "controller")
# It closes no request for a package: nobody uploads these to Debian. Nothing else is overlooked.
SUPPRESSED = "initial-upload-closes-no-bugs"
STATIC_BYTES = 5_000_000
STATIC_TESTS = ("a_whole_life_by_certificates", "a_key_changes_while_agents_measure", "agent_killed_again_and_again", "twamp_is_agreed")
MESH = """mesh: way
topology: list
targets: { far: "192.0.2.2:862" }
pairs:
  - [ams, far]
classes:
  voice: { spacing: 20ms, size: 200, timeout: 500ms, report_period: 10s }
"""


def expect(true, text):
    if not true:
        raise AssertionError(text)


def deb(out, name):
    found = sorted(out.glob(f"{name}_*.deb"))
    expect(len(found) == 1, f"{out}: expected one package {name}, found {len(found)}")
    return found[0]


def field(package, name):
    return sh("dpkg-deb", "-f", package, name).strip()


def dependencies(out):
    """Names of packages that ours depend on; of alternatives the one without systemd, which would not run there."""
    names = set()
    for name in NAMES:
        for one in field(deb(out, name), "Depends").split(","):
            choices = [re.sub(r"[ (].*", "", x.strip()) for x in one.split("|")]
            names.add("systemd-standalone-sysusers" if "systemd-standalone-sysusers" in choices else choices[0])
    return sorted(names | {"iproute2", "tzdata", "ansible-core", "cloud-init", "python3-apt"})


def base(out):
    return roots.base_root(out.parent / "test-root", dependencies(out))


def later(package, folder):
    """The package as its next release would be: with a higher version, and a line more in its conffile."""
    tree = pathlib.Path(tempfile.mkdtemp(dir=folder))
    sh("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 0.1.0-2", control.read_text(), flags=re.M))
    for conf in (tree / "etc").rglob("*.yaml") if (tree / "etc").exists() else []:
        conf.write_text(conf.read_text() + "\n# of the next release\n")
    sh("dpkg-deb", "-b", "--root-owner-group", tree, folder)
    shutil.rmtree(tree)


def install(root, packages, options=""):
    root.put(*packages)
    return root.run(f"DEBIAN_FRONTEND=noninteractive dpkg -i {options} " + " ".join(f"/tmp/{p.name}" for p in packages))


def all_debs(out):
    return [deb(out, n) for n in NAMES]


def owner(root, path):
    return root.run(f"stat -c '%U %G %a' {path}").strip()


def table(root, command, column):
    """One column of what twampctl -o csv prints."""
    lines = root.run(f"twampctl -o csv {command}").splitlines()
    at = lines[0].split(",").index(column)
    return [x.split(",")[at] for x in lines[1:]]


# ---- A fleet of the packages' own ----

def set_options(root, name, /, **options):
    path = root.file(f"/etc/twampmesh/{name}.yaml")
    path.write_text(path.read_text() + "".join(f"{k.replace('_', '-')}: {v}\n" for k, v in options.items()))


def documented(part):
    """The commands of docs/install.md under <!-- tested: PART -->."""
    text = (HERE.parent.parent / "docs/install.md").read_text()
    found = re.search(rf"<!-- tested: {part} -->\n\n((?:    .*\n)+)", text)
    expect(found, f"docs/install.md has no commands for {part}")
    return [x.strip() for x in found[1].splitlines()]


def follow(root, part):
    """Does what docs/install.md says, in /tmp, where the packages are; what systemctl would do is done in its place."""
    started = None
    for command in documented(part):
        unit = re.fullmatch(r"systemctl restart (\S+)", command)
        if unit:
            started = root.start(unit[1])
            if part == "controller":
                root.until("the controller answers", lambda: root.run("twampctl status"))
        else:
            root.run(f"cd /tmp && export DEBIAN_FRONTEND=noninteractive && {re.sub('^apt install', 'apt-get install -y --allow-downgrades', command)}")
    return started


def start_fleet(root):
    """A controller, an agent on the same host, and the stand-alone tool as the far end."""
    root.run("ip addr add 192.0.2.1/32 dev lo; ip addr add 192.0.2.2/32 dev lo; ip addr add 192.0.2.3/32 dev lo; echo 192.0.2.1 controller.example.net >>/etc/hosts")
    controller = follow(root, "controller")
    expect(owner(root, "/var/lib/twampmesh-controller/ca/ca.key").startswith("_twampmesh-controller "), "the CA is another user's")
    set_options(root, "agent", reflect="192.0.2.1:862")
    agent = follow(root, "agent")
    root.spawn("responder", ["twamp", "responder", "192.0.2.2:862"])
    root.until("the agent is up", lambda: table(root, "agent list", "state") == ["up"])
    return controller, agent


def measure(root):
    root.file("/tmp/mesh.yaml").write_text(MESH)
    root.run("twampctl schedule apply -f /tmp/mesh.yaml")
    root.until("a result", lambda: sum(int(x) for x in table(root, "report --latest", "received")) > 100, 45)


def received(root):
    return sum(int(x) for x in table(root, "report", "received"))


def users_of(root, program):
    return set(root.run(f"for p in /proc/[0-9]*; do case $(readlink $p/exe) in */{program}) stat -c %U $p;; esac; done").split())


def static_agent():
    """The agent in one file, stripped; built now if it is not."""
    top, build = HERE.parent.parent, HERE.parent.parent / "build/static"
    sh(top / "deploy/static-agent", build)
    return build / "twamp-agent"


# ---- Tests ----

def test_lintian(out):
    if not shutil.which("lintian"):
        raise Missing("lintian (deploy/install-deps package)")
    said = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", SUPPRESSED, *map(str, all_debs(out))],
                          capture_output=True, text=True)
    expect(said.returncode == 0 and not said.stdout.strip(), said.stdout + said.stderr)
    with tempfile.TemporaryDirectory() as folder:  # and it would say so
        tree = pathlib.Path(folder, "tree")
        sh("dpkg-deb", "-R", deb(out, "twampmesh-agent"), tree)
        (tree / "usr/share/doc/twampmesh-agent/copyright").unlink()
        sh("dpkg-deb", "-b", "--root-owner-group", tree, f"{folder}/bad.deb")
        bad = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", f"{folder}/bad.deb"], capture_output=True, text=True)
        expect(bad.returncode != 0 and "no-copyright-file" in bad.stdout, f"lintian finds nothing: {bad.stdout}")


def test_examples(out):
    """Of a cluster, which docs/cluster.md copies from where they are put."""
    there = sh("dpkg-deb", "-c", deb(out, "twampmesh-controller"))
    files = [p for p in (HERE.parent.parent / "deploy/cluster").rglob("*") if p.is_file()]
    expect(len(files) > 6, f"{files}")
    for p in files:
        mode = "-rwxr-xr-x" if p.read_bytes().startswith(b"#!") else "-rw-r--r--"
        name = f"./usr/share/doc/twampmesh-controller/examples/cluster/{p.relative_to(HERE.parent.parent / 'deploy/cluster')}"
        expect(any(x.startswith(mode) and x.endswith(" " + name) for x in there.splitlines()), f"no {mode} {name} in {there}")


def test_same_octets_again(out):
    """Packing anew, later, gives the same files."""
    build = out.parent
    epoch = sh("dpkg-parsechangelog", "-l", build / "deploy/packages/changelog", "-S", "Timestamp").strip()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cpack", "--config", str(build / "CPackConfig.cmake"), "-G", "DEB", "-B", folder, "-D", f"CPACK_OUTPUT_FILE_PREFIX={folder}/out"],
                       cwd=folder, check=True, capture_output=True, env={**roots.os.environ, "SOURCE_DATE_EPOCH": epoch})
        for name in NAMES:
            again = list(pathlib.Path(folder).rglob(f"{name}_*.deb"))
            expect(again and again[0].read_bytes() == deb(out, name).read_bytes(), f"{name} is not the same octets")


def test_install_measure_upgrade(out):
    with fresh(base(out)) as root, tempfile.TemporaryDirectory() as folder:
        install(root, all_debs(out))  # here by dpkg: apt, as documented, then finds that nothing is to do but what it is asked for
        for name in DAEMONS:
            expect(owner(root, f"/var/lib/twampmesh-{name}") == f"_twampmesh-{name} _twampmesh-{name} 700", "data directory")
        expect("twamp-agent" in root.run("ls /etc/systemd/system/multi-user.target.wants"), "the agent's unit is not enabled")
        controller, agent = start_fleet(root)
        for name in DAEMONS:
            expect(users_of(root, f"twamp-{name}") == {f"_twampmesh-{name}"}, f"{name} runs as {users_of(root, f'twamp-{name}')}")
        measure(root)
        before = received(root)
        for p in all_debs(out):
            later(p, folder)
        # systemd would restart them by the scripts' try-restart.
        install(root, sorted(pathlib.Path(folder).glob("*.deb")), "--force-confold")
        expect(root.stop(agent) == 0 and root.stop(controller) == 0, "they do not end with exit code 0")
        root.start("twamp-controller")
        root.until("the controller answers", lambda: root.run("twampctl status"))
        expect(received(root) >= before, f"{received(root)} results received after the upgrade, {before} before")
        root.start("twamp-agent")  # by its certificate: the token is used
        root.until("the agent is back", lambda: table(root, "agent list", "state") == ["up"])
        root.until("more results", lambda: received(root) > before, 45)


def test_conffiles(out):
    """What an administrator has written stays, what nobody has touched is renewed."""
    with fresh(base(out)) as root, tempfile.TemporaryDirectory() as folder:
        install(root, all_debs(out))
        set_options(root, "agent", name="mine")
        for p in all_debs(out):
            later(p, folder)
        install(root, sorted(pathlib.Path(folder).glob("*.deb")), "--force-confdef --force-confold")
        expect("name: mine" in root.file("/etc/twampmesh/agent.yaml").read_text(), "the agent's options are lost")
        expect("of the next release" not in root.file("/etc/twampmesh/agent.yaml").read_text(), "the agent's options are overwritten")
        expect("of the next release" in root.file("/etc/twampmesh/controller.yaml").read_text(), "the controller's options are the old ones")
        root.run("chmod 0750 /var/lib/twampmesh-agent; systemd-sysusers; dpkg-reconfigure twampmesh-agent")
        expect(owner(root, "/var/lib/twampmesh-agent").endswith(" 750"), "a mode that was chosen is put back")


def test_remove_and_purge(out):
    with fresh(base(out)) as root:
        install(root, all_debs(out))
        root.run("echo x >/var/lib/twampmesh-controller/kept; echo x >/etc/twampmesh/join-token")
        root.run("dpkg -r twampmesh-agent twampmesh-controller twampmesh-tools")
        expect(root.file("/var/lib/twampmesh-controller/kept").exists(), "removing took the data")
        expect(root.file("/etc/twampmesh/agent.yaml").exists(), "removing took the options")
        expect(not root.file("/usr/sbin/twamp-agent").exists(), "the agent is still there")
        install(root, all_debs(out))  # and back
        expect(root.file("/var/lib/twampmesh-controller/kept").exists(), "installing again took the data")
        expect("masked" not in root.run("deb-systemd-helper is-enabled twamp-agent.service", ok=False), "the unit is masked")
        root.run("dpkg -P twampmesh-agent twampmesh-controller twampmesh-tools")
        left = root.run("find / -xdev -path /proc -prune -o -path /tmp -prune -o -iname '*twamp*' -print").split()
        # dpkg's own words about what was there, in its log, are no file of ours
        expect(not left, f"left after the purge: {left}")
        expect("_twampmesh-agent" in root.file("/etc/passwd").read_text(), "the user's number would be given out again")


def test_static_agent(out):
    """In a root with nothing but itself, two files about names and an empty directory, it joins by name and measures."""
    agent = static_agent()
    size = agent.stat().st_size
    expect(size < STATIC_BYTES, f"the static agent has {size} octets, expected less than {STATIC_BYTES}")
    with fresh(base(out)) as root:
        install(root, all_debs(out))
        start_fleet(root)
        root.run("mkdir -p /srv/empty/etc /srv/empty/data && echo 192.0.2.1 controller.example.net >/srv/empty/etc/hosts && "
                 "twampctl token create --approve >/srv/empty/token; chmod 600 /srv/empty/token")
        shutil.copy(agent, root.file("/srv/empty/twamp-agent"))
        root.spawn("static", ["chroot", "/srv/empty", "/twamp-agent", "--controller", "tls+tcp://controller.example.net:8620", "--name", "bare",
                              "--join-token-file", "/token", "--data-dir", "/data", "--reflect", "192.0.2.3:862"])
        root.until("the static agent is up", lambda: table(root, "agent list", "state") == ["up", "up"])
        root.file("/tmp/mesh.yaml").write_text(MESH.replace("ams", "bare"))
        root.run("twampctl schedule apply -f /tmp/mesh.yaml")
        root.until("a result", lambda: received(root) > 100, 45)
        refused = root.run("/srv/empty/twamp-agent --data-dir /tmp/none --reflect none --http 127.0.0.1:9", ok=False)
        expect("built without an HTTP server" in refused, refused)


def test_static_agent_in_place_of_the_other(out):
    """System tests of what its libraries do: TLS, identities, keys of all kinds, TWAMP-Control in every mode, the spool."""
    build, top = out.parent, HERE.parent.parent
    with tempfile.TemporaryDirectory() as folder:
        mix = pathlib.Path(folder)
        (mix / "agent").mkdir()
        for path in [*build.iterdir(), *(build / "agent").iterdir()]:
            if path != build / "agent":
                (mix / path.relative_to(build)).symlink_to(path)
        (mix / "agent/twamp-agent").unlink()
        (mix / "agent/twamp-agent").symlink_to(static_agent())
        said = subprocess.run(["/usr/bin/python3", top / "tests/system/run.py", mix, *STATIC_TESTS], capture_output=True, text=True)
        expect(said.returncode == 0 and ("\n" + said.stdout).count("\nok ") >= len(STATIC_TESTS), said.stdout[-3000:] + said.stderr[-1000:])


def test_from_source(out):
    """cmake --install puts programs, manual pages, units and users there, and nothing into /etc."""
    with fresh(base(out)) as root:
        sh("cmake", "--install", out.parent, "--prefix", "/usr/local", env={**roots.os.environ, "DESTDIR": str(root.path)})
        for command in documented("source"):
            if command.startswith("sudo systemd-sysusers"):
                root.run(command.split("#")[0].removeprefix("sudo "))
        root.run("getent passwd _twampmesh-agent _twampmesh-controller")
        for program in ("twampctl", "twamp", "twamp-agent", "twamp-controller"):
            expect(root.run(f"PATH=/usr/local/sbin:/usr/local/bin {program} --version").strip(), f"{program} does not run")
        root.run("ls /usr/local/lib/systemd/system/twamp-agent.service /usr/local/share/man/man8/twamp-agent.8.gz")
        expect(not root.file("/etc/twampmesh").exists(), "something was written into /etc")


def test_rpms(out):
    """They have what the debs have, and their scripts."""
    if not shutil.which("rpm"):
        raise Missing("rpm (deploy/install-deps package)")
    for name in NAMES:
        found = sorted(out.glob(f"{name}-[0-9]*.rpm"))
        expect(len(found) == 1, f"{name}: {len(found)} rpms")
        listed = set(x for x in sh("rpm", "-qlp", found[0]).splitlines() if "/.build-id" not in x)
        with tempfile.TemporaryDirectory() as folder:
            sh("dpkg-deb", "-x", deb(out, name), folder)
            want = {"/" + str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*") if not p.is_dir()}
        expect(want <= listed, f"{name}: the rpm lacks {sorted(want - listed)}")
        scripts = sh("rpm", "-qp", "--scripts", found[0])
        for script in re.findall(r"^\w+ scriptlet \(using /bin/sh\):\n((?:(?!^\w+ scriptlet).*\n)*)", scripts, flags=re.M):
            sh("sh", "-n", "-c", script)
        expect(("systemd-sysusers" in scripts) == (name != "twampmesh-tools"), f"{name}: scripts: {scripts}")
        configs = sh("rpm", "-qcp", found[0]).split()
        expect(configs == ([] if name == "twampmesh-tools" else [f"/etc/twampmesh/{name.removeprefix('twampmesh-')}.yaml"]), f"{name}: {configs}")


def test_rpms_installed(out):
    """By rpm itself, into a root of their own: files and their owners as rpm has noted them, scripts that run, nothing left. What they
    depend on has other names on systems of RPM's: that is not looked at here."""
    if not shutil.which("rpm"):
        raise Missing("rpm (deploy/install-deps package)")
    with fresh(base(out)) as root:
        rpm = ["rpm", "--root", root.path, "--force-debian", "--nodeps"]
        sh(*rpm, "-i", *sorted(out.glob("*.rpm")))
        expect(len(sh("rpm", "--root", root.path, "-qa").split()) == len(NAMES), "not all are installed")
        wrong = subprocess.run([*rpm, "-Va"], capture_output=True, text=True)
        expect(wrong.returncode == 0, f"not as rpm has noted it: {wrong.stdout}{wrong.stderr}")
        root.run("getent passwd _twampmesh-agent _twampmesh-controller")
        for program in ("twampctl", "twamp", "twamp-agent", "twamp-controller"):
            expect(root.run(f"{program} --version").strip(), f"{program} does not run")
        sh(*rpm, "-e", *NAMES)
        left = root.run("find / -xdev -path /proc -prune -o -path /tmp -prune -o -iname '*twamp*' -print").split()
        expect(not [x for x in left if not x.startswith(("/var/lib/twampmesh", "/etc/twampmesh"))], f"left after the removal: {left}")


def main():
    out, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    good = True
    import test_deploy  # needs what is here
    import test_helm
    for name, fn in [(n[5:], f) for m in (sys.modules["run"], test_deploy, test_helm) for n, f in vars(m).items() if n.startswith("test_")]:
        if words and not any(w in name for w in words):
            continue
        start = time.monotonic()
        try:
            fn(out)
            print(f"ok {name}  # {time.monotonic() - start:.1f} s", flush=True)
        except Missing as e:
            good = False
            print(f"not ok {name}  # cannot be tried here, missing: {e}", flush=True)
        except Exception:
            good = False
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {name}  # {time.monotonic() - start:.1f} s", flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    sys.modules["run"] = sys.modules["__main__"]
    main()
