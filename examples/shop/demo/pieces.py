"""The programs that make up the shop: started on free ports in a private folder, killed, started
again, and ended politely. Whatever happens to the demonstration, none of them stays behind."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The kernel ends the child with us, where it can.
LEASH = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []

# Who is told of what by a webhook.
OVER = ["order.cancelled", "order.rejected", "order.expired"]
TOLD = {"payment": OVER, "stock": OVER, "courier": ["order.parked"]}


def free_ports(count):
    """Below those that the system gives away, so that a port is still ours after a restart."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                ports.add(port)
            except OSError:
                pass
    return sorted(ports)


class Piece:
    """One program."""

    def __init__(self, name, command, folder, settings=None, port=None):
        self.name, self.command, self.folder, self.port = name, command, folder, port
        self.settings = settings or {}
        self.process, self.starts, self.kills = None, 0, 0

    def start(self):
        self.starts += 1
        # What is set for another orderd is none of ours.
        settings = {name: value for name, value in os.environ.items()
                    if not name.startswith(("ORDERD_", "DATABASE_URL"))}
        settings |= {"PYTHONDONTWRITEBYTECODE": "1"} | self.settings
        if "SHOP_SEED" in settings:  # another run of luck after each start
            settings["SHOP_SEED"] += f" {self.name} {self.starts}"
        with open(os.path.join(self.folder, f"{self.name}.log"), "ab") as log:
            self.process = subprocess.Popen(
                LEASH + self.command, env=settings, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def check(self):
        if not self.is_running():
            raise SystemExit(f"{self.name} has ended by itself; see {self.folder}/{self.name}.log")

    def kill(self):
        """At once, in the middle of whatever it does: kill -9."""
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def stop(self, patience=20):
        """Politely; it ends what it has begun."""
        if not self.is_running():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_up(self, patience=30):
        deadline = time.monotonic() + patience
        while self.port and time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)


class Shop:
    """All pieces, by name."""

    def __init__(self, folder, orderd, options, shelf):
        self.folder = folder
        ports = free_ports(4)
        self.port, self.payment, self.stock, self.courier = ports
        self.url = f"http://127.0.0.1:{self.port}"
        config = self.write_config(options)
        luck = {"SHOP_SEED": str(options.seed), "SHOP_PRANKS": str(options.pranks)}
        secrets = re.findall(r'secret = "(.*)"', open(config).read())
        paid = {"SHOP_SECRETS": secrets[0]} | ({"SHOP_CARELESS": "yes"} if options.careless else {})
        kept = {"SHOP_SECRETS": secrets[1], "SHOP_SHELF": shelf}
        self.all = [
            self.piece("orderd", [
                orderd, "serve", "--config", config, "--data", self.book("orderd"),
                "--listen", f"127.0.0.1:{self.port}", "--takeover", "10s"], {}, self.port),
            self.python("payment", [str(self.payment), self.book("payment")], luck | paid,
                        self.payment),
            self.python("stock", [str(self.stock), self.book("stock")], luck | kept, self.stock),
            self.python("warehouse", [self.url, self.book("warehouse"), "ann"], luck),
            self.python("warehouse", [self.url, self.book("warehouse"), "bob"], luck),
            self.python("courier", [str(self.courier), self.book("courier"), self.url],
                        luck | {"SHOP_LUCK": str(options.seed),
                                # A webhook that fails holds up those behind it for a while.
                                "SHOP_PRANKS": str(options.pranks / 4)}, self.courier),
        ]

    def book(self, name):
        return os.path.join(self.folder, name if name == "orderd" else f"{name}.db")

    def piece(self, name, command, settings, port=None):
        return Piece(name, command, self.folder, settings, port)

    def python(self, name, arguments, settings, port=None):
        script = os.path.join(HERE, f"{name}.py")
        return self.piece(name, [sys.executable, script, *arguments], settings, port)

    def write_config(self, options):
        """The settings of the shop, with the ports and the patience of this run."""
        text = open(os.path.join(HERE, "orderd.toml")).read()
        text = text.replace(":7101/", f":{self.payment}/").replace(":7102/", f":{self.stock}/")
        text = re.sub(r'(name = "delivered"\n.*\ntimeout = )".*"', rf'\1"{options.wait}s"', text)
        path = os.path.join(self.folder, "orderd.toml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def open(self, api):
        """Starts everything, with webhooks for those who are to be told what happens."""
        self.all[0].start()
        self.all[0].wait_until_up()
        for piece in self.all:
            if piece.name in TOLD:
                _, webhook = api.ask("POST", "/v1/webhooks", {
                    "url": f"http://127.0.0.1:{piece.port}/orderd", "types": TOLD[piece.name]})
                secrets = [piece.settings.get("SHOP_SECRETS"), webhook["secret"]]
                piece.settings["SHOP_SECRETS"] = " ".join(filter(None, secrets))
        for piece in self.all[1:]:
            piece.start()
        for piece in self.all[1:]:
            piece.wait_until_up()

    def check(self):
        for piece in self.all:
            piece.check()

    def close(self):
        """Ends everything, the services before orderd, so that all books are whole."""
        for piece in reversed(self.all):
            piece.stop()

    def end(self, keep, say):
        """Whatever happened: nothing goes on running, and the folder stays only if it is wanted."""
        for piece in self.all:
            if piece.is_running():
                piece.process.kill()
                piece.process.wait()
        if keep:
            say(f"the books and logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
