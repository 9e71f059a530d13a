"""A receiver of webhooks that behaves as it is told. Usage: receiver.py LOG MODE-FILE [ADDRESS [PORT]]

Prints "port N" once it listens. Each request becomes one line of JSON in LOG: what it was answered (`mode`), path, the key, and the
content. The file's word says how: ok; slow, after 0.2 s; 500; 400; hang, never."""
import http.server
import json
import pathlib
import sys
import threading
import time

LOG, MODE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
ADDRESS, PORT = (sys.argv[3:4] or ["127.0.0.1"])[0], int((sys.argv[4:5] or ["0"])[0])
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        mode = MODE.read_text().strip() if MODE.exists() else "ok"
        if mode == "slow":
            time.sleep(0.2)
        try:
            content = json.loads(content)
        except ValueError:
            pass
        with lock, LOG.open("a") as f:
            f.write(json.dumps({"mode": mode, "path": self.path, "key": self.headers.get("Idempotency-Key"),
                                "authorization": self.headers.get("Authorization"), "time": time.time(), "content": content}) + "\n")
        if mode == "hang":
            time.sleep(3600)
        self.send_response({"500": 500, "400": 400}.get(mode, 200))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer((ADDRESS, PORT), Handler)
server.daemon_threads = True
print(f"port {server.server_address[1]}", flush=True)
server.serve_forever()
