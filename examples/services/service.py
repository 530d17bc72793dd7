#!/usr/bin/env python3
"""Does a step that orderd sends to it: service.py PORT SECRET. Standard library only."""
import base64, hashlib, hmac, json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, secret = int(sys.argv[1]), base64.b64decode(sys.argv[2].removeprefix("whsec_"))
done = {}  # by effect key; yours is in your database, written together with what was done

def is_signed(headers, body):
    sent_at = headers.get("webhook-timestamp", "0")
    signed = f"{headers.get('webhook-id')}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return abs(time.time() - int(sent_at)) < 300 and any(hmac.compare_digest(expected, it) for it in given)

def work(task):
    """Your part. Whatever is raised here has orderd call again later."""
    amount = task["order"]["total"]["amount"]
    return {"output": {"paid": amount}} if amount < 100_000 else {"error": "too much", "reject": True}

def answer(path, task):
    key = task["effect_key"]
    if path == "/lookup":  # what became of the attempts before?
        return {"done": key in done, **done.get(key, {})}
    return done[key] if key in done else done.setdefault(key, work(task))

class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # so that connections are used again

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_known = is_signed(self.headers, body)
        said = json.dumps(answer(self.path, json.loads(body)) if is_known else {}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

ThreadingHTTPServer(("127.0.0.1", port), Service).serve_forever()
