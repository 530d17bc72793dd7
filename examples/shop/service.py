"""What the services of the shop share: a book that keeps what was said, a door that lets in only
orderd, and pranks: things that go wrong on purpose, by chance from a seed."""

import base64
import hashlib
import hmac
import json
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Book:
    """A SQLite file. What was written in `with book as db:` is on disk when the block is left."""

    def __init__(self, path, schema):
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(schema)
        self.db.execute("CREATE TABLE IF NOT EXISTS calls (what TEXT PRIMARY KEY, times INTEGER)")

    def __enter__(self):
        self.lock.acquire()
        self.db.execute("BEGIN IMMEDIATE")
        return self.db

    def __exit__(self, kind, *_):
        try:
            self.db.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self.lock.release()

    def count(self, what):
        """Within a `with book`."""
        self.db.execute("INSERT INTO calls VALUES (?, 1) "
                        "ON CONFLICT DO UPDATE SET times = times + 1", (what,))


class Pranks:
    """Draws what goes wrong with a request, mostly nothing."""

    KINDS = ("busy", "broken", "late", "mute", "garbled", "twice")

    def __init__(self):
        self.rate = float(os.environ.get("SHOP_PRANKS", "0"))
        self.random = random.Random(os.environ.get("SHOP_SEED"))
        self.lock = threading.Lock()

    def draw(self, *kinds):
        with self.lock:
            return self.random.choice(kinds) if self.random.random() < self.rate else None

    def seconds(self, least, most):
        with self.lock:
            return self.random.uniform(least, most)


def is_from_orderd(secrets, headers, body):
    """Whether a message is signed as https://www.standardwebhooks.com has it, and is not old."""
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = f"{message_id}.{sent_at}.".encode() + body
    given = headers.get("webhook-signature", "").split(" ")
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(wanted, signature) for signature in given):
            return True
    return False


class Door(BaseHTTPRequestHandler):
    """One connection of orderd."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one packet

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        work = self.server.routes.get(self.path)
        if work is None:
            return self.answer(404, {"error": "there is nothing here"})
        if not is_from_orderd(self.server.secrets, self.headers, body):
            return self.answer(401, {"error": "this is not signed by orderd"})
        with self.server.busy():
            self.play(self.server.pranks.draw(*Pranks.KINDS), work, json.loads(body))

    def play(self, prank, work, message):
        """Does the work, and whatever goes wrong around it."""
        if prank == "busy":
            return self.answer(503, {"error": "too busy"})
        if prank == "broken":
            return self.answer(500, {"error": "broken"})
        if prank == "late":  # done when nobody waits for it any more
            time.sleep(self.server.pranks.seconds(1.1, 2.5))
        if prank == "twice":  # a network that repeats
            work(message)
        said = work(message)
        if prank == "mute":  # done, and nobody is told
            self.close_connection = True
        elif prank == "garbled":
            self.answer(200, "<h1>It works!</h1>")
        else:
            self.answer(200, said)

    def answer(self, status, said):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Service(ThreadingHTTPServer):
    """Answers on a port until SIGTERM, and then ends what it has begun."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, port, routes):
        super().__init__(("127.0.0.1", int(port)), Door)
        self.routes, self.pranks = routes, Pranks()
        self.secrets = os.environ["SHOP_SECRETS"].split(" ")  # of the step, of the webhook
        self.begun, self.changed = 0, threading.Condition()
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=self.shutdown).start())

    @contextmanager
    def busy(self):
        with self.changed:
            self.begun += 1
        try:
            yield
        finally:
            with self.changed:
                self.begun -= 1
                self.changed.notify()

    def run(self):
        self.serve_forever(poll_interval=0.05)
        # Connections that orderd keeps open are not waited for, only what came over them.
        with self.changed:
            self.changed.wait_for(lambda: self.begun == 0)

    def handle_error(self, *_):
        pass  # whoever called has gone; that happens all the time here
