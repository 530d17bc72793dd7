#!/usr/bin/env node
// Does a step that orderd sends to it: service.mjs PORT SECRET. Needs Node 18, and nothing else.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const [port, secret] = process.argv.slice(2);
const key = Buffer.from(secret.replace("whsec_", ""), "base64");
const done = new Map(); // by effect key; yours is in your database, written together with what was done

function isSigned(headers, body) {
  const sentAt = headers["webhook-timestamp"] ?? "0";
  const signed = `${headers["webhook-id"]}.${sentAt}.${body}`;
  const expected = Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64"));
  const given = (headers["webhook-signature"] ?? "").split(" ").map((it) => Buffer.from(it));
  const isNow = Math.abs(Date.now() / 1000 - Number(sentAt)) < 300;
  return isNow && given.some((it) => it.length === expected.length && timingSafeEqual(it, expected));
}

// Your part. Whatever is thrown here has orderd call again later.
function work(task) {
  const { amount } = task.order.total;
  return amount < 100_000 ? { output: { paid: amount } } : { error: "too much", reject: true };
}

function answer(path, task) {
  const known = done.get(task.effect_key);
  if (path === "/lookup") return { done: known !== undefined, ...known }; // what became of it?
  return known ?? done.set(task.effect_key, work(task)).get(task.effect_key);
}

createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString();
  if (!isSigned(request.headers, body)) return response.writeHead(401).end();
  try {
    response.end(JSON.stringify(answer(request.url, JSON.parse(body))));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(port), "127.0.0.1");
