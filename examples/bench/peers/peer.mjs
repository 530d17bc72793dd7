// Plays a block with a job queue that other people made, on the PostgreSQL that it is given:
// sends jobs from many callers at once, each call one job, and if asked has them worked off by
// workers in a process of their own. Prints one line of JSON.
//
// Arguments: NAME FOLDER URL WHAT SENDERS WARM_UP SECONDS
//   NAME    pg-boss or graphile-worker
//   FOLDER  where npm installed it
//   WHAT    accept (no workers), completed (workers), batch (no workers, 100 jobs a call) or work
//           (be the workers, until the end of the input)
//   The last three: concurrent calls, and the seconds before and while it counts.
//
// Both run with the settings that their documentation gives for many jobs; each accepted job is
// committed with PostgreSQL's own durable settings before the call returns.

import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

const [name, folder, url, what, senders, warmUp, seconds] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const BATCH = 100;
// What made each of them fastest, of the 100 that the server allows: pg-boss gains from more of
// them, graphile-worker does not, because its transactions wait for one another.
const CONNECTIONS = { 'pg-boss': what === 'work' ? 24 : 64, 'graphile-worker': 10 }[name];

// The same order that orderd is sent.
const ORDER = {
  customer_id: 'customer-00004711',
  items: [
    { sku: 'sku-00042', quantity: 2, unit_price: 4500 },
    { sku: 'sku-90210', quantity: 1, unit_price: 999 },
  ],
  total: { amount: 9999, currency: 'USD' },
  priority: 1,
  address: '1 Main Street, 12345 Springfield',
};

async function pgBoss() {
  const PgBoss = load('pg-boss');
  const boss = new PgBoss({ connectionString: url, max: CONNECTIONS });
  boss.on('error', fail);
  await boss.start();
  await boss.createQueue('orders');
  return {
    send: () => boss.send('orders', ORDER),
    sendBatch: () => boss.insert(Array.from({ length: BATCH }, () => ({ name: 'orders', data: ORDER }))),
    // Half a second is the shortest interval that it allows.
    work: async () => {
      const settings = { batchSize: 500, pollingIntervalSeconds: 0.5 };
      for (let worker = 0; worker < 4; worker += 1) {
        await boss.work('orders', settings, async () => {});
      }
    },
    open: `SELECT 1 FROM pgboss.job WHERE name = 'orders' AND state < 'completed' LIMIT 1`,
  };
}

async function graphileWorker() {
  const { run, makeWorkerUtils } = load('graphile-worker');
  const place = { connectionString: url, maxPoolSize: CONNECTIONS };
  const utils = await makeWorkerUtils(place);
  await utils.migrate();
  return {
    send: () => utils.addJob('order', ORDER),
    sendBatch: () => utils.addJobs(Array.from({ length: BATCH }, () => ({ identifier: 'order', payload: ORDER }))),
    work: () => run({
      ...place,
      taskList: { order: async () => {} },
      noHandleSignals: true,
      preset: {
        worker: {
          concurrentJobs: 24,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    }),
    open: 'SELECT 1 FROM graphile_worker._private_jobs LIMIT 1',
  };
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

/** Calls again and again from all senders; answers how many calls returned, and how long it took. */
async function sendFor(duration, call) {
  const began = performance.now();
  const end = began + duration * 1000;
  let calls = 0;
  const sender = async () => {
    while (performance.now() < end) {
      await call();
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(senders) }, sender));
  return { calls, seconds: (performance.now() - began) / 1000 };
}

/** Waits until no job is open. */
async function drain(sql) {
  const { Client } = load('pg');
  const client = new Client({ connectionString: url });
  await client.connect();
  while ((await client.query(sql)).rowCount > 0) {
    await sleep(20);
  }
  await client.end();
}

async function play(peer) {
  const workers = what === 'completed'
    && spawn(process.execPath, [fileURLToPath(import.meta.url), name, folder, url, 'work'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
  const [call, size] = what === 'batch' ? [peer.sendBatch, BATCH] : [peer.send, 1];
  await sendFor(Number(warmUp), call);
  if (workers) await drain(peer.open);
  const began = performance.now();
  const sent = await sendFor(Number(seconds), call);
  if (workers) await drain(peer.open);
  const took = (performance.now() - began) / 1000;
  if (workers) workers.kill('SIGKILL');
  const jobs = sent.calls * size;
  const line = { jobs, accepted_per_second: jobs / sent.seconds, per_second: jobs / took };
  await new Promise((done) => process.stdout.write(`${JSON.stringify(line)}\n`, done));
  process.exit(0);
}

const peer = await { 'pg-boss': pgBoss, 'graphile-worker': graphileWorker }[name]();
if (what === 'work') {
  await peer.work();
  process.stdin.on('end', () => process.exit(0)).resume();
} else {
  await play(peer).catch(fail);
}
