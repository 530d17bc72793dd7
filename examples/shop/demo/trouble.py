"""The trouble: ends programs with kill -9 at random moments, and starts them again a bit later."""

import time

# How often orderd is in the deck from which the next to be killed is drawn; all others once.
ORDERD = 4


class Trouble:
    """Works on the thread that calls it: children belong to the thread that started them."""

    def __init__(self, shop, chance):
        self.shop, self.chance = shop, chance
        self.down = []  # (when it comes back, who)
        self.deck = []

    def make(self, seconds, look):
        """For so long; `look` is told often which share of it is over."""
        end = time.monotonic() + seconds
        strike = time.monotonic() + self.pause()
        while time.monotonic() < end:
            now = time.monotonic()
            if now >= strike:
                self.strike(now)
                strike = now + self.pause()
            self.bring_back(now)
            look(1 - (end - now) / seconds)
            time.sleep(0.02)
        self.bring_back(float("inf"))

    def pause(self):
        return self.chance.uniform(0.2, 1.8)

    def strike(self, now):
        if not self.deck:
            orderd, *others = self.shop.all
            self.deck = [orderd] * ORDERD + others
            self.chance.shuffle(self.deck)
        victim = self.deck.pop()
        if victim.is_running():
            victim.kill()
            self.down.append((now + self.chance.uniform(0.05, 1.5), victim))

    def bring_back(self, now):
        for back in [entry for entry in self.down if entry[0] <= now]:
            self.down.remove(back)
            back[1].start()
