"""What may be said to `run`."""

import argparse
import os
import random

from demo.pieces import HERE


def find_orderd():
    """The one that was built last in this repository."""
    root = os.path.dirname(os.path.dirname(HERE))
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(root, "target"))
    built = [os.path.join(target, kind, "orderd") for kind in ("release", "debug")]
    built = [path for path in built if os.path.exists(path)]
    if not built:
        raise SystemExit("run: there is no orderd yet; build one with `cargo build --release`, "
                         "or name it with --orderd")
    return max(built, key=os.path.getmtime)


def arguments(about):
    said = argparse.ArgumentParser(prog="run", description=about)
    said.add_argument("--orders", type=int, default=1000, metavar="N", help="default: 1000")
    said.add_argument("--seconds", type=float, default=60, metavar="N",
                      help="how long programs are killed (default: 60)")
    said.add_argument("--seed", type=int, metavar="N",
                      help="plays the same people and pranks (default: by chance)")
    said.add_argument("--pranks", type=float, default=0.12, metavar="SHARE",
                      help="requests with which something goes wrong on purpose (default: 0.12)")
    said.add_argument("--wait", type=int, metavar="SECONDS",
                      help="how long a parcel may be under way (default: from --seconds)")
    said.add_argument("--careless", action="store_true",
                      help="a payment service that ignores the effect key: the proof must fail")
    said.add_argument("--orderd", metavar="FILE", help="the program (default: the one built last)")
    said.add_argument("--keep", action="store_true", help="keeps the folder also if all is well")
    said.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    options = said.parse_args()
    options.orderd = options.orderd or find_orderd()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    if options.wait is None:
        options.wait = max(5, round(options.seconds / 4))
    return options
