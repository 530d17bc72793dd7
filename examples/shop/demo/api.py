"""Talks to orderd as a careful client does: a request under a key is sent until it is answered."""

import json
import random
import threading
import time
from http.client import HTTPConnection, HTTPException

# Refusals that say: send the same again in a moment.
IN_A_MOMENT = {"idempotency-key-in-use"}


class Gone(Exception):
    """The demonstration ends, and nobody waits for an answer any more."""


class Api:
    """One for all threads; each has a connection of its own."""

    def __init__(self, port):
        self.port = port
        self.own = threading.local()
        self.has_ended = threading.Event()
        self.sent_again = 0

    def once(self, method, path, body=None, key=None):
        """Status and body of the answer. Raises OSError or HTTPException if there is none."""
        connection = getattr(self.own, "connection", None)
        if connection is None:
            connection = self.own.connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            said = answer.read()
            return answer.status, json.loads(said) if said else {}
        except (OSError, HTTPException):
            connection.close()
            raise

    def ask(self, method, path, body=None, key=None):
        """The same, until there is an answer that counts."""
        while not self.has_ended.is_set():
            try:
                status, said = self.once(method, path, body, key)
                if status < 500 and said.get("code") not in IN_A_MOMENT:
                    return status, said
            except (OSError, HTTPException, ValueError):
                pass
            self.sent_again += 1
            time.sleep(random.uniform(0.02, 0.2))
        raise Gone

    def pages(self, path):
        """Everything of a list."""
        after, joint = "", "&" if "?" in path else "?"
        while True:
            _, page = self.ask("GET", f"{path}{joint}limit=500{after}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&after={page['next_cursor']}"
