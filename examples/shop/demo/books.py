"""What the services wrote down, read from their files when they have ended."""

import os
import sqlite3
from collections import Counter, defaultdict


def rows(shop, name, sql):
    path = shop.book(name)
    if not os.path.exists(path):
        return []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


class Books:
    def __init__(self, shop):
        self.charges, self.refunds = defaultdict(list), Counter()
        for order_id, kind, amount in rows(shop, "payment",
                                           "SELECT order_id, kind, amount FROM statement"):
            if kind == "charge":
                self.charges[order_id].append(amount)
            else:
                self.refunds[order_id] += amount
        self.shelf = {sku: (start, left) for sku, start, left in
                      rows(shop, "stock", "SELECT sku, start, left FROM shelf")}
        # What each order has put aside now, and what it had.
        self.held, self.released = defaultdict(Counter), defaultdict(Counter)
        for order_id, state, sku, quantity in rows(
                shop, "stock", "SELECT order_id, state, sku, quantity "
                "FROM reservations JOIN lines USING (effect_key)"):
            (self.held if state == "held" else self.released)[order_id][sku] += quantity
        packed = rows(shop, "warehouse", "SELECT order_id FROM parcels")
        self.parcels = Counter(order_id for (order_id,) in packed)
        self.trips = dict(rows(shop, "courier", "SELECT order_id, state FROM trips"))
        self.calls = {name: dict(rows(shop, name, "SELECT what, times FROM calls"))
                      for name in ("payment", "stock", "warehouse", "courier")}

    def paid(self, order_id):
        """What somebody has paid and not got back."""
        return sum(self.charges.get(order_id, ())) - self.refunds[order_id]
