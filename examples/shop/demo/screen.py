"""What is seen: a line that moves while it runs, and tables at the end. Colours only for people who
want them (https://no-color.org)."""

import os
import sys
import time
from collections import Counter

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"


class Screen:
    def __init__(self, wants_json):
        self.wants_json = wants_json
        self.is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.paint = (lambda code, text: f"\033[{code}m{text}\033[0m") if has_colour else (
            lambda _, text: text)
        self.start = self.shown = time.monotonic()

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def progress(self, share, phase, counts):
        """At most ten times a second on a terminal; elsewhere a line every five seconds."""
        now = time.monotonic()
        if now - self.shown < (0.1 if self.is_terminal else 5):
            return
        self.shown = now
        bar = ("#" * round(20 * min(share, 1))).ljust(20, ".")
        line = f"{phase:<9} [{bar}] {now - self.start:3.0f} s  " + "  ".join(
            f"{name} {count}" for name, count in counts.items())
        if self.is_terminal:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            print("\r\033[K" + line[:columns - 1], end="", file=sys.stderr, flush=True)
        else:
            self.say(line)

    def end_of_progress(self):
        if self.is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def table(self, title, lines):
        print(f"\n{self.paint(BOLD, title)}")
        width = max((len(str(line[0])) for line in lines), default=0)
        for name, count, *more in lines:
            more = "".join(self.paint(DIM, f"  {text}") for text in more)
            print(f"  {name:<{width}}  {count:>7,}{more}")

    def claims(self, claims):
        print(f"\n{self.paint(BOLD, 'Proof')}")
        for claim in claims:
            mark = self.paint(GREEN, "ok  ") if claim.holds() else self.paint(RED, "NOT ")
            looked_at = self.paint(DIM, f"of {claim.looked_at:,}")
            print(f"  {mark} {claim.name:<64} {looked_at}")
            for exception in claim.exceptions[:5]:
                print(self.paint(RED, f"         {exception}"))
            if len(claim.exceptions) > 5:
                print(self.paint(RED, f"         and {len(claim.exceptions) - 5} more"))


def tables(shop, people, orders, dead, books):
    """What happened: the name for programs, the title for people, and the lines."""
    statuses = Counter(order["status"] for order in orders.values())
    again = f"{people.api.sent_again:,} requests sent again until they were answered"
    yield "orders", "Orders", [("accepted", len(people.accepted), again), *statuses.most_common()]
    reasons = Counter(letter.get("reason") for letter in dead.values())
    if reasons:
        yield "dead_letters", "Dead letters", reasons.most_common()
    kills = Counter()
    for piece in shop.all:
        kills[piece.name] += piece.kills
    yield "kills", "Killed with kill -9", kills.most_common()
    calls = [(f"{name}: {what}", times) for name, calls in books.calls.items()
             for what, times in sorted(calls.items())]
    yield "calls", "Done by the services", calls
