#!/usr/bin/env python3
"""Somebody at the warehouse: warehouse.py ORDERD BOOK NAME. Takes orders from the queue, packs each
once, and says so. Falls asleep, says things twice, and is killed in the middle of it."""

import json
import signal
import sys
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from service import Book, Pranks

url, path, name = sys.argv[1:4]
book = Book(path, """
    CREATE TABLE IF NOT EXISTS parcels (
        effect_key TEXT PRIMARY KEY, order_id TEXT NOT NULL, packed_by TEXT NOT NULL);
""")
pranks = Pranks()
is_working = True


def stop(*_):
    global is_working
    is_working = False


def ask(verb, body):
    """Answers nothing if there is no orderd, or if the work is not ours any more (409)."""
    request = Request(f"{url}/v1/queues/warehouse/{verb}", json.dumps(body).encode(),
                      {"Content-Type": "application/json"})
    while is_working or verb != "lease":
        try:
            with urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except HTTPError as refused:
            if refused.code < 500:
                return None
        except (OSError, HTTPException):
            pass
        time.sleep(0.2)
    return None


def pack(task):
    with book as db:
        written = db.execute("INSERT OR IGNORE INTO parcels VALUES (?, ?, ?)",
                             (task["effect_key"], task["order_id"], name)).rowcount
        book.count("pack" if written else "pack again")
    return {"parcel": task["effect_key"], "packed_by": name}


def work(task):
    said = {key: task[key] for key in ("order_id", "step", "fence")}
    if not is_working:
        return ask("release", said)
    prank = pranks.draw("asleep", "tired", "twice")
    if prank == "tired":
        return ask("fail", said | {"error": "dropped the tape", "retry_after": "500ms"})
    output = pack(task)
    if prank == "asleep":  # the lease ends meanwhile: somebody else packs it, that is, nobody
        time.sleep(2.5)
    ask("complete", said | {"output": output})
    if prank == "twice":
        ask("complete", said | {"output": output})


signal.signal(signal.SIGTERM, stop)
while is_working:
    leased = ask("lease", {"max": 4, "wait": "2s", "worker": name}) or {"data": []}
    for one in leased["data"]:
        work(one)
