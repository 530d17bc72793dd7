#!/usr/bin/env python3
"""Takes orders from a queue of orderd and does their step: worker.py URL QUEUE. Standard library only."""
import json, os, signal, socket, sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

url, queue = sys.argv[1:3]
name = f"{socket.gethostname()}-{os.getpid()}"
running = True

def ask(verb, body):
    request = Request(f"{url}/v1/queues/{queue}/{verb}", json.dumps(body).encode(),
                      {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)

def work(task):
    """Your part. Give task["effect_key"] to whoever you call, so that it has its effect once."""
    return {"packed": len(task["order"]["items"]), "by": name}

def stop(*_):
    global running
    running = False

signal.signal(signal.SIGTERM, stop)
while running:
    for task in ask("lease", {"max": 20, "wait": "10s", "worker": name})["data"]:
        said = {key: task[key] for key in ("order_id", "step", "fence")}
        try:
            if not running:
                ask("release", said)
                continue
            ask("complete", said | {"output": work(task)})
        except HTTPError as refused:  # 409: somebody else has it by now
            print(task["order_id"], refused.read().decode(), file=sys.stderr)
        except Exception as error:  # what `work` raised: tried again later
            ask("fail", said | {"error": repr(error)})
