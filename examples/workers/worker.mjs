#!/usr/bin/env node
// Takes orders from a queue of orderd and does their step: worker.mjs URL QUEUE. Needs Node 18.
const [url, queue] = process.argv.slice(2);
const name = `node-${process.pid}`;
const pause = () => new Promise((done) => setTimeout(done, 1000));
let running = true;
process.on("SIGTERM", () => (running = false));

const ask = (verb, body, headers) =>
  fetch(`${url}/v1/queues/${queue}/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  }).catch((error) => ({ ok: false, status: 503, text: async () => String(error.cause ?? error) }));

// Until somebody hears it; under one key, so that it counts once.
async function tell(verb, said) {
  for (;;) {
    const answer = await ask(verb, said, { "Idempotency-Key": said.fence });
    if (answer.ok) return;
    console.error(said.order_id, await answer.text());
    if (answer.status !== 503) return; // 409: somebody else has it by now
    await pause();
  }
}

// Your part. Give task.effect_key to whoever you call, so that it has its effect once.
async function work(task) {
  return { packed: task.order.items.length, by: name };
}

while (running) {
  const answer = await ask("lease", { max: 20, wait: "10s", worker: name });
  if (!answer.ok) await pause(); // the server is away, or stopping
  for (const task of answer.ok ? (await answer.json()).data : []) {
    const said = { order_id: task.order_id, step: task.step, fence: task.fence };
    if (!running) await tell("release", said);
    else
      await work(task).then(
        (output) => tell("complete", { ...said, output }),
        (error) => tell("fail", { ...said, error: String(error) }), // tried again later
      );
  }
}
