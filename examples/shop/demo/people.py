"""The people of the shop: customers, some of whom change their mind; the desk that looks at dear
orders; and somebody who would like to charge cards without an order."""

import json
import random
import threading
import time
from http.client import HTTPConnection, HTTPException
from queue import Empty, Queue

from demo.api import Gone

PRICES = {"tea": 450, "mug": 1250, "kettle": 3900, "lamp": 7900, "grinder": 18_900,
          "machine": 64_900}
CHEAP = ["tea", "tea", "mug", "mug", "kettle", "lamp", "grinder"]
# Above this somebody looks before anything is charged.
LIMIT = 50_000


def shelf(orders):
    """Enough of everything but lamps, which run out."""
    full = {sku: 10 * orders + 10 for sku in PRICES}
    return full | {"lamp": max(3, orders // 3)}


def basket(chance):
    """What somebody buys, mostly cheap things."""
    skus = chance.sample(CHEAP, chance.randint(1, 3))
    if chance.random() < 0.05:
        skus.append("machine")
    items = {sku: chance.randint(1, 3) for sku in skus}
    if chance.random() < 0.01:
        items["machine"] = 20  # nobody buys that at the counter
    return [{"sku": sku, "quantity": n, "unit_price": PRICES[sku]} for sku, n in items.items()]


def draft(number, seed):
    """An order: the same for the same seed."""
    chance = random.Random(f"{seed} order {number}")
    items = basket(chance)
    total = sum(item["quantity"] * item["unit_price"] for item in items)
    order = {
        "order_id": f"shop-{number:05}", "customer_id": f"c-{chance.randint(1, 200)}",
        "priority": chance.choice([1, 2, 2, 2, 3]), "items": items,
        "total": {"amount": total, "currency": "EUR"},
        "metadata": {"card": "empty" if chance.random() < 0.04 else "good"},
    }
    if LIMIT < total < 1_000_000:
        order["hold"] = {"reason": "above the limit: the desk looks at it", "by": "shop"}
    return order


class People:
    """Each kind on threads of its own. What they were answered is what orderd is held to."""

    def __init__(self, api, options, payment_port):
        self.api, self.options, self.payment_port = api, options, payment_port
        self.accepted, self.approved = {}, set()
        self.refused, self.called_off, self.forged = [], [], []
        self.numbers, self.regrets = Queue(), Queue()
        for number in range(options.orders):
            self.numbers.put(number)
        self.start, self.spread = time.monotonic(), options.seconds * 0.85
        self.left = 0
        self.lock = threading.Lock()

    def arrive(self):
        busy = [self.buy] * 12 + [self.regret] * 3 + [self.forge]
        self.left = len(busy)
        for work in busy + [self.look]:
            threading.Thread(target=self.live, args=(work,), daemon=True).start()

    def live(self, work):
        try:
            work()
        except Gone:
            return
        with self.lock:
            self.left -= 1

    def buy(self):
        """Customers: each order under its key until it is answered, and sometimes once more."""
        while True:
            try:
                number = self.numbers.get_nowait()
            except Empty:
                return
            due = self.start + self.spread * number / self.options.orders
            time.sleep(max(0, due - time.monotonic()))
            order, chance = draft(number, self.options.seed), random.Random(f"{number} buys")
            for _ in range(2 if chance.random() < 0.1 else 1):
                status, said = self.api.ask("POST", "/v1/orders", order, order["order_id"])
            if status != 201:
                self.refused.append((order["order_id"], status, said))
                continue
            if chance.random() < 0.05:  # taken over the counter, long before orderd waits for it
                path = f"/v1/orders/{order['order_id']}/signals/delivered"
                self.api.ask("POST", path, {"by": "the counter"}, f"counter-{order['order_id']}")
            if chance.random() < 0.08:
                self.regrets.put((time.monotonic() + chance.uniform(0, 3), order["order_id"]))
            self.accepted[order["order_id"]] = order

    def regret(self):
        """Some change their mind, wherever the order is by then."""
        while True:
            try:
                due, order_id = self.regrets.get(timeout=0.5)
            except Empty:
                if len(self.accepted) + len(self.refused) >= self.options.orders:
                    return
                continue
            time.sleep(max(0, due - time.monotonic()))
            body = {"reason": "changed their mind", "by": "customer"}
            path = f"/v1/orders/{order_id}/cancel"
            status, _ = self.api.ask("POST", path, body, f"cancel-{order_id}")
            self.called_off.append((order_id, status))

    def look(self):
        """The desk: lets most of the dear orders go, and calls the others off."""
        while True:
            for order in list(self.api.pages("/v1/orders?held=true")):
                order_id = order["order_id"]
                is_good = random.Random(f"{self.options.seed} {order_id}").random() < 0.7
                verb = "release" if is_good else "cancel"
                said = {"by": "desk"} | ({} if is_good else {"reason": "smells of fraud"})
                status, _ = self.api.ask("POST", f"/v1/orders/{order_id}/{verb}", said,
                                         f"{verb}-{order_id}")
                if is_good and status == 200:
                    self.approved.add(order_id)
            time.sleep(0.2)

    def forge(self):
        """Calls the payment service as if it were orderd, without knowing the secret."""
        chance = random.Random(f"{self.options.seed} forger")
        while time.monotonic() < self.start + self.options.seconds:
            order = {"order_id": f"forged-{chance.random()}", "total": {"amount": 99_900}}
            call = {"order_id": order["order_id"], "effect_key": order["order_id"], "order": order}
            headers = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())),
                       "webhook-signature": "v1,bm90IHRoZSBzaWduYXR1cmUgb2YgYW55Ym9keSBhdCBhbGw="}
            connection = HTTPConnection("127.0.0.1", self.payment_port, timeout=10)
            try:
                connection.request("POST", "/charge", json.dumps(call), headers)
                self.forged.append(connection.getresponse().status)
            except (OSError, HTTPException):
                pass  # it is down just now
            finally:
                connection.close()
            time.sleep(chance.uniform(0.2, 0.8))
