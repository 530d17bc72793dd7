#!/usr/bin/env python3
"""The stock service: stock.py PORT BOOK. Puts goods aside for an order, or back on the shelf."""

import json
import os
import sys

from service import Book, Service

book = Book(sys.argv[2], """
    CREATE TABLE IF NOT EXISTS shelf (
        sku TEXT PRIMARY KEY, start INTEGER NOT NULL, left INTEGER NOT NULL CHECK (left >= 0));
    CREATE TABLE IF NOT EXISTS reservations (
        effect_key TEXT PRIMARY KEY, order_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('held', 'released', 'refused')), missing TEXT);
    CREATE TABLE IF NOT EXISTS lines (
        effect_key TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS called_off (order_id TEXT PRIMARY KEY);
""")

with book as shelves:  # filled once, when the shop opens
    for sku, quantity in json.loads(os.environ["SHOP_SHELF"]).items():
        shelves.execute("INSERT OR IGNORE INTO shelf VALUES (?, ?, ?)", (sku, quantity, quantity))


def missing(db, items):
    """The first article of which there is not enough."""
    for item in items:
        row = db.execute("SELECT left FROM shelf WHERE sku = ?", (item["sku"],)).fetchone()
        if row is None or row[0] < item["quantity"]:
            return item["sku"]
    return None


def put_aside(db, key, order):
    short = missing(db, order["items"])
    state = "refused" if short else "held"
    db.execute("INSERT INTO reservations VALUES (?, ?, ?, ?)",
               (key, order["order_id"], state, short))
    for item in order["items"] if state == "held" else ():
        sold = (item["quantity"], item["sku"])
        db.execute("UPDATE shelf SET left = left - ? WHERE sku = ?", sold)
        db.execute("INSERT INTO lines VALUES (?, ?, ?)", (key, item["sku"], item["quantity"]))


def reserve(call):
    key = call["effect_key"]
    with book as db:
        find = "SELECT state, missing FROM reservations WHERE effect_key = ?"
        found = db.execute(find, (key,)).fetchone()
        book.count("reserve again" if found else "reserve")
        off = "SELECT 1 FROM called_off WHERE order_id = ?"
        if db.execute(off, (call["order_id"],)).fetchone():
            return {"error": "the order was called off", "reject": True}
        if found is None:
            put_aside(db, key, call["order"])
            found = db.execute(find, (key,)).fetchone()
    state, short = found
    if state == "held":
        return {"output": {"reservation": key}}
    return {"error": f"out of stock: {short}", "reject": True}


def release(call):
    """Back on the shelf. A reservation that is still under way finds the order called off."""
    with book as db:
        book.count("release")
        db.execute("INSERT OR IGNORE INTO called_off VALUES (?)", (call["order_id"],))
        held = "FROM reservations WHERE order_id = ? AND state = 'held'"
        back = db.execute("SELECT sku, quantity FROM lines WHERE effect_key IN "
                          f"(SELECT effect_key {held})", (call["order_id"],)).fetchall()
        for sku, quantity in back:
            db.execute("UPDATE shelf SET left = left + ? WHERE sku = ?", (quantity, sku))
        db.execute("UPDATE reservations SET state = 'released' "
                   "WHERE order_id = ? AND state = 'held'", (call["order_id"],))
    return {"output": {"back": sum(quantity for _, quantity in back)}}


def heard(message):
    """orderd tells that an order came to nothing (a webhook)."""
    return release(message["data"])


Service(sys.argv[1], {"/reserve": reserve, "/orderd": heard}).run()
