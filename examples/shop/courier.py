#!/usr/bin/env python3
"""The courier: courier.py PORT BOOK ORDERD. Hears from orderd (a webhook) which parcels are ready,
brings them, and tells orderd (a signal) that they were handed over: mostly once, sometimes twice,
and of a few parcels nobody ever hears again."""

import hashlib
import json
import os
import sys
import threading
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from service import Book, Service

port, path, orderd = sys.argv[1:4]
book = Book(path, """
    CREATE TABLE IF NOT EXISTS trips (
        order_id TEXT PRIMARY KEY, due REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('under way', 'handed over', 'refused', 'lost')));
""")


def luck(order_id):
    """0 to 99: the same for an order however often one looks, and for each seed another."""
    text = os.environ.get("SHOP_LUCK", "") + order_id
    return hashlib.sha256(text.encode()).digest()[0] * 100 // 256


def heard(message):
    """An event of an order. The same may come again; a trip is made once."""
    order_id = message["data"]["order_id"]
    chance = luck(order_id)
    state = "lost" if chance > 97 else "under way"
    with book as db:
        is_new = db.execute("INSERT OR IGNORE INTO trips VALUES (?, ?, ?)",
                            (order_id, time.time() + chance / 100, state)).rowcount
        book.count("told" if is_new else "told again")
    return {}


def tell(order_id):
    """What became of it: handed over, refused (the order was called off), or None: no answer."""
    request = Request(f"{orderd}/v1/orders/{order_id}/signals/delivered",
                      json.dumps({"by": f"van {luck(order_id) % 7}"}).encode(),
                      {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=5):
            return "handed over"
    except HTTPError as answer:
        return "refused" if answer.code in (404, 409) else None
    except (OSError, HTTPException):
        return None


def drive():
    while True:
        with book as db:
            due = db.execute("SELECT order_id FROM trips WHERE state = 'under way' AND due <= ?",
                             (time.time(),)).fetchall()
        for (order_id,) in due:
            state = tell(order_id)
            if luck(order_id) % 10 == 3:
                tell(order_id)  # rings twice
            if state:
                with book as db:
                    db.execute("UPDATE trips SET state = ? WHERE order_id = ?", (state, order_id))
        time.sleep(0.1)


threading.Thread(target=drive, daemon=True).start()
Service(port, {"/orderd": heard}).run()
