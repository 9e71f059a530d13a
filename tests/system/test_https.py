"""HTTPS of the controller and of an agent: served, replaced while it is in use, refused when it cannot be used."""
import os
import signal
import subprocess

from lab import CONTROLLER, NET4, Lab, Process, expect, sh, wait

ADDRESS = f"{NET4}.{CONTROLLER}"


def make_cert(lab, name, address, days):
    """NAME.crt and NAME.key, signed by itself."""
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{lab.dir}/{name}.key", "-out",
       f"{lab.dir}/{name}.crt", "-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}")


def use(lab, name, key=None):
    for end, source in (("crt", name), ("key", key or name)):
        with open(f"{lab.dir}/{source}.{end}", "rb") as f:
            data = f.read()
        with open(f"{lab.dir}/use.{end}.new", "wb") as f:
            f.write(data)
        os.rename(f"{lab.dir}/use.{end}.new", f"{lab.dir}/use.{end}")


def shown_by(lab, address, port=8080):
    """The certificate that a new connection gets, PEM."""
    out = lab.exec("ctl", "openssl", "s_client", "-connect", f"{address}:{port}", stdin=subprocess.DEVNULL, check=False)
    begin = out.find("-----BEGIN CERTIFICATE-----")
    return out[begin:out.find("-----END CERTIFICATE-----", begin)] if begin >= 0 else ""


def is_shown(lab, name, address, port=8080):
    with open(f"{lab.dir}/{name}.crt") as f:
        return shown_by(lab, address, port).strip() == f.read().split("-----END")[0].strip()


def test_certificate_is_replaced_in_use(build):
    with Lab(build, ["a1"]) as lab:
        for name, days in (("first", 90), ("second", 5)):
            make_cert(lab, name, ADDRESS, days)
        use(lab, "first")
        lab.scheme, lab.curl = "https", ["--cacert", f"{lab.dir}/first.crt"]
        files = ["--http-tls-cert", f"{lab.dir}/use.crt", "--http-tls-key", f"{lab.dir}/use.key"]
        lab.start_controller(*files)
        expect(is_shown(lab, "first", ADDRESS), "another certificate is shown")
        plain = lab.exec("ctl", "curl", "-s", "-m", "5", "-w", "%{http_code}", f"http://{ADDRESS}:8080/healthz", check=False)
        expect(plain.endswith("000"), f"plain HTTP got an answer: {plain}")
        expect('"warnings":[]' in lab.http("/readyz")[1], "a warning without a reason")
        # Somebody listens the whole time.
        log = f"{lab.dir}/events.log"
        listener = Process(["curl", "-sN", *lab.curl, *lab.bearer(), f"https://{ADDRESS}:8080/api/v1/events"], log, ns=lab.ns("ctl"))
        wait("the first event", lambda: "event: hello" in open(log).read())
        use(lab, "second")
        lab.controller.popen.send_signal(signal.SIGHUP)
        wait("the second certificate", lambda: is_shown(lab, "second", ADDRESS))
        lab.curl = ["--cacert", f"{lab.dir}/second.crt"]
        lab.start_agent("a1")
        wait("events after the reload", lambda: "event: agents" in open(log).read())
        expect(listener.alive(), "the listener was cut off by the reload")
        page = lab.http("/metrics")[1]
        expect('twamp_http_certificate_reloads_total{result="ok"} 1' in page, "the reload was not counted")
        expect("twamp_http_certificate_expiry_time_seconds" in page, "no expiry in the metrics")
        # It expires in 5 days: somebody has to see to it, but all is well.
        code, out, _ = lab.ctl_run("status")
        expect(code == 0 and "Warning" in out and "HTTPS expires at" in out, out)
        expect("HTTPS expires at" in lab.http("/readyz")[1], "readyz does not warn")
        # What cannot be used changes nothing.
        use(lab, "first", key="second")
        lab.controller.popen.send_signal(signal.SIGHUP)
        wait("a refusal", lambda: "is not that of the certificate" in lab.controller.tail(50))
        expect(is_shown(lab, "second", ADDRESS), "a certificate with a wrong key is in use")
        expect(listener.alive(), "the listener was cut off by a reload that failed")
        listener.kill()


def test_agent_serves_metrics_by_https(build):
    with Lab(build, ["a1"]) as lab:
        make_cert(lab, "first", lab.ip4("a1"), 90)
        make_cert(lab, "second", lab.ip4("a1"), 90)
        use(lab, "first")
        lab.start_controller()
        lab.start_agent("a1", "--http", f"{lab.ip4('a1')}:9862", "--http-tls-cert", f"{lab.dir}/use.crt", "--http-tls-key", f"{lab.dir}/use.key")
        lab.approve_all()
        get = lambda name: lab.exec("ctl", "curl", "-s", "-m", "10", "--cacert", f"{lab.dir}/{name}.crt", f"https://{lab.ip4('a1')}:9862/metrics",
                                    check=False)
        wait("metrics by HTTPS", lambda: "twamp_http_certificate_expiry_time_seconds" in get("first"))
        use(lab, "second")
        lab.agents["a1"].popen.send_signal(signal.SIGHUP)
        wait("the second certificate", lambda: is_shown(lab, "second", lab.ip4("a1"), 9862))
        expect("twamp_http_requests_total" in get("second"), "no metrics after the reload")
        # What cannot be used changes nothing, and is told where somebody looks.
        told = lambda: lab.api("/api/v1/agents")["agents"][0]["health"]["https_error"]
        use(lab, "first", key="second")
        lab.agents["a1"].popen.send_signal(signal.SIGHUP)
        wait("the controller to know", lambda: "is not that of the certificate" in (told() or ""), 30)
        expect(is_shown(lab, "second", lab.ip4("a1"), 9862), "a certificate with a wrong key is in use")
        expect("HTTPS certificate" in lab.ctl("agent", "show", "a1"), "agent show lacks it")
        expect("https-error" in lab.ctl_run("doctor", "a1")[1], "doctor does not find it")
        use(lab, "first")
        lab.agents["a1"].popen.send_signal(signal.SIGHUP)
        wait("the mistake to be over", lambda: told() is None, 30)
        expect(is_shown(lab, "first", lab.ip4("a1"), 9862), "the last certificate is not in use")


def test_what_cannot_be_served_is_refused(build):
    with Lab(build, ["a1"]) as lab:
        make_cert(lab, "first", ADDRESS, 90)
        make_cert(lab, "second", ADDRESS, 90)
        run = lambda *a: subprocess.run(
            ["ip", "netns", "exec", lab.ns("ctl"), f"{build}/controller/twamp-controller", "--listen", "tcp://127.0.0.1:8620", "--admin-listen",
             f"ipc://{lab.dir}/other.sock", "--data-dir", f"{lab.dir}/other", "--http", f"{ADDRESS}:8080", *a], capture_output=True, text=True,
            timeout=30)
        for args, *words in (([], "--http-plaintext", "--http-tls-cert"),
                             (["--http-tls-cert", f"{lab.dir}/first.crt"], "no key"),
                             (["--http-tls-cert", f"{lab.dir}/none.crt", "--http-tls-key", f"{lab.dir}/first.key"], "none.crt", "No such file"),
                             (["--http-tls-cert", f"{lab.dir}/first.crt", "--http-tls-key", f"{lab.dir}/second.key"], "is not that of")):
            done = run(*args)
            expect(done.returncode != 0, f"{args}: started")
            lines = [x for x in done.stderr.splitlines() if x.startswith("twamp-controller: ")]
            expect(len(lines) == 1 and all(w in lines[0] for w in words), f"{args}: {done.stderr}")
