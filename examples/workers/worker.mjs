#!/usr/bin/env node
// Takes orders from a queue of orderd and does their step: worker.mjs URL QUEUE. Needs Node 18.
const [url, queue] = process.argv.slice(2);
const name = `node-${process.pid}`;
let running = true;
process.on("SIGTERM", () => (running = false));

async function ask(verb, body) {
  const answer = await fetch(`${url}/v1/queues/${queue}/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${verb}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// Your part. Give task.effect_key to whoever you call, so that it has its effect once.
async function work(task) {
  return { packed: task.order.items.length, by: name };
}

while (running) {
  const { data } = await ask("lease", { max: 20, wait: "10s", worker: name });
  for (const task of data) {
    const { order_id, step, fence } = task;
    const said = { order_id, step, fence };
    try {
      if (running) await ask("complete", { ...said, output: await work(task) });
      else await ask("release", said);
    } catch (error) {
      // Tried again later; or refused, because somebody else has it by now.
      await ask("fail", { ...said, error: String(error) }).catch((late) => console.error(late));
    }
  }
}
