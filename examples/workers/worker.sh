#!/bin/sh
# Takes orders from a queue of orderd and does their step: worker.sh URL QUEUE. Needs curl.
# One at a time, and no JSON tool: the answers have one line, and these fields hold no quotes.
set -u
url=$1/v1/queues/$2
name=shell-$$
running=yes
trap 'running=' TERM

ask() { curl -sS -m 60 -H 'Content-Type: application/json' -d "$2" "$url/$1"; }
field() { printf %s "$2" | sed -n "s/.*\"data\":\[{[^{]*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Your part: the effect key is $1. Give it to whoever you call, so that it has its effect once.
work() { echo "{\"packed\":true,\"by\":\"$name\"}"; }

while [ "$running" ]; do
  task=$(ask lease "{\"wait\":\"10s\",\"worker\":\"$name\"}") || { sleep 1; continue; }
  fence=$(field fence "$task")
  [ "$fence" ] || continue
  said="\"order_id\":\"$(field order_id "$task")\",\"step\":\"$(field step "$task")\",\"fence\":\"$fence\""
  if output=$(work "$(field effect_key "$task")"); then
    ask complete "{$said,\"output\":$output}" >/dev/null
  else
    ask fail "{$said,\"error\":\"the work failed\"}" >/dev/null
  fi
done
