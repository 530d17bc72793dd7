#!/usr/bin/env python3
"""Takes orders from a queue of orderd and does their step: worker.py URL QUEUE. Standard library only."""
import json, os, signal, socket, sys, time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

url, queue = sys.argv[1:3]
name = f"{socket.gethostname()}-{os.getpid()}"
running = True

def ask(verb, body, headers={}):
    request = Request(f"{url}/v1/queues/{queue}/{verb}", json.dumps(body).encode(),
                      {"Content-Type": "application/json"} | headers)
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)

def tell(verb, said):  # until somebody hears it; under one key, so that it counts once
    while True:
        try:
            return ask(verb, said, {"Idempotency-Key": said["fence"]})
        except OSError as error:
            print(said["order_id"], error, file=sys.stderr)
            if isinstance(error, HTTPError) and error.code != 503:  # 409: somebody else has it by now
                return
        time.sleep(1)

def work(task):
    """Your part. Give task["effect_key"] to whoever you call, so that it has its effect once."""
    return {"packed": len(task["order"]["items"]), "by": name}

def stop(*_):
    global running
    running = False

signal.signal(signal.SIGTERM, stop)
while running:
    try:
        tasks = ask("lease", {"max": 20, "wait": "10s", "worker": name})["data"]
    except OSError as error:  # the server is away, or stopping
        print(error, file=sys.stderr)
        time.sleep(1)
        continue
    for task in tasks:
        said = {key: task[key] for key in ("order_id", "step", "fence")}
        if not running:
            tell("release", said)
            continue
        try:
            output = work(task)
        except Exception as error:  # tried again later
            tell("fail", said | {"error": repr(error)})
        else:
            tell("complete", said | {"output": output})
