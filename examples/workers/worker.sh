#!/bin/sh
# Takes orders from a queue of orderd and does their step: worker.sh URL QUEUE. Needs curl.
# One at a time, and no JSON tool: the answers have one line, and these fields hold no quotes.
set -u
url=$1/v1/queues/$2
name=shell-$$
running=yes
trap 'running=' TERM

ask() {
  verb=$1 body=$2
  shift 2
  curl -sS -m 60 -H 'Content-Type: application/json' -d "$body" "$@" "$url/$verb"
}
# Until somebody hears it; under one key, so that it counts once. 409: somebody else has it by now.
tell() {
  until status=$(ask "$1" "$2" -o /dev/null -w '%{http_code}' -H "Idempotency-Key: $fence") &&
    [ "$status" != 503 ]; do sleep 1; done
}
field() { printf %s "$2" | sed -n "s/.*\"data\":\[{[^{]*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Your part: the effect key is $1. Give it to whoever you call, so that it has its effect once.
work() { echo "{\"packed\":true,\"by\":\"$name\"}"; }

while [ "$running" ]; do
  # Without an answer the server is away, or stopping.
  task=$(ask lease "{\"wait\":\"10s\",\"worker\":\"$name\"}" -f) || { sleep 1; continue; }
  fence=$(field fence "$task")
  [ "$fence" ] || continue
  said="\"order_id\":\"$(field order_id "$task")\",\"step\":\"$(field step "$task")\",\"fence\":\"$fence\""
  if output=$(work "$(field effect_key "$task")"); then
    tell complete "{$said,\"output\":$output}"
  else
    tell fail "{$said,\"error\":\"the work failed\"}"
  fi
done
