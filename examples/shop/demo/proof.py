"""The proof: what orderd says of each order is held against what the services wrote down."""

import subprocess
from collections import Counter

FINAL = {"completed", "cancelled", "rejected", "expired"}


class Claim:
    """Something that must hold of all, and those of whom it does not."""

    def __init__(self, name, looked_at, exceptions):
        self.name, self.looked_at, self.exceptions = name, looked_at, list(exceptions)

    def holds(self):
        return not self.exceptions


def wanted(order):
    return Counter({item["sku"]: item["quantity"] for item in order["items"]})


def claims(orders, dead, books, people):
    """All of them. `orders` and `dead` are orderd's, by id."""
    is_open = {id: o["status"] not in FINAL for id, o in orders.items()}
    sold = {id: o for id, o in orders.items() if o["status"] == "completed"}
    over = {id: o for id, o in orders.items() if o["status"] in FINAL and id not in sold}
    accepted = people.accepted
    yield Claim("every order that was answered for is there, and no other", len(accepted),
                sorted(set(accepted) ^ set(orders)) + people.refused)
    yield Claim("every order has ended, or is a dead letter with a reason", len(orders), (
        f"{id}: {o['status']} at {o.get('step')}: {o.get('reason')}" for id, o in orders.items()
        if is_open[id] and not (id in dead and dead[id].get("reason"))))
    yield from money(orders, sold, over, books)
    yield from goods(orders, sold, over, books)
    dear = {id for id, order in accepted.items() if "hold" in order}
    yield Claim("nothing above the limit was charged before the desk let it go", len(dear),
                sorted((dear & set(books.charges)) - people.approved))
    yield Claim("no call with a forged signature was taken", len(people.forged), (
        status for status in people.forged if status != 401))


def money(orders, sold, over, books):
    yield Claim("nobody was charged twice", len(books.charges), (
        f"{id}: {charges}" for id, charges in books.charges.items() if len(charges) > 1))
    yield Claim("whoever got the goods has paid for them, once", len(sold), (
        f"{id}: paid {books.paid(id)} of {order['total']['amount']}" for id, order in sold.items()
        if books.paid(id) != order["total"]["amount"]))
    yield Claim("nobody has paid for an order that came to nothing", len(over), (
        f"{id}: {order['status']}, paid {books.paid(id)}" for id, order in over.items()
        if books.paid(id) != 0))
    yield Claim("nobody was charged without an order", len(books.charges), (
        id for id in books.charges if id not in orders))


def goods(orders, sold, over, books):
    aside = Counter()
    for lines in books.held.values():
        aside.update(lines)
    yield Claim("the stock adds up: start = left + put aside", len(books.shelf), (
        f"{sku}: {start} != {left} + {aside[sku]}" for sku, (start, left) in books.shelf.items()
        if start != left + aside[sku]))
    yield Claim("whatever is put aside belongs to somebody who gets it", len(books.held), (
        f"{id}: {orders.get(id, {}).get('status')}" for id in books.held
        if id not in orders or id in over or books.held[id] != wanted(orders[id])))
    yield Claim("whoever has paid gets one parcel", len(sold), (
        f"{id}: {books.parcels[id]} parcels of {dict(books.held.get(id, {}))}"
        for id, order in sold.items()
        if books.parcels[id] != 1 or books.held.get(id) != wanted(order)))
    yield Claim("no parcel was packed twice, or before it was paid", len(books.parcels), (
        id for id, count in books.parcels.items() if count > 1 or id not in books.charges))


def verified(orderd, shop):
    """orderd's own look at its books."""
    done = subprocess.run([orderd, "verify", "--data", shop.book("orderd")], cwd=shop.folder,
                          capture_output=True, text=True, check=False)
    wrong = [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()
    return Claim("orderd's journal and books are whole (orderd verify)", 1, wrong)
