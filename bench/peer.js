// The same work through the CouchDB protocol: PouchDB on the phone, express-pouchdb as the city.
//
//     node bench/peer.js FOLDER WORK.json
//
// WORK.json holds `jobs` (as a phone of ours hears them), `closings` (as ours writes them), `rounds`, `ones` and
// `phones`. Prints one JSON object: measure → {requests, bytes_up, bytes_down, seconds, …}. The server is a process
// of its own that keeps its databases on the disk; the phone keeps its own in memory. Nobody logs in, and no
// rule is checked: a closing is a new revision of the job's document.

import { fork } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const PouchDB = require("pouchdb");
const [folder = "", work = ""] = process.argv.slice(2);

if (process.send) serve(folder);
else console.log(JSON.stringify(await measure(JSON.parse(readFileSync(work, "utf8")))));

/** Answers "count" with what came and went since the last time. */
function serve(folder) {
  const count = { requests: 0, bytes_up: 0, bytes_down: 0 };
  const app = require("express")();
  app.use((request, response, next) => {
    count.requests += 1;
    count.bytes_up += Number(request.headers["content-length"] ?? 0);
    // Below the compression, so these are the bytes that go over the line.
    for (const name of ["write", "end"]) {
      const original = response[name];
      response[name] = (chunk, ...more) => {
        if (chunk && typeof chunk !== "function") count.bytes_down += Buffer.byteLength(chunk);
        return original.call(response, chunk, ...more);
      };
    }
    next();
  });
  const stored = PouchDB.defaults({ prefix: `${folder}/` });
  app.use(require("express-pouchdb")(stored, { inMemoryConfig: true, logPath: join(folder, "log.txt") }));
  const server = app.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
  process.on("message", () => {
    process.send({ ...count });
    Object.assign(count, { requests: 0, bytes_up: 0, bytes_down: 0 });
  });
  process.on("disconnect", () => process.exit());
}

async function measure({ jobs, closings, rounds, ones, phones }) {
  PouchDB.plugin(require("pouchdb-adapter-memory"));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const child = fork(fileURLToPath(import.meta.url), [folder]);
  const { port } = await heard(child);
  const counted = async (/** @type {() => Promise<unknown>} */ work) => {
    await asked(child);
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1000;
    return { ...(await asked(child)), seconds };
  };
  let made = 0;
  const phone = () => new PouchDB(`phone${(made += 1)}`, { adapter: "memory" });
  const city = async (/** @type {string} */ name) => {
    const there = new PouchDB(`http://127.0.0.1:${port}/${name}`);
    await there.bulkDocs(jobs.map((job) => ({ _id: job.ref, ...job })));
    return there;
  };
  const close = async (local, { case: ref, device_time, data }) => {
    const doc = await local.get(ref);
    await local.put({ ...doc, state: "closed", done: { at: device_time, ...data } });
  };
  const pulls = [];
  const pushes = [];
  for (let round = 0; round <= rounds; round++) {
    const there = await city(`round${round}`);
    const local = phone();
    pulls.push(await counted(() => local.replicate.from(there)));
    for (const closing of closings) await close(local, closing);
    pushes.push(await counted(() => local.replicate.to(there)));
  }
  const there = await city("ones");
  const local = phone();
  await local.replicate.from(there);
  const single = [];
  for (const closing of closings.slice(0, ones)) {
    await close(local, closing);
    single.push(await counted(() => local.replicate.to(there)));
  }
  await local.sync(there);
  const idle = [];
  for (let i = 0; i < ones; i++) idle.push(await counted(() => local.sync(there)));
  const many = await city("many");
  const locals = await Promise.all(Array.from({ length: phones }, async () => {
    const each = phone();
    await each.replicate.from(many);
    return each;
  }));
  for (const [n, each] of locals.entries()) await close(each, closings[n % closings.length]);
  const trickle = await counted(() => Promise.all(locals.map((each) => each.replicate.to(many))));
  child.disconnect();
  return {
    pull_1000: median(pulls.slice(1)), // the first one warms both sides
    push_1000: median(pushes.slice(1)),
    one: median(single),
    idle: median(idle),
    trickle: { ...trickle, closings: phones },
  };
}

function median(/** @type {Record<string, number>[]} */ counts) {
  const middle = (/** @type {number[]} */ all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)];
  const names = Object.keys(counts[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, middle(counts.map((count) => count[name] ?? 0))]));
}

function asked(child) {
  child.send("count");
  return heard(child);
}

function heard(child) {
  return new Promise((resolve) => child.once("message", resolve));
}
