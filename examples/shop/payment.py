#!/usr/bin/env python3
"""The payment service: payment.py PORT BOOK. Charges cards, says what became of a charge, and gives
money back. It is called again and again for the same thing, and does it once."""

import os
import sys

from service import Book, Service

# The statement is what the bank did: lines are only ever added.
book = Book(sys.argv[2], """
    CREATE TABLE IF NOT EXISTS payments (
        effect_key TEXT PRIMARY KEY, order_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('charged', 'declined')));
    CREATE TABLE IF NOT EXISTS called_off (order_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS statement (
        line INTEGER PRIMARY KEY, order_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('charge', 'refund')), amount INTEGER NOT NULL);
""")
is_careless = "SHOP_CARELESS" in os.environ  # charges whenever it is told to, as many do


def known(db, key):
    row = db.execute("SELECT state FROM payments WHERE effect_key = ?", (key,)).fetchone()
    return row[0] if row else None


def result(key, state):
    if state == "charged":
        return {"output": {"payment": key}}
    return {"error": f"the card was {state}", "reject": True}


def charge(call):
    key, order = call["effect_key"], call["order"]
    with book as db:
        state = known(db, key)
        book.count("charge" if state is None else "charge again")
        # The order was called off while this was under way: the charge comes too late.
        off = "SELECT 1 FROM called_off WHERE order_id = ?"
        if db.execute(off, (call["order_id"],)).fetchone():
            return result(key, "not charged: the order was called off")
        if state is None or is_careless:
            is_declined = (order.get("metadata") or {}).get("card") == "empty"
            state = "declined" if is_declined else "charged"
            db.execute("INSERT OR REPLACE INTO payments VALUES (?, ?, ?)",
                       (key, call["order_id"], state))
            if state == "charged":
                db.execute("INSERT INTO statement (order_id, kind, amount) VALUES (?, 'charge', ?)",
                           (call["order_id"], order["total"]["amount"]))
    return result(key, state)


def lookup(question):
    """What became of the attempts before. Unknown here: no money has moved."""
    with book as db:
        book.count("lookup")
        key = question["effect_key"]
        state = known(db, key)
    return {"done": False} if state is None else {"done": True} | result(key, state)


def void(call):
    """Gives back what was charged. A charge that is still under way finds the order called off."""
    with book as db:
        book.count("void")
        db.execute("INSERT OR IGNORE INTO called_off VALUES (?)", (call["order_id"],))
        (owed,) = db.execute(
            "SELECT coalesce(sum(CASE kind WHEN 'charge' THEN amount ELSE -amount END), 0) "
            "FROM statement WHERE order_id = ?", (call["order_id"],)).fetchone()
        if owed > 0:
            db.execute("INSERT INTO statement (order_id, kind, amount) VALUES (?, 'refund', ?)",
                       (call["order_id"], owed))
    return {"output": {"refunded": owed}}


def heard(message):
    """orderd tells that an order came to nothing (a webhook)."""
    return void(message["data"])


Service(sys.argv[1], {"/charge": charge, "/lookup": lookup, "/orderd": heard}).run()
